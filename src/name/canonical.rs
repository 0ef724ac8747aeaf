//! A name that was read: equal bytes, same name (N2.7).

use std::fmt;
use std::sync::Arc;

use super::scan::{NameBuffer, NameError, Role, Scanned, Starts, scan};
use super::{Dialect, STAR};

/// A resource name, read once and kept.
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
    /// Reads `text` as `dialect` writes names. Linear in the length of `text`.
    ///
    /// # Errors
    ///
    /// Where N2.4 calls the text malformed.
    pub fn parse(text: &str, dialect: Dialect) -> Result<Self, NameError> {
        let mut buffer = NameBuffer::new();
        Ok(Self::of(scan(text, dialect, Role::Requested, &mut buffer)?))
    }

    /// The name that was read: as a name, or as a pattern that holds no star.
    pub(crate) fn of(read: Scanned<'_>) -> Self {
        Self { bytes: read.bytes.into() }
    }

    /// The name whose canonical form this is.
    pub fn of_canonical(bytes: &[u8]) -> Self {
        Self { bytes: bytes.into() }
    }

    /// The segments, unquoted and folded.
    pub fn segments(&self) -> impl ExactSizeIterator<Item = String> {
        let segments: Vec<String> = self.bytes.split(|&byte| byte == b'.').map(segment_text).collect();
        segments.into_iter()
    }

    /// The canonical form.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The name as `dialect` writes it, quoted where it must be: reading that gives this name back.
    pub fn display(&self, dialect: Dialect) -> impl fmt::Display {
        NameDisplay { bytes: self.bytes.clone(), dialect }
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.display(Dialect::Generic))
    }
}

/// A resource name of a request, borrowed where its text is canonical already.
#[derive(Debug, Clone, Copy)]
pub struct CanonicalName<'a> {
    bytes: &'a [u8],
    segments: usize,
    // INVARIANT: where its segments begin, and one behind its end where the next would.
    starts: &'a Starts,
}

impl<'a> CanonicalName<'a> {
    /// Reads `text` as `dialect` writes names, into `buffer` where it must be unquoted or folded.
    ///
    /// Linear in the length of `text`; does not allocate.
    ///
    /// # Errors
    ///
    /// Where N2.4 calls the text malformed.
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

    /// The name, or pattern, whose canonical form is `bytes`. Of a pattern, the stars are characters of their own.
    pub fn of(bytes: &'a [u8], buffer: &'a mut NameBuffer) -> Self {
        let (segments, starts) = buffer.starts_of(bytes);
        Self { bytes, segments, starts }
    }

    /// How many segments the name has, 1 to 16.
    pub fn segment_count(&self) -> usize {
        self.segments
    }

    /// The bytes of the canonical form: an inner dot is `INNER_DOT`, segments are separated by `.`.
    #[inline]
    pub fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Where the segment with this number begins, counted from zero; that behind the last begins one behind the end.
    #[inline]
    pub fn start(&self, number: usize) -> usize {
        self.starts.get(number).map_or(0, |&start| usize::from(start))
    }

    /// The text of the segment with this number, counted from zero; empty if there is none.
    #[inline]
    pub fn segment(&self, number: usize) -> &'a [u8] {
        self.bytes.get(self.start(number)..self.start(number + 1).saturating_sub(1)).unwrap_or_default()
    }
}

/// Displays the canonical form of a name or a pattern as a dialect writes it.
pub struct NameDisplay {
    /// The canonical form.
    pub bytes: Arc<[u8]>,
    /// The dialect that quotes its segments.
    pub dialect: Dialect,
}

impl fmt::Display for NameDisplay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, segment) in self.bytes.split(|&byte| byte == b'.').enumerate() {
            if index > 0 {
                f.write_str(".")?;
            }
            let text = String::from_utf8_lossy(segment);
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

/// Whether reading `segment` bare gives it back: no inner dot but those of a project (N2.6), no literal star beside a matching
/// one, nothing to fold.
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
