//! Which sources cover which names, for many of both: the inner loop of an audit.
//!
//! Sources are found by hash, as the engine finds grants: all patterns of one shape, and all exact names, by one look-up.
//! Which shapes to look for depends on the segments that a name begins with, and names that follow each other mostly
//! begin alike, so that is asked once for a run of names. Patterns that differ only in text between two stars have one
//! hash; past a few they are found by a literal that each requires, in one pass over the name.

use std::ops::Range;

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use smallvec::SmallVec;

use crate::model::GrantSource;
use crate::name::{CanonicalName, Dialect, NameBuffer, Written};
use crate::pattern::{HashedName, Shape, covers};
use crate::snapshot::RequiredLiterals;

type Map<K, V> = HashMap<K, V, RandomState>;

/// More patterns of one shape and one key are looked for by a literal.
const SAME_KEY: usize = 8;

/// The distinct exact names and patterns of one connection, ready to be asked about batches of names.
///
/// ```
/// use portcullis::audit::exposure::{Kernel, Matches};
/// use portcullis::model::{GrantSource, Limits};
/// use portcullis::name::Dialect;
///
/// let source = |text| GrantSource::guess(text, Dialect::Snowflake, &Limits::default());
/// let sources = [source("db.s.*")?, source("db.s.roads")?, source("db.*.road*")?];
/// let kernel = Kernel::new(Dialect::Snowflake, &sources);
/// let mut matches = Matches::default();
/// kernel.covering(["DB.S.ROADS", "db.t.x", "db..x"], &mut matches);
/// assert_eq!(matches.get(0), Some(&[0, 1, 2][..]));
/// assert_eq!(matches.get(1), Some(&[][..]));
/// assert_eq!(matches.get(2), None);
/// # Ok::<(), portcullis::model::SourceError>(())
/// ```
#[derive(Debug, Default)]
pub struct Kernel {
    dialect: Dialect,
    /// The canonical forms, end to end, and where each ends.
    text: Vec<u8>,
    ends: Vec<usize>,
    shapes: Vec<Shape>,
    /// Below which leading whole segments which shapes occur: numbers of `shapes`.
    nodes: Map<Leading, SmallVec<[u32; 4]>>,
    /// By shape and key.
    entries: Map<(u32, u32), Entry>,
    /// Where an entry says so, the sources beside its own.
    beside: Map<(u32, u32), Vec<u32>>,
    residue: RequiredLiterals,
}

/// The first source of a shape and key: who finds it, finds its text without another look.
#[derive(Debug, Clone, Copy)]
struct Entry {
    start: usize,
    id: u32,
    length: u16,
    is_one_of_several: bool,
}

/// How many segments a name has, how many of them lead, and the key of these.
type Leading = (u8, u8, u32);

/// In place of a shape's number: the source is an exact name.
const EXACT: u32 = u32::MAX;

/// For each name of a batch, the sources that cover it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Matches {
    /// For each name the end of its run of `ids`; `None` where the name is malformed.
    ends: Vec<(usize, bool)>,
    ids: Vec<u32>,
}

impl Matches {
    /// The places in the list of sources, ascending, of those that cover the name at `at`; `None` where it is malformed
    /// (N2.4) or the batch has no such name.
    pub fn get(&self, at: usize) -> Option<&[u32]> {
        let &(end, well_formed) = self.ends.get(at)?;
        let start = at.checked_sub(1).and_then(|before| self.ends.get(before)).map_or(0, |(end, _)| *end);
        well_formed.then(|| self.ids.get(start..end).unwrap_or_default())
    }

    /// How many names the batch had.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether it had none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    #[cfg(feature = "parquet")]
    pub(super) fn into_parts(self) -> (Vec<(usize, bool)>, Vec<u32>) {
        (self.ends, self.ids)
    }
}

