//! Reads a stream in blocks and finds the secrets in it.

use std::io::{self, Read};

use crate::detector::{CONTEXT, Detector, Occurrence};

/// The size of a block.
const BLOCK: usize = 1 << 18;

/// Reads streams. Keeps its buffer between them.
pub(crate) struct TextReader {
    buffer: Vec<u8>,
    occurrences: Vec<Occurrence>,
}

/// A secret and its position in a stream.
pub(crate) struct Hit {
    pub(crate) occurrence: Occurrence,
    pub(crate) line: u64,
    pub(crate) column: u64,
}

/// The line and column of an offset of the current block.
struct Cursor {
    at: usize,
    line: u64,
    /// Characters of the line before `at`.
    characters: u64,
}

impl TextReader {
    pub(crate) fn new() -> Self {
        Self { buffer: Vec::new(), occurrences: Vec::new() }
    }

    /// Reads `reader` to its end, reports each secret once, and returns the number of bytes.
    ///
    /// Consecutive blocks overlap, so a secret may be split between them.
    pub(crate) fn read(
        &mut self,
        detector: &Detector,
        reader: &mut dyn Read,
        mut see: impl FnMut(Hit),
    ) -> (u64, io::Result<()>) {
        self.buffer.resize(BLOCK + 2 * CONTEXT, 0);
        let (mut filled, mut total) = (0, 0);
        let mut cursor = Cursor { at: 0, line: 1, characters: 0 };
        loop {
            let mut end = None;
            while filled < self.buffer.len() && end.is_none() {
                match reader.read(self.buffer.get_mut(filled..).unwrap_or_default()) {
                    Ok(0) => end = Some(Ok(())),
                    Ok(count) => filled += count,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    // What was read before the error is searched.
                    Err(error) => end = Some(Err(error)),
                }
            }
            let bytes = self.buffer.get(..filled).unwrap_or_default();
            let limit = if end.is_some() { filled } else { filled.saturating_sub(CONTEXT) };
            self.occurrences.clear();
            detector.find(bytes, cursor.at..limit, &mut self.occurrences);
            self.occurrences.sort_by_key(|occurrence| occurrence.span.start);
            total += (limit - cursor.at) as u64;
            for occurrence in self.occurrences.drain(..) {
                cursor.advance(bytes, occurrence.span.start);
                see(Hit { occurrence, line: cursor.line, column: cursor.characters + 1 });
            }
            cursor.advance(bytes, limit);
            if let Some(end) = end {
                return (total, end);
            }
            let keep = limit.saturating_sub(CONTEXT);
            self.buffer.copy_within(keep..filled, 0);
            filled -= keep;
            cursor.at -= keep;
        }
    }
}

impl Cursor {
    fn advance(&mut self, bytes: &[u8], to: usize) {
        let passed = bytes.get(self.at..to).unwrap_or_default();
        let rest = match memchr::memrchr(b'\n', passed) {
            None => passed,
            Some(last) => {
                self.line += memchr::memchr_iter(b'\n', passed).count() as u64;
                self.characters = 0;
                passed.get(last + 1..).unwrap_or_default()
            }
        };
        // All bytes of a character but its first are of the form 10xxxxxx.
        self.characters += rest.iter().filter(|byte| **byte & 0xC0 != 0x80).count() as u64;
        self.at = to;
    }
}
