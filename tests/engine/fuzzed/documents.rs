//! Valid and invalid documents, and their diagnostics.

use portcullis::snapshot::{Options, Snapshot};
use portcullis_document::load::{Input, LoadOptions, Loaded, load};
use portcullis_testkit::reference::Reference;
use serde::de::IgnoredAny;
use serde_json::{Value, json};

use super::{Parts, SECRET, lines, with_secret};
use crate::choices::Choices;
use crate::document::list;
use crate::generate::World;

/// Reads an input: a text. If it is empty, choices for edits and for the head of a document, and a line of choices for
/// each token.
pub(crate) fn property(input: &[u8]) {
    let mut parts = Parts::of(input);
    let text = parts.text();
    if !text.is_empty() {
        return check(&text);
    }
    let (edits, head, tokens) = (parts.bytes(), parts.bytes(), parts.bytes());
    let World { document, .. } = World::of(head, &lines(tokens, 4), &[]);
    check(&spoiled(&mut Choices::of(edits), document));
}

/// Loading terminates, diagnostics refer to spans of the text, valid policies compile, and no output contains a secret.
pub(crate) fn check(text: &str) {
    let [strict, skipping] = [false, true].map(|skip_invalid| check_load(text, skip_invalid));
    assert_eq!(strict.policy.is_some(), strict.errors().next().is_none(), "{text}");
    if let Some(policy) = &strict.policy {
        let same = skipping.policy.as_ref().map(|policy| policy.tokens().len());
        assert_eq!((same, skipping.skipped), (Some(policy.tokens().len()), 0), "{text}");
    }
    assert_eq!(strict.errors().count(), skipping.errors().count(), "{text}");
    if !text.contains(SECRET) {
        for key in ["token", "token_sha256"] {
            check_secrets(&with_secret(text, key), key);
        }
    }
}

fn options(skip_invalid: bool) -> LoadOptions {
    LoadOptions { skip_invalid, warnings: true, now: Some("2026-11-22".parse().unwrap()), ..LoadOptions::default() }
}

fn check_load(text: &str, skip_invalid: bool) -> Loaded {
    let loaded = load(&[Input::new("a.json", text)], &options(skip_invalid));
    assert!(loaded.policy.is_some() || loaded.errors().next().is_some(), "{text}");
    for found in &loaded.diagnostics {
        let span = found.span.clone().unwrap_or_else(|| panic!("{found} has no span\n{text}"));
        assert!(text.get(span).is_some(), "{found}\n{text}");
        assert!(found.line >= 1 && found.column >= 1, "{found}\n{text}");
        let shown = [found.to_string(), found.help.to_string()];
        assert!(shown.iter().all(|line| !line.is_empty() && !line.contains(['\n', '\r'])), "{shown:?}\n{text}");
    }
    let positions: Vec<_> = loaded.diagnostics.iter().map(|found| (found.line, found.column)).collect();
    assert!(positions.is_sorted(), "{positions:?}\n{text}");
    if let Some(policy) = &loaded.policy {
        let snapshot = Snapshot::compile(policy, &Options::default());
        assert_eq!(snapshot.map(|snapshot| snapshot.token_count()), Ok(policy.tokens().len()), "{text}");
        assert_eq!(Reference::new(policy).unreadable(), [], "{text}");
    }
    loaded
}

/// No diagnostic of `text` contains [`SECRET`], the value of `key`. The redacted text does not contain it in JSON, or
/// in any text if the secret is on the line of its key.
fn check_secrets(text: &str, key: &str) {
    let input = Input::new("a.json", text);
    let redacted = input.redacted();
    assert_eq!(redacted.len(), text.len(), "{text}");
    assert!(!redacted.contains(SECRET) || !(is_json(text) || beside_key(text, key)), "{redacted}\n{text}");
    for skip_invalid in [false, true] {
        let loaded = load(std::slice::from_ref(&input), &options(skip_invalid));
        for found in &loaded.diagnostics {
            let json = serde_json::to_string(found).unwrap();
            for shown in [format!("{found} {found:?} {}", found.help), json] {
                assert!(!shown.contains(SECRET), "{shown}\n{text}");
            }
        }
        let policy = format!("{input:?} {:?}", loaded.policy);
        assert!(!policy.contains(SECRET), "{policy}\n{text}");
    }
}

/// Whether `text` is JSON, or has one JSON value in each line.
fn is_json(text: &str) -> bool {
    let valid = |text: &str| serde_json::from_str::<IgnoredAny>(text).is_ok();
    valid(text) || text.lines().all(|line| line.trim().is_empty() || valid(line))
}

/// Whether each [`SECRET`] is on the line of its key.
fn beside_key(text: &str, key: &str) -> bool {
    let quoted = format!("\"{key}\"");
    text.lines().filter_map(|line| line.split_once(SECRET)).all(|(before, _)| before.contains(&quoted))
}

/// The replacements for values.
const VALUES: [&str; 16] = [
    "null",
    "\"*\"",
    "[]",
    "{}",
    "\"\"",
    "7",
    "1.5",
    "true",
    "\"a..b\"",
    "[\"a\"]",
    "\"a.b*.c\"",
    "\"SELECT 1\"",
    "\"token-0\"",
    "\"\\u0000\\n\\ud83d\\ude00\"",
    "[{\"x\": [7, {\"token\": \"s\"}]}]",
    "1e400",
];

/// Writes `document` in one of the forms of N11, with a few changed values, fields and characters.
fn spoiled(choices: &mut Choices<'_>, mut document: Value) -> String {
    for _ in 0..choices.below(4) {
        let at = 1 + choices.below(60);
        edit(&mut document, &mut { at }, choices);
    }
    let mut text = match choices.below(4) {
        0 => document.to_string(),
        1 => format!("{document:#}"),
        2 => document["tokens"].to_string(),
        _ => list(&document["tokens"]).iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"),
    };
    for _ in 0..choices.below(3) {
        let at = (choices.below(256) << 4) + choices.below(16);
        let at = text.floor_char_boundary(at % (text.len() + 1));
        let end = text.ceil_char_boundary(at + choices.below(3));
        let new =
            choices.pick(&["", ",", "\"", "{", "}", "[", "]", "\\", ":", "\n", "0", "\u{feff}", "é", "\"id\":1,"]);
        text.replace_range(at..end, new);
    }
    text
}

/// Changes value number `left` in `value`: replaces it, or changes a field if it is an object.
fn edit(value: &mut Value, left: &mut usize, choices: &mut Choices<'_>) {
    let Some(fewer) = left.checked_sub(1) else { return };
    *left = fewer;
    if *left == 0 {
        match value.as_object_mut().filter(|object| !object.is_empty() && choices.below(2) == 0) {
            Some(object) => {
                let keys: Vec<String> = object.keys().cloned().collect();
                let key = &keys[choices.below(keys.len())];
                let moved = object.remove(key).unwrap_or(json!(null));
                match choices.below(4) {
                    0 => drop(moved),
                    1 => drop(object.insert(format!("{key}s"), moved)),
                    2 => drop(object.insert(key.to_uppercase(), moved)),
                    _ => drop(object.insert(choices.pick(&["token", "token_sha256", "source", "\u{7}"]).into(), moved)),
                }
            }
            // A `Value` cannot represent the number `1e400`.
            None => *value = serde_json::from_str(choices.pick(&VALUES)).unwrap_or(json!(1e300)),
        }
        return;
    }
    match value {
        Value::Array(values) => values.iter_mut().for_each(|value| edit(value, left, choices)),
        Value::Object(object) => object.values_mut().for_each(|value| edit(value, left, choices)),
        _ => {}
    }
}
