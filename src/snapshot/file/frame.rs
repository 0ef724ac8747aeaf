//! The frame of a compiled policy: the front, and the parts with their lengths and checksums.

use std::hash::Hasher;

use bytes::Bytes;
use twox_hash::XxHash3_64;

use super::source::Source;
use super::{ContentId, FORMAT, MAGIC, ReadError, sha256};
use crate::snapshot::memory::Memory;

/// The parts, in their order in the file.
#[derive(Debug, Clone, Copy)]
pub(super) enum Part {
    Head,
    Rows,
    Terms,
    Slots,
    Grants,
    Texts,
    Referers,
    Matchers,
}

/// The name of each part in messages.
const NAMES: [&str; PARTS] = ["head", "rows", "terms", "slots", "grants", "texts", "referers", "matchers"];
const PARTS: usize = COUNT as usize;
const COUNT: u32 = 8;

/// Each part starts at a multiple of this offset. Zeros fill the gaps.
const ALIGNMENT: usize = 64;

// Offsets in the front. All numbers are little-endian.
const LENGTH: usize = 16;
const CHECKSUM: usize = 24;
const ID: usize = 32;
const TABLE: usize = 64;
/// The size of a table entry: the length and the checksum of a part.
const ENTRY: usize = 16;
/// The size of the front, which precedes the parts: 64 bytes, the table, and padding.
const FRONT: usize = 192;
const _: () = assert!(TABLE + PARTS * ENTRY <= FRONT && FRONT.is_multiple_of(ALIGNMENT));

/// The number of bytes that are read at once. Each chunk is added to the checksum while it is in the cache.
const CHUNK: usize = 256 << 10;

/// The contents of the front of a file.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) id: ContentId,
    parts: [Stored; PARTS],
}

#[derive(Debug, Clone, Copy)]
struct Stored {
    start: u64,
    length: usize,
    checksum: u64,
}

/// Returns the zeros after a part of this length.
pub(super) fn padding(length: usize) -> &'static [u8] {
    const ZEROS: [u8; ALIGNMENT] = [0; ALIGNMENT];
    ZEROS.get(..length.next_multiple_of(ALIGNMENT) - length).unwrap_or_default()
}

/// Returns the front of a file with these parts, and the id of the contents.
pub(super) fn write(parts: &[&[u8]; PARTS]) -> (Vec<u8>, ContentId) {
    let length = parts.iter().map(|part| part.len().next_multiple_of(ALIGNMENT)).sum::<usize>() + FRONT;
    let mut front = Vec::with_capacity(FRONT);
    front.extend(MAGIC);
    front.extend(FORMAT.to_le_bytes());
    front.extend(COUNT.to_le_bytes());
    front.extend((length as u64).to_le_bytes());
    front.resize(TABLE, 0);
    for part in parts {
        front.extend((part.len() as u64).to_le_bytes());
        front.extend(XxHash3_64::oneshot(part).to_le_bytes());
    }
    front.resize(FRONT, 0);
    let mut pieces = identified(&front);
    for part in parts {
        pieces.extend([part, padding(part.len())]);
    }
    let id = sha256(&pieces);
    put(&mut front, ID, &id.0);
    let checksum = checksum_of(&front);
    put(&mut front, CHECKSUM, &checksum.to_le_bytes());
    (front, id)
}

/// Returns the bytes of the front that the content id covers: all but the id itself and the checksum.
fn identified(front: &[u8]) -> Vec<&[u8]> {
    vec![front.get(..CHECKSUM).unwrap_or_default(), front.get(TABLE..).unwrap_or_default()]
}

fn checksum_of(front: &[u8]) -> u64 {
    let mut hasher = XxHash3_64::new();
    hasher.write(front.get(..CHECKSUM).unwrap_or_default());
    hasher.write(front.get(ID..).unwrap_or_default());
    hasher.finish()
}

fn put(bytes: &mut [u8], offset: usize, value: &[u8]) {
    if let Some(target) = bytes.get_mut(offset..offset + value.len()) {
        target.copy_from_slice(value);
    }
}

fn array<const N: usize>(front: &[u8; FRONT], at: usize) -> [u8; N] {
    front.get(at..).and_then(<[u8]>::first_chunk).copied().unwrap_or([0; N])
}

