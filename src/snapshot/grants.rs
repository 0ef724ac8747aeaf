//! Grant sets: what a token may read or write, as bytes in one array.
//!
//! A set is read on every decision and from a cold cache more often than not, so all that a decision needs stands
//! together, in the order in which it is needed, and as narrow as its largest number allows:
//!
//! ```text
//! set      form, blocks, then for each connection: connection, grant of `all` plus one, where its block begins in the set
//! block    runs, entries, residue, then
//!          for each run: tag, end          what its entries are, and the first entry behind them
//!          for each entry: key             the hash of its literal text, ascending in a run
//!          for each entry: text            where its text stands
//!          for each entry: grant           its place in the token's list
//!          for each of the residue: ordinal, text, grant     what the connection's matcher finds, by ordinal
//! ```
//!
//! A run holds exact names, query texts, named sources, or the patterns of one shape. One hash of the asked text at the
//! places of the run's shape finds its entry; the text itself is compared before anything is allowed.

mod form;
mod write;

use super::texts::TextId;
use crate::model::GrantKind;
use form::{Form, Numbers, RESIDUE, key_width, number, start_width};
pub(crate) use write::{BlockPlan, Entry, GrantSetsBuilder};

/// What the entries of a run are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Tag {
    Resource,
    Query,
    NamedSource,
    /// Patterns of the shape of this place in the snapshot's list.
    Pattern(u32),
}

impl Tag {
    /// What kind of grant the entries of such a run are.
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

/// One grant that the connection's matcher finds.
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
    /// The first grant of all sources.
    pub(crate) all: Option<u32>,
    runs: Numbers<'s>,
    keys: Numbers<'s>,
    texts: Numbers<'s>,
    grants: Numbers<'s>,
    residue: &'s [[u8; RESIDUE]],
}

/// All grant sets of a snapshot.
#[derive(Debug, Default)]
pub(crate) struct GrantSets {
    bytes: Vec<u8>,
}

/// A set, its connections not yet looked at.
#[derive(Debug, Clone, Copy, Default)]
struct Set<'s> {
    form: Form,
    bytes: &'s [u8],
    blocks: usize,
    /// For each connection: its number and its grant of `all`, then where its block begins.
    directory: &'s [u8],
}

impl GrantSets {
    /// The block of the set at `set` for `connection`. Logarithmic in the connections of the set.
    #[inline]
    pub(crate) fn block(&self, set: u32, connection: u32) -> Option<Block<'_>> {
        let set = self.set(set)?;
        // Which width it is, is asked once.
        match set.form.number() {
            1 => set.find::<1>(connection),
            2 => set.find::<2>(connection),
            _ => set.find::<4>(connection),
        }
    }

    /// Every block of the set at `set`.
    pub(crate) fn blocks(&self, set: u32) -> impl Iterator<Item = Block<'_>> {
        let set = self.set(set).unwrap_or_default();
        (0..set.blocks).filter_map(move |at| match set.form.number() {
            1 => set.block::<1>(at),
            2 => set.block::<2>(at),
            _ => set.block::<4>(at),
        })
    }

    #[inline]
    fn set(&self, set: u32) -> Option<Set<'_>> {
        let bytes = self.bytes.get(set as usize..)?;
        let (&form, rest) = bytes.split_first()?;
        let form = Form::from_byte(form);
        let (blocks, rest) = number(rest, form.number())?;
        let blocks = blocks as usize;
        Some(Set { form, bytes, blocks, directory: rest.get(..blocks.checked_mul(form.connection())?)? })
    }

    /// As they are stored.
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn from_bytes(bytes: Vec<u8>) -> Self {
        Self { bytes }
    }
}

impl<'s> Set<'s> {
    /// The block for `connection`, of a set whose numbers have `W` bytes.
    #[inline]
    fn find<const W: usize>(self, connection: u32) -> Option<Block<'s>> {
        let at = if self.blocks <= 8 {
            (0..self.blocks).find(|&at| self.connection::<W>(at) == Some(connection))?
        } else {
            let (mut low, mut high) = (0, self.blocks);
            while low < high {
                let middle = low + (high - low) / 2;
                if self.connection::<W>(middle)? < connection { low = middle + 1 } else { high = middle }
            }
            Some(low).filter(|&at| self.connection::<W>(at) == Some(connection))?
        };
        self.block::<W>(at)
    }

    #[inline]
    fn head<const W: usize>(self, at: usize) -> Option<&'s [u8]> {
        self.directory.get(at * (2 * W + start_width(W))..)
    }

    #[inline]
    fn connection<const W: usize>(self, at: usize) -> Option<u32> {
        number(self.head::<W>(at)?, W).map(|(connection, _)| connection)
    }

    #[inline]
    fn block<const W: usize>(self, at: usize) -> Option<Block<'s>> {
        let (connection, rest) = number(self.head::<W>(at)?, W)?;
        let (all, rest) = number(rest, W)?;
        let (start, _) = number(rest, start_width(W))?;
        let (runs, rest) = number(self.bytes.get(start as usize..)?, W)?;
        let (entries, rest) = number(rest, W)?;
        let (residue, rest) = number(rest, W)?;
        let (runs, rest) = Numbers::split(rest, W, runs as usize * 2)?;
        let entries = entries as usize;
        let (keys, rest) = Numbers::split(rest, key_width(W), entries)?;
        let (texts, rest) = Numbers::split(rest, self.form.text(), entries)?;
        let (grants, rest) = Numbers::split(rest, W, entries)?;
        let residue = rest.as_chunks().0.get(..residue as usize)?;
        Some(Block { connection, all: all.checked_sub(1), runs, keys, texts, grants, residue })
    }
}

