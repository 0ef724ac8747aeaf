//! The files that SQLite keeps next to a database. SQLite overwrites or removes a file with one of their names, whatever
//! it holds.

use std::ffi::OsString;
use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::error::{Result, storage};
use crate::words::quoted;

/// A file that SQLite keeps next to a database.
#[derive(Debug, Clone, Copy)]
enum Sibling {
    /// The write-ahead log.
    Log,
    /// The index of the log.
    Index,
    /// The rollback journal, before the database has a log.
    Journal,
}

impl Sibling {
    const ALL: [Self; 3] = [Self::Log, Self::Index, Self::Journal];

    fn beside(self, database: &Path) -> PathBuf {
        let mut name = OsString::from(database);
        name.push(match self {
            Self::Log => "-wal",
            Self::Index => "-shm",
            Self::Journal => "-journal",
        });
        name.into()
    }

    /// Whether SQLite may have written the file at `path`. The index is not opened: closing it would release the locks that
    /// this process holds on it.
    fn is_genuine(self, path: &Path, found: &Metadata) -> io::Result<bool> {
        /// The prefixes of a log, whose last bit is the byte order of its checksums.
        const LOGS: [&[u8]; 2] = [&[0x37, 0x7f, 0x06, 0x82], &[0x37, 0x7f, 0x06, 0x83]];
        /// The prefixes of a journal. It is overwritten by zeros when it is no longer needed.
        const JOURNALS: [&[u8]; 2] = [&[0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7], &[0; 8]];
        /// The unit by which an index grows, in bytes.
        const INDEX_UNIT: u64 = 4096;
        if !found.is_file() {
            return Ok(false);
        }
        match self {
            _ if found.len() == 0 => Ok(true),
            Self::Log => starts_with_any(path, LOGS),
            Self::Journal => starts_with_any(path, JOURNALS),
            Self::Index => Ok(found.len().is_multiple_of(INDEX_UNIT)),
        }
    }
}

fn starts_with_any(path: &Path, prefixes: [&[u8]; 2]) -> io::Result<bool> {
    let mut start = Vec::new();
    File::open(path)?.take(8).read_to_end(&mut start)?;
    Ok(prefixes.iter().any(|prefix| start.starts_with(prefix)))
}

/// Returns the first file next to `database`: a log, an index of a log, or a journal. A link to nothing counts.
pub(super) fn first(database: &Path) -> Option<PathBuf> {
    Sibling::ALL.into_iter().map(|sibling| sibling.beside(database)).find(|path| fs::symlink_metadata(path).is_ok())
}

/// Checks that SQLite wrote each file next to `database` that it would overwrite or remove.
///
/// # Errors
///
/// If such a file is another program's.
pub(super) fn check(database: &Path) -> Result<()> {
    for sibling in Sibling::ALL {
        let path = sibling.beside(database);
        // A file that another process removes meanwhile is not an obstacle.
        let Ok(found) = fs::symlink_metadata(&path) else { continue };
        if !sibling.is_genuine(&path, &found).unwrap_or(true) {
            let (file, name) = (quoted(&path.display().to_string()), quoted(&database.display().to_string()));
            return Err(storage(
                format!("{file} is not a part of the registry {name}, but opening the registry would remove it"),
                format!("move {file} to another folder"),
            ));
        }
    }
    Ok(())
}
