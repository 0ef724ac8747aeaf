//! The last good policy on disk: digests only, never a secret.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::contents::Contents;
use super::files;
use portcullis::base::{Timestamp, system_words};
use portcullis::model::SecretDigest;
use portcullis::snapshot::MAGIC;
use portcullis_document::definition::json_message;
use portcullis_document::load::Input;
use portcullis_registry::owner_only;

/// The version of the format.
const VERSION: u32 = 1;

/// The file name of the saved policy.
const SAVED: &str = "policy.json";

/// The name of the file that is locked while the directory is in use.
const LOCK: &str = "lock";

/// The prefix of every saved policy.
const START: &[u8] = b"{\"portcullis_state\":";

/// The prefix and suffix of temporary files.
const ASIDE: (&str, &str) = (".policy-", ".new");

/// How long to wait for a directory that is in use.
pub(super) const RELEASE: Duration = Duration::from_secs(1);

/// A directory for data that outlives the process. One process uses it at a time.
///
/// ```
/// use portcullis_document::load::Input;
/// use portcullis_server::policy::{Contents, StateDir};
///
/// let folder = tempfile::tempdir()?;
/// let state = StateDir::open(folder.path())?;
/// let policy = Contents::Documents(vec![Input::new("policy.json", r#"{"tokens": []}"#)]);
/// state.save("policy.json", &policy, "2026-11-24T12:00:00Z".parse()?)?;
/// let (saved, _) = state.saved("policy.json")?.unwrap();
/// assert_eq!(saved, policy);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct StateDir {
    path: PathBuf,
    /// Held while the directory is in use; a new file after another directory replaced it.
    lock: Mutex<File>,
    /// The saved files, as they were after the last save.
    kept: Mutex<Vec<(PathBuf, Option<Stamp>)>>,
}

/// Returns the words of an error of a state directory, with a fix.
fn io_words(error: &io::Error) -> String {
    let reason = system_words(error);
    match error.kind() {
        io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory => {
            format!("{reason}; help: name a folder of its own with `--state-dir`")
        }
        io::ErrorKind::PermissionDenied => {
            format!("{reason}; help: let the user of this process write to the folder")
        }
        _ => reason,
    }
}

/// Why a state directory, or its contents, cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// Another process uses the directory.
    #[error("the state directory `{}` is used by another process: use a separate directory for each", .0.display())]
    InUse(PathBuf),
    /// The directory was removed.
    #[error("the state directory `{}` is missing: create it again, or move it back", .0.display())]
    Missing(PathBuf),
    /// Its file system does not answer.
    #[error(
        "the state directory `{}` has not answered for {} s: check its file system, or name another directory",
        path.display(), patience.as_secs_f32()
    )]
    Hangs {
        /// The directory.
        path: PathBuf,
        /// How long the server waited.
        patience: Duration,
    },
    /// A file or directory cannot be read or written.
    #[error("cannot {what} `{}`: {}", path.display(), io_words(error))]
    Io {
        /// The operation that failed.
        what: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The error of the system.
        error: io::Error,
    },
    /// A file is not in the saved format.
    #[error("`{}` is not a saved policy: {reason}", path.display())]
    Broken {
        /// The file.
        path: PathBuf,
        /// The problem.
        reason: String,
    },
    /// A file that no server wrote is where the policy would be saved.
    #[error("`{}` is not a saved policy, and would be overwritten: use a separate state directory", .0.display())]
    NotOurs(PathBuf),
    /// A file holds the policy of another source.
    #[error("`{}` holds the policy of another source, `{found}`", path.display())]
    OtherSource {
        /// The file.
        path: PathBuf,
        /// The other source.
        found: String,
    },
}

/// The saved form of a policy.
#[derive(Serialize, Deserialize)]
struct Saved<'a> {
    portcullis_state: u32,
    at: String,
    /// The source of the policy.
    source: String,
    /// The digest of the source, and of the documents or the digest of the compiled policy.
    sha256: String,
    #[serde(borrow, default, skip_serializing_if = "Vec::is_empty")]
    documents: Vec<SavedDocument<'a>>,
    /// The digest of the compiled policy in a file of its own, instead of documents.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    compiled: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct SavedDocument<'a> {
    name: String,
    #[serde(borrow)]
    document: &'a RawValue,
}

