//! Policies from bytes and files.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::path::Path;
use std::time::SystemTime;

use portcullis::snapshot::{MAGIC, Options, Snapshot};
use portcullis_document::load::{Input, LoadOptions, Unreadable, load};

/// The limit of a policy, in bytes.
pub const MAX_POLICY: usize = 256 << 20;

/// The identity of a version of a file, which is known without reading the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    /// Device, inode, and the time when the metadata last changed.
    file: (u64, u64, i64, i64),
    bytes: u64,
    modified: Option<SystemTime>,
}

/// Compiles the policy in `bytes`: a JSON document, or a compiled policy. `name` is used in errors.
///
/// # Errors
///
/// If the bytes are not a valid policy.
pub fn snapshot(name: &str, bytes: Vec<u8>) -> Result<Snapshot, String> {
    if bytes.starts_with(&MAGIC) {
        return Snapshot::from_bytes(&bytes).map_err(|error| format!("cannot read `{name}`: {error}"));
    }
    let input = Input::from_bytes(name.to_owned(), Ok(bytes)).map_err(|error| error.to_string())?;
    let policy = load(&[input], &LoadOptions::default()).into_policy().map_err(|error| error.to_string())?;
    Snapshot::compile(&policy, &Options::default()).map_err(|error| format!("cannot compile `{name}`: {error}"))
}

/// A version of a file.
#[derive(Debug)]
pub struct Version {
    /// The content.
    pub bytes: Vec<u8>,
    /// The identity.
    pub stamp: Stamp,
}

/// Reads the file at `path`. Pipes and devices are rejected with an error.
///
/// # Errors
///
/// If the file cannot be read, or is larger than [`MAX_POLICY`].
pub fn read(path: &Path) -> Result<Version, String> {
    read_regular(path).map_err(|error| Unreadable::new(&path.display().to_string(), &error).to_string())
}

/// Reads and compiles the file at `path`, and returns the stamp of the version that was read.
///
/// # Errors
///
/// If the file cannot be read, or is not a valid policy.
pub fn file(path: &Path) -> Result<(Snapshot, Stamp), String> {
    let Version { bytes, stamp } = read(path)?;
    Ok((snapshot(&path.display().to_string(), bytes)?, stamp))
}

/// Returns the stamp of the file at `path`; `None` if it is not there.
pub fn stamp(path: &Path) -> Option<Stamp> {
    std::fs::metadata(path).ok().map(|metadata| Stamp::of(&metadata))
}

fn read_regular(path: &Path) -> io::Result<Version> {
    // Opening a device may have effects: check first. The file may be replaced before it is opened: check again then.
    check(&std::fs::metadata(path)?)?;
    let file = open(path)?;
    let metadata = file.metadata()?;
    check(&metadata)?;
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(usize::try_from(metadata.len()).unwrap_or(usize::MAX)).map_err(io::Error::from)?;
    // One more byte shows that the file has grown.
    (&file).take(MAX_POLICY as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > MAX_POLICY {
        return Err(too_large());
    }
    Ok(Version { bytes, stamp: Stamp::of(&metadata) })
}

/// Opens `path` without waiting for the writer of a pipe.
fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    {
        use rustix::fs::OFlags;
        use std::os::unix::fs::OpenOptionsExt;
        options.custom_flags((OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed());
    }
    options.open(path)
}

fn check(metadata: &Metadata) -> io::Result<()> {
    match metadata {
        // The error names the folder, with a fix.
        metadata if metadata.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
        metadata if !metadata.is_file() => Err(io::Error::other("it is not a regular file")),
        metadata if metadata.len() > MAX_POLICY as u64 => Err(too_large()),
        _ => Ok(()),
    }
}

fn too_large() -> io::Error {
    io::Error::other(format!("it has more than {MAX_POLICY} bytes; help: remove tokens that are not used"))
}

impl Stamp {
    /// Whether both stamps are of one file, perhaps of different versions.
    pub fn is_same_file(&self, other: &Self) -> bool {
        (self.file.0, self.file.1) == (other.file.0, other.file.1)
    }

    fn of(metadata: &Metadata) -> Self {
        Self { file: identity(metadata), bytes: metadata.len(), modified: metadata.modified().ok() }
    }
}

#[cfg(unix)]
fn identity(metadata: &Metadata) -> (u64, u64, i64, i64) {
    use std::os::unix::fs::MetadataExt;
    (metadata.dev(), metadata.ino(), metadata.ctime(), metadata.ctime_nsec())
}

#[cfg(not(unix))]
fn identity(_: &Metadata) -> (u64, u64, i64, i64) {
    (0, 0, 0, 0)
}
