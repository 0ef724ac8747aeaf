//! Grant sets: the grants of each token, as bytes in one array.
//!
//! Every decision reads a set, usually from a cold cache. The data of a decision is therefore adjacent, in the order of
//! use, and the numbers of a set are as narrow as its largest number allows:
//!
//! ```text
//! set      form, number of blocks, then
//!          for each connection: connection, grant of `all` plus one, offset of its block in the set
//! block    number of runs; number of residue grants, if any block of the set has some; then
//!          for each run: tag, end          the type of its entries, and the index after its last entry
//!          for each entry: key             the hash of its literal text, ascending in a run
//!          for each entry: text            the offset of its text
//!          for each entry: grant           its index in the token's list
//!          for each residue grant: ordinal, text, grant     the grants that the connection's matcher finds, by ordinal
//! ```
//!
//! Sixteen zeros follow the last set, so that keys can be compared eight at a time.
//!
//! A run contains exact names, query texts, named sources, or the patterns of one shape. One hash of the requested
//! text, at the positions of the run's shape, finds an entry. The text itself is compared before anything is allowed.

mod entries;
mod form;
mod write;

use bytes::Bytes;

use super::texts::TextId;
use crate::base::fetch_lines;
use crate::model::GrantKind;
pub(crate) use entries::Entries;
use form::{Form, RESIDUE, Width, low};
pub(crate) use write::{BlockPlan, Entry, GrantSetsBuilder};

/// The type of the entries of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Tag {
    Resource,
    Query,
    NamedSource,
    /// Patterns of the shape at this index in the snapshot's list.
    Pattern(u32),
}

impl Tag {
    /// Returns the kind of grant of the entries.
    pub(crate) fn kind(self) -> GrantKind {
        match self {
            Self::Resource => GrantKind::Resource,
            Self::Query => GrantKind::Query,
            Self::NamedSource => GrantKind::NamedSource,
            Self::Pattern(_) => GrantKind::Pattern,
        }
    }

    fn word(self) -> u32 {
        match self {
            Self::Resource => 0,
            Self::Query => 1,
            Self::NamedSource => 2,
            Self::Pattern(shape) => 3 + shape,
        }
    }

    fn from_word(word: u32) -> Self {
        match word {
            0 => Self::Resource,
            1 => Self::Query,
            2 => Self::NamedSource,
            _ => Self::Pattern(word - 3),
        }
    }
}

/// A grant that the connection's matcher finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Residue {
    pub(crate) ordinal: u32,
    pub(crate) text: TextId,
    pub(crate) grant: u32,
}

/// The grants of one set on one connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Block<'s> {
    pub(crate) connection: u32,
    /// The index of the first grant of all sources.
    pub(crate) all: Option<u32>,
    form: Form,
    /// For each run, its tag and the index after its last entry.
    runs: &'s [u8],
    entries: usize,
    residue: usize,
    /// The bytes from the runs of the block to the end of all sets.
    bytes: &'s [u8],
}

