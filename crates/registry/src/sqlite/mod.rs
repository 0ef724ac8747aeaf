//! The registry in a SQLite file.

mod access;
mod bulk;
mod documents;
mod files;
mod not_a_database;
mod pages;
mod rows;
mod siblings;
mod tickets;
mod unchanged;

use std::path::Path;
use std::time::Duration;

use portcullis::base::system_words;
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection as _, SqlStr, Sqlite, SqliteConnection, Transaction};
use tokio::runtime::{Builder, Runtime};

use super::error::{RegistryError, Result, storage};
use super::storage::{Purpose, Records, Storage};
use super::words::quoted;
use crate::owner_only;
use access::Access;
pub(crate) use files::near;
pub(crate) use unchanged::Absent;

use files::{Files, UnopenedFiles, check_absent, check_folder, check_present, creation};

/// The code of SQLite for a file in another format.
const NOT_A_DATABASE: u32 = 26;

/// How long a writer waits for other processes.
const PATIENCE: Duration = Duration::from_secs(30);

/// The application id in the header of the file: `PCLR`.
const APPLICATION: i64 = 0x5043_4c52;

/// The newest schema: the `user_version` that the last migration sets.
const SCHEMA: i64 = 5;

/// The oldest schema that is read without migration: later ones only add to it.
const READABLE: i64 = 2;

/// How long a committed change waits for readers before it leaves its log to the next change.
const CHECKPOINT_PATIENCE: Duration = Duration::from_secs(1);

pub(super) struct SqliteStorage {
    runtime: Runtime,
    /// `Some` until the storage is dropped.
    connection: Option<SqliteConnection>,
    /// `None` for a database in memory.
    files: Option<Files>,
}

struct SqliteRecords<'s> {
    runtime: &'s Runtime,
    transaction: Transaction<'s, Sqlite>,
    files: Option<&'s Files>,
    /// The revision that the transaction creates.
    revision: Option<u64>,
}

impl SqliteStorage {
    /// Opens the file at `path`. To change it, migrates the schema.
    pub(super) fn open(path: &Path, purpose: Purpose) -> Result<Self> {
        if purpose == Purpose::Create {
            make_private(path)?;
        } else {
            check_present(path)?;
        }
        let runtime = runtime()?;
        let (connection, files) = runtime.block_on(async {
            let unopened = UnopenedFiles::inspect(path, purpose).await?;
            let access = unopened.access();
            let options = SqliteConnectOptions::new().filename(path).synchronous(SqliteSynchronous::Full);
            let options = options.read_only(access != Access::Write).immutable(access == Access::Frozen);
            let mut connection = connect(options, path).await?;
            prepare(&mut connection, path, purpose, access).await?;
            // This reads, so SQLite has opened all files of the database.
            check_one_state(&mut connection, path).await?;
            Ok::<_, RegistryError>((connection, unopened.opened()?))
        })?;
        Ok(Self { runtime, connection: Some(connection), files: Some(files) })
    }

    pub(super) fn in_memory() -> Result<Self> {
        let runtime = runtime()?;
        let path = Path::new("the memory");
        let connection = runtime.block_on(async {
            let mut connection = connect(SqliteConnectOptions::new().in_memory(true), path).await?;
            prepare(&mut connection, path, Purpose::Create, Access::Write).await?;
            Ok::<_, RegistryError>(connection)
        })?;
        Ok(Self { runtime, connection: Some(connection), files: None })
    }

    fn begin(&mut self, how: &'static str) -> Result<Box<dyn Records + '_>> {
        self.check_files()?;
        let connection = self.connection.as_mut().ok_or_else(closed)?;
        let transaction = self.runtime.block_on(connection.begin_with(how)).map_err(failed)?;
        Ok(Box::new(SqliteRecords { runtime: &self.runtime, transaction, files: self.files.as_ref(), revision: None }))
    }
}

impl Storage for SqliteStorage {
    fn read(&mut self) -> Result<Box<dyn Records + '_>> {
        self.begin("BEGIN")
    }

    fn write(&mut self) -> Result<Box<dyn Records + '_>> {
        self.files.as_ref().map_or(Ok(()), Files::check_writable)?;
        self.begin("BEGIN IMMEDIATE")
    }

    fn data_version(&mut self) -> Result<u64> {
        self.check_files()?;
        let connection = self.connection.as_mut().ok_or_else(closed)?;
        let version = self.runtime.block_on(number(connection, "PRAGMA data_version")).map_err(failed)?;
        Ok(version.unsigned_abs())
    }

    fn check_files(&self) -> Result<()> {
        self.files.as_ref().map_or(Ok(()), Files::check)
    }

    fn is_read_only(&self) -> bool {
        self.files.as_ref().is_some_and(|files| files.access() != Access::Write)
    }

    fn copy_to(&mut self, path: &Path) -> Result<()> {
        self.check_files()?;
        let connection = self.connection.as_mut().ok_or_else(closed)?;
        // One read transaction: other processes may write meanwhile.
        let copy = sqlx::query("VACUUM INTO ?1").bind(path.display().to_string());
        self.runtime.block_on(copy.execute(connection)).map_err(failed)?;
        self.check_files()
    }
}