impl StateDir {
    /// Opens the directory. Creates a missing one with mode 0700.
    ///
    /// # Errors
    ///
    /// If it cannot be created or opened, or another process uses it for longer than a second. A process that ends or was
    /// killed, or a program that it is starting, may hold it for a moment.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, StateError> {
        let path = path.into();
        owner_only::create_folder(&path).map_err(failed("make", &path))?;
        let lock = Mutex::new(lock(&path, RELEASE)?);
        Ok(Self { path, lock, kept: Mutex::default() })
    }

    /// Whether servers replace or remove files of this name in their state directories.
    pub fn owns(name: &str) -> bool {
        [SAVED, LOCK].contains(&name) || saved_digest(name).is_some() || is_temporary(name)
    }

    /// Locks the directory again if another one has taken its place; whether that is so.
    fn hold(&self) -> Result<bool, StateError> {
        if let Err(error) = fs::metadata(&self.path) {
            return Err(match error.kind() {
                io::ErrorKind::NotFound => StateError::Missing(self.path.clone()),
                _ => failed("read", &self.path)(error),
            });
        }
        let mut held = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        if is_same(&held, &self.path.join(LOCK)) {
            return Ok(false);
        }
        *held = lock(&self.path, Duration::ZERO)?;
        Ok(true)
    }

    /// Checks that the directory is still the locked one, and that the saved files are unchanged. Locks a directory that
    /// replaced it. Returns `false` if the saved policy is missing or was changed.
    ///
    /// # Errors
    ///
    /// If there is no directory, or another process uses it.
    pub(super) fn is_kept(&self) -> Result<bool, StateError> {
        let is_new = self.hold()?;
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(!is_new && self.file().is_file() && kept.iter().all(|(path, stamp)| stamp_of(path) == *stamp))
    }

    /// Remembers the state of the saved files.
    fn keep(&self, compiled: Option<&str>) {
        let files = std::iter::once(self.file()).chain(compiled.map(|digest| self.compiled_file(digest)));
        let kept = files.map(|path| (stamp_of(&path), path)).map(|(stamp, path)| (path, stamp)).collect();
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = kept;
    }

    fn file(&self) -> PathBuf {
        self.path.join(SAVED)
    }

    /// Returns the file of a compiled policy, named by its digest: one that is still needed is never overwritten.
    fn compiled_file(&self, digest: &str) -> PathBuf {
        self.path.join(format!("policy-{digest}.pcls"))
    }

    /// Saves the contents of `source`: documents, each JSON and without secrets, or a compiled policy. Saves everything or
    /// nothing, even if the process is killed meanwhile.
    ///
    /// # Errors
    ///
    /// If a document is not JSON, if a file cannot be written, or if another process uses a directory that replaced this
    /// one. The policy that was saved before remains.
    pub fn save(&self, source: &str, contents: &Contents, at: Timestamp) -> Result<(), StateError> {
        self.hold()?;
        let path = self.file();
        if !may_replace(&path).map_err(failed("read", &path))? {
            return Err(StateError::NotOurs(path));
        }
        let broken = |error: serde_json::Error| StateError::Broken { path: self.file(), reason: error.to_string() };
        let document = |input| {
            let document = serde_json::from_str(Input::text(input))?;
            Ok(SavedDocument { name: input.name().to_owned(), document })
        };
        let (documents, compiled) = match contents {
            Contents::Documents(inputs) => {
                (inputs.iter().map(document).collect::<Result<Vec<_>, _>>().map_err(broken)?, None)
            }
            Contents::Compiled(bytes) => {
                let digest = hex(bytes);
                let file = self.compiled_file(&digest);
                replace(&file, bytes).map_err(failed("write", &file))?;
                (Vec::new(), Some(digest))
            }
        };
        let sha256 = digest(source, &documents, compiled.as_deref());
        let saved = Saved {
            portcullis_state: VERSION,
            at: at.to_string(),
            source: source.to_owned(),
            sha256,
            documents,
            compiled,
        };
        let mut text = serde_json::to_vec(&saved).map_err(broken)?;
        text.push(b'\n');
        replace(&path, &text).map_err(failed("write", &path))?;
        self.sweep(saved.compiled.as_deref());
        self.keep(saved.compiled.as_deref());
        Ok(())
    }

    /// Removes leftovers of earlier saves: unused compiled policies, and temporary files of a killed server. Other files
    /// belong to other programs, also those that only have the name of a leftover. A file that cannot be removed does no
    /// harm.
    fn sweep(&self, kept: Option<&str>) {
        let files = fs::read_dir(&self.path).into_iter().flatten().filter_map(Result::ok);
        for file in files.filter(|file| file.file_type().is_ok_and(|kind| kind.is_file())) {
            let (name, path) = (file.file_name(), file.path());
            let Some(name) = name.to_str() else { continue };
            let is_left = match saved_digest(name) {
                Some(digest) => kept != Some(digest) && read(&path).is_ok_and(|bytes| hex(&bytes) == digest),
                None => is_temporary(name) && starts_as_saved(&path).unwrap_or(false),
            };
            if is_left {
                let _ = fs::remove_file(path);
            }
        }
    }

    /// Returns the saved contents of `source`, and when they were saved; `None` if none ever were.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, is damaged, or holds the policy of another source.
    pub fn saved(&self, source: &str) -> Result<Option<(Contents, Timestamp)>, StateError> {
        let path = self.file();
        let text = match read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed("read", &path)(error)),
        };
        let broken = |reason: String| StateError::Broken { path: path.clone(), reason };
        let saved: Saved<'_> = serde_json::from_slice(&text).map_err(|error| broken(json_message(&error).into()))?;
        if saved.portcullis_state != VERSION {
            return Err(broken(format!("its version is {}, this one knows {VERSION}", saved.portcullis_state)));
        }
        if saved.sha256 != digest(&saved.source, &saved.documents, saved.compiled.as_deref()) {
            return Err(broken("its checksum does not match".to_owned()));
        }
        if saved.source != source {
            return Err(StateError::OtherSource { found: saved.source, path });
        }
        let at = saved.at.parse().map_err(|error| broken(format!("{error}")))?;
        self.keep(saved.compiled.as_deref());
        let Some(digest) = saved.compiled else {
            let inputs = saved.documents.iter().map(|saved| Input::new(&*saved.name, saved.document.get()));
            return Ok(Some((Contents::Documents(inputs.collect()), at)));
        };
        let path = self.compiled_file(&digest);
        let bytes = read(&path).map_err(failed("read", &path))?;
        if hex(&bytes) != digest {
            return Err(StateError::Broken { path, reason: "its checksum does not match".to_owned() });
        }
        Ok(Some((Contents::Compiled(bytes), at)))
    }
}

