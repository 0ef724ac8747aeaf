//! Problems of shape and their messages.

use super::FULL;
use crate::definition::{Element, Kind, ProblemKind, read};

/// Checks that the problems of `text` are `expected`, in any order.
fn check(text: &str, expected: &[&str]) {
    let mut found: Vec<String> = read(text)
        .unwrap_or_else(|error| panic!("{text}: {error}"))
        .problems()
        .iter()
        .map(ToString::to_string)
        .collect();
    let mut expected = expected.to_vec();
    found.sort_unstable();
    expected.sort_unstable();
    assert_eq!(found, expected, "{text}");
}

/// Checks the problems of `text`, a token of a list.
fn check_token(text: &str, expected: &[&str]) {
    check(&format!("[{text}]"), expected);
}

#[test]
fn valid_documents_have_no_problems() {
    for text in [
        FULL,
        "[]",
        r#"{"tokens": []}"#,
        "\u{feff}{\"tokens\": []}",
        "\u{feff}\r\n[]\r\n",
        r#"{"id": "a", "allowed_apis": []}"#,
        "{\n\"allowed_apis\": [],\n\"id\": \"a\"\n}\n",
        "\n{\"id\": \"a\", \"allowed_apis\": []}\r\n\r\n  {\"allowed_apis\": [], \"id\": \"a\"}",
    ] {
        check(text, &[]);
    }
}

