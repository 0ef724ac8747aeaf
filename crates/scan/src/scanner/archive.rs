//! Compressed files and archives.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek};
use std::os::unix::fs::FileExt;

use flate2::bufread::MultiGzDecoder;
use zip::ZipArchive;
use zip::result::ZipError;

use super::format::Format;
use super::{Content, Level, Scanner};

/// A file that contains others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Container {
    Gzip,
    Zstd,
    Zip,
    Tar,
    /// One that is recognised, and not read completely.
    Other(Format),
}

/// The formats that start with fixed bytes.
const MAGIC: [(&[u8], Container); 5] = [
    (b"\x1f\x8b\x08", Container::Gzip),
    (b"\x28\xb5\x2f\xfd", Container::Zstd),
    (b"PK\x03\x04", Container::Zip),
    (b"PK\x05\x06", Container::Zip),
    (b"PK\x07\x08", Container::Zip),
];

/// The end of what containers may expand to.
#[derive(Debug, thiserror::Error)]
#[error("it expands to more than the limit")]
struct TooLarge;

/// Reads a container, and takes what it returns from the budget.
struct Budgeted<'b, R> {
    reader: R,
    budget: &'b Cell<u64>,
}

impl Container {
    /// Recognises a container by its first bytes, or by the name of the input.
    pub(super) fn of(name: &str, head: &[u8]) -> Option<Self> {
        if let Some((_, container)) = MAGIC.iter().find(|(magic, _)| head.starts_with(magic)) {
            return Some(*container);
        }
        if is_tar(head) {
            return Some(Self::Tar);
        }
        // Frames of zstd may follow one that is skipped.
        if head.get(1..4) == Some(b"\x2a\x4d\x18") && head.first().is_some_and(|first| first >> 4 == 5) {
            return Some(Self::Zstd);
        }
        Format::of(name, head).map(Self::Other)
    }
}

impl<R: Read> Read for Budgeted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.budget.get()).unwrap_or(usize::MAX);
        if left == 0 {
            // The budget may fit exactly.
            return match self.reader.read(&mut [0])? {
                0 => Ok(0),
                _ => Err(io::Error::other(TooLarge)),
            };
        }
        let length = buffer.len().min(left);
        let count = self.reader.read(buffer.get_mut(..length).unwrap_or_default())?;
        self.budget.set(self.budget.get().saturating_sub(count as u64));
        Ok(count)
    }
}

/// Scans everything in a container. Records what cannot be read.
pub(super) fn open(
    scanner: &mut Scanner<'_>,
    name: &str,
    container: Container,
    content: Content<'_>,
    level: Level<'_>,
) {
    match (container, content) {
        (Container::Other(format), content) => {
            scanner.miss(name, format.reason());
            if format.is_searched() {
                scanner.raw(name, content);
            }
        }
        (Container::Zip, Content::File(file)) => zip(scanner, name, file, level),
        (Container::Zip, Content::Stream(stream)) => match spooled(Budgeted { reader: stream, budget: level.budget }) {
            Ok(file) => zip(scanner, name, &file, level),
            Err(error) => scanner.miss(name, reason(&error)),
        },
        (container, Content::File(mut file)) => stream(scanner, name, container, &mut file, level),
        (container, Content::Stream(reader)) => stream(scanner, name, container, reader, level),
    }
}

fn stream(scanner: &mut Scanner<'_>, name: &str, container: Container, reader: &mut dyn Read, level: Level<'_>) {
    let reader = BufReader::with_capacity(1 << 16, reader);
    match container {
        Container::Gzip => {
            let mut inner = Budgeted { reader: MultiGzDecoder::new(reader), budget: level.budget };
            scanner.content(name, Content::Stream(&mut inner), level);
        }
        Container::Zstd => match zstd::Decoder::with_buffer(reader) {
            Ok(inner) => {
                let mut inner = Budgeted { reader: inner, budget: level.budget };
                scanner.content(name, Content::Stream(&mut inner), level);
            }
            Err(error) => scanner.miss(name, reason(&error)),
        },
        _ => tar(scanner, name, reader, level),
    }
}

fn tar(scanner: &mut Scanner<'_>, name: &str, reader: impl Read, level: Level<'_>) {
    // A compressed archive was taken from the budget when it was unpacked; only holes of sparse members expand.
    let mut archive = tar::Archive::new(reader);
    // Concatenated archives have blocks of zeros between them.
    archive.set_ignore_zeros(true);
    let entries = match archive.entries() {
        Ok(entries) => entries,
        Err(error) => return scanner.miss(name, reason(&error)),
    };
    for entry in entries {
        let mut entry = match entry {
            Ok(entry) => entry,
            // Without this entry's header, the next one cannot be found.
            Err(error) => return scanner.miss(name, reason(&error)),
        };
        let member = scanner.name(&format!("{name}!"), &String::from_utf8_lossy(&entry.path_bytes()));
        if entry.header().entry_type().is_dir() {
            continue;
        }
        if let Some(link) = entry.link_name_bytes() {
            scanner.name(&member, &String::from_utf8_lossy(&link));
        }
        if entry.header().entry_type().is_gnu_sparse() {
            let mut entry = Budgeted { reader: entry, budget: level.budget };
            scanner.content(&member, Content::Stream(&mut entry), level);
        } else {
            scanner.content(&member, Content::Stream(&mut entry), level);
        }
    }
}

