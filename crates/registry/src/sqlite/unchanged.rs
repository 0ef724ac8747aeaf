//! Removes a registry that a command created and did not change.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteLockingMode};
use sqlx::{ConnectOptions, Connection as _};

use super::files::parts;
use super::{number, runtime};

/// The parts of a path that do not exist yet.
pub(crate) struct Absent {
    file: Option<PathBuf>,
    /// The missing folders, the deepest first.
    folders: Vec<PathBuf>,
}

impl Absent {
    /// Finds the parts of `path` that do not exist.
    pub(crate) fn of(path: &Path) -> Self {
        let file = (!path.exists()).then(|| path.to_owned());
        let folders = path.ancestors().skip(1).filter(|folder| !folder.as_os_str().is_empty());
        Self { file, folders: folders.take_while(|folder| !folder.exists()).map(Path::to_owned).collect() }
    }

    /// Removes the registry that was created at the path, if it has no change, and its folders, if they are empty. Failures
    /// are not reported: an empty registry is left, which is valid.
    pub(crate) fn restore(self) {
        let Some(file) = self.file else { return };
        let is_removed = match fs::metadata(&file) {
            // The creation of the registry failed.
            Ok(found) if found.len() == 0 => fs::remove_file(&file).is_ok(),
            Ok(_) => runtime().is_ok_and(|runtime| runtime.block_on(remove_unchanged(&file)).unwrap_or(false)),
            Err(_) => true,
        };
        if is_removed {
            // The first folder that is not empty ends this.
            let _ = self.folders.iter().try_for_each(fs::remove_dir);
        }
    }
}

/// Removes the registry at `path` if it has no change and no other process uses it.
///
/// The exclusive lock keeps other processes out. A process that opened the file before waits for the lock, and then finds that
/// the file was removed.
async fn remove_unchanged(path: &Path) -> sqlx::Result<bool> {
    const PATIENCE: Duration = Duration::from_millis(100);
    let options = SqliteConnectOptions::new().filename(path).locking_mode(SqliteLockingMode::Exclusive);
    let mut connection = options.busy_timeout(PATIENCE).disable_statement_logging().connect().await?;
    let is_unchanged = number(&mut connection, "SELECT revision FROM registry").await? == 0;
    let is_removed = is_unchanged && fs::remove_file(path).is_ok();
    if is_removed {
        for part in parts(path) {
            let _ = fs::remove_file(part);
        }
    }
    connection.close().await?;
    Ok(is_removed)
}
