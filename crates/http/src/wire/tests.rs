//! Valid requests, and the exact errors of invalid ones.

use super::{WireDecision, WireRequest};
use portcullis::decision::{Credential, Decision, Reason, Source};
use portcullis::model::Operation;

fn error(text: &str) -> String {
    WireRequest::read(text.as_bytes()).unwrap_err().to_string()
}

#[test]
fn a_request_with_every_key_is_read() {
    let text = r#"{"id": {"a": [1, null]}, "token": "s\u00e9cret", "api": "sql", "operation": "model",
        "connection": "dw", "sources": [{"query": "SELECT 1"}, {"resource": "a.b"}, {"named_source": "one"}],
        "referer": "https://a.example/", "now": "2026-11-22"}"#;
    let wire = WireRequest::read(text.as_bytes()).unwrap();
    let sources = wire.sources();
    let request = wire.with(&sources);
    assert_eq!(wire.id().unwrap().get(), r#"{"a": [1, null]}"#);
    assert_eq!(wire.now(), Some("2026-11-22".parse().unwrap()));
    assert_eq!(request.credential, Credential::Secret("sécret"));
    assert_eq!((request.api, request.operation, request.connection), ("sql", Operation::Model, "dw"));
    let expected = [Source::Query("SELECT 1"), Source::Resource("a.b"), Source::NamedSource("one")];
    assert_eq!(request.sources.as_slice(), expected);
    assert_eq!(request.referer, Some("https://a.example/"));
}

#[test]
fn lds_needs_no_source_and_no_token_is_missing() {
    let wire = WireRequest::read(br#"{"api": "lds", "token": ""}"#).unwrap();
    assert_eq!(wire.with(&[]).credential, Credential::Missing);
    assert!(wire.sources().is_empty());
}

#[test]
fn errors_have_a_message_and_a_column() {
    let rest = r#""api": "maps", "connection": "dw", "resource": "a.b""#;
    let cases = [
        ("", "the JSON is cut off in a value"),
        ("[1]", "expected an object, found a list"),
        (r#""s3cret""#, "expected an object, found a string"),
        ("{} {}", "expected nothing after the JSON (column 4)"),
        ("{}", "`api` is missing"),
        (r#"{"api": "maps", "resource": "a.b"}"#, "`connection` is missing"),
        (
            r#"{"api": "maps", "connection": "dw"}"#,
            "the source is missing: expected one of `resource`, `query`, `named_source` and `sources`",
        ),
        (
            r#"{"api": "maps", "connection": "dw", "sources": []}"#,
            "the source is missing: expected one of `resource`, `query`, `named_source` and `sources`",
        ),
        (&format!(r#"{{"tokn": "s3cret", {rest}}}"#), "unknown key `tokn`, did you mean `token`? (column 7)"),
        (
            &format!(r#"{{{rest}, "connection_id": 7}}"#),
            "unknown key `connection_id`, expected one of `id`, `token`, `operation`, `referer`, `now` (column 70)",
        ),
        (&format!(r#"{{"token": 12345, {rest}}}"#), "`token`: expected a string, found a number (column 15)"),
        (&format!(r#"{{"referer": null, {rest}}}"#), "`referer`: expected a string, found null (column 16)"),
        (&format!(r#"{{"token": "a", "token": "s3cret", {rest}}}"#), "`token` is given more than once (column 32)"),
        (&format!(r#"{{"id": 1, "id": 1, {rest}}}"#), "`id` is given more than once (column 17)"),
        (
            &format!(r#"{{{rest}, "query": "SELECT 1"}}"#),
            "`resource` and `query` are both given: a request names one source, or several as a list in `sources` (column 62)",
        ),
        (&format!(r#"{{{rest}, "resource": "a.b"}}"#), "`resource` is given more than once (column 65)"),
        (&format!(r#"{{"operation": "model", {rest}}}"#), "`operation` is for the api `sql` only: leave it out"),
        (
            &format!(r#"{{"operation": "modle", {rest}}}"#),
            "`operation`: expected `query` or `model`, found `modle` (column 21)",
        ),
        (
            r#"{"sources": [{"resource": "a.b", "query": "c"}]}"#,
            "`sources[0]`: expected an object with one of `resource`, `query` and `named_source`, found several keys (column 48)",
        ),
        (
            r#"{"sources": [{}]}"#,
            "`sources[0]`: expected an object with one of `resource`, `query` and `named_source`, found an empty object (column 17)",
        ),
        (r#"{"sources": "a.b"}"#, "`sources`: expected a list of objects, found a string (column 18)"),
        (
            r#"{"sources": ["a.b"]}"#,
            "`sources[0]`: expected an object with one of `resource`, `query` and `named_source`, found a string (column 20)",
        ),
        (
            r#"{"sources": [{"table": "a.b"}]}"#,
            "`sources[0]`: unknown key `table`, expected one of `resource`, `query`, `named_source` (column 31)",
        ),
        (
            r#"{"sources": [{"resource": "a.b"}, {"resource": null}]}"#,
            "`sources[1].resource`: expected a string, found null (column 54)",
        ),
        (
            r#"{"sources": [{"query": "a"}, {"query": "b"}, {"query": ["s3cret"]}]}"#,
            "`sources[2].query`: expected a string, found a list (column 68)",
        ),
        (r#"{"now": 7}"#, "`now`: expected a string, found a number (column 10)"),
    ];
    for (text, expected) in cases {
        let found = error(text);
        assert_eq!(found, expected, "{text}");
        assert!(!found.contains("s3cret"), "{text}");
    }
}

#[test]
fn an_instant_is_checked() {
    let error = error(r#"{"now": "yesterday"}"#);
    assert!(error.starts_with("`now`: `yesterday` is not an instant"), "{error}");
    let long = format!(r#"{{"now": "{}"}}"#, "9".repeat(1000));
    assert!(WireRequest::read(long.as_bytes()).unwrap_err().to_string().len() < 100);
}

#[test]
fn debug_hides_the_secret() {
    let text = br#"{"api": "lds", "token": "s3cret"}"#;
    assert!(!format!("{:?}", WireRequest::read(text).unwrap()).contains("s3cret"));
}

#[test]
fn a_decision_without_an_id_has_no_id_key() {
    let decision = Decision::Deny(Reason::SourceNotGranted);
    let json = serde_json::to_string(&WireDecision::new(None, &decision)).unwrap();
    assert_eq!(json, r#"{"decision":"deny","reason":"source_not_granted","status":403}"#);
}