#[test]
fn documents_of_the_wrong_shape_have_problems() {
    check("{}", &["field `tokens` is missing"]);
    check(r#"{"version": 1, "token": []}"#, &["token: unknown field `token`, did you mean `tokens`?"]);
    check(r#"{"token": []}"#, &["token: unknown field `token`, did you mean `tokens`?"]);
    check(
        r#"{"tokens": {}, "version": "1", "apis": null, "connections": 1.5}"#,
        &[
            "tokens: expected a list, found an object",
            "version: expected a whole number such as 1, found a string",
            "apis: expected a list, found null",
            "connections: expected a list, found a number",
        ],
    );
    check(r#"{"tokens": [], "version": -1}"#, &["version: expected a whole number such as 1, found a number"]);
    check(r#"{"tokens": [], "tokens": [7]}"#, &["tokens: field `tokens` is given more than once"]);
    check(
        r#"{"tokens": [], "connections": [{"dialect": 1, "named_sources_only": null}, 7], "apis": [{}]}"#,
        &[
            "connections[0]: field `name` is missing",
            "connections[0].dialect: expected a string, found a number",
            "connections[0].named_sources_only: expected true or false, found null",
            "connections[1]: expected an object, found a number",
            "apis[0]: field `accepts` is missing",
            "apis[0]: field `name` is missing",
        ],
    );
    // A token that only looks like a document: `apis` is written for `allowed_apis`.
    check(r#"{"id": "a", "apis": []}"#, &["tokens[0].apis: unknown field `apis`, did you mean `allowed_apis`?"]);
    check(r#"{"id": "a", "tokens": []}"#, &["id: unknown field `id`"]);
}

#[test]
fn tokens_of_the_wrong_shape_have_problems() {
    check(
        r#"{"tokens": ["abc", null, [[[]]]]}"#,
        &[
            "tokens[0]: expected an object, found a string",
            "tokens[1]: expected an object, found null",
            "tokens[2]: expected an object, found a list",
        ],
    );
    check_token("{}", &["tokens[0]: field `allowed_apis` is missing", "tokens[0]: field `id` is missing"]);
    check_token(
        r#"{"id": null, "allowed_apis": ["maps", 1, {"a": [1]}], "grants": null, "referers": null, "token": null, "token_sha256": true}"#,
        &[
            "tokens[0].id: expected a string, found null",
            "tokens[0].allowed_apis[1]: expected a string, found a number",
            "tokens[0].allowed_apis[2]: expected a string, found an object",
            "tokens[0].grants: expected a list, found null",
            "tokens[0].referers: expected a list, found null",
            "tokens[0].token: expected a string, found null",
            "tokens[0].token_sha256: expected a string, found a boolean",
        ],
    );
    check_token(
        r#"{"id": "a", "allowed_apis": [], "expiration_date": 1893456000, "name": []}"#,
        &[
            "tokens[0].expiration_date: expected a string or null, found a number",
            "tokens[0].name: expected a string or null, found a list",
        ],
    );
    check_token(
        r#"{"id": "a", "allowed_apis": [], "grants": [{}, {"type": "all"}, "a.b", {"connection_name": "c", "source": null, "type": "all"}]}"#,
        &[
            "tokens[0].grants[0]: field `connection_name` is missing",
            "tokens[0].grants[0]: field `source` is missing",
            "tokens[0].grants[1]: field `connection_name` is missing",
            "tokens[0].grants[2]: expected an object, found a string",
            "tokens[0].grants[3].source: expected a string, found null",
        ],
    );
}

#[test]
fn unknown_fields_name_the_nearest() {
    for (found, nearest) in [
        ("referrers", Some("referers")),
        ("referer", Some("referers")),
        ("Token", Some("token")),
        ("token-sha256", Some("token_sha256")),
        ("grant", Some("grants")),
        ("expirationDate", Some("expiration_date")),
        ("expires", Some("expiration_date")),
        ("expiresAt", Some("expiration_date")),
        ("valid-until", Some("expiration_date")),
        ("domains", Some("referers")),
        ("Origins", Some("referers")),
        ("scopes", Some("allowed_apis")),
        ("apis", Some("allowed_apis")),
        ("secret", Some("token")),
        ("sha256", Some("token_sha256")),
        ("permissions", Some("grants")),
        ("user_id", Some("owner")),
        ("comment", None),
        ("", None),
    ] {
        // A field that the object has is never meant.
        let apis = if nearest == Some("allowed_apis") { "" } else { r#""allowed_apis": [], "# };
        let text = format!(r#"[{{"id": "a", {apis}"{found}": [{{"x": 1e3}}]}}]"#);
        let [problem] = read(&text).unwrap().problems().try_into().unwrap();
        assert_eq!(problem.kind, ProblemKind::UnknownField { found: found.into(), nearest }, "{text}");
    }
}

#[test]
fn duplicate_fields_are_problems() {
    check_token(
        r#"{"id": "a", "allowed_apis": [], "\u0069d": 7, "id": "b"}"#,
        &["tokens[0].id: field `id` is given more than once"],
    );
    // `null` is a value, too.
    check_token(
        r#"{"id": "a", "allowed_apis": [], "expiration_date": null, "expiration_date": "2030-01-01"}"#,
        &["tokens[0].expiration_date: field `expiration_date` is given more than once"],
    );
    check_token(
        r#"{"id": "a", "allowed_apis": [], "x": 1, "x": 2, "x": 3}"#,
        &["tokens[0].x: unknown field `x`", "tokens[0].x: field `x` is given more than once"],
    );
    check_token(
        r#"{"id": "a", "allowed_apis": [], "grants": [{"connection_name": "c", "source": "a.b", "source": "*"}]}"#,
        &["tokens[0].grants[0].source: field `source` is given more than once"],
    );
}

#[test]
fn names_from_the_document_stay_on_one_short_line() {
    let name = "x\\n\\u001b".to_owned() + &"y".repeat(200);
    let [problem] = read(&format!(r#"{{"tokens": [], "{name}": 1}}"#)).unwrap().problems().try_into().unwrap();
    assert_eq!(problem.kind.to_string(), format!(r"unknown field `x\n\u{{1b}}{}…`", "y".repeat(117)));
    assert!(!problem.to_string().contains(char::is_control));
}

#[test]
fn values_are_read_as_written() {
    let document = read(FULL).unwrap();
    assert_eq!(document.version.found(), Some(&1));
    let tokens: Vec<_> = document.tokens.found().unwrap().iter().collect();
    let [Element::Found(one), Element::Found(two)] = tokens.as_slice() else { panic!("two tokens") };
    assert_eq!(one.owner.found().unwrap().as_deref(), Some("éé"));
    assert_eq!(one.token.found().unwrap().expose(), "s3cret\n");
    assert_eq!(one.grants.found().unwrap().len(), 2);
    assert_eq!(two.expiration_date.found(), Some(&None));
    assert!(matches!(one.id.found(), Some(std::borrow::Cow::Borrowed("tok_1"))));
}

#[test]
fn lines_count_tokens() {
    let text = "{\"id\": \"a\", \"allowed_apis\": []}\n\n{\"id\": \"é\", \"token\": \"s3cret }\n\n 7\n{\"id\": \"c\", \"allowed_apis\": 1} x\n";
    check(
        text,
        &[
            "tokens[1]: the JSON is cut off in a string at line 3 column 31",
            "tokens[2]: expected an object, found a number",
            "tokens[3]: expected nothing after the JSON at line 6 column 32",
        ],
    );
    let document = read(text).unwrap();
    assert_eq!(document.tokens.found().unwrap().iter().nth(2).unwrap(), Element::Wrong(Kind::Number));
    let offsets: Vec<usize> = document
        .problems()
        .into_iter()
        .filter_map(|problem| match problem.kind {
            ProblemKind::Syntax(error) => Some(error.offset()),
            _ => None,
        })
        .collect();
    assert_eq!(offsets, [text.find(" }\n").unwrap() + 2, text.find(" x").unwrap() + 1]);
}

#[test]
fn secrets_are_never_displayed() {
    let lines =
        "{\"id\": \"a\", \"token\": \"s3cret\"\n{\"id\": \"b\", \"token\": \"s3cret\", \"token\": \"s3cret\\q\"}";
    let wrong = r#"[{"token": ["s3cret"], "token_sha256": {"s": "s3cret"}, "tokn": "s3cret"}, "s3cret"]"#;
    for text in [FULL, lines, wrong] {
        let document = read(text).unwrap();
        let shown = format!("{document:?} {:?} {:?}", document.problems(), crate::definition::LineIndex::new(text));
        let messages: String = document.problems().iter().map(ToString::to_string).collect();
        assert!(!shown.contains("s3cret") && !messages.contains("s3cret"), "{shown} {messages}");
    }
}
