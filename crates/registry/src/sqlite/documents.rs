//! Every token as JSON, for decisions.
//!
//! The database returns many rows as one text: moving each row between threads, or writing JSON in SQL, takes longer.

use serde::Serialize;

use super::SqliteRecords;
use crate::columns::{broken, from_json};
use crate::error::{Result, storage};

/// The fields of the next tokens, and the id of the last one. A field is its length in bytes, a colon and its text; `NULL` is a
/// colon.
const TOKENS: &str = "
    SELECT group_concat(concat(
        octet_length(id), ':', id, octet_length(name), ':', name, octet_length(owner), ':', owner,
        '64:', lower(hex(sha256)), octet_length(allowed_apis), ':', allowed_apis, octet_length(referers), ':', referers,
        octet_length(expiration_date), ':', expiration_date, octet_length(created_at), ':', created_at
    ), ''), max(id)
    FROM (SELECT * FROM tokens WHERE id > ?1 ORDER BY id LIMIT 1000)";

/// The fields of the grants of those tokens.
const GRANTS: &str = "
    SELECT group_concat(concat(
        octet_length(token), ':', token, octet_length(position), ':', position,
        octet_length(connection), ':', connection, octet_length(type), ':', type, octet_length(source), ':', source
    ), '')
    FROM (SELECT * FROM grants WHERE token > ?1 AND token <= ?2 ORDER BY token, position)";

/// A token as a policy document holds it.
#[derive(Serialize)]
struct TokenDefinition<'a> {
    id: &'a str,
    name: &'a str,
    owner: &'a str,
    token_sha256: &'a str,
    allowed_apis: Vec<String>,
    grants: Vec<GrantDefinition<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    referers: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expiration_date: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    created_at: Option<&'a str>,
}

#[derive(Serialize)]
struct GrantDefinition<'a> {
    connection_name: &'a str,
    source: &'a str,
    r#type: &'a str,
    #[serde(skip)]
    token: &'a str,
    #[serde(skip)]
    position: i64,
}

/// Fields that were not read yet.
struct Fields<'a>(&'a str);

