//! The access that a process has to the files of a database.
//!
//! SQLite writes even to read a database with a write-ahead log: it creates the log (`-wal`) and its index (`-shm`). A
//! process that may not do so has two ways to read:
//!
//! - A process has the database open, so log and index exist: they are read, and show each commit.
//! - No process has it open, so neither exists and the database file is the whole state. It is read as immutable: without
//!   locks. `Files` checks after each read that the file did not change meanwhile.

use std::path::{Path, PathBuf};

use crate::error::{Result, storage};
use crate::storage::Purpose;
use crate::words::quoted;

/// The access to a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// Reads and writes.
    Write,
    /// Reads a database that other processes may write.
    Read,
    /// Reads a database that no process has open, without locks.
    Frozen,
}

impl Access {
    /// Returns the access to the existing database at `path`, whose log and index are `parts`.
    ///
    /// # Errors
    ///
    /// If the `purpose` needs more than this process may do.
    pub(super) fn to(path: &Path, parts: &[PathBuf; 2], purpose: Purpose) -> Result<Self> {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let has_log = parts.iter().all(|part| part.exists());
        if is_writable(path) && (is_writable(folder) || (has_log && parts.iter().all(|part| is_writable(part)))) {
            return Ok(Self::Write);
        }
        if purpose != Purpose::Read {
            let (file, folder) = (quoted(&path.display().to_string()), quoted(&folder.display().to_string()));
            return Err(storage(
                format!("the registry {file} is read-only"),
                format!("you need permission to write to {file} and to its folder {folder}"),
            ));
        }
        let is_used = |part: &PathBuf| std::fs::metadata(part).is_ok_and(|found| found.len() > 0);
        Ok(if has_log || parts.iter().any(is_used) { Self::Read } else { Self::Frozen })
    }
}

#[cfg(unix)]
fn is_writable(path: &Path) -> bool {
    // Opening the file instead would release the locks that this process holds on it.
    rustix::fs::access(path, rustix::fs::Access::WRITE_OK).is_ok()
}

#[cfg(not(unix))]
fn is_writable(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|found| !found.permissions().readonly())
}
