//! Pages of tokens and of the trail.

use portcullis::base::Timestamp;
use sqlx::postgres::PgRow;
use sqlx::{FromRow, Postgres, QueryBuilder};

use super::connect::within;
use super::{LONG, PostgresRecords, SHORT, closed, code, failed, is_fatal, sought, wait};
use crate::columns::{self, TokenRow, TrailRow, signed};
use crate::error::Result;
use crate::lists::TRIGRAM;
use crate::page::{TokenOrder, TokenPosition, TokenQuery, TrailQuery};
use crate::record::{Token, TrailEntry};
use crate::storage::Within;

/// Limits the time of a search in the index: a text whose parts are frequent has many candidates, also if nothing matches.
const SEARCH: &str = "SAVEPOINT search; SET LOCAL statement_timeout TO '250ms'; SET LOCAL enable_seqscan TO off";
const SEARCHED: &str = "ROLLBACK TO SAVEPOINT search; RELEASE SAVEPOINT search";

/// The error of a statement that took longer than it may.
const TOO_LONG: &str = "57014";

const TOKEN: &str = "SELECT id, owner, name, sha256, allowed_apis, referers, expiration_date, created_at FROM tokens ";

impl PostgresRecords<'_> {
    pub(super) fn page_of_tokens(&mut self, page: &TokenQuery<'_>, within: Within<'_>) -> Result<Vec<Token>> {
        let mut query = QueryBuilder::<Postgres>::new(TOKEN);
        query.push("WHERE NOT EXISTS (SELECT FROM tickets WHERE tickets.token = tokens.id)");
        if let Some(owner) = page.owner {
            query.push(" AND owner = ").push_bind(sought(owner));
        }
        match within {
            Within::Rest => push_search(&mut query, page),
            Within::Until(end) => {
                push_search(&mut query, page);
                push_bound(&mut query, page, if page.descending { ">=" } else { "<=" }, end);
            }
            Within::Ids(ids) => {
                query.push(" AND id = ANY (").push_bind(ids.to_vec()).push("::text[])");
            }
        }
        if let Some(api) = page.api {
            query.push(" AND EXISTS (SELECT FROM json_array_elements_text(allowed_apis::json) AS api WHERE api = ");
            query.push_bind(sought(api)).push(")");
        }
        if let Some(connection) = page.connection {
            query.push(" AND EXISTS (SELECT FROM grants WHERE grants.token = tokens.id AND connection = ");
            query.push_bind(sought(connection)).push(")");
        }
        if let Some((expired, at)) = page.expired {
            query.push(if expired { " AND expiry_key <= " } else { " AND expiry_key > " }).push_bind(at.to_string());
        }
        push_order(&mut query, page);
        query.push(" LIMIT ").push_bind(limit(page.limit));
        let rows: Vec<TokenRow> = self.built(query)?;
        self.with_grants(rows)
    }

    pub(super) fn position_of_token(&mut self, page: &TokenQuery<'_>, count: usize) -> Result<Option<TokenPosition>> {
        let mut query = QueryBuilder::<Postgres>::new("SELECT ");
        query.push(key(page.order)).push(", id FROM tokens WHERE true");
        if let Some(owner) = page.owner {
            query.push(" AND owner = ").push_bind(sought(owner));
        }
        push_order(&mut query, page);
        query.push(" OFFSET ").push_bind(limit(count.saturating_sub(1))).push(" LIMIT 1");
        let rows: Vec<(String, String)> = self.built(query)?;
        Ok(rows.into_iter().next().map(|(key, id)| TokenPosition { key, id }))
    }

    pub(super) fn ids_of_candidates(&mut self, page: &TokenQuery<'_>, max: usize) -> Result<Option<Vec<String>>> {
        let mut query = QueryBuilder::<Postgres>::new("SELECT id FROM tokens WHERE true");
        push_search(&mut query, page);
        query.push(" LIMIT ").push_bind(limit(max.saturating_add(1)));
        self.simple(SEARCH)?;
        let transaction = self.transaction.as_mut().ok_or_else(closed)?;
        let rows = query.build_query_scalar::<String>().persistent(false).fetch_all(&mut **transaction);
        // The reason is lost in an error of the registry.
        let found = self.runtime.block_on(async { within(LONG, rows).await });
        if let Err(error) = &found
            && (error.as_database_error().is_none() || is_fatal(error))
        {
            self.is_broken.set(true);
        } else {
            self.simple(SEARCHED)?;
        }
        match found {
            Ok(ids) => Ok(Some(ids).filter(|ids| ids.len() <= max)),
            Err(error) if code(&error) == TOO_LONG => Ok(None),
            Err(error) => Err(failed(error)),
        }
    }

    /// Runs statements without parameters.
    fn simple(&mut self, statements: &'static str) -> Result<()> {
        let transaction = self.transaction.as_mut().ok_or_else(closed)?;
        let done = sqlx::raw_sql(statements).execute(&mut **transaction);
        wait(self.runtime, self.is_broken, SHORT, done).map(drop)
    }

    pub(super) fn tokens_expired_until(&mut self, until: Timestamp, max: usize) -> Result<Vec<Token>> {
        let mut query = QueryBuilder::<Postgres>::new(TOKEN);
        query.push("WHERE expiry_key <= ").push_bind(until.to_string());
        query.push(" ORDER BY expiry_key, id LIMIT ").push_bind(limit(max));
        let rows: Vec<TokenRow> = self.built(query)?;
        self.with_grants(rows)
    }

    pub(super) fn page_of_trail(&mut self, page: &TrailQuery<'_>) -> Result<Vec<TrailEntry>> {
        let mut query = QueryBuilder::<Postgres>::new(
            "SELECT number, revision, at, \"user\", how, action, kind, id, owner, before, after FROM trail WHERE true",
        );
        if let Some(reader) = page.reader {
            query.push(" AND (owner IS NULL OR owner = ").push_bind(sought(reader));
            query.push(" OR \"user\" = ").push_bind(sought(reader)).push(")");
        }
        if let Some(id) = page.id {
            query.push(" AND id = ").push_bind(sought(id));
        }
        if let Some(before) = page.before {
            query.push(" AND number < ").push_bind(signed(before));
        }
        query.push(" ORDER BY number DESC LIMIT ").push_bind(limit(page.limit));
        self.built::<TrailRow>(query)?.into_iter().map(columns::trail_entry).collect()
    }

    /// Returns the rows of a built query. Its plan depends on the values, so the server does not keep it.
    fn built<R>(&mut self, mut query: QueryBuilder<Postgres>) -> Result<Vec<R>>
    where
        R: for<'r> FromRow<'r, PgRow> + Send + Unpin,
    {
        let transaction = self.transaction.as_mut().ok_or_else(closed)?;
        let rows = query.build_query_as::<R>().persistent(false).fetch_all(&mut **transaction);
        wait(self.runtime, self.is_broken, LONG, rows)
    }
}

