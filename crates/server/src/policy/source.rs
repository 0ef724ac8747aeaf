//! The source of a policy.

use std::fmt;
use std::path::{Path, PathBuf};

use super::contents::Contents;
use super::files::{Files, Timing};
use super::watch::OnTouch;
use portcullis::base::quoted;
use portcullis_document::load::Input;
use portcullis_registry::{Changes, Location, WatchedRegistry};

/// The number of changes above which a registry is read as a whole.
const MAX_CHANGES: usize = 1_000;

/// The source of a policy: files that form one policy, or a registry.
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

/// Why files cannot be the source of a policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// There is no file.
    #[error("no file is named: name one or more policy files")]
    None,
    /// A pipe or a device can be read only once.
    #[error("{} is not a regular file, so it cannot be read again when it changes: name a file", quoted(&.0.to_string_lossy()))]
    NotFile(PathBuf),
    /// Standard input is named.
    #[error("`-` cannot be read again when it changes: name a file")]
    Stdin,
    /// A file is named twice.
    #[error("`{}` is named twice", .0.display())]
    Twice(PathBuf),
}

impl Source {
    /// Returns a source of files that form one policy.
    ///
    /// # Errors
    ///
    /// If there is no file, or one is named twice or is `-`.
    pub fn files<P: AsRef<Path>>(paths: impl IntoIterator<Item = P>) -> Result<Self, SourceError> {
        let mut files: Vec<PathBuf> = Vec::new();
        for path in paths {
            let path = path.as_ref();
            if path == Path::new("-") {
                return Err(SourceError::Stdin);
            }
            if std::fs::metadata(path).is_ok_and(|metadata| !metadata.is_file() && !metadata.is_dir()) {
                return Err(SourceError::NotFile(path.to_owned()));
            }
            if files.iter().any(|file| file == path) {
                return Err(SourceError::Twice(path.to_owned()));
            }
            files.push(path.to_owned());
        }
        if files.is_empty() { Err(SourceError::None) } else { Ok(Self { from: From::Files(files) }) }
    }

    /// Returns a source of all tokens of a registry.
    pub fn registry(location: Location) -> Self {
        Self { from: From::Registry(location) }
    }

    /// Returns the location of the registry, if the source is one.
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

/// A source that is read repeatedly.
pub(super) enum Reader {
    Files(Files),
    Registry(WatchedRegistry),
}

impl Reader {
    /// Creates a reader of `source`, which reads at most `max_bytes` of files in all.
    pub(super) fn new(source: &Source, max_bytes: u64, on_touch: OnTouch) -> Self {
        match &source.from {
            From::Files(files) => Self::Files(Files::new(files.clone(), max_bytes, on_touch)),
            From::Registry(location) => Self::Registry(WatchedRegistry::new(location.clone())),
        }
    }

    /// Whether the source has changed since it was last read. Cheap.
    pub(super) fn changed(&mut self) -> bool {
        match self {
            Self::Files(files) => files.changed(),
            Self::Registry(registry) => registry.changed(),
        }
    }

    /// Returns the few tokens of a registry that changed since it was read; `None` if the whole source must be read.
    pub(super) fn changes(&mut self) -> Option<Changes> {
        match self {
            Self::Files(_) => None,
            Self::Registry(registry) => registry.changes(MAX_CHANGES),
        }
    }

    /// Reads the source, or returns why it cannot be read.
    pub(super) fn read(&mut self, timing: &Timing) -> Result<Contents, Vec<String>> {
        match self {
            Self::Files(files) => files.read(timing).map_err(|errors| errors.iter().map(ToString::to_string).collect()),
            Self::Registry(registry) => {
                let document = registry.read().map_err(|error| vec![error.to_string()])?;
                Ok(Contents::Documents(vec![Input::generated(registry.location().to_string(), document)]))
            }
        }
    }
}
