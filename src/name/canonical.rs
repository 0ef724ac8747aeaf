//! Names in canonical form: equal bytes mean equal names (N2.7).

use std::fmt;
use std::sync::Arc;

use super::look::Starts;
use super::scan::{NameBuffer, NameError, Role, Scanned, scan};
use super::{Dialect, INNER_DOT, STAR};

/// A resource name that owns its canonical form.
///
/// ```
/// use portcullis::name::{Dialect, Name};
///
/// let name = Name::parse("carto.Shared.\"Demo.Table\"", Dialect::Snowflake)?;
/// assert_eq!(name.segments().collect::<Vec<_>>(), ["CARTO", "SHARED", "Demo.Table"]);
/// assert_eq!(name, Name::parse("CARTO.shared.\"Demo.Table\"", Dialect::Snowflake)?);
/// # Ok::<(), portcullis::name::NameError>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name {
    // INVARIANT: the canonical form of a well-formed name. Shared: one table is granted to many tokens.
    bytes: Arc<[u8]>,
}

impl Name {
    /// Parses a name of `dialect`. Linear in the length of `text`.
    ///
    /// # Errors
    ///
    /// If the text is malformed (N2.4).
    pub fn parse(text: &str, dialect: Dialect) -> Result<Self, NameError> {
        let mut buffer = NameBuffer::new();
        Ok(Self::of(scan(text, dialect, Role::Requested, &mut buffer)?))
    }

    /// Creates the name of a scanned text. If the text was scanned as a grant, it must not contain a bare star.
    pub(crate) fn of(read: Scanned<'_>) -> Self {
        Self { bytes: read.bytes.into() }
    }

    /// Creates the name whose canonical form is `bytes`.
    pub fn of_canonical(bytes: &[u8]) -> Self {
        Self { bytes: bytes.into() }
    }

    /// Returns the segments, unquoted and folded.
    pub fn segments(&self) -> impl ExactSizeIterator<Item = String> {
        let segments: Vec<String> = self.bytes.split(|&byte| byte == b'.').map(segment_text).collect();
        segments.into_iter()
    }

    /// Returns the canonical form.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Displays the name in `dialect`, with quotes where they are needed. Parsing the result returns an equal name.
    pub fn display(&self, dialect: Dialect) -> impl fmt::Display {
        NameDisplay { bytes: self.bytes.clone(), dialect }
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.display(Dialect::Generic))
    }
}

/// A resource name of a request. It borrows the request's text if the text is already canonical.
#[derive(Debug, Clone, Copy)]
pub struct CanonicalName<'a> {
    bytes: &'a [u8],
    segments: usize,
    // INVARIANT: the offsets of the segments, then the length plus one.
    starts: &'a Starts,
}

impl<'a> CanonicalName<'a> {
    /// Parses a name of `dialect`. Writes to `buffer` if the text must be unquoted or folded.
    ///
    /// Linear in the length of `text`. Does not allocate.
    ///
    /// # Errors
    ///
    /// If the text is malformed (N2.4).
    ///
    /// ```
    /// use portcullis::name::{CanonicalName, Dialect, NameBuffer};
    ///
    /// let mut buffer = NameBuffer::new();
    /// assert_eq!(CanonicalName::read("carto.shared.t", Dialect::Generic, &mut buffer)?.segment_count(), 3);
    /// # Ok::<(), portcullis::name::NameError>(())
    /// ```
    #[inline]
    pub fn read(text: &'a str, dialect: Dialect, buffer: &'a mut NameBuffer) -> Result<Self, NameError> {
        let Scanned { bytes, segments, starts, .. } = scan(text, dialect, Role::Requested, buffer)?;
        Ok(Self { bytes, segments, starts })
    }

    /// Creates the name or pattern whose canonical form is `bytes`. The stars of a pattern count as ordinary
    /// characters.
    pub fn of(bytes: &'a [u8], buffer: &'a mut NameBuffer) -> Self {
        let (segments, starts) = buffer.starts_of(bytes);
        Self { bytes, segments, starts }
    }

    /// Returns the number of segments, 1 to 16.
    pub fn segment_count(&self) -> usize {
        self.segments
    }

    /// Returns the bytes of the canonical form: an inner dot is `INNER_DOT`, and `.` separates segments.
    #[inline]
    pub fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Returns the offset of the segment at index `number`. The index after the last segment gives the length plus one.
    #[inline]
    pub fn start(&self, number: usize) -> usize {
        self.starts.get(number).map_or(0, |&start| usize::from(start))
    }

    /// Returns the text of the segment at index `number`; empty if there is none.
    #[inline]
    pub fn segment(&self, number: usize) -> &'a [u8] {
        self.bytes.get(self.start(number)..self.start(number + 1).saturating_sub(1)).unwrap_or_default()
    }
}

/// Displays the canonical form of a name or a pattern in a dialect.
pub struct NameDisplay {
    /// The canonical form.
    pub bytes: Arc<[u8]>,
    /// The dialect that quotes its segments.
    pub dialect: Dialect,
}

impl fmt::Display for NameDisplay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // In BigQuery, inner dots are those of a project (N2.6): its parts are quoted one by one.
        let is_dot = |&byte: &u8| byte == b'.' || (byte == INNER_DOT && self.dialect == Dialect::BigQuery);
        for (index, part) in self.bytes.split(is_dot).enumerate() {
            if index > 0 {
                f.write_str(".")?;
            }
            let text = String::from_utf8_lossy(part);
            let bare = is_bare(&text, self.dialect);
            let quote = self.dialect.quote();
            if !bare {
                write!(f, "{quote}")?;
            }
            for character in text.chars() {
                match character {
                    '\u{1}' => f.write_str(".")?,
                    '\u{2}' => f.write_str("*")?,
                    _ if !bare && character == quote => write!(f, "{quote}{quote}")?,
                    _ => write!(f, "{character}")?,
                }
            }
            if !bare {
                write!(f, "{quote}")?;
            }
        }
        Ok(())
    }
}

/// Returns whether reading `segment` without quotes returns the segment.
///
/// This requires: no inner dot, not both a literal and a matching star, and nothing to
/// fold.
fn is_bare(segment: &str, dialect: Dialect) -> bool {
    let pattern = segment.as_bytes().contains(&STAR);
    let text = segment.replace('\u{2}', "*").replace('\u{1}', ".");
    let role = if pattern { Role::Granted } else { Role::Requested };
    let mut buffer = NameBuffer::new();
    matches!(scan(&text, dialect, role, &mut buffer), Ok(scanned) if scanned.bytes == segment.as_bytes())
        && (pattern || !segment.contains('*'))
}

fn segment_text(segment: &[u8]) -> String {
    String::from_utf8_lossy(segment).replace('\u{1}', ".")
}
