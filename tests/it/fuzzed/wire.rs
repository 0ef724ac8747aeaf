//! Requests as JSON.

use portcullis::base::Timestamp;
use portcullis::decision::{Credential, Decision, Reason, Replay, Source, decide};
use portcullis::model::Operation;
use portcullis::snapshot::Snapshot;
use portcullis_http::wire::{ReplayRequest, Replayed, WireDecision, WireRequest};
use serde_json::Value;
use serde_json::value::RawValue;

use super::pairs::Pairs;
use super::{Parts, SECRET, with_secret};
use crate::choices::Choices;

/// A text; or without one, choices for one.
pub(crate) fn property(input: &[u8]) {
    let mut parts = Parts::of(input);
    match parts.bytes() {
        [] => check(written(&mut Choices::of(parts.bytes())).as_bytes()),
        text => check(text),
    }
}

/// Reading ends; it says what `serde_json` says; and what it says holds no value of the text.
pub(crate) fn check(text: &[u8]) {
    let read = WireRequest::read(text);
    let shown = String::from_utf8_lossy(text);
    let expected = told(text);
    assert_eq!(read.as_ref().ok().map(Told::of), expected, "{:?}\n{shown}", read.as_ref().err());
    check_replay(text, read.as_ref().ok(), &shown);
    match read {
        Ok(request) => check_answer(&request, &shown),
        Err(error) => assert!(!error.to_string().is_empty() && !error.to_string().contains('\n'), "{error}\n{shown}"),
    }
    if shown.contains(SECRET) {
        return;
    }
    for key in ["token", "api", "connection", "resource", "query", "named_source", "referer"] {
        let text = with_secret(&shown, key);
        let said = match WireRequest::read(text.as_bytes()) {
            Err(error) => format!("{error} {error:?}"),
            Ok(request) if key == "token" => format!("{request:?}"),
            Ok(_) => continue,
        };
        assert!(!said.contains(SECRET), "{said}\n{text}");
    }
}

/// A request is one to replay, too, and decides the same; a log's line is read, whatever else it says.
fn check_replay(text: &[u8], request: Option<&WireRequest<'_>>, shown: &str) {
    let nothing = Snapshot::default();
    let replay = Replay::new(&nothing);
    let now = Timestamp::from_unix(0, 0);
    let read = ReplayRequest::read(text);
    if let Err(error) = &read {
        assert!(!error.to_string().is_empty() && !error.to_string().contains('\n'), "{error}\n{shown}");
    }
    let replayed = read.map(|read| read.decide(&replay, now));
    let Some(request) = request else { return };
    let expected = decide(&nothing, &request.with(&request.sources()), request.now().unwrap_or(now));
    assert_eq!(replayed, Ok(Replayed::Decided(expected)), "{shown}");
    // The same line in a log.
    if let Some(rest) = shown.trim_start().strip_prefix('{') {
        let line = format!(r#"{{"log": 1, "of": "another version", {rest}"#);
        assert!(ReplayRequest::read(line.as_bytes()).is_ok(), "{line}");
    }
}

/// An answer is one JSON object, and holds the id as it was written.
fn check_answer(request: &WireRequest<'_>, shown: &str) {
    let answer =
        serde_json::to_string(&WireDecision::new(request.id(), &Decision::Deny(Reason::TokenUnknown))).unwrap();
    let Pairs(pairs) = serde_json::from_str(&answer).unwrap();
    let id = pairs.iter().find(|(key, _)| key == "id").map(|(_, id)| id.get());
    assert_eq!(id, request.id().map(RawValue::get), "{shown}");
    assert!(id.is_none_or(|id| shown.contains(id)), "{shown}");
}

/// What a request says.
#[derive(Debug, Default, PartialEq, Eq)]
struct Told {
    token: String,
    api: String,
    operation: Operation,
    connection: String,
    sources: Vec<(&'static str, String)>,
    referer: Option<String>,
    now: Option<Timestamp>,
}

impl Told {
    fn of(read: &WireRequest<'_>) -> Self {
        let sources = read.sources();
        let request = read.with(&sources);
        let source = |source: &Source<'_>| {
            let key = match source {
                Source::Resource(_) => "resource",
                Source::Query(_) => "query",
                Source::NamedSource(_) => "named_source",
            };
            (key, source.text().to_owned())
        };
        let token = match request.credential {
            Credential::Secret(secret) => secret,
            _ => "",
        };
        Self {
            token: token.to_owned(),
            api: request.api.to_owned(),
            operation: request.operation,
            connection: request.connection.to_owned(),
            sources: request.sources.as_slice().iter().map(source).collect(),
            referer: request.referer.map(str::to_owned),
            now: read.now(),
        }
    }
}

/// The same read by way of [`Value`], rule by rule; `None` where it is no request.
fn told(text: &[u8]) -> Option<Told> {
    let Pairs(pairs) = serde_json::from_slice(text).ok()?;
    let keys: Vec<&str> = pairs.iter().map(|(key, _)| key.as_str()).collect();
    if (1..keys.len()).any(|at| keys[..at].contains(&keys[at])) {
        return None;
    }
    let mut told = Told::default();
    for (key, raw) in &pairs {
        match key.as_str() {
            // Anything, and it need not fit into a `Value`.
            "id" => {}
            "token" => told.token = string(raw)?,
            "api" => told.api = string(raw)?,
            "operation" if string(raw)? == "query" => {}
            "operation" if string(raw)? == "model" => told.operation = Operation::Model,
            "connection" => told.connection = string(raw)?,
            "referer" => told.referer = Some(string(raw)?),
            "now" => told.now = Some(string(raw).filter(|text| text.len() <= 64)?.parse().ok()?),
            "sources" => {
                let elements: Vec<Box<RawValue>> = serde_json::from_str(raw.get()).ok()?;
                for element in elements {
                    let Pairs(source) = serde_json::from_str(element.get()).ok()?;
                    let [(key, raw)] = source.as_slice() else { return None };
                    told.sources.push((source_key(key)?, string(raw)?));
                }
            }
            _ => told.sources.push((source_key(key)?, string(raw)?)),
        }
    }
    let has = |key: &&str| keys.contains(key);
    let ways = ["resource", "query", "named_source", "sources"].iter().filter(|key| has(key)).count();
    let sourceless = told.api == "lds";
    let right = has(&"api")
        && ways <= 1
        && (has(&"connection") || sourceless)
        && (!told.sources.is_empty() || sourceless)
        && (!has(&"operation") || told.api == "sql");
    right.then_some(told)
}

fn source_key(key: &str) -> Option<&'static str> {
    ["resource", "query", "named_source"].into_iter().find(|known| *known == key)
}

