//! The last good policy, on disk: digests only, never a secret.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::contents::Contents;
use portcullis::base::Timestamp;
use portcullis::model::SecretDigest;
use portcullis_document::load::Input;
use portcullis_registry::owner_only;

/// The version of what is written.
const VERSION: u32 = 1;

/// The name of what is saved.
const SAVED: &str = "policy.json";

/// How each saved policy begins.
const START: &[u8] = b"{\"portcullis_state\":";

/// What the names of files begin and end with that are written aside.
const ASIDE: (&str, &str) = (".policy-", ".new");

/// How long a directory that is in use is waited for.
const RELEASE: Duration = Duration::from_secs(1);

/// A directory for what must outlive the process. One process uses it at a time.
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
    /// Held as long as the directory is in use.
    _lock: File,
}

/// What is wrong with a state directory, or with what it holds.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// Another process uses it.
    #[error("the state directory `{}` is used by another process: give each its own", .0.display())]
    InUse(PathBuf),
    /// It cannot be read or written.
    #[error("cannot {what} `{}`: {error}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// On which file or directory.
        path: PathBuf,
        /// Why it failed.
        error: io::Error,
    },
    /// What it holds is not what was written.
    #[error("`{}` is not a saved policy: {reason}", path.display())]
    Broken {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A file that no server wrote is where the policy would be saved.
    #[error("`{}` is not a saved policy, and would be written over: give the state a directory of its own", .0.display())]
    NotOurs(PathBuf),
    /// What it holds is the policy of another source.
    #[error("`{}` holds the policy of another source, `{found}`", path.display())]
    OtherSource {
        /// The file.
        path: PathBuf,
        /// That source.
        found: String,
    },
}

/// A policy as it is saved.
#[derive(Serialize, Deserialize)]
struct Saved<'a> {
    portcullis_state: u32,
    at: String,
    /// Where it was read from.
    source: String,
    /// Of the names and texts of the documents.
    sha256: String,
    #[serde(borrow, default, skip_serializing_if = "Vec::is_empty")]
    documents: Vec<SavedDocument<'a>>,
    /// The digest of the compiled policy that stands beside it, instead of documents.
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
    /// Opens the directory, made for its owner alone if it is not there.
    ///
    /// # Errors
    ///
    /// If it cannot be made or opened, or another process uses it, and goes on to for a second: one that ends, or was
    /// killed, or a program that it is just starting, may have it for a moment.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, StateError> {
        let path = path.into();
        owner_only::create_folder(&path).map_err(failed("make", &path))?;
        let saved = path.join(SAVED);
        if !may_replace(&saved).map_err(failed("read", &saved))? {
            return Err(StateError::NotOurs(saved));
        }
        let name = path.join("lock");
        let lock = open_lock(&name).map_err(failed("open", &name))?;
        let end = Instant::now() + RELEASE;
        loop {
            match lock.try_lock() {
                Ok(()) => return Ok(Self { path, _lock: lock }),
                Err(fs::TryLockError::WouldBlock) if Instant::now() < end => std::thread::sleep(RELEASE / 50),
                Err(fs::TryLockError::WouldBlock) => return Err(StateError::InUse(path)),
                Err(fs::TryLockError::Error(error)) => return Err(failed("lock", &name)(error)),
            }
        }
    }

    fn file(&self) -> PathBuf {
        self.path.join(SAVED)
    }

    /// A compiled policy, named by its digest: one that is still needed is never overwritten.
    fn compiled_file(&self, digest: &str) -> PathBuf {
        self.path.join(format!("policy-{digest}.pcls"))
    }

    /// Saves what `source` holds: documents, JSON each and without secrets, or a compiled policy. All of it or nothing,
    /// whatever happens meanwhile.
    ///
    /// # Errors
    ///
    /// If a document is not JSON, or it cannot be written. What was saved before then stays.
    pub fn save(&self, source: &str, contents: &Contents, at: Timestamp) -> Result<(), StateError> {
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
        Ok(())
    }

    /// Removes what earlier saves left: compiled policies that nothing refers to any more, and files that a killed server
    /// wrote aside. Files of other names are not ours. One that cannot be removed does no harm.
    fn sweep(&self, kept: Option<&str>) {
        let files = fs::read_dir(&self.path).into_iter().flatten().filter_map(Result::ok);
        for file in files {
            let name = file.file_name();
            let Some(name) = name.to_str() else { continue };
            let is_left = match saved_digest(name) {
                Some(digest) => kept != Some(digest),
                None => name.starts_with(ASIDE.0) && name.ends_with(ASIDE.1),
            };
            if is_left && file.file_type().is_ok_and(|kind| kind.is_file()) {
                let _ = fs::remove_file(file.path());
            }
        }
    }

    /// What was last saved of `source`, and when; `None` if nothing ever was.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, is damaged, or holds the policy of another source, which is not what the operator asks for.
    pub fn saved(&self, source: &str) -> Result<Option<(Contents, Timestamp)>, StateError> {
        let path = self.file();
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed("read", &path)(error)),
        };
        let broken = |reason: String| StateError::Broken { path: path.clone(), reason };
        let saved: Saved<'_> = serde_json::from_str(&text).map_err(|error| broken(error.to_string()))?;
        if saved.portcullis_state != VERSION {
            return Err(broken(format!("its version is {}, this one knows {VERSION}", saved.portcullis_state)));
        }
        if saved.sha256 != digest(&saved.source, &saved.documents, saved.compiled.as_deref()) {
            return Err(broken("its checksum is another".to_owned()));
        }
        if saved.source != source {
            return Err(StateError::OtherSource { found: saved.source, path });
        }
        let at = saved.at.parse().map_err(|error| broken(format!("{error}")))?;
        let Some(digest) = saved.compiled else {
            let inputs = saved.documents.iter().map(|saved| Input::new(&*saved.name, saved.document.get()));
            return Ok(Some((Contents::Documents(inputs.collect()), at)));
        };
        let path = self.compiled_file(&digest);
        let bytes = fs::read(&path).map_err(failed("read", &path))?;
        if hex(&bytes) != digest {
            return Err(StateError::Broken { path, reason: "its checksum is another".to_owned() });
        }
        Ok(Some((Contents::Compiled(bytes), at)))
    }
}