fn key(order: TokenOrder) -> &'static str {
    match order {
        TokenOrder::Created => "created_key",
        TokenOrder::Name => "name_key",
        TokenOrder::Expiry => "expiry_key",
    }
}

/// Adds the condition of the search, if there is one.
fn push_search(query: &mut QueryBuilder<Postgres>, page: &TokenQuery<'_>) {
    let Some(search) = page.search.map(str::to_ascii_lowercase) else { return };
    if search.chars().count() < TRIGRAM {
        query.push(" AND name_key >= ").push_bind(sought(&search));
        query.push(" AND name_key < ").push_bind(sought(&format!("{search}\u{10ffff}")));
    } else {
        query.push(" AND searched LIKE ").push_bind(sought(&format!("%{}%", literal(&search))));
    }
}

/// Adds the condition that a token compares with a position as `compare` says.
fn push_bound(query: &mut QueryBuilder<Postgres>, page: &TokenQuery<'_>, compare: &str, position: &TokenPosition) {
    let is_folded = page.order == TokenOrder::Name;
    let bound = if is_folded { position.key.to_ascii_lowercase() } else { position.key.clone() };
    query.push(" AND (").push(key(page.order)).push(", id) ").push(compare).push(" (").push_bind(sought(&bound));
    query.push(", ").push_bind(sought(&position.id)).push(")");
}

/// Adds the start of the page, and its order.
fn push_order(query: &mut QueryBuilder<Postgres>, page: &TokenQuery<'_>) {
    let (compare, direction) = if page.descending { ("<", " DESC") } else { (">", "") };
    if let Some(after) = page.after {
        push_bound(query, page, compare, after);
    }
    query.push(" ORDER BY ").push(key(page.order)).push(direction).push(", id").push(direction);
}

fn limit(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// Returns a pattern of `LIKE` that matches exactly `text`.
fn literal(text: &str) -> String {
    let escaped = |character: char| match character {
        '%' | '_' | '\\' => vec!['\\', character],
        other => vec![other],
    };
    text.chars().flat_map(escaped).collect()
}
