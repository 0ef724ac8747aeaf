//! A registry that other processes change, read again after each change.

use std::path::Path;

use crate::{Changes, LastChange, Location, Registry, Result};

/// A registry that other processes change.
///
/// Opens the registry when it is first needed, and again after its file was replaced. After an error, the next read opens
/// it again.
#[derive(Debug)]
pub struct WatchedRegistry {
    location: Location,
    open: Option<Open>,
    /// The state of the registry at the last check; `None` if unknown.
    last_read: Option<ReadState>,
}

/// A state of a registry, which is known without reading its tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistryVersion {
    /// Device and inode of the file; `None` for PostgreSQL.
    file: Option<(u64, u64)>,
    revision: u64,
    newest: LastChange,
}

#[derive(Debug)]
struct Open {
    registry: Registry,
    file: Option<(u64, u64)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct ReadState {
    data_version: u64,
    revision: u64,
    /// The last trail entry at the last check.
    newest: LastChange,
    /// The last trail entry whose change was read.
    last: LastChange,
}

impl WatchedRegistry {
    /// Watches the registry at `location`. Opens nothing.
    pub fn new(location: Location) -> Self {
        Self { location, open: None, last_read: None }
    }

    /// Returns the location of the registry.
    pub fn location(&self) -> &Location {
        &self.location
    }

    /// Whether the registry has changed since it was last read. Cheap.
    pub fn changed(&mut self) -> bool {
        let is_same_file = self.open.as_ref().is_some_and(|open| open.file == self.file());
        if !is_same_file {
            // The path names another file or none: the open registry is not the one that it names.
            self.open = None;
            let was_there = self.last_read.take().is_some();
            return was_there || self.location.path().is_none_or(Path::exists);
        }
        let (Some(open), Some(last_read)) = (&mut self.open, &mut self.last_read) else { return true };
        let Ok(data_version) = open.registry.data_version() else {
            // A connection that was lost stays lost: the next read makes another one.
            if self.location.path().is_none() {
                (self.open, self.last_read) = (None, None);
            }
            return true;
        };
        if data_version == last_read.data_version {
            return false;
        }
        match open.registry.version() {
            Ok((revision, newest)) => {
                let is_changed = revision != last_read.revision || newest != last_read.newest;
                // The trail position advances when the changes are read.
                (last_read.data_version, last_read.revision, last_read.newest) = (data_version, revision, newest);
                is_changed
            }
            Err(_) => true,
        }
    }

    /// Returns the changes since the last check; `None` if the whole registry must be read, also for more than `max`.
    pub fn changes(&mut self, max: usize) -> Option<Changes> {
        let (open, last_read) = (self.open.as_mut()?, self.last_read.as_mut()?);
        let changes = open.registry.changes_since(&last_read.last, max).ok()??;
        last_read.last.clone_from(&changes.last);
        Some(changes)
    }

    /// Returns the policy for decisions as a document: see [`Registry::policy_document`].
    ///
    /// # Errors
    ///
    /// If the registry cannot be opened or read.
    pub fn read(&mut self) -> Result<String> {
        let read = self.state().and_then(|state| {
            let document = self.opened()?.registry.policy_document()?;
            self.last_read = Some(state);
            Ok(document)
        });
        if read.is_err() {
            (self.open, self.last_read) = (None, None);
        }
        read
    }

    /// Returns the version that was last read, or that the last check found; `None` before, and after an error.
    pub fn version(&self) -> Option<RegistryVersion> {
        let (open, last_read) = (self.open.as_ref()?, self.last_read.as_ref()?);
        Some(RegistryVersion { file: open.file, revision: last_read.revision, newest: last_read.newest.clone() })
    }

    /// Continues after `known`, which another watcher has read. Returns whether the registry is still that version: then it
    /// has not changed until the next change.
    pub fn continues(&mut self, known: &RegistryVersion) -> bool {
        let state = self.state();
        self.last_read = state.ok();
        let is_known = self.version().as_ref() == Some(known);
        if !is_known {
            self.last_read = None;
        }
        is_known
    }

    /// Returns the state before the tokens are read: a commit during the read is read again.
    fn state(&mut self) -> Result<ReadState> {
        let registry = &mut self.opened()?.registry;
        let data_version = registry.data_version()?;
        let (revision, newest) = registry.version()?;
        Ok(ReadState { data_version, revision, last: newest.clone(), newest })
    }

    fn opened(&mut self) -> Result<&mut Open> {
        match &mut self.open {
            Some(open) => Ok(open),
            none => {
                // Before opening: if the file is replaced meanwhile, the next check detects it.
                let file = self.location.path().and_then(file_number);
                Ok(none.insert(Open { registry: Registry::open(&self.location, false)?, file }))
            }
        }
    }

    /// Returns the identity of the file that the location names; `None` for PostgreSQL.
    fn file(&self) -> Option<(u64, u64)> {
        self.location.path().and_then(file_number)
    }
}

/// Returns the identity of a file, whatever its name; `None` if it does not exist or the system reports none.
#[cfg(unix)]
fn file_number(path: &Path) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(path).ok().map(|metadata| (metadata.dev(), metadata.ino()))
}

#[cfg(not(unix))]
fn file_number(path: &Path) -> Option<(u64, u64)> {
    path.exists().then_some((0, 0))
}