fn digest(source: &str, documents: &[SavedDocument<'_>], compiled: Option<&str>) -> String {
    let names = documents.iter().map(|saved| (&*saved.name, saved.document.get()));
    let mut all = String::new();
    // The lengths separate adjacent parts.
    for part in std::iter::once(source).chain(names.flat_map(|(name, text)| [name, text])).chain(compiled) {
        all.push_str(&part.len().to_string());
        all.push(':');
        all.push_str(part);
    }
    hex(all.as_bytes())
}

/// Returns the SHA-256 of `bytes`, in hexadecimal digits.
fn hex(bytes: &[u8]) -> String {
    SecretDigest::from(<[u8; 32]>::from(Sha256::digest(bytes))).to_hex()
}

/// Returns the digest in the file name of a saved compiled policy.
fn saved_digest(name: &str) -> Option<&str> {
    let digest = name.strip_prefix("policy-")?.strip_suffix(".pcls")?;
    (digest.len() == 64 && digest.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))).then_some(digest)
}

/// Whether a temporary file of a save has such a name.
fn is_temporary(name: &str) -> bool {
    name.starts_with(ASIDE.0) && name.ends_with(ASIDE.1)
}

/// Whether the file at `path` starts as every saved policy does, compiled or not. It may be incomplete.
fn starts_as_saved(path: &Path) -> io::Result<bool> {
    let mut start = Vec::new();
    files::open(path)?.take(START.len() as u64).read_to_end(&mut start)?;
    Ok([START, &MAGIC].iter().any(|saved| start.starts_with(saved) || saved.starts_with(&start)))
}

