//! An index of patterns and exact names: finds the ones that cover a name.
//!
//! The index groups sources by their *node*: the segments before the first star, or all but the last segment of an
//! exact name. Consecutive names of a catalog usually share these segments, so they are looked up in the same nodes.
//! Within a node, sources are grouped by [`Shape`] (the positions of their literal text), and within a shape by the
//! hash of that text. One hash of a name per shape finds every candidate, and each candidate is then compared with the
//! name.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use smallvec::SmallVec;

use portcullis::name::{CanonicalName, NameBuffer, STAR};
use portcullis::pattern::{HashedName, PrefixHashes, Shape, covers};
use portcullis::snapshot::RequiredLiterals;

type Map<K, V> = HashMap<K, V, RandomState>;

/// Max patterns of one shape and key that are compared one by one. Larger sets, which differ only in text between two
/// stars, are searched by a literal that each pattern requires.
const SAME_KEY: usize = if cfg!(test) { 4 } else { 32 };

/// Max keys that are searched one by one.
const FEW: usize = 16;

/// Patterns and exact names in canonical form, each with a number that the caller chooses.
///
/// A pattern can be looked up like a name. Its stars are then characters that only stars cover. A star covers any
/// character, so the sources found are exactly those that cover every name of the pattern.
///
/// ```
/// use portcullis::name::Dialect;
/// use portcullis::pattern::Pattern;
/// use portcullis_diff::patterns::PatternIndex;
///
/// let patterns = ["db.*.raw_*", "db.s.*"].map(|text| Pattern::parse(text, Dialect::Generic));
/// let [wide, narrow] = patterns.map(Result::unwrap);
/// let index = PatternIndex::new([(7, wide.as_bytes()), (8, narrow.as_bytes())]);
/// assert_eq!(index.covering(b"db.s.raw_1").as_slice(), [7, 8]);
/// assert_eq!(index.covering(narrow.as_bytes()).as_slice(), [8]);
/// ```
#[derive(Debug, Default)]
pub struct PatternIndex {
    /// For each node a range of `groups`.
    nodes: Map<Node, (u32, u32)>,
    groups: Vec<Group>,
    /// The keys of each group, ascending. `entries` has the source of each key.
    keys: Vec<u32>,
    entries: Vec<Entry>,
    shapes: Vec<Shape>,
    /// The canonical forms; those of one group are adjacent.
    text: Vec<u8>,
    /// By number, the offset in `text` and the length.
    spans: Vec<(usize, u16)>,
    residues: Vec<RequiredLiterals>,
}

/// The numbers of the sources that cover a name.
pub type Covering = SmallVec<[u32; 16]>;

/// Reusable state of look-ups in one [`PatternIndex`]: the groups near the last name.
///
/// Names that share all segments but the last share their groups, so a run of such names finds them once.
#[derive(Debug)]
pub struct Lookup {
    prefix_hashes: PrefixHashes,
    segments: usize,
    prefix: Vec<u8>,
    groups: Vec<Group>,
}

/// The segment count of a source, how many of its segments lead, and the key of the leading ones.
type Node = (u8, u8, u32);

/// Sources of one shape in one node: a range of `keys` and `entries`.
#[derive(Debug, Clone, Copy)]
struct Group {
    shape: u32,
    start: u32,
    end: u32,
}

/// The shape number of exact names.
const EXACT: u32 = u32::MAX;

/// A source and the span of its text.
#[derive(Debug, Clone, Copy)]
struct Entry {
    start: usize,
    id: u32,
    /// 0 marks the entry of a residue, which holds all patterns of a key; `id` is then the residue's number.
    length: u16,
}

/// A source while the index is built: node, shape, key, number and canonical form.
type Ordered<'s> = (Node, u32, u32, u32, &'s [u8]);

impl Default for Lookup {
    fn default() -> Self {
        Self { prefix_hashes: PrefixHashes::new(), segments: 0, prefix: Vec::new(), groups: Vec::new() }
    }
}

