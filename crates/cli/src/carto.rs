//! Reads a listing of CARTO's Tokens API (`GET /v3/tokens`) as a policy document.
//!
//! The API may add fields, so unknown ones are ignored and reported, unlike those of a policy document.

use std::collections::BTreeMap;

use anyhow::{Context, bail};
use portcullis::base::quoted;
use portcullis::model::SecretDigest;
use portcullis_secret::{Secret, SecretKind};
use serde::Serialize;
use serde_json::{Map, Value};

/// A listing, as far as a registry can hold it.
#[derive(Default)]
pub(super) struct Listing {
    /// The policy document, with digests of secrets.
    pub(super) document: String,
    /// The names of ignored fields, each with its number.
    pub(super) ignored: BTreeMap<String, u64>,
    /// The ids of tokens that are not active.
    pub(super) inactive: Vec<String>,
    /// The ids of tokens without a secret, each with a new one.
    pub(super) new_secrets: Vec<(String, Secret)>,
    /// The number of tokens that other pages have.
    pub(super) on_other_pages: u64,
}

#[derive(Serialize)]
struct Document<'l> {
    tokens: Vec<Token<'l>>,
}

#[derive(Serialize)]
struct Token<'l> {
    id: &'l str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'l Value>,
    #[serde(rename = "token_sha256")]
    digest: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    allowed_apis: Option<&'l Value>,
    grants: Vec<Grant<'l>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    referers: Option<&'l Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expiration_date: Option<&'l Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    created_at: Option<&'l Value>,
}

#[derive(Serialize)]
struct Grant<'l> {
    #[serde(skip_serializing_if = "Option::is_none")]
    connection_name: Option<&'l Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<&'l Value>,
}

/// The fields of an object that were not read yet.
struct Fields<'l> {
    object: BTreeMap<String, &'l Value>,
}

impl<'l> Fields<'l> {
    fn new(object: &'l Map<String, Value>) -> Self {
        Self { object: object.iter().map(|(name, value)| (name.clone(), value)).collect() }
    }

    /// Takes the first of the fields `names` that has a value.
    fn take(&mut self, names: &[&str]) -> Option<&'l Value> {
        let found: Vec<_> = names.iter().filter_map(|name| self.object.remove(*name)).collect();
        found.into_iter().find(|value| !value.is_null())
    }

    fn ignore(self, prefix: &str, ignored: &mut BTreeMap<String, u64>) {
        for name in self.object.into_keys() {
            *ignored.entry(format!("{prefix}{name}")).or_default() += 1;
        }
    }
}

/// Reads the listing `text` of the file `name`. Tokens without a secret get a new one if `new_secrets` is set.
pub(super) fn read(name: &str, text: &str, new_secrets: bool) -> anyhow::Result<Listing> {
    let value: Value = serde_json::from_str(text)
        .map_err(|error| anyhow::anyhow!("`{name}` is not JSON at line {}, column {}", error.line(), error.column()))?;
    let mut listing = Listing::default();
    let tokens = tokens(&value, &mut listing)
        .with_context(|| format!("`{name}` has no list of tokens: expected the answer of `GET /v3/tokens`"))?;
    let mut without_secret = Vec::new();
    let mut read = Vec::new();
    for (index, token) in tokens.iter().enumerate() {
        let Some(object) = token.as_object() else { bail!("`{name}`: token {} is not an object", index + 1) };
        let mut fields = Fields::new(object);
        let id = fields.take(&["id", "token_id", "tokenId"]).and_then(Value::as_str).filter(|id| !id.is_empty());
        let id = id.with_context(|| format!("`{name}`: token {} has no `id`", index + 1))?;
        if !is_active(&mut fields) {
            listing.inactive.push(id.to_owned());
            continue;
        }
        let secret = fields.take(&["token", "access_token", "accessToken", "secret"]).and_then(Value::as_str);
        // A masked secret, such as `abc***`, is none.
        let secret = secret.filter(|secret| !secret.is_empty() && !secret.contains(['*', '…', '•']));
        let digest = match secret {
            Some(secret) => SecretDigest::of(secret),
            None if new_secrets => {
                let secret = Secret::mint(SecretKind::Token)?;
                let digest = secret.digest();
                listing.new_secrets.push((id.to_owned(), secret));
                digest
            }
            None => {
                without_secret.push(quoted(id));
                continue;
            }
        };
        let grants = fields.take(&["grants"]).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let grants = grants.iter().map(|value| grant(value, &mut listing.ignored)).collect::<Option<_>>();
        read.push(Token {
            id,
            name: fields.take(&["name"]),
            digest: digest.to_hex(),
            allowed_apis: fields.take(&["allowed_apis", "allowedApis"]),
            grants: grants
                .with_context(|| format!("`{name}`: token {} has a grant that is not an object", quoted(id)))?,
            referers: fields.take(&["referers"]),
            expiration_date: fields.take(&["expiration_date", "expirationDate"]),
            created_at: fields.take(&["created_at", "createdAt"]),
        });
        fields.ignore("", &mut listing.ignored);
    }
    if !without_secret.is_empty() {
        bail!(
            "`{name}` has no secret of these tokens: {}; their requests could not be recognized, so nothing was imported\n\
             help: add each secret as `token`, or use `--new-secrets`: the tokens get new secrets, which clients must then use",
            without_secret.join(", ")
        );
    }
    listing.document = serde_json::to_string_pretty(&Document { tokens: read })?;
    Ok(listing)
}

/// Returns the tokens of a listing: a list, or an object that has one.
fn tokens<'l>(value: &'l Value, listing: &mut Listing) -> Option<&'l [Value]> {
    if let Some(list) = value.as_array() {
        return Some(list);
    }
    let object = value.as_object()?;
    let mut fields = Fields::new(object);
    let Some(list) = fields.take(&["tokens", "data", "items", "results"]).and_then(Value::as_array) else {
        // The answer of `GET /v3/tokens/{token}`.
        return (object.contains_key("grants") || object.contains_key("id")).then(|| std::slice::from_ref(value));
    };
    let page = fields.take(&["meta", "pagination", "page_info", "pageInfo"]).and_then(Value::as_object);
    let totals = ["total", "totalItems", "total_items", "totalCount", "total_count"];
    let total = page.and_then(|page| Fields::new(page).take(&totals)).or_else(|| fields.take(&totals));
    listing.on_other_pages = total.and_then(Value::as_u64).unwrap_or(0).saturating_sub(list.len() as u64);
    Some(list)
}

/// Whether the token may be used. Its field for that has one of several names.
fn is_active(fields: &mut Fields<'_>) -> bool {
    let is = |value: Option<&Value>, what: bool| value.and_then(Value::as_bool) == Some(what);
    let is_off = is(fields.take(&["revoked", "disabled", "deleted", "expired", "blocked"]), true)
        || is(fields.take(&["enabled", "active", "is_active", "isActive"]), false);
    let status = fields.take(&["status", "state"]).and_then(Value::as_str);
    !is_off && status.is_none_or(|status| ["active", "enabled", "valid"].contains(&&*status.to_lowercase()))
}

/// Reads a grant; `None` if it is not an object.
fn grant<'l>(value: &'l Value, ignored: &mut BTreeMap<String, u64>) -> Option<Grant<'l>> {
    let mut fields = Fields::new(value.as_object()?);
    let grant = Grant {
        connection_name: fields.take(&["connection_name", "connectionName", "connection"]),
        source: fields.take(&["source", "resource"]),
    };
    fields.ignore("grants[].", ignored);
    Some(grant)
}