fn residue([ordinal, text, grant]: [u32; 3]) -> Residue {
    Residue { ordinal, text, grant }
}

impl<'s> Block<'s> {
    /// The runs, in the order of their tags.
    #[inline]
    pub(crate) fn runs(self) -> impl Iterator<Item = Run<'s>> {
        let mut start = 0;
        self.runs.pairs().map(move |(tag, end)| {
            let (tag, end) = (Tag::from_word(tag), end as usize);
            let run = Run { tag, keys: self.keys, texts: self.texts, grants: self.grants, start, end };
            start = end;
            run
        })
    }

    /// The run of this tag.
    #[inline]
    pub(crate) fn run(self, tag: Tag) -> Option<Run<'s>> {
        self.runs().take_while(|run| run.tag <= tag).find(|run| run.tag == tag)
    }

    /// The grants that the connection's matcher finds, by ordinal.
    pub(crate) fn residue(self) -> impl ExactSizeIterator<Item = Residue> {
        self.residue.iter().map(|stored| residue(form::words(*stored)))
    }

    pub(crate) fn has_residue(self) -> bool {
        !self.residue.is_empty()
    }

    /// The grants of the residue with this ordinal. Logarithmic in the size of the residue.
    pub(crate) fn residue_of(self, ordinal: u32) -> impl Iterator<Item = Residue> {
        let start = self.residue.partition_point(|stored| residue(form::words(*stored)).ordinal < ordinal);
        let behind = self.residue.get(start..).unwrap_or_default();
        behind.iter().map(|stored| residue(form::words(*stored))).take_while(move |entry| entry.ordinal == ordinal)
    }

    /// The grant of the residue at a place.
    #[inline]
    pub(crate) fn residue_at(self, at: usize) -> Option<Residue> {
        self.residue.get(at).map(|stored| residue(form::words(*stored)))
    }

    /// Where in the residue the first ordinal from `ordinal` on is, of which each occurs once; it is asked for near `guess`.
    #[inline]
    pub(crate) fn residue_from(self, ordinal: u32, guess: usize) -> usize {
        let ordinal_at = |at: usize| self.residue_at(at).map(|entry| entry.ordinal);
        // A block may have all of the connection's residue.
        if ordinal_at(ordinal as usize) == Some(ordinal) {
            return ordinal as usize;
        }
        // Mostly the next is asked for.
        let is = |at: usize| {
            ordinal_at(at).is_none_or(|found| found >= ordinal)
                && at.checked_sub(1).is_none_or(|before| ordinal_at(before).is_some_and(|found| found < ordinal))
        };
        [guess, guess + 1]
            .into_iter()
            .find(|&at| is(at))
            .unwrap_or_else(|| self.residue.partition_point(|stored| residue(form::words(*stored)).ordinal < ordinal))
    }

    /// Calls `visit` with the kind, text and place of each distinct grant.
    pub(crate) fn each(self, mut visit: impl FnMut(GrantKind, Option<TextId>, u32)) {
        if let Some(grant) = self.all {
            visit(GrantKind::All, None, grant);
        }
        for run in self.runs() {
            run.entries().for_each(|(text, grant)| visit(run.tag.kind(), Some(text), grant));
        }
        self.residue().for_each(|entry| visit(GrantKind::Pattern, Some(entry.text), entry.grant));
    }
}

/// Grants of one kind, and for patterns of one shape.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Run<'s> {
    pub(crate) tag: Tag,
    // Of the whole block; the run's own are those from `start` to `end`.
    keys: Numbers<'s>,
    texts: Numbers<'s>,
    grants: Numbers<'s>,
    start: usize,
    end: usize,
}

impl<'s> Run<'s> {
    /// The text and grant of each entry with this key, or with its first half where keys are stored by halves.
    ///
    /// Runs up to `scan_up_to` entries are scanned; in longer ones the key itself says where it stands, since keys are
    /// evenly spread: on average a constant number of steps.
    #[inline]
    pub(crate) fn find(self, key: u32, scan_up_to: usize) -> impl Iterator<Item = (TextId, u32)> + 's {
        let keys = self.keys.slice(self.start..self.end);
        let places = keys.map_or(0..0, |keys| keys.places_of(key, scan_up_to));
        places.map_while(move |at| self.entry(self.start + at))
    }

    /// The text and grant of every entry.
    pub(crate) fn entries(self) -> impl Iterator<Item = (TextId, u32)> + 's {
        (self.start..self.end).map_while(move |at| self.entry(at))
    }

    #[inline]
    fn entry(self, at: usize) -> Option<(TextId, u32)> {
        Some((self.texts.get(at)?, self.grants.get(at)?))
    }
}
