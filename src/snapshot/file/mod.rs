//! Compiled policies in files: written once, loaded without compiling. `docs/compiled.md` describes the format.
//!
//! What is loaded is decided on as it is. The checksums of all bytes are verified, and of the contents all that a decision
//! takes for granted; every other place and length is checked where a decision reads it, in a loaded snapshot as in a
//! compiled one. So bytes that nobody compiled may decide anything, but neither fail nor read out of bounds.

mod frame;
mod head;
mod memory;
mod source;

use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use sha2::{Digest, Sha256};

use super::compiled::Compiled;
use super::grants::GrantSets;
use super::referers::RefererSets;
use super::texts::Texts;
use super::tokens::TokenTable;
use super::{Report, Row, Snapshot};
use frame::{Frame, Part};
use head::Head;
use source::Source;

/// What every compiled policy begins with. No text does: the first byte begins none, and a transfer that changes the ends
/// of lines would change it.
pub const MAGIC: [u8; 8] = *b"\x89PCLS\r\n\x1a";

/// The format that this version writes, and the only one that it reads.
pub const FORMAT: u32 = 5;

/// What a compiled policy is known by: the SHA-256 of its contents. The same policy, compiled with the same options, has the
/// same on every machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ContentId([u8; 32]);

impl fmt::Display for ContentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sha256:")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Why a snapshot cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// Tokens were edited since it was compiled.
    #[error("the snapshot was edited since it was compiled: compile the whole policy again")]
    Edited,
    /// This machine keeps numbers with their highest byte first.
    #[error("compiled policies are written and read on little-endian machines only")]
    BigEndian,
    /// Writing failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Why a file is not taken for a compiled policy.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It does not begin as one.
    #[error("not a compiled policy: it does not begin as one")]
    Foreign,
    /// It is of another format.
    #[error("a compiled policy of format {found}, where this version reads format {FORMAT}: compile the policy again")]
    Format {
        /// The format of the file.
        found: u32,
    },
    /// It is not as long as it says.
    #[error("a compiled policy of {expected} bytes, of which there are {found}: copy or compile it again")]
    Length {
        /// How long it is.
        found: u64,
        /// How long it says it is.
        expected: u64,
    },
    /// Its bytes are not those that were written.
    #[error("a damaged compiled policy: the checksum of its {part} is wrong; copy or compile it again")]
    Damaged {
        /// Which part of it.
        part: &'static str,
    },
    /// Its checksums are right, but it holds what no compilation writes.
    #[error("not what a compilation writes: the {part} of the compiled policy cannot be right; compile it again")]
    Malformed {
        /// Which part of it.
        part: &'static str,
    },
    /// This machine keeps numbers with their highest byte first.
    #[error("compiled policies are written and read on little-endian machines only")]
    BigEndian,
    /// Reading failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Snapshot {
    /// Writes the compiled policy, and tells the id of its contents.
    ///
    /// The same policy and options give the same bytes, on every machine. The file holds digests of secrets, no secret, and
    /// what the report tells. Writes each part in one go; linear in the size, with one pass of SHA-256.
    ///
    /// # Errors
    ///
    /// See [`WriteError`].
    ///
    /// # Examples
    ///
    /// ```
    /// use portcullis::{Options, Snapshot};
    /// use portcullis_document::load;
    ///
    /// let policy = load::policy(r#"[{"id": "a", "token": "s3cret", "allowed_apis": ["lds"]}]"#)?;
    /// let mut file = Vec::new();
    /// let id = Snapshot::compile(&policy, &Options::default())?.write(&mut file)?;
    ///
    /// let loaded = Snapshot::from_bytes(&file)?;
    /// assert_eq!(loaded.token_count(), 1);
    /// assert_eq!(loaded.report().content_id, Some(id));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn write(&self, out: &mut impl Write) -> Result<ContentId, WriteError> {
        if cfg!(target_endian = "big") {
            return Err(WriteError::BigEndian);
        }
        if self.edits() > 0 {
            return Err(WriteError::Edited);
        }
        let compiled = &*self.base;
        let (matchers, stored_matchers) = head::write_matchers(&compiled.matchers);
        let head = Head::of(compiled, stored_matchers).write();
        let (rows, slots) =
            (bytemuck::cast_slice(compiled.tokens.rows()), bytemuck::cast_slice(compiled.tokens.slots()));
        let (grants, texts, referers) =
            (compiled.grants.as_bytes(), compiled.texts.as_bytes(), compiled.referers.as_bytes());
        let parts = [head.as_slice(), rows, slots, grants, texts, referers, matchers.as_slice()];
        let (front, id) = frame::write(&parts);
        out.write_all(&front)?;
        for part in parts {
            out.write_all(part)?;
            out.write_all(frame::padding(part.len()))?;
        }
        Ok(id)
    }

    /// The id of the contents of the file that [`Snapshot::write`] would write. One pass of SHA-256 over all of the snapshot.
    ///
    /// Of a snapshot that was loaded, [`Report::content_id`] is what the file says; this is what it holds.
    ///
    /// # Errors
    ///
    /// See [`WriteError`].
    pub fn content_id(&self) -> Result<ContentId, WriteError> {
        self.write(&mut io::sink())
    }

    /// Loads the compiled policy in the file at `path`, without compiling.
    ///
    /// Reads the file once and verifies the checksum of every byte; nothing of it stays mapped or open. The content id is
    /// not computed again: see [`Snapshot::content_id`].
    ///
    /// # Errors
    ///
    /// See [`ReadError`]. The snapshot is there only when all of the file is right.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, ReadError> {
        read(&source::Disk::new(File::open(path)?)?)
    }

    /// Loads the compiled policy that `bytes` are. As [`Snapshot::open`]; copies them.
    ///
    /// # Errors
    ///
    /// See [`ReadError`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ReadError> {
        read(bytes)
    }
}

