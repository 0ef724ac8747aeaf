//! Pages of tokens and of the trail.

use portcullis::base::Timestamp;
use sqlx::postgres::PgRow;
use sqlx::{FromRow, Postgres, QueryBuilder};

use super::{LONG, PostgresRecords, closed, wait};
use crate::columns::{self, TokenRow, TrailRow, signed};
use crate::error::Result;
use crate::page::{TokenOrder, TokenQuery, TrailQuery};
use crate::record::{Token, TrailEntry};

/// The length of a text, in characters, from which the index finds it anywhere.
const TRIGRAM: usize = 3;

const TOKEN: &str = "SELECT id, owner, name, sha256, allowed_apis, referers, expiration_date, created_at FROM tokens ";

impl PostgresRecords<'_> {
    pub(super) fn page_of_tokens(&mut self, page: &TokenQuery<'_>) -> Result<Vec<Token>> {
        let key = match page.order {
            TokenOrder::Created => "created_key",
            TokenOrder::Name => "name_key",
            TokenOrder::Expiry => "expiry_key",
        };
        let mut query = QueryBuilder::<Postgres>::new(TOKEN);
        query.push("WHERE NOT EXISTS (SELECT FROM tickets WHERE tickets.token = tokens.id)");
        if let Some(owner) = page.owner {
            query.push(" AND owner = ").push_bind(owner.to_owned());
        }
        if let Some(search) = page.search {
            let search = search.to_ascii_lowercase();
            if search.chars().count() < TRIGRAM {
                query.push(" AND name_key >= ").push_bind(search.clone());
                query.push(" AND name_key < ").push_bind(format!("{search}\u{10ffff}"));
            } else {
                query.push(" AND searched LIKE ").push_bind(format!("%{}%", literal(&search)));
            }
        }
        if let Some(api) = page.api {
            query.push(" AND EXISTS (SELECT FROM json_array_elements_text(allowed_apis::json) AS api WHERE api = ");
            query.push_bind(api.to_owned()).push(")");
        }
        if let Some(connection) = page.connection {
            query.push(" AND EXISTS (SELECT FROM grants WHERE grants.token = tokens.id AND connection = ");
            query.push_bind(connection.to_owned()).push(")");
        }
        if let Some((expired, at)) = page.expired {
            query.push(if expired { " AND expiry_key <= " } else { " AND expiry_key > " }).push_bind(at.to_string());
        }
        let (compare, direction) = if page.descending { (" < ", " DESC") } else { (" > ", "") };
        if let Some(after) = page.after {
            let is_folded = page.order == TokenOrder::Name;
            let key_of_last = if is_folded { after.key.to_ascii_lowercase() } else { after.key.clone() };
            query.push(" AND (").push(key).push(", id)").push(compare).push("(").push_bind(key_of_last);
            query.push(", ").push_bind(after.id.clone()).push(")");
        }
        query.push(" ORDER BY ").push(key).push(direction).push(", id").push(direction);
        query.push(" LIMIT ").push_bind(limit(page.limit));
        let rows: Vec<TokenRow> = self.built(query)?;
        self.with_grants(rows)
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
            query.push(" AND (owner IS NULL OR owner = ").push_bind(reader.to_owned());
            query.push(" OR \"user\" = ").push_bind(reader.to_owned()).push(")");
        }
        if let Some(id) = page.id {
            query.push(" AND id = ").push_bind(id.to_owned());
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
