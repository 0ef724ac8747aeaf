//! Reads CSV with a heading.

use std::io::{self, Read};
use std::ops::ControlFlow;

use csv::ByteRecord;

use super::columns::{Columns, Value};
use super::{Broken, CatalogError, MAX_ROW_BYTES, Row};

/// The separators of values, in the order of preference.
const SEPARATORS: [u8; 4] = *b",\t;|";

/// Reads a table whose first line is `heading`, which is also the start of `input`.
pub(super) fn read(
    heading: &[u8],
    input: impl Read,
    mut see: impl FnMut(Result<Row<'_>, Broken>) -> ControlFlow<()>,
) -> Result<(), CatalogError> {
    let limited = Limited { input: input.chain(END), left: MAX_ROW_BYTES, crlf: None };
    let separator = SEPARATORS.into_iter().find(|separator| heading.contains(separator)).unwrap_or(b',');
    let mut reader = csv::ReaderBuilder::new();
    reader.flexible(true).delimiter(separator).buffer_capacity(BUFFER);
    let mut reader = reader.from_reader(limited);
    let unreadable = |line| move |error: csv::Error| CatalogError::Unreadable { line, error: error.into() };
    let heading = reader.byte_headers().map_err(unreadable(0))?.clone();
    if is_open(&heading) {
        return Err(open(0));
    }
    let heading = if is_end(&heading) { ByteRecord::new() } else { heading };
    let mut record = ByteRecord::new();
    let columns = match Columns::of_heading(heading.iter()) {
        Ok(columns) => columns,
        Err(error) => {
            let is_drawn = is_rule(&heading) || {
                // A title may precede the heading.
                (0..3).any(|_| matches!(reader.read_byte_record(&mut record), Ok(true)) && is_rule(&record))
            };
            return Err(if is_drawn { CatalogError::Drawn } else { error });
        }
    };
    let mut line = reader.position().line();
    let mut is_first = true;
    loop {
        reader.get_mut().left = MAX_ROW_BYTES;
        if !reader.read_byte_record(&mut record).map_err(unreadable(line))? || is_end(&record) {
            return Ok(());
        }
        if is_open(&record) {
            return Err(open(line));
        }
        if std::mem::take(&mut is_first) && is_rule(&record) {
            return Err(CatalogError::Drawn);
        }
        let crlf = u64::from(reader.get_ref().crlf == Some(true));
        line = record.position().map_or(line, |place| place.line() + crlf);
        let row = if record.len() == heading.len() {
            // Blanks around a value belong to the layout of the file, as around a heading.
            let text = |at: usize| record.get(at).unwrap_or_default().trim_ascii();
            columns.row(line, |at| std::str::from_utf8(text(at)).map(Value::Text).map_err(|_| "not UTF-8"))
        } else {
            let columns = if record.len() == 1 { "column" } else { "columns" };
            Err(format!("{} {columns}, where the heading has {}", record.len(), heading.len()))
        };
        let Some(row) = row.map_err(|why| Broken { line, why }).transpose() else { continue };
        if see(row).is_break() {
            return Ok(());
        }
    }
}

/// A row that follows the input. If the input ends inside a quote, its last value includes this row.
const END: &[u8] = b"\n\x04\x1c the end of the catalog";

/// Whether `record` is the row that follows the input.
fn is_end(record: &ByteRecord) -> bool {
    record.len() == 1 && record.get(0) == Some(END.trim_ascii_start())
}

/// Whether a quote in `record` is not closed.
fn is_open(record: &ByteRecord) -> bool {
    let last = record.len().checked_sub(1).and_then(|last| record.get(last));
    last.is_some_and(|value| value.ends_with(END))
}

/// Whether `record` is the line between heading and rows of a table that is drawn with signs.
fn is_rule(record: &ByteRecord) -> bool {
    let text = record.as_slice();
    memchr::memmem::find(text, b"--").is_some()
        && text.iter().all(|byte| matches!(byte, b'-' | b'+' | b'|' | b':' | b'=' | b' '))
}

/// The error for a quote that is not closed after the row at `line`.
fn open(line: u64) -> CatalogError {
    let why = "the file ends inside a quote: close the quote, or write the whole file";
    CatalogError::Unreadable { line, error: io::Error::new(io::ErrorKind::UnexpectedEof, why) }
}

/// The buffer size of the reader, which may contain parts of the next rows.
const BUFFER: usize = 1 << 16;

/// Limits the bytes of one row; otherwise, a quote that is never closed would include the rest of the input.
struct Limited<R> {
    input: R,
    left: usize,
    /// Whether lines end with two bytes, known after the first line. The reader then counts rows from before the second
    /// byte.
    crlf: Option<bool>,
}

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(bytes)?;
        if self.crlf.is_none() {
            let end = bytes.iter().take(read).position(|&byte| byte == b'\n');
            self.crlf = end.map(|end| end.checked_sub(1).and_then(|before| bytes.get(before)) == Some(&b'\r'));
        }
        if let Some(left) = self.left.checked_sub(read) {
            self.left = left;
        } else {
            let why = format!("a row of more than {MAX_ROW_BYTES} bytes: perhaps a quote is not closed");
            return Err(io::Error::new(io::ErrorKind::InvalidData, why));
        }
        Ok(read)
    }
}
