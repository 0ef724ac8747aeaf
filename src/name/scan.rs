//! Parses the text of a name or pattern into canonical form, in one pass (N2.2 to N2.6).

use smallvec::SmallVec;

use super::dialect::Fold;
use super::look::{Look, Starts, look, look_at_rare, look_at_short};
use super::{Dialect, INNER_DOT, MAX_NAME_BYTES, MAX_SEGMENTS, STAR};
use crate::base::is_unsafe;

/// A buffer for one canonical name, on the stack. It has room for the longest name (N2.4), so parsing never allocates.
#[derive(Debug, Default)]
pub struct NameBuffer {
    text: Text,
    starts: Starts,
}

type Text = SmallVec<[u8; MAX_NAME_BYTES]>;

impl NameBuffer {
    /// Creates an empty buffer.
    #[inline]
    pub fn new() -> Self {
        Self { text: SmallVec::new(), starts: [0; MAX_SEGMENTS + 1] }
    }

    /// Returns the number of segments of a canonical form, and their offsets.
    pub(super) fn starts_of(&mut self, canonical: &[u8]) -> (usize, &Starts) {
        (look::<false>(canonical, &mut self.starts).segments.unwrap_or(0), &self.starts)
    }
}

/// The error for a text that is not a name (N2.4).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind}")]
pub struct NameError {
    kind: NameErrorKind,
    at: usize,
}

/// The kinds of [`NameError`] (N2.4).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameErrorKind {
    /// An identifier is empty: between two dots, before the first, after the last, or between quotes.
    #[error("an identifier is empty")]
    EmptyIdentifier,
    /// A character is not allowed in a bare identifier.
    #[error("{} is not allowed in a bare identifier of dialect `{dialect}`", shown(*.found))]
    Character {
        /// The character.
        found: char,
        /// The dialect of the name.
        dialect: Dialect,
    },
    /// A character is not allowed between quotes: a control character, or a backslash in dialect `bigquery`.
    #[error("{} is not allowed in a quoted identifier of dialect `{dialect}`", shown(*.found))]
    QuotedCharacter {
        /// The character.
        found: char,
        /// The dialect of the name.
        dialect: Dialect,
    },
    /// A quote is not closed.
    #[error("the quote {quote} is not closed")]
    UnclosedQuote {
        /// The quote.
        quote: char,
    },
    /// Text follows a closing quote.
    #[error("expected a dot or the end after a closing quote, found {}", shown(*.found))]
    AfterQuote {
        /// The character after the quote.
        found: char,
    },
    /// A letter does not fold to one non-ASCII letter in the dialect (N2.5).
    #[error("dialect `{dialect}` would fold {} to `{folded}`, which another name holds", shown(*.found))]
    Fold {
        /// The letter.
        found: char,
        /// The mapping of the letter.
        folded: Box<str>,
        /// The dialect of the name.
        dialect: Dialect,
    },
    /// A `$` in a requested name of dialect `bigquery` does not start a partition decorator (N2.8).
    #[error(
        "in dialect `bigquery` a `$` only starts a partition decorator at the end of a name, as in `events$20240101`"
    )]
    Decorator,
    /// A grant of dialect `bigquery` contains a `$` (N2.8).
    #[error("in dialect `bigquery` a `$` starts a partition decorator, and a grant covers whole tables")]
    GrantedPartition,
    /// The name is longer than [`MAX_NAME_BYTES`].
    #[error("the name is {found} bytes long: expected at most {MAX_NAME_BYTES}")]
    TooLong {
        /// The length of the text, in bytes.
        found: usize,
    },
    /// The name has more than [`MAX_SEGMENTS`] segments.
    #[error("the name has more than {MAX_SEGMENTS} segments")]
    TooManySegments,
}

fn shown(found: char) -> String {
    if is_unsafe(found) || (found.is_whitespace() && found != ' ') {
        format!("the character U+{:04X}", u32::from(found))
    } else {
        format!("`{found}`")
    }
}

impl NameError {
    /// Returns the kind of error.
    pub fn kind(&self) -> &NameErrorKind {
        &self.kind
    }

    /// Returns the byte offset of the error in the text.
    pub fn at(&self) -> usize {
        self.at
    }
}

/// The role of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// A name in a request: a `*` is an ordinary character (N3.5), and a partition decorator is dropped (N2.8).
    Requested,
    /// A name or pattern in a grant: a bare `*` becomes [`STAR`] (N3.1), and a partition decorator is an error (N2.8).
    Granted,
}

/// A text in canonical form.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scanned<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) segments: usize,
    /// The offsets of the segments.
    pub(super) starts: &'a Starts,
    /// Whether a bare identifier contains a `*`. Always false if the text took the fast path of [`scan`].
    pub(crate) bare_star: bool,
}

