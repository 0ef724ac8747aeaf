//! The registry in a PostgreSQL database.

mod add;
mod connect;
mod follow;
mod pages;
mod rows;
mod schema;
mod tables;
mod tickets;

use std::cell::Cell;
use std::future::Future;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use portcullis::base::system_words;
use sqlx::{Connection as _, PgConnection, Postgres, Transaction};
use tokio::runtime::{Builder, Runtime};

use crate::error::{RegistryError, Result, storage};
use crate::postgres_url::PostgresUrl;
use crate::storage::{Addition, Declarations, Purpose, Records, Storage};
use connect::{Target, within};
use follow::Follower;
use schema::Prepared;
pub(crate) use tables::tables;

/// How long one statement may take that reads a row or a page. Followers notice by it that the network is gone.
const SHORT: Duration = Duration::from_secs(4);

/// How long one statement may take that reads everything, or waits for other writers.
const LONG: Duration = Duration::from_secs(90);

/// How long to wait for an answer that changes nothing: a rollback, or the end of a connection.
const FAREWELL: Duration = Duration::from_millis(500);

/// Returns what differs after each change: the revision, and the record of the last change. After a crash of the database, a
/// revision that was committed, but never confirmed to its writer, may be given to another change.
const VERSION: &str = "SELECT revision, (SELECT concat_ws(' ', id, at, action) FROM portcullis.trail ORDER BY number DESC LIMIT 1) FROM portcullis.registry";

/// Starts a transaction that sees one revision.
const READ: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL search_path TO portcullis";

/// Starts a transaction that waits for other writers, but never for one that no longer answers. `SET LOCAL` ends with the
/// transaction, so a connection of a pooler keeps no settings.
const WRITE: &str = "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL search_path TO portcullis; \
                     SET LOCAL lock_timeout TO '30s'; SET LOCAL idle_in_transaction_session_timeout TO '30s'";

/// Locks the registry for writers. A user who turned off `synchronous_commit` could lose a change that was reported.
const LOCK: &str = "SELECT CASE WHEN current_setting('synchronous_commit') = 'off' \
                    THEN set_config('synchronous_commit', 'on', true) END FROM registry FOR UPDATE";

pub(super) struct PostgresStorage {
    runtime: Runtime,
    target: Target,
    /// `Some` until the storage is dropped.
    connection: Option<PgConnection>,
    /// Whether a statement was left without an answer: the connection is in an unknown state.
    is_broken: Cell<bool>,
    is_read_only: bool,
    /// Whether the schema has the function that adds a token.
    can_add: bool,
    /// The declarations that were read last.
    declarations: Option<Arc<Declarations>>,
    follower: Follower,
}

struct PostgresRecords<'s> {
    runtime: &'s Runtime,
    name: &'s str,
    prepares: bool,
    is_broken: &'s Cell<bool>,
    /// `Some` until the transaction ends.
    transaction: Option<Transaction<'s, Postgres>>,
}

/// Returns the parameter of a query that looks for `text`. The database stores no text with a NUL byte and refuses a query with
/// one: its parameter is `NULL`, which equals nothing.
fn sought(text: &str) -> Option<String> {
    (!text.contains('\0')).then(|| text.to_owned())
}

impl PostgresStorage {
    /// Opens the registry in the database at `url`. To create or change it, migrates the schema.
    pub(super) fn open(url: &PostgresUrl, purpose: Purpose) -> Result<Self> {
        let target = Target::new(url)?;
        let runtime = Builder::new_current_thread().enable_all().build().map_err(|error| {
            storage(
                format!("cannot start: {}", system_words(&error)),
                "is the system out of threads or file descriptors?",
            )
        })?;
        let (connection, Prepared { is_read_only, can_add }) = connect(&runtime, &target, purpose)?;
        let (connection, is_broken, follower) = (Some(connection), Cell::new(false), Follower::new());
        Ok(Self { runtime, target, connection, is_broken, is_read_only, can_add, declarations: None, follower })
    }

    /// Connects again if the connection was lost.
    fn reconnect(&mut self) -> Result<()> {
        if self.connection.is_some() && !self.is_broken.get() {
            return Ok(());
        }
        self.follower.close(&self.runtime);
        // Closing it would wait for an answer.
        drop(self.connection.take());
        let (connection, Prepared { is_read_only, can_add }) = connect(&self.runtime, &self.target, Purpose::Read)?;
        (self.connection, self.follower) = (Some(connection), Follower::new());
        (self.is_read_only, self.can_add, self.declarations) = (is_read_only, can_add, None);
        self.is_broken.set(false);
        Ok(())
    }

    /// Connects again if the connection was lost while it was idle. Nothing depends on it yet.
    fn check_connection(&mut self) -> Result<()> {
        self.reconnect()?;
        let connection = self.connection.as_mut().ok_or_else(closed)?;
        if wait(&self.runtime, &self.is_broken, SHORT, connection.ping()).is_err() {
            self.reconnect()?;
        }
        Ok(())
    }

    fn begin(&mut self, how: &'static str) -> Result<PostgresRecords<'_>> {
        self.check_connection()?;
        let connection = self.connection.as_mut().ok_or_else(closed)?;
        let transaction = wait(&self.runtime, &self.is_broken, SHORT, connection.begin_with(how))?;
        Ok(PostgresRecords {
            runtime: &self.runtime,
            name: &self.target.name,
            prepares: !self.target.is_pooled,
            is_broken: &self.is_broken,
            transaction: Some(transaction),
        })
    }
}

impl Storage for PostgresStorage {
    fn read(&mut self) -> Result<Box<dyn Records + '_>> {
        Ok(Box::new(self.begin(READ)?))
    }

