//! Records as rows.

use std::collections::HashMap;

use serde::Serialize;
use sqlx::query_builder::Separated;
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{FromRow, QueryBuilder, Sqlite};

use super::files::Files;
use super::{SqliteRecords, check_committed, failed};
use crate::columns::{
    self, ClientRow, ConnectionRow, TokenRow, TrailRow, UsageRow, broken, from_json, searched, signed, to_json,
};
use crate::error::Result;
use crate::page::{TokenPosition, TokenQuery, TrailQuery};
use crate::record::{
    Api, ChangeRow, Client, ClientKind, Connection, Grant, LastChange, NamedSource, Ticket, TicketKind, Token,
    TrailEntry, Usage, User,
};
use crate::storage::{Declared, NewEntry, Records, TicketFilter, TokenFilter, Within};
use portcullis::base::Timestamp;
use portcullis::model::{GrantKind, SecretDigest};

type Query = sqlx::query::Query<'static, Sqlite, SqliteArguments>;

impl SqliteRecords<'_> {
    pub(super) fn all<R>(&mut self, query: sqlx::query::QueryAs<'static, Sqlite, R, SqliteArguments>) -> Result<Vec<R>>
    where
        R: for<'r> FromRow<'r, SqliteRow> + Send + Unpin,
    {
        let rows = self.runtime.block_on(query.fetch_all(&mut *self.transaction)).map_err(failed)?;
        // Without locks, the file may have changed while it was read.
        self.files.map_or(Ok(()), Files::check_frozen)?;
        Ok(rows)
    }

    pub(super) fn run(&mut self, query: Query) -> Result<()> {
        self.runtime.block_on(query.execute(&mut *self.transaction)).map(drop).map_err(failed)
    }

    /// Inserts `values`, each as one row of `columns`, with few statements.
    fn insert<T>(
        &mut self,
        insert: &'static str,
        values: &[T],
        columns: usize,
        mut bind: impl FnMut(Separated<'_, Sqlite, &'static str>, &T),
    ) -> Result<()> {
        /// Below SQLite's limit of 32,766 parameters. SQLite keeps a copy of every page that one statement changes: more rows
        /// change more pages, and fewer rows need more statements.
        const MAX_PARAMETERS: usize = 1_000;
        for values in values.chunks(MAX_PARAMETERS / columns) {
            let mut query = QueryBuilder::new(insert);
            query.push_values(values, &mut bind);
            self.runtime.block_on(query.build().execute(&mut *self.transaction)).map_err(failed)?;
        }
        Ok(())
    }

    fn has_tokens(&mut self) -> Result<bool> {
        let rows: Vec<(bool,)> = self.all(sqlx::query_as("SELECT EXISTS (SELECT 1 FROM tokens)"))?;
        Ok(rows.first().is_some_and(|(exists,)| *exists))
    }

    /// Returns the grants of the tokens `ids`, or of all tokens.
    fn grants(&mut self, ids: Option<&[&str]>) -> Result<HashMap<String, Vec<Grant>>> {
        const ALL: &str = "SELECT token, connection, type, source FROM grants ORDER BY token, position";
        const SOME: &str = "SELECT token, connection, type, source FROM grants \
                            WHERE token IN (SELECT value FROM json_each(?1)) ORDER BY token, position";
        let query = match ids {
            Some(ids) => sqlx::query_as(SOME).bind(to_json(&ids)?),
            None => sqlx::query_as(ALL),
        };
        let mut grants: HashMap<String, Vec<Grant>> = HashMap::new();
        for (token, connection, kind, source) in self.all::<(String, String, String, String)>(query)? {
            let kind = GrantKind::from_name(&kind).ok_or_else(|| broken("grants"))?;
            grants.entry(token).or_default().push(Grant { connection, kind, source });
        }
        Ok(grants)
    }

    /// Returns the tokens of `rows`, with their grants.
    pub(super) fn with_grants(&mut self, rows: Vec<TokenRow>) -> Result<Vec<Token>> {
        /// From this number of tokens, all grants are read at once.
        const MANY: usize = 10_000;
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let ids: Vec<&str> = rows.iter().map(|(id, ..)| &**id).collect();
        let mut grants = self.grants((ids.len() < MANY).then_some(&ids))?;
        let token = |row: TokenRow| {
            let grants = grants.remove(&row.0).unwrap_or_default();
            columns::token(row, grants)
        };
        rows.into_iter().map(token).collect()
    }

    /// Whether the database has the tables of the workspace, which schemas before 4 lack.
    fn has_workspace(&mut self) -> Result<bool> {
        let rows: Vec<(i64,)> =
            self.all(sqlx::query_as("SELECT count(*) FROM sqlite_schema WHERE name = 'tickets'"))?;
        Ok(rows.first().is_some_and(|(count,)| *count > 0))
    }

    fn client_rows(&mut self, kind: Option<ClientKind>, id: Option<&str>) -> Result<Vec<Client>> {
        macro_rules! select {
            ($more:literal) => {
                concat!(
                    "SELECT id, kind, owner, title, sha256, urls, created_at, ",
                    $more,
                    " FROM clients WHERE (?1 IS NULL OR kind = ?1) AND (?2 IS NULL OR id = ?2) ORDER BY id"
                )
            };
        }
        let query = if self.has_workspace()? {
            select!("allowed_apis, grants, scopes, earlier_secrets")
        } else {
            select!("'[]', '[]', NULL, '[]'")
        };
        let query = sqlx::query_as(query).bind(kind.map(ClientKind::as_str)).bind(id.map(ToOwned::to_owned));
        self.all::<ClientRow>(query)?.into_iter().map(columns::client).collect()
    }

    /// Inserts `tokens`, none of which exists, with their grants and searched texts.
    fn insert_tokens(&mut self, tokens: &[&Token]) -> Result<()> {
        self.insert(
            "INSERT INTO tokens (id, owner, name, sha256, allowed_apis, referers, expiration_date, created_at) ",
            tokens,
            8,
            |mut row, token| {
                let instant = |instant: Option<Timestamp>| instant.map(|instant| instant.to_string());
                row.push_bind(token.id.clone()).push_bind(token.owner.clone()).push_bind(token.name.clone());
                row.push_bind(token.digest.as_bytes().to_vec()).push_bind(to_json(&token.allowed_apis).ok());
                row.push_bind(to_json(&token.referers).ok()).push_bind(instant(token.expiration_date));
                row.push_bind(instant(token.created_at));
            },
        )?;
        let grants =
            tokens.iter().flat_map(|token| (0_i64..).zip(&token.grants).map(|(at, grant)| (&token.id, at, grant)));
        self.insert(
            "INSERT INTO grants (token, position, connection, type, source) ",
            &grants.collect::<Vec<_>>(),
            5,
            |mut row, (token, position, grant)| {
                row.push_bind((*token).clone()).push_bind(*position).push_bind(grant.connection.clone());
                row.push_bind(grant.kind.as_str()).push_bind(grant.source.clone());
            },
        )?;
        self.add_texts(tokens)
    }

    /// Adds the searched texts of `tokens`, which have none.
    fn add_texts(&mut self, tokens: &[&Token]) -> Result<()> {
        self.insert("INSERT INTO token_texts (token, text) ", tokens, 2, |mut row, token| {
            row.push_bind(token.id.clone()).push_bind(searched(token));
        })
    }
}