/// The entries of a block, by the number of bytes of a number and of a key.
#[derive(Debug, Clone, Copy)]
pub(crate) enum View<'s> {
    One(Entries<'s, 1, 2>),
    Two(Entries<'s, 2, 2>),
    Four(Entries<'s, 4, 4>),
}

/// All grant sets of a snapshot.
#[derive(Debug, Default)]
pub(crate) struct GrantSets {
    bytes: Bytes,
}

/// A set whose numbers have `W` bytes, and whose directory entries have `D` bytes.
#[derive(Debug, Clone, Copy)]
struct Set<'s, const W: usize, const D: usize> {
    form: Form,
    /// The bytes from the form of the set to the end of all sets.
    bytes: &'s [u8],
    /// For each connection: its index, its grant of `all`, and the offset of its block.
    directory: &'s [[u8; D]],
}

impl GrantSets {
    /// Prefetches the memory of the set at offset `set`. Most sets are prefetched completely.
    #[inline]
    pub(super) fn fetch(&self, set: u32) {
        fetch_lines::<2>(&self.bytes, set as usize);
    }

    /// Returns the block for `connection` of the set at offset `set`. Logarithmic in the number of connections of the
    /// set.
    #[inline]
    pub(crate) fn block(&self, set: u32, connection: u32) -> Option<Block<'_>> {
        let (form, bytes) = self.set(set)?;
        // Dispatches on the width once.
        match form.width() {
            Width::One => Set::<1, 4>::read(form, bytes)?.find(connection),
            Width::Two => Set::<2, 6>::read(form, bytes)?.find(connection),
            Width::Four => Set::<4, 12>::read(form, bytes)?.find(connection),
        }
    }

    /// Returns every block of the set at offset `set`.
    pub(crate) fn blocks(&self, set: u32) -> impl Iterator<Item = Block<'_>> {
        fn all<const W: usize, const D: usize>(set: Option<Set<'_, W, D>>) -> Vec<Block<'_>> {
            set.into_iter().flat_map(|set| set.directory.iter().filter_map(move |head| set.block(head))).collect()
        }
        let blocks = self.set(set).map(|(form, bytes)| match form.width() {
            Width::One => all(Set::<1, 4>::read(form, bytes)),
            Width::Two => all(Set::<2, 6>::read(form, bytes)),
            Width::Four => all(Set::<4, 12>::read(form, bytes)),
        });
        blocks.into_iter().flatten()
    }

    #[inline]
    fn set(&self, set: u32) -> Option<(Form, &[u8])> {
        let bytes = self.bytes.get(set as usize..)?;
        bytes.first().map(|&form| (Form::from_byte(form), bytes))
    }

    /// Returns the stored bytes.
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn from_bytes(bytes: Bytes) -> Self {
        Self { bytes }
    }
}

impl<'s, const W: usize, const D: usize> Set<'s, W, D> {
    #[inline]
    fn read(form: Form, bytes: &'s [u8]) -> Option<Self> {
        let (blocks, rest) = bytes.get(1..)?.split_first_chunk::<W>()?;
        Some(Self { form, bytes, directory: rest.as_chunks().0.get(..low(*blocks) as usize)? })
    }

    #[inline]
    fn find(self, connection: u32) -> Option<Block<'s>> {
        let number = |head: &[u8; D]| head.first_chunk::<W>().map_or(0, |number| low(*number));
        let head = if self.directory.len() <= 8 {
            self.directory.iter().find(|head| number(head) == connection)?
        } else {
            let at = self.directory.binary_search_by_key(&connection, number).ok()?;
            self.directory.get(at)?
        };
        self.block(head)
    }

    #[inline]
    fn block(self, head: &'s [u8; D]) -> Option<Block<'s>> {
        let (connection, rest) = head.split_first_chunk::<W>()?;
        let (all, start) = rest.split_first_chunk::<W>()?;
        let start = start.iter().rev().fold(0, |start, &byte| start << 8 | usize::from(byte));
        let count = |count: &[u8; W]| low(*count) as usize;
        let (runs, bytes) = self.bytes.get(start..)?.split_first_chunk::<W>()?;
        let (residue, bytes) = if self.form.has_residue() {
            let (residue, bytes) = bytes.split_first_chunk::<W>()?;
            (count(residue), bytes)
        } else {
            (0, bytes)
        };
        let runs = bytes.get(..2 * W * count(runs))?;
        // The last run ends with the last entry.
        let entries = runs.last_chunk::<W>().map_or(0, count);
        let all = low(*all).checked_sub(1);
        Some(Block { connection: low(*connection), all, form: self.form, runs, entries, residue, bytes })
    }
}

fn residue([ordinal, text, grant]: [u32; 3]) -> Residue {
    Residue { ordinal, text, grant }
}

