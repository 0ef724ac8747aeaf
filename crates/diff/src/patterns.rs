//! Many patterns, and which of them cover a name.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use smallvec::SmallVec;

use portcullis::name::{CanonicalName, NameBuffer};
use portcullis::pattern::{HashedName, PrefixHashes, Shape, covers};

/// Patterns in canonical form, numbered as they are added.
///
/// They are kept below the segments that stand before their first star, and there by *shape*, the places of their literal
/// text, as the engine keeps them. A look-up asks for each beginning of the name what begins so, and hashes the name once
/// for each shape that occurs there: most often one or two, however many patterns there are. Only patterns that differ in
/// nothing but text between two stars of one segment are asked one by one.
///
/// A pattern may be looked up like a name: its stars are then characters that only stars cover, and since a star is any
/// character, what covers it so covers all of its names, and nothing else does.
#[derive(Debug, Default)]
pub struct PatternIndex {
    patterns: Vec<Box<[u8]>>,
    /// Names, by their hash.
    names: HashMap<u32, SmallVec<[u32; 2]>, RandomState>,
    /// Patterns, by how many segments they have, how many stand before the first star, and the hash of these.
    below: HashMap<(usize, usize, u32), Vec<OfShape>, RandomState>,
}

/// Patterns of one shape, by the hash of their literal text.
#[derive(Debug)]
struct OfShape {
    shape: Shape,
    numbers: HashMap<u32, SmallVec<[u32; 2]>, RandomState>,
}

impl PatternIndex {
    /// Adds a pattern, or a name; its number is the count of those before.
    pub fn add(&mut self, canonical: &[u8]) {
        let number = u32::try_from(self.patterns.len()).unwrap_or(u32::MAX);
        let shape = Shape::of(canonical);
        let (segments, whole) = (usize::from(shape.segments()), usize::from(shape.whole()));
        let key = Shape::key_of_pattern(canonical);
        if whole == segments {
            self.names.entry(key).or_default().push(number);
        } else {
            let (mut buffer, mut beginnings) = (NameBuffer::new(), PrefixHashes::new());
            let name = CanonicalName::of(canonical, &mut buffer);
            let before = HashedName::new(name, &mut beginnings).leading_key(whole);
            let shapes = self.below.entry((segments, whole, before)).or_default();
            let at = shapes.iter().position(|known| known.shape == shape).unwrap_or_else(|| {
                shapes.push(OfShape { shape, numbers: HashMap::default() });
                shapes.len() - 1
            });
            if let Some(of_shape) = shapes.get_mut(at) {
                of_shape.numbers.entry(key).or_default().push(number);
            }
        }
        self.patterns.push(canonical.into());
    }

    /// Hands the number of each pattern that covers `canonical`, a name or a pattern, to `each`; in no order.
    pub fn covering(&self, canonical: &[u8], mut each: impl FnMut(usize)) {
        let (mut buffer, mut beginnings) = (NameBuffer::new(), PrefixHashes::new());
        let name = HashedName::new(CanonicalName::of(canonical, &mut buffer), &mut beginnings);
        let segments = name.segment_count();
        let mut ask = |numbers: Option<&SmallVec<[u32; 2]>>| {
            for &number in numbers.into_iter().flatten() {
                let number = number as usize;
                if self.patterns.get(number).is_some_and(|pattern| covers(pattern, canonical)) {
                    each(number);
                }
            }
        };
        ask(self.names.get(&name.key()));
        for whole in 0..segments {
            let below = self.below.get(&(segments, whole, name.leading_key(whole)));
            for of_shape in below.into_iter().flatten() {
                ask(name.key_at(&of_shape.shape).and_then(|key| of_shape.numbers.get(&key)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::PatternIndex;
    use portcullis::name::Dialect;
    use portcullis::pattern::Pattern;

    #[test]
    fn what_covers_a_pattern_is_found_as_what_covers_a_name() {
        let texts = ["a.*", "a.b*", "a.*c", "a.b*c", "*.b*", "a.*b*c*", "a.*b*", "a.b.*"];
        let patterns: Vec<Pattern> = texts.iter().map(|text| Pattern::parse(text, Dialect::Generic).unwrap()).collect();
        let mut index = PatternIndex::default();
        for pattern in &patterns {
            index.add(pattern.as_bytes());
        }
        let covering = |at: usize| {
            let mut found = Vec::new();
            index.covering(patterns[at].as_bytes(), |number| found.push(texts[number]));
            found.sort_unstable();
            found
        };
        assert_eq!(covering(0), ["a.*"]);
        assert_eq!(covering(3), ["*.b*", "a.*", "a.*b*", "a.*b*c*", "a.*c", "a.b*", "a.b*c"]);
        assert_eq!(covering(5), ["a.*", "a.*b*", "a.*b*c*"]);
        assert_eq!(covering(7), ["a.b.*"]);
    }
}