/// Waits until the database is closed: the last process to close it leaves a single file, without its log.
impl Drop for SqliteStorage {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            // Committed changes are safe even if this fails.
            let _ = self.runtime.block_on(connection.close());
        }
    }
}

fn runtime() -> Result<Runtime> {
    Builder::new_current_thread().build().map_err(|error| {
        storage(format!("cannot start: {}", system_words(&error)), "is the system out of threads or file descriptors?")
    })
}

async fn connect(options: SqliteConnectOptions, path: &Path) -> Result<SqliteConnection> {
    let options = options.foreign_keys(true).busy_timeout(PATIENCE).disable_statement_logging();
    options.connect().await.map_err(|error| cannot_open(path, &error))
}

/// Makes sure that a file exists that only its owner may read, before the database is written into it. SQLite gives the
/// files next to it the same permissions.
///
/// An existing file is not opened: closing it would release the locks that this process holds on it.
fn make_private(path: &Path) -> Result<()> {
    if path.exists() {
        return Ok(());
    }
    check_absent(path)?;
    let name = quoted(&path.display().to_string());
    let failed = |error: &std::io::Error| {
        storage(format!("cannot make {name}: {}", system_words(error)), "name a path that you may write to")
    };
    check_folder(path)?;
    match owner_only::create_file(path) {
        // Another process created it meanwhile.
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(failed(&error)),
        _ => Ok(()),
    }
}

/// Copies the log into the database, and checks that a process that opens the path now sees the committed change.
///
/// Then a copy of the database without its log loses no change, nor does a later removal of the log.
async fn check_committed(files: &Files, revision: Option<u64>) -> Result<()> {
    let name = quoted(&files.path().display().to_string());
    let lost = |why: String| {
        storage(
            format!("the change was written, but {name} does not show it: {why}"),
            "end the other processes that use the registry, and look at `portcullis trail` before you try again",
        )
    };
    files.check().map_err(|error| lost(error.to_string()))?;
    let read = async {
        let options = SqliteConnectOptions::new().filename(files.path()).busy_timeout(CHECKPOINT_PATIENCE);
        let mut connection = options.disable_statement_logging().connect().await?;
        // If a reader blocks this, the log stays, and the next change tries again.
        sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut connection).await?;
        let found = number(&mut connection, "SELECT revision FROM registry").await?;
        // The result is known: a failure to close does not matter.
        let _ = connection.close().await;
        Ok(found.unsigned_abs())
    };
    let found = read.await.map_err(|error: sqlx::Error| lost(reason(&error)))?;
    if revision.is_some_and(|revision| found < revision) {
        return Err(lost(format!("its revision is {found}")));
    }
    files.check().map_err(|error| lost(error.to_string()))
}

/// Checks that the trail ends with the current revision: a copy made during a write may hold parts of two states.
async fn check_one_state(connection: &mut SqliteConnection, path: &Path) -> Result<()> {
    const DIFFERENCE: &str =
        "SELECT revision - coalesce((SELECT revision FROM trail ORDER BY number DESC LIMIT 1), 0) FROM registry";
    let difference = number(connection, DIFFERENCE).await.map_err(|error| cannot_open(path, &error))?;
    if difference == 0 {
        return Ok(());
    }
    Err(storage(
        format!(
            "{} is not one state of a registry: its trail ends with another revision than its own",
            quoted(&path.display().to_string())
        ),
        "was it copied while it was in use? `portcullis backup` makes a copy that is one state",
    ))
}