impl Kernel {
    /// Prepares `sources`, which must be distinct; those that are no resource and no pattern cover nothing here.
    ///
    /// About linear in the bytes of all sources. At most 2³² of them.
    pub fn new<'s>(dialect: Dialect, sources: impl IntoIterator<Item = &'s GrantSource>) -> Self {
        let mut kernel = Self { dialect, ..Self::default() };
        let mut numbers: Map<Shape, u32> = Map::default();
        let mut by_key: Map<(u32, u32), Vec<u32>> = Map::default();
        for (source, id) in sources.into_iter().zip(0..) {
            let canonical = match source {
                GrantSource::Resource(name) => name.as_bytes(),
                GrantSource::Pattern(pattern) => pattern.as_bytes(),
                GrantSource::Query(_) | GrantSource::NamedSource(_) | GrantSource::All => &[],
            };
            kernel.text.extend_from_slice(canonical);
            kernel.ends.push(kernel.text.len());
            if canonical.is_empty() {
                continue;
            }
            let key = Shape::key_of_pattern(canonical);
            let shape = if matches!(source, GrantSource::Resource(_)) {
                EXACT
            } else {
                let shape = Shape::of(canonical);
                let next = u32::try_from(numbers.len()).unwrap_or(EXACT - 1);
                *numbers.entry(shape).or_insert_with_key(|shape| {
                    kernel.shapes.push(shape.clone());
                    next
                })
            };
            by_key.entry((shape, key)).or_default().push(id);
        }
        let mut residue = Vec::new();
        for (place, ids) in by_key {
            if place.0 != EXACT {
                if ids.len() > SAME_KEY {
                    residue.extend(ids);
                    continue;
                }
                kernel.add_node(place.0, &ids);
            }
            let Some((&id, beside)) = ids.split_first() else { continue };
            let range = kernel.range(id);
            // No name is longer.
            let length = u16::try_from(range.len()).unwrap_or(u16::MAX);
            let entry = Entry { start: range.start, id, length, is_one_of_several: !beside.is_empty() };
            kernel.entries.insert(place, entry);
            if entry.is_one_of_several {
                kernel.beside.insert(place, beside.to_vec());
            }
        }
        let residue: Vec<(u32, &[u8])> = residue.iter().map(|&id| (id, kernel.source(id))).collect();
        kernel.residue = RequiredLiterals::of(&residue);
        kernel
    }

    /// Notes below which leading segments the patterns `ids`, of one shape and key, are to be looked for.
    fn add_node(&mut self, shape: u32, ids: &[u32]) {
        for &id in ids {
            let Some(found) = self.shapes.get(shape as usize) else { return };
            let (segments, whole) = (found.segments(), found.whole());
            let name = HashedName::new(CanonicalName::of(self.source(id)));
            let shapes = self.nodes.entry((segments, whole, name.leading_key(usize::from(whole)))).or_default();
            if !shapes.contains(&shape) {
                shapes.push(shape);
            }
        }
    }

    /// Where the canonical form of a source stands.
    fn range(&self, id: u32) -> Range<usize> {
        let id = id as usize;
        let start = id.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(0);
        start..self.ends.get(id).copied().unwrap_or(start)
    }

    /// The canonical form of a source.
    fn source(&self, id: u32) -> &[u8] {
        self.text.get(self.range(id)).unwrap_or_default()
    }

    /// For each of `names`, as the connection's dialect writes them, the sources that cover it (N2.7, N3); replaces what
    /// `matches` holds. A pure function of the sources and the names.
    ///
    /// For each name linear in its length, plus a look-up for each shape that the patterns which begin like it have; in
    /// the number of sources nearly constant. Allocates only where `matches` grows.
    pub fn covering<'n>(&self, names: impl IntoIterator<Item = &'n str>, matches: &mut Matches) {
        matches.ends.clear();
        matches.ids.clear();
        let mut buffer = NameBuffer::new();
        // What the last name began with, and the shapes below that.
        let (mut segments, mut begins, mut below) = (0, Vec::new(), Vec::new());
        for name in names {
            let start = matches.ids.len();
            let read = CanonicalName::read(name, self.dialect, &mut buffer);
            let well_formed = read.is_ok();
            if let Ok(name) = read {
                let beginning = beginning(name);
                if segments != name.segment_count() || begins != beginning {
                    below.clear();
                    self.below(&HashedName::new(name), &mut below);
                    segments = name.segment_count();
                    begins.clear();
                    begins.extend_from_slice(beginning);
                }
                self.of_name(name, &below, &mut matches.ids);
                if let Some(found) = matches.ids.get_mut(start..) {
                    found.sort_unstable();
                }
            }
            matches.ends.push((matches.ids.len(), well_formed));
        }
    }

    /// As [`covering`](Self::covering), for one name in canonical form.
    pub(super) fn covering_canonical(&self, name: &[u8], matches: &mut Matches) {
        let name = CanonicalName::of(name);
        let mut below = Vec::new();
        self.below(&HashedName::new(name), &mut below);
        *matches = Matches::default();
        self.of_name(name, &below, &mut matches.ids);
        matches.ids.sort_unstable();
        matches.ends.push((matches.ids.len(), true));
    }

    /// A source as the dialect writes it.
    pub(super) fn shown(&self, id: u32) -> String {
        Written { bytes: self.source(id).into(), dialect: self.dialect }.to_string()
    }

    /// The shapes of the patterns that begin like `name`.
    fn below(&self, name: &HashedName<'_>, shapes: &mut Vec<u32>) {
        let segments = name.name().segment_count();
        for whole in 0..segments {
            let count = |count: usize| u8::try_from(count).unwrap_or(u8::MAX);
            let node = (count(segments), count(whole), name.leading_key(whole));
            shapes.extend(self.nodes.get(&node).into_iter().flatten());
        }
    }

    fn of_name(&self, name: CanonicalName<'_>, below: &[u32], ids: &mut Vec<u32>) {
        let hashed = HashedName::new(name);
        let bytes = name.as_bytes();
        self.at((EXACT, hashed.key()), |source| source == bytes, ids);
        for &number in below {
            let Some(shape) = self.shapes.get(number as usize) else { continue };
            let Some(key) = hashed.key_at(shape) else { continue };
            self.at((number, key), |source| shape.covers(source, &hashed), ids);
        }
        let start = ids.len();
        self.residue.candidates(bytes, |id| {
            if covers(self.source(id), bytes) && !ids.iter().skip(start).any(|&found| found == id) {
                ids.push(id);
            }
        });
    }

    /// The sources of that shape and key that `cover`.
    #[inline]
    fn at(&self, place: (u32, u32), cover: impl Fn(&[u8]) -> bool, ids: &mut Vec<u32>) {
        let Some(entry) = self.entries.get(&place) else { return };
        let end = entry.start + usize::from(entry.length);
        if self.text.get(entry.start..end).is_some_and(&cover) {
            ids.push(entry.id);
        }
        if entry.is_one_of_several {
            let beside = self.beside.get(&place).into_iter().flatten();
            ids.extend(beside.filter(|&&id| cover(self.source(id))));
        }
    }
}