    fn write(&mut self) -> Result<Box<dyn Records + '_>> {
        if self.is_read_only {
            return Err(schema::read_only(&self.target.name));
        }
        let mut records = self.begin(WRITE)?;
        records.run(sqlx::query(LOCK))?;
        Ok(Box::new(records))
    }

    fn write_usage(&mut self) -> Result<Box<dyn Records + '_>> {
        // Without the lock: many servers record usage, and none of them makes a revision.
        Ok(Box::new(self.begin(WRITE)?))
    }

    fn declarations(&mut self) -> Result<Option<Arc<Declarations>>> {
        self.known_declarations()
    }

    fn forget_declarations(&mut self) {
        self.declarations = None;
    }

    fn add(&mut self, addition: &Addition<'_>) -> Result<bool> {
        self.add_at_once(addition)
    }

    fn data_version(&mut self) -> Result<u64> {
        if self.is_broken.get() {
            return Err(closed());
        }
        let connection = self.connection.as_mut().ok_or_else(closed)?;
        let (runtime, is_broken, prepares) = (&self.runtime, &self.is_broken, !self.target.is_pooled);
        self.follower.version(runtime, &self.target, || {
            let version = sqlx::query_as(VERSION).persistent(prepares);
            let version: (i64, Option<String>) = wait(runtime, is_broken, SHORT, version.fetch_one(&mut *connection))?;
            let mut hasher = DefaultHasher::new();
            version.hash(&mut hasher);
            Ok(hasher.finish())
        })
    }

    fn check_files(&self) -> Result<()> {
        Ok(())
    }

    fn is_read_only(&self) -> bool {
        self.is_read_only
    }

    fn copy_to(&mut self, _: &Path) -> Result<()> {
        Err(storage(
            "a registry in PostgreSQL cannot be copied to a SQLite file",
            "`pg_dump --schema portcullis --format custom --file registry.dump` copies one committed state",
        ))
    }
}

impl Drop for PostgresStorage {
    fn drop(&mut self) {
        self.follower.close(&self.runtime);
        if let Some(connection) = self.connection.take().filter(|_| !self.is_broken.get()) {
            // Committed changes are safe even if this fails.
            let _ = self.runtime.block_on(within(FAREWELL, connection.close()));
        }
    }
}

/// Ends a transaction that was not committed now, not with the next statement: it may hold the lock of the registry.
impl Drop for PostgresRecords<'_> {
    fn drop(&mut self) {
        if let Some(transaction) = self.transaction.take().filter(|_| !self.is_broken.get())
            && self.runtime.block_on(within(FAREWELL, transaction.rollback())).is_err()
        {
            self.is_broken.set(true);
        }
    }
}

/// Connects, and checks or makes the registry.
fn connect(runtime: &Runtime, target: &Target, purpose: Purpose) -> Result<(PgConnection, Prepared)> {
    runtime.block_on(async {
        let mut connection = target.connect().await?;
        let prepared = tokio::time::timeout(LONG, schema::prepare(&mut connection, target, purpose));
        let prepared = prepared.await.unwrap_or_else(|_| Err(failed(sqlx::Error::PoolTimedOut)))?;
        Ok((connection, prepared))
    })
}

/// Waits for the answer of the database.
fn wait<T>(
    runtime: &Runtime,
    is_broken: &Cell<bool>,
    patience: Duration,
    future: impl Future<Output = sqlx::Result<T>>,
) -> Result<T> {
    // A timeout needs the runtime to be entered.
    let answer = runtime.block_on(async { within(patience, future).await });
    answer.map_err(|error| {
        // Only an error that the server reports leaves the connection usable.
        is_broken.set(error.as_database_error().is_none() || is_fatal(&error));
        failed(error)
    })
}

fn closed() -> RegistryError {
    storage("the connection to the registry's database is closed", "open the registry again")
}

/// The code of an error that the server reports, such as `40001`.
fn code(error: &sqlx::Error) -> String {
    error.as_database_error().and_then(sqlx::error::DatabaseError::code).unwrap_or_default().into_owned()
}

/// Returns the error for a change that was sent, and whose answer did not arrive.
fn unconfirmed(name: &str) -> RegistryError {
    storage(
        format!("the registry {name} did not confirm the change: it may have been made"),
        "look at `portcullis trail` before you try again",
    )
}

/// Whether the server ended the connection: it was shut down, or an administrator ended the connection.
fn is_fatal(error: &sqlx::Error) -> bool {
    let code = code(error);
    code.starts_with("57P") || code.starts_with("08") || code == "25P03"
}

#[expect(clippy::needless_pass_by_value, reason = "as `map_err` passes it")]
fn failed(error: sqlx::Error) -> RegistryError {
    let message = match &error {
        sqlx::Error::Database(error) => error.message().to_owned(),
        sqlx::Error::PoolTimedOut => "it does not answer".to_owned(),
        sqlx::Error::Io(_) => "the connection was lost".to_owned(),
        _ => "its answer cannot be read".to_owned(),
    };
    let help = match &*code(&error) {
        "55P03" | "40P01" | "40001" => "another process keeps it locked: try again",
        "42501" => "ask its owner for the rights that docs/registry.md lists",
        "25006" => "connect to the primary server: this one is read-only",
        "42P05" | "26000" => "a connection pooler is between: add `statement-cache-capacity=0` to the URL",
        "22021" | "22P05" => "PostgreSQL cannot hold the character NUL: remove it from the text",
        "53100" => "nothing was changed: free space on the disk of the server",
        _ if error.as_database_error().is_none() || is_fatal(&error) => {
            "nothing was changed: check the server and the network, and try again"
        }
        _ => "nothing was changed",
    };
    storage(format!("the registry's database fails: {message}"), help)
}
