//! Reads a listing of CARTO's Tokens API (`GET /v3/tokens`) as a policy document.
//!
//! The API may add fields. Only fields that are known to restrict nothing are ignored and reported. All other fields
//! become fields of the document, whose rules reject unknown ones (N11.2): one may restrict its token.

mod fields;
mod masked;
mod state;
mod unique;

use std::collections::BTreeMap;

use anyhow::{Context, bail};
use portcullis::base::quoted;
use portcullis::model::SecretDigest;
use portcullis_secret::{Secret, SecretKind};
use serde_json::{Map, Value, json};

use self::fields::{Fields, HARMLESS_OF_GRANTS, HARMLESS_OF_TOKENS, Names};
use self::masked::is_masked;
use self::state::is_active;
use self::unique::Unique;

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
    /// The tokens that other pages have.
    pub(super) other_pages: OtherPages,
}

/// The tokens that other pages of a listing have.
#[derive(Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum OtherPages {
    #[default]
    None,
    /// A known number of tokens.
    Tokens(u64),
    /// There is a next page.
    Some,
}

/// The fields of tokens with several names.
const OF_TOKENS: &[Names] = &[
    Names { field: "allowed_apis", aliases: &["allowedApis"] },
    Names { field: "expiration_date", aliases: &["expirationDate"] },
    Names { field: "created_at", aliases: &["createdAt"] },
];

/// The fields of grants with several names.
const OF_GRANTS: &[Names] = &[
    Names { field: "connection_name", aliases: &["connectionName", "connection"] },
    Names { field: "source", aliases: &["resource"] },
];

/// Reads the listing `text` of the file `name`. Tokens without a secret get a new one if `new_secrets` is set.
pub(super) fn read(name: &str, text: &str, new_secrets: bool) -> anyhow::Result<Listing> {
    let value = json(name, text.strip_prefix('\u{feff}').unwrap_or(text))?;
    let Page { tokens, other_pages } = page(&value)
        .with_context(|| quoted(name))?
        .with_context(|| format!("`{name}` has no list of tokens\nhelp: give the answer of `GET /v3/tokens`"))?;
    if tokens.is_empty() {
        match other_pages {
            OtherPages::None => bail!(
                "`{name}` has no tokens: nothing was imported\nhelp: give a listing of `GET /v3/tokens` that has tokens"
            ),
            OtherPages::Tokens(_) | OtherPages::Some => bail!(
                "`{name}` is a page without tokens, but other pages have tokens: nothing was imported\n\
                 help: get and import each page that has tokens"
            ),
        }
    }
    let mut listing = Listing { other_pages, ..Listing::default() };
    let mut without_secret = Vec::new();
    let mut read = Vec::new();
    for (index, token) in tokens.iter().enumerate() {
        let Some(object) = token.as_object() else {
            bail!("`{name}`: token {} is not an object\nhelp: give the answer of `GET /v3/tokens`", index + 1)
        };
        let mut fields = Fields::new(object);
        let id = fields.take(&["id", "token_id", "tokenId"]);
        let id = id.with_context(|| format!("`{name}`: token {}", index + 1))?.and_then(Value::as_str);
        let id = id.filter(|id| !id.is_empty()).with_context(|| {
            format!("`{name}`: token {} has no `id`\nhelp: write its id as a string in `id`", index + 1)
        })?;
        let at = || format!("`{name}`: token {}", quoted(id));
        if !is_active(&mut fields).with_context(at)? {
            listing.inactive.push(id.to_owned());
            continue;
        }
        let digest = match secret(&mut fields).with_context(at)? {
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
        let ignored = &mut listing.ignored;
        let mut token = fields
            .into_document(OF_TOKENS, HARMLESS_OF_TOKENS, |field| count(ignored, field.to_owned()))
            .with_context(at)?;
        if token.contains_key("token_sha256") {
            bail!("{}: unknown field `token_sha256`\nhelp: write the secret as `token`", at());
        }
        if let Some(Value::Array(grants)) = token.get_mut("grants") {
            for value in grants {
                *value = grant(value, ignored).with_context(at)?.with_context(|| {
                    format!(
                        "`{name}`: token {} has a grant that is not an object\nhelp: write a grant such as \
                             `{{\"connection_name\": \"carto_dw\", \"source\": \"carto.shared.demo\"}}`",
                        quoted(id)
                    )
                })?;
            }
        }
        token.insert("id".to_owned(), id.into());
        token.insert("token_sha256".to_owned(), digest.to_hex().into());
        read.push(token);
    }
    if !without_secret.is_empty() {
        bail!(
            "`{name}` has no secret of these tokens: {}; their requests could not be recognized, so nothing was imported\n\
             help: add each secret as `token`, or use `--new-secrets`: the tokens get new secrets, which clients must then use",
            without_secret.join(", ")
        );
    }
    listing.document = serde_json::to_string_pretty(&json!({ "tokens": read }))?;
    Ok(listing)
}

/// Parses the text of the file `name`.
fn json(name: &str, text: &str) -> anyhow::Result<Value> {
    let failure = |error: serde_json::Error| {
        let (line, column) = (error.line(), error.column());
        if !error.is_data() {
            return anyhow::anyhow!(
                "`{name}` is not JSON at line {line}, column {column}\nhelp: give the answer of `GET /v3/tokens`, whole and \
                 unchanged"
            );
        }
        let message = error.to_string();
        let message = message.strip_suffix(&format!(" at line {line} column {column}")).unwrap_or(&message);
        anyhow::anyhow!("`{name}`: {message}, at line {line}\nhelp: keep one of them")
    };
    let Unique = serde_json::from_str(text).map_err(failure)?;
    serde_json::from_str(text).map_err(failure)
}

/// The tokens of a page of a listing.
struct Page<'l> {
    tokens: &'l [Value],
    other_pages: OtherPages,
}

