//! The tables of the registry, in a schema of their own: `portcullis`.

use sqlx::{Connection as _, PgConnection};

use super::connect::Target;
use super::failed;
use crate::error::{RegistryError, Result, storage};
use crate::storage::Purpose;

/// The newest schema: the number of the last migration.
const SCHEMA: i32 = 3;

/// The oldest schema that is used without migration to read: later ones only add what no reader needs.
const READABLE: i32 = 3;

const MIGRATIONS: [(i32, &str); 3] = [
    (1, include_str!("../../migrations/postgres/0001_registry.sql")),
    (2, include_str!("../../migrations/postgres/0002_additions.sql")),
    (3, include_str!("../../migrations/postgres/0003_sign_in.sql")),
];

/// A database that holds a registry.
pub(super) struct Prepared {
    /// Whether this user or server may not change the registry.
    pub(super) is_read_only: bool,
    /// Whether the schema has the function that adds a token.
    pub(super) can_add: bool,
}

/// The state of an opened database.
struct State {
    /// The number of the last migration; `None` without a registry.
    schema: Option<i32>,
    is_read_only: bool,
}

/// Checks that the database holds a registry. To create one, creates its tables; to change one, migrates them.
pub(super) async fn prepare(connection: &mut PgConnection, target: &Target, purpose: Purpose) -> Result<Prepared> {
    let name = &target.name;
    let mut found = state(connection).await?;
    if found.schema.is_none() && purpose != Purpose::Create {
        return Err(storage(
            format!("the database {name} holds no registry"),
            "`portcullis connections add NAME` creates it in this database",
        ));
    }
    if let Some(schema) = found.schema.filter(|schema| *schema > SCHEMA) {
        return Err(storage(
            format!("{name} was written by a newer portcullis: its schema is {schema}, this one knows {SCHEMA}"),
            "use that version of portcullis",
        ));
    }
    let oldest = if purpose == Purpose::Read { READABLE } else { SCHEMA };
    if found.schema.is_none_or(|schema| schema < oldest) {
        migrate(connection, name).await?;
        found = state(connection).await?;
    }
    if purpose != Purpose::Read && found.is_read_only {
        return Err(read_only(name));
    }
    check_one_state(connection, name).await?;
    Ok(Prepared { is_read_only: found.is_read_only, can_add: found.schema == Some(SCHEMA) })
}

pub(super) fn read_only(name: &str) -> RegistryError {
    storage(
        format!("the registry {name} is read-only"),
        "connect as a user who may change its tables, and to the primary server",
    )
}

async fn state(connection: &mut PgConnection) -> Result<State> {
    // The catalog of the database shows tables to users who may not read them, too.
    const STATE: &str = "SELECT
            EXISTS (SELECT FROM pg_class WHERE relname = 'registry' AND relnamespace = to_regnamespace('portcullis')),
            pg_is_in_recovery() OR current_setting('default_transaction_read_only')::boolean";
    const RIGHTS: &str = "SELECT schema, has_table_privilege('portcullis.tokens', 'INSERT')
            AND has_table_privilege('portcullis.registry', 'UPDATE') FROM portcullis.registry";
    let (exists, is_read_only): (bool, bool) =
        sqlx::query_as(STATE).persistent(false).fetch_one(&mut *connection).await.map_err(failed)?;
    if !exists {
        return Ok(State { schema: None, is_read_only });
    }
    let (schema, may_write): (i32, bool) =
        sqlx::query_as(RIGHTS).persistent(false).fetch_one(&mut *connection).await.map_err(failed)?;
    Ok(State { schema: Some(schema), is_read_only: is_read_only || !may_write })
}

/// Applies the missing migrations in one transaction. Several processes may do so: one migrates, and the other ones wait.
async fn migrate(connection: &mut PgConnection, name: &str) -> Result<()> {
    let cannot = |error: sqlx::Error| {
        let reason = error.as_database_error().map_or_else(|| error.to_string(), |error| error.message().to_owned());
        storage(
            format!("cannot create or migrate the registry {name}: {reason}"),
            "do this once as a user who may create a schema in the database; nothing was changed",
        )
    };
    let mut transaction = connection.begin().await.map_err(cannot)?;
    let encoding: String =
        sqlx::query_scalar("SELECT pg_advisory_xact_lock(1346587730)::text || getdatabaseencoding()")
            .persistent(false)
            .fetch_one(&mut *transaction)
            .await
            .map_err(cannot)?;
    if encoding != "UTF8" {
        return Err(storage(
            format!("the database {name} has the encoding {encoding}, so it cannot hold every name"),
            "create another database with `createdb --encoding UTF8 --template template0`",
        ));
    }
    // Another process may have migrated the registry meanwhile.
    let present = state(&mut transaction).await?.schema;
    if present.is_none() {
        let create =
            "DO $$ BEGIN IF to_regnamespace('portcullis') IS NULL THEN CREATE SCHEMA portcullis; END IF; END $$";
        sqlx::raw_sql(create).execute(&mut *transaction).await.map_err(cannot)?;
    }
    sqlx::raw_sql("SET LOCAL search_path TO portcullis").execute(&mut *transaction).await.map_err(cannot)?;
    for (number, migration) in MIGRATIONS {
        if present.is_none_or(|present| present < number) {
            sqlx::raw_sql(migration).execute(&mut *transaction).await.map_err(cannot)?;
            let numbered = sqlx::query("UPDATE registry SET schema = $1").bind(number).persistent(false);
            numbered.execute(&mut *transaction).await.map_err(cannot)?;
        }
    }
    transaction.commit().await.map_err(cannot)
}

/// Checks that the trail ends with the current revision: a restored part of a registry may hold two states.
async fn check_one_state(connection: &mut PgConnection, name: &str) -> Result<()> {
    const DIFFERENCE: &str = "SELECT revision - coalesce((SELECT revision FROM portcullis.trail ORDER BY number DESC LIMIT 1), 0) \
                              FROM portcullis.registry";
    let difference: i64 =
        sqlx::query_scalar(DIFFERENCE).persistent(false).fetch_one(connection).await.map_err(failed)?;
    if difference == 0 {
        return Ok(());
    }
    Err(storage(
        format!("{name} is not one state of a registry: its trail ends with another revision than its own"),
        "restore the whole schema `portcullis` from one dump",
    ))
}
