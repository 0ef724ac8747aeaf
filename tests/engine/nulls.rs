//! `null` never stands for a missing value and its default, except in the four fields of a token that document it.

use portcullis_document::load::{Input, LoadOptions, load};
use portcullis_http::gateway::Routes;
use portcullis_http::wire::{ReplayRequest, WireRequest};
use serde_json::{Value, json};

/// Calls `check` with `value` once for each member of each object in it, with `null` for the member, and its JSON path.
fn each_null(value: &Value, check: &mut dyn FnMut(&str, &Value)) {
    fn paths(value: &Value, at: &str, found: &mut Vec<String>) {
        let members: Vec<(String, &Value)> = match value {
            Value::Object(members) => members.iter().map(|(key, member)| (key.clone(), member)).collect(),
            Value::Array(list) => list.iter().enumerate().map(|(at, element)| (at.to_string(), element)).collect(),
            _ => Vec::new(),
        };
        for (key, member) in members {
            let path = format!("{at}/{key}");
            paths(member, &path, found);
            found.push(path);
        }
    }
    let mut found = Vec::new();
    paths(value, "", &mut found);
    for path in found {
        let mut changed = value.clone();
        *changed.pointer_mut(&path).unwrap() = Value::Null;
        check(&path, &changed);
    }
}

#[test]
fn documents_reject_null() {
    let document = json!({
        "version": 1,
        "connections": [{"name": "dw", "dialect": "redshift", "named_sources_only": true, "case_sensitive": true}],
        "apis": [{"name": "tiles", "accepts": ["resource"]}],
        "tokens": [{
            "id": "a", "name": "n", "owner": "o", "token": "s", "allowed_apis": ["maps", "tiles"],
            "grants": [{"connection_name": "dw", "source": "a.b", "type": "table"}],
            "referers": ["https://a.example"], "expiration_date": "2040-01-01", "created_at": "2026-01-01"
        }],
    });
    let mut accepted = Vec::new();
    each_null(&document, &mut |path, changed| {
        let loaded = load(&[Input::new("a.json", changed.to_string())], &LoadOptions::default());
        if loaded.policy.is_some() {
            accepted.push(path.to_owned());
        }
    });
    accepted.sort();
    assert_eq!(accepted, ["created_at", "expiration_date", "name", "owner"].map(|key| format!("/tokens/0/{key}")));
}

#[test]
fn requests_reject_null() {
    for request in [
        json!({"token": "s", "api": "sql", "operation": "query", "connection": "dw", "query": "select 1",
            "referer": "https://a.example", "now": "2026-01-01"}),
        json!({"token": "s", "api": "maps", "connection": "dw", "sources": [{"resource": "a.b"}, {"named_source": "abc"}]}),
    ] {
        assert!(WireRequest::read(request.to_string().as_bytes()).is_ok());
        each_null(&request, &mut |path, changed| {
            assert!(WireRequest::read(changed.to_string().as_bytes()).is_err(), "{path}");
            assert!(ReplayRequest::read(changed.to_string().as_bytes()).is_err(), "{path}");
        });
    }
}

#[test]
fn logged_requests_reject_null() {
    let line = json!({"log": 1, "time": "2026-01-01T00:00:00Z", "evaluated_at": "2026-01-01T00:00:00Z", "token_id": "a",
        "api": "sql", "operation": "model", "connection": "dw", "sources": [{"resource": "a.b"}],
        "referer": "https://a.example/", "referer_cut": true, "decision": "deny", "reason": "source_not_granted"});
    assert!(ReplayRequest::read(line.to_string().as_bytes()).is_ok());
    each_null(&line, &mut |path, changed| {
        assert!(ReplayRequest::read(changed.to_string().as_bytes()).is_err(), "{path}");
    });
}

#[test]
fn routes_reject_null() {
    let routes = json!({
        "base_segment": "v3",
        "routes": [
            {"path": "/v3/sql/{connection}/query", "api": "sql", "operation": "query",
                "sources": [{"query_or_named_source": "q"}, {"resource": "name", "query": "sql"}], "without": ["x"]},
            {"path": "/v3/sql/{connection}/model/{model}", "api": "sql", "operation": "model",
                "sources": [{"typed": "source", "type": "type"}]},
            {"path": "/v3/open/**", "undecided": true},
        ],
        "passed_through": ["/assets"],
    });
    Routes::from_json(&routes.to_string()).unwrap();
    each_null(&routes, &mut |path, changed| {
        assert!(Routes::from_json(&changed.to_string()).is_err(), "{path}");
    });
}
