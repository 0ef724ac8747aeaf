//! Values as the columns of both databases hold them.

use std::str::FromStr;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::{RegistryError, Result, storage};
use super::record::{Client, ClientKind, Connection, Grant, Token, TrailEntry, Usage};
use portcullis::base::Timestamp;
use portcullis::model::SecretDigest;
use portcullis::name::Dialect;

/// A row of `tokens`: id, owner, name, digest, APIs, referers, expiry, time of creation.
pub(super) type TokenRow = (String, String, String, Vec<u8>, String, String, Option<String>, Option<String>);
/// A row of `clients`: id, kind, owner, title, digest, URLs, time of creation.
pub(super) type ClientRow = (String, String, String, String, Option<Vec<u8>>, String, String);
/// A row of `trail`: number, revision, time, user, action, kind, id, owner, values before and after.
pub(super) type TrailRow =
    (i64, i64, String, String, String, String, String, Option<String>, Option<String>, Option<String>);
/// A row of `connections`: name, dialect, whether it is case-sensitive, whether it has named sources only.
pub(super) type ConnectionRow = (String, String, bool, bool);
/// A row of `usage`: token, allowed requests, last use.
pub(super) type UsageRow = (String, i64, i64);

pub(super) fn connection((name, dialect, case_sensitive, named_sources_only): ConnectionRow) -> Result<Connection> {
    let written: Dialect = parse(&dialect, "connections")?;
    let dialect = if case_sensitive { written.with_case_sensitive(true) } else { Some(written) };
    Ok(Connection { name, dialect: dialect.ok_or_else(|| broken("connections"))?, named_sources_only })
}

pub(super) fn token(row: TokenRow, grants: Vec<Grant>) -> Result<Token> {
    let (id, owner, name, sha256, apis, referers, expiration_date, created_at) = row;
    Ok(Token {
        digest: digest(sha256, "tokens")?,
        allowed_apis: from_json(&apis, "tokens")?,
        referers: from_json(&referers, "tokens")?,
        expiration_date: expiration_date.map(|text| parse(&text, "tokens")).transpose()?,
        created_at: created_at.map(|text| parse(&text, "tokens")).transpose()?,
        grants,
        id,
        owner,
        name,
    })
}

pub(super) fn usage((token, allowed, last_used): UsageRow) -> Usage {
    Usage { token, allowed: allowed.unsigned_abs(), last_used: Timestamp::from_unix(last_used, 0) }
}

pub(super) fn client((id, _, owner, title, sha256, urls, created_at): ClientRow, kind: ClientKind) -> Result<Client> {
    Ok(Client {
        id,
        kind,
        title,
        owner,
        digest: sha256.map(|sha256| digest(sha256, "clients")).transpose()?,
        urls: from_json(&urls, "clients")?,
        created_at: parse(&created_at, "clients")?,
    })
}

pub(super) fn trail_entry(row: TrailRow) -> Result<TrailEntry> {
    let (number, revision, at, user, action, kind, id, owner, before, after) = row;
    Ok(TrailEntry {
        number: number.unsigned_abs(),
        revision: revision.unsigned_abs(),
        at: parse(&at, "trail")?,
        user,
        action,
        kind,
        id,
        owner,
        before: before.map(|text| from_json(&text, "trail")).transpose()?,
        after: after.map(|text| from_json(&text, "trail")).transpose()?,
    })
}

pub(super) fn to_json(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|error| storage(format!("cannot write JSON: {error}"), "nothing was changed"))
}

pub(super) fn from_json<T: DeserializeOwned>(text: &str, table: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|_| broken(table))
}

pub(super) fn parse<T: FromStr>(text: &str, table: &str) -> Result<T> {
    text.parse().map_err(|_| broken(table))
}

fn digest(bytes: Vec<u8>, table: &str) -> Result<SecretDigest> {
    <[u8; 32]>::try_from(bytes).map(SecretDigest::from).map_err(|_| broken(table))
}

/// Returns a number as the databases hold it.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Returns the error for a row that portcullis never writes.
pub(super) fn broken(table: &str) -> RegistryError {
    storage(
        format!("the registry's table `{table}` holds a row that cannot be read"),
        "was it edited by hand? restore a copy of the registry",
    )
}
