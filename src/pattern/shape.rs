//! Shapes: the positions of the literal text of a pattern, without the text itself.
//!
//! One hash of the literal text distinguishes the patterns of one shape. A single look-up therefore replaces the
//! evaluation of each pattern ("tuple space search", Srinivasan, Suri and Varghese 1999, applied to names instead of
//! packets).
//!
//! Example: the shape of `db.*.prefix_*` has three segments. The first segment is literal, the second is any text, and
//! the third starts with 7 literal bytes. The text of a name at these positions is hashed in the same way. If the
//! hashes agree, the pattern itself is compared with the name; a hash alone never decides.

use smallvec::SmallVec;

use super::covers::covers;
use super::key::{KeyHasher, PrefixHashes, prefix_hasher};
use crate::base::{is_same, starts_with};
use crate::name::{CanonicalName, MAX_SEGMENTS, STAR};

/// The positions of the literal text of a pattern in the names that it covers.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Shape {
    segments: u8,
    /// The number of leading segments without a star.
    whole: u8,
    /// The number of bytes before the first star in the segment after the whole ones.
    prefix: u16,
    /// Whether there is text between two stars of one segment. Its offset is unknown, so it is not part of the key.
    floats: bool,
    /// Whether the only star is the last character.
    is_prefix: bool,
    /// Whether there is no literal text after the first star (except text that floats).
    leads: bool,
    // INVARIANT: the segments after the whole ones that have literal text to compare, without the text before the first
    // star.
    compared: SmallVec<[(u8, Segment); 2]>,
}

/// The literal text of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Segment {
    /// The whole segment: it has no star.
    Whole,
    /// The number of bytes before the first star and after the last star.
    Ends { prefix: u16, suffix: u16 },
}

/// The stored form of a shape: the number of segments, the number of whole segments, whether text floats, and for the
/// other segments their ends (`None` for a whole segment).
pub(crate) type StoredShape = (u8, u8, bool, Vec<Option<(u16, u16)>>);

impl Segment {
    fn of(segment: &[u8]) -> Self {
        let short = |length: usize| u16::try_from(length).unwrap_or(u16::MAX);
        match (memchr::memchr(STAR, segment), memchr::memrchr(STAR, segment)) {
            (Some(first), Some(last)) => Self::Ends { prefix: short(first), suffix: short(segment.len() - last - 1) },
            _ => Self::Whole,
        }
    }

    const ANY: Self = Self::Ends { prefix: 0, suffix: 0 };
}

/// A name whose prefixes were hashed once, for all shapes.
#[derive(Debug, Clone, Copy)]
pub struct HashedName<'n> {
    name: CanonicalName<'n>,
    hashes: &'n PrefixHashes,
}

impl<'n> HashedName<'n> {
    /// Hashes `name`. Linear in its length.
    #[inline]
    pub fn new(name: CanonicalName<'n>, hashes: &'n mut PrefixHashes) -> Self {
        hashes.hash(name.as_bytes());
        Self { name, hashes }
    }

    /// Returns the canonical form of the name.
    #[inline]
    pub fn as_bytes(&self) -> &'n [u8] {
        self.name.as_bytes()
    }

    /// Returns the number of segments of the name.
    pub fn segment_count(&self) -> usize {
        self.name.segment_count()
    }

    /// Returns the key of the whole name.
    #[inline]
    pub fn key(&self) -> u32 {
        self.prefix(self.as_bytes().len()).key()
    }

    /// Returns the key of the first `segments` segments.
    pub fn leading_key(&self, segments: usize) -> u32 {
        self.prefix(self.name.start(segments)).key()
    }

    #[inline]
    fn prefix(&self, length: usize) -> KeyHasher {
        self.hashes.of(self.as_bytes(), length)
    }

    /// Returns the key of the text at the positions of `shape`; `None` if no pattern of that shape covers the name.
    #[inline]
    pub fn key_at(&self, shape: &Shape) -> Option<u32> {
        if self.name.segment_count() != usize::from(shape.segments) {
            return None;
        }
        let whole = usize::from(shape.whole);
        let leading = self.name.start(whole) + usize::from(shape.prefix);
        if leading >= self.name.start(whole + 1) {
            return None;
        }
        let hasher = self.prefix(leading);
        if shape.leads { Some(hasher.key()) } else { self.key_after_star(hasher, shape) }
    }

    /// Hashes the literal text after the first star.
    #[inline(never)]
    fn key_after_star(&self, mut hasher: KeyHasher, shape: &Shape) -> Option<u32> {
        for &(number, segment) in &shape.compared {
            let text = self.name.segment(usize::from(number));
            match segment {
                Segment::Whole => hasher.write(text),
                Segment::Ends { prefix, suffix } => {
                    let (prefix, suffix) = (usize::from(prefix), usize::from(suffix));
                    if text.len() < prefix + suffix {
                        return None;
                    }
                    if number > shape.whole {
                        hasher.write(text.get(..prefix)?);
                    }
                    if suffix > 0 {
                        hasher.write(text.get(text.len() - suffix..)?);
                    }
                }
            }
        }
        Some(hasher.key())
    }
}

