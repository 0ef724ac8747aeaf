//! Writes grant sets, each distinct set once.

use std::hash::BuildHasher;

use hashbrown::HashTable;

use super::form::Form;
use super::{GrantSets, Residue, Tag};
use crate::snapshot::CompileError;
use crate::snapshot::memory::Memory;
use crate::snapshot::texts::TextId;

/// A grant that a hash finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Entry {
    pub(crate) tag: Tag,
    pub(crate) key: u32,
    pub(crate) text: TextId,
    pub(crate) grant: u32,
}

/// The grants of a set on one connection, before they are written.
#[derive(Debug, Default)]
pub(crate) struct BlockPlan {
    pub(crate) connection: u32,
    pub(crate) all: Option<u32>,
    // INVARIANT: sorted and without duplicates when the set is written.
    pub(crate) entries: Vec<Entry>,
    pub(crate) residue: Vec<Residue>,
}

/// A written set, with its hash: the table grows without reading the sets.
#[derive(Debug, Clone, Copy)]
struct KnownSet {
    start: u32,
    length: u32,
    hash: u64,
}

/// Writes grant sets, each distinct set once.
#[derive(Debug, Default)]
pub(crate) struct GrantSetsBuilder {
    sets: Vec<u8>,
    known: HashTable<KnownSet>,
    // Random: no result depends on the hashes, and an attacker cannot construct texts that collide.
    hasher: foldhash::fast::RandomState,
    scratch: Vec<u8>,
}

impl GrantSetsBuilder {
    /// Returns the offset of the set of these blocks, which must be sorted by connection. Writes the set if it is new.
    pub(crate) fn write(&mut self, blocks: &[BlockPlan]) -> Result<u32, CompileError> {
        encode(blocks, &mut self.scratch)?;
        let set = self.scratch.as_slice();
        let hash = self.hasher.hash_one(set);
        let sets = &mut self.sets;
        let is = |known: &KnownSet| {
            let start = known.start as usize;
            known.hash == hash && sets.get(start..start + known.length as usize) == Some(set)
        };
        if let Some(known) = self.known.find(hash, is) {
            return Ok(known.start);
        }
        let start = size(sets.len())?;
        let length = size(set.len())?;
        sets.extend_from_slice(set);
        self.known.insert_unique(hash, KnownSet { start, length, hash }, |known| known.hash);
        Ok(start)
    }

    /// Returns the number of distinct sets.
    pub(crate) fn len(&self) -> usize {
        self.known.len()
    }

    pub(crate) fn finish(mut self) -> GrantSets {
        // Padding, so that the last keys can be read sixteen bytes at a time.
        self.sets.extend([0; 16]);
        GrantSets::from_bytes(Memory::hold(self.sets))
    }
}

/// Writes the set to `out`, in the narrowest possible form.
fn encode(blocks: &[BlockPlan], out: &mut Vec<u8>) -> Result<(), CompileError> {
    let mut numbers = size(blocks.len())?;
    let mut text = 0;
    for block in blocks {
        let entries = block.entries.iter().map(|entry| entry.tag.word().max(entry.grant)).max().unwrap_or(0);
        let counts = size(block.entries.len().max(block.residue.len()).max(block.runs().count()))?;
        let all = block.all.map_or(0, |grant| grant + 1);
        numbers = numbers.max(entries).max(counts).max(block.connection).max(all);
        text = block.entries.iter().map(|entry| entry.text).fold(text, TextId::max);
    }
    let has_residue = blocks.iter().any(|block| !block.residue.is_empty());
    let form = |form: Form| if has_residue { form.with_residue() } else { form };
    if !encode_as(form(Form::for_up_to(numbers, text)), blocks, out)? {
        encode_as(form(Form::widest()), blocks, out)?;
    }
    Ok(())
}

/// Writes the set to `out`. Returns whether the offsets of its blocks fit in `form`.
fn encode_as(form: Form, blocks: &[BlockPlan], out: &mut Vec<u8>) -> Result<bool, CompileError> {
    let width = form.number();
    out.clear();
    out.push(form.to_byte());
    push(out, size(blocks.len())?, width);
    let mut start = out.len() + blocks.len() * form.connection();
    for block in blocks {
        push(out, block.connection, width);
        push(out, block.all.map_or(0, |grant| grant + 1), width);
        push(out, size(start)?, form.start());
        start += block.size(form);
    }
    for block in blocks {
        push(out, size(block.runs().count())?, width);
        if form.has_residue() {
            push(out, size(block.residue.len())?, width);
        }
        let mut end = 0;
        for run in block.runs() {
            end += run.len();
            push(out, run.first().map_or(0, |entry| entry.tag.word()), width);
            push(out, size(end)?, width);
        }
        for entry in &block.entries {
            // Stores the highest bytes of the key.
            push(out, entry.key >> (8 * (4 - form.key())), form.key());
        }
        block.entries.iter().for_each(|entry| push(out, entry.text, form.text()));
        block.entries.iter().for_each(|entry| push(out, entry.grant, width));
        let residue = block.residue.iter().flat_map(|entry| [entry.ordinal, entry.text, entry.grant]);
        out.extend(residue.flat_map(u32::to_le_bytes));
    }
    size(out.len())?;
    Ok(form.start() == 4 || u16::try_from(start).is_ok())
}

fn push(out: &mut Vec<u8>, number: u32, width: usize) {
    let end = out.len() + width;
    out.extend_from_slice(&number.to_le_bytes());
    out.truncate(end);
}

impl BlockPlan {
    fn runs(&self) -> impl Iterator<Item = &[Entry]> {
        self.entries.chunk_by(|a, b| a.tag == b.tag)
    }

    /// Returns the number of bytes of the block in this form.
    fn size(&self, form: Form) -> usize {
        let counts = 1 + usize::from(form.has_residue()) + 2 * self.runs().count();
        let entry = form.key() + form.text() + form.number();
        counts * form.number() + self.entries.len() * entry + self.residue.len() * super::form::RESIDUE
    }
}

fn size(size: usize) -> Result<u32, CompileError> {
    u32::try_from(size).map_err(|_| CompileError::TooManyGrants)
}
