//! Reads the text of a name or pattern into canonical form, in one pass (N2.2 to N2.6).

use smallvec::SmallVec;

use super::dialect::Fold;
use super::look::{Starts, look};
use super::{Dialect, INNER_DOT, MAX_NAME_BYTES, MAX_SEGMENTS, STAR};

/// Room for one canonical name, on the stack: a name never outgrows it (N2.4), so reading one never allocates.
#[derive(Debug, Default)]
pub struct NameBuffer {
    text: Text,
    starts: Starts,
}

type Text = SmallVec<[u8; MAX_NAME_BYTES]>;

impl NameBuffer {
    /// An empty one.
    #[inline]
    pub fn new() -> Self {
        Self { text: SmallVec::new(), starts: [0; MAX_SEGMENTS + 1] }
    }

    /// How many segments a canonical form has, and where they begin.
    pub(super) fn starts_of(&mut self, canonical: &[u8]) -> (usize, &Starts) {
        (look::<false>(canonical, &mut self.starts).segments.unwrap_or(0), &self.starts)
    }
}

/// Why a text is not a name (N2.4).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind}")]
pub struct NameError {
    kind: NameErrorKind,
    at: usize,
}

/// The ways in which a text is not a name (N2.4).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameErrorKind {
    /// Nothing stands between two dots, before the first, after the last, or between quotes.
    #[error("an identifier is empty")]
    EmptyIdentifier,
    /// A character that a bare identifier cannot hold.
    #[error("{} cannot stand in a bare identifier of dialect `{dialect}`", shown(*.found))]
    Character {
        /// The character.
        found: char,
        /// The dialect that the name was read in.
        dialect: Dialect,
    },
    /// A control character, or a backslash in dialect `bigquery`, between quotes.
    #[error("{} cannot stand in a quoted identifier of dialect `{dialect}`", shown(*.found))]
    QuotedCharacter {
        /// The character.
        found: char,
        /// The dialect that the name was read in.
        dialect: Dialect,
    },
    /// A quote that nothing closes.
    #[error("the quote {quote} is not closed")]
    UnclosedQuote {
        /// The quote.
        quote: char,
    },
    /// Text between a closing quote and the next dot.
    #[error("after a closing quote comes a dot or the end, not {}", shown(*.found))]
    AfterQuote {
        /// The character that stands there.
        found: char,
    },
    /// A letter that the dialect does not fold to one non-ASCII letter (N2.5).
    #[error("dialect `{dialect}` would fold {} to `{folded}`, which another name holds", shown(*.found))]
    Fold {
        /// The letter.
        found: char,
        /// Its mapping.
        folded: Box<str>,
        /// The dialect that the name was read in.
        dialect: Dialect,
    },
    /// A `$` in a requested name of dialect `bigquery` that does not begin a partition decorator (N2.8).
    #[error(
        "in dialect `bigquery` a `$` only begins a partition decorator at the end of a name, as in `events$20240101`"
    )]
    Decorator,
    /// A `$` in a grant of dialect `bigquery` (N2.8).
    #[error("in dialect `bigquery` a `$` begins a partition decorator, and a grant covers whole tables")]
    GrantedPartition,
    /// More than [`MAX_NAME_BYTES`].
    #[error("the name has {found} bytes, the most is {MAX_NAME_BYTES}")]
    TooLong {
        /// How many bytes the text has.
        found: usize,
    },
    /// More than [`MAX_SEGMENTS`].
    #[error("the name has more than {MAX_SEGMENTS} segments")]
    TooManySegments,
}

fn shown(found: char) -> String {
    if found.is_control() || (found.is_whitespace() && found != ' ') {
        format!("the character U+{:04X}", u32::from(found))
    } else {
        format!("`{found}`")
    }
}

impl NameError {
    /// What is wrong.
    pub fn kind(&self) -> &NameErrorKind {
        &self.kind
    }

    /// Where in the text, in bytes from its start.
    pub fn at(&self) -> usize {
        self.at
    }
}

/// Who writes the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// A request: a `*` is an ordinary character (N3.5), and a partition decorator is dropped (N2.8).
    Requested,
    /// A grant: a bare `*` becomes [`STAR`] (N3.1), and a partition decorator is an error (N2.8).
    Granted,
}

/// A text in canonical form.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scanned<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) segments: usize,
    /// Where they begin.
    pub(super) starts: &'a Starts,
    /// Whether a bare identifier holds a `*`, in a text that is read as a pattern.
    pub(crate) bare_star: bool,
}

/// Reads `text` in `dialect`. Borrows `text` where it is its own canonical form, else writes to `buffer`.
///
/// One pass, linear in the length of the text; no allocation.
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
    // Of most requests' names nothing else is asked.
    let as_written = role == Role::Requested && dialect.bare_fold() == Fold::AsWritten;
    let look =
        if as_written { look::<false>(bytes, &mut buffer.starts) } else { look::<true>(bytes, &mut buffer.starts) };
    let decorated = dialect == Dialect::BigQuery && memchr::memchr(b'$', bytes).is_some();
    if look.bare && (role == Role::Requested || !look.star) && !decorated {
        let segments = look.segments.ok_or(NameError { kind: NameErrorKind::TooManySegments, at: 0 })?;
        if !look.full {
            return Err(NameError { kind: NameErrorKind::EmptyIdentifier, at: empty_segment(text) });
        }
        let bytes = match dialect.bare_fold().is_upper() {
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
    // `separator` has counted the segments.
    let segments = look::<false>(&buffer.text, &mut buffer.starts).segments.unwrap_or(0);
    Ok(Scanned { bytes: &buffer.text, segments, starts: &buffer.starts, bare_star })
}

/// The first place where a segment is empty.
#[cold]
fn empty_segment(text: &str) -> usize {
    let mut start = 0;
    for segment in text.split('.') {
        if segment.is_empty() {
            break;
        }
        start += segment.len() + 1;
    }
    start
}

fn folded<'a>(bytes: &[u8], buffer: &'a mut Text, fold: impl Fn(&mut [u8])) -> &'a [u8] {
    buffer.clear();
    buffer.extend_from_slice(bytes);
    fold(buffer);
    buffer
}

/// The general case: quotes, folding, non-ASCII, colons, stars.
struct Scanner<'t, 'b> {
    text: &'t str,
    dialect: Dialect,
    role: Role,
    /// The next byte to read.
    at: usize,
    segments: usize,
    bare_star: bool,
    /// The offset of the first `:` in dialect `bigquery`: the dots before it belong to the first segment (N2.6). Zero if there is
    /// none.
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

    /// A dot that is not inside an identifier: it separates segments, except before the colon of a project (N2.6).
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

    /// A bare identifier, up to a dot or the end (N2.2).
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

    /// A quoted identifier, or in `bigquery` several, with both quotes (N2.3).
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
