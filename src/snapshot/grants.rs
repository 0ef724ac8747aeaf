//! Grant sets: what a token may read or write, as words in one array.
//!
//! A set is read on every decision and from a cold cache more often than not, so all that a decision needs stands
//! together, in the order in which it is needed:
//!
//! ```text
//! set      blocks, then for each connection: connection, grant of `all` plus one, where its block begins in the set
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

use hashbrown::HashTable;
use std::hash::BuildHasher;

use super::CompileError;
use super::texts::TextId;
use crate::model::GrantKind;

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

/// One grant that a hash finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Entry {
    pub(crate) tag: Tag,
    pub(crate) key: u32,
    pub(crate) text: TextId,
    pub(crate) grant: u32,
}

/// One grant that the connection's matcher finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Residue {
    pub(crate) ordinal: u32,
    pub(crate) text: TextId,
    pub(crate) grant: u32,
}

/// What a set grants on one connection, before it is written.
#[derive(Debug, Default)]
pub(crate) struct BlockPlan {
    pub(crate) connection: u32,
    pub(crate) all: Option<u32>,
    // INVARIANT: sorted and without duplicates when written.
    pub(crate) entries: Vec<Entry>,
    pub(crate) residue: Vec<Residue>,
}

/// The grants of one set on one connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Block<'s> {
    pub(crate) connection: u32,
    /// The first grant of all sources.
    pub(crate) all: Option<u32>,
    runs: &'s [[u32; 2]],
    keys: &'s [u32],
    texts: &'s [TextId],
    grants: &'s [u32],
    residue: &'s [[u32; 3]],
}

/// All grant sets of a snapshot.
#[derive(Debug, Default)]
pub(crate) struct GrantSets {
    words: Vec<u32>,
}

const SET_HEAD: usize = 1;
const CONNECTION: usize = 3;

impl GrantSets {
    /// The block of the set at `set` for `connection`. Logarithmic in the connections of the set.
    #[inline]
    pub(crate) fn block(&self, set: u32, connection: u32) -> Option<Block<'_>> {
        let (words, connections) = self.set(set)?;
        let at = if connections.len() <= 8 {
            connections.iter().position(|&[found, ..]| found == connection)?
        } else {
            connections.binary_search_by_key(&connection, |&[found, ..]| found).ok()?
        };
        connections.get(at).and_then(|head| Block::read(words, *head))
    }

    /// Every block of the set at `set`.
    pub(crate) fn blocks(&self, set: u32) -> impl Iterator<Item = Block<'_>> {
        let (words, connections) = self.set(set).unwrap_or_default();
        connections.iter().filter_map(|head| Block::read(words, *head))
    }

    fn set(&self, set: u32) -> Option<(&[u32], &[[u32; CONNECTION]])> {
        let words = self.words.get(set as usize..)?;
        let (&blocks, rest) = words.split_first()?;
        let connections = rest.get(..blocks as usize * CONNECTION)?.as_chunks().0;
        Some((words, connections))
    }

    /// Bytes held.
    pub(crate) fn bytes(&self) -> usize {
        self.words.capacity() * size_of::<u32>()
    }
}

impl<'s> Block<'s> {
    fn read(words: &'s [u32], [connection, all, start]: [u32; 3]) -> Option<Self> {
        let (&[runs, entries, residue], rest) = words.get(start as usize..)?.split_first_chunk()?;
        let (runs, rest) = rest.split_at_checked(runs as usize * 2)?;
        let (keys, rest) = rest.split_at_checked(entries as usize)?;
        let (texts, rest) = rest.split_at_checked(entries as usize)?;
        let (grants, rest) = rest.split_at_checked(entries as usize)?;
        let residue = rest.get(..residue as usize * 3)?.as_chunks().0;
        Some(Self { connection, all: all.checked_sub(1), runs: runs.as_chunks().0, keys, texts, grants, residue })
    }

