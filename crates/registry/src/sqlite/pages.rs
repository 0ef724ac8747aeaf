//! Pages of tokens and of the trail.
//!
//! A search first looks for a limited number of candidates in an index. If it finds them all, they are sorted. Otherwise
//! they are so many that the sorted list is read instead: its first matches are near its start.

use portcullis::base::Timestamp;
use sqlx::{QueryBuilder, Sqlite};

use super::rows::{TOKEN, TokenRow, TrailRow, to_json, trail_entry};
use super::{SqliteRecords, failed};
use crate::error::Result;
use crate::page::{TokenOrder, TokenQuery, TrailQuery};
use crate::record::{Token, TrailEntry};

/// The maximum number of candidates that are sorted.
const MAX_CANDIDATES: usize = 20_000;

/// The maximum number of trigrams that the index is asked for: enough to select few candidates.
const MAX_TRIGRAMS: usize = 30;

/// The length of a text, in characters, from which the index finds it anywhere.
const TRIGRAM: usize = 3;

impl SqliteRecords<'_> {
    pub(super) fn page_of_tokens(&mut self, page: &TokenQuery<'_>) -> Result<Vec<Token>> {
        let (key, collation) = match page.order {
            TokenOrder::Created => ("created_key", ""),
            TokenOrder::Name => ("name", " COLLATE NOCASE"),
            TokenOrder::Expiry => ("expiry_key", ""),
        };
        let mut query = QueryBuilder::<Sqlite>::new(TOKEN);
        query.push("WHERE NOT EXISTS (SELECT 1 FROM tickets WHERE tickets.token = tokens.id)");
        if let Some(owner) = page.owner {
            query.push(" AND owner = ").push_bind(owner.to_owned());
        }
        if let Some(search) = page.search {
            match self.candidates(search)? {
                Some(ids) => {
                    query.push(" AND id IN (SELECT value FROM json_each(").push_bind(to_json(&ids)?).push("))");
                }
                None if is_short(search) => {
                    push_start_of_name(&mut query, search);
                }
                None => {
                    query.push(" AND EXISTS (SELECT 1 FROM token_texts WHERE token_texts.token = tokens.id AND ");
                    query.push("instr(lower(text), lower(").push_bind(search.to_owned()).push(")) > 0)");
                }
            }
        }
        if let Some(api) = page.api {
            query.push(" AND EXISTS (SELECT 1 FROM json_each(allowed_apis) WHERE value = ").push_bind(api.to_owned());
            query.push(")");
        }
        if let Some(connection) = page.connection {
            query.push(" AND EXISTS (SELECT 1 FROM grants WHERE grants.token = tokens.id AND connection = ");
            query.push_bind(connection.to_owned()).push(")");
        }
        if let Some((expired, at)) = page.expired {
            query.push(if expired { " AND expiry_key <= " } else { " AND expiry_key > " }).push_bind(at.to_string());
        }
        let (compare, direction) = if page.descending { (" < ", " DESC") } else { (" > ", "") };
        if let Some(after) = page.after {
            query.push(" AND (").push(key).push(", id)").push(compare).push("(").push_bind(after.key.clone());
            query.push(collation).push(", ").push_bind(after.id.clone()).push(")");
        }
        query.push(" ORDER BY ").push(key).push(collation).push(direction).push(", id").push(direction);
        query.push(" LIMIT ").push_bind(i64::try_from(page.limit).unwrap_or(i64::MAX));
        self.built(query)
    }

    /// Returns the tokens that a built query selects.
    fn built(&mut self, mut query: QueryBuilder<Sqlite>) -> Result<Vec<Token>> {
        let rows = query.build_query_as::<TokenRow>().fetch_all(&mut *self.transaction);
        let rows = self.runtime.block_on(rows).map_err(failed)?;
        self.with_grants(rows)
    }

    /// Returns the ids of the tokens that match `search`, or `None` if they may be too many.
    fn candidates(&mut self, search: &str) -> Result<Option<Vec<String>>> {
        // A candidate of the index has the trigrams of the text, in any order. Texts after the end of the index are compared.
        const INDEXED: &str = "SELECT token, instr(lower(text), lower(?1)) > 0 FROM token_texts WHERE number IN \
                               (SELECT rowid FROM token_search WHERE token_search MATCH ?2 LIMIT ?3)";
        const AFTER_THE_INDEX: &str = "SELECT token, true FROM token_texts WHERE number > \
                                       (SELECT number FROM token_search_end) AND instr(lower(text), lower(?1)) > 0 LIMIT ?2";
        let found: Vec<(String, bool)> = if is_short(search) {
            let mut query = QueryBuilder::<Sqlite>::new("SELECT id, true FROM tokens WHERE true");
            push_start_of_name(&mut query, search);
            query.push(" LIMIT ").push_bind(limit());
            let found = query.build_query_as().fetch_all(&mut *self.transaction);
            self.runtime.block_on(found).map_err(failed)?
        } else {
            let query = sqlx::query_as(INDEXED).bind(search.to_owned()).bind(trigrams(search)).bind(limit());
            let mut found = self.all(query)?;
            if found.len() <= MAX_CANDIDATES {
                found.extend(self.all(sqlx::query_as(AFTER_THE_INDEX).bind(search.to_owned()).bind(limit()))?);
            }
            found
        };
        if found.len() > MAX_CANDIDATES {
            return Ok(None);
        }
        Ok(Some(found.into_iter().filter(|(_, matches)| *matches).map(|(id, _)| id).collect()))
    }

    /// Moves the end of the index by at most `max` texts, and returns how many it was.
    pub(super) fn index_more_texts(&mut self, max: usize) -> Result<usize> {
        const LAST: &str = "SELECT coalesce(max(number), 0), count(*) FROM (SELECT number FROM token_texts \
                            WHERE number > (SELECT number FROM token_search_end) ORDER BY number LIMIT ?1)";
        let max = i64::try_from(max).unwrap_or(i64::MAX);
        let rows: Vec<(i64, i64)> = self.all(sqlx::query_as(LAST).bind(max))?;
        let (last, count) = rows.first().copied().unwrap_or_default();
        if count > 0 {
            self.run(
                sqlx::query(
                    "INSERT INTO token_search (rowid, text) SELECT number, text FROM token_texts \
                     WHERE number > (SELECT number FROM token_search_end) AND number <= ?1 ORDER BY number",
                )
                .bind(last),
            )?;
            self.run(sqlx::query("UPDATE token_search_end SET number = ?1").bind(last))?;
        }
        Ok(usize::try_from(count).unwrap_or(0))
    }

    pub(super) fn tokens_expired_until(&mut self, until: Timestamp, max: usize) -> Result<Vec<Token>> {
        let mut query = QueryBuilder::<Sqlite>::new(TOKEN);
        query.push("WHERE expiry_key <= ").push_bind(until.to_string());
        query.push(" ORDER BY expiry_key, id LIMIT ").push_bind(i64::try_from(max).unwrap_or(i64::MAX));
        self.built(query)
    }

    pub(super) fn page_of_trail(&mut self, page: &TrailQuery<'_>) -> Result<Vec<TrailEntry>> {
        let mut query = QueryBuilder::<Sqlite>::new(
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
            query.push(" AND number < ").push_bind(i64::try_from(before).unwrap_or(i64::MAX));
        }
        query.push(" ORDER BY number DESC LIMIT ").push_bind(i64::try_from(page.limit).unwrap_or(i64::MAX));
        let rows = query.build_query_as::<TrailRow>().fetch_all(&mut *self.transaction);
        let rows = self.runtime.block_on(rows).map_err(failed)?;
        rows.into_iter().map(trail_entry).collect()
    }
}

/// One more than the number of candidates that are sorted.
fn limit() -> i64 {
    i64::try_from(MAX_CANDIDATES + 1).unwrap_or(i64::MAX)
}

fn is_short(search: &str) -> bool {
    search.chars().count() < TRIGRAM
}

/// Adds the condition that the name of a token starts with `search`.
fn push_start_of_name(query: &mut QueryBuilder<Sqlite>, search: &str) {
    query.push(" AND name COLLATE NOCASE >= ").push_bind(search.to_owned());
    query.push(" AND name COLLATE NOCASE < ").push_bind(format!("{search}\u{10ffff}"));
}

/// Returns the query for texts with all trigrams of `search`.
fn trigrams(search: &str) -> String {
    let characters: Vec<char> = search.chars().collect();
    let windows = characters.windows(TRIGRAM).take(MAX_TRIGRAMS);
    let quoted = windows.map(|window| format!("\"{}\"", window.iter().collect::<String>().replace('"', "\"\"")));
    quoted.collect::<Vec<_>>().join(" AND ")
}
