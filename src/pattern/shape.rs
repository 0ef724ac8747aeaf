//! Where the literal text of a pattern stands, apart from what it says.
//!
//! Patterns of one shape are told apart by one hash of their literal text, so that all of them are looked up at once
//! instead of one after another ("tuple space search", Srinivasan, Suri and Varghese 1999, for names instead of packets).
//! The shape of `db.*.prefix_*` is: three segments; the first whole, any second, of the third the first 7 bytes. A name's
//! text at those places is hashed the same way; where the hashes agree, the pattern itself is asked. A hit is never
//! trusted without that.

use smallvec::SmallVec;

use super::covers::covers;
use super::key::KeyHasher;
use crate::name::{CanonicalName, MAX_SEGMENTS, STAR};

/// Where the literal text of a pattern stands in the names that it covers.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Shape {
    segments: u8,
    /// How many segments from the first on are without a star.
    whole: u8,
    /// Whether text stands between two stars of one segment: its place is not known, and it is not part of the key.
    floats: bool,
    // INVARIANT: from the first with a star on; without those at the end that nothing is asked of.
    rest: SmallVec<[Segment; 4]>,
}

/// What is asked of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Segment {
    /// All of it, for it has no star.
    Whole,
    /// The bytes before its first star and those behind its last.
    Ends { before: u16, behind: u16 },
}

/// A shape as it is stored: segments, how many are whole, whether text floats, and of the others the ends that are asked
/// for, if they are not whole.
pub(crate) type StoredShape = (u8, u8, bool, Vec<Option<(u16, u16)>>);

impl Segment {
    fn of(segment: &[u8]) -> Self {
        let short = |length: usize| u16::try_from(length).unwrap_or(u16::MAX);
        match (memchr::memchr(STAR, segment), memchr::memrchr(STAR, segment)) {
            (Some(first), Some(last)) => Self::Ends { before: short(first), behind: short(segment.len() - last - 1) },
            _ => Self::Whole,
        }
    }

    const ANY: Self = Self::Ends { before: 0, behind: 0 };
}

/// A name, its beginnings hashed once for all shapes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HashedName<'n> {
    name: CanonicalName<'n>,
    /// What the hasher has come to behind each of the segments.
    behind: [KeyHasher; MAX_SEGMENTS],
}

impl<'n> HashedName<'n> {
    /// Hashes `name`. Linear in its length.
    #[inline]
    pub(crate) fn new(name: CanonicalName<'n>) -> Self {
        let mut behind = [KeyHasher::new(); MAX_SEGMENTS];
        let mut hasher = KeyHasher::new();
        let mut start = 0;
        for (number, state) in behind.iter_mut().enumerate().take(name.segment_count()) {
            let end = name.dot(number).unwrap_or(name.as_bytes().len());
            hasher.write(name.as_bytes().get(start..end).unwrap_or_default());
            *state = hasher;
            start = end + 1;
        }
        Self { name, behind }
    }

    pub(crate) fn name(&self) -> CanonicalName<'n> {
        self.name
    }

    /// The key of the whole name.
    #[inline]
    pub(crate) fn key(&self) -> u32 {
        self.hasher_behind(self.name.segment_count()).key()
    }

    /// The key of so many segments, from the first on.
    #[cfg(feature = "audit")]
    pub(crate) fn leading_key(&self, segments: usize) -> u32 {
        self.hasher_behind(segments).key()
    }

    #[inline]
    fn hasher_behind(&self, segments: usize) -> KeyHasher {
        segments.checked_sub(1).and_then(|last| self.behind.get(last)).copied().unwrap_or(KeyHasher::new())
    }

    /// The key of the text at the places of `shape`, or `None` where the name cannot have it.
    #[inline]
    pub(crate) fn key_at(&self, shape: &Shape) -> Option<u32> {
        if self.name.segment_count() != usize::from(shape.segments) {
            return None;
        }
        let whole = usize::from(shape.whole);
        let mut hasher = self.hasher_behind(whole);
        for (number, segment) in (whole..).zip(&shape.rest) {
            match *segment {
                Segment::ANY => {}
                Segment::Whole => hasher.write(self.name.segment(number)),
                Segment::Ends { before, behind } => {
                    let (before, behind) = (usize::from(before), usize::from(behind));
                    let text = self.name.segment(number);
                    if text.len() < before + behind {
                        return None;
                    }
                    hasher.write(text.get(..before)?);
                    if behind > 0 {
                        hasher.write(text.get(text.len() - behind..)?);
                    }
                }
            }
        }
        Some(hasher.key())
    }
}

/// The key under which a canonical name is kept.
pub(crate) fn name_key(name: &[u8]) -> u32 {
    let mut hasher = KeyHasher::new();
    name.split(|&byte| byte == b'.').for_each(|segment| hasher.write(segment));
    hasher.key()
}

