//! Generates policy documents, and requests that match their grants or nearly match them.

use portcullis::base::Timestamp;
use portcullis::model::Operation;
use portcullis::name::Dialect;
use portcullis_testkit::reference::{kind, reads_as};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::choices::{Choices, bytes};
use crate::document::list;
use crate::request::{OwnedRequest, OwnedSource, Presented};
use crate::texts;

/// A valid policy document, and requests.
#[derive(Debug, Clone)]
pub(crate) struct World {
    pub(crate) document: Value,
    pub(crate) requests: Vec<OwnedRequest>,
}

/// Generates policies of up to five tokens, with up to 24 requests each.
pub(crate) fn worlds() -> impl Strategy<Value = World> {
    let tokens = prop::collection::vec(bytes(150), 1..=5);
    let requests = prop::collection::vec(bytes(60), 1..=24);
    (bytes(12), tokens, requests).prop_map(|(head, tokens, requests)| World::of(&head, &tokens, &requests))
}

impl World {
    /// Generates a world from bytes: for the head of the document, for each token, and for each request. Requests need
    /// at least one token.
    pub(crate) fn of(head: &[u8], tokens: &[Vec<u8>], requests: &[Vec<u8>]) -> Self {
        let document = document(head, tokens);
        let requests = requests.iter().map(|bytes| request(&mut Choices::of(bytes), &document)).collect();
        Self { document, requests }
    }
}

fn document(head: &[u8], tokens: &[Vec<u8>]) -> Value {
    let mut choices = Choices::of(head);
    let mut document = json!({ "version": 1 });
    let declared: Vec<Value> = (0..=choices.below(3)).map(|index| connection(&mut choices, index)).collect();
    document["connections"] = declared.into();
    if choices.one_in(3) {
        let accepts = choices.pick(&[&["pattern", "resource"][..], &["all"], &["query", "named_source", "all"]]);
        document["apis"] = json!([{ "name": "tiles", "accepts": accepts }]);
    }
    let tokens: Vec<Value> =
        tokens.iter().enumerate().map(|(index, bytes)| token(&mut Choices::of(bytes), &document, index)).collect();
    document["tokens"] = tokens.into();
    document
}

fn connection(choices: &mut Choices<'_>, index: usize) -> Value {
    let dialect = choices.pick(&Dialect::ALL);
    let mut connection = json!({ "name": format!("{dialect}_{index}"), "dialect": dialect.as_str() });
    if dialect.is_case_sensitive() {
        connection["case_sensitive"] = json!(true);
    }
    if choices.one_in(6) {
        connection["named_sources_only"] = true.into();
    }
    connection
}

/// Returns the dialect of a connection: `generic` if the document does not declare the connection.
pub(crate) fn dialect_of(document: &Value, connection: &str) -> Dialect {
    let declared = list(&document["connections"]).iter().find(|declared| declared["name"] == connection);
    declared.map_or(Dialect::Generic, |declared| crate::document::dialect(declared).unwrap())
}

/// Returns the secret of the token at `index`.
pub(crate) fn secret_of(index: usize) -> String {
    format!("secret-{index}")
}

pub(crate) fn token(choices: &mut Choices<'_>, document: &Value, index: usize) -> Value {
    let mut token =
        json!({ "id": format!("token-{index}"), "name": format!("n{index}"), "owner": choices.pick(&["ana", "ben"]) });
    if choices.one_in(4) {
        token["token_sha256"] = portcullis::model::SecretDigest::of(&secret_of(index)).to_hex().into();
    } else {
        token["token"] = secret_of(index).into();
    }
    let apis = apis(choices, !document["apis"].is_null());
    let grants = usize::from(apis != ["lds"]) + choices.below(6);
    let grants: Vec<Value> = (0..grants).map(|_| grant(choices, document)).collect();
    token["allowed_apis"] = apis.into();
    if !grants.is_empty() || choices.one_in(2) {
        token["grants"] = grants.into();
    }
    if choices.one_in(3) {
        let entries = (0..=choices.below(3)).map(|_| texts::entry(choices));
        let valid = |entry: String| {
            if portcullis::referer::naive::is_entry(&entry) { entry } else { "https://*.carto.com/a/*".into() }
        };
        token["referers"] = entries.map(valid).collect::<Vec<_>>().into();
    }
    if choices.one_in(3) {
        token["expiration_date"] = choices.pick(&EXPIRIES).into();
    }
    token
}