/// What only one token may have: as JSON, for look-ups of many tokens.
#[derive(Serialize)]
struct Keys<'t> {
    id: &'t str,
    sha256: String,
    owner: &'t str,
    name: &'t str,
}

impl<'t> From<&'t Token> for Keys<'t> {
    fn from(token: &'t Token) -> Self {
        Self { id: &token.id, sha256: token.digest.to_hex(), owner: &token.owner, name: &token.name }
    }
}

/// Selects rows of tokens; a condition follows.
pub(super) const TOKEN: &str =
    "SELECT id, owner, name, sha256, allowed_apis, referers, expiration_date, created_at FROM tokens ";

impl Declared for SqliteRecords<'_> {
    fn connections(&mut self) -> Result<Vec<Connection>> {
        let rows: Vec<ConnectionRow> = self.all(sqlx::query_as(
            "SELECT name, dialect, case_sensitive, named_sources_only FROM connections ORDER BY name",
        ))?;
        rows.into_iter().map(columns::connection).collect()
    }

    fn named_sources(&mut self) -> Result<Vec<NamedSource>> {
        let rows: Vec<(String, Option<String>, String)> =
            self.all(sqlx::query_as("SELECT name, connection, query FROM named_sources ORDER BY name"))?;
        Ok(rows.into_iter().map(|(name, connection, query)| NamedSource { name, connection, query }).collect())
    }

    fn apis(&mut self) -> Result<Vec<Api>> {
        let rows: Vec<(String, String)> = self.all(sqlx::query_as("SELECT name, accepts FROM apis ORDER BY name"))?;
        rows.into_iter().map(|(name, accepts)| Ok(Api { name, accepts: from_json(&accepts, "apis")? })).collect()
    }
}

