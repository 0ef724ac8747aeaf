//! Reads CSV with a heading.

use std::io::{self, Read};
use std::ops::ControlFlow;

use csv::ByteRecord;

use super::columns::{Columns, Value};
use super::quotes::QuoteCheck;
use super::skipped::Kind;
use super::{Broken, CatalogError, MAX_ROW_BYTES, Row, Skipped};

/// The separators of values, in the order of preference.
const SEPARATORS: [u8; 4] = *b",\t;|";

/// Reads a table whose first line is `heading`, which is also the start of `input`.
pub(super) fn read(
    heading: &[u8],
    input: impl Read,
    skipped: &mut Skipped,
    mut see: impl FnMut(Result<Row<'_>, Broken>) -> ControlFlow<()>,
) -> Result<(), CatalogError> {
    let separator = SEPARATORS.into_iter().find(|separator| heading.contains(separator)).unwrap_or(b',');
    let quotes = QuoteCheck::new(separator);
    let limited = Limited { input: input.chain(END), left: MAX_ROW_BYTES, crlf: None, quotes, line: 1 };
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
        if is_footer(&record) {
            continue;
        }
        if is_repeated(&heading, &record) {
            skipped.add(Kind::Known("repeated headings"));
            continue;
        }
        let row = if record.len() == heading.len() {
            // Blanks around a value belong to the layout of the file, as around a heading.
            let text = |at: usize| record.get(at).unwrap_or_default().trim_ascii();
            columns.row(line, |at| std::str::from_utf8(text(at)).map(Value::Text).map_err(|_| "not UTF-8"))
        } else {
            let columns = if record.len() == 1 { "column" } else { "columns" };
            Err(format!("{} {columns}, where the heading has {}", record.len(), heading.len()))
        };
        let row = match row {
            Ok(Ok(row)) => Ok(row),
            Ok(Err(kind)) => {
                skipped.add(kind);
                continue;
            }
            Err(why) => Err(Broken { line, why }),
        };
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

/// Whether `line` is the title that psql prints before a listing, such as `List of relations`.
pub(super) fn is_title(line: &[u8]) -> bool {
    let line = line.trim_ascii();
    line.starts_with(b"List of ") && line.iter().all(|byte| byte.is_ascii_alphabetic() || *byte == b' ')
}

/// Whether `record` is the number of rows after a listing: `(3 rows)` of psql, `3 rows selected.` of SQL*Plus,
/// `3 Row(s) produced.` of snowsql.
fn is_footer(record: &ByteRecord) -> bool {
    // The number may have a comma, at which the line was split.
    let text = record.iter().collect::<Vec<_>>().join(&b',');
    let text = text.trim_ascii().to_ascii_lowercase();
    let text = text.strip_prefix(b"(").unwrap_or(&text);
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit() || **byte == b',').count();
    let rest = text.get(digits..).unwrap_or_default();
    let is_count = [&b" row)"[..], b" rows)", b" row selected.", b" rows selected."].contains(&rest);
    digits > 0 && (is_count || rest.starts_with(b" row(s) produced."))
}

/// Whether `record` is the heading again, which SQL*Plus prints on each page.
fn is_repeated(heading: &ByteRecord, record: &ByteRecord) -> bool {
    heading.len() == record.len()
        && heading.len() > 1
        && heading.iter().zip(record).all(|(name, value)| name.trim_ascii() == value.trim_ascii())
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
    quotes: QuoteCheck,
    /// The number of the line that is read next.
    line: u64,
}

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(bytes)?;
        if self.crlf.is_none() {
            let end = bytes.iter().take(read).position(|&byte| byte == b'\n');
            self.crlf = end.map(|end| end.checked_sub(1).and_then(|before| bytes.get(before)) == Some(&b'\r'));
        }
        let read_bytes = bytes.get(..read).unwrap_or_default();
        let checked = self.quotes.check(read_bytes);
        let before = read_bytes.get(..checked.err().unwrap_or(read)).unwrap_or_default();
        self.line += memchr::memchr_iter(b'\n', before).count() as u64;
        if checked.is_err() {
            let line = self.line;
            let why = format!(
                "line {line} has a quote after a backslash; help: write a quote in a value as two quotes, such as `\"a\"\"b\"`"
            );
            return Err(io::Error::new(io::ErrorKind::InvalidData, why));
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