impl<'a> Fields<'a> {
    fn optional(&mut self, table: &str) -> Result<Option<&'a str>> {
        let (length, rest) = self.0.split_once(':').ok_or_else(|| broken(table))?;
        if length.is_empty() {
            self.0 = rest;
            return Ok(None);
        }
        let length = length.parse().map_err(|_| broken(table))?;
        let (text, rest) = rest.split_at_checked(length).ok_or_else(|| broken(table))?;
        self.0 = rest;
        Ok(Some(text))
    }

    fn text(&mut self, table: &str) -> Result<&'a str> {
        self.optional(table)?.ok_or_else(|| broken(table))
    }

    /// Returns the next token, without its grants; `None` at the end.
    fn token(&mut self) -> Result<Option<TokenDefinition<'a>>> {
        const TABLE: &str = "tokens";
        if self.0.is_empty() {
            return Ok(None);
        }
        Ok(Some(TokenDefinition {
            id: self.text(TABLE)?,
            name: self.text(TABLE)?,
            owner: self.text(TABLE)?,
            token_sha256: self.text(TABLE)?,
            allowed_apis: from_json(self.text(TABLE)?, TABLE)?,
            grants: Vec::new(),
            referers: from_json(self.text(TABLE)?, TABLE)?,
            expiration_date: self.optional(TABLE)?,
            created_at: self.optional(TABLE)?,
        }))
    }

    /// Returns the next grant; `None` at the end.
    fn grant(&mut self) -> Result<Option<GrantDefinition<'a>>> {
        const TABLE: &str = "grants";
        if self.0.is_empty() {
            return Ok(None);
        }
        let (token, position) = (self.text(TABLE)?, self.text(TABLE)?);
        let (connection_name, r#type, source) = (self.text(TABLE)?, self.text(TABLE)?, self.text(TABLE)?);
        let position = position.parse().map_err(|_| broken(TABLE))?;
        Ok(Some(GrantDefinition { connection_name, source, r#type, token, position }))
    }
}

impl SqliteRecords<'_> {
    /// Returns every token as JSON. Each text has many tokens, separated by commas.
    pub(super) fn documents_of_tokens(&mut self) -> Result<Vec<String>> {
        let mut documents = Vec::new();
        // No id is empty.
        let mut last = String::new();
        loop {
            let rows: Vec<(Option<String>, Option<String>)> = self.all(sqlx::query_as(TOKENS).bind(last.clone()))?;
            let Some((Some(tokens), Some(end))) = rows.into_iter().next() else { return Ok(documents) };
            let rows: Vec<(Option<String>,)> = self.all(sqlx::query_as(GRANTS).bind(last).bind(end.clone()))?;
            let grants = rows.into_iter().next().and_then(|(grants,)| grants);
            documents.push(document(&tokens, &grants.unwrap_or_default())?);
            last = end;
        }
    }
}

/// Joins tokens and their grants, which have the same order.
fn document(tokens: &str, grants: &str) -> Result<String> {
    let failed = |error| storage(format!("cannot write JSON: {error}"), "nothing was changed");
    let mut json = Vec::with_capacity(2 * (tokens.len() + grants.len()));
    let (mut tokens, mut grants) = (Fields(tokens), Fields(grants));
    let mut next = grants.grant()?;
    while let Some(mut token) = tokens.token()? {
        while let Some(grant) = next.take_if(|grant| grant.token == token.id) {
            if token.grants.last().is_some_and(|before| before.position >= grant.position) {
                return Err(broken("grants"));
            }
            token.grants.push(grant);
            next = grants.grant()?;
        }
        if !json.is_empty() {
            json.extend_from_slice(b",\n");
        }
        serde_json::to_writer(&mut json, &token).map_err(failed)?;
    }
    // A grant that is left has no token, or the rows have another order.
    let text = if next.is_none() { String::from_utf8(json).ok() } else { None };
    text.ok_or_else(|| broken("grants"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes fields as the database does.
    fn fields(texts: &[Option<&str>]) -> String {
        let field = |text: Option<&str>| text.map_or_else(|| ":".to_owned(), |text| format!("{}:{text}", text.len()));
        texts.iter().copied().map(field).collect()
    }

    fn token(id: &str) -> String {
        let texts = [id, "a:b", "o\u{1f}\u{0}", "00", r#"["maps"]"#, "[]"].map(Some);
        fields(&[&texts[..], &[None, Some("2026-01-01T00:00:00Z")]].concat())
    }

    fn grant(token: &str, position: &str) -> String {
        fields(&[token, position, "dw", "query", "SELECT ':', 3:\n\"ä\""].map(Some))
    }

    #[test]
    fn tokens_have_their_grants_in_order() {
        let tokens = token("a") + &token("b") + &token("c");
        let grants = grant("a", "0") + &grant("a", "9") + &grant("a", "10") + &grant("c", "0");
        let document: serde_json::Value =
            serde_json::from_str(&format!("[{}]", document(&tokens, &grants).unwrap())).unwrap();
        let counts: Vec<_> =
            document.as_array().unwrap().iter().map(|token| token["grants"].as_array().unwrap().len()).collect();
        assert_eq!(counts, [3, 0, 1]);
        assert_eq!(document[0]["owner"], "o\u{1f}\u{0}");
        assert_eq!(document[2]["grants"][0]["source"], "SELECT ':', 3:\n\"ä\"");
        assert_eq!(document[0].get("expiration_date").or_else(|| document[0].get("referers")), None);
    }

    #[test]
    fn rows_that_are_not_expected_are_an_error() {
        let tokens = token("a") + &token("b");
        for (tokens, grants, reason) in [
            (tokens.clone(), grant("a", "1") + &grant("a", "0"), "positions in another order"),
            (tokens.clone(), grant("b", "0") + &grant("a", "0"), "tokens in another order"),
            (tokens.clone(), grant("c", "0"), "a grant without a token"),
            (tokens.clone(), grant("a", "x"), "a position that is not a number"),
            (
                tokens.replace(r#"["maps"]"#, r#"["maps",]"#).replace("8:[", "9:["),
                String::new(),
                "a list that is not JSON",
            ),
            (tokens.replace("1:a", "9999:a"), String::new(), "a length beyond the end"),
            (tokens.replace("1:a", ":a"), String::new(), "a token without an id"),
        ] {
            assert!(document(&tokens, &grants).is_err(), "{reason}");
        }
    }
}
