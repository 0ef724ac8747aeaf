//! Spans of JSON paths.

use super::FULL;
use crate::definition::{Target, locate, read};
use portcullis::base::JsonPath;

/// Parses a JSON path such as `tokens[3].id`.
pub(super) fn path(text: &str) -> JsonPath {
    text.split_inclusive(['.', '[']).fold(JsonPath::root(), |path, step| {
        let step = step.trim_end_matches(['.', '[']);
        match step.strip_suffix(']').map(str::parse) {
            Some(Ok(index)) => path.index(index),
            _ if step.is_empty() => path,
            _ => path.key(step.to_owned()),
        }
    })
}

#[test]
fn values_and_keys_are_located() {
    let list = "\u{feff} [ {\"id\" : 1}, 2 ]\n";
    let lines = "{\"id\": 1}\n\n {\"id\": 2}\r\n{\"id\": \n{\"id\": 4}";
    let one = "{\"id\": [7,\n8], \"id\": 9, \"\\u0061\": [{\"b\\n\": 1}] }\n";
    for (text, at, value, key) in [
        (FULL, "", Some(FULL), Some(FULL)),
        (FULL, "version", Some("1"), Some("\"version\"")),
        (FULL, "tokens[1].id", Some("\"tok_2\""), Some("\"id\"")),
        (FULL, "tokens[0].owner", Some("\"é\\u00e9\""), Some("\"owner\"")),
        (FULL, "tokens[0].allowed_apis[1]", Some("\"sql\""), Some("\"sql\"")),
        (FULL, "tokens[0].grants[1]", Some("{\"connection_name\": \"dw\", \"type\": \"all\"}"), None),
        (FULL, "tokens[2]", None, None),
        (FULL, "tokens[0].id.x", None, None),
        (FULL, "tokens[0].id[0]", None, None),
        (FULL, "tokens.id", None, None),
        (list, "", Some("[ {\"id\" : 1}, 2 ]"), None),
        (list, "tokens", Some("[ {\"id\" : 1}, 2 ]"), None),
        (list, "tokens[1]", Some("2"), None),
        (list, "tokens[0].id", Some("1"), Some("\"id\"")),
        (lines, "tokens", Some(lines), None),
        (lines, "tokens[1]", Some("{\"id\": 2}"), None),
        (lines, "tokens[1].id", Some("2"), None),
        (lines, "tokens[2]", Some("{\"id\":"), None),
        (lines, "tokens[3].id", Some("4"), None),
        (one, "tokens[0].id", Some("[7,\n8]"), Some("\"id\"")),
        (one, "tokens[0].id[1]", Some("8"), None),
        (one, "tokens[0].a[0]", Some("{\"b\\n\": 1}"), None),
        (one, "tokens[0].a", Some("[{\"b\\n\": 1}]"), Some("\"\\u0061\"")),
        ("", "tokens", None, None),
        ("7", "", Some("7"), None),
    ] {
        let path = path(at);
        let found = locate(text, &[Target::Value(&path), Target::Key(&path), Target::Value(&path)]);
        let slices: Vec<Option<&str>> = found.iter().map(|span| span.clone().map(|span| &text[span])).collect();
        assert_eq!((slices[0], slices[2]), (value, value), "{at} in {text}");
        assert!(key.is_none_or(|key| slices[1] == Some(key)), "{at} in {text}: {slices:?}");
    }
}

#[test]
fn a_duplicate_field_is_located_by_first_value_and_last_key() {
    let text = r#"{"tokens": [], "x": 1, "x": 2}"#;
    let path = path("x");
    let found = locate(text, &[Target::Value(&path), Target::Key(&path)]);
    assert_eq!(found, [Some(20..21), Some(23..26)]);
}

#[test]
fn every_problem_has_a_span() {
    let text = r#"{"tokens": [{"id": 7, "grants": [{}, null], "x": 1, "x": 2}, "y"], "apis": {}, "apis": [1]}"#;
    let problems = read(text).unwrap().problems();
    let targets: Vec<Target<'_>> = problems.iter().map(super::super::Problem::target).collect();
    let found = locate(text, &targets);
    assert_eq!(problems.len(), 10);
    assert!(found.iter().all(Option::is_some), "{found:?}");
}
