//! Detects compression by the first bytes, and decompresses.

use std::io::{self, Cursor, Read};

use portcullis_document::load::{FOREIGN_BYTES, Foreign};

/// The input without compression.
pub(crate) struct Unpacked<'r> {
    pub(crate) text: Box<dyn Read + 'r>,
    /// The format of the decompressed input, if it is not text.
    pub(crate) foreign: Option<Foreign>,
}

/// Decompresses `input`. Consecutive compressed parts count as one.
pub(crate) fn unpack<'r>(input: impl Read + 'r) -> io::Result<Unpacked<'r>> {
    let (first, whole) = begun(input)?;
    let unpacked: Box<dyn Read + 'r> = match Foreign::of(&first) {
        Some(Foreign::Gzip) => Box::new(Cut(flate2::read::MultiGzDecoder::new(whole))),
        Some(Foreign::Zstd) => Box::new(Cut(zstd::Decoder::new(whole)?)),
        foreign => return Ok(Unpacked { text: Box::new(whole), foreign }),
    };
    let (first, text) = begun(unpacked)?;
    Ok(Unpacked { text: Box::new(text), foreign: Foreign::of(&first) })
}

/// Returns the first bytes of `input`, and all of it.
fn begun<R: Read>(mut input: R) -> io::Result<(Vec<u8>, impl Read + use<R>)> {
    let mut first = Vec::new();
    input.by_ref().take(FOREIGN_BYTES as u64).read_to_end(&mut first)?;
    Ok((first.clone(), Cursor::new(first).chain(input)))
}

/// Describes the end of compressed data that is cut off.
struct Cut<R>(R);

impl<R: Read> Read for Cut<R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.0.read(bytes).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => io::Error::new(error.kind(), "the compressed data is cut off"),
            _ => error,
        })
    }
}
