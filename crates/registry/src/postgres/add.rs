//! Tokens that are added with one statement.
//!
//! The statement commits without waiting for the disk, so the lock of the revision is free again while the change is made
//! durable. Then a second statement waits for the disk, together with those of other clients. No change is reported before.

use std::sync::Arc;

use super::connect::within;
use super::{LONG, PostgresStorage, SHORT, closed, code, failed, is_fatal, schema, unconfirmed, wait};
use crate::columns::{self, ConnectionRow, from_json, searched, signed, to_json};
use crate::error::Result;
use crate::record::{Api, NamedSource};
use crate::storage::{Addition, Declarations};

/// Returns the declarations as JSON, each list as rows, all of one state.
const DECLARATIONS: &str = "SELECT declarations, \
    (SELECT coalesce(json_agg(json_build_array(name, dialect, case_sensitive, named_sources_only) ORDER BY name), '[]')::text \
     FROM portcullis.connections), \
    (SELECT coalesce(json_agg(json_build_array(name, connection, query) ORDER BY name), '[]')::text \
     FROM portcullis.named_sources), \
    (SELECT coalesce(json_agg(json_build_array(name, accepts) ORDER BY name), '[]')::text FROM portcullis.apis) \
    FROM portcullis.registry";

/// Adds a token. The setting depends on the result, so it is made last: the function itself turns the wait for the disk on.
const ADD: &str = "WITH added AS (SELECT portcullis.add_token($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, \
                   $16, $17, $18, $19, $20, $21) AS revision) \
                   SELECT revision, set_config('synchronous_commit', 'off', revision IS NOT NULL) FROM added";

/// Waits until every change that was committed before is durable: the server writes its log in order. The message makes the
/// server write something, and every user may write it.
const MAKE_DURABLE: &str = "SELECT pg_logical_emit_message(true, 'portcullis', ''::text), \
                            CASE WHEN current_setting('synchronous_commit') = 'off' \
                            THEN set_config('synchronous_commit', 'on', true) END";

/// As [`MAKE_DURABLE`], where an administrator has revoked the right to write messages. It changes nothing, but waits for
/// writers.
const MAKE_DURABLE_WITH_LOCK: &str = "WITH setting AS (SELECT set_config('synchronous_commit', 'on', true) \
                                      WHERE current_setting('synchronous_commit') = 'off') \
                                      UPDATE portcullis.registry SET schema = schema \
                                      WHERE (SELECT count(*) FROM setting) >= 0";

/// The error of the function for a token that it does not add.
const NOT_ADDED: &str = "PC001";

impl PostgresStorage {
    /// Returns the declarations that were read last, and reads them if there are none.
    pub(super) fn known_declarations(&mut self) -> Result<Option<Arc<Declarations>>> {
        if self.is_read_only {
            return Err(schema::read_only(&self.target.name));
        }
        self.check_connection()?;
        if !self.can_add {
            return Ok(None);
        }
        if self.declarations.is_none() {
            let connection = self.connection.as_mut().ok_or_else(closed)?;
            let query = sqlx::query_as(DECLARATIONS).persistent(!self.target.is_pooled);
            let found: (i64, String, String, String) =
                wait(&self.runtime, &self.is_broken, SHORT, query.fetch_one(connection))?;
            self.declarations = Some(Arc::new(declarations(found)?));
        }
        Ok(self.declarations.clone())
    }

    pub(super) fn add_at_once(&mut self, addition: &Addition<'_>) -> Result<bool> {
        let Addition { token, entry, answer, checked_with } = addition;
        let texts = |text: fn(&crate::record::Grant) -> String| token.grants.iter().map(text).collect::<Vec<_>>();
        let query = sqlx::query_scalar::<_, i64>(ADD)
            .bind(signed(*checked_with))
            .bind(&token.id)
            .bind(&token.owner)
            .bind(&token.name)
            .bind(token.digest.as_bytes().as_slice())
            .bind(to_json(&token.allowed_apis)?)
            .bind(to_json(&token.referers)?)
            .bind(token.expiration_date.map(|instant| instant.to_string()))
            .bind(token.created_at.map(|instant| instant.to_string()))
            .bind(searched(token).to_ascii_lowercase())
            .bind(texts(|grant| grant.connection.clone()))
            .bind(texts(|grant| grant.kind.as_str().to_owned()))
            .bind(texts(|grant| grant.source.clone()))
            .bind(entry.at.to_string())
            .bind(&entry.user)
            .bind(&entry.how)
            .bind(&entry.action)
            .bind(&entry.after)
            .bind(answer.as_ref().map(|answer| answer.digest.as_bytes().to_vec()))
            .bind(answer.as_ref().map(|answer| answer.expires.seconds()))
            .bind(answer.as_ref().map(|answer| answer.body.clone()))
            .persistent(!self.target.is_pooled);
        let connection = self.connection.as_mut().ok_or_else(closed)?;
        let added = self.runtime.block_on(async { within(LONG, query.fetch_one(connection)).await });
        let Err(error) = added else { return self.make_durable().map(|()| true) };
        if error.as_database_error().is_none() || is_fatal(&error) {
            self.is_broken.set(true);
            return Err(unconfirmed(&self.target.name));
        }
        match &*code(&error) {
            // Values that exist, a connection that does not, and two writers that wait for each other.
            NOT_ADDED | "23505" | "23503" | "40P01" => Ok(false),
            _ => Err(failed(error)),
        }
    }

    /// Waits until everything that was committed is durable.
    ///
    /// # Errors
    ///
    /// If the server does not confirm it: a crash may undo a change that was committed.
    fn make_durable(&mut self) -> Result<()> {
        let connection = self.connection.as_mut().ok_or_else(closed)?;
        for statement in [MAKE_DURABLE, MAKE_DURABLE_WITH_LOCK] {
            let done = sqlx::query(statement).persistent(!self.target.is_pooled).execute(&mut *connection);
            match self.runtime.block_on(async { within(LONG, done).await }) {
                Ok(_) => return Ok(()),
                Err(error) if error.as_database_error().is_some() && !is_fatal(&error) => {}
                Err(_) => break,
            }
        }
        self.is_broken.set(true);
        Err(unconfirmed(&self.target.name))
    }
}

fn declarations((version, connections, sources, apis): (i64, String, String, String)) -> Result<Declarations> {
    let connections: Vec<ConnectionRow> = from_json(&connections, "connections")?;
    let sources: Vec<(String, Option<String>, String)> = from_json(&sources, "named_sources")?;
    let apis: Vec<(String, String)> = from_json(&apis, "apis")?;
    let api = |(name, accepts): (String, String)| Ok(Api { name, accepts: from_json(&accepts, "apis")? });
    Ok(Declarations {
        version: version.unsigned_abs(),
        connections: connections.into_iter().map(columns::connection).collect::<Result<_>>()?,
        named_sources: sources
            .into_iter()
            .map(|(name, connection, query)| NamedSource { name, connection, query })
            .collect(),
        apis: apis.into_iter().map(api).collect::<Result<_>>()?,
    })
}