impl PatternIndex {
    /// Indexes `sources`: patterns, or exact names, each with its number.
    ///
    /// Sorts the sources; apart from that, linear in their bytes.
    pub fn new<'s>(sources: impl IntoIterator<Item = (u32, &'s [u8])>) -> Self {
        let mut index = Self::default();
        let mut numbers: Map<Shape, u32> = Map::default();
        let mut ordered: Vec<Ordered<'s>> = sources
            .into_iter()
            .map(|(id, canonical)| {
                let (mut buffer, mut prefix_hashes) = (NameBuffer::new(), PrefixHashes::new());
                let name = HashedName::new(CanonicalName::of(canonical, &mut buffer), &mut prefix_hashes);
                let segments = name.segment_count();
                let (shape, whole) = if canonical.contains(&STAR) {
                    let shape = Shape::of(canonical);
                    let whole = usize::from(shape.whole());
                    let next = u32::try_from(numbers.len()).unwrap_or(EXACT - 1);
                    let number = *numbers.entry(shape).or_insert_with_key(|shape| {
                        index.shapes.push(shape.clone());
                        next
                    });
                    (number, whole)
                } else {
                    (EXACT, segments.saturating_sub(1))
                };
                (node(segments, whole, &name), shape, Shape::key_of_pattern(canonical), id, canonical)
            })
            .collect();
        ordered.sort_unstable_by_key(|&(node, shape, key, id, _)| (node, shape, key, id));
        for of_node in ordered.chunk_by(|a, b| a.0 == b.0) {
            let first = short(index.groups.len());
            for of_shape in of_node.chunk_by(|a, b| a.1 == b.1) {
                let start = short(index.keys.len());
                of_shape.chunk_by(|a, b| a.2 == b.2).for_each(|same| index.add(same));
                let shape = of_shape.first().map_or(EXACT, |(_, shape, ..)| *shape);
                index.groups.push(Group { shape, start, end: short(index.keys.len()) });
            }
            if let Some((node, ..)) = of_node.first() {
                index.nodes.insert(*node, (first, short(index.groups.len())));
            }
        }
        index
    }

    /// Adds sources of one node, shape and key.
    fn add(&mut self, same: &[Ordered<'_>]) {
        for &(_, shape, key, id, canonical) in same {
            let (start, length) = (self.text.len(), u16::try_from(canonical.len()).unwrap_or(u16::MAX));
            self.text.extend_from_slice(canonical);
            if self.spans.len() <= id as usize {
                self.spans.resize(id as usize + 1, (0, 0));
            }
            if let Some(span) = self.spans.get_mut(id as usize) {
                *span = (start, length);
            }
            if shape == EXACT || same.len() <= SAME_KEY {
                self.keys.push(key);
                self.entries.push(Entry { start, id, length });
            }
        }
        if let Some(&(_, shape, key, ..)) = same.first()
            && shape != EXACT
            && same.len() > SAME_KEY
        {
            let patterns: Vec<(u32, &[u8])> = same.iter().map(|&(.., id, canonical)| (id, canonical)).collect();
            self.keys.push(key);
            self.entries.push(Entry { start: 0, id: short(self.residues.len()), length: 0 });
            self.residues.push(RequiredLiterals::of(&patterns));
        }
    }

    /// Returns the canonical form of the source with that number; empty if there is none.
    pub fn source(&self, id: u32) -> &[u8] {
        let span = self.spans.get(id as usize).copied();
        span.and_then(|(start, length)| self.text.get(start..start + usize::from(length))).unwrap_or_default()
    }

    /// Returns the sources that cover `canonical`, a name or a pattern; ascending.
    pub fn covering(&self, canonical: &[u8]) -> Covering {
        let (mut buffer, mut found) = (NameBuffer::new(), Covering::new());
        let name = CanonicalName::of(canonical, &mut buffer);
        self.each_covering(name, &mut Lookup::default(), |id| found.push(id));
        found.sort_unstable();
        found
    }

    /// Calls `each` with every source that covers `name`, once and in no order.
    ///
    /// Looks up one hash per shape near the name; nearly constant in the number of sources. `lookup` must have been
    /// used with this index only.
    #[inline]
    pub fn each_covering(&self, name: CanonicalName<'_>, lookup: &mut Lookup, mut each: impl FnMut(u32)) {
        let Lookup { prefix_hashes, segments, prefix, groups } = lookup;
        let leading = all_but_last(name);
        let name = HashedName::new(name, prefix_hashes);
        if *segments != name.segment_count() || prefix.as_slice() != leading {
            self.groups_near(&name, groups);
            *segments = name.segment_count();
            prefix.clear();
            prefix.extend_from_slice(leading);
        }
        self.each_in(&name, groups, &mut each);
    }

    /// Collects the groups that can cover `name` and every name that differs from it only in the last segment.
    fn groups_near(&self, name: &HashedName<'_>, groups: &mut Vec<Group>) {
        groups.clear();
        let segments = name.segment_count();
        for whole in 0..segments {
            let range = self.nodes.get(&node(segments, whole, name)).copied();
            let found = range.and_then(|(start, end)| self.groups.get(start as usize..end as usize));
            groups.extend_from_slice(found.unwrap_or_default());
        }
    }

    /// Calls `each` with the sources in `groups` that cover `name`.
    #[inline]
    fn each_in(&self, name: &HashedName<'_>, groups: &[Group], each: &mut impl FnMut(u32)) {
        for &Group { shape, start, end } in groups {
            let (start, end) = (start as usize, end as usize);
            let (Some(keys), Some(entries)) = (self.keys.get(start..end), self.entries.get(start..end)) else {
                continue;
            };
            let shape = self.shapes.get(shape as usize);
            let Some(key) = shape.map_or_else(|| Some(name.key()), |shape| name.key_at(shape)) else { continue };
            let first = first_at(keys, key);
            let same = keys.iter().zip(entries).skip(first).take_while(|(found, _)| **found == key);
            for (_, entry) in same {
                self.compare(entry, shape, name, each);
            }
        }
    }

    #[inline]
    fn compare(&self, entry: &Entry, shape: Option<&Shape>, name: &HashedName<'_>, each: &mut impl FnMut(u32)) {
        let bytes = name.as_bytes();
        if entry.length == 0 {
            if let Some(residue) = self.residues.get(entry.id as usize) {
                residue.candidates(bytes, |id| {
                    if covers(self.source(id), bytes) {
                        each(id);
                    }
                });
            }
            return;
        }
        let Some(source) = self.text.get(entry.start..entry.start + usize::from(entry.length)) else { return };
        if shape.map_or_else(|| source == bytes, |shape| shape.covers(source, name)) {
            each(entry.id);
        }
    }
}

