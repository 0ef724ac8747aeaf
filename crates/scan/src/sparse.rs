//! Reads files with holes without reading the holes.

use std::fs::File;
use std::io::{self, Read};

use rustix::fs::SeekFrom;
use rustix::io::Errno;

/// Each hole is read as this many zero bytes: they separate what is before and after it.
const HOLE: usize = 4096;

/// A file whose holes are shortened. A hole has no line breaks, so all lines keep their numbers.
pub(crate) struct Sparse<'f> {
    file: &'f File,
    at: u64,
    /// The end of the data that `at` is in.
    end: u64,
    zeros: usize,
}

impl<'f> Sparse<'f> {
    /// Reads `file` from its start.
    pub(crate) fn new(file: &'f File) -> Self {
        Self { file, at: 0, end: 0, zeros: 0 }
    }
}

impl Read for Sparse<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.zeros == 0 && self.at >= self.end {
            let data = match rustix::fs::seek(self.file, SeekFrom::Data(self.at)) {
                // There is no data after `at`.
                Err(Errno::NXIO) => return Ok(0),
                data => data?,
            };
            if data > self.at {
                self.zeros = HOLE;
            }
            self.end = rustix::fs::seek(self.file, SeekFrom::Hole(data))?;
            self.at = rustix::fs::seek(self.file, SeekFrom::Start(data))?;
        }
        if self.zeros > 0 {
            let count = self.zeros.min(buffer.len());
            buffer.iter_mut().take(count).for_each(|byte| *byte = 0);
            self.zeros -= count;
            return Ok(count);
        }
        let rest = usize::try_from(self.end - self.at).unwrap_or(usize::MAX).min(buffer.len());
        let count = self.file.read(buffer.get_mut(..rest).unwrap_or_default())?;
        self.at += count as u64;
        if count == 0 {
            // The file was cut off in the meantime.
            self.end = self.at;
            return Ok(0);
        }
        Ok(count)
    }
}