fn number(front: &[u8; FRONT], at: usize) -> u64 {
    u64::from_le_bytes(array(front, at))
}

impl Frame {
    /// Reads the front and checks that the source is as long as the lengths in the front state. Later reads stay within
    /// the source.
    pub(super) fn read(source: &(impl Source + ?Sized)) -> Result<Self, ReadError> {
        let found = source.length();
        let mut magic = [0; MAGIC.len()];
        if found < MAGIC.len() as u64 {
            return Err(ReadError::Foreign);
        }
        source.fill(0, &mut magic)?;
        if magic != MAGIC {
            return Err(ReadError::Foreign);
        }
        if found < FRONT as u64 {
            return Err(ReadError::Length { found, expected: FRONT as u64 });
        }
        let mut front = [0; FRONT];
        source.fill(0, &mut front)?;
        let format = u32::from_le_bytes(array(&front, MAGIC.len()));
        // In another format, the other fields may be at other offsets.
        if format != FORMAT {
            return Err(ReadError::Format { found: format });
        }
        if number(&front, CHECKSUM) != checksum_of(&front) {
            return Err(ReadError::Damaged { part: "front" });
        }
        let expected = number(&front, LENGTH);
        if expected != found {
            return Err(ReadError::Length { found, expected });
        }
        let wrong = ReadError::Malformed { part: "front" };
        let Some((parts, end)) = parts(&front) else { return Err(wrong) };
        if end == found { Ok(Self { id: ContentId(array(&front, ID)), parts }) } else { Err(wrong) }
    }

    /// Reads a part into memory that is aligned for rows, and verifies its checksum.
    pub(super) fn part(&self, source: &(impl Source + ?Sized), part: Part) -> Result<Bytes, ReadError> {
        let name = NAMES.get(part as usize).copied().unwrap_or_default();
        let stored = self.parts.get(part as usize).ok_or(ReadError::Malformed { part: name })?;
        let Stored { start, length, checksum } = *stored;
        let mut memory = Memory::zeroed(length);
        let mut hasher = XxHash3_64::new();
        let mut at = start;
        for bytes in memory.as_mut().get_mut(..length).unwrap_or_default().chunks_mut(CHUNK) {
            source.fill(at, bytes)?;
            hasher.write(bytes);
            at += bytes.len() as u64;
        }
        let zeros = padding(length);
        let mut gap = [0; ALIGNMENT];
        let gap = gap.get_mut(..zeros.len()).unwrap_or_default();
        source.fill(at, gap)?;
        if hasher.finish() == checksum && gap == zeros {
            Ok(memory.freeze(length))
        } else {
            Err(ReadError::Damaged { part: name })
        }
    }
}

/// Returns the position of each part, and the end of the last one.
fn parts(front: &[u8; FRONT]) -> Option<([Stored; PARTS], u64)> {
    let mut start = FRONT as u64;
    let mut parts = [Stored { start, length: 0, checksum: 0 }; PARTS];
    for (at, part) in parts.iter_mut().enumerate() {
        let length = number(front, TABLE + at * ENTRY);
        *part =
            Stored { start, length: usize::try_from(length).ok()?, checksum: number(front, TABLE + at * ENTRY + 8) };
        start = start.checked_add(length.checked_next_multiple_of(ALIGNMENT as u64)?)?;
    }
    Some((parts, start))
}

/// Corrects all checksums; returns `None` if parts are missing.
pub(super) fn reseal(bytes: &mut [u8]) -> Option<()> {
    let length = bytes.len() as u64;
    let (front, contents) = bytes.split_first_chunk_mut::<FRONT>()?;
    let (parts, end) = parts(front)?;
    if end != length {
        return None;
    }
    for (at, part) in parts.iter().enumerate() {
        let start = usize::try_from(part.start).ok()? - FRONT;
        let checksum = XxHash3_64::oneshot(contents.get(start..)?.get(..part.length)?);
        put(front, TABLE + at * ENTRY + 8, &checksum.to_le_bytes());
    }
    put(front, LENGTH, &length.to_le_bytes());
    let checksum = checksum_of(front);
    put(front, CHECKSUM, &checksum.to_le_bytes());
    Some(())
}