impl Shape {
    /// The shape of a pattern in canonical form.
    pub(crate) fn of(pattern: &[u8]) -> Self {
        let all: SmallVec<[Segment; 4]> = pattern.split(|&byte| byte == b'.').map(Segment::of).collect();
        let whole = all.iter().take_while(|segment| **segment == Segment::Whole).count();
        let asked = all.iter().rposition(|segment| *segment != Segment::ANY).map_or(0, |last| last + 1);
        let count = |count: usize| u8::try_from(count).unwrap_or(u8::MAX);
        Self {
            segments: count(all.len()),
            whole: count(whole),
            floats: pattern.split(|&byte| byte == b'.').any(|segment| memchr::memchr_iter(STAR, segment).count() > 1),
            rest: all.get(whole..asked.max(whole)).unwrap_or_default().into(),
        }
    }

    /// How many segments the patterns have.
    #[cfg(feature = "audit")]
    pub(crate) fn segments(&self) -> u8 {
        self.segments
    }

    /// How many segments, from the first on, are without a star.
    #[cfg(feature = "audit")]
    pub(crate) fn whole(&self) -> u8 {
        self.whole
    }

    pub(crate) fn to_stored(&self) -> StoredShape {
        let rest = self.rest.iter().map(|segment| match *segment {
            Segment::Whole => None,
            Segment::Ends { before, behind } => Some((before, behind)),
        });
        (self.segments, self.whole, self.floats, rest.collect())
    }

    /// The shape that was stored so; `None` for what no pattern has.
    pub(crate) fn from_stored((segments, whole, floats, rest): &StoredShape) -> Option<Self> {
        let asked = usize::from(*whole) + rest.len();
        if usize::from(*segments) > MAX_SEGMENTS || asked > usize::from(*segments) {
            return None;
        }
        let rest = rest.iter().map(|ends| match *ends {
            None => Segment::Whole,
            Some((before, behind)) => Segment::Ends { before, behind },
        });
        Some(Self { segments: *segments, whole: *whole, floats: *floats, rest: rest.collect() })
    }

    /// The key of the literal text of `pattern`, which has this shape.
    pub(crate) fn key_of_pattern(pattern: &[u8]) -> u32 {
        let mut hasher = KeyHasher::new();
        for segment in pattern.split(|&byte| byte == b'.') {
            match Segment::of(segment) {
                Segment::ANY => {}
                Segment::Whole => hasher.write(segment),
                Segment::Ends { before, behind } => {
                    hasher.write(segment.get(..usize::from(before)).unwrap_or_default());
                    if behind > 0 {
                        hasher.write(segment.get(segment.len() - usize::from(behind)..).unwrap_or_default());
                    }
                }
            }
        }
        hasher.key()
    }

    /// Whether `pattern`, which has this shape, covers `name`, for which there is a key at this shape.
    #[inline]
    pub(crate) fn covers(&self, pattern: &[u8], name: &HashedName<'_>) -> bool {
        let one_star_at_the_end = self.whole + 1 == self.segments
            && !self.floats
            && matches!(self.rest.as_slice(), [] | [Segment::Ends { behind: 0, .. }]);
        let name = name.name.as_bytes();
        // Both have as many segments, and all dots of the pattern stand before its star.
        match pattern.split_last() {
            Some((_, beginning)) if one_star_at_the_end => name.starts_with(beginning),
            _ => covers(pattern, name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::{Dialect, NameBuffer};
    use crate::pattern::{Pattern, covers};

    fn key_of(pattern: &Pattern, name: &str) -> Option<u32> {
        let mut buffer = NameBuffer::new();
        let name = CanonicalName::read(name, Dialect::Generic, &mut buffer).unwrap();
        HashedName::new(name).key_at(&Shape::of(pattern.as_bytes()))
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

    #[test]
    fn patterns_that_ask_the_same_places_have_one_shape() {
        let shape = |pattern: &str| Shape::of(Pattern::parse(pattern, Dialect::Generic).unwrap().as_bytes());
        assert_eq!(shape("db.a.*"), shape("warehouse.schema.*"));
        assert_eq!(shape("db.a.raw_*"), shape("db.schema.stg_*"));
        assert_eq!(shape("db.*.raw_*"), shape("d.*.stg_*"));
        assert_eq!(shape("db.*road*.*"), shape("db.*rail*.*"));
        assert_ne!(shape("db.*road*.*"), shape("db.*.*"));
        assert_ne!(shape("db.a.*"), shape("db.*.*"));
        assert_ne!(shape("db.a.raw_*"), shape("db.a.CARTO_*"));
        assert_ne!(shape("db.*"), shape("db.*.*"));
    }
}
