//! The files of a database, which other programs may replace or remove while it is open.
//!
//! SQLite opens three files by name: the database, its log (`-wal`) and the index of the log (`-shm`). It does not notice
//! when a name later refers to another file, and continues with the open files. Later writes are then lost.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sqlx::sqlite::{SqliteConnectOptions, SqliteLockingMode};
use sqlx::{ConnectOptions, Connection as _};

use super::{is_busy, number};
use crate::error::{Result, storage};
use crate::words::quoted;

/// How long to wait for files that another process is creating or removing.
const SETTLE: Duration = Duration::from_secs(2);

/// The identity of a file, whatever its name: its device and inode.
type FileId = (u64, u64);

/// The files of an open database.
#[derive(Debug)]
pub(super) struct Files {
    name: String,
    paths: [PathBuf; 3],
    opened: [Option<FileId>; 3],
}

impl Files {
    /// Returns the files at these paths. `database` is the identity of the database file before it was opened.
    fn new(path: &Path, database: Option<FileId>) -> Self {
        let paths = [path.to_owned(), log(path), index(path)];
        let [_, log, index] = paths.each_ref().map(|path| file_id(path));
        Self { name: quoted(&path.display().to_string()), opened: [database, log, index], paths }
    }

    pub(super) fn path(&self) -> &Path {
        let [path, ..] = &self.paths;
        path
    }

    /// Checks that the paths still name the files that are open.
    pub(super) fn check(&self) -> Result<()> {
        let Some(((path, opened), found)) = self
            .paths
            .iter()
            .zip(self.opened)
            .zip(self.paths.iter().map(|path| file_id(path)))
            .find(|((_, opened), found)| opened != found)
        else {
            return Ok(());
        };
        let what = if path == self.path() { "the database" } else { "part of the database" };
        let changed = match (opened, found) {
            (_, None) => "was removed while it was open",
            _ => "was replaced while it was open",
        };
        Err(storage(
            format!("{what} {} {changed}", quoted(&path.display().to_string())),
            format!("run the command again once no other process has {} open", self.name),
        ))
    }
}

/// The database file before it is opened.
pub(super) struct UnopenedFiles {
    path: PathBuf,
    database: Option<FileId>,
}

impl UnopenedFiles {
    /// Checks the files at `path` before they are opened. Follows symbolic links as SQLite does.
    ///
    /// # Errors
    ///
    /// If the log was removed while another process has the database open: later writes would be lost with it. If `path` is
    /// a pipe or a device: opening it could block.
    pub(super) async fn inspect(path: &Path) -> Result<Self> {
        let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        if path.exists() && !path.is_file() {
            let name = quoted(&path.display().to_string());
            return Err(storage(format!("{name} is not an ordinary file"), "name the file of a registry"));
        }
        check_parts(&path).await?;
        let database = file_id(&path);
        Ok(Self { path, database })
    }

    /// Returns the files after they were opened.
    pub(super) fn opened(self) -> Result<Files> {
        let files = Files::new(&self.path, self.database);
        files.check()?;
        Ok(files)
    }
}

/// Checks that a missing registry has no log or index left: otherwise it was removed or renamed by mistake.
pub(super) fn check_absent(path: &Path) -> Result<()> {
    let Some(left) = [log(path), index(path)].into_iter().find(|left| left.exists()) else { return Ok(()) };
    // Another process may have created the registry meanwhile.
    if path.exists() {
        return Ok(());
    }
    let (name, left) = (quoted(&path.display().to_string()), quoted(&left.display().to_string()));
    Err(storage(
        format!("the registry {name} is missing, but its file {left} exists"),
        format!("put the registry back; to make a new one, end the processes that use it and remove {left}"),
    ))
}

/// Checks that log and index both exist, or that no process has the database open.
///
/// SQLite creates the log before the index and removes it after the index, both while it holds a lock on the database.
async fn check_parts(path: &Path) -> Result<()> {
    if std::fs::metadata(path).map_or(0, |metadata| metadata.len()) == 0 {
        return Ok(());
    }
    let end = Instant::now() + SETTLE;
    loop {
        // In this order: a process that opens or closes the database now never shows an index without a log.
        let (log_exists, index_exists) = (log(path).exists(), index(path).exists());
        let is_whole = match (log_exists, index_exists) {
            (true, true) => true,
            (false, true) => false,
            _ => is_unused(path).await,
        };
        if is_whole {
            return Ok(());
        }
        if Instant::now() >= end {
            let name = quoted(&path.display().to_string());
            let index = quoted(&index(path).display().to_string());
            return Err(if !log_exists && index_exists {
                storage(
                    format!("the log of the registry {name} was removed: the last changes may be lost"),
                    format!("end the processes that use it, look at what it holds, and remove {index}"),
                )
            } else {
                storage(
                    format!("another process has the registry {name} open without its log, or by another name"),
                    "end that process first: a change that is made now could be lost",
                )
            });
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Whether no process has the database open. Only a lock counts; the real open reports every other error.
async fn is_unused(path: &Path) -> bool {
    const PATIENCE: Duration = Duration::from_millis(100);
    let options = SqliteConnectOptions::new().filename(path).locking_mode(SqliteLockingMode::Exclusive);
    let options = options.busy_timeout(PATIENCE).disable_statement_logging();
    let tried = async {
        let mut connection = options.connect().await?;
        let read = number(&mut connection, "SELECT count(*) FROM sqlite_schema").await;
        connection.close().await?;
        read
    };
    !tried.await.is_err_and(|error| is_busy(&error))
}

fn log(path: &Path) -> PathBuf {
    beside(path, "-wal")
}

fn index(path: &Path) -> PathBuf {
    beside(path, "-shm")
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

/// Returns the identity of the file that `path` names; `None` if it does not exist.
#[cfg(unix)]
fn file_id(path: &Path) -> Option<FileId> {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(path).ok().map(|metadata| (metadata.dev(), metadata.ino()))
}

/// Whether the file exists: this system reports no identity.
#[cfg(not(unix))]
fn file_id(path: &Path) -> Option<FileId> {
    path.exists().then_some((0, 0))
}
