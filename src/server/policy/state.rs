//! The last good policy, on disk: digests only, never a secret.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::base::Timestamp;
use crate::load::Input;
use crate::model::SecretDigest;

/// The version of what is written.
const VERSION: u32 = 1;

/// A directory for what must outlive the process. One process uses it at a time.
///
/// ```
/// use portcullis::load::Input;
/// use portcullis::server::policy::StateDir;
///
/// let folder = tempfile::tempdir()?;
/// let state = StateDir::open(folder.path())?;
/// let document = Input::new("policy.json", r#"{"tokens": []}"#);
/// state.save("policy.json", &[document.clone()], "2026-11-24T12:00:00Z".parse()?)?;
/// let (documents, _) = state.saved("policy.json")?.unwrap();
/// assert_eq!(documents, [document]);
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
    #[serde(borrow)]
    documents: Vec<SavedDocument<'a>>,
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
    /// If it cannot be made or written, or another process uses it.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, StateError> {
        let path = path.into();
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(&path).map_err(failed("make", &path))?;
        let name = path.join("lock");
        let lock = private().open(&name).map_err(failed("open", &name))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path, _lock: lock }),
            Err(fs::TryLockError::WouldBlock) => Err(StateError::InUse(path)),
            Err(fs::TryLockError::Error(error)) => Err(failed("lock", &name)(error)),
        }
    }

    fn file(&self) -> PathBuf {
        self.path.join("policy.json")
    }

    /// Saves the `documents` of `source`: JSON each, without secrets. All of it or nothing, whatever happens meanwhile.
    ///
    /// # Errors
    ///
    /// If a document is not JSON, or it cannot be written. What was saved before then stays.
    pub fn save(&self, source: &str, documents: &[Input], at: Timestamp) -> Result<(), StateError> {
        let path = self.file();
        let broken = |error: serde_json::Error| StateError::Broken { path: self.file(), reason: error.to_string() };
        let document = |input| {
            let document = serde_json::from_str(Input::text(input))?;
            Ok(SavedDocument { name: input.name().to_owned(), document })
        };
        let documents: Vec<_> = documents.iter().map(document).collect::<Result<_, _>>().map_err(broken)?;
        let saved = Saved {
            portcullis_state: VERSION,
            at: at.to_string(),
            source: source.to_owned(),
            sha256: digest(source, &documents),
            documents,
        };
        let mut text = serde_json::to_vec(&saved).map_err(broken)?;
        text.push(b'\n');
        replace(&path, &text).map_err(failed("write", &path))
    }

    /// The documents last saved of `source`, and when; `None` if nothing ever was.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, is damaged, or holds the policy of another source, which is not what the operator asks for.
    pub fn saved(&self, source: &str) -> Result<Option<(Vec<Input>, Timestamp)>, StateError> {
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
        if saved.sha256 != digest(&saved.source, &saved.documents) {
            return Err(broken("its checksum is another".to_owned()));
        }
        if saved.source != source {
            return Err(StateError::OtherSource { found: saved.source, path });
        }
        let at = saved.at.parse().map_err(|error| broken(format!("{error}")))?;
        let documents = saved.documents.iter().map(|saved| Input::new(&*saved.name, saved.document.get())).collect();
        Ok(Some((documents, at)))
    }
}

fn digest(source: &str, documents: &[SavedDocument<'_>]) -> String {
    let names = documents.iter().map(|saved| (&*saved.name, saved.document.get()));
    let mut all = String::new();
    // Lengths keep apart what stands side by side.
    for part in std::iter::once(source).chain(names.flat_map(|(name, text)| [name, text])) {
        all.push_str(&part.len().to_string());
        all.push(':');
        all.push_str(part);
    }
    SecretDigest::of(&all).to_hex()
}

/// Puts `text` at `path` so that at every moment the old or the new text is there, after a loss of power, too.
fn replace(path: &Path, text: &[u8]) -> io::Result<()> {
    let new = path.with_extension("json.new");
    // One that was left behind may have others' permissions.
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = private().create_new(true).open(&new)?;
    file.write_all(text)?;
    file.sync_all()?;
    drop(file);
    fs::rename(&new, path)?;
    #[cfg(unix)]
    if let Some(folder) = path.parent() {
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}

/// For its owner alone.
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

fn failed(what: &'static str, path: &Path) -> impl Fn(io::Error) -> StateError {
    let path = path.to_owned();
    move |error| StateError::Io { what, path: path.clone(), error }
}