/// Returns the name without its last segment.
#[inline]
fn all_but_last(name: CanonicalName<'_>) -> &[u8] {
    let end = name.start(name.segment_count().saturating_sub(1)).saturating_sub(1);
    name.as_bytes().get(..end).unwrap_or_default()
}

fn node(segments: usize, whole: usize, name: &HashedName<'_>) -> Node {
    let count = |count: usize| u8::try_from(count).unwrap_or(u8::MAX);
    (count(segments), count(whole), name.leading_key(whole))
}

fn short(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}

/// Returns the index of the first of the ascending `keys` that is not less than `key`.
///
/// Keys are evenly spread hashes, so the search starts at the index that the value of `key` predicts.
#[inline]
fn first_at(keys: &[u32], key: u32) -> usize {
    let count = keys.len();
    if count <= FEW {
        return keys.iter().position(|&found| found >= key).unwrap_or(count);
    }
    let guess = usize::try_from((u64::from(key) * count as u64) >> 32).unwrap_or(0);
    let below = |at: usize| keys.get(at).is_some_and(|&found| found < key);
    let (mut low, mut high, mut step) = (guess, guess, FEW);
    // INVARIANT: keys before `low` are less than `key`; keys from `high` on are not.
    while low > 0 && !below(low - 1) {
        high = low;
        low = low.saturating_sub(step);
        step *= 2;
    }
    while high < count && below(high) {
        low = high + 1;
        high = (high + step).min(count);
        step *= 2;
    }
    let between = keys.get(low..high.max(low)).unwrap_or_default();
    low + between.partition_point(|&found| found < key)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use portcullis::name::{Dialect, Name};
    use portcullis::pattern::Pattern;

    /// The canonical form of a name or pattern; stars may not be adjacent.
    fn canonical(text: &str) -> Option<Vec<u8>> {
        match Pattern::parse(text, Dialect::Generic) {
            Ok(pattern) => Some(pattern.as_bytes().to_vec()),
            Err(_) if text.contains('*') => None,
            Err(_) => Name::parse(text, Dialect::Generic).ok().map(|name| name.as_bytes().to_vec()),
        }
    }

    fn sources() -> impl Strategy<Value = Vec<Vec<u8>>> {
        // Few letters, so that many sources overlap; the last form makes many patterns of one shape and key.
        let path = prop_oneof!["[ab*]{1,4}(\\.[ab*]{1,4}){1,2}", "[ab]{1,3}".prop_map(|text| format!("a.*{text}*"))];
        prop::collection::vec(path, 0..60)
            .prop_map(|texts| texts.iter().filter_map(|text| canonical(text)).collect::<Vec<_>>())
    }

    proptest! {
        #[test]
        fn index_finds_every_source_that_covers_a_name_or_pattern(
            sources in sources(),
            texts in prop::collection::vec("[ab*]{1,4}(\\.[ab*]{1,4}){0,3}", 0..40),
        ) {
            // Numbers need not be dense.
            let numbered = || (0_u32..).step_by(3).zip(&sources);
            let index = PatternIndex::new(numbered().map(|(id, source)| (id, source.as_slice())));
            let mut lookup = Lookup::default();
            for name in texts.iter().filter_map(|text| canonical(text)).chain(sources.iter().cloned()) {
                let expected: Vec<u32> =
                    numbered().filter(|(_, source)| covers(source, &name)).map(|(id, _)| id).collect();
                prop_assert_eq!(index.covering(&name).to_vec(), expected.clone());
                let (mut buffer, mut found) = (NameBuffer::new(), Vec::new());
                index.each_covering(CanonicalName::of(&name, &mut buffer), &mut lookup, |id| found.push(id));
                found.sort_unstable();
                prop_assert_eq!(found, expected);
            }
        }

        #[test]
        fn first_at_finds_the_partition_point(
            mut keys in prop_oneof![
                prop::collection::vec(any::<u32>(), 0..300),
                prop::collection::vec(0_u32..50, 0..300),
                prop::collection::vec(u32::MAX - 50..=u32::MAX, 0..300),
            ],
            other in any::<u32>(),
        ) {
            keys.sort_unstable();
            let near = keys.iter().flat_map(|&key| [key.saturating_sub(1), key, key.saturating_add(1)]);
            for key in near.chain([other, 0, u32::MAX]) {
                prop_assert_eq!(first_at(&keys, key), keys.partition_point(|&found| found < key));
            }
        }
    }
}