fn string(raw: &RawValue) -> Option<String> {
    match serde_json::from_str(raw.get()).ok()? {
        Value::String(text) => Some(text),
        _ => None,
    }
}

/// A request, or a near miss: a key left out, given twice or misspelt, a value of another kind, a character off.
fn written(choices: &mut Choices<'_>) -> String {
    let api = choices.pick(&["maps", "sql", "sql", "lds", "imports", "", "\\u006cds"]);
    let mut pairs = vec![("api", format!("\"{api}\"")), ("connection", "\"dw\"".to_owned())];
    let source = choices.pick(&["resource", "query", "named_source", "sources", "resource"]);
    let text = choices.pick(&["\"a.b\"", "\"\\u0061\\n\"", "\"SELECT 'é'\""]);
    pairs.push(match source {
        "sources" => {
            let count = choices.pick(&[1, 2, 0, 5]);
            let elements = (0..count).map(|_| {
                let key = choices.pick(&["resource", "query", "named_source", "sources"]);
                if choices.one_in(8) { "{}".to_owned() } else { format!("{{\"{key}\": {text}}}") }
            });
            (source, format!("[{}]", elements.collect::<Vec<_>>().join(",")))
        }
        _ => (source, text.to_owned()),
    });
    for (key, values) in [
        ("token", ["\"s\"", "\"\"", "\"s\\\"\\\\\""]),
        ("operation", ["\"model\"", "\"query\"", "\"mod\\u0065l\""]),
        ("referer", ["\"https://a.com/\"", "\"\"", "\"\\/\""]),
        ("now", ["\"2026-11-22\"", "\"2026-11-22T12:00:00.5+01:00\"", "\"9999-12-31T23:59:59Z\""]),
        ("id", ["7", "{\"a\": [1e999, \"\\ud800\"]}", "\"x\""]),
    ] {
        if choices.below(3) == 1 {
            pairs.push((key, choices.pick(&values).to_owned()));
        }
    }
    match choices.below(8) {
        4 => drop(pairs.remove(choices.below(pairs.len()))),
        1 => {
            let (key, value) = choices.pick(&[("id", "1"), ("api", "\"lds\""), ("query", "\"a\""), ("tokn", "1")]);
            pairs.push((key, value.to_owned()));
        }
        2 => {
            let at = choices.below(pairs.len());
            choices.pick(&["null", "7", "[]", "{}", "true", "\"\\u0000\"", "\"a"]).clone_into(&mut pairs[at].1);
        }
        3 => pairs.rotate_left(1),
        _ => {}
    }
    let pairs: Vec<String> = pairs.iter().map(|(key, value)| format!("\"{key}\": {value}")).collect();
    format!("{{{}}}", pairs.join(", "))
}