/// Expiries before, at and after [`NOW`].
const EXPIRIES: [&str; 8] = [
    "2030-01-01T00:00:00.000000001Z",
    "2026-11-23",
    "2026-11-22T13:00:00.5+00:00",
    "2100-02-28T23:59:59Z",
    "2026-11-22T12:00:00Z",
    "2026-11-22",
    "2020-05-05T00:00:00.5Z",
    "2024-02-29",
];

const NOW: &str = "2026-11-22T12:00:00Z";

fn apis(choices: &mut Choices<'_>, declared: bool) -> Vec<&'static str> {
    if choices.one_in(6) {
        return vec!["imports"];
    }
    let known = if declared { &["maps", "sql", "lds", "tiles"][..] } else { &["maps", "sql", "lds"] };
    let mut apis: Vec<&str> = known.iter().copied().filter(|_| choices.below(5) < 3).collect();
    if apis.is_empty() {
        apis.push("maps");
    }
    apis
}

/// Generates a grant on a declared or an undeclared connection.
pub(crate) fn grant(choices: &mut Choices<'_>, document: &Value) -> Value {
    let connection = connection_name(choices, document);
    let dialect = dialect_of(document, &connection);
    let wanted = choices.pick(&[
        "resource",
        "pattern",
        "pattern",
        "query",
        "resource",
        "named_source",
        "pattern",
        "resource",
        "all",
    ]);
    let segments = 2 + choices.below(2);
    let (source, fallback) = match wanted {
        "resource" => (texts::path(choices, dialect, segments, false), "a.b"),
        "pattern" => (texts::path(choices, dialect, segments, true), "a.*"),
        "query" => (texts::query(choices), "SELECT  1"),
        "named_source" => (texts::named_source(choices), "a_1"),
        _ => ("*".to_owned(), "*"),
    };
    let kind_of_it = portcullis::model::GrantKind::from_name(wanted).unwrap();
    let source = if reads_as(&source, kind_of_it, dialect) { source } else { fallback.to_owned() };
    let mut grant = Map::new();
    grant.insert("connection_name".into(), connection.into());
    let guessed = kind(&source, dialect) == Some(kind_of_it);
    if !guessed || choices.one_in(3) {
        let written =
            if wanted == "resource" { choices.pick(&["resource", "table", "tileset", "raster"]) } else { wanted };
        grant.insert("type".into(), written.into());
    }
    if wanted != "all" || guessed && !grant.contains_key("type") {
        grant.insert("source".into(), source.into());
    }
    grant.into()
}

fn connection_name(choices: &mut Choices<'_>, document: &Value) -> String {
    let declared = list(&document["connections"]);
    let undeclared = usize::from(choices.one_in(4));
    let at = choices.below(declared.len() + undeclared);
    declared.get(at).map_or("undeclared", |connection| connection["name"].as_str().unwrap()).to_owned()
}

/// Generates a request that matches or nearly matches the grants of a token.
pub(crate) fn request(choices: &mut Choices<'_>, document: &Value) -> OwnedRequest {
    let at = choices.below(list(&document["tokens"]).len());
    let token = &document["tokens"][at];
    let credential = match choices.below(20) {
        0..14 => Presented::Secret(secret_of(at)),
        14..18 => Presented::DigestOf(secret_of(at)),
        _ => choices
            .pick(&[Presented::Nothing, Presented::Secret(""), Presented::Secret("secret-x"), Presented::DigestOf("")])
            .owned(),
    };
    let apis = list(&token["allowed_apis"]);
    let mut api = apis[choices.below(apis.len())].as_str().unwrap();
    if choices.one_in(16) {
        api = choices.pick(&["maps", "sql", "imports", "lds", "tiles", "MAPS", ""]);
    }
    let operation = choices.pick(&[Operation::Query, Operation::Model, Operation::Model]);
    let (connection, sources) = sources(choices, document, token);
    let referers = list(&token["referers"]);
    let referer = match referers.len() {
        0 if choices.one_in(4) => Some(texts::entry(choices)),
        0 => None,
        _ if choices.one_in(12) => choices.pick(&[None, Some("")]).map(str::to_owned),
        count => {
            let entry = referers[choices.below(count)].as_str().unwrap();
            Some(texts::near_referer(choices, entry))
        }
    };
    let now = now(choices, token["expiration_date"].as_str());
    OwnedRequest { credential, api: api.to_owned(), operation, connection, sources, referer, now }
}

/// Returns [`NOW`], the expiry of the token, or the nanosecond before or after it.
fn now(choices: &mut Choices<'_>, expiry: Option<&str>) -> Timestamp {
    let Some(end) = expiry.filter(|_| choices.one_in(2)) else {
        return NOW.parse().unwrap();
    };
    let end: Timestamp = end.parse().unwrap();
    let (seconds, nanoseconds) = (end.seconds(), end.nanoseconds());
    match choices.below(4) {
        0 | 1 if nanoseconds == 0 => Timestamp::from_unix(seconds - 1, 999_999_999),
        0 | 1 => Timestamp::from_unix(seconds, nanoseconds - 1),
        2 => end,
        _ => Timestamp::from_unix(seconds, nanoseconds + 1),
    }
}

/// Generates a connection of one of the token's grants, and sources that match or nearly match grants on this
/// connection.
fn sources(choices: &mut Choices<'_>, document: &Value, token: &Value) -> (String, Vec<OwnedSource>) {
    let grants = list(&token["grants"]);
    if grants.is_empty() {
        let sources = if choices.one_in(2) { vec![OwnedSource::Resource("a.b".into())] } else { Vec::new() };
        return (connection_name(choices, document), sources);
    }
    let chosen = &grants[choices.below(grants.len())];
    let mut connection = chosen["connection_name"].as_str().unwrap().to_owned();
    let dialect = dialect_of(document, &connection);
    let beside: Vec<&Value> = grants.iter().filter(|grant| grant["connection_name"] == *connection).collect();
    let count = choices.pick(&[1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 3, 5, 0]);
    let sources = (0..count).map(|index| {
        let grant = if index == 0 { chosen } else { choices.pick(&beside) };
        near_source(choices, grant, dialect)
    });
    let sources = sources.collect();
    if choices.one_in(16) {
        choices.pick(&["undeclared", "nowhere", "generic_0", "bigquery_0", ""]).clone_into(&mut connection);
    }
    (connection, sources)
}

fn near_source(choices: &mut Choices<'_>, grant: &Value, dialect: Dialect) -> OwnedSource {
    let text = grant["source"].as_str().unwrap_or("*");
    let kind_of_it = match grant["type"].as_str() {
        Some("table" | "tileset" | "raster") => "resource",
        Some(name) => name,
        None => kind(text, dialect).unwrap().as_str(),
    };
    let near = match kind_of_it {
        "resource" => OwnedSource::Resource(texts::near_name(choices, text, dialect)),
        "pattern" => {
            let name = texts::filled(choices, text);
            OwnedSource::Resource(texts::near_name(choices, &name, dialect))
        }
        "query" => OwnedSource::Query(texts::near_query(choices, text)),
        "named_source" => OwnedSource::NamedSource(texts::near_named_source(choices, text)),
        _ => match choices.below(4) {
            0 | 1 => {
                let segments = 1 + choices.below(3);
                OwnedSource::Resource(texts::path(choices, dialect, segments, false))
            }
            2 => OwnedSource::Query(texts::query(choices)),
            _ => OwnedSource::NamedSource(texts::named_source(choices)),
        },
    };
    if !choices.one_in(24) {
        return near;
    }
    // Sometimes the text is sent as another kind of source.
    let text = near.borrowed().text().to_owned();
    match choices.below(3) {
        0 => OwnedSource::Resource(text),
        1 => OwnedSource::Query(text),
        _ => OwnedSource::NamedSource(text),
    }
}