    /// The runs, in the order of their tags.
    #[inline]
    pub(crate) fn runs(self) -> impl Iterator<Item = Run<'s>> {
        let mut start = 0;
        self.runs.iter().map(move |&[tag, end]| {
            let entries = start..end as usize;
            start = end as usize;
            Run {
                tag: Tag::from_word(tag),
                keys: self.keys.get(entries.clone()).unwrap_or_default(),
                texts: self.texts.get(entries.clone()).unwrap_or_default(),
                grants: self.grants.get(entries).unwrap_or_default(),
            }
        })
    }

    /// The run of this tag.
    #[inline]
    pub(crate) fn run(self, tag: Tag) -> Option<Run<'s>> {
        self.runs().take_while(|run| run.tag <= tag).find(|run| run.tag == tag)
    }

    /// The grants that the connection's matcher finds, by ordinal.
    pub(crate) fn residue(self) -> impl ExactSizeIterator<Item = Residue> {
        self.residue.iter().map(|&[ordinal, text, grant]| Residue { ordinal, text, grant })
    }

    pub(crate) fn has_residue(self) -> bool {
        !self.residue.is_empty()
    }

    /// The grants of the residue with this ordinal. Logarithmic in the size of the residue.
    pub(crate) fn residue_of(self, ordinal: u32) -> impl Iterator<Item = Residue> {
        let start = self.residue.partition_point(|&[found, ..]| found < ordinal);
        let behind = self.residue.get(start..).unwrap_or_default();
        behind
            .iter()
            .map(|&[ordinal, text, grant]| Residue { ordinal, text, grant })
            .take_while(move |entry| entry.ordinal == ordinal)
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
    keys: &'s [u32],
    texts: &'s [TextId],
    grants: &'s [u32],
}

impl<'s> Run<'s> {
    /// The text and grant of each entry with this key.
    ///
    /// Runs up to `scan_up_to` entries are scanned; in longer ones the key itself says where it stands, since keys are
    /// evenly spread: on average a constant number of steps.
    #[inline]
    pub(crate) fn find(self, key: u32, scan_up_to: usize) -> impl Iterator<Item = (TextId, u32)> + 's {
        let start = if self.keys.len() <= scan_up_to {
            self.keys.iter().position(|&found| found == key).unwrap_or(self.keys.len())
        } else {
            interpolate(self.keys, key)
        };
        let keys = self.keys.get(start..).unwrap_or_default();
        let texts = self.texts.get(start..).unwrap_or_default();
        let grants = self.grants.get(start..).unwrap_or_default();
        let same = keys.iter().take_while(move |&&found| found == key);
        same.zip(texts).zip(grants).map(|((_, &text), &grant)| (text, grant))
    }

    /// The text and grant of every entry.
    pub(crate) fn entries(self) -> impl Iterator<Item = (TextId, u32)> + 's {
        self.texts.iter().copied().zip(self.grants.iter().copied())
    }
}

/// Where the first key not below `key` stands in `keys`, which ascend: from where it stands if keys are evenly spread,
/// in doubling steps to either side.
fn interpolate(keys: &[u32], key: u32) -> usize {
    let expected = usize::try_from((u64::from(key) * keys.len() as u64) >> 32).unwrap_or(0);
    let below = |at: usize| keys.get(at).is_some_and(|&found| found < key);
    let (mut low, mut high, mut step) = (expected, expected, 8);
    if below(expected) {
        while below(high) {
            low = high + 1;
            high = (high + step).min(keys.len());
            step *= 2;
        }
    } else {
        while low > 0 && !below(low - 1) {
            high = low - 1;
            low = low.saturating_sub(step);
            step *= 2;
        }
    }
    low + keys.get(low..high).unwrap_or_default().partition_point(|&found| found < key)
}

