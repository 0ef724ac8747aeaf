//! Errors of JSON with their positions.

use std::fmt;

use super::json_message::{CUT_OFF, json_message};
use super::lines::{LineIndex, Position};

/// Text that is not JSON, or JSON that is not a form of a document.
///
/// Its message names what was expected and quotes nothing of the text, which may hold secrets.
///
/// ```
/// use portcullis_document::definition::{Position, read};
///
/// let error = read("{\n  \"tokens\": [,]\n}").unwrap_err();
/// assert_eq!(error.position(), Position { line: 2, column: 14 });
/// assert_eq!(error.to_string(), "expected a JSON value at line 2 column 14");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyntaxError {
    message: Box<str>,
    position: Position,
    offset: usize,
}

impl SyntaxError {
    /// Creates an error at byte `offset` of `text`.
    pub(super) fn new(message: impl Into<Box<str>>, text: &str, offset: usize) -> Self {
        let offset = text.floor_char_boundary(offset);
        Self { message: message.into(), position: LineIndex::new(text).position(offset), offset }
    }

    /// Converts an `error` in `part`, which starts at byte `start` of `text`.
    pub(super) fn of_json(error: &serde_json::Error, text: &str, part: &str, start: usize) -> Self {
        Self::new(json_message(error), text, start + offset(error, part))
    }

    /// Converts an `error` in line number `line`, which starts at byte `start` of the text.
    pub(super) fn of_line(error: &serde_json::Error, line: &str, number: usize, start: usize) -> Self {
        let mut error = Self::of_json(error, line, line, 0);
        error.position.line = number;
        error.offset += start;
        error
    }

    /// Returns the message without the position.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Whether the text ends too early.
    pub fn is_cut_off(&self) -> bool {
        self.message.starts_with(CUT_OFF)
    }

    /// Returns the line and column.
    pub fn position(&self) -> Position {
        self.position
    }

    /// Returns the byte offset.
    pub fn offset(&self) -> usize {
        self.offset
    }
}

impl std::error::Error for SyntaxError {}

impl fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.message, self.position)
    }
}

/// Returns the offset in `text` of `error`.
fn offset(error: &serde_json::Error, text: &str) -> usize {
    if error.is_eof() {
        return text.trim_ascii_end().len();
    }
    let line = error.line().checked_sub(2).and_then(|line| text.match_indices('\n').nth(line));
    let start = line.map_or(0, |(newline, _)| newline + 1);
    (start + error.column()).saturating_sub(1).min(text.len())
}
