//! Pages of tokens and of the trail.

use portcullis::base::Timestamp;
use sqlx::{QueryBuilder, Sqlite};

use super::rows::TOKEN;
use super::{SqliteRecords, failed};
use crate::columns::{TokenRow, TrailRow, to_json, trail_entry};
use crate::error::Result;
use crate::lists::TRIGRAM;
use crate::page::{TokenOrder, TokenPosition, TokenQuery, TrailQuery};
use crate::record::{Token, TrailEntry};
use crate::storage::Within;

/// The maximum number of trigrams that the index is asked for: enough to select few candidates.
const MAX_TRIGRAMS: usize = 30;

impl SqliteRecords<'_> {
    pub(super) fn page_of_tokens(&mut self, page: &TokenQuery<'_>, within: Within<'_>) -> Result<Vec<Token>> {
        self.built(page_query(TOKEN, page, within)?)
    }

    pub(super) fn position_of_token(&mut self, page: &TokenQuery<'_>, count: usize) -> Result<Option<TokenPosition>> {
        let mut query = QueryBuilder::<Sqlite>::new("SELECT ");
        query.push(key(page.order).0).push(", id FROM tokens WHERE true");
        if let Some(owner) = page.owner {
            query.push(" AND owner = ").push_bind(owner.to_owned());
        }
        push_order(&mut query, page);
        query.push(" LIMIT 1 OFFSET ").push_bind(limit(count.saturating_sub(1)));
        let rows = query.build_query_as::<(String, String)>().fetch_all(&mut *self.transaction);
        let rows = self.runtime.block_on(rows).map_err(failed)?;
        Ok(rows.into_iter().next().map(|(key, id)| TokenPosition { key, id }))
    }

    /// Returns the tokens that a built query selects.
    fn built(&mut self, mut query: QueryBuilder<Sqlite>) -> Result<Vec<Token>> {
        let rows = query.build_query_as::<TokenRow>().fetch_all(&mut *self.transaction);
        let rows = self.runtime.block_on(rows).map_err(failed)?;
        self.with_grants(rows)
    }

    pub(super) fn ids_of_candidates(&mut self, page: &TokenQuery<'_>, max: usize) -> Result<Option<Vec<String>>> {
        // A candidate of the index has the trigrams of the text, in any order. Texts after the end of the index are compared.
        const INDEXED: &str = "SELECT token, instr(lower(text), lower(?1)) > 0 FROM token_texts WHERE number IN \
                               (SELECT rowid FROM token_search WHERE token_search MATCH ?2 LIMIT ?3)";
        const AFTER_THE_INDEX: &str = "SELECT token, true FROM token_texts WHERE number > \
                                       (SELECT number FROM token_search_end) AND instr(lower(text), lower(?1)) > 0 LIMIT ?2";
        let search = page.search.unwrap_or_default();
        let more = limit(max.saturating_add(1));
        let found: Vec<(String, bool)> = if is_short(search) {
            let mut query = QueryBuilder::<Sqlite>::new("SELECT id, true FROM tokens WHERE true");
            push_start_of_name(&mut query, search, true);
            query.push(" LIMIT ").push_bind(more);
            let found = query.build_query_as().fetch_all(&mut *self.transaction);
            self.runtime.block_on(found).map_err(failed)?
        } else {
            let query = sqlx::query_as(INDEXED).bind(search.to_owned()).bind(trigrams(search)).bind(more);
            let mut found = self.all(query)?;
            if found.len() <= max {
                found.extend(self.all(sqlx::query_as(AFTER_THE_INDEX).bind(search.to_owned()).bind(more))?);
            }
            found
        };
        if found.len() > max {
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

/// Returns the query of a page, which starts with `select`.
fn page_query(select: &str, page: &TokenQuery<'_>, within: Within<'_>) -> Result<QueryBuilder<Sqlite>> {
    let mut query = QueryBuilder::<Sqlite>::new(select);
    query.push("WHERE NOT EXISTS (SELECT 1 FROM tickets WHERE tickets.token = tokens.id)");
    if let Some(owner) = page.owner {
        query.push(" AND owner = ").push_bind(owner.to_owned());
    }
    match (within, page.search) {
        (Within::Ids(ids), _) => {
            query.push(" AND id IN (SELECT value FROM json_each(").push_bind(to_json(&ids)?).push("))");
        }
        (_, None) => {}
        (_, Some(search)) if is_short(search) => push_start_of_name(&mut query, search, page.order == TokenOrder::Name),
        (_, Some(search)) => {
            query.push(" AND EXISTS (SELECT 1 FROM token_texts WHERE token_texts.token = tokens.id AND ");
            query.push("instr(lower(text), lower(").push_bind(search.to_owned()).push(")) > 0)");
        }
    }
    if let Within::Until(end) = within {
        push_bound(&mut query, page, if page.descending { ">=" } else { "<=" }, end);
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
    push_order(&mut query, page);
    query.push(" LIMIT ").push_bind(limit(page.limit));
    Ok(query)
}

/// Returns the key of an order, and how it is compared.
fn key(order: TokenOrder) -> (&'static str, &'static str) {
    match order {
        TokenOrder::Created => ("created_key", ""),
        TokenOrder::Name => ("name", " COLLATE NOCASE"),
        TokenOrder::Expiry => ("expiry_key", ""),
    }
}

/// Adds the condition that a token compares with a position as `compare` says.
fn push_bound(query: &mut QueryBuilder<Sqlite>, page: &TokenQuery<'_>, compare: &str, position: &TokenPosition) {
    let (key, collation) = key(page.order);
    query.push(" AND (").push(key).push(", id) ").push(compare).push(" (").push_bind(position.key.clone());
    query.push(collation).push(", ").push_bind(position.id.clone()).push(")");
}

/// Adds the start of the page, and its order.
fn push_order(query: &mut QueryBuilder<Sqlite>, page: &TokenQuery<'_>) {
    let (key, collation) = key(page.order);
    let (compare, direction) = if page.descending { ("<", " DESC") } else { (">", "") };
    if let Some(after) = page.after {
        push_bound(query, page, compare, after);
    }
    query.push(" ORDER BY ").push(key).push(collation).push(direction).push(", id").push(direction);
}

fn limit(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

fn is_short(search: &str) -> bool {
    search.chars().count() < TRIGRAM
}

/// Adds the condition that the name of a token starts with `search`. Without `is_indexed`, the condition does not select the
/// index of names: many names may start with the text, and all of them would be read and sorted.
fn push_start_of_name(query: &mut QueryBuilder<Sqlite>, search: &str, is_indexed: bool) {
    let name = if is_indexed { "name" } else { "+name" };
    query.push(format!(" AND {name} COLLATE NOCASE >= ")).push_bind(search.to_owned());
    query.push(format!(" AND {name} COLLATE NOCASE < ")).push_bind(format!("{search}\u{10ffff}"));
}

/// Returns the query for texts with all trigrams of `search`.
fn trigrams(search: &str) -> String {
    let characters: Vec<char> = search.chars().collect();
    let windows = characters.windows(TRIGRAM).take(MAX_TRIGRAMS);
    let quoted = windows.map(|window| format!("\"{}\"", window.iter().collect::<String>().replace('"', "\"\"")));
    quoted.collect::<Vec<_>>().join(" AND ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sqlite::SqliteStorage;

    /// A page costs what it reads of the list, however many tokens match.
    #[test]
    fn no_page_of_a_list_sorts_what_it_finds() {
        let mut storage = SqliteStorage::in_memory().unwrap();
        let end = TokenPosition { key: "x".into(), id: "tk_x".into() };
        for order in [TokenOrder::Created, TokenOrder::Name, TokenOrder::Expiry] {
            for (owner, search, descending) in [
                (None, None, true),
                (None, Some("to"), true),
                (None, Some("to"), false),
                (None, Some("token"), true),
                (Some("ana"), None, false),
                (Some("ana"), Some("to"), true),
                (Some("ana"), Some("token"), false),
            ] {
                let page = TokenQuery { owner, search, order, descending, limit: 50, ..TokenQuery::default() };
                let mut query = page_query(&format!("EXPLAIN QUERY PLAN {TOKEN}"), &page, Within::Until(&end)).unwrap();
                let query = query.build_query_as::<(i64, i64, i64, String)>();
                let plan = storage.runtime.block_on(query.fetch_all(storage.connection.as_mut().unwrap())).unwrap();
                assert!(!plan.iter().any(|(.., step)| step.contains("TEMP B-TREE")), "{page:?}: {plan:?}");
            }
        }
    }
}
