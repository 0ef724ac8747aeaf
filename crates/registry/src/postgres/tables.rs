//! The tables of a database that is not a registry: the catalog of a warehouse.

use std::time::Duration;

use portcullis::base::system_words;
use sqlx::Connection as _;
use tokio::runtime::Builder;

use super::connect::{Target, within};
use crate::error::{Result, storage};
use crate::postgres_url::PostgresUrl;
use crate::record::Table;

/// Starts a transaction that changes nothing, and that ends if it takes too long.
const READ: &str = "BEGIN READ ONLY; SET LOCAL statement_timeout TO '60s'; SET LOCAL lock_timeout TO '5s'";

/// How long to wait for the answer, which the server gives within the limit of the statement.
const PATIENCE: Duration = Duration::from_secs(90);

const TABLES: &str = "SELECT table_catalog::text, table_schema::text, table_name::text FROM information_schema.tables \
                      WHERE table_schema NOT IN ('pg_catalog', 'information_schema') \
                      AND table_schema NOT LIKE 'pg\\_temp\\_%' LIMIT $1";

/// Returns the tables and views that the user of the URL may use, at most `max`.
///
/// # Errors
///
/// If they are more, or the database fails.
pub(crate) fn tables(url: &PostgresUrl, max: usize) -> Result<Vec<Table>> {
    let target = Target { role: "catalog", ..Target::new(url)? };
    let runtime = Builder::new_current_thread().enable_all().build().map_err(|error| {
        storage(format!("cannot start: {}", system_words(&error)), "is the system out of threads or file descriptors?")
    })?;
    let limit = i64::try_from(max.saturating_add(1)).unwrap_or(i64::MAX);
    let rows: Vec<(String, String, String)> = runtime.block_on(async {
        let mut connection = target.connect().await?;
        let read = within(PATIENCE, async {
            let mut transaction = connection.begin_with(READ).await?;
            let query = sqlx::query_as(TABLES).bind(limit).persistent(false);
            let rows = query.fetch_all(&mut *transaction).await?;
            transaction.rollback().await?;
            Ok(rows)
        });
        let rows = read.await.map_err(|error| {
            let reason = match &error {
                sqlx::Error::Database(error) => error.message().to_owned(),
                sqlx::Error::PoolTimedOut => "it does not answer".to_owned(),
                _ => "the connection was lost".to_owned(),
            };
            let help = "check that the user may read `information_schema.tables`, and look at the log of the server";
            storage(format!("cannot read the catalog {}: {reason}", target.name), help)
        });
        // The rows were read: whether the server knows that the connection ends does not matter.
        let _ = within(Duration::from_millis(500), connection.close()).await;
        rows
    })?;
    if rows.len() > max {
        let help = "connect as a user who may use fewer tables, or export the names that matter to a file";
        return Err(storage(format!("the catalog {} has more than {max} tables", target.name), help));
    }
    Ok(rows.into_iter().map(|(catalog, schema, name)| Table { catalog, schema, name }).collect())
}