fn zip(scanner: &mut Scanner<'_>, name: &str, file: &File, level: Level<'_>) {
    let mut archive = match ZipArchive::new(BufReader::new(file)) {
        Ok(archive) => archive,
        Err(error) => {
            scanner.miss(name, zip_reason(&error));
            // Parts of a damaged archive may be stored without compression.
            return scanner.whole(name, file);
        }
    };
    if archive.offset() > 0 && !is_program(file) {
        scanner.miss(name, "there is something before the zip archive, which is not unpacked");
    }
    if stated_members(file).is_some_and(|stated| stated != archive.len()) {
        scanner.miss(name, "several members have one name, and only the last of them is read");
    }
    let comment = archive.comment().to_vec();
    scanner.text(name, &mut &*comment);
    for index in 0..archive.len() {
        if index > 0 && level.budget.get() == 0 {
            return scanner.miss(name, TooLarge.to_string());
        }
        let member = archive.name_for_index(index).and_then(Result::ok).map(std::borrow::Cow::into_owned);
        let member = scanner.name(&format!("{name}!"), &member.unwrap_or_else(|| format!("member {index}")));
        let mut entry = match archive.by_index(index) {
            Ok(entry) => entry,
            Err(error) => {
                scanner.miss(&member, zip_reason(&error));
                continue;
            }
        };
        scanner.text(&member, &mut entry.comment().as_bytes());
        if entry.is_dir() && entry.size() == 0 {
            continue;
        }
        let mut entry = Budgeted { reader: &mut entry, budget: level.budget };
        scanner.content(&member, Content::Stream(&mut entry), level);
    }
}

/// The length of the record at the end of a zip archive without a comment.
const END: usize = 22;

/// The signature of that record.
const END_SIGNATURE: &[u8] = b"PK\x05\x06";

/// Whether a file that starts as another one ends as a zip archive without a comment.
pub(super) fn ends_as_zip(file: &File) -> bool {
    end_record(file).is_some_and(|record| record.starts_with(END_SIGNATURE))
}

/// Returns the number of members that the end of a zip archive states. `None` if it has a comment, or is of Zip64.
fn stated_members(file: &File) -> Option<usize> {
    let record = end_record(file).filter(|record| record.starts_with(END_SIGNATURE))?;
    let count = u16::from_le_bytes([*record.get(10)?, *record.get(11)?]);
    (count != u16::MAX).then_some(usize::from(count))
}

fn end_record(file: &File) -> Option<[u8; END]> {
    let start = file.metadata().ok()?.len().checked_sub(END as u64)?;
    let mut record = [0; END];
    file.read_exact_at(&mut record, start).ok()?;
    Some(record)
}

/// Whether a file starts as a program or a script, which may have an archive after it.
fn is_program(file: &File) -> bool {
    let mut head = [0; 4];
    file.read_exact_at(&mut head, 0).is_ok()
        && (head.starts_with(b"#!") || head.starts_with(b"MZ") || head == *b"\x7fELF")
}

/// Writes a stream to a temporary file without a name: the directory of a zip archive is at its end.
fn spooled(mut stream: impl Read) -> io::Result<File> {
    let mut file = tempfile::tempfile()?;
    io::copy(&mut stream, &mut file)?;
    file.rewind()?;
    Ok(file)
}

/// Whether `head` is the header of a tar file: its checksum is right.
fn is_tar(head: &[u8]) -> bool {
    const CHECKSUM: std::ops::Range<usize> = 148..156;
    let Some(block) = head.get(..512).filter(|block| block.first() != Some(&0)) else { return false };
    let digits = block.get(CHECKSUM).unwrap_or_default();
    let digits = std::str::from_utf8(digits).unwrap_or_default().trim_matches([' ', '\0']);
    let sum =
        block.iter().enumerate().map(|(index, byte)| u32::from(if CHECKSUM.contains(&index) { b' ' } else { *byte }));
    u32::from_str_radix(digits, 8).is_ok_and(|found| found == sum.sum::<u32>())
}

/// Explains why an input could not be read.
pub(super) fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => {
            "it is damaged, or not what its first bytes say".to_owned()
        }
        io::ErrorKind::UnexpectedEof => "it is cut off".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ if is_too_large(error) => TooLarge.to_string(),
        // Errors of the system have a number. All other errors are of decoders.
        _ if error.raw_os_error().is_none() => "it is damaged, or not what its first bytes say".to_owned(),
        _ => error.to_string(),
    }
}

/// Whether the error is [`TooLarge`], maybe in an error of a decoder.
fn is_too_large(error: &io::Error) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> =
        error.get_ref().map(|error| error as &(dyn std::error::Error + 'static));
    while let Some(error) = cause {
        if error.is::<TooLarge>() || error.downcast_ref().is_some_and(is_too_large) {
            return true;
        }
        cause = error.source();
    }
    false
}

fn zip_reason(error: &ZipError) -> String {
    match error {
        ZipError::Io(error) => reason(error),
        ZipError::UnsupportedArchive(ZipError::PASSWORD_REQUIRED) | ZipError::InvalidPassword => {
            "it is encrypted: unpack it first".to_owned()
        }
        ZipError::UnsupportedArchive(_) | ZipError::CompressionMethodNotSupported(_) => {
            "it is compressed in a way that is not read: unpack it first".to_owned()
        }
        _ => "it is damaged, or not a zip archive".to_owned(),
    }
}
