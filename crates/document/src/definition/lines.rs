//! Lines and columns of byte offsets.

use std::fmt;

/// The number of bytes between two counts of characters.
const BLOCK: usize = 1024;

/// A line and a column, both counted from 1. Columns count characters.
///
/// ```
/// use portcullis_document::definition::Position;
///
/// assert_eq!(Position { line: 3, column: 5 }.to_string(), "line 3 column 5");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The character of the line.
    pub column: usize,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {} column {}", self.line, self.column)
    }
}

/// Finds the line and column of a byte offset.
///
/// Built in one pass over the text. A look-up takes logarithmic time in the number of lines and does not depend on
/// their length: a document of a megabyte is often one line.
///
/// ```
/// use portcullis_document::definition::{LineIndex, Position};
///
/// let text = "{\n  \"é\": 1\n}";
/// let lines = LineIndex::new(text);
/// let one = text.find('1').unwrap();
/// assert_eq!(lines.position(one), Position { line: 2, column: 8 });
/// ```
#[derive(Clone)]
pub struct LineIndex<'t> {
    text: &'t [u8],
    /// The offset of each line after the first.
    starts: Vec<usize>,
    /// The number of characters before each block.
    characters: Vec<usize>,
}

impl<'t> LineIndex<'t> {
    /// Indexes `text`. A byte order mark at its start is not a character of the first line.
    pub fn new(text: &'t str) -> Self {
        let starts = text.match_indices('\n').map(|(offset, _)| offset + 1).collect();
        let text = text.as_bytes();
        let mut before = 0;
        let mut blocks = Vec::with_capacity(text.len() / BLOCK + 1);
        for block in text.chunks(BLOCK) {
            blocks.push(before);
            before += characters(block);
        }
        // The end of a text of whole blocks starts another block.
        blocks.push(before);
        Self { text, starts, characters: blocks }
    }

    /// Returns the line and column of byte `offset`; past the end, those of the end.
    pub fn position(&self, offset: usize) -> Position {
        let offset = offset.min(self.text.len());
        let line = self.starts.partition_point(|start| *start <= offset);
        let start = match line.checked_sub(1) {
            Some(previous) => self.starts.get(previous).copied().unwrap_or_default(),
            None => bom(self.text).min(offset),
        };
        Position { line: line + 1, column: self.before(offset) - self.before(start) + 1 }
    }

    /// Returns the number of characters before `offset`.
    fn before(&self, offset: usize) -> usize {
        let block = offset / BLOCK;
        let rest = self.text.get(block * BLOCK..offset).unwrap_or_default();
        self.characters.get(block).copied().unwrap_or_default() + characters(rest)
    }
}

impl fmt::Debug for LineIndex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The text may hold secrets.
        f.debug_struct("LineIndex")
            .field("bytes", &self.text.len())
            .field("lines", &(self.starts.len() + 1))
            .finish_non_exhaustive()
    }
}

/// Returns the length of the byte order mark at the start of `text`.
fn bom(text: &[u8]) -> usize {
    if text.starts_with("\u{feff}".as_bytes()) { '\u{feff}'.len_utf8() } else { 0 }
}

/// Returns the number of characters that start in `bytes`.
fn characters(bytes: &[u8]) -> usize {
    bytes.iter().filter(|byte| (**byte & 0b1100_0000) != 0b1000_0000).count()
}
