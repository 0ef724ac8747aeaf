//! Reads CSV with a heading.

use std::io::{self, Read};
use std::ops::ControlFlow;

use csv::ByteRecord;

use super::columns::Columns;
use super::{Broken, CatalogError, MAX_ROW_BYTES, Row};

pub(super) fn read(
    input: impl Read,
    mut see: impl FnMut(Result<Row<'_>, Broken>) -> ControlFlow<()>,
) -> Result<(), CatalogError> {
    let limited = Limited { input, left: MAX_ROW_BYTES, crlf: None };
    let mut reader = csv::ReaderBuilder::new().flexible(true).buffer_capacity(BUFFER).from_reader(limited);
    let unreadable = |line| move |error: csv::Error| CatalogError::Unreadable { line, error: error.into() };
    let heading = reader.byte_headers().map_err(unreadable(0))?.clone();
    let columns = Columns::of(heading.iter())?;
    let mut record = ByteRecord::new();
    let mut line = reader.position().line();
    loop {
        reader.get_mut().left = MAX_ROW_BYTES;
        if !reader.read_byte_record(&mut record).map_err(unreadable(line))? {
            return Ok(());
        }
        let crlf = u64::from(reader.get_ref().crlf == Some(true));
        line = record.position().map_or(line, |place| place.line() + crlf);
        let row = if record.len() == heading.len() {
            let text = |at: usize| std::str::from_utf8(record.get(at).unwrap_or_default()).map_err(|_| "not UTF-8");
            columns.row(line, |at| text(at).map(Some))
        } else {
            let columns = if record.len() == 1 { "column" } else { "columns" };
            Err(format!("{} {columns}, where the heading has {}", record.len(), heading.len()))
        };
        if see(row.map_err(|why| Broken { line, why })).is_break() {
            return Ok(());
        }
    }
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