/// Parses `text` in `dialect`. Borrows `text` if it is its own canonical form, else writes to `buffer`.
///
/// Takes one pass, linear in the length of the text. Does not allocate.
#[inline]
pub(crate) fn scan<'a>(
    text: &'a str,
    dialect: Dialect,
    role: Role,
    buffer: &'a mut NameBuffer,
) -> Result<Scanned<'a>, NameError> {
    if text.len() > MAX_NAME_BYTES {
        return Err(NameError { kind: NameErrorKind::TooLong { found: text.len() }, at: 0 });
    }
    let bytes = text.as_bytes();
    // Most names of requests need no information about letters and stars.
    let as_written = role == Role::Requested && dialect.bare_fold() == Fold::AsWritten;
    if as_written && let Some(look) = look_at_short::<false>(bytes, &mut buffer.starts) {
        // The text has no `$`, so there is no decorator.
        let segments = segments(text, &look)?;
        return Ok(Scanned { bytes, segments, starts: &buffer.starts, bare_star: false });
    }
    let look = if as_written {
        look_at_rare::<false>(bytes, &mut buffer.starts)
    } else {
        look::<true>(bytes, &mut buffer.starts)
    };
    let decorated = dialect == Dialect::BigQuery && memchr::memchr(b'$', bytes).is_some();
    if look.bare && (role == Role::Requested || !look.star) && !decorated {
        let segments = segments(text, &look)?;
        let bytes = match dialect.bare_fold().is_upper() {
            _ if as_written => bytes,
            Some(true) if look.lower => folded(bytes, &mut buffer.text, <[u8]>::make_ascii_uppercase),
            Some(false) if look.upper => folded(bytes, &mut buffer.text, <[u8]>::make_ascii_lowercase),
            _ => bytes,
        };
        return Ok(Scanned { bytes, segments, starts: &buffer.starts, bare_star: false });
    }
    scan_character_by_character(text, dialect, role, buffer)
}

#[inline(never)]
fn scan_character_by_character<'a>(
    text: &'a str,
    dialect: Dialect,
    role: Role,
    buffer: &'a mut NameBuffer,
) -> Result<Scanned<'a>, NameError> {
    let out = &mut buffer.text;
    let project = if dialect == Dialect::BigQuery { memchr::memchr(b':', text.as_bytes()).unwrap_or(0) } else { 0 };
    let mut scanner = Scanner { text, dialect, role, at: 0, segments: 1, bare_star: false, project, out };
    scanner.run()?;
    let bare_star = scanner.bare_star;
    // `dot` has checked the number of segments.
    let segments = look::<false>(&buffer.text, &mut buffer.starts).segments.unwrap_or(0);
    Ok(Scanned { bytes: &buffer.text, segments, starts: &buffer.starts, bare_star })
}

/// Returns the number of segments of a text that has only bytes of bare identifiers and dots.
#[inline]
fn segments(text: &str, look: &Look) -> Result<usize, NameError> {
    let segments = look.segments.ok_or(NameError { kind: NameErrorKind::TooManySegments, at: 0 })?;
    if !look.full {
        return Err(NameError { kind: NameErrorKind::EmptyIdentifier, at: empty_segment(text) });
    }
    Ok(segments)
}

/// Returns the offset of the first empty segment.
#[cold]
fn empty_segment(text: &str) -> usize {
    let bytes = text.as_bytes();
    if bytes.first() == Some(&b'.') {
        return 0;
    }
    bytes.windows(2).position(|pair| pair == b"..").map_or(bytes.len(), |dot| dot + 1)
}

fn folded<'a>(bytes: &[u8], buffer: &'a mut Text, fold: impl Fn(&mut [u8])) -> &'a [u8] {
    buffer.clear();
    buffer.extend_from_slice(bytes);
    fold(buffer);
    buffer
}

/// The scanner for the general case: quotes, folding, non-ASCII characters, colons and stars.
struct Scanner<'t, 'b> {
    text: &'t str,
    dialect: Dialect,
    role: Role,
    /// The next byte to read.
    at: usize,
    segments: usize,
    bare_star: bool,
    /// The offset of the first `:` in dialect `bigquery`; zero if there is none. Dots before it belong to the first
    /// segment (N2.6).
    project: usize,
    out: &'b mut Text,
}

impl Scanner<'_, '_> {
    fn run(&mut self) -> Result<(), NameError> {
        self.out.clear();
        loop {
            match self.peek() {
                Some(quote) if quote.is_ascii() && self.dialect.is_quote(quote as u8) => self.quoted(quote)?,
                _ => self.bare()?,
            }
            match self.peek() {
                None => return Ok(()),
                Some('.') => self.dot()?,
                Some(found) => return Err(self.error(NameErrorKind::AfterQuote { found })),
            }
        }
    }

    /// Scans a dot outside identifiers. It separates segments, except before the colon of a project (N2.6).
    fn dot(&mut self) -> Result<(), NameError> {
        if self.at < self.project {
            self.at += 1;
            self.out.push(INNER_DOT);
            return Ok(());
        }
        self.at += 1;
        self.segments += 1;
        self.out.push(b'.');
        if self.segments > MAX_SEGMENTS { Err(self.error(NameErrorKind::TooManySegments)) } else { Ok(()) }
    }

