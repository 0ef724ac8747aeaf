//! The files of a database, which other programs may replace or remove while it is open.
//!
//! SQLite opens three files by name: the database, its log (`-wal`) and the index of the log (`-shm`). It does not notice
//! when a name later refers to another file, and continues with the open files. Later writes are then lost.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use sqlx::sqlite::{SqliteConnectOptions, SqliteLockingMode};
use sqlx::{ConnectOptions, Connection as _};

use super::access::Access;
use super::{is_busy, number, siblings};
use crate::error::{Result, storage};
use crate::location::url_of;
use crate::storage::Purpose;
use crate::words::quoted;
use portcullis::base::{nearest, system_words};
use portcullis_secret::contains_secret;

/// How long to wait for files that another process is creating or removing.
const SETTLE: Duration = Duration::from_secs(2);

/// The identity of a file, whatever its name: its device and inode.
type FileId = (u64, u64);

/// The size of a file and the time of its last change.
type Stamp = (u64, SystemTime);

/// The files of an open database.
#[derive(Debug)]
pub(super) struct Files {
    name: String,
    paths: [PathBuf; 3],
    opened: [Option<FileId>; 3],
    access: Access,
    /// The state of the database file before it was opened.
    stamp: Option<Stamp>,
}

impl Files {
    /// Returns the files at the path of `unopened`, which were opened.
    fn new(unopened: &UnopenedFiles) -> Self {
        let UnopenedFiles { path, database, access, stamp } = unopened;
        let [log, index] = parts(path);
        let paths = [path.clone(), log, index];
        let [_, log, index] = paths.each_ref().map(|path| file_id(path));
        let name = quoted(&path.display().to_string());
        Self { name, opened: [*database, log, index], paths, access: *access, stamp: *stamp }
    }

    pub(super) fn access(&self) -> Access {
        self.access
    }

    /// Checks that this process may write the database.
    pub(super) fn check_writable(&self) -> Result<()> {
        if self.access == Access::Write {
            return Ok(());
        }
        Err(storage(
            format!("the registry {} is read-only", self.name),
            "you need permission to write to the file and to its folder",
        ))
    }

    /// Checks that a database that is read without locks did not change since it was opened.
    pub(super) fn check_frozen(&self) -> Result<()> {
        let [database, log, _] = &self.paths;
        let has_log = || std::fs::metadata(log).is_ok_and(|found| found.len() > 0);
        if self.access != Access::Frozen || (stamp(database) == self.stamp && !has_log()) {
            return Ok(());
        }
        Err(storage(format!("the registry {} was changed while it was read", self.name), "run the command again"))
    }

    pub(super) fn path(&self) -> &Path {
        let [path, ..] = &self.paths;
        path
    }

    /// Checks that the paths still name the files that are open.
    pub(super) fn check(&self) -> Result<()> {
        self.check_frozen()?;
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
    access: Access,
    stamp: Option<Stamp>,
}

impl UnopenedFiles {
    /// Checks the files at `path` before they are opened. Follows symbolic links as SQLite does.
    ///
    /// # Errors
    ///
    /// If the log was removed while another process has the database open: later writes would be lost with it. If `path` is
    /// a pipe or a device: opening it could block. If a file of another program has the name of the log, its index or the
    /// journal: SQLite would remove it.
    pub(super) async fn inspect(path: &Path, purpose: Purpose) -> Result<Self> {
        let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        if path.exists() && !path.is_file() {
            let name = quoted(&path.display().to_string());
            let what = if path.is_dir() { "a folder" } else { "not an ordinary file" };
            let inner = path.join("registry.db");
            let help = match near(&inner).filter(|_| path.is_dir() && !inner.exists()) {
                Some(near) => url_of(&near),
                None if path.is_dir() && !inner.exists() && purpose != Purpose::Create => {
                    format!("it has no registry: {}", creation(&inner))
                }
                None => url_of(&path),
            };
            return Err(storage(format!("{name} is {what}"), help));
        }
        let access = Access::to(&path, &parts(&path), purpose)?;
        // Another process that has the database open can be found only by a lock, which needs permission to write.
        if access == Access::Write {
            siblings::check(&path)?;
            check_parts(&path).await?;
        }
        let (database, stamp) = (file_id(&path), stamp(&path));
        Ok(Self { path, database, access, stamp })
    }

