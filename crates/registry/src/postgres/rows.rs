//! Records as rows.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use sqlx::postgres::{PgArguments, PgRow};
use sqlx::{FromRow, Postgres};

use super::connect::within;
use super::{LONG, PostgresRecords, SHORT, closed, failed, is_fatal, sought, unconfirmed, wait};
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

type Query = sqlx::query::Query<'static, Postgres, PgArguments>;
type QueryAs<R> = sqlx::query::QueryAs<'static, Postgres, R, PgArguments>;

macro_rules! select {
    ($where:literal) => {
        concat!(
            "SELECT id, owner, name, sha256, allowed_apis, referers, expiration_date, created_at FROM tokens ",
            $where,
            " ORDER BY id"
        )
    };
}

impl PostgresRecords<'_> {
    /// Returns the rows of a query whose answer may be large.
    pub(super) fn all<R>(&mut self, query: QueryAs<R>) -> Result<Vec<R>>
    where
        R: for<'r> FromRow<'r, PgRow> + Send + Unpin,
    {
        self.rows(query, LONG)
    }

    /// Returns the rows of a query whose answer is small.
    pub(super) fn few<R>(&mut self, query: QueryAs<R>) -> Result<Vec<R>>
    where
        R: for<'r> FromRow<'r, PgRow> + Send + Unpin,
    {
        self.rows(query, SHORT)
    }

    fn rows<R>(&mut self, query: QueryAs<R>, patience: Duration) -> Result<Vec<R>>
    where
        R: for<'r> FromRow<'r, PgRow> + Send + Unpin,
    {
        let transaction = self.transaction.as_mut().ok_or_else(closed)?;
        let rows = query.persistent(self.prepares).fetch_all(&mut **transaction);
        wait(self.runtime, self.is_broken, patience, rows)
    }

    pub(super) fn run(&mut self, query: Query) -> Result<()> {
        let transaction = self.transaction.as_mut().ok_or_else(closed)?;
        let done = query.persistent(self.prepares).execute(&mut **transaction);
        wait(self.runtime, self.is_broken, LONG, done).map(drop)
    }

    /// Returns the tokens of `rows`, with their grants.
    pub(super) fn with_grants(&mut self, rows: Vec<TokenRow>) -> Result<Vec<Token>> {
        /// From this number of tokens, all grants are read at once.
        const MANY: usize = 10_000;
        const ALL: &str = "SELECT token, connection, type, source FROM grants ORDER BY token, position";
        const SOME: &str = "SELECT token, connection, type, source FROM grants \
                            WHERE token = ANY ($1::text[]) ORDER BY token, position";
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let query = if rows.len() < MANY {
            sqlx::query_as(SOME).bind(rows.iter().map(|(id, ..)| id.clone()).collect::<Vec<_>>())
        } else {
            sqlx::query_as(ALL)
        };
        let mut grants: HashMap<String, Vec<Grant>> = HashMap::new();
        for (token, connection, kind, source) in self.all::<(String, String, String, String)>(query)? {
            let kind = GrantKind::from_name(&kind).ok_or_else(|| broken("grants"))?;
            grants.entry(token).or_default().push(Grant { connection, kind, source });
        }
        let token = |row: TokenRow| {
            let grants = grants.remove(&row.0).unwrap_or_default();
            columns::token(row, grants)
        };
        rows.into_iter().map(token).collect()
    }

    /// Returns the tokens with the id, the digest, or the owner and name of one of `tokens`, by id.
    fn tokens_like(&mut self, tokens: &[Token]) -> Result<Vec<Token>> {
        /// Each list fits into the memory that the server gives to one step of a query, and is looked up in an index.
        const AT_ONCE: usize = 1_000;
        let mut found = BTreeMap::new();
        for tokens in tokens.chunks(AT_ONCE) {
            let texts = |text: fn(&Token) -> String| tokens.iter().map(text).collect::<Vec<_>>();
            let query = sqlx::query_as(select!(
                "WHERE id IN (SELECT unnest($1::text[]) UNION ALL \
                 SELECT id FROM unnest($2::bytea[]) AS given (sha256) JOIN tokens USING (sha256) UNION ALL \
                 SELECT id FROM unnest($3::text[], $4::text[]) AS given (owner, name) JOIN tokens USING (owner, name))"
            ))
            .bind(texts(|token| token.id.clone()))
            .bind(tokens.iter().map(|token| token.digest.as_bytes().to_vec()).collect::<Vec<_>>())
            .bind(texts(|token| token.owner.clone()))
            .bind(texts(|token| token.name.clone()));
            let rows: Vec<TokenRow> = self.all(query)?;
            found.extend(self.with_grants(rows)?.into_iter().map(|token| (token.id.clone(), token)));
        }
        Ok(found.into_values().collect())
    }

    /// Inserts `tokens` by the statement `insert`, and their grants, which may not exist.
    fn insert<'t>(&mut self, tokens: &[&'t Token], insert: &'static str) -> Result<()> {
        let texts = |text: fn(&Token) -> String| tokens.iter().map(|token| text(token)).collect::<Vec<_>>();
        let lists = |list: fn(&Token) -> &[String]| -> Result<Vec<String>> {
            tokens.iter().map(|token| to_json(&list(token))).collect()
        };
        let instants = |instant: fn(&Token) -> Option<Timestamp>| {
            tokens.iter().map(|token| instant(token).map(|instant| instant.to_string())).collect::<Vec<_>>()
        };
        let digests: Vec<_> = tokens.iter().map(|token| token.digest.as_bytes().to_vec()).collect();
        let query = sqlx::query(insert)
            .bind(texts(|token| token.id.clone()))
            .bind(texts(|token| token.owner.clone()))
            .bind(texts(|token| token.name.clone()))
            .bind(digests)
            .bind(lists(|token| &token.allowed_apis)?)
            .bind(lists(|token| &token.referers)?)
            .bind(instants(|token| token.expiration_date))
            .bind(instants(|token| token.created_at))
            .bind(texts(|token| searched(token).to_ascii_lowercase()));
        self.run(query)?;
        let grants = || {
            let of = |token: &'t Token| (0_i64..).zip(&token.grants).map(move |(at, grant)| (&token.id, at, grant));
            tokens.iter().copied().flat_map(of)
        };
        if grants().next().is_none() {
            return Ok(());
        }
        let query = sqlx::query(
            "INSERT INTO grants (token, position, connection, type, source) \
             SELECT * FROM unnest($1::text[], $2::bigint[], $3::text[], $4::text[], $5::text[])",
        );
        let query = query.bind(grants().map(|(token, ..)| token.clone()).collect::<Vec<_>>());
        let query = query.bind(grants().map(|(_, position, _)| position).collect::<Vec<_>>());
        let query = query.bind(grants().map(|(.., grant)| grant.connection.clone()).collect::<Vec<_>>());
        let query = query.bind(grants().map(|(.., grant)| grant.kind.as_str().to_owned()).collect::<Vec<_>>());
        self.run(query.bind(grants().map(|(.., grant)| grant.source.clone()).collect::<Vec<_>>()))
    }
}

