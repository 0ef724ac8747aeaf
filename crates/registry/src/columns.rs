//! Values as the columns of both databases hold them.

use std::str::FromStr;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::error::{RegistryError, Result, storage};
use super::record::{
    Client, ClientKind, Connection, EarlierSecret, Grant, Role, Ticket, TicketKind, Token, TrailEntry, Usage, User,
};
use portcullis::base::Timestamp;
use portcullis::model::{GrantKind, SecretDigest};
use portcullis::name::Dialect;

/// A row of `tokens`: id, owner, name, digest, APIs, referers, expiry, time of creation.
pub(super) type TokenRow = (String, String, String, Vec<u8>, String, String, Option<String>, Option<String>);
/// A row of `clients`: id, kind, owner, title, digest, URLs, time of creation, APIs, grants, scopes, earlier secrets.
pub(super) type ClientRow =
    (String, String, String, String, Option<Vec<u8>>, String, String, String, String, Option<String>, String);
/// A row of `trail`: number, revision, time, user, how, action, kind, id, owner, values before and after.
pub(super) type TrailRow =
    (i64, i64, String, String, Option<String>, String, String, String, Option<String>, Option<String>, Option<String>);
/// A row of `connections`: name, dialect, whether it is case-sensitive, whether it has named sources only.
pub(super) type ConnectionRow = (String, String, bool, bool);
/// A row of `usage`: token, allowed requests, last use.
pub(super) type UsageRow = (String, i64, i64);
/// A row of `tickets`: kind, digest, user, client, family, token, expiry, content.
pub(super) type TicketRow = (String, Vec<u8>, String, Option<String>, Option<String>, Option<String>, i64, Vec<u8>);
/// A row of `users`: name, role, whether disabled, whether invited, e-mail address, issuer, subject.
pub(super) type UserRow = (String, String, bool, bool, Option<String>, Option<String>, Option<String>);

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

/// A grant of a client, as JSON.
#[derive(Serialize, Deserialize)]
struct WrittenGrant {
    connection: String,
    r#type: String,
    source: String,
}

/// A rotated secret of a client, as JSON.
#[derive(Serialize, Deserialize)]
struct WrittenSecret {
    sha256: String,
    until: i64,
}

pub(super) fn client(
    (id, kind, owner, title, digest, urls, created_at, apis, grants, scopes, earlier): ClientRow,
) -> Result<Client> {
    let broken = || broken("clients");
    let grant = |grant: WrittenGrant| {
        let kind = GrantKind::from_name(&grant.r#type).ok_or_else(broken)?;
        Ok(Grant { connection: grant.connection, kind, source: grant.source })
    };
    let earlier_secret = |secret: WrittenSecret| {
        let digest = SecretDigest::from_hex(&secret.sha256).map_err(|_| broken())?;
        Ok(EarlierSecret { digest, until: Timestamp::from_unix(secret.until, 0) })
    };
    Ok(Client {
        id,
        kind: if kind == ClientKind::Spa.as_str() { ClientKind::Spa } else { ClientKind::M2m },
        title,
        owner,
        digest: digest.map(|digest| self::digest(digest, "clients")).transpose()?,
        urls: from_json(&urls, "clients")?,
        created_at: parse(&created_at, "clients")?,
        allowed_apis: from_json(&apis, "clients")?,
        grants: from_json::<Vec<_>>(&grants, "clients")?.into_iter().map(grant).collect::<Result<_>>()?,
        scopes: scopes.map(|scopes| from_json(&scopes, "clients")).transpose()?,
        earlier_secrets: from_json::<Vec<_>>(&earlier, "clients")?
            .into_iter()
            .map(earlier_secret)
            .collect::<Result<_>>()?,
    })
}

/// Returns the grants of a client as JSON.
pub(super) fn client_grants(client: &Client) -> Result<String> {
    let grant = |Grant { connection, kind, source }: &Grant| WrittenGrant {
        connection: connection.clone(),
        r#type: kind.as_str().to_owned(),
        source: source.clone(),
    };
    to_json(&client.grants.iter().map(grant).collect::<Vec<_>>())
}

/// Returns the rotated secrets of a client as JSON.
pub(super) fn earlier_secrets(client: &Client) -> Result<String> {
    let earlier =
        |secret: &EarlierSecret| WrittenSecret { sha256: secret.digest.to_hex(), until: secret.until.seconds() };
    to_json(&client.earlier_secrets.iter().map(earlier).collect::<Vec<_>>())
}

pub(super) fn trail_entry(
    (number, revision, at, user, how, action, kind, id, owner, before, after): TrailRow,
) -> Result<TrailEntry> {
    Ok(TrailEntry {
        number: number.unsigned_abs(),
        revision: revision.unsigned_abs(),
        at: parse(&at, "trail")?,
        user,
        how,
        action,
        kind,
        id,
        owner,
        before: before.map(|text| from_json(&text, "trail")).transpose()?,
        after: after.map(|text| from_json(&text, "trail")).transpose()?,
    })
}

pub(super) fn user((name, role, is_disabled, is_invited, email, issuer, subject): UserRow) -> Result<User> {
    let role = Role::from_name(&role).ok_or_else(|| broken("users"))?;
    Ok(User { name, role, is_disabled, is_invited, email, issuer, subject })
}

pub(super) fn ticket((kind, digest, user, client, family, token, expires, body): TicketRow) -> Result<Ticket> {
    Ok(Ticket {
        kind: TicketKind::from_name(&kind).ok_or_else(|| broken("tickets"))?,
        digest: self::digest(digest, "tickets")?,
        user,
        client,
        family,
        token,
        expires: Timestamp::from_unix(expires, 0),
        body,
    })
}

/// Returns the text of `token` that a search looks at.
pub(super) fn searched(token: &Token) -> String {
    let grants = token.grants.iter().flat_map(|Grant { connection, source, .. }| [&**connection, &**source]);
    let parts = [&*token.id, &*token.name, &*token.owner].into_iter();
    parts.chain(token.allowed_apis.iter().map(String::as_str)).chain(grants).collect::<Vec<_>>().join("\n")
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
