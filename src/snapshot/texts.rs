//! All text of a snapshot, in one piece: each distinct text once, named by where it begins.

use std::hash::BuildHasher;

use hashbrown::HashTable;

use super::CompileError;

/// Texts one behind the other, each with its length in front.
#[derive(Debug, Default)]
pub(crate) struct Texts {
    bytes: Vec<u8>,
}

/// Where a text begins.
pub(crate) type TextId = u32;

const LENGTH: usize = size_of::<u32>();

impl Texts {
    /// The text that begins at `id`; empty if none does.
    #[inline]
    pub(crate) fn get(&self, id: TextId) -> &[u8] {
        let text = self.bytes.get(id as usize..).and_then(|rest| rest.split_first_chunk::<LENGTH>());
        text.and_then(|(length, rest)| rest.get(..u32::from_le_bytes(*length) as usize)).unwrap_or_default()
    }

    /// The text that begins at `id`, where it was a string.
    pub(crate) fn get_str(&self, id: TextId) -> &str {
        std::str::from_utf8(self.get(id)).unwrap_or_default()
    }

    /// Bytes held.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.capacity()
    }
}

/// Collects texts, and finds those that are there already.
#[derive(Debug, Default)]
pub(crate) struct TextsBuilder {
    texts: Texts,
    known: HashTable<TextId>,
    // Random: what a hash is shows in no result, and nobody can prepare texts that collide.
    hasher: foldhash::fast::RandomState,
}

impl TextsBuilder {
    /// The id of `text`, stored now or before.
    pub(crate) fn intern(&mut self, text: &[u8]) -> Result<TextId, CompileError> {
        let hash = self.hasher.hash_one(text);
        if let Some(&id) = self.known.find(hash, |&id| self.texts.get(id) == text) {
            return Ok(id);
        }
        let id = self.push(text)?;
        let (texts, hasher) = (&self.texts, &self.hasher);
        self.known.insert_unique(hash, id, |&id| hasher.hash_one(texts.get(id)));
        Ok(id)
    }

    /// Stores `text`, which is known to be distinct.
    pub(crate) fn push(&mut self, text: &[u8]) -> Result<TextId, CompileError> {
        let bytes = &mut self.texts.bytes;
        let id = TextId::try_from(bytes.len()).map_err(|_| CompileError::TooMuchText)?;
        let length = u32::try_from(text.len()).map_err(|_| CompileError::TooMuchText)?;
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.extend_from_slice(text);
        Ok(id)
    }

    pub(crate) fn get(&self, id: TextId) -> &[u8] {
        self.texts.get(id)
    }

    pub(crate) fn finish(mut self) -> Texts {
        self.texts.bytes.shrink_to_fit();
        self.texts
    }
}
