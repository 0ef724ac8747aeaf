//! Reads policy documents for the reference without the code of `definition` and `lower`.

use portcullis::base::Timestamp;
use portcullis::model::{GrantKind, SecretDigest};
use portcullis::name::Dialect;
use portcullis_testkit::reference::{
    Reference, ReferenceApi, ReferenceConnection, ReferenceGrant, ReferencePolicy, ReferenceToken, kind,
};
use serde_json::Value;

/// Returns the reference for a valid document: an object with `tokens`.
///
/// # Panics
///
/// If the document is not valid. Generators and vectors pass only valid documents.
pub(crate) fn reference(document: &Value) -> Reference {
    let reference = Reference::of(written(document).unwrap_or_else(|| panic!("not a valid document: {document:#}")));
    assert_eq!(reference.unreadable(), [], "grants that are not of their kind: {document:#}");
    reference
}

pub(crate) fn written(document: &Value) -> Option<ReferencePolicy> {
    let mut written = ReferencePolicy::default();
    for connection in list(&document["connections"]) {
        written.connections.push(ReferenceConnection {
            name: text(&connection["name"])?,
            dialect: dialect(connection)?,
            named_sources_only: connection["named_sources_only"].as_bool().unwrap_or(false),
        });
    }
    for api in list(&document["apis"]) {
        let accepts = list(&api["accepts"]).iter().map(|kind| GrantKind::from_name(kind.as_str()?));
        written.apis.push(ReferenceApi { name: text(&api["name"])?, accepts: accepts.collect::<Option<_>>()? });
    }
    for token in list(&document["tokens"]) {
        let token = token_of(&written, token)?;
        written.tokens.push(token);
    }
    Some(written)
}

fn token_of(written: &ReferencePolicy, token: &Value) -> Option<ReferenceToken> {
    let digest = match (token["token"].as_str(), token["token_sha256"].as_str()) {
        (Some(secret), None) => SecretDigest::of(secret),
        (None, Some(digits)) => SecretDigest::from_hex(digits).ok()?,
        _ => return None,
    };
    let expiry: Option<Timestamp> = match token["expiration_date"].as_str() {
        None => None,
        Some(end) => Some(end.parse().ok()?),
    };
    Some(ReferenceToken {
        id: text(&token["id"])?,
        digest,
        apis: list(&token["allowed_apis"]).iter().map(text).collect::<Option<_>>()?,
        grants: list(&token["grants"]).iter().map(|grant| grant_of(written, grant)).collect::<Option<_>>()?,
        referers: list(&token["referers"]).iter().map(text).collect::<Option<_>>()?,
        expiry,
    })
}

fn grant_of(written: &ReferencePolicy, grant: &Value) -> Option<ReferenceGrant> {
    let connection = text(&grant["connection_name"])?;
    let declared = written.connections.iter().find(|declared| declared.name == connection);
    let dialect = declared.map_or(Dialect::Generic, |declared| declared.dialect);
    let kind = match grant["type"].as_str() {
        None => kind(grant["source"].as_str()?, dialect)?,
        Some("table" | "tileset" | "raster") => GrantKind::Resource,
        Some(name) => GrantKind::from_name(name)?,
    };
    let source = match (kind, grant["source"].as_str()) {
        (GrantKind::All, None) => "*".to_owned(),
        (_, source) => source?.to_owned(),
    };
    Some(ReferenceGrant { connection, kind, source })
}

/// Returns the dialect that a document declares for a connection.
pub(crate) fn dialect(connection: &Value) -> Option<Dialect> {
    let dialect = match connection["dialect"].as_str() {
        None => Dialect::Generic,
        Some(name) => name.parse().ok()?,
    };
    match connection["case_sensitive"].as_bool() {
        None => Some(dialect),
        Some(case_sensitive) => dialect.with_case_sensitive(case_sensitive),
    }
}

pub(crate) fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}
