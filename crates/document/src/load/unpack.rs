//! Detects compression by the first bytes, and decompresses.

use std::io::{self, Chain, Cursor, Read};

use super::foreign::{FOREIGN_BYTES, Foreign};

/// An input whose first bytes have been read.
type Begun<R> = Chain<Cursor<Vec<u8>>, R>;

/// The input without compression.
pub struct Unpacked<R: Read> {
    /// The decompressed input.
    pub text: Begun<Packing<R>>,
    /// The format of the decompressed input, if it is not text.
    pub foreign: Option<Foreign>,
}

impl<R: Read> Unpacked<R> {
    /// Whether the input is compressed.
    pub fn is_compressed(&self) -> bool {
        !matches!(self.text.get_ref().1, Packing::Plain(_))
    }
}

/// An input by its compression.
pub enum Packing<R: Read> {
    /// Not compressed.
    Plain(Begun<R>),
    /// Compressed with gzip.
    Gzip(Box<flate2::read::MultiGzDecoder<Begun<R>>>),
    /// Compressed with zstd.
    #[cfg(feature = "zstd")]
    Zstd(zstd::Decoder<'static, io::BufReader<Begun<R>>>),
}

impl<R: Read> Read for Packing<R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(input) => input.read(bytes),
            Self::Gzip(input) => input.read(bytes).map_err(damage),
            #[cfg(feature = "zstd")]
            Self::Zstd(input) => input.read(bytes).map_err(damage),
        }
    }
}

/// Decompresses `input`. Consecutive compressed parts count as one. Without the feature `zstd`, such an input is in a
/// foreign format.
///
/// Reads no further than is needed to recognize a format: of a pipe, it waits for the first line only.
///
/// # Errors
///
/// If reading fails.
pub fn unpack<R: Read>(input: R) -> io::Result<Unpacked<R>> {
    let (first, whole) = begun(input)?;
    let unpacked = match Foreign::of_lines(&first) {
        Some(Foreign::Gzip) => Packing::Gzip(Box::new(flate2::read::MultiGzDecoder::new(whole))),
        #[cfg(feature = "zstd")]
        Some(Foreign::Zstd) => Packing::Zstd(zstd::Decoder::new(whole)?),
        foreign => return Ok(Unpacked { text: Cursor::default().chain(Packing::Plain(whole)), foreign }),
    };
    let (first, text) = begun(unpacked)?;
    Ok(Unpacked { text, foreign: Foreign::of_lines(&first) })
}

/// The number of bytes of the longest mark of a format that has a line end in it.
const MARK: usize = 8;

/// Returns the first bytes of `input`, and all of it.
fn begun<R: Read>(mut input: R) -> io::Result<(Vec<u8>, Begun<R>)> {
    let mut first = vec![0; FOREIGN_BYTES];
    let mut kept = 0;
    while let Some(rest) = first.get_mut(kept..)
        && !rest.is_empty()
    {
        match input.read(rest) {
            Ok(0) => break,
            Ok(read) => kept += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        }
        if kept >= MARK && first.get(..kept).is_some_and(|first| first.contains(&b'\n')) {
            break;
        }
    }
    first.truncate(kept);
    Ok((first.clone(), Cursor::new(first).chain(input)))
}

/// Describes an error of a decompressor. Errors of the operating system stay as they are.
fn damage(error: io::Error) -> io::Error {
    let why = match error.kind() {
        _ if error.raw_os_error().is_some() => return error,
        io::ErrorKind::Interrupted => return error,
        io::ErrorKind::UnexpectedEof => "the compressed data is cut off",
        _ => "the compressed data is damaged",
    };
    io::Error::new(error.kind(), why)
}

#[cfg(test)]
mod tests {
    use std::io::{self, Read, Write};

    use super::{Foreign, unpack};

    /// Returns one byte for each read, and fails after the last one.
    struct Drip<'t>(&'t [u8]);

    impl Read for Drip<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let (first, rest) = self.0.split_first().ok_or(io::ErrorKind::WouldBlock)?;
            buffer[0] = *first;
            self.0 = rest;
            Ok(1)
        }
    }

    #[test]
    fn first_line_of_a_pipe_is_enough() {
        let unpacked = unpack(Drip(b"{\"api\":\"lds\"}\n")).unwrap();
        assert!(unpacked.foreign.is_none() && !unpacked.is_compressed());
        assert_eq!(unpack(Drip(b"\x89PCLS\r\n\x1a")).unwrap().foreign, Some(Foreign::Compiled));
    }

    #[test]
    fn lines_that_end_with_a_carriage_return_alone_are_recognized() {
        let returns = Some(Foreign::CarriageReturns);
        for (text, foreign) in [
            ("{\"a\":1}\r{\"a\":2}\r", returns),
            ("{\"a\":{\"b\":1}}\r\r{\"a\":2}", returns),
            ("{\"a\":1} \r{\"a\":2}", None),
            ("{\"a\":1}\r", None),
            ("{\"a\":1}\r\n{\"a\":2}\r\n", None),
            ("{\"a\":1}\n{\"a\":2}\r{", None),
            ("{\"a\":{}\r}", None),
            ("[{}\r,{}]", None),
            ("{\"a\":\"}\\r{\"}", None),
            ("\r", None),
            ("", None),
        ] {
            assert_eq!(unpack(text.as_bytes()).unwrap().foreign, foreign, "{text:?}");
        }
        let help = Foreign::CarriageReturns.to_string();
        assert_eq!(help, "found lines that end with a carriage return alone; help: convert it with `tr '\\r' '\\n'`");
    }

    #[cfg(feature = "zstd")]
    #[test]
    fn single_bytes_are_unpacked_as_a_whole() {
        let text = "{\"api\":\"lds\"}\n".repeat(100);
        let packed = zstd::encode_all(text.as_bytes(), 1).unwrap();
        let mut unpacked = unpack(Drip(&packed).take(packed.len() as u64)).unwrap();
        assert!(unpacked.is_compressed());
        let mut read = String::new();
        unpacked.text.read_to_string(&mut read).unwrap();
        assert_eq!(read, text);
    }

    #[test]
    fn errors_of_decompressors_are_described() {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(b"{}\n").unwrap();
        let mut packed = encoder.finish().unwrap();
        let error = |packed: &[u8]| {
            let read = unpack(packed).and_then(|mut unpacked| unpacked.text.read_to_end(&mut Vec::new()));
            read.unwrap_err().to_string()
        };
        assert_eq!(error(&packed[..packed.len() - 9]), "the compressed data is cut off");
        // The checksum.
        let checksum = packed.len() - 8;
        packed[checksum] ^= 1;
        assert_eq!(error(&packed), "the compressed data is damaged");
    }
}