/// Checks that the file is a registry. To create one, turns an empty file into a registry. To change one, migrates the
/// schema.
async fn prepare(connection: &mut SqliteConnection, path: &Path, purpose: Purpose, access: Access) -> Result<()> {
    let name = &*quoted(&path.display().to_string());
    // In one transaction: another process may be turning the file into a registry now.
    let mut transaction = connection.begin().await.map_err(failed)?;
    let mut read = async |query| number(&mut transaction, query).await.map_err(|error| cannot_open(path, &error));
    let application = read("PRAGMA application_id").await?;
    let tables = read("SELECT count(*) FROM sqlite_schema").await?;
    let schema = read("PRAGMA user_version").await?;
    transaction.rollback().await.map_err(failed)?;
    if application != APPLICATION && tables > 0 {
        return Err(storage(
            format!("{name} is a database of another program"),
            "name another file: a command that creates something also creates a missing registry",
        ));
    }
    if tables == 0 && purpose != Purpose::Create {
        return Err(storage(format!("{name} is empty, so it is not a registry"), creation(path)));
    }
    if schema > SCHEMA {
        return Err(storage(
            format!("{name} was written by a newer portcullis: its schema is {schema}, this one knows {SCHEMA}"),
            "use that version of portcullis",
        ));
    }
    let oldest = if purpose == Purpose::Read { READABLE } else { SCHEMA };
    let is_current = application == APPLICATION && schema >= oldest;
    if access != Access::Write {
        let migrate =
            "run `portcullis credentials prune` once as a user who may write it, or make a copy of it and name that";
        let message = || format!("{name} has schema {schema} of an earlier version, and is read-only");
        return if is_current { Ok(()) } else { Err(storage(message(), migrate)) };
    }
    use_write_ahead_log(connection).await?;
    if is_current {
        return Ok(());
    }
    // Several processes may find an empty file: one migrates it, and the other processes wait.
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await.map_err(failed)?;
    let migrated = migrations().run(&mut *transaction).await;
    migrated.map_err(|error| storage(format!("cannot bring {name} up to date: {error}"), "nothing was changed"))?;
    transaction.commit().await.map_err(failed)
}

fn migrations() -> Migrator {
    let migration = |version, name: &'static str, sql| {
        Migration::new(version, name.into(), MigrationType::Simple, SqlStr::from_static(sql), false)
    };
    Migrator::with_migrations(vec![
        migration(1, "registry", include_str!("../../migrations/sqlite/0001_registry.sql")),
        migration(2, "case_sensitive", include_str!("../../migrations/sqlite/0002_case_sensitive.sql")),
        migration(3, "append-only trail", include_str!("../../migrations/sqlite/0003_append_only_trail.sql")),
        migration(4, "workspace", include_str!("../../migrations/sqlite/0004_workspace.sql")),
        migration(5, "sign-in", include_str!("../../migrations/sqlite/0005_sign_in.sql")),
    ])
}

/// Enables the write-ahead log, which the file remembers. SQLite does not wait for other processes here, so this does.
async fn use_write_ahead_log(connection: &mut SqliteConnection) -> Result<()> {
    const PAUSE: Duration = Duration::from_millis(10);
    let mut left = PATIENCE.as_millis() / PAUSE.as_millis();
    loop {
        let mode: std::result::Result<String, _> =
            sqlx::query_scalar("PRAGMA journal_mode = WAL").fetch_one(&mut *connection).await;
        match mode {
            Err(error) if is_busy(&error) && left > 0 => {
                std::thread::sleep(PAUSE);
                left -= 1;
            }
            other => return other.map(drop).map_err(failed),
        }
    }
}

async fn number(connection: &mut SqliteConnection, query: &'static str) -> sqlx::Result<i64> {
    sqlx::query_scalar(query).fetch_one(connection).await
}

fn closed() -> RegistryError {
    storage("the registry is closed", "open it again")
}

/// Returns the code of SQLite. The bits above it, which give the reason, are left out.
fn code(error: &sqlx::Error) -> Option<u32> {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code)?;
    code.parse::<u32>().ok().map(|code| code & 0xff)
}

fn is_busy(error: &sqlx::Error) -> bool {
    code(error) == Some(5)
}

fn cannot_open(path: &Path, error: &sqlx::Error) -> RegistryError {
    let name = quoted(&path.display().to_string());
    if code(error) == Some(NOT_A_DATABASE) {
        return not_a_database::error(path);
    }
    storage(
        format!("cannot open the registry {name}: {}", reason(error)),
        "check that it is a SQLite database, and that you may read it",
    )
}

#[expect(clippy::needless_pass_by_value, reason = "as `map_err` passes it")]
fn failed(error: sqlx::Error) -> RegistryError {
    let help = if is_busy(&error) { "another process keeps it locked: try again" } else { "nothing was changed" };
    storage(format!("the registry's database fails: {}", reason(&error)), help)
}

/// Returns why the database fails. The messages of SQLite are not of this project: `unable to open database file`.
fn reason(error: &sqlx::Error) -> String {
    let code = code(error);
    let Some(error) = error.as_database_error() else {
        return match error {
            sqlx::Error::Io(error) => error.to_string(),
            _ => "its contents are not those of a registry".to_owned(),
        };
    };
    let reason = match code {
        Some(3 | 23) => "no permission",
        Some(5 | 6) => "another process keeps it locked",
        Some(7) => "not enough memory",
        Some(8) => "it is read-only",
        Some(9) => "it was interrupted",
        Some(10) => "it cannot be read or written",
        Some(11) => "it is damaged",
        Some(13) => "the disk is full",
        Some(14) => "the file, or one next to it, cannot be opened",
        Some(15) => "another process has the file locked",
        Some(NOT_A_DATABASE) => "it is not a SQLite database",
        _ => return error.message().to_owned(),
    };
    reason.to_owned()
}
