//! Reads a JSON list of objects, one after the other.

use std::cell::Cell;
use std::fmt;
use std::io::{self, Read};
use std::ops::ControlFlow;

use serde::de::{Deserializer, Error, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::object::Objects;
use super::{Broken, CatalogError, MAX_ROW_BYTES, Row, Skipped};

pub(super) fn read(
    input: impl Read,
    skipped: &mut Skipped,
    see: impl FnMut(Result<Row<'_>, Broken>) -> ControlFlow<()>,
) -> Result<(), CatalogError> {
    let at = At { line: Cell::new(1), left: Cell::new(MAX_ROW_BYTES) };
    let stopped = Cell::new(false);
    let mut json = serde_json::Deserializer::from_reader(Counted { input, at: &at });
    let read = json.deserialize_seq(Elements { see, skipped, at: &at, stopped: &stopped });
    if stopped.get() {
        return Ok(());
    }
    read.and_then(|()| json.end()).map_err(|error| {
        let line = error.line().max(1) as u64;
        let reason = if error.is_io() {
            return CatalogError::Unreadable { line: at.line.get(), error: error.into() };
        } else if error.is_eof() {
            "the JSON list is cut off"
        } else if error.is_data() {
            "expected a list of objects"
        } else {
            "expected JSON: a list of objects, and nothing after it"
        };
        CatalogError::Unreadable { line, error: io::Error::new(io::ErrorKind::InvalidData, reason) }
    })
}

/// The position of a reader.
struct At {
    line: Cell<u64>,
    /// The number of bytes that the current element may still have.
    left: Cell<usize>,
}

/// Counts lines, and limits the bytes of one element.
struct Counted<'a, R> {
    input: R,
    at: &'a At,
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(bytes)?;
        let ends = memchr::memchr_iter(b'\n', bytes.get(..read).unwrap_or_default()).count();
        self.at.line.set(self.at.line.get() + ends as u64);
        let Some(left) = self.at.left.get().checked_sub(read) else {
            let why = format!("an element of more than {MAX_ROW_BYTES} bytes");
            return Err(io::Error::new(io::ErrorKind::InvalidData, why));
        };
        self.at.left.set(left);
        Ok(read)
    }
}

struct Elements<'a, S> {
    see: S,
    skipped: &'a mut Skipped,
    at: &'a At,
    stopped: &'a Cell<bool>,
}

impl<'de, S: FnMut(Result<Row<'_>, Broken>) -> ControlFlow<()>> Visitor<'de> for Elements<'_, S> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of objects")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<(), A::Error> {
        let mut objects = Objects::default();
        while let Some(element) = list.next_element::<Box<RawValue>>()? {
            let text = element.get().as_bytes();
            let ends = memchr::memchr_iter(b'\n', text).count() as u64;
            if objects.row(self.at.line.get() - ends, text, self.skipped, &mut self.see).is_break() {
                self.stopped.set(true);
                return Err(A::Error::custom("stopped"));
            }
            self.at.left.set(MAX_ROW_BYTES);
        }
        Ok(())
    }
}
