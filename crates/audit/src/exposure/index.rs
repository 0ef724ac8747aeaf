//! Sources, kept where the names that they cover are looked for.
//!
//! A source stands below the segments before its first star (an exact name below all but its last), so names that follow
//! each other in a catalog are looked for in one place, however many sources there are elsewhere. There the sources stand
//! by *shape*, the places of their literal text, and those of one shape by the hash of that text, as the engine keeps
//! grants: one hash of the name finds all that may cover it, and those are asked.

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use portcullis::name::{CanonicalName, NameBuffer};
use portcullis::pattern::{HashedName, PrefixHashes, Shape, covers};
use portcullis::snapshot::RequiredLiterals;

type Map<K, V> = HashMap<K, V, RandomState>;

/// More patterns of one shape and key, which differ only in text between two stars, are found by a literal that each
/// requires.
const SAME_KEY: usize = if cfg!(test) { 4 } else { 32 };

/// Among so many keys a search looks at one after the other.
const FEW: usize = 16;

/// Distinct names and patterns in canonical form, numbered by the caller.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// Below which segments which groups stand: a range of `groups`.
    nodes: Map<Node, (u32, u32)>,
    groups: Vec<Group>,
    /// The keys of each group, ascending, and what has them.
    keys: Vec<u32>,
    entries: Vec<Entry>,
    shapes: Vec<Shape>,
    /// The canonical forms, those of one place beside each other.
    text: Vec<u8>,
    /// By number, the place in `text`.
    places: Vec<(usize, u16)>,
    residues: Vec<RequiredLiterals>,
}

/// How many segments a name has, how many of them lead, and the key of these.
type Node = (u8, u8, u32);

/// Sources of one shape below one node: a range of `keys` and `entries`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Group {
    shape: u32,
    start: u32,
    end: u32,
}

/// In place of a shape's number: the sources are exact names.
const EXACT: u32 = u32::MAX;

/// A source, with its text at hand.
#[derive(Debug, Clone, Copy)]
struct Entry {
    start: usize,
    id: u32,
    /// Never 0; 0 stands for all patterns of a key, by the number of their residue in `id`.
    length: u16,
}

impl Index {
    /// About linear in the bytes of all sources, but for sorting them.
    pub(super) fn new(sources: &[(u32, &[u8], bool)]) -> Self {
        let mut index = Self::default();
        let mut numbers: Map<Shape, u32> = Map::default();
        let mut ordered: Vec<(Node, u32, u32, u32, &[u8])> = sources
            .iter()
            .map(|&(id, canonical, is_exact)| {
                let (mut buffer, mut beginnings) = (NameBuffer::new(), PrefixHashes::new());
                let name = HashedName::new(CanonicalName::of(canonical, &mut buffer), &mut beginnings);
                let segments = name.segment_count();
                let (shape, whole) = if is_exact {
                    (EXACT, segments.saturating_sub(1))
                } else {
                    let shape = Shape::of(canonical);
                    let whole = usize::from(shape.whole());
                    let next = u32::try_from(numbers.len()).unwrap_or(EXACT - 1);
                    let number = *numbers.entry(shape).or_insert_with_key(|shape| {
                        index.shapes.push(shape.clone());
                        next
                    });
                    (number, whole)
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
    fn add(&mut self, same: &[(Node, u32, u32, u32, &[u8])]) {
        for &(_, shape, key, id, canonical) in same {
            let (start, length) = (self.text.len(), u16::try_from(canonical.len()).unwrap_or(u16::MAX));
            self.text.extend_from_slice(canonical);
            if self.places.len() <= id as usize {
                self.places.resize(id as usize + 1, (0, 0));
            }
            if let Some(place) = self.places.get_mut(id as usize) {
                *place = (start, length);
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

    /// The canonical form of a source; empty where there is none of that number.
    pub(super) fn source(&self, id: u32) -> &[u8] {
        let place = self.places.get(id as usize).copied();
        place.and_then(|(start, length)| self.text.get(start..start + usize::from(length))).unwrap_or_default()
    }

    /// Where sources stand that may cover `name`, and all names with the same segments but the last.
    pub(super) fn below(&self, name: &HashedName<'_>, groups: &mut Vec<Group>) {
        groups.clear();
        let segments = name.segment_count();
        for whole in 0..segments {
            let range = self.nodes.get(&node(segments, whole, name)).copied();
            let found = range.and_then(|(start, end)| self.groups.get(start as usize..end as usize));
            groups.extend_from_slice(found.unwrap_or_default());
        }
    }

    /// Adds to `ids` the sources in `groups` that cover `name`, in no order.
    #[inline]
    pub(super) fn covering(&self, name: &HashedName<'_>, groups: &[Group], ids: &mut Vec<u32>) {
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
                self.ask(entry, shape, name, ids);
            }
        }
    }

    #[inline]
    fn ask(&self, entry: &Entry, shape: Option<&Shape>, name: &HashedName<'_>, ids: &mut Vec<u32>) {
        let bytes = name.as_bytes();
        if entry.length == 0 {
            let start = ids.len();
            let Some(residue) = self.residues.get(entry.id as usize) else { return };
            residue.candidates(bytes, |id| {
                if covers(self.source(id), bytes) && !ids.iter().skip(start).any(|&found| found == id) {
                    ids.push(id);
                }
            });
            return;
        }
        let Some(source) = self.text.get(entry.start..entry.start + usize::from(entry.length)) else { return };
        if shape.map_or_else(|| source == bytes, |shape| shape.covers(source, name)) {
            ids.push(entry.id);
        }
    }
}

fn node(segments: usize, whole: usize, name: &HashedName<'_>) -> Node {
    let count = |count: usize| u8::try_from(count).unwrap_or(u8::MAX);
    (count(segments), count(whole), name.leading_key(whole))
}

fn short(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

/// The place of the first of the `keys`, which ascend, that is not below `key`.
///
/// Keys are hashes, evenly spread, so that place is close to where the key's share of their range ends.
#[inline]
fn first_at(keys: &[u32], key: u32) -> usize {
    let count = keys.len();
    if count <= FEW {
        return keys.iter().position(|&found| found >= key).unwrap_or(count);
    }
    let guess = usize::try_from((u64::from(key) * count as u64) >> 32).unwrap_or(0);
    let below = |at: usize| keys.get(at).is_some_and(|&found| found < key);
    let (mut low, mut high, mut step) = (guess, guess, FEW);
    // All before `low` are below the key, and none from `high` on.
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

    use super::first_at;

    proptest! {
        #[test]
        fn a_key_is_found_where_a_search_by_halves_finds_it(
            mut keys in prop_oneof![
                prop::collection::vec(any::<u32>(), 0..300),
                prop::collection::vec(0_u32..50, 0..300),
                prop::collection::vec(u32::MAX - 50..=u32::MAX, 0..300),
            ],
            asked in any::<u32>(),
        ) {
            keys.sort_unstable();
            for key in keys.iter().flat_map(|&key| [key.saturating_sub(1), key, key.saturating_add(1)]).chain([asked, 0, u32::MAX]) {
                prop_assert_eq!(first_at(&keys, key), keys.partition_point(|&found| found < key));
            }
        }
    }
}