impl Records for SqliteRecords<'_> {
    fn revision(&mut self) -> Result<u64> {
        let rows: Vec<(i64,)> = self.all(sqlx::query_as("SELECT revision FROM registry"))?;
        rows.first().map(|(revision,)| revision.unsigned_abs()).ok_or_else(|| broken("registry"))
    }

    fn next_revision(&mut self) -> Result<u64> {
        self.run(sqlx::query("UPDATE registry SET revision = revision + 1"))?;
        let revision = self.revision()?;
        self.revision = Some(revision);
        Ok(revision)
    }

    fn put_connection(&mut self, connection: &Connection) -> Result<()> {
        let query = sqlx::query(
            "INSERT INTO connections (name, dialect, case_sensitive, named_sources_only) VALUES (?1, ?2, ?3, ?4) \
             ON CONFLICT (name) DO UPDATE SET dialect = ?2, case_sensitive = ?3, named_sources_only = ?4",
        );
        let query = query.bind(connection.name.clone()).bind(connection.dialect.as_str());
        self.run(query.bind(connection.dialect.is_case_sensitive()).bind(connection.named_sources_only))
    }

    fn remove_connection(&mut self, name: &str) -> Result<()> {
        self.run(sqlx::query("DELETE FROM connections WHERE name = ?1").bind(name.to_owned()))
    }

    fn put_named_source(&mut self, source: &NamedSource) -> Result<()> {
        let query = sqlx::query(
            "INSERT INTO named_sources (name, connection, query) VALUES (?1, ?2, ?3) \
             ON CONFLICT (name) DO UPDATE SET connection = ?2, query = ?3",
        );
        self.run(query.bind(source.name.clone()).bind(source.connection.clone()).bind(source.query.clone()))
    }

    fn remove_named_source(&mut self, name: &str) -> Result<()> {
        self.run(sqlx::query("DELETE FROM named_sources WHERE name = ?1").bind(name.to_owned()))
    }

    fn put_api(&mut self, api: &Api) -> Result<()> {
        let query = sqlx::query(
            "INSERT INTO apis (name, accepts) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET accepts = ?2",
        );
        self.run(query.bind(api.name.clone()).bind(to_json(&api.accepts)?))
    }

    fn tokens(&mut self, which: TokenFilter<'_>) -> Result<Vec<Token>> {
        macro_rules! select {
            ($where:literal) => {
                concat!(
                    "SELECT id, owner, name, sha256, allowed_apis, referers, expiration_date, created_at FROM tokens ",
                    $where,
                    " ORDER BY id"
                )
            };
        }
        if matches!(which, TokenFilter::Like(_)) && !self.has_tokens()? {
            return Ok(Vec::new());
        }
        let query = match which {
            TokenFilter::All => sqlx::query_as(select!("")),
            TokenFilter::Owner(owner) => sqlx::query_as(select!("WHERE owner = ?1")).bind(owner.to_owned()),
            TokenFilter::Id(id) => sqlx::query_as(select!("WHERE id = ?1")).bind(id.to_owned()),
            TokenFilter::Name { owner: Some(owner), name } => {
                sqlx::query_as(select!("WHERE name = ?1 AND owner = ?2")).bind(name.to_owned()).bind(owner.to_owned())
            }
            TokenFilter::Name { owner: None, name } => sqlx::query_as(select!("WHERE name = ?1")).bind(name.to_owned()),
            TokenFilter::Connection(name) => {
                sqlx::query_as(select!("WHERE id IN (SELECT token FROM grants WHERE connection = ?1)"))
                    .bind(name.to_owned())
            }
            TokenFilter::NamedSource(name) => sqlx::query_as(select!(
                "WHERE id IN (SELECT token FROM grants WHERE type = 'named_source' AND source = ?1)"
            ))
            .bind(name.to_owned()),
            TokenFilter::Like(tokens) => sqlx::query_as(select!(
                "WHERE id IN (SELECT tokens.id FROM json_each(?1) AS new JOIN tokens ON tokens.id = new.value ->> 'id' \
                 UNION SELECT tokens.id FROM json_each(?1) AS new JOIN tokens ON sha256 = unhex(new.value ->> 'sha256') \
                 UNION SELECT tokens.id FROM json_each(?1) AS new JOIN tokens \
                 ON tokens.owner = new.value ->> 'owner' AND tokens.name = new.value ->> 'name')"
            ))
            .bind(to_json(&tokens.iter().map(Keys::from).collect::<Vec<_>>())?),
        };
        let rows: Vec<TokenRow> = self.all(query)?;
        self.with_grants(rows)
    }

    fn token_documents(&mut self) -> Result<Vec<String>> {
        self.documents_of_tokens()
    }

    fn count_tokens_except(&mut self, owner: &str) -> Result<u64> {
        let query = sqlx::query_as("SELECT count(*) FROM tokens WHERE owner <> ?1").bind(owner.to_owned());
        let rows: Vec<(i64,)> = self.all(query)?;
        Ok(rows.first().map_or(0, |(count,)| count.unsigned_abs()))
    }

    fn put_token(&mut self, token: &Token) -> Result<()> {
        let query = sqlx::query(
            "INSERT INTO tokens (id, owner, name, sha256, allowed_apis, referers, expiration_date, created_at) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT (id) DO UPDATE SET \
             owner = ?2, name = ?3, sha256 = ?4, allowed_apis = ?5, referers = ?6, expiration_date = ?7, created_at = ?8",
        );
        let query = query.bind(token.id.clone()).bind(token.owner.clone()).bind(token.name.clone());
        let query = query.bind(token.digest.as_bytes().to_vec()).bind(to_json(&token.allowed_apis)?);
        let instant = |instant: Option<Timestamp>| instant.map(|instant| instant.to_string());
        let query = query.bind(to_json(&token.referers)?).bind(instant(token.expiration_date));
        self.run(query.bind(instant(token.created_at)))?;
        self.run(sqlx::query("DELETE FROM grants WHERE token = ?1").bind(token.id.clone()))?;
        for (position, grant) in (0_i64..).zip(&token.grants) {
            let query = sqlx::query(
                "INSERT INTO grants (token, position, connection, type, source) VALUES (?1, ?2, ?3, ?4, ?5)",
            );
            let query = query.bind(token.id.clone()).bind(position).bind(grant.connection.clone());
            self.run(query.bind(grant.kind.as_str()).bind(grant.source.clone()))?;
        }
        // A new number: the index has the old text, if any.
        self.run(sqlx::query("DELETE FROM token_texts WHERE token = ?1").bind(token.id.clone()))?;
        self.add_texts(&[token])
    }

    fn add_tokens(&mut self, tokens: &[&Token]) -> Result<()> {
        // The pages of a large change would be written more than once: its digests are in random order.
        self.run(sqlx::query("PRAGMA cache_size = -262144"))?;
        self.without_indexes(tokens.len(), |records| records.insert_tokens(tokens))
    }

    fn remove_token(&mut self, id: &str) -> Result<()> {
        self.run(sqlx::query("DELETE FROM tokens WHERE id = ?1").bind(id.to_owned()))
    }

    fn token_page(&mut self, query: &TokenQuery<'_>, within: Within<'_>) -> Result<Vec<Token>> {
        self.page_of_tokens(query, within)
    }

    fn position_after(&mut self, query: &TokenQuery<'_>, count: usize) -> Result<Option<TokenPosition>> {
        self.position_of_token(query, count)
    }

    fn candidates(&mut self, query: &TokenQuery<'_>, max: usize) -> Result<Option<Vec<String>>> {
        self.ids_of_candidates(query, max)
    }

    fn index_texts(&mut self, max: usize) -> Result<usize> {
        self.index_more_texts(max)
    }

    fn expired_tokens(&mut self, until: Timestamp, max: usize) -> Result<Vec<Token>> {
        self.tokens_expired_until(until, max)
    }

    fn usage(&mut self) -> Result<Vec<Usage>> {
        let rows: Vec<UsageRow> =
            self.all(sqlx::query_as("SELECT token, allowed, last_used FROM usage ORDER BY token"))?;
        Ok(rows.into_iter().map(columns::usage).collect())
    }

    fn usage_of(&mut self, tokens: &[&str]) -> Result<Vec<Usage>> {
        let query = sqlx::query_as(
            "SELECT token, allowed, last_used FROM usage WHERE token IN (SELECT value FROM json_each(?1)) ORDER BY token",
        );
        let rows: Vec<UsageRow> = self.all(query.bind(to_json(&tokens)?))?;
        Ok(rows.into_iter().map(columns::usage).collect())
    }

    fn add_usage(&mut self, batch: &[Usage]) -> Result<()> {
        for usage in batch {
            let query = sqlx::query(
                "INSERT INTO usage (token, allowed, last_used) SELECT id, ?2, ?3 FROM tokens WHERE id = ?1 \
                 ON CONFLICT (token) DO UPDATE SET allowed = allowed + ?2, last_used = max(last_used, ?3)",
            );
            let query = query.bind(usage.token.clone()).bind(signed(usage.allowed));
            self.run(query.bind(usage.last_used.seconds()))?;
        }
        Ok(())
    }

    fn clients(&mut self, kind: ClientKind) -> Result<Vec<Client>> {
        self.client_rows(Some(kind), None)
    }

    fn client(&mut self, id: &str) -> Result<Option<Client>> {
        Ok(self.client_rows(None, Some(id))?.pop())
    }

    fn put_client(&mut self, client: &Client) -> Result<()> {
        let query = sqlx::query(
            "INSERT INTO clients (id, kind, owner, title, sha256, urls, created_at, allowed_apis, grants, scopes, \
             earlier_secrets) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11) ON CONFLICT (id) DO UPDATE SET \
             title = ?4, sha256 = ?5, urls = ?6, allowed_apis = ?8, grants = ?9, scopes = ?10, earlier_secrets = ?11",
        );
        let query = query.bind(client.id.clone()).bind(client.kind.as_str()).bind(client.owner.clone());
        let query = query.bind(client.title.clone()).bind(client.digest.map(|digest| digest.as_bytes().to_vec()));
        let query = query.bind(to_json(&client.urls)?).bind(client.created_at.to_string());
        let query = query.bind(to_json(&client.allowed_apis)?);
        let query = query.bind(columns::client_grants(client)?);
        let query = query.bind(client.scopes.as_ref().map(to_json).transpose()?);
        self.run(query.bind(columns::earlier_secrets(client)?))
    }

    fn remove_client(&mut self, id: &str) -> Result<()> {
        self.run(sqlx::query("DELETE FROM clients WHERE id = ?1").bind(id.to_owned()))
    }

    fn users(&mut self) -> Result<Vec<User>> {
        self.all_users()
    }

    fn owners(&mut self) -> Result<Vec<String>> {
        self.all_owners()
    }

    fn user(&mut self, name: &str) -> Result<Option<User>> {
        self.user_named(name)
    }

    fn put_user(&mut self, user: &User) -> Result<()> {
        self.write_user(user)
    }

    fn remove_user(&mut self, name: &str) -> Result<()> {
        self.delete_user(name)
    }

    fn ticket(&mut self, kind: TicketKind, digest: &SecretDigest) -> Result<Option<Ticket>> {
        self.ticket_with(kind, digest)
    }

    fn tickets(&mut self, which: TicketFilter<'_>) -> Result<Vec<Ticket>> {
        self.tickets_in(which)
    }

    fn put_ticket(&mut self, ticket: &Ticket) -> Result<()> {
        self.write_ticket(ticket)
    }

    fn remove_ticket(&mut self, kind: TicketKind, digest: &SecretDigest) -> Result<()> {
        self.delete_ticket(kind, digest)
    }

    fn remove_expired_tickets(&mut self, until: Timestamp) -> Result<()> {
        self.delete_tickets_expired_until(until)
    }

    fn trail(&mut self) -> Result<Vec<TrailEntry>> {
        macro_rules! select {
            ($how:literal) => {
                concat!(
                    "SELECT number, revision, at, \"user\", ",
                    $how,
                    ", action, kind, id, owner, before, after FROM trail ORDER BY number"
                )
            };
        }
        let query = if self.has_workspace()? { select!("how") } else { select!("NULL") };
        self.all::<TrailRow>(sqlx::query_as(query))?.into_iter().map(columns::trail_entry).collect()
    }

    fn trail_page(&mut self, query: &TrailQuery<'_>) -> Result<Vec<TrailEntry>> {
        self.page_of_trail(query)
    }

    fn last_change(&mut self) -> Result<LastChange> {
        let last = "SELECT number, kind, id, at, action, after FROM trail ORDER BY number DESC LIMIT 1";
        let rows: Vec<ChangeRow> = self.all(sqlx::query_as(last))?;
        Ok(rows.into_iter().next().map(LastChange::of).unwrap_or_default())
    }

    fn entries_from(&mut self, first: u64, max: usize) -> Result<Vec<LastChange>> {
        let query = sqlx::query_as(
            "SELECT number, kind, id, at, action, after FROM trail WHERE number >= ?1 ORDER BY number LIMIT ?2",
        );
        let max = i64::try_from(max).unwrap_or(i64::MAX);
        let rows: Vec<ChangeRow> = self.all(query.bind(signed(first)).bind(max))?;
        Ok(rows.into_iter().map(LastChange::of).collect())
    }

    fn append(&mut self, entries: &[NewEntry]) -> Result<()> {
        let insert = "INSERT INTO trail (revision, at, \"user\", how, action, kind, id, owner, before, after) ";
        self.insert(insert, entries, 10, |mut row, entry| {
            row.push_bind(signed(entry.revision)).push_bind(entry.at.to_string());
            row.push_bind(entry.user.clone()).push_bind(entry.how.clone());
            row.push_bind(entry.action.clone()).push_bind(entry.kind);
            row.push_bind(entry.id.clone()).push_bind(entry.owner.clone());
            row.push_bind(entry.before.clone()).push_bind(entry.after.clone());
        })
    }

    fn commit(self: Box<Self>) -> Result<()> {
        let Self { runtime, transaction, files, revision } = *self;
        runtime.block_on(async {
            transaction.commit().await.map_err(failed)?;
            match files {
                Some(files) => check_committed(files, revision).await,
                None => Ok(()),
            }
        })
    }
}