/// Makes all checksums of `bytes` right, so that tests can see what becomes of contents that nobody compiled. `false` if
/// they do not even have the parts of a compiled policy.
#[doc(hidden)]
pub fn reseal(bytes: &mut [u8]) -> bool {
    frame::reseal(bytes).is_some()
}

fn read(source: &(impl Source + ?Sized)) -> Result<Snapshot, ReadError> {
    if cfg!(target_endian = "big") {
        return Err(ReadError::BigEndian);
    }
    let frame = &Frame::read(source)?;
    // Two threads, if they can be had: each copies and sums up about half.
    let ((head, rows, texts, referers), (slots, grants, matchers)) = std::thread::scope(|scope| {
        let part = |part| frame.part(source, part);
        let behind =
            move || -> Result<_, ReadError> { Ok((part(Part::Slots)?, part(Part::Grants)?, part(Part::Matchers)?)) };
        let thread = std::thread::Builder::new().spawn_scoped(scope, behind);
        let front = || -> Result<_, ReadError> {
            Ok((part(Part::Head)?, part(Part::Rows)?, part(Part::Texts)?, part(Part::Referers)?))
        };
        let front = front();
        let behind = match thread {
            // A thread that cannot be joined has panicked, and nothing in it does.
            Ok(thread) => thread.join().unwrap_or(Err(ReadError::Malformed { part: "contents" })),
            // Where no thread can be had, this one does both.
            Err(_) => behind(),
        };
        Ok::<_, ReadError>((front?, behind?))
    })?;
    let head = Head::read(&head).ok_or(ReadError::Malformed { part: "head" })?;
    let context = head.context().ok_or(ReadError::Malformed { part: "connections and APIs" })?;
    let slots = bytemuck::try_cast_slice(&slots).map_err(|_| ReadError::Malformed { part: "slots" })?;
    let tokens = TokenTable::from_parts(rows, slots.to_vec(), head.places, head.seed);
    let mut compiled = Compiled {
        context: context.into(),
        tokens: tokens.ok_or(ReadError::Malformed { part: "table of tokens" })?,
        grants: GrantSets::from_bytes(grants),
        shapes: head.shapes().ok_or(ReadError::Malformed { part: "shapes" })?,
        texts: Texts::from_bytes(texts),
        referers: RefererSets::from_bytes(referers),
        matchers: head.matchers(&matchers).ok_or(ReadError::Malformed { part: "matchers" })?,
        scan_up_to: usize::try_from(head.scan_up_to).unwrap_or(usize::MAX),
        report: Report::default(),
    };
    let report = head.report(&compiled).ok_or(ReadError::Malformed { part: "report" })?;
    compiled.report = Report { content_id: Some(frame.id), ..report };
    Ok(Snapshot::of(compiled))
}

fn sha256(pieces: &[&[u8]]) -> ContentId {
    let mut hasher = Sha256::new();
    for piece in pieces {
        hasher.update(piece);
    }
    ContentId(hasher.finalize().into())
}
