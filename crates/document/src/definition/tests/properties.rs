//! Properties of any text.

use proptest::prelude::*;
use serde_json::Value;

use super::FULL;
use crate::definition::{LineIndex, Target, locate, read};
use portcullis::base::JsonPath;

/// Checks that `read` terminates, that its error is inside the text, and that every problem can be displayed.
fn survives(text: &str) {
    match read(text) {
        Err(error) => {
            assert!(text.is_char_boundary(error.offset()));
            assert_eq!(LineIndex::new(text).position(error.offset()), error.position());
        }
        Ok(document) => {
            let problems = document.problems();
            let targets: Vec<Target<'_>> = problems.iter().map(super::super::Problem::target).collect();
            let found = locate(text, &targets);
            for (problem, span) in problems.iter().zip(found) {
                assert!(span.is_some_and(|span| text.get(span).is_some()), "{problem} in {text:?}");
            }
        }
    }
}

/// Returns every JSON path in `value`, with its value.
fn places<'v>(path: JsonPath, value: &'v Value, all: &mut Vec<(JsonPath, &'v Value)>) {
    match value {
        Value::Array(list) => list.iter().enumerate().for_each(|(index, value)| places(path.index(index), value, all)),
        Value::Object(map) => map.iter().for_each(|(key, value)| places(path.key(key.clone()), value, all)),
        _ => {}
    }
    all.push((path, value));
}

/// Generates any JSON, with keys that a document may have.
fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[a-zé\"\\\\\n]{0,4}".prop_map(Value::from),
    ];
    let key = prop_oneof![
        proptest::sample::select(vec!["tokens", "id", "grants", "source", "apis", "name", "version"])
            .prop_map(str::to_owned),
        "[a-z\"\\\\é]{0,3}",
    ];
    leaf.prop_recursive(5, 40, 5, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            proptest::collection::btree_map(key.clone(), inner, 0..5)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// Returns the JSON path of the tokens of `value`, read as a document.
fn rooted(value: &Value) -> Option<JsonPath> {
    match value {
        Value::Array(_) => Some(JsonPath::root().key("tokens")),
        Value::Object(map) if map.contains_key("tokens") => Some(JsonPath::root()),
        _ => None,
    }
}

proptest! {
    #[test]
    fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        survives(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn near_json(text in "[\\[\\]{},:\"\\\\a 1\n\u{feff}é]{0,40}|(\\{\"id\": ?[\"a1]\\}?[\n ]?){0,5}") {
        survives(&text);
    }

    #[test]
    fn truncated(at in 0..FULL.len()) {
        survives(&FULL[..FULL.floor_char_boundary(at)]);
        survives(&FULL[FULL.floor_char_boundary(at)..]);
    }

    #[test]
    fn mutated(edits in proptest::collection::vec((0..FULL.len(), "[\\[\\]{},:\"\\\\a0\n]?"), 1..4)) {
        let mut text = FULL.to_owned();
        for (at, new) in edits {
            let at = text.floor_char_boundary(at);
            let end = text.ceil_char_boundary(at + 1);
            text.replace_range(at..end, &new);
        }
        survives(&text);
    }

    #[test]
    fn any_json_is_read(value in json(), pretty: bool) {
        let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
        prop_assert_eq!(read(&text).is_ok(), value.is_array() || value.is_object());
        survives(&text);
    }

    #[test]
    fn spans_hold_the_value(value in json(), pretty: bool) {
        let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
        if let Some(root) = rooted(&value) {
            let mut all = Vec::new();
            places(root, &value, &mut all);
            let targets: Vec<Target<'_>> = all.iter().map(|(path, _)| Target::Value(path)).collect();
            for ((path, expected), span) in all.iter().zip(locate(&text, &targets)) {
                let span = span.ok_or_else(|| TestCaseError::fail(path.to_string()))?;
                let found: Value = serde_json::from_str(&text[span]).unwrap();
                prop_assert_eq!(&found, *expected, "{}", path);
            }
        }
    }

    #[test]
    fn lines_agree_with_a_plain_count(text in "[aé\n\u{feff}]{0,3000}", at in 0..3000_usize) {
        let at = text.floor_char_boundary(at);
        let before = text[..at].strip_prefix('\u{feff}').unwrap_or(&text[..at]);
        let position = LineIndex::new(&text).position(at);
        prop_assert_eq!(position.line, before.matches('\n').count() + 1);
        prop_assert_eq!(position.column, before.rsplit('\n').next().unwrap().chars().count() + 1);
    }
}