/// All but the last segment.
fn beginning(name: CanonicalName<'_>) -> &[u8] {
    let end = name.segment_count().checked_sub(2).and_then(|last| name.dot(last)).unwrap_or(0);
    name.as_bytes().get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::name::Name;
    use crate::pattern::Pattern;

    const DIALECT: Dialect = Dialect::Snowflake;

    /// What each pattern by itself says.
    fn by_each(sources: &[GrantSource], name: &str) -> Option<Vec<u32>> {
        let name = Name::parse(name, DIALECT).ok()?;
        let covers = |source: &GrantSource| match source {
            GrantSource::Resource(exact) => *exact == name,
            GrantSource::Pattern(pattern) => pattern.covers(&name),
            _ => false,
        };
        Some((0..).zip(sources).filter(|(_, source)| covers(source)).map(|(id, _)| id).collect())
    }

    fn sources() -> impl Strategy<Value = Vec<GrantSource>> {
        // Few letters, so that much is covered; stars side by side are no pattern and are left out.
        let segment = || "[ab*]{1,4}";
        let path = prop_oneof![
            (segment(), segment()).prop_map(|(a, b)| format!("{a}.{b}")),
            (segment(), segment(), segment()).prop_map(|(a, b, c)| format!("{a}.{b}.{c}")),
            // Many of one shape and key.
            "[ab]{1,3}".prop_map(|text| format!("a.*{text}*")),
        ];
        prop::collection::vec(path, 0..60).prop_map(|texts| {
            let read = |text: &String| match Pattern::parse(text, DIALECT) {
                Ok(pattern) => Some(GrantSource::Pattern(pattern)),
                Err(_) if text.contains('*') => None,
                Err(_) => Name::parse(text, DIALECT).ok().map(GrantSource::Resource),
            };
            let mut sources: Vec<GrantSource> = texts.iter().filter_map(read).collect();
            let mut seen = std::collections::HashSet::new();
            sources.retain(|source| seen.insert(source.clone()));
            sources.push(GrantSource::All);
            sources
        })
    }

    proptest! {
        #[test]
        fn a_batch_is_covered_as_each_pattern_says(
            sources in sources(),
            names in prop::collection::vec("[ab*]{1,4}(\\.[ab]{0,5}){0,3}", 0..60),
        ) {
            let kernel = Kernel::new(DIALECT, &sources);
            let mut matches = Matches::default();
            // What a batch leaves behind is not seen in the next.
            kernel.covering(["a.b", "b.a"], &mut matches);
            kernel.covering(names.iter().map(String::as_str), &mut matches);
            prop_assert_eq!(matches.len(), names.len());
            for (at, name) in names.iter().enumerate() {
                prop_assert_eq!(matches.get(at).map(<[u32]>::to_vec), by_each(&sources, name), "{}", name);
            }
        }
    }

    #[test]
    fn patterns_that_share_a_hash_are_told_apart() {
        let texts = (0..500).map(|n| format!("a.*x{n}y*"));
        let sources: Vec<_> = texts.map(|text| GrantSource::Pattern(Pattern::parse(&text, DIALECT).unwrap())).collect();
        let kernel = Kernel::new(DIALECT, &sources);
        let mut matches = Matches::default();
        kernel.covering(["a.x7y", "a.__x7yx7yx12y", "a.x", "b.x7y"], &mut matches);
        let found: Vec<_> = (0..4).map(|at| matches.get(at).unwrap()).collect();
        assert_eq!(found, [&[7][..], &[7, 12], &[], &[]]);
    }
}
