//! Errors of `/v1/decide` and `/v1/explain` name the wrong member, what was expected and what was found.

use serde_json::{Value, json};

use super::running::{ask, options, serve};
use super::util::{SECRET, policy};

/// The kinds of JSON values, each with a value. No error repeats the value.
fn kinds() -> [(Value, &'static str); 6] {
    [
        (Value::Null, "null"),
        (json!(true), "a boolean"),
        (json!(-7.5), "a number"),
        (json!([SECRET]), "a list"),
        (json!(SECRET), "a string"),
        (json!({SECRET: SECRET}), "an object"),
    ]
}

/// Returns `request` with `value` for the member at `path`, such as `sources[1].query`.
fn with(request: &Value, path: &str, value: &Value) -> Value {
    let mut changed = request.clone();
    let pointer = format!("/{}", path.replace('[', "/").replace(']', "").replace('.', "/"));
    *changed.pointer_mut(&pointer).unwrap_or_else(|| panic!("{path}")) = value.clone();
    changed
}

/// Checks each member of `request` with each wrong kind. `send` returns the error.
fn check(request: &Value, members: &[(&str, &str, &str)], send: impl Fn(&Value) -> String) {
    for (path, expected, right) in members {
        for (value, found) in kinds().iter().filter(|(_, found)| found != right) {
            let changed = with(request, path, value);
            let error = send(&changed);
            assert!(error.starts_with(&format!("`{path}`: expected {expected}, found {found}")), "{changed}: {error}");
            assert!(!error.contains(SECRET), "{error}");
        }
    }
}

const ONE: [(&str, &str, &str); 7] = [
    ("token", "a string", "a string"),
    ("api", "a string", "a string"),
    ("operation", "a string", "a string"),
    ("connection", "a string", "a string"),
    ("resource", "a string", "a string"),
    ("referer", "a string", "a string"),
    ("now", "a string", "a string"),
];

fn one() -> Value {
    json!({"token": SECRET, "api": "sql", "operation": "query", "connection": "dw", "resource": "db.t",
        "referer": "https://a.example/", "now": "2026-11-24"})
}

fn several() -> Value {
    json!({"token": SECRET, "api": "maps", "connection": "dw",
        "sources": [{"resource": "db.t"}, {"query": "select 1"}, {"named_source": "fleet"}]})
}

#[test]
fn errors_of_native_requests_name_the_member() {
    let server = serve(Some(&policy("t")), options());
    let single = |request: &Value| {
        let answer = server.ask("POST /v1/decide", &[], &request.to_string());
        assert_eq!((answer.status, &*answer.reason()), (400, "invalid_request"), "{request}");
        answer.json()["error"].as_str().unwrap().to_owned()
    };
    // In a list, the element fails alone.
    let listed = |request: &Value| {
        let answer = server.ask("POST /v1/decide", &[], &json!([several(), request]).to_string()).json();
        assert_eq!(answer[0]["decision"], "deny", "{answer}");
        answer[1]["error"].as_str().unwrap().to_owned()
    };
    let explained = |request: &Value| {
        let answer = ask(server.admin, "POST /v1/explain", &[], &request.to_string());
        assert_eq!((answer.status, &*answer.reason()), (400, "invalid_request"), "{request}");
        answer.json()["error"].as_str().unwrap().to_owned()
    };
    let source = "an object with one of `resource`, `query` and `named_source`";
    let sources = |source: &'static str| {
        [
            ("sources", "a list of objects", "a list"),
            ("sources[0]", source, "an object"),
            ("sources[2]", source, "an object"),
            ("sources[0].resource", "a string", "a string"),
            ("sources[1].query", "a string", "a string"),
            ("sources[2].named_source", "a string", "a string"),
        ]
    };
    for send in [&single as &dyn Fn(&Value) -> String, &listed, &explained] {
        check(&one(), &ONE, send);
    }
    for send in [&single as &dyn Fn(&Value) -> String, &listed] {
        check(&several(), &sources(source), send);
    }
    let logged = "an object with one of `resource`, `query`, `named_source` and `query_sha256`";
    check(&several(), &sources(logged), explained);
    for key in ["api", "connection"] {
        let mut request = one();
        request.as_object_mut().unwrap().remove(key);
        for send in [&single as &dyn Fn(&Value) -> String, &listed, &explained] {
            assert_eq!(send(&request), format!("`{key}` is missing"), "{request}");
        }
    }
}

#[test]
fn errors_of_logged_requests_name_the_member() {
    let server = serve(Some(&policy("t")), options());
    let explained = |request: &Value| {
        let answer = ask(server.admin, "POST /v1/explain", &[], &request.to_string());
        assert_eq!((answer.status, &*answer.reason()), (400, "invalid_request"), "{request}");
        answer.json()["error"].as_str().unwrap().to_owned()
    };
    let line = json!({"log": 1, "time": "2026-11-24T12:00:00Z", "evaluated_at": "2026-11-24T12:00:00Z", "token_id": "only_t",
        "api": "maps", "connection": "dw", "sources": [{"resource": "db.t"}, {"query_sha256": "00".repeat(32)}],
        "referer": "https://a.example/", "referer_cut": true, "decision": "deny", "reason": "source_not_granted"});
    let members = [
        ("log", "the number 1", "a number"),
        ("time", "a string", "a string"),
        ("evaluated_at", "a string", "a string"),
        ("token_id", "a string", "a string"),
        ("sources[1].query_sha256", "a string", "a string"),
        ("referer_cut", "true or false", "a boolean"),
        ("decision", "a string", "a string"),
        ("reason", "a string", "a string"),
    ];
    check(&line, &members, explained);
    for (path, value, error) in [
        ("log", json!(2), "`log`: expected 1"),
        ("time", json!("soon"), "`time`: `soon` is not an instant"),
        ("evaluated_at", json!("soon"), "`evaluated_at`: `soon` is not an instant"),
        ("sources[1].query_sha256", json!("00"), "`sources[1].query_sha256`: "),
        ("decision", json!("maybe"), "`decision`: expected `allow`, `deny` or `none`, found `maybe`"),
        ("reason", json!("maybe"), "`reason`: expected the code of a reason, found `maybe`"),
    ] {
        let found = explained(&with(&line, path, &value));
        assert!(found.starts_with(error), "{path}: {found}");
    }
}
