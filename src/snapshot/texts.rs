//! The texts of a snapshot, in one sequence of bytes. Each distinct text is stored once and identified by its offset.
//!
//! Names of tables usually share a prefix: `db.schema.` is stored once, and each name refers to it and stores the rest.
//! A text consists of:
//!
//! 1. twice the length of its own bytes, plus one if it has a prefix that is stored elsewhere;
//! 2. the offset of that prefix, in three bytes, if there is one;
//! 3. its own bytes.
//!
//! A length uses seven bits of each byte, lowest bits first. A set eighth bit means that another byte follows.

use std::borrow::Cow;
use std::hash::BuildHasher;
use std::ops::Deref;

use bytes::Bytes;
use hashbrown::HashTable;

use super::CompileError;
use super::memory::Memory;
use crate::base::{fetch_lines, is_same};

/// A sequence of texts.
#[derive(Debug, Default)]
pub(crate) struct Texts<B = Bytes> {
    bytes: B,
}

/// The offset of a text. Zero is the empty text.
pub(crate) type TextId = u32;

/// A text: its prefix, if it is stored elsewhere, and its own bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Text<'s> {
    prefix: &'s [u8],
    own: &'s [u8],
}

impl<'s> Text<'s> {
    /// Returns whether this text equals `text`.
    #[expect(clippy::inline_always, reason = "a call costs as much as the comparison of a short text")]
    #[inline(always)]
    pub(crate) fn is(self, text: &[u8]) -> bool {
        let own = text.split_at_checked(self.prefix.len());
        own.is_some_and(|(prefix, own)| is_same(own, self.own) && is_same(prefix, self.prefix))
    }

    /// Returns the text's own bytes. They are the whole text, except for resources.
    pub(crate) fn own(self) -> &'s [u8] {
        self.own
    }

    /// Returns the whole text.
    pub(crate) fn whole(self) -> Cow<'s, [u8]> {
        if self.prefix.is_empty() { self.own.into() } else { [self.prefix, self.own].concat().into() }
    }
}

impl<B: Deref<Target = [u8]>> Texts<B> {
    /// Returns the text with this id; empty if there is none.
    #[inline]
    pub(crate) fn get(&self, id: TextId) -> Text<'_> {
        self.text(id).unwrap_or(Text { prefix: &[], own: &[] })
    }

    #[inline]
    fn text(&self, id: TextId) -> Option<Text<'_>> {
        let (head, rest) = number(self.bytes.get(id as usize..)?)?;
        if head & 1 == 0 {
            return Some(Text { prefix: &[], own: rest.get(..head >> 1)? });
        }
        let (&[low, middle, high], rest) = rest.split_first_chunk()?;
        let prefix = u32::from_le_bytes([low, middle, high, 0]);
        let (length, rest_of_prefix) = number(self.bytes.get(prefix as usize..)?)?;
        Some(Text { prefix: rest_of_prefix.get(..length >> 1)?, own: rest.get(..head >> 1)? })
    }

    /// Prefetches the memory of the text with this id, and of some texts after it.
    #[inline]
    pub(super) fn fetch(&self, id: TextId) {
        fetch_lines::<2>(&self.bytes, id as usize);
    }

    /// Returns the own bytes of the text with this id, as a string.
    pub(crate) fn get_str(&self, id: TextId) -> &str {
        std::str::from_utf8(self.get(id).own).unwrap_or_default()
    }

    /// Returns the stored bytes.
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn from_bytes(bytes: B) -> Self {
        Self { bytes }
    }
}

impl Texts<Vec<u8>> {
    fn push(&mut self, prefix: Option<TextId>, own: &[u8]) -> Result<TextId, CompileError> {
        let id = TextId::try_from(self.bytes.len()).map_err(|_| CompileError::TooMuchText)?;
        write_number(own.len() << 1 | usize::from(prefix.is_some()), &mut self.bytes);
        if let Some(prefix) = prefix {
            self.bytes.extend(prefix.to_le_bytes().into_iter().take(PREFIX));
        }
        self.bytes.extend_from_slice(own);
        Ok(id)
    }
}

/// Reads the number at the start of `bytes`. Returns it with the bytes after it.
#[expect(clippy::inline_always, reason = "a call costs more than all of it")]
#[inline(always)]
fn number(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (&first, rest) = bytes.split_first()?;
    if first < 0x80 { Some((usize::from(first), rest)) } else { long_number(first, rest) }
}

#[cold]
fn long_number(first: u8, mut rest: &[u8]) -> Option<(usize, &[u8])> {
    let (mut value, mut more, mut shift) = (usize::from(first & 0x7f), true, 7);
    while more {
        let (&next, after) = rest.split_first()?;
        value |= usize::from(next & 0x7f).checked_shl(shift)?;
        (rest, more, shift) = (after, next >= 0x80, shift + 7);
    }
    Some((value, rest))
}

fn write_number(mut number: usize, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(0x80 | u8::try_from(number & 0x7f).unwrap_or(0));
        number >>= 7;
    }
    out.push(u8::try_from(number).unwrap_or(0));
}

