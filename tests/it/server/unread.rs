//! Requests that are not understood, in the decision log: why, method, path and token, and never a secret or a query.

use std::fs;

use portcullis_server::decision_log::{LogOptions, Target};
use portcullis_server::operations::{Operations, OperationsOptions};
use portcullis_server::policy::Source;
use serde_json::{Value, json};

use super::binary::{Process, start};
use super::running::ask;
use super::util::{SECRET, eventually, policy};

type Headers<'h> = Vec<(&'h str, &'h str)>;

/// Starts a server that logs, and returns the line of each request that `send` sends.
fn logged(send: impl FnOnce(&Process) -> usize) -> Vec<Value> {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("policy.json"), policy("t")).unwrap();
    let server = start(folder.path(), &["--log", "log.jsonl"]);
    let count = send(&server);
    let read = || fs::read_to_string(folder.path().join("log.jsonl")).unwrap_or_default();
    eventually("all are logged", || read().lines().count() == count);
    let text = read();
    assert!(!text.contains(SECRET) && !text.contains("private"), "{text}");
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn requests_that_are_not_understood_are_logged_with_why_method_path_and_token() {
    let token = format!("Bearer {SECRET}");
    let bearer = ("authorization", &*token);
    let cases: [(&str, Headers<'_>, Value, &str); 9] = [
        (
            "GET /authz/envoy/v3/maps/dw/table?name=private&name=b",
            vec![bearer, ("x-request-id", "r-1")],
            json!({"id": "r-1", "token_id": "only_t", "method": "GET", "path": "/v3/maps/dw/table"}),
            "a parameter is given twice in the query",
        ),
        (
            "GET /authz/nginx",
            vec![bearer, ("x-original-method", "POST"), ("x-original-uri", "/v3/sql/dw/query?q=private")],
            json!({"token_id": "only_t", "method": "POST", "path": "/v3/sql/dw/query"}),
            "an empty body",
        ),
        (
            "GET /authz/nginx",
            vec![("x-original-uri", "/v3/sql/dw/query?q=private")],
            json!({"path": "/v3/sql/dw/query"}),
            "the gateway does not set `x-original-method`",
        ),
        (
            "GET /authz/forwarded",
            vec![bearer, ("x-forwarded-method", "BREW"), ("x-forwarded-uri", "/nowhere?private")],
            json!({"token_id": "only_t", "method": "other", "path": "/nowhere"}),
            "a path that no route fits",
        ),
        (
            "GET /authz/script",
            vec![("x-original-method", "GET"), ("x-original-uri", "/v3/s3cr3t-of-the-test/x?access_token=private")],
            json!({"method": "GET", "path": "/v3/[secret]/x"}),
            "a path that no route fits",
        ),
        (
            "GET /authz/script",
            vec![("x-original-method", "GET"), ("x-original-uri", "/v3?access_token=s3cr3t-of-the-test")],
            json!({"token_id": "only_t", "method": "GET", "path": "/v3"}),
            "a path that no route fits",
        ),
        (
            "GET /authz/script",
            vec![
                bearer,
                ("authorization", "Bearer private"),
                ("x-original-method", "GET"),
                ("x-original-uri", "/v3/lds/x"),
            ],
            json!({"method": "GET", "path": "/v3/lds/x"}),
            "more than one `Authorization` header",
        ),
        (
            "GET /authz/ingress-nginx",
            vec![bearer, ("x-original-method", "GET"), ("x-original-url", "https://user:private@host/v3/lds/x")],
            json!({"token_id": "only_t", "method": "GET"}),
            "`x-original-url` is not an absolute URL or a path",
        ),
        ("GET /authz/script", vec![], json!({}), "the gateway does not set `x-original-method`"),
    ];
    let lines = logged(|server| {
        for (line, headers, ..) in &cases {
            assert_eq!(ask(server.listen, line, headers, "").reason(), "request_not_understood", "{line} {headers:?}");
        }
        cases.len()
    });
    for (line, (request, _, expected, why)) in lines.into_iter().zip(cases) {
        let mut object = line.as_object().unwrap().clone();
        let found = object.remove("why").unwrap();
        assert!(found.as_str().unwrap().starts_with(why), "{request}: {line}");
        for key in ["log", "time", "generation"] {
            assert!(object.remove(key).is_some(), "{line}");
        }
        let mut expected = expected.as_object().unwrap().clone();
        expected.extend(
            json!({"decision": "deny", "reason": "request_not_understood", "status": 403}).as_object().unwrap().clone(),
        );
        assert_eq!(object, expected, "{request}");
        // `check` and audits skip the line.
        let text = line.to_string();
        assert!(portcullis_http::wire::ReplayRequest::read(text.as_bytes()).unwrap().request().is_none());
    }
}

#[test]
fn request_id_is_logged_as_it_is_repeated_and_bad_ids_are_neither() {
    let (longest, long) = ("x".repeat(128), "x".repeat(129));
    let cases: [(&[&str], Option<&str>); 9] = [
        (&["r-7"], Some("r-7")),
        (&["a/b+c=:{}\"\\"], Some("a/b+c=:{}\"\\")),
        (&[&longest], Some(&longest)),
        (&[&long], None),
        (&[""], None),
        (&["a b"], None),
        (&["a\tb"], None),
        (&["é"], None),
        (&["first", "second"], None),
    ];
    let lines = logged(|server| {
        for (ids, expected) in &cases {
            let headers: Vec<_> = ids.iter().map(|id| ("x-request-id", *id)).collect();
            let answer = ask(server.listen, "GET /authz/envoy/v3/lds/x", &headers, "");
            assert_eq!(answer.header("x-request-id"), *expected, "{ids:?}");
        }
        cases.len()
    });
    for (line, (ids, expected)) in lines.iter().zip(cases) {
        assert_eq!(line["id"].as_str(), expected, "{ids:?}");
    }
}

#[test]
fn invalid_trace_parents_are_ignored() {
    let trace = "0af7651916cd43dd8448eb211c80319c";
    let cases = [
        (vec![format!("00-{trace}-b7ad6b7169203331-01")], true),
        (vec![format!("ff-{trace}-b7ad6b7169203331-01")], false),
        (vec![format!("00-{trace}-b7ad6b7169203331-01-x")], false),
        (vec![format!("00-{trace}-0000000000000000-01")], false),
        (vec![format!("00-{}-b7ad6b7169203331-01", trace.to_uppercase())], false),
        (vec![format!("00-{trace}-b7ad6b7169203331-01"), format!("00-{trace}-b7ad6b7169203332-01")], false),
    ];
    let lines = logged(|server| {
        for (headers, _) in &cases {
            let headers: Vec<_> = headers.iter().map(|header| ("traceparent", &**header)).collect();
            ask(server.listen, "GET /authz/envoy/v3/lds/x", &headers, "");
        }
        cases.len()
    });
    for (line, (header, is_valid)) in lines.iter().zip(cases) {
        assert_eq!(line["trace_id"] == trace, is_valid, "{header:?}: {line}");
    }
}

/// Terminals act on control characters, and show text with bidirectional ones in another order.
#[test]
fn log_escapes_characters_that_terminals_act_on() {
    let folder = tempfile::tempdir().unwrap();
    let (file, log) = (folder.path().join("policy.json"), folder.path().join("log.jsonl"));
    fs::write(&file, policy("t")).unwrap();
    let name = "a\u{9b}31m\u{202e}b\u{7f}\u{2028}é";
    let operations = Operations::start(OperationsOptions {
        log: Some((Target::File(log.clone()), LogOptions::default())),
        ..OperationsOptions::new(Source::files([file]).unwrap())
    })
    .unwrap();
    let authority = portcullis_server::Authority::new(operations, portcullis_http::gateway::Reader::default());
    let request = portcullis::Request::new("maps", name).secret(SECRET).source(portcullis::Source::Resource(name));
    authority.decide(&request, portcullis_server::Ids::default(), None);
    drop(authority);
    let text = fs::read_to_string(log).unwrap();
    assert!(text.contains(r#""connection":"a\u009b31m\u202eb\u007f\u2028é""#), "{text}");
    let line: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&line["connection"], &line["sources"][0]["resource"]), (&json!(name), &json!(name)));
}
