//! Common prefixes and suffixes of names.

use std::collections::{BTreeMap, BTreeSet};

use portcullis::name::STAR;
use portcullis::pattern::covers;

/// Max names of a schema, and max schemas, that are kept. Of more, only common prefixes and suffixes are kept.
pub(super) const MAX_KEPT: usize = 1000;

/// Names with equally many segments, and their common prefixes and suffixes.
#[derive(Debug)]
pub(super) struct Outline {
    /// The names; `None` if there are too many.
    names: Option<BTreeSet<Box<[u8]>>>,
    segments: Vec<Common>,
}

/// The common prefix and suffix of one segment of all names.
#[derive(Debug)]
struct Common {
    prefix: Vec<u8>,
    suffix: Vec<u8>,
    shortest: usize,
    is_same: bool,
}

impl Outline {
    pub(super) fn of(name: &[u8]) -> Self {
        let common = |segment: &[u8]| Common {
            prefix: segment.to_vec(),
            suffix: segment.to_vec(),
            shortest: segment.len(),
            is_same: true,
        };
        let segments = name.split(|&byte| byte == b'.').map(common).collect();
        Self { names: Some(BTreeSet::from([name.into()])), segments }
    }

    /// Adds a name with equally many segments.
    pub(super) fn add(&mut self, name: &[u8]) {
        if let Some(names) = &mut self.names {
            if names.contains(name) {
                return;
            }
            names.insert(name.into());
            if names.len() > MAX_KEPT {
                self.names = None;
            }
        }
        for (common, segment) in self.segments.iter_mut().zip(name.split(|&byte| byte == b'.')) {
            common.add(segment);
        }
    }

    /// Splits the names by the first word of their last segment; `None` unless there are 2 to `max` words.
    pub(super) fn by_word(&self, max: usize) -> Option<Vec<Self>> {
        let mut words: BTreeMap<&[u8], Self> = BTreeMap::new();
        for name in self.names.as_ref()? {
            let start = memchr::memrchr(b'.', name).map_or(0, |dot| dot + 1);
            let end =
                name.iter().skip(start).position(|byte| b"_-".contains(byte)).map_or(name.len(), |at| start + at + 1);
            let word = name.get(..end).unwrap_or(name);
            words.entry(word).and_modify(|outline| outline.add(name)).or_insert_with(|| Self::of(name));
            if words.len() > max {
                return None;
            }
        }
        (words.len() > 1).then(|| words.into_values().collect())
    }

    pub(super) fn exact(&self, max: usize) -> Option<&BTreeSet<Box<[u8]>>> {
        self.names.as_ref().filter(|names| names.len() <= max)
    }

    /// Returns the narrowest pattern, with one star for each segment, that covers all names and is within `old`. Keeps
    /// a segment of `old` if it does not cover the narrower segment.
    pub(super) fn pattern(&self, old: Option<&[u8]>) -> Vec<u8> {
        let mut old = old.map(|old| old.split(|&byte| byte == b'.'));
        let segment = |common: &Common| {
            let narrow = common.pattern();
            match old.as_mut().and_then(Iterator::next) {
                Some(old) if !covers(old, &narrow) => old.to_vec(),
                _ => narrow,
            }
        };
        self.segments.iter().map(segment).collect::<Vec<_>>().join(&b'.')
    }
}

impl Common {
    fn add(&mut self, segment: &[u8]) {
        self.is_same &= self.prefix == segment;
        let prefix = self.prefix.iter().zip(segment).take_while(|(a, b)| a == b).count();
        self.prefix.truncate(prefix);
        let suffix = self.suffix.iter().rev().zip(segment.iter().rev()).take_while(|(a, b)| a == b).count();
        self.suffix.drain(..self.suffix.len() - suffix);
        self.shortest = self.shortest.min(segment.len());
    }

    fn pattern(&self) -> Vec<u8> {
        if self.is_same {
            return self.prefix.clone();
        }
        // Cuts no character in two, and counts none twice.
        let prefix = self.prefix.utf8_chunks().next().map(|chunk| chunk.valid()).unwrap_or_default().as_bytes();
        let max = self.shortest.saturating_sub(prefix.len()).min(self.suffix.len());
        let suffix = self.suffix.get(self.suffix.len() - max..).unwrap_or_default();
        let cut = suffix.iter().take_while(|&&byte| byte & 0xC0 == 0x80).count();
        [prefix, &[STAR], suffix.get(cut..).unwrap_or_default()].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(names: &[&str], old: Option<&str>) -> String {
        let mut names = names.iter();
        let mut outline = Outline::of(names.next().unwrap().as_bytes());
        names.for_each(|name| outline.add(name.as_bytes()));
        let old = old.map(|old| old.replace('*', "\u{2}"));
        String::from_utf8(outline.pattern(old.as_ref().map(String::as_bytes))).unwrap().replace('\u{2}', "*")
    }

    #[test]
    fn pattern_has_the_common_prefix_and_suffix_of_all_names() {
        for (names, old, expected) in [
            (&["a.roads_1", "a.roads_2"][..], None, "a.roads_*"),
            (&["a.roads_1_eu", "a.roads_22_eu"], None, "a.roads_*_eu"),
            (&["a.x", "b.x"], None, "*.x"),
            (&["a.aa", "a.aaa"], None, "a.aa*"),
            (&["a.aXa", "a.aa"], None, "a.a*a"),
            (&["a.é1", "a.è1"], None, "a.*1"),
            (&["a.1é", "a.1ĩ"], None, "a.1*"),
            (&["a.x_road_1", "a.y_road_2"], Some("a.*road*"), "a.*road*"),
            (&["a.x_roads_1", "a.x_roads_2"], Some("a.x*s*"), "a.x_roads_*"),
            (&["a.roads_1", "a.rails_1"], Some("a.*_1"), "a.r*s_1"),
        ] {
            assert_eq!(pattern(names, old), expected, "{names:?}");
        }
    }
}