macro_rules! select_clients {
    ($where:literal) => {
        concat!(
            "SELECT id, kind, owner, title, sha256, urls, created_at, allowed_apis, grants, scopes, earlier_secrets \
             FROM clients WHERE ",
            $where,
            " ORDER BY id"
        )
    };
}

/// The tokens to insert, from one list for each column.
macro_rules! insert_tokens {
    ($conflict:literal) => {
        concat!(
            "INSERT INTO tokens (id, owner, name, sha256, allowed_apis, referers, expiration_date, created_at, searched) \
             SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::bytea[], $5::text[], $6::text[], $7::text[], \
             $8::text[], $9::text[]) ",
            $conflict
        )
    };
}

impl Declared for PostgresRecords<'_> {
    fn connections(&mut self) -> Result<Vec<Connection>> {
        let rows: Vec<ConnectionRow> = self.few(sqlx::query_as(
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
        let rows: Vec<(String, String)> = self.few(sqlx::query_as("SELECT name, accepts FROM apis ORDER BY name"))?;
        rows.into_iter().map(|(name, accepts)| Ok(Api { name, accepts: from_json(&accepts, "apis")? })).collect()
    }
}

impl Records for PostgresRecords<'_> {
    fn revision(&mut self) -> Result<u64> {
        let rows: Vec<(i64,)> = self.few(sqlx::query_as("SELECT revision FROM registry"))?;
        rows.first().map(|(revision,)| revision.unsigned_abs()).ok_or_else(|| broken("registry"))
    }

    fn next_revision(&mut self) -> Result<u64> {
        let next = "UPDATE registry SET revision = revision + 1 RETURNING revision";
        let rows: Vec<(i64,)> = self.all(sqlx::query_as(next))?;
        rows.first().map(|(revision,)| revision.unsigned_abs()).ok_or_else(|| broken("registry"))
    }

    fn put_connection(&mut self, connection: &Connection) -> Result<()> {
        let query = sqlx::query(
            "INSERT INTO connections (name, dialect, case_sensitive, named_sources_only) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (name) DO UPDATE SET dialect = $2, case_sensitive = $3, named_sources_only = $4",
        );
        let query = query.bind(connection.name.clone()).bind(connection.dialect.as_str());
        self.run(query.bind(connection.dialect.is_case_sensitive()).bind(connection.named_sources_only))
    }

    fn remove_connection(&mut self, name: &str) -> Result<()> {
        self.run(sqlx::query("DELETE FROM connections WHERE name = $1").bind(sought(name)))
    }

    fn put_named_source(&mut self, source: &NamedSource) -> Result<()> {
        let query = sqlx::query(
            "INSERT INTO named_sources (name, connection, query) VALUES ($1, $2, $3) \
             ON CONFLICT (name) DO UPDATE SET connection = $2, query = $3",
        );
        self.run(query.bind(source.name.clone()).bind(source.connection.clone()).bind(source.query.clone()))
    }

    fn remove_named_source(&mut self, name: &str) -> Result<()> {
        self.run(sqlx::query("DELETE FROM named_sources WHERE name = $1").bind(sought(name)))
    }

    fn put_api(&mut self, api: &Api) -> Result<()> {
        let query = sqlx::query(
            "INSERT INTO apis (name, accepts) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET accepts = $2",
        );
        self.run(query.bind(api.name.clone()).bind(to_json(&api.accepts)?))
    }

    fn tokens(&mut self, which: TokenFilter<'_>) -> Result<Vec<Token>> {
        let query = match which {
            TokenFilter::All => sqlx::query_as(select!("")),
            TokenFilter::Owner(owner) => sqlx::query_as(select!("WHERE owner = $1")).bind(sought(owner)),
            TokenFilter::Id(id) => sqlx::query_as(select!("WHERE id = $1")).bind(sought(id)),
            TokenFilter::Name { owner: Some(owner), name } => {
                sqlx::query_as(select!("WHERE name = $1 AND owner = $2")).bind(sought(name)).bind(sought(owner))
            }
            TokenFilter::Name { owner: None, name } => sqlx::query_as(select!("WHERE name = $1")).bind(sought(name)),
            TokenFilter::Connection(name) => {
                sqlx::query_as(select!("WHERE id IN (SELECT token FROM grants WHERE connection = $1)"))
                    .bind(sought(name))
            }
            TokenFilter::NamedSource(name) => sqlx::query_as(select!(
                "WHERE id IN (SELECT token FROM grants \
                 WHERE type = 'named_source' AND md5(source) = md5($1) AND source = $1)"
            ))
            .bind(sought(name)),
            TokenFilter::Like(tokens) => return self.tokens_like(tokens),
        };
        let rows: Vec<TokenRow> = self.all(query)?;
        self.with_grants(rows)
    }

    fn token_documents(&mut self) -> Result<Vec<String>> {
        // The database writes the JSON of many tokens at once, in pages: a lost network is noticed between them.
        const MANY: &str = r#"
            SELECT string_agg(token, E',\n' ORDER BY id), max(id) FROM (
                SELECT id, '{"id":' || to_json(id) || ',"name":' || to_json(name) || ',"owner":' || to_json(owner)
                    || ',"token_sha256":"' || encode(sha256, 'hex') || '","allowed_apis":' || allowed_apis
                    || ',"grants":[' || coalesce((
                        SELECT string_agg(
                            '{"connection_name":' || to_json(connection) || ',"source":' || to_json(source)
                                || ',"type":"' || type || '"}',
                            ',' ORDER BY position
                        ) FROM grants WHERE grants.token = tokens.id
                    ), '') || ']'
                    || CASE WHEN referers = '[]' THEN '' ELSE ',"referers":' || referers END
                    || coalesce(',"expiration_date":' || to_json(expiration_date), '')
                    || coalesce(',"created_at":' || to_json(created_at), '') || '}' AS token
                FROM tokens WHERE id > $1 ORDER BY id LIMIT 500
            ) AS page"#;
        let mut documents = Vec::new();
        // No id is empty.
        let mut last = String::new();
        loop {
            let rows: Vec<(Option<String>, Option<String>)> = self.few(sqlx::query_as(MANY).bind(last))?;
            match rows.into_iter().next() {
                Some((Some(tokens), Some(id))) => {
                    documents.push(tokens);
                    last = id;
                }
                Some((None, None)) => return Ok(documents),
                _ => return Err(broken("tokens")),
            }
        }
    }

    fn count_tokens_except(&mut self, owner: &str) -> Result<u64> {
        let query = sqlx::query_as("SELECT count(*) FROM tokens WHERE owner <> $1").bind(owner.to_owned());
        let rows: Vec<(i64,)> = self.all(query)?;
        Ok(rows.first().map_or(0, |(count,)| count.unsigned_abs()))
    }

    fn put_token(&mut self, token: &Token) -> Result<()> {
        self.run(sqlx::query("DELETE FROM grants WHERE token = $1").bind(token.id.clone()))?;
        self.insert(
            &[token],
            insert_tokens!(
                "ON CONFLICT (id) DO UPDATE SET owner = excluded.owner, name = excluded.name, sha256 = excluded.sha256, \
                 allowed_apis = excluded.allowed_apis, referers = excluded.referers, \
                 expiration_date = excluded.expiration_date, created_at = excluded.created_at, searched = excluded.searched"
            ),
        )
    }

    fn add_tokens(&mut self, tokens: &[&Token]) -> Result<()> {
        /// Bounds the size of a statement.
        const AT_ONCE: usize = 1_000;
        tokens.chunks(AT_ONCE).try_for_each(|tokens| self.insert(tokens, insert_tokens!("")))
    }

    fn remove_token(&mut self, id: &str) -> Result<()> {
        self.run(sqlx::query("DELETE FROM tokens WHERE id = $1").bind(sought(id)))
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

    fn index_texts(&mut self, _: usize) -> Result<usize> {
        // The database adds each text to its index with the token.
        Ok(0)
    }

    fn expired_tokens(&mut self, until: Timestamp, max: usize) -> Result<Vec<Token>> {
        self.tokens_expired_until(until, max)
    }

    fn usage(&mut self) -> Result<Vec<Usage>> {
        let rows: Vec<UsageRow> =
            self.all(sqlx::query_as("SELECT token, allowed, last_used FROM usage ORDER BY token"))?;
        Ok(rows.into_iter().map(columns::usage).collect())
    }

    fn add_usage(&mut self, batch: &[Usage]) -> Result<()> {
        // One row for each token, and in one order: two servers that lock rows in different orders block each other.
        let query = sqlx::query(
            "INSERT INTO usage (token, allowed, last_used) \
             SELECT tokens.id, sum(new.allowed)::bigint, max(new.last_used) \
             FROM unnest($1::text[], $2::bigint[], $3::bigint[]) AS new (token, allowed, last_used) \
             JOIN tokens ON tokens.id = new.token GROUP BY tokens.id ORDER BY tokens.id \
             ON CONFLICT (token) DO UPDATE SET allowed = usage.allowed + excluded.allowed, \
             last_used = greatest(usage.last_used, excluded.last_used)",
        );
        let query = query.bind(batch.iter().map(|usage| usage.token.clone()).collect::<Vec<_>>());
        let query = query.bind(batch.iter().map(|usage| signed(usage.allowed)).collect::<Vec<_>>());
        self.run(query.bind(batch.iter().map(|usage| usage.last_used.seconds()).collect::<Vec<_>>()))
    }

    fn usage_of(&mut self, tokens: &[&str]) -> Result<Vec<Usage>> {
        let query =
            sqlx::query_as("SELECT token, allowed, last_used FROM usage WHERE token = ANY ($1::text[]) ORDER BY token");
        let tokens: Vec<_> = tokens.iter().map(|token| sought(token)).collect();
        let rows: Vec<UsageRow> = self.all(query.bind(tokens))?;
        Ok(rows.into_iter().map(columns::usage).collect())
    }

    fn clients(&mut self, kind: ClientKind) -> Result<Vec<Client>> {
        let query = sqlx::query_as(select_clients!("kind = $1")).bind(kind.as_str());
        self.all::<ClientRow>(query)?.into_iter().map(columns::client).collect()
    }

    fn client(&mut self, id: &str) -> Result<Option<Client>> {
        let query = sqlx::query_as(select_clients!("id = $1")).bind(sought(id));
        self.all::<ClientRow>(query)?.into_iter().next().map(columns::client).transpose()
    }

    fn put_client(&mut self, client: &Client) -> Result<()> {
        let query = sqlx::query(
            "INSERT INTO clients (id, kind, owner, title, sha256, urls, created_at, allowed_apis, grants, scopes, \
             earlier_secrets) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT (id) DO UPDATE SET \
             title = $4, sha256 = $5, urls = $6, allowed_apis = $8, grants = $9, scopes = $10, earlier_secrets = $11",
        );
        let query = query.bind(client.id.clone()).bind(client.kind.as_str()).bind(client.owner.clone());
        let query = query.bind(client.title.clone()).bind(client.digest.map(|digest| digest.as_bytes().to_vec()));
        let query = query.bind(to_json(&client.urls)?).bind(client.created_at.to_string());
        let query = query.bind(to_json(&client.allowed_apis)?).bind(columns::client_grants(client)?);
        let query = query.bind(client.scopes.as_ref().map(to_json).transpose()?);
        self.run(query.bind(columns::earlier_secrets(client)?))?;
        self.check_additions_again()
    }

    fn remove_client(&mut self, id: &str) -> Result<()> {
        self.run(sqlx::query("DELETE FROM clients WHERE id = $1").bind(sought(id)))?;
        self.check_additions_again()
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
        let rows: Vec<TrailRow> = self.all(sqlx::query_as(
            "SELECT number, revision, at, \"user\", how, action, kind, id, owner, before, after FROM trail ORDER BY number",
        ))?;
        rows.into_iter().map(columns::trail_entry).collect()
    }

    fn trail_page(&mut self, query: &TrailQuery<'_>) -> Result<Vec<TrailEntry>> {
        self.page_of_trail(query)
    }

    fn last_change(&mut self) -> Result<LastChange> {
        let last = "SELECT number, kind, id, at, action, after FROM trail ORDER BY number DESC LIMIT 1";
        let rows: Vec<ChangeRow> = self.few(sqlx::query_as(last))?;
        Ok(rows.into_iter().next().map(LastChange::of).unwrap_or_default())
    }

    fn entries_from(&mut self, first: u64, max: usize) -> Result<Vec<LastChange>> {
        let query = sqlx::query_as(
            "SELECT number, kind, id, at, action, after FROM trail WHERE number >= $1 ORDER BY number LIMIT $2",
        );
        let max = i64::try_from(max).unwrap_or(i64::MAX);
        let rows: Vec<ChangeRow> = self.few(query.bind(signed(first)).bind(max))?;
        Ok(rows.into_iter().map(LastChange::of).collect())
    }

    fn append(&mut self, entries: &[NewEntry]) -> Result<()> {
        // The database numbers the entries in this order.
        let query = sqlx::query(
            "INSERT INTO trail (revision, at, \"user\", how, action, kind, id, owner, before, after) \
             SELECT revision, at, \"user\", how, action, kind, id, owner, before, after FROM unnest($1::bigint[], \
             $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[]) \
             WITH ORDINALITY AS new (revision, at, \"user\", how, action, kind, id, owner, before, after, position) \
             ORDER BY position",
        );
        let texts = |text: fn(&NewEntry) -> String| entries.iter().map(text).collect::<Vec<_>>();
        let values = |value: fn(&NewEntry) -> Option<String>| entries.iter().map(value).collect::<Vec<_>>();
        let query = query.bind(entries.iter().map(|entry| signed(entry.revision)).collect::<Vec<_>>());
        let query = query.bind(texts(|entry| entry.at.to_string())).bind(texts(|entry| entry.user.clone()));
        let query = query.bind(values(|entry| entry.how.clone()));
        let query = query.bind(texts(|entry| entry.action.clone())).bind(texts(|entry| entry.kind.to_owned()));
        let query = query.bind(texts(|entry| entry.id.clone())).bind(values(|entry| entry.owner.clone()));
        let query = query.bind(values(|entry| entry.before.clone()));
        self.run(query.bind(values(|entry| entry.after.clone())))
    }

    fn commit(mut self: Box<Self>) -> Result<()> {
        let transaction = self.transaction.take().ok_or_else(closed)?;
        let committed = self.runtime.block_on(async { within(LONG, transaction.commit()).await });
        let Err(error) = committed else { return Ok(()) };
        self.is_broken.set(true);
        if error.as_database_error().is_some() && !is_fatal(&error) {
            return Err(failed(error));
        }
        // The connection was lost between the request to commit and its answer.
        Err(unconfirmed(self.name))
    }
}