/// Writes sets, each distinct one once.
#[derive(Debug, Default)]
pub(crate) struct GrantSetsBuilder {
    sets: GrantSets,
    known: HashTable<(u32, u32)>,
    // Random: what a hash is shows in no result, and nobody can prepare texts that collide.
    hasher: foldhash::fast::RandomState,
    scratch: Vec<u32>,
}

impl GrantSetsBuilder {
    /// Where the set of these blocks, which are sorted by connection, begins.
    pub(crate) fn write(&mut self, blocks: &[BlockPlan]) -> Result<u32, CompileError> {
        self.scratch.clear();
        encode(blocks, &mut self.scratch)?;
        let words = self.scratch.as_slice();
        let hash = self.hasher.hash_one(words);
        let at = |(start, length): (u32, u32), sets: &GrantSets| -> std::ops::Range<usize> {
            let start = start as usize;
            start..(start + length as usize).min(sets.words.len())
        };
        if let Some(&(start, _)) = self.known.find(hash, |&set| self.sets.words.get(at(set, &self.sets)) == Some(words))
        {
            return Ok(start);
        }
        let start = u32::try_from(self.sets.words.len()).map_err(|_| CompileError::TooManyGrants)?;
        let length = word(words.len())?;
        self.sets.words.extend_from_slice(words);
        let (sets, hasher) = (&self.sets, &self.hasher);
        self.known.insert_unique(hash, (start, length), |&set| {
            hasher.hash_one(sets.words.get(at(set, sets)).unwrap_or_default())
        });
        Ok(start)
    }

    /// How many distinct sets were written.
    pub(crate) fn len(&self) -> usize {
        self.known.len()
    }

    pub(crate) fn finish(mut self) -> GrantSets {
        self.sets.words.shrink_to_fit();
        self.sets
    }
}

fn encode(blocks: &[BlockPlan], words: &mut Vec<u32>) -> Result<(), CompileError> {
    words.push(word(blocks.len())?);
    let mut start = SET_HEAD + blocks.len() * CONNECTION;
    for block in blocks {
        words.extend([block.connection, block.all.map_or(0, |grant| grant + 1), word(start)?]);
        start += 3 + 2 * block.runs().count() + 3 * block.entries.len() + 3 * block.residue.len();
    }
    for block in blocks {
        words.extend([word(block.runs().count())?, word(block.entries.len())?, word(block.residue.len())?]);
        let mut end = 0;
        for run in block.runs() {
            end += run.len();
            words.extend([run.first().map_or(0, |entry| entry.tag.word()), word(end)?]);
        }
        words.extend(block.entries.iter().map(|entry| entry.key));
        words.extend(block.entries.iter().map(|entry| entry.text));
        words.extend(block.entries.iter().map(|entry| entry.grant));
        words.extend(block.residue.iter().flat_map(|entry| [entry.ordinal, entry.text, entry.grant]));
    }
    Ok(())
}

impl BlockPlan {
    fn runs(&self) -> impl Iterator<Item = &[Entry]> {
        self.entries.chunk_by(|a, b| a.tag == b.tag)
    }
}

fn word(length: usize) -> Result<u32, CompileError> {
    u32::try_from(length).map_err(|_| CompileError::TooManyGrants)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interpolation_finds_what_a_search_by_halves_finds() {
        let spread: Vec<u32> = (0..1000).map(|n: u32| n.wrapping_mul(4_294_967)).collect();
        let clustered: Vec<u32> = (0..1000).map(|n| if n < 500 { n } else { u32::MAX - 1000 + n }).collect();
        for mut keys in [vec![], vec![7], vec![7; 100], spread, clustered] {
            keys.sort_unstable();
            for key in keys.iter().flat_map(|&key| [key.wrapping_sub(1), key, key.wrapping_add(1)]).chain([0, u32::MAX])
            {
                assert_eq!(interpolate(&keys, key), keys.partition_point(|&found| found < key), "{key} in {keys:?}");
            }
        }
    }
}
