//! JSON objects: the keys of a body and their values (W2).
//!
//! Most bodies are objects of long texts without escapes, which are found sixteen bytes at a time. `serde_json` reads
//! everything else.

use std::borrow::Cow;

use portcullis::base::bytes::Offsets;
use serde::Deserialize;
use serde_json::value::RawValue;

/// A value of an object.
#[derive(Debug, Clone, Copy)]
pub(super) enum Value<'r> {
    /// A string without escapes: the text between its quotes.
    Plain(&'r str),
    Other(&'r RawValue),
}

#[derive(Deserialize)]
struct Text<'t>(#[serde(borrow)] Cow<'t, str>);

impl<'r> Value<'r> {
    /// Returns the text of a string; `None` for any other value.
    pub(super) fn text(self) -> Option<Cow<'r, str>> {
        match self {
            Self::Plain(text) => Some(Cow::Borrowed(text)),
            Self::Other(value) => serde_json::from_str(value.get()).ok().map(|Text(text)| text),
        }
    }

    /// Returns the value as it is written; a plain text without its quotes.
    pub(super) fn written(self) -> &'r str {
        match self {
            Self::Plain(text) => text,
            Self::Other(value) => value.get(),
        }
    }
}

/// Calls `found` with each key of an object and its value, including duplicates. Returns `None` if `text` is not one
/// JSON object.
pub(super) fn read<'r>(text: &'r str, mut found: impl FnMut(Cow<'r, str>, Value<'r>)) -> Option<()> {
    let mut rest = after_space(text).strip_prefix('{')?;
    if let Some(rest) = after_space(rest).strip_prefix('}') {
        return is_space(rest);
    }
    loop {
        let (key, after) = key(after_space(rest))?;
        let (value, after) = value(after_space(after_space(after).strip_prefix(':')?))?;
        found(key, value);
        let after = after_space(after);
        match after.strip_prefix(',') {
            Some(next) => rest = next,
            None => return is_space(after.strip_prefix('}')?),
        }
    }
}

fn key(text: &str) -> Option<(Cow<'_, str>, &str)> {
    if let Some((key, rest)) = plain(text) {
        return Some((Cow::Borrowed(key), rest));
    }
    // Any other value is not a key.
    let (Text(key), rest) = one(text)?;
    Some((key, rest))
}

fn value(text: &str) -> Option<(Value<'_>, &str)> {
    match plain(text) {
        Some((text, rest)) => Some((Value::Plain(text), rest)),
        None => one(text).map(|(value, rest)| (Value::Other(value), rest)),
    }
}

/// Splits off a string without escapes at the start of `text`: returns the text between its quotes, and the rest.
fn plain(text: &str) -> Option<(&str, &str)> {
    let text = text.strip_prefix('"')?;
    let special =
        |lanes: portcullis::base::bytes::Lanes| lanes.equal(b'"') | lanes.equal(b'\\') | lanes.within(0, 0x1f);
    let end = Offsets::new(text.as_bytes(), special).next()?;
    let (text, rest) = text.split_at_checked(end)?;
    Some((text, rest.strip_prefix('"')?))
}

/// Splits off one JSON value at the start of `text`.
fn one<'r, T: Deserialize<'r>>(text: &'r str) -> Option<(T, &'r str)> {
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<T>();
    let value = values.next()?.ok()?;
    Some((value, text.get(values.byte_offset()..)?))
}

/// Returns `text` after the white space at its start.
fn after_space(text: &str) -> &str {
    text.trim_start_matches([' ', '\t', '\n', '\r'])
}

fn is_space(text: &str) -> Option<()> {
    after_space(text).is_empty().then_some(())
}

#[cfg(test)]
mod tests {
    use std::fmt;

    use serde::de::{Deserializer, MapAccess, Visitor};

    use super::*;

    /// The keys and values of an object, as `serde_json` reads them.
    struct Object<'r>(Vec<(String, &'r RawValue)>);

    impl<'r> Deserialize<'r> for Object<'r> {
        fn deserialize<D: Deserializer<'r>>(deserializer: D) -> Result<Self, D::Error> {
            struct Pairs;

            impl<'r> Visitor<'r> for Pairs {
                type Value = Object<'r>;

                fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.write_str("an object")
                }

                fn visit_map<A: MapAccess<'r>>(self, mut map: A) -> Result<Object<'r>, A::Error> {
                    let mut pairs = Vec::new();
                    while let Some(pair) = map.next_entry()? {
                        pairs.push(pair);
                    }
                    Ok(Object(pairs))
                }
            }

            deserializer.deserialize_map(Pairs)
        }
    }

    fn check(text: &str) {
        let mut pairs = Vec::new();
        let read = read(text, |key, value| pairs.push((key.into_owned(), value)));
        let expected = serde_json::from_str::<Object<'_>>(text).ok();
        assert_eq!(read.is_some(), expected.is_some(), "{text:?}");
        let Some(Object(expected)) = expected else { return };
        assert_eq!(pairs.len(), expected.len(), "{text:?}");
        for ((key, value), (expected_key, expected)) in pairs.iter().zip(expected) {
            assert_eq!(*key, expected_key, "{text:?}");
            let expected_text = serde_json::from_str::<String>(expected.get()).ok();
            assert_eq!(value.text().as_deref(), expected_text.as_deref(), "{text:?}");
            let written = match value {
                Value::Plain(text) => format!("\"{text}\""),
                Value::Other(value) => value.get().to_owned(),
            };
            assert_eq!(written, expected.get(), "{text:?}");
        }
    }

    #[test]
    fn objects_are_read_as_serde_json_reads_them() {
        let pieces = [
            "{",
            "}",
            "\"a\"",
            "\"b\"",
            ":",
            ",",
            " ",
            "\n",
            "1",
            "-0.5e3",
            "01",
            "true",
            "nul",
            "null",
            "[1,{\"c\":[]}]",
            "[",
            "{\"d\":{}}",
            "\"\\u0041\"",
            "\"\\ud800\"",
            "\"\\\"\"",
            "\"\u{fc}\"",
            "\"",
            "\\",
            "\u{1f}",
            "\"a long text that has more than sixteen bytes\"",
            "\u{feff}",
            "\"\u{7f}\"",
            "\"\t\"",
            "x",
            "\u{a0}",
        ];
        for text in pieces {
            check(text);
        }
        // Every sequence of a valid frame with one or two other pieces, at each position.
        let frames: [&[&str]; 3] = [
            &["{", "}"],
            &["{", "\"a\"", ":", "1", "}"],
            &["{", "\"a\"", ":", "\"b\"", ",", "\"c\"", ":", "null", "}"],
        ];
        for frame in frames {
            for at in 0..=frame.len() {
                for one in pieces {
                    for other in [""].into_iter().chain(pieces) {
                        let (before, after) = frame.split_at(at);
                        let written = [before, &[one, other], after].concat().concat();
                        check(&written);
                        let replaced = [before, &[one, other], after.get(1..).unwrap_or_default()].concat().concat();
                        check(&replaced);
                    }
                }
            }
        }
    }
}