/// Returns the key under which a canonical name is stored.
pub fn name_key(name: &[u8]) -> u32 {
    prefix_hasher(name).key()
}

impl Shape {
    /// Returns the shape of a pattern in canonical form.
    pub fn of(pattern: &[u8]) -> Self {
        let segments: SmallVec<[Segment; 4]> = pattern.split(|&byte| byte == b'.').map(Segment::of).collect();
        let whole = segments.iter().take_while(|segment| **segment == Segment::Whole).count();
        let floats = pattern.split(|&byte| byte == b'.').any(|segment| memchr::memchr_iter(STAR, segment).count() > 1);
        Self::new(floats, whole, &segments)
    }

    fn new(floats: bool, whole: usize, segments: &[Segment]) -> Self {
        let count = |count: usize| u8::try_from(count).unwrap_or(u8::MAX);
        let (whole_count, last) = (count(whole), segments.len().saturating_sub(1));
        let prefix = match segments.get(whole) {
            Some(Segment::Ends { prefix, .. }) => *prefix,
            _ => 0,
        };
        let leads = |&(number, segment): &(u8, Segment)| {
            number == whole_count && matches!(segment, Segment::Ends { suffix: 0, .. })
        };
        let numbered = (0..).zip(segments.iter().copied()).skip(whole);
        let compared: SmallVec<_> =
            numbered.filter(|compared| compared.1 != Segment::ANY && !leads(compared)).collect();
        Self {
            segments: count(segments.len()),
            whole: whole_count,
            prefix,
            floats,
            is_prefix: !floats && whole == last && matches!(segments.last(), Some(Segment::Ends { suffix: 0, .. })),
            leads: compared.is_empty(),
            compared,
        }
    }

    /// Returns the number of segments of the patterns.
    pub fn segments(&self) -> u8 {
        self.segments
    }

    /// Returns the number of leading segments without a star.
    pub fn whole(&self) -> u8 {
        self.whole
    }

    pub(crate) fn to_stored(&self) -> StoredShape {
        let stored = |segment| match segment {
            Segment::Whole => None,
            Segment::Ends { prefix, suffix } => Some((prefix, suffix)),
        };
        let mut rest = Vec::new();
        if self.prefix > 0 {
            rest.push(Some((self.prefix, 0)));
        }
        for &(number, segment) in &self.compared {
            rest.truncate(usize::from(number - self.whole));
            rest.resize(usize::from(number - self.whole), stored(Segment::ANY));
            rest.push(stored(segment));
        }
        (self.segments, self.whole, self.floats, rest)
    }

    /// Reads the stored form; returns `None` if no pattern has that shape.
    pub(crate) fn from_stored((segments, whole, floats, rest): &StoredShape) -> Option<Self> {
        let (count, whole) = (usize::from(*segments), usize::from(*whole));
        if count > MAX_SEGMENTS || whole >= count || whole + rest.len() > count {
            return None;
        }
        let rest = rest.iter().map(|ends| match *ends {
            None => Segment::Whole,
            Some((prefix, suffix)) => Segment::Ends { prefix, suffix },
        });
        let mut segments = vec![Segment::Whole; whole];
        segments.extend(rest);
        segments.resize(count, Segment::ANY);
        Some(Self::new(*floats, whole, &segments))
    }

    /// Returns the key of the literal text of `pattern`. For a pattern without a star, this is the key of the name.
    pub fn key_of_pattern(pattern: &[u8]) -> u32 {
        let Some(first) = memchr::memchr(STAR, pattern) else { return name_key(pattern) };
        let mut hasher = prefix_hasher(pattern.get(..first).unwrap_or_default());
        let mut end = 0;
        for segment in pattern.split(|&byte| byte == b'.') {
            let leads = end <= first && first <= end + segment.len();
            end += segment.len() + 1;
            if end <= first {
                continue;
            }
            match Segment::of(segment) {
                Segment::ANY => {}
                Segment::Whole => hasher.write(segment),
                Segment::Ends { prefix, suffix } => {
                    if !leads {
                        hasher.write(segment.get(..usize::from(prefix)).unwrap_or_default());
                    }
                    if suffix > 0 {
                        hasher.write(segment.get(segment.len() - usize::from(suffix)..).unwrap_or_default());
                    }
                }
            }
        }
        hasher.key()
    }

