//! The registry's file opened by another program, without the checks of the registry.

use std::path::Path;

use sqlx::migrate::Migrator;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};
use tokio::runtime::{Builder, Runtime};

/// Copies a database in another process: closing a file that is read here would release this process's locks on it.
pub(crate) fn copy(from: &Path, to: &Path) {
    assert!(std::process::Command::new("cp").args([from, to]).status().unwrap().success());
}

pub(crate) struct Raw {
    runtime: Runtime,
    connection: Option<SqliteConnection>,
}

impl Raw {
    /// Opens the file and reads from it, so that its log and its index are open, too.
    pub(crate) fn open(path: &Path) -> Self {
        let runtime = Builder::new_current_thread().build().unwrap();
        let options = SqliteConnectOptions::new().filename(path).create_if_missing(true);
        let connection = runtime.block_on(options.connect()).unwrap();
        let mut raw = Self { runtime, connection: Some(connection) };
        raw.text("SELECT count(*) FROM sqlite_schema").unwrap();
        raw
    }

    pub(crate) fn run(&mut self, sql: &str) -> Result<(), String> {
        let connection = self.connection.as_mut().unwrap();
        let ran = self.runtime.block_on(sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(connection));
        ran.map(drop).map_err(|error| error.to_string())
    }

    pub(crate) fn migrate(&mut self, migrator: &Migrator) {
        self.runtime.block_on(migrator.run(self.connection.as_mut().unwrap())).unwrap();
    }

    /// Returns the single value that `sql` selects, as text.
    pub(crate) fn text(&mut self, sql: &str) -> Result<String, String> {
        let sql = AssertSqlSafe(format!("SELECT CAST(({sql}) AS TEXT)"));
        let connection = self.connection.as_mut().unwrap();
        let value = self.runtime.block_on(sqlx::query_scalar(sql).fetch_one(connection));
        value.map_err(|error| error.to_string())
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            let _ = self.runtime.block_on(connection.close());
        }
    }
}