/// Whether the path is free, or holds a policy that a server saved, damaged or not.
fn may_replace(path: &Path) -> io::Result<bool> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        Err(error) => return Err(error),
        Ok(found) if !found.is_file() => return Ok(false),
        Ok(_) => {}
    }
    let mut start = Vec::new();
    files::open(path)?.take(START.len() as u64).read_to_end(&mut start)?;
    Ok(START.starts_with(&start))
}

/// Locks the directory at `path`, unless another process does so for longer than `patience`.
fn lock(path: &Path, patience: Duration) -> Result<File, StateError> {
    let saved = path.join(SAVED);
    if !may_replace(&saved).map_err(failed("read", &saved))? {
        return Err(StateError::NotOurs(saved));
    }
    let name = path.join(LOCK);
    let lock = open_lock(&name).map_err(failed("open", &name))?;
    let end = Instant::now() + patience;
    loop {
        match lock.try_lock() {
            Ok(()) => return Ok(lock),
            Err(fs::TryLockError::WouldBlock) if Instant::now() < end => std::thread::sleep(RELEASE / 50),
            Err(fs::TryLockError::WouldBlock) => return Err(StateError::InUse(path.to_owned())),
            Err(fs::TryLockError::Error(error)) => return Err(failed("lock", &name)(error)),
        }
    }
}

/// Whether `file` is what has the name `path`.
#[cfg(unix)]
fn is_same(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let id = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
    file.metadata().map(id).is_ok_and(|held| fs::symlink_metadata(path).map(id).is_ok_and(|found| found == held))
}

#[cfg(not(unix))]
fn is_same(_: &File, path: &Path) -> bool {
    path.exists()
}

/// The identity, size and time of change of a file.
type Stamp = (u64, u64, Option<SystemTime>);

/// Returns the stamp of the file at `path`; `None` if there is none.
fn stamp_of(path: &Path) -> Option<Stamp> {
    let metadata = fs::symlink_metadata(path).ok()?;
    #[cfg(unix)]
    let inode = std::os::unix::fs::MetadataExt::ino(&metadata);
    #[cfg(not(unix))]
    let inode = 0;
    Some((inode, metadata.len(), metadata.modified().ok()))
}

/// Reads an ordinary file, without waiting for the writer of a pipe.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = files::open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Opens the file that is locked while the directory is in use.
fn open_lock(path: &Path) -> io::Result<File> {
    match owner_only::create_file(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        other => return other,
    }
    if !fs::symlink_metadata(path)?.is_file() {
        return Err(io::Error::other("it is not an ordinary file"));
    }
    // A saved policy can be read even if the file system is read-only.
    OpenOptions::new().append(true).open(path).or_else(|error| File::open(path).map_err(|_| error))
}

/// Writes `text` to `path`, so that at every moment the old or the new text is there, even after a power failure.
fn replace(path: &Path, text: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let aside = tempfile::Builder::new().prefix(ASIDE.0).suffix(ASIDE.1).tempfile_in(folder);
    // Without the file name, which differs at each attempt: so the same failure is logged once.
    let mut file = aside.map_err(|error| io::Error::from(error.kind()))?;
    #[cfg(unix)]
    file.as_file().set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    file.as_file_mut().write_all(text)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    #[cfg(unix)]
    File::open(folder)?.sync_all()?;
    Ok(())
}

fn failed(what: &'static str, path: &Path) -> impl Fn(io::Error) -> StateError {
    let path = path.to_owned();
    move |error| StateError::Io { what, path: path.clone(), error }
}
