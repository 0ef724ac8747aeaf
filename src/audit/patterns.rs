//! Many patterns, and which of them cover a name.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use crate::name::CanonicalName;
use crate::pattern::{HashedName, Shape, covers};

/// Patterns in canonical form, numbered as they are added.
///
/// They are kept by *shape*, the places of their literal text, as the engine keeps them: a look-up hashes the name once for
/// each shape, however many patterns there are. Only patterns that differ in nothing but text between two stars of one
/// segment are asked one by one.
///
/// A pattern may be looked up like a name: its stars are then characters that only stars cover, and since a star is any
/// character, what covers it so covers all of its names, and nothing else does.
#[derive(Debug, Default)]
pub(super) struct PatternIndex {
    patterns: Vec<Box<[u8]>>,
    shapes: HashMap<Shape, HashMap<u32, Vec<u32>, RandomState>, RandomState>,
}

impl PatternIndex {
    /// Adds a pattern, or a name; its number is the count of those before.
    pub(super) fn add(&mut self, canonical: &[u8]) {
        let number = u32::try_from(self.patterns.len()).unwrap_or(u32::MAX);
        let of_shape = self.shapes.entry(Shape::of(canonical)).or_default();
        of_shape.entry(Shape::key_of_pattern(canonical)).or_default().push(number);
        self.patterns.push(canonical.into());
    }

    /// Hands the number of each pattern that covers `canonical`, a name or a pattern, to `each`; in no order.
    pub(super) fn covering(&self, canonical: &[u8], mut each: impl FnMut(usize)) {
        let name = HashedName::new(CanonicalName::of(canonical));
        for (shape, keys) in &self.shapes {
            let found = name.key_at(shape).and_then(|key| keys.get(&key));
            for &number in found.into_iter().flatten() {
                let number = number as usize;
                if self.patterns.get(number).is_some_and(|pattern| covers(pattern, canonical)) {
                    each(number);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::PatternIndex;
    use crate::name::Dialect;
    use crate::pattern::Pattern;

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