impl<'s> Block<'s> {
    /// Returns the entries, for look-ups.
    #[inline]
    pub(crate) fn view(self) -> View<'s> {
        match self.form.width() {
            Width::One => View::One(Entries::of(self)),
            Width::Two => View::Two(Entries::of(self)),
            Width::Four => View::Four(Entries::of(self)),
        }
    }

    /// Returns whether there are grants of this type.
    pub(crate) fn has(self, tag: Tag) -> bool {
        match self.view() {
            View::One(entries) => entries.run(tag).is_some(),
            View::Two(entries) => entries.run(tag).is_some(),
            View::Four(entries) => entries.run(tag).is_some(),
        }
    }

    /// Returns whether the only grant is of all sources.
    #[inline]
    pub(crate) fn is_all(self) -> bool {
        self.entries == 0 && self.residue == 0
    }

    #[inline]
    pub(crate) fn has_residue(self) -> bool {
        self.residue > 0
    }

    fn stored_residue(self) -> &'s [[u8; RESIDUE]] {
        let width = self.form.number();
        let entry = self.form.key() + self.form.text() + width;
        let start = self.runs.len() + entry * self.entries;
        let stored = self.bytes.get(start..).and_then(|stored| stored.as_chunks().0.get(..self.residue));
        stored.unwrap_or_default()
    }

    /// Returns the grants that the connection's matcher finds, by ordinal.
    pub(crate) fn residue(self) -> impl ExactSizeIterator<Item = Residue> {
        self.stored_residue().iter().map(|stored| residue(form::words(*stored)))
    }

    /// Returns the grants of the residue with this ordinal. Logarithmic in the size of the residue.
    pub(crate) fn residue_of(self, ordinal: u32) -> impl Iterator<Item = Residue> {
        let stored = self.stored_residue();
        let start = stored.partition_point(|stored| residue(form::words(*stored)).ordinal < ordinal);
        let tail = stored.get(start..).unwrap_or_default();
        tail.iter().map(|stored| residue(form::words(*stored))).take_while(move |entry| entry.ordinal == ordinal)
    }

    /// Returns the grant of the residue at an index.
    #[inline]
    pub(crate) fn residue_at(self, at: usize) -> Option<Residue> {
        self.stored_residue().get(at).map(|stored| residue(form::words(*stored)))
    }

    /// Returns the index of the first residue grant whose ordinal is not below `ordinal`. Each ordinal occurs once.
    /// `guess` is an index near the result.
    #[inline]
    pub(crate) fn residue_from(self, ordinal: u32, guess: usize) -> usize {
        let ordinal_at = |at: usize| self.residue_at(at).map(|entry| entry.ordinal);
        // The block may have all of the connection's residue.
        if ordinal_at(ordinal as usize) == Some(ordinal) {
            return ordinal as usize;
        }
        // The result is usually `guess` or the index after it.
        let is = |at: usize| {
            ordinal_at(at).is_none_or(|found| found >= ordinal)
                && at.checked_sub(1).is_none_or(|before| ordinal_at(before).is_some_and(|found| found < ordinal))
        };
        [guess, guess + 1].into_iter().find(|&at| is(at)).unwrap_or_else(|| {
            self.stored_residue().partition_point(|stored| residue(form::words(*stored)).ordinal < ordinal)
        })
    }

    /// Calls `visit` with the kind, text and index of each distinct grant.
    pub(crate) fn each(self, mut visit: impl FnMut(GrantKind, Option<TextId>, u32)) {
        if let Some(grant) = self.all {
            visit(GrantKind::All, None, grant);
        }
        match self.view() {
            View::One(entries) => entries.each(&mut visit),
            View::Two(entries) => entries.each(&mut visit),
            View::Four(entries) => entries.each(&mut visit),
        }
        self.residue().for_each(|entry| visit(GrantKind::Pattern, Some(entry.text), entry.grant));
    }
}
