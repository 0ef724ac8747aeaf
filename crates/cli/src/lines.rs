//! Reads lines in chunks. A chunk is the result of one read, cut after its last complete line.
//!
//! Memory stays constant, and lines from a pipe are answered as they arrive.

use std::io::{self, Read};

/// The size of one read, in bytes.
const READ: usize = 256 << 10;

/// Complete lines.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Chunk {
    /// The number of the first line, counted from 1.
    pub(super) first: u64,
    /// The lines. The last one may lack its line ending.
    pub(super) text: Vec<u8>,
    /// Whether a line that is too long to keep follows `text`.
    pub(super) too_long: bool,
}

impl Chunk {
    /// Returns line numbers and lines without line endings; `None` for a line that is too long.
    pub(super) fn lines(&self, limit: usize) -> impl Iterator<Item = (u64, Option<&[u8]>)> {
        let text = self.text.strip_suffix(b"\n").unwrap_or(&self.text);
        let kept = (!self.text.is_empty()).then(|| text.split(|byte| *byte == b'\n')).into_iter().flatten();
        let kept = kept.map(move |line| {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            (line.len() <= limit).then_some(line)
        });
        (self.first..).zip(kept.chain(self.too_long.then_some(None)))
    }
}

/// Splits the bytes of `reader` into chunks. Keeps at most one line of `limit` bytes and one read.
pub(super) struct Chunks<R> {
    reader: R,
    limit: usize,
    /// The start of a line whose end has not been read.
    rest: Vec<u8>,
    next_line: u64,
    /// Whether the reader is inside a line that is too long.
    skipping: bool,
    done: bool,
}

impl<R: Read> Chunks<R> {
    pub(super) fn new(reader: R, limit: usize) -> Self {
        Self { reader, limit, rest: Vec::new(), next_line: 1, skipping: false, done: false }
    }

    /// Appends the bytes of the next read to `rest`.
    fn fill(&mut self) -> io::Result<usize> {
        let kept = self.rest.len();
        self.rest.resize(kept + READ, 0);
        let read = loop {
            match self.reader.read(self.rest.get_mut(kept..).unwrap_or_default()) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other,
            }
        };
        self.rest.truncate(kept + read.as_ref().map_or(0, |read| *read));
        read
    }

    /// Drops the rest of a line that is too long.
    fn skip(&mut self) {
        match memchr::memchr(b'\n', &self.rest) {
            Some(end) => {
                self.rest.drain(..=end);
                self.skipping = false;
            }
            None => self.rest.clear(),
        }
    }

    fn chunk(&mut self, text: Vec<u8>, too_long: bool) -> Option<Chunk> {
        if text.is_empty() && !too_long {
            return None;
        }
        let first = self.next_line;
        let ends = memchr::memchr_iter(b'\n', &text).count();
        let lines = ends + usize::from(!text.is_empty() && !text.ends_with(b"\n")) + usize::from(too_long);
        self.next_line += lines as u64;
        Some(Chunk { first, text, too_long })
    }

    /// Reads the next chunk; `None` if this read completes no line.
    fn step(&mut self) -> io::Result<Option<Chunk>> {
        if self.fill()? == 0 {
            self.done = true;
            let last = std::mem::take(&mut self.rest);
            return Ok(if self.skipping { None } else { self.chunk(last, false) });
        }
        if self.skipping {
            self.skip();
        }
        let rest = match memchr::memrchr(b'\n', &self.rest) {
            Some(end) => self.rest.split_off(end + 1),
            None => std::mem::take(&mut self.rest),
        };
        let text = std::mem::replace(&mut self.rest, rest);
        // The last byte may be a carriage return, which does not count.
        let too_long = self.rest.len() > self.limit + 1;
        if too_long {
            self.rest.clear();
            self.skipping = true;
        }
        Ok(self.chunk(text, too_long))
    }
}

impl<R: Read> Iterator for Chunks<R> {
    type Item = io::Result<Chunk>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.done {
            match self.step() {
                Ok(None) => {}
                Ok(Some(chunk)) => return Some(Ok(chunk)),
                Err(error) => {
                    self.done = true;
                    return Some(Err(error));
                }
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::{Chunks, READ};

    /// Returns a few bytes for each read.
    struct Drip<'t>(&'t [u8], usize);

    impl Read for Drip<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            let wanted = self.1.min(buffer.len());
            self.0.read(&mut buffer[..wanted])
        }
    }

    fn lines(text: &[u8], drip: usize, limit: usize) -> Vec<(u64, Option<String>)> {
        let chunks = Chunks::new(Drip(text, drip), limit).map(Result::unwrap);
        let line =
            |(number, line): (u64, Option<&[u8]>)| (number, line.map(|line| String::from_utf8_lossy(line).into()));
        chunks.flat_map(|chunk| chunk.lines(limit).map(line).collect::<Vec<_>>()).collect()
    }

    #[test]
    fn chunk_sizes_do_not_change_lines() {
        let text = b"one\n\ntwo\r\nmuch too long a line\nthree\nlast";
        let kept = |text: &str| Some(text.to_owned());
        let expected =
            vec![(1, kept("one")), (2, kept("")), (3, kept("two")), (4, None), (5, kept("three")), (6, kept("last"))];
        for drip in 1..=text.len() {
            assert_eq!(lines(text, drip, 8), expected, "{drip} bytes at a time");
        }
    }

    #[test]
    fn memory_stays_constant_in_an_endless_line() {
        let chunks = &mut Chunks::new(std::io::repeat(b'x').take(64 << 20), 1 << 20);
        let chunk = chunks.next().unwrap().unwrap();
        assert!(chunk.too_long && chunk.text.is_empty());
        assert!(chunks.rest.capacity() < (2 << 20) + 2 * READ);
        assert!(chunks.next().is_none());
    }

    #[test]
    fn empty_input_has_no_line_and_empty_line_counts() {
        assert_eq!(lines(b"", 1, 8), []);
        assert_eq!(lines(b"\n", 1, 8), [(1, Some(String::new()))]);
        assert_eq!(lines(b"12345678\r\n", 3, 8), [(1, Some("12345678".into()))]);
    }
}