/// Returns the page of a listing: a list, or an object that has one. `None` if there is none.
fn page(value: &Value) -> anyhow::Result<Option<Page<'_>>> {
    let whole = |tokens| Some(Page { tokens, other_pages: OtherPages::None });
    if let Some(list) = value.as_array() {
        return Ok(whole(list));
    }
    let Some(object) = value.as_object() else { return Ok(None) };
    let mut fields = Fields::new(object);
    let Some(list) = fields.take(&["tokens", "data", "items", "results"])?.and_then(Value::as_array) else {
        // The answer of `GET /v3/tokens/{token}`.
        let is_token = object.contains_key("grants") || object.contains_key("id");
        return Ok(if is_token { whole(std::slice::from_ref(value)) } else { None });
    };
    let mut other_pages = OtherPages::None;
    let meta = fields.take(&["meta", "pagination", "page_info", "pageInfo"])?.and_then(Value::as_object);
    // `page` may also be the number of the page.
    let page = fields.take(&["page"])?.and_then(Value::as_object);
    for mut fields in [meta, page].into_iter().flatten().map(Fields::new).chain([fields]) {
        let total = fields.take(&["total", "totalItems", "total_items", "totalCount", "total_count"])?;
        if let Some(total) = total.filter(|total| !total.is_null()) {
            let total = total.as_u64().context(
                "the total number of tokens is not a whole number\nhelp: write a number such as `50` without quotes",
            )?;
            if let rest @ 1.. = total.saturating_sub(list.len() as u64) {
                other_pages = OtherPages::Tokens(rest);
            }
        }
        let next = fields.take_if(|name| {
            let next = ["next", "nextpage", "nextcursor", "nextpagetoken", "nexturl", "nextlink"];
            next.contains(&name) || ["hasmore", "hasnext", "hasnextpage"].contains(&name)
        });
        let is_next = |value: &Value| !(value.is_null() || value == &json!(false) || value == &json!(""));
        if other_pages == OtherPages::None && next.iter().any(|(_, value)| is_next(value)) {
            other_pages = OtherPages::Some;
        }
    }
    Ok(Some(Page { tokens: list, other_pages }))
}

/// Takes the secret of a token. A masked or shortened secret, such as `abc***` or `eyJ…`, is none.
fn secret<'l>(fields: &mut Fields<'l>) -> anyhow::Result<Option<&'l str>> {
    let secret = match fields.take(&["token", "access_token", "accessToken", "secret"])? {
        None | Some(Value::Null) => None,
        Some(Value::String(secret)) => Some(&**secret),
        Some(_) => bail!("the secret is not a string\nhelp: write the secret as a string in `token`"),
    };
    Ok(secret.filter(|secret| !is_masked(secret)))
}

/// Returns a grant as that of a document; `None` if it is not an object.
fn grant(value: &Value, ignored: &mut BTreeMap<String, u64>) -> anyhow::Result<Option<Value>> {
    let Some(object) = value.as_object() else { return Ok(None) };
    let ignore = |field: &str| count(ignored, format!("grants[].{field}"));
    let grant: Map<_, _> = Fields::new(object).into_document(OF_GRANTS, HARMLESS_OF_GRANTS, ignore)?;
    Ok(Some(Value::Object(grant)))
}

fn count(ignored: &mut BTreeMap<String, u64>, field: String) {
    *ignored.entry(field).or_default() += 1;
}