    pub(super) fn access(&self) -> Access {
        self.access
    }

    /// Returns the files after they were opened.
    pub(super) fn opened(self) -> Result<Files> {
        let files = Files::new(&self);
        files.check()?;
        Ok(files)
    }
}

/// Checks that a missing registry has no log, index or journal left: otherwise it was removed or renamed by mistake.
pub(super) fn check_absent(path: &Path) -> Result<()> {
    let Some(left) = siblings::first(path) else { return Ok(()) };
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

/// Checks that the registry exists. The error names a file next to it that may be meant.
pub(super) fn check_present(path: &Path) -> Result<()> {
    let name = quoted(&path.display().to_string());
    match path.try_exists() {
        Ok(true) => return Ok(()),
        Ok(false) => check_absent(path)?,
        Err(error) => {
            let help = "check that you may search each folder of its path";
            return Err(storage(format!("cannot open the registry {name}: {}", system_words(&error)), help));
        }
    }
    let folder = folder(path);
    if !folder.is_dir() {
        let shown = quoted(&folder.display().to_string());
        return Err(storage(
            format!("the registry {name} does not exist, nor does its folder {shown}"),
            format!("{} makes the folder, and then {}", making(folder), creation(path)),
        ));
    }
    let meant = near(path)
        .map_or_else(String::new, |near| format!("did you mean {}? ", quoted(&format!("sqlite:{}", near.display()))));
    Err(storage(format!("the registry {name} does not exist"), meant + &creation(path)))
}

/// Checks that the folder exists in which a registry is created. A mistyped folder must not get one.
pub(super) fn check_folder(path: &Path) -> Result<()> {
    let folder = folder(path);
    if folder.is_dir() {
        return Ok(());
    }
    let name = quoted(&path.display().to_string());
    Err(storage(
        format!("cannot make {name}: its folder does not exist"),
        format!("make the folder first: {}", making(folder)),
    ))
}

/// Returns the command that makes a folder.
fn making(folder: &Path) -> String {
    let text = folder.display().to_string();
    format!("`mkdir -p {}`", if is_word(&text) && !text.starts_with('-') { &text } else { "FOLDER" })
}

/// Whether a command in an error may have `text`: it needs no quotes, and is not a secret.
pub(super) fn is_word(text: &str) -> bool {
    const MAX_LEN: usize = 150;
    let is_plain = |character: char| character.is_ascii_alphanumeric() || "_-./:".contains(character);
    text.len() <= MAX_LEN && text.chars().all(is_plain) && !contains_secret(text)
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Returns the path of a database next to `path`: the one with the nearest name, or the only one.
pub(crate) fn near(path: &Path) -> Option<PathBuf> {
    let names = std::fs::read_dir(folder(path)).ok()?.flatten().filter(|entry| entry.path().is_file());
    let mut names: Vec<_> = names.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.retain(|name| !["-wal", "-shm", "-journal"].iter().any(|part| name.ends_with(part)));
    let near = nearest(path.file_name()?.to_str()?, names.iter().map(String::as_str)).or_else(|| {
        let mut databases = names.iter().filter(|name| Path::new(name).extension().is_some_and(|it| it == "db"));
        let only = databases.next();
        only.filter(|_| databases.next().is_none()).map(String::as_str)
    })?;
    Some(path.with_file_name(near))
}

/// Returns the help that names a command that creates the registry at `path`.
pub(super) fn creation(path: &Path) -> String {
    let url = format!("sqlite:{}", path.display());
    let url = if is_word(&url) { &url } else { "URL" };
    format!("`portcullis connections add NAME --db {url}` creates it")
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

/// Returns the paths of the log and of the index of the log.
pub(super) fn parts(path: &Path) -> [PathBuf; 2] {
    [log(path), index(path)]
}

/// Returns size and time of the last change of the file at `path`; `None` if it does not exist.
fn stamp(path: &Path) -> Option<Stamp> {
    let found = std::fs::metadata(path).ok()?;
    Some((found.len(), found.modified().ok()?))
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
