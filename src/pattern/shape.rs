//! Where the literal text of a pattern stands, apart from what it says.
//!
//! Patterns of one shape are told apart by one hash of their literal text, so that all of them are looked up at once
//! instead of one after another ("tuple space search", Srinivasan, Suri and Varghese 1999, for names instead of packets).
//! The shape of `db.*.prefix_*` is: three segments, all text up to the first dot, then the text from the second dot to
//! the 7th byte behind it. A name's text at those places is hashed the same way; where the hashes agree, the pattern
//! itself is asked. A hit is never trusted without that.

use std::hash::{BuildHasher, Hasher};

use smallvec::SmallVec;

use crate::name::{CanonicalName, STAR};

/// Where the literal text of a pattern stands in the names that it covers.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Shape {
    segments: u8,
    pieces: SmallVec<[Piece; 3]>,
}

/// A run of literal text that holds at least one dot, or stands at an end: its place in the name is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Piece {
    anchor: Anchor,
    /// How many dots it holds.
    dots: u8,
    /// Bytes before its first dot.
    before: u16,
    /// Bytes behind its last dot.
    after: u16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Anchor {
    /// Up to the first star.
    Start,
    /// Between two stars, around a dot.
    Dot,
    /// From the last star on.
    End,
}

/// The hash of literal text: stable, and part of the compiled form.
pub(crate) fn text_key(text: &[u8]) -> u32 {
    let mut hasher = hasher();
    hasher.write(text);
    key(&hasher)
}

/// The hasher of keys: fixed, since keys are part of the compiled form.
pub(crate) fn hasher() -> impl Hasher {
    foldhash::fast::FixedState::with_seed(0x0070_6f72_7463_756c).build_hasher()
}

/// The key that a hasher has come to.
pub(crate) fn key(hasher: &impl Hasher) -> u32 {
    u32::try_from(hasher.finish() >> 32).unwrap_or(u32::MAX)
}

impl Shape {
    /// The shape of a pattern in canonical form.
    pub(crate) fn of(pattern: &[u8]) -> Self {
        let segments = u8::try_from(pattern.split(|&byte| byte == b'.').count()).unwrap_or(u8::MAX);
        let pieces = pieces(pattern).map(|(anchor, text)| Piece::of(anchor, text)).collect();
        Self { segments, pieces }
    }

    /// The hash of the literal text of `pattern`, which has this shape.
    pub(crate) fn key_of_pattern(pattern: &[u8]) -> u32 {
        let mut hasher = hasher();
        for (_, text) in pieces(pattern) {
            hasher.write(text);
        }
        key(&hasher)
    }

    /// The hash of the text of `name` at the places of this shape, or `None` where the name cannot have it.
    #[inline]
    pub(crate) fn key(&self, name: &CanonicalName<'_>) -> Option<u32> {
        if name.segment_count() != usize::from(self.segments) {
            return None;
        }
        let bytes = name.as_bytes();
        let mut hasher = hasher();
        let mut dots = 0;
        for piece in &self.pieces {
            let Piece { anchor, dots: held, before, after } = *piece;
            let next = dots + usize::from(held);
            let start = match anchor {
                Anchor::Start => 0,
                Anchor::End if held == 0 => bytes.len().checked_sub(usize::from(before))?,
                Anchor::Dot | Anchor::End => name.dot(dots)?.checked_sub(usize::from(before))?,
            };
            let end = match anchor {
                Anchor::End => bytes.len(),
                Anchor::Start if held == 0 => usize::from(after),
                Anchor::Start | Anchor::Dot => name.dot(next - 1)? + 1 + usize::from(after),
            };
            hasher.write(bytes.get(start..end)?);
            dots = next;
        }
        Some(key(&hasher))
    }
}

impl Piece {
    fn of(anchor: Anchor, text: &[u8]) -> Self {
        let short = |length: usize| u16::try_from(length).unwrap_or(u16::MAX);
        let dots = memchr::memchr_iter(b'.', text).count();
        let before = memchr::memchr(b'.', text).unwrap_or(text.len());
        let after = memchr::memrchr(b'.', text).map_or(text.len(), |dot| text.len() - dot - 1);
        Self {
            anchor,
            dots: u8::try_from(dots).unwrap_or(u8::MAX),
            // What the anchor already says is left out, so that equal shapes are equal.
            before: if anchor == Anchor::Start { 0 } else { short(before) },
            after: if anchor == Anchor::End { 0 } else { short(after) },
        }
    }
}

/// The literal runs of a pattern whose place is known. Runs between two stars of one segment float, and are left out.
fn pieces(pattern: &[u8]) -> impl Iterator<Item = (Anchor, &[u8])> {
    let stars = memchr::memchr_iter(STAR, pattern).count();
    pattern.split(|&byte| byte == STAR).enumerate().filter_map(move |(index, text)| {
        let anchor = if index == 0 {
            Anchor::Start
        } else if index == stars {
            Anchor::End
        } else {
            Anchor::Dot
        };
        let known = anchor != Anchor::Dot || text.contains(&b'.');
        known.then_some((anchor, text))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::{Dialect, NameBuffer};
    use crate::pattern::{Pattern, covers};

    fn key_of(pattern: &Pattern, name: &str) -> Option<u32> {
        let mut buffer = NameBuffer::new();
        let name = CanonicalName::read(name, Dialect::Generic, &mut buffer).unwrap();
        Shape::of(pattern.as_bytes()).key(&name)
    }

    #[test]
    fn a_covered_name_has_the_key_of_its_pattern() {
        let covered = [
            ("a.*", "a.b"),
            ("a.*", "a.bcd"),
            ("*.a", "xyz.a"),
            ("*.*", "x.y"),
            ("db.*.prefix_*", "db.schema.prefix_table"),
            ("db.*.prefix_*", "db.s.prefix_"),
            ("a*b.c*d", "ab.cd"),
            ("a*b.c*d", "a__b.c__d"),
            ("*a*.b", "xay.b"),
            ("x.*a*b*.y", "x.aab.y"),
            ("x.p*a*s.y", "x.pas.y"),
            ("*.*.*", "a.b.c"),
            ("*x.y*", "ax.yb"),
        ];
        for (pattern, name) in covered {
            let pattern = Pattern::parse(pattern, Dialect::Generic).unwrap();
            assert!(covers(pattern.as_bytes(), name.as_bytes()), "{pattern:?} covers {name}");
            assert_eq!(key_of(&pattern, name), Some(Shape::key_of_pattern(pattern.as_bytes())), "{pattern:?} {name}");
        }
    }

    #[test]
    fn a_name_too_short_or_of_other_depth_has_no_key() {
        for (pattern, name) in [("db.*.prefix_*", "db.s.pre"), ("a.*", "a.b.c"), ("abc*.x", "a.x"), ("*abc.x", "a.x")] {
            let pattern = Pattern::parse(pattern, Dialect::Generic).unwrap();
            assert_ne!(key_of(&pattern, name), Some(Shape::key_of_pattern(pattern.as_bytes())), "{pattern:?} {name}");
        }
    }
}