    /// Scans a bare identifier, up to a dot or the end (N2.2).
    fn bare(&mut self) -> Result<(), NameError> {
        let start = self.at;
        let fold = self.dialect.bare_fold();
        let colons = matches!(self.dialect, Dialect::Generic | Dialect::BigQuery);
        while let Some(found) = self.peek() {
            match found {
                '.' => break,
                '*' => {
                    self.bare_star = true;
                    self.out.push(if self.role == Role::Granted { STAR } else { b'*' });
                }
                '$' if self.dialect == Dialect::BigQuery => {
                    self.decorator(start)?;
                    continue;
                }
                'a'..='z' | 'A'..='Z' => self.out.push(fold.apply_ascii(found as u8)),
                '0'..='9' | '_' | '-' | '$' | '#' => self.out.push(found as u8),
                ':' if colons => self.out.push(b':'),
                _ if found.is_ascii() || found.is_whitespace() || found.is_control() => {
                    return Err(self.error(NameErrorKind::Character { found, dialect: self.dialect }));
                }
                _ if self.dialect.bare_beyond_ascii() => self.folded(found, fold)?,
                _ => return Err(self.error(NameErrorKind::Character { found, dialect: self.dialect })),
            }
            self.at += found.len_utf8();
        }
        if self.at == start { Err(self.error(NameErrorKind::EmptyIdentifier)) } else { Ok(()) }
    }

    /// Scans a quoted identifier with both quotes, in `bigquery` one or several (N2.3).
    fn quoted(&mut self, quote: char) -> Result<(), NameError> {
        let opened = self.at;
        self.at += 1;
        let mut start = self.at;
        let bigquery = self.dialect == Dialect::BigQuery;
        let fold = self.dialect.quoted_fold();
        loop {
            let Some(found) = self.peek() else {
                return Err(NameError { kind: NameErrorKind::UnclosedQuote { quote }, at: opened });
            };
            if found == quote {
                let doubled = !bigquery && self.text.as_bytes().get(self.at + 1) == Some(&(quote as u8));
                if !doubled {
                    break;
                }
                self.out.push(quote as u8);
                self.at += 2;
                continue;
            }
            match found {
                '.' if bigquery => {
                    if self.at == start {
                        return Err(self.error(NameErrorKind::EmptyIdentifier));
                    }
                    self.dot()?;
                    start = self.at;
                    continue;
                }
                '$' if bigquery => {
                    self.decorator(start)?;
                    continue;
                }
                '.' => self.out.push(INNER_DOT),
                _ if found.is_control() || (bigquery && found == '\\') => {
                    return Err(self.error(NameErrorKind::QuotedCharacter { found, dialect: self.dialect }));
                }
                _ if found.is_ascii() => self.out.push(fold.apply_ascii(found as u8)),
                _ => self.folded(found, fold)?,
            }
            self.at += found.len_utf8();
        }
        if self.at == start {
            return Err(self.error(NameErrorKind::EmptyIdentifier));
        }
        self.at += 1;
        Ok(())
    }

    /// Skips the partition decorator at the end of a requested name, up to the end or the closing backquote (N2.8).
    fn decorator(&mut self, start: usize) -> Result<(), NameError> {
        if self.role == Role::Granted {
            return Err(self.error(NameErrorKind::GrantedPartition));
        }
        if self.at == start {
            return Err(self.error(NameErrorKind::EmptyIdentifier));
        }
        let rest = self.text.get(self.at + 1..).unwrap_or_default();
        let length = rest.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_').count();
        if length == 0 || !matches!(rest.get(length..), Some("" | "`")) {
            return Err(self.error(NameErrorKind::Decorator));
        }
        self.at += 1 + length;
        Ok(())
    }

    fn folded(&mut self, found: char, fold: Fold) -> Result<(), NameError> {
        let folded = fold.apply(found).map_err(|folded| {
            self.error(NameErrorKind::Fold { found, folded: folded.into(), dialect: self.dialect })
        })?;
        self.out.extend_from_slice(folded.encode_utf8(&mut [0; 4]).as_bytes());
        Ok(())
    }

    fn peek(&self) -> Option<char> {
        self.text.get(self.at..)?.chars().next()
    }

    fn error(&self, kind: NameErrorKind) -> NameError {
        NameError { kind, at: self.at }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_has_the_offset_of_the_first_empty_segment() {
        for (text, at) in
            [("", 0), (".", 0), ("..", 0), (".a", 0), ("a.", 2), ("a..", 2), ("a..b", 2), ("ab.c...d.", 5)]
        {
            for (dialect, role) in [(Dialect::Generic, Role::Requested), (Dialect::Postgres, Role::Granted)] {
                let error = scan(text, dialect, role, &mut NameBuffer::new()).unwrap_err();
                assert_eq!(error, NameError { kind: NameErrorKind::EmptyIdentifier, at }, "{text} in {dialect}");
            }
        }
    }
}
