//! Patterns (N3): names in which a bare `*` matches any run of characters inside one segment.
//!
//! A pattern covers a name if both have the same number of segments and each segment of the pattern covers the segment
//! of the name at the same index. A star never spans a dot (N3.1, N3.2).

mod covers;
mod key;
#[doc(hidden)]
pub mod naive;
mod shape;

use std::fmt;
use std::sync::Arc;

// Internal: public only for the other crates of Portcullis.
#[doc(hidden)]
pub use covers::{covers, segment_covers};
#[doc(hidden)]
pub use key::PrefixHashes;
pub(crate) use key::{KeyHasher, text_key};
pub(crate) use shape::StoredShape;
#[doc(hidden)]
pub use shape::{HashedName, Shape, name_key};

use crate::name::{CanonicalName, Dialect, Name, NameBuffer, NameDisplay, NameError, Role, STAR, Scanned, scan};

/// A validated pattern.
///
/// ```
/// use portcullis::name::{Dialect, Name};
/// use portcullis::pattern::Pattern;
///
/// let pattern = Pattern::parse("carto.shared.CARTO_*", Dialect::Generic)?;
/// assert!(pattern.covers(&Name::parse("carto.shared.CARTO_roads", Dialect::Generic)?));
/// assert!(!pattern.covers(&Name::parse("carto.shared.CARTO_a.b", Dialect::Generic)?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pattern {
    // INVARIANT: the canonical form of a well-formed name of two segments or more with at least one bare star. Each
    // bare star is `STAR`, and no two are adjacent. Shared: one pattern is granted to many tokens.
    bytes: Arc<[u8]>,
}

/// The error for a text that is not a pattern (N3.3).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// The text is not a well-formed name.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The text is `*`, which means all sources and is a separate kind.
    #[error("`*` alone means all sources, which is a separate kind and not a pattern")]
    AllSources,
    /// The pattern has fewer than two segments.
    #[error("a pattern needs at least one dot: `*` never spans one")]
    OneSegment,
    /// The pattern has no bare `*`.
    #[error("a pattern needs at least one `*` outside quotes")]
    NoStar,
    /// The pattern has two adjacent stars.
    #[error("two adjacent stars mean the same as one")]
    AdjacentStars,
}

/// The class of a pattern: the positions of its stars.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PatternClass {
    /// One star, at the end: `carto.shared.*`, `carto.shared.CARTO_*`.
    Prefix,
    /// Every star is a whole segment: `carto.*.roads`.
    WholeSegments,
    /// No segment has more than one star: `carto.*_raw.roads_*`.
    OneStarASegment,
    /// A segment has several stars: `carto.shared.*road*`.
    SeveralStarsASegment,
}

impl PatternClass {
    /// Every class, in order of increasing complexity.
    pub const ALL: [Self; 4] = [Self::Prefix, Self::WholeSegments, Self::OneStarASegment, Self::SeveralStarsASegment];

    /// Returns the stable name of the class, for reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Prefix => "prefix",
            Self::WholeSegments => "whole_segments",
            Self::OneStarASegment => "one_star_a_segment",
            Self::SeveralStarsASegment => "several_stars_a_segment",
        }
    }
}

impl Pattern {
    /// Parses a pattern of `dialect`. Linear in the length of `text`.
    ///
    /// # Errors
    ///
    /// If N3.3 rejects the text.
    pub fn parse(text: &str, dialect: Dialect) -> Result<Self, PatternError> {
        if text == "*" {
            return Err(PatternError::AllSources);
        }
        let mut buffer = NameBuffer::new();
        Self::of(scan(text, dialect, Role::Granted, &mut buffer)?)
    }

    /// Creates a pattern from a scanned text.
    pub(crate) fn of(read: Scanned<'_>) -> Result<Self, PatternError> {
        let Scanned { bytes, segments, bare_star, .. } = read;
        if !bare_star {
            return Err(PatternError::NoStar);
        }
        if bytes.windows(2).any(|pair| pair == [STAR, STAR]) {
            return Err(PatternError::AdjacentStars);
        }
        if segments < 2 {
            return Err(PatternError::OneSegment);
        }
        Ok(Self { bytes: bytes.into() })
    }

    /// Returns whether this pattern covers `name` (N3.1, N3.2). Linear in both lengths.
    pub fn covers(&self, name: &Name) -> bool {
        covers(&self.bytes, name.as_bytes())
    }

    /// Returns whether this pattern covers the name of a request. Linear in both lengths.
    pub fn covers_canonical(&self, name: CanonicalName<'_>) -> bool {
        covers(&self.bytes, name.as_bytes())
    }

    /// Returns the number of segments of the pattern and of each name that it covers.
    pub fn segment_count(&self) -> usize {
        self.bytes.split(|&byte| byte == b'.').count()
    }

    /// Returns the number of literal characters: characters that are neither stars nor dots between segments. A pattern
    /// with more is more specific (N10).
    pub fn literal_characters(&self) -> usize {
        literal_characters(&self.bytes)
    }

    /// Returns the class of the pattern.
    pub fn class(&self) -> PatternClass {
        let stars = |segment: &[u8]| memchr::memchr_iter(STAR, segment).count();
        let segments = || self.bytes.split(|&byte| byte == b'.');
        if segments().any(|segment| stars(segment) > 1) {
            PatternClass::SeveralStarsASegment
        } else if self.bytes.ends_with(&[STAR]) && stars(&self.bytes) == 1 {
            PatternClass::Prefix
        } else if segments().all(|segment| segment == [STAR] || stars(segment) == 0) {
            PatternClass::WholeSegments
        } else {
            PatternClass::OneStarASegment
        }
    }

    /// Displays the pattern in `dialect`. Parsing the result returns an equal pattern.
    pub fn display(&self, dialect: Dialect) -> impl fmt::Display {
        NameDisplay { bytes: self.bytes.clone(), dialect }
    }

    /// Returns the bytes of the canonical form, in which a star is `STAR`.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }
}

#[doc(hidden)]
/// Returns the number of characters of a canonical pattern that are neither stars nor dots between segments. Counts the
/// first byte of each UTF-8 character.
pub fn literal_characters(pattern: &[u8]) -> usize {
    pattern.iter().filter(|&&byte| byte & 0xC0 != 0x80 && byte != STAR && byte != b'.').count()
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.display(Dialect::Generic))
    }
}