/// Collects texts and stores each distinct text once.
#[derive(Debug)]
pub(crate) struct TextsBuilder {
    texts: Texts<Vec<u8>>,
    known: HashTable<KnownText>,
    // Random: no result depends on the hashes, and an attacker cannot construct texts that collide.
    hasher: foldhash::fast::RandomState,
}

/// A stored text and a half of its hash: the table grows, and finds most texts, without reading the texts.
#[derive(Debug, Clone, Copy)]
struct KnownText {
    id: TextId,
    hash: u32,
}

impl KnownText {
    /// Returns the hash for the table, which uses the lowest and the highest bits.
    fn hash(self) -> u64 {
        u64::from(self.hash) << 32 | u64::from(self.hash)
    }
}

impl Default for TextsBuilder {
    fn default() -> Self {
        Self {
            texts: Texts { bytes: vec![0] },
            known: HashTable::new(),
            hasher: foldhash::fast::RandomState::default(),
        }
    }
}

/// The number of bytes of a prefix's offset.
const PREFIX: usize = 3;

/// The offset from which a prefix is not shared.
const FAR: TextId = 1 << (8 * PREFIX);

/// The minimum length of a shared prefix. Referring to a shorter one takes more space than it saves.
const MIN_PREFIX: usize = 6;

impl TextsBuilder {
    /// Returns the id of `text`, stored without a shared prefix. Stores the text if it is new.
    pub(crate) fn intern(&mut self, text: &[u8]) -> Result<TextId, CompileError> {
        self.intern_suffix(None, text)
    }

    /// Returns the id of a resource's canonical name. The part before its last segment is a shared prefix.
    pub(crate) fn intern_resource(&mut self, name: &[u8]) -> Result<TextId, CompileError> {
        let after_dot = memchr::memrchr(b'.', name).map_or(0, |dot| dot + 1);
        match name.split_at_checked(after_dot) {
            Some((prefix, own)) if prefix.len() >= MIN_PREFIX => match self.intern(prefix)? {
                prefix @ 0..FAR => self.intern_suffix(Some(prefix), own),
                FAR.. => self.intern(name),
            },
            _ => self.intern(name),
        }
    }

    fn intern_suffix(&mut self, prefix: Option<TextId>, own: &[u8]) -> Result<TextId, CompileError> {
        // Two texts are equal only if their prefixes are equal, so the split is part of the comparison.
        let prefix_text = prefix.map(|id| self.texts.get(id).own).unwrap_or_default();
        #[expect(clippy::cast_possible_truncation, reason = "a half of the hash is enough")]
        let hash = self.hasher.hash_one((prefix_text, own)) as u32;
        let is =
            |known: &KnownText| known.hash == hash && self.texts.get(known.id) == Text { prefix: prefix_text, own };
        let new = KnownText { id: 0, hash };
        if let Some(known) = self.known.find(new.hash(), is) {
            return Ok(known.id);
        }
        let id = self.texts.push(prefix, own)?;
        self.known.insert_unique(new.hash(), KnownText { id, ..new }, |known| known.hash());
        Ok(id)
    }

    /// Stores `text`, which must be distinct from the stored texts.
    pub(crate) fn push(&mut self, text: &[u8]) -> Result<TextId, CompileError> {
        self.texts.push(None, text)
    }

    pub(crate) fn get(&self, id: TextId) -> Text<'_> {
        self.texts.get(id)
    }

    pub(crate) fn finish(self) -> Texts {
        Texts { bytes: Memory::hold(self.texts.bytes) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_text_is_stored_once_and_read_back() {
        let long = "x".repeat(20_000);
        let names = ["a.b", "db.schema.t", "db.schema.u", "db.schema.t", "db.schema.t.x", "", &long];
        let mut builder = TextsBuilder::default();
        let ids: Vec<TextId> = names.iter().map(|name| builder.intern_resource(name.as_bytes()).unwrap()).collect();
        let own = builder.intern(b"db.schema.t").unwrap();
        let texts = builder.finish();
        for (name, &id) in names.iter().zip(&ids) {
            let text = texts.get(id);
            assert!(text.is(name.as_bytes()) && !text.is(b"db.schema.v") && !text.is(b"t"), "{name}");
            assert_eq!(*text.whole(), *name.as_bytes());
        }
        assert_eq!(ids[1], ids[3]);
        assert_eq!(texts.get(own).own(), b"db.schema.t");
        assert_eq!(texts.bytes.windows(10).filter(|window| window == b"db.schema.").count(), 3);
    }

    #[test]
    fn reading_forged_bytes_is_safe() {
        for bytes in
            [vec![], vec![0xff; 40], vec![0x80; 3], vec![1, 1, 0, 0, 1], vec![3, 0x81], vec![9, 200, 200, 200, 200]]
        {
            let texts = Texts { bytes };
            (0..50).for_each(|id| assert!(texts.get(id).own.len() < 50));
        }
    }
}
