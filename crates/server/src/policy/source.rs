//! Where a policy comes from.

use std::fmt;
use std::path::{Path, PathBuf};

use super::contents::Contents;
use super::files::{Files, Timing};
use super::watch::Tell;
use portcullis_document::load::Input;
use portcullis_registry::{Changes, Location, Registry, RegistryError};

/// More changes at once than this are read as a whole.
const MOST_CHANGES: usize = 1_000;

/// Where a policy comes from: files that are one policy together, or a registry.
///
/// ```
/// use portcullis_server::policy::Source;
///
/// assert_eq!(Source::files(["a.json", "b.json"])?.to_string(), "a.json, b.json");
/// assert!(Source::files(["a.json", "a.json"]).is_err());
/// # Ok::<(), portcullis_server::policy::SourceError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    from: From,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum From {
    Files(Vec<PathBuf>),
    Registry(Location),
}

/// Files that cannot be a policy's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// There is none.
    #[error("no file is named: a policy is read from one or more")]
    None,
    /// Standard input ends once; it cannot change.
    #[error("`-` cannot be read again when it changes: name a file")]
    Stdin,
    /// The same file twice.
    #[error("`{}` is named twice", .0.display())]
    Twice(PathBuf),
}

impl Source {
    /// These files, which are one policy together.
    ///
    /// # Errors
    ///
    /// If there is none, or one is named twice or is `-`.
    pub fn files<P: AsRef<Path>>(paths: impl IntoIterator<Item = P>) -> Result<Self, SourceError> {
        let mut files: Vec<PathBuf> = Vec::new();
        for path in paths {
            let path = path.as_ref();
            if path == Path::new("-") {
                return Err(SourceError::Stdin);
            }
            if files.iter().any(|file| file == path) {
                return Err(SourceError::Twice(path.to_owned()));
            }
            files.push(path.to_owned());
        }
        if files.is_empty() { Err(SourceError::None) } else { Ok(Self { from: From::Files(files) }) }
    }

    /// All tokens of this registry.
    pub fn registry(location: Location) -> Self {
        Self { from: From::Registry(location) }
    }

    /// The registry, if it is one.
    pub fn location(&self) -> Option<&Location> {
        match &self.from {
            From::Registry(location) => Some(location),
            From::Files(_) => None,
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.from {
            From::Registry(location) => location.fmt(f),
            From::Files(files) => {
                let files: Vec<_> = files.iter().map(|file| file.display().to_string()).collect();
                f.write_str(&files.join(", "))
            }
        }
    }
}

/// A source that is read again and again.
pub(super) enum Reader {
    Files(Files),
    Registry(Watched),
}

impl Reader {
    /// A reader of `source`. Of files it reads at most `max_bytes` in all.
    pub(super) fn new(source: &Source, max_bytes: u64, tell: Tell) -> Self {
        match &source.from {
            From::Files(files) => Self::Files(Files::new(files.clone(), max_bytes, tell)),
            From::Registry(location) => Self::Registry(Watched { location: location.clone(), open: None, seen: None }),
        }
    }

    /// Whether the source is another than it was when it was last read. Cheap.
    pub(super) fn changed(&mut self) -> bool {
        match self {
            Self::Files(files) => files.changed(),
            Self::Registry(registry) => registry.changed(),
        }
    }

    /// The few tokens of a registry that have changed since it was read; `None` where all is to be read.
    pub(super) fn changes(&mut self) -> Option<Changes> {
        match self {
            Self::Files(_) => None,
            Self::Registry(registry) => registry.changes(),
        }
    }

    /// Reads the source; else says why it cannot be read.
    pub(super) fn read(&mut self, timing: &Timing) -> Result<Contents, Vec<String>> {
        match self {
            Self::Files(files) => files.read(timing).map_err(|errors| errors.iter().map(ToString::to_string).collect()),
            Self::Registry(registry) => {
                registry.read().map(Contents::Documents).map_err(|error| vec![error.to_string()])
            }
        }
    }
}

/// A registry that others change.
pub(super) struct Watched {
    location: Location,
    open: Option<Open>,
    /// What it was like when it was last looked at; `None` where that could not be told.
    seen: Option<Seen>,
}

struct Open {
    registry: Registry,
    file: Option<(u64, u64)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seen {
    data_version: u64,
    revision: u64,
    /// The number of the trail's last entry that was read.
    last: u64,
}

impl Watched {
    fn changed(&mut self) -> bool {
        let is_same_file = self.open.as_ref().is_some_and(|open| open.file == file_number(self.location.path()));
        if !is_same_file {
            // Another file has taken its place, or none: what is open is not what the name says.
            self.open = None;
            let was_there = self.seen.take().is_some();
            return was_there || self.location.path().exists();
        }
        let (Some(open), Some(seen)) = (&mut self.open, self.seen) else { return true };
        let Ok(data_version) = open.registry.data_version() else { return true };
        if data_version == seen.data_version {
            return false;
        }
        match open.registry.revision() {
            Ok(revision) => {
                // What has changed is noted when it is read.
                self.seen = Some(Seen { data_version, revision, ..seen });
                revision != seen.revision
            }
            Err(_) => true,
        }
    }

    /// What has changed since the last look; `None` where all is to be read.
    fn changes(&mut self) -> Option<Changes> {
        let (open, seen) = (self.open.as_mut()?, self.seen.as_mut()?);
        let changes = open.registry.changes_since(seen.last, MOST_CHANGES).ok()??;
        seen.last = changes.last;
        Some(changes)
    }

    fn read(&mut self) -> Result<Vec<Input>, RegistryError> {
        let read = self.read_open();
        if read.is_err() {
            (self.open, self.seen) = (None, None);
        }
        read
    }

    fn read_open(&mut self) -> Result<Vec<Input>, RegistryError> {
        let open = match &mut self.open {
            Some(open) => open,
            none => {
                // Before it is opened: if the file is replaced meanwhile, the next look tells.
                let file = file_number(self.location.path());
                none.insert(Open { registry: Registry::open(&self.location, false)?, file })
            }
        };
        // Before the tokens: what is committed meanwhile is read again.
        let data_version = open.registry.data_version()?;
        let revision = open.registry.revision()?;
        let last = open.registry.last_change()?;
        let document = open.registry.policy_document()?;
        self.seen = Some(Seen { data_version, revision, last });
        Ok(vec![Input::new(self.location.to_string(), document)])
    }
}

/// What a file is, whatever it is called; `None` if there is none or the system does not tell.
#[cfg(unix)]
fn file_number(path: &Path) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(path).ok().map(|metadata| (metadata.dev(), metadata.ino()))
}

#[cfg(not(unix))]
fn file_number(path: &Path) -> Option<(u64, u64)> {
    path.exists().then_some((0, 0))
}
