//! Writes compiled policies to files and loads them without compiling. `docs/compiled.md` describes the format.
//!
//! Loading verifies the checksum of every byte and all properties that a decision assumes. A decision checks every
//! other offset and length when it reads it, in a loaded snapshot as in a compiled one. A forged file may therefore
//! lead to any decision, but never to a panic or a read out of bounds.

mod frame;
mod head;
mod source;

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use sha2::{Digest, Sha256};

use super::compiled::Compiled;
use super::content_id::ContentId;
use super::grants::GrantSets;
use super::referers::RefererSets;
use super::texts::Texts;
use super::tokens::TokenTable;
use super::{Report, Snapshot};
use frame::{Frame, Part};
use head::Head;
use source::Source;

/// The first bytes of every compiled policy.
///
/// No text starts with the first byte. A transfer that converts line ends changes these bytes.
pub const MAGIC: [u8; 8] = *b"\x89PCLS\r\n\x1a";

/// The format that this version writes. It reads no other format.
pub const FORMAT: u32 = 7;

/// The error for a snapshot that cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// Tokens were edited since the snapshot was compiled.
    #[error("the snapshot was edited since it was compiled: compile the whole policy again")]
    Edited,
    /// This machine is big-endian.
    #[error("compiled policies are written and read on little-endian machines only")]
    BigEndian,
    /// Writing failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// The error for a file that is not a valid compiled policy.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file does not start with [`MAGIC`].
    #[error("not a compiled policy: expected a file written by `portcullis compile`")]
    Foreign,
    /// The file has another format.
    #[error("unsupported format of the compiled policy: expected {FORMAT}, found {found}; compile the policy again")]
    Format {
        /// The format of the file.
        found: u32,
    },
    /// The length of the file is not the length that its header states.
    #[error("incomplete compiled policy: expected {expected} bytes, found {found}; copy or compile it again")]
    Length {
        /// The length of the file, in bytes.
        found: u64,
        /// The length that the header states, in bytes.
        expected: u64,
    },
    /// The bytes of the file have changed since it was written.
    #[error("damaged compiled policy: the checksum of its {part} is wrong; copy or compile it again")]
    Damaged {
        /// The part of the file.
        part: &'static str,
    },
    /// The checksums are right, but no compilation writes these contents.
    #[error("invalid {part} in the compiled policy: compile the policy again")]
    Malformed {
        /// The part of the file.
        part: &'static str,
    },
    /// This machine is big-endian.
    #[error("compiled policies are written and read on little-endian machines only")]
    BigEndian,
    /// Reading failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Snapshot {
    /// Writes the compiled policy and returns the id of its contents.
    ///
    /// The same policy and options give the same bytes on every machine. The file contains digests of secrets, never a
    /// secret, and the data of the [`Report`]. Writes each part with one call; linear in the size, with one pass of
    /// SHA-256.
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
        let (rows, slots) = (bytemuck::cast_slice(compiled.tokens.rows()), compiled.tokens.slots());
        let terms = bytemuck::cast_slice(compiled.tokens.terms());
        let (grants, texts, referers) =
            (compiled.grants.as_bytes(), compiled.texts.as_bytes(), compiled.referers.as_bytes());
        let parts = [head.as_slice(), rows, terms, slots, grants, texts, referers, matchers.as_slice()];
        let (front, id) = frame::write(&parts);
        out.write_all(&front)?;
        for part in parts {
            out.write_all(part)?;
            out.write_all(frame::padding(part.len()))?;
        }
        Ok(id)
    }

    /// Computes the content id of the file that [`Snapshot::write`] would write, with one pass of SHA-256 over the
    /// snapshot.
    ///
    /// For a loaded snapshot, [`Report::content_id`] is the id that the file states, and this method computes the id of
    /// the actual contents.
    ///
    /// # Errors
    ///
    /// See [`WriteError`].
    pub fn content_id(&self) -> Result<ContentId, WriteError> {
        self.write(&mut io::sink())
    }

    /// Loads the compiled policy in the file at `path`, without compiling.
    ///
    /// Reads the file once and verifies the checksum of every byte. The file does not stay mapped or open. Does not
    /// recompute the content id: see [`Snapshot::content_id`].
    ///
    /// # Errors
    ///
    /// See [`ReadError`]. Returns a snapshot only if the whole file is valid.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, ReadError> {
        read(&source::Disk::new(File::open(path)?)?)
    }

    /// Loads a compiled policy from `bytes`, which it copies. See [`Snapshot::open`].
    ///
    /// # Errors
    ///
    /// See [`ReadError`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ReadError> {
        read(bytes)
    }
}

/// Corrects all checksums of `bytes`, so that tests can load contents that no compilation wrote.
///
/// Returns `false` if `bytes` does not have the parts of a compiled policy.
#[doc(hidden)]
pub fn reseal(bytes: &mut [u8]) -> bool {
    frame::reseal(bytes).is_some()
}

fn read(source: &(impl Source + ?Sized)) -> Result<Snapshot, ReadError> {
    if cfg!(target_endian = "big") {
        return Err(ReadError::BigEndian);
    }
    let frame = &Frame::read(source)?;
    // Uses two threads if possible: each copies and verifies about half of the file.
    let ((head, rows, terms, texts, referers), (slots, grants, matchers)) = std::thread::scope(|scope| {
        let part = |part| frame.part(source, part);
        let second_half =
            move || -> Result<_, ReadError> { Ok((part(Part::Slots)?, part(Part::Grants)?, part(Part::Matchers)?)) };
        let thread = std::thread::Builder::new().spawn_scoped(scope, second_half);
        let first_half = || -> Result<_, ReadError> {
            let (head, rows, terms) = (part(Part::Head)?, part(Part::Rows)?, part(Part::Terms)?);
            Ok((head, rows, terms, part(Part::Texts)?, part(Part::Referers)?))
        };
        let first = first_half();
        let second = match thread {
            // Joining fails only if the thread panicked, and its code does not panic.
            Ok(thread) => thread.join().unwrap_or(Err(ReadError::Malformed { part: "contents" })),
            // If no thread can be started, this thread reads both halves.
            Err(_) => second_half(),
        };
        Ok::<_, ReadError>((first?, second?))
    })?;
    let head = Head::read(&head).ok_or(ReadError::Malformed { part: "head" })?;
    let context = head.context().ok_or(ReadError::Malformed { part: "connections and APIs" })?;
    let terms = bytemuck::try_cast_slice(&terms).map_err(|_| ReadError::Malformed { part: "terms" })?;
    let tokens = TokenTable::from_parts(rows, terms.to_vec(), slots, (head.index_mask, head.seed));
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
