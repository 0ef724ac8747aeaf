//! The registry in a SQLite file. The only place that knows of `sqlx` and `tokio`.

mod rows;

use std::path::Path;
use std::time::Duration;

use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection as _, SqlStr, Sqlite, SqliteConnection, Transaction};
use tokio::runtime::{Builder, Runtime};

use super::error::{RegistryError, Result, quoted, storage};
use super::storage::{Records, Storage};

/// How long a writer waits for others.
const PATIENCE: Duration = Duration::from_secs(30);

/// What the header of the file says it is: `PCLR`.
const APPLICATION: i64 = 0x5043_4c52;

/// The newest schema: what the last migration sets as `user_version`.
const SCHEMA: i64 = 2;

pub(super) struct SqliteStorage {
    runtime: Runtime,
    /// There until it is dropped.
    connection: Option<SqliteConnection>,
}

struct SqliteRecords<'s> {
    runtime: &'s Runtime,
    transaction: Transaction<'s, Sqlite>,
}

impl SqliteStorage {
    /// Opens the file at `path`; makes it where there is none, if `create`.
    pub(super) fn open(path: &Path, create: bool) -> Result<Self> {
        if create {
            make_private(path)?;
        }
        let options = SqliteConnectOptions::new().filename(path).synchronous(SqliteSynchronous::Full);
        Self::connect(options, &quoted(&path.display().to_string()))
    }

    pub(super) fn in_memory() -> Result<Self> {
        Self::connect(SqliteConnectOptions::new().in_memory(true), "the memory")
    }

    fn connect(options: SqliteConnectOptions, name: &str) -> Result<Self> {
        let options = options.foreign_keys(true).busy_timeout(PATIENCE).disable_statement_logging();
        let runtime = Builder::new_current_thread().build().map_err(|error| {
            storage(format!("cannot start: {error}"), "is the system out of threads or file descriptors?")
        })?;
        let connection = runtime.block_on(async {
            let mut connection = options.connect().await.map_err(|error| cannot_open(name, &error))?;
            prepare(&mut connection, name).await?;
            Ok::<_, RegistryError>(connection)
        })?;
        Ok(Self { runtime, connection: Some(connection) })
    }

    fn begin(&mut self, how: &'static str) -> Result<Box<dyn Records + '_>> {
        let connection = self.connection.as_mut().ok_or_else(closed)?;
        let transaction = self.runtime.block_on(connection.begin_with(how)).map_err(failed)?;
        Ok(Box::new(SqliteRecords { runtime: &self.runtime, transaction }))
    }
}

impl Storage for SqliteStorage {
    fn read(&mut self) -> Result<Box<dyn Records + '_>> {
        self.begin("BEGIN")
    }

    fn write(&mut self) -> Result<Box<dyn Records + '_>> {
        self.begin("BEGIN IMMEDIATE")
    }

    fn data_version(&mut self) -> Result<u64> {
        let connection = self.connection.as_mut().ok_or_else(closed)?;
        let version = self.runtime.block_on(number(connection, "PRAGMA data_version")).map_err(failed)?;
        Ok(version.unsigned_abs())
    }
}

/// Waits until the database is closed: the last one to close it leaves a single file, without its log.
impl Drop for SqliteStorage {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            // What was committed is safe whether this succeeds or not.
            let _ = self.runtime.block_on(connection.close());
        }
    }
}

/// Makes sure that there is a file which only its owner may read, before the database is written into it. The files that
/// SQLite puts beside it get the same permissions.
fn make_private(path: &Path) -> Result<()> {
    let name = quoted(&path.display().to_string());
    let failed =
        |error: &std::io::Error| storage(format!("cannot make {name}: {error}"), "name a place that you may write to");
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(|error| failed(&error))?;
    }
    let mut options = std::fs::OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop).map_err(|error| failed(&error))
}

/// Checks that the file is a registry, makes it one if it is empty, and brings its schema up to date.
async fn prepare(connection: &mut SqliteConnection, name: &str) -> Result<()> {
    // In one transaction: another process may be making the file a registry just now.
    let mut transaction = connection.begin().await.map_err(failed)?;
    let mut ask = async |query| number(&mut transaction, query).await.map_err(|error| cannot_open(name, &error));
    let application = ask("PRAGMA application_id").await?;
    let tables = ask("SELECT count(*) FROM sqlite_schema").await?;
    let schema = ask("PRAGMA user_version").await?;
    transaction.rollback().await.map_err(failed)?;
    if application != APPLICATION && tables > 0 {
        return Err(storage(
            format!("{name} is a database of something else"),
            "name another file: one that does not exist becomes a registry",
        ));
    }
    if schema > SCHEMA {
        return Err(storage(
            format!("{name} was written by a newer portcullis: its schema is {schema}, this one knows {SCHEMA}"),
            "use that version",
        ));
    }
    use_write_ahead_log(connection).await?;
    if application == APPLICATION && schema == SCHEMA {
        return Ok(());
    }
    // Several processes may find an empty file: one migrates it, the others wait and find it done.
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await.map_err(failed)?;
    let migrated = migrations().run(&mut *transaction).await;
    migrated.map_err(|error| storage(format!("cannot bring {name} up to date: {error}"), "nothing was changed"))?;
    transaction.commit().await.map_err(failed)
}

fn migrations() -> Migrator {
    let registry = SqlStr::from_static(include_str!("../../../migrations/sqlite/0001_registry.sql"));
    let case_sensitive = SqlStr::from_static(include_str!("../../../migrations/sqlite/0002_case_sensitive.sql"));
    Migrator::with_migrations(vec![
        Migration::new(1, "registry".into(), MigrationType::Simple, registry, false),
        Migration::new(2, "case_sensitive".into(), MigrationType::Simple, case_sensitive, false),
    ])
}

/// The change to a write-ahead log stays with the file. SQLite does not wait for others here, so this does.
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

fn is_busy(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    // SQLITE_BUSY in its low byte, whatever the reason above it.
    code.and_then(|code| code.parse::<u32>().ok()).is_some_and(|code| code & 0xff == 5)
}

fn cannot_open(name: &str, error: &sqlx::Error) -> RegistryError {
    storage(
        format!("cannot open the registry {name}: {}", reason(error)),
        "is it there, and may you read and write it?",
    )
}

#[expect(clippy::needless_pass_by_value, reason = "as `map_err` passes it")]
fn failed(error: sqlx::Error) -> RegistryError {
    let help = if is_busy(&error) { "another process keeps it locked: try again" } else { "nothing was changed" };
    storage(format!("the registry's database fails: {}", reason(&error)), help)
}

/// The database's own words, without the library's before them.
fn reason(error: &sqlx::Error) -> String {
    error.as_database_error().map_or_else(|| error.to_string(), |error| error.message().to_owned())
}
