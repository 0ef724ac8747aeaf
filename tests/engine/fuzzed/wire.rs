//! Requests in JSON.

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

/// Reads an input: a text. If it is empty, choices for one.
pub(crate) fn property(input: &[u8]) {
    let mut parts = Parts::of(input);
    match parts.bytes() {
        [] => check(written(&mut Choices::of(parts.bytes())).as_bytes()),
        text => check(text),
    }
}

/// The reader agrees with an oracle that uses `serde_json`. Its errors contain no value of the text.
pub(crate) fn check(text: &[u8]) {
    let read = WireRequest::read(text);
    let shown = String::from_utf8_lossy(text);
    let expected = oracle(text);
    assert_eq!(read.as_ref().ok().map(Content::of), expected, "{:?}\n{shown}", read.as_ref().err());
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
        let shown = match WireRequest::read(text.as_bytes()) {
            Err(error) => format!("{error} {error:?}"),
            Ok(request) if key == "token" => format!("{request:?}"),
            Ok(_) => continue,
        };
        assert!(!shown.contains(SECRET), "{shown}\n{text}");
    }
}

/// A valid request can be replayed with the same decision. A line of a decision log with unknown fields can be read.
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
    // The same request as a line of a log.
    if let Some(rest) = shown.trim_start().strip_prefix('{') {
        let line = format!(r#"{{"log": 1, "of": "another version", {rest}"#);
        assert!(ReplayRequest::read(line.as_bytes()).is_ok(), "{line}");
    }
}

/// An answer is one JSON object and contains the id as the request spells it.
fn check_answer(request: &WireRequest<'_>, shown: &str) {
    let answer =
        serde_json::to_string(&WireDecision::new(request.id(), &Decision::Deny(Reason::TokenUnknown))).unwrap();
    let Pairs(pairs) = serde_json::from_str(&answer).unwrap();
    let id = pairs.iter().find(|(key, _)| key == "id").map(|(_, id)| id.get());
    assert_eq!(id, request.id().map(RawValue::get), "{shown}");
    assert!(id.is_none_or(|id| shown.contains(id)), "{shown}");
}

/// The contents of a request.
#[derive(Debug, Default, PartialEq, Eq)]
struct Content {
    token: String,
    api: String,
    operation: Operation,
    connection: String,
    sources: Vec<(&'static str, String)>,
    referer: Option<String>,
    now: Option<Timestamp>,
}

impl Content {
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

/// Reads a request with `serde_json`, rule by rule. `None` if the text is not a valid request.
fn oracle(text: &[u8]) -> Option<Content> {
    let Pairs(pairs) = serde_json::from_slice(text).ok()?;
    let keys: Vec<&str> = pairs.iter().map(|(key, _)| key.as_str()).collect();
    if (1..keys.len()).any(|at| keys[..at].contains(&keys[at])) {
        return None;
    }
    let mut content = Content::default();
    for (key, raw) in &pairs {
        match key.as_str() {
            // Any JSON value, even one that a `Value` cannot represent.
            "id" => {}
            "token" => content.token = string(raw)?,
            "api" => content.api = string(raw)?,
            "operation" if string(raw)? == "query" => {}
            "operation" if string(raw)? == "model" => content.operation = Operation::Model,
            "connection" => content.connection = string(raw)?,
            "referer" => content.referer = Some(string(raw)?),
            "now" => content.now = Some(string(raw).filter(|text| text.len() <= 64)?.parse().ok()?),
            "sources" => {
                let elements: Vec<Box<RawValue>> = serde_json::from_str(raw.get()).ok()?;
                for element in elements {
                    let Pairs(source) = serde_json::from_str(element.get()).ok()?;
                    let [(key, raw)] = source.as_slice() else { return None };
                    content.sources.push((source_key(key)?, string(raw)?));
                }
            }
            _ => content.sources.push((source_key(key)?, string(raw)?)),
        }
    }
    let has = |key: &&str| keys.contains(key);
    let ways = ["resource", "query", "named_source", "sources"].iter().filter(|key| has(key)).count();
    let sourceless = content.api == "lds";
    let right = has(&"api")
        && ways <= 1
        && (has(&"connection") || sourceless)
        && (!content.sources.is_empty() || sourceless)
        && (!has(&"operation") || content.api == "sql");
    right.then_some(content)
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

/// Generates a request, or a near miss: a missing, repeated or misspelt key, or a value of another type.
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