fn digest(source: &str, documents: &[SavedDocument<'_>], compiled: Option<&str>) -> String {
    let names = documents.iter().map(|saved| (&*saved.name, saved.document.get()));
    let mut all = String::new();
    // Lengths keep apart what stands side by side.
    for part in std::iter::once(source).chain(names.flat_map(|(name, text)| [name, text])).chain(compiled) {
        all.push_str(&part.len().to_string());
        all.push(':');
        all.push_str(part);
    }
    hex(all.as_bytes())
}

/// The SHA-256 of `bytes`, in hexadecimal digits.
fn hex(bytes: &[u8]) -> String {
    SecretDigest::from(<[u8; 32]>::from(Sha256::digest(bytes))).to_hex()
}

/// The digest in the name of a compiled policy that was saved.
fn saved_digest(name: &str) -> Option<&str> {
    let digest = name.strip_prefix("policy-")?.strip_suffix(".pcls")?;
    (digest.len() == 64 && digest.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))).then_some(digest)
}

/// Whether nothing is there, or what a server saved, damaged or not.
fn may_replace(path: &Path) -> io::Result<bool> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        Err(error) => return Err(error),
        Ok(found) if !found.is_file() => return Ok(false),
        Ok(_) => {}
    }
    let mut start = Vec::new();
    File::open(path)?.take(START.len() as u64).read_to_end(&mut start)?;
    Ok(START.starts_with(&start))
}

/// Opens the file that is locked while the directory is in use.
fn open_lock(path: &Path) -> io::Result<File> {
    match owner_only::create_file(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        other => return other,
    }
    if !fs::symlink_metadata(path)?.is_file() {
        return Err(io::Error::other("it is no ordinary file"));
    }
    // What was saved can be read where nothing can be written.
    OpenOptions::new().append(true).open(path).or_else(|error| File::open(path).map_err(|_| error))
}

/// Puts `text` at `path` so that at every moment the old or the new text is there, after a loss of power, too.
fn replace(path: &Path, text: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let aside = tempfile::Builder::new().prefix(ASIDE.0).suffix(ASIDE.1).tempfile_in(folder);
    // Without the name of the file, which is another at each attempt: the same failure is logged once.
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