    /// Returns whether `pattern`, which has this shape, covers `name`, for which [`HashedName::key_at`] returned a key.
    #[inline]
    pub fn covers(&self, pattern: &[u8], name: &HashedName<'_>) -> bool {
        match pattern.split_last() {
            // Both have equally many segments, and all dots of the pattern precede its star.
            Some((_, prefix)) if self.is_prefix => starts_with(name.as_bytes(), prefix),
            _ if self.floats => covers(pattern, name.as_bytes()),
            _ => self.covers_at_offsets(pattern, name).is_some(),
        }
    }

    /// Compares the pieces of a pattern without floating text, each at its offset.
    fn covers_at_offsets(&self, pattern: &[u8], name: &HashedName<'_>) -> Option<()> {
        let mut rest = pattern;
        let mut take = |text: &[u8]| {
            let (piece, after) = rest.split_at_checked(text.len())?;
            rest = after;
            is_same(piece, text).then_some(())
        };
        // The dot after the whole segments ensures that the pattern's segments end there too.
        let whole = usize::from(self.whole);
        take(name.as_bytes().get(..name.name.start(whole) + usize::from(self.prefix))?)?;
        take(&[STAR])?;
        let mut next = whole;
        for &(number, segment) in &self.compared {
            let number = usize::from(number);
            for _ in (next + 1)..number {
                take(&[b'.', STAR])?;
            }
            if number > next {
                take(b".")?;
            }
            let text = name.name.segment(number);
            match segment {
                Segment::Whole => take(text)?,
                Segment::Ends { prefix, suffix } => {
                    if number > whole {
                        take(text.get(..usize::from(prefix))?)?;
                        take(&[STAR])?;
                    }
                    take(text.get(text.len().checked_sub(usize::from(suffix))?..)?)?;
                }
            }
            next = number;
        }
        // The remaining segments have no literal text.
        rest.iter().all(|&byte| byte == b'.' || byte == STAR).then_some(())
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
        HashedName::new(name, &mut PrefixHashes::new()).key_at(&Shape::of(pattern.as_bytes()))
    }

    #[test]
    fn covered_name_has_the_key_of_its_pattern() {
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
    fn short_names_and_other_depths_do_not_have_the_key() {
        for (pattern, name) in [("db.*.prefix_*", "db.s.pre"), ("a.*", "a.b.c"), ("abc*.x", "a.x"), ("*abc.x", "a.x")] {
            let pattern = Pattern::parse(pattern, Dialect::Generic).unwrap();
            assert_ne!(key_of(&pattern, name), Some(Shape::key_of_pattern(pattern.as_bytes())), "{pattern:?} {name}");
        }
    }

    #[test]
    fn covers_compares_the_text_and_not_only_the_hash() {
        for (pattern, covered, other) in [
            ("db.*.raw_*", "db.s.raw_x", "db.s.stg_x"),
            ("db.*.raw_*", "db.s.raw_x", "dc.s.raw_x"),
            ("a*b.c*d", "a_b.c_d", "a_b.c_e"),
            ("a*b.c*d", "a_b.c_d", "a_c.c_d"),
            ("*.a", "x.a", "x.b"),
            ("db.s.*", "db.s.x", "db.t.x"),
            ("x.*.y.*", "x.q.y.w", "x.q.z.w"),
            ("*.x.a*", "q.x.ab", "q.y.ab"),
        ] {
            let pattern = Pattern::parse(pattern, Dialect::Generic).unwrap();
            let shape = Shape::of(pattern.as_bytes());
            for (name, expected) in [(covered, true), (other, false)] {
                let (mut buffer, mut hashes) = (NameBuffer::new(), PrefixHashes::new());
                let read = CanonicalName::read(name, Dialect::Generic, &mut buffer).unwrap();
                let hashed_name = HashedName::new(read, &mut hashes);
                assert_eq!(shape.covers(pattern.as_bytes(), &hashed_name), expected, "{pattern:?} {name}");
            }
        }
    }

    #[test]
    fn patterns_with_literal_text_at_equal_positions_share_a_shape() {
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
