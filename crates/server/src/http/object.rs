//! JSON read strictly: objects, and texts in them. A derived deserializer would also accept a list, field by field, and
//! take `null` for a missing member.
//!
//! No error repeats a value, which may be a secret.

use std::borrow::Cow;
use std::ops::Deref;

use portcullis_document::definition::json_message;
use serde::de::{Deserialize, Deserializer, Error};
use serde_json::value::RawValue;

/// A value that is read from an object only.
#[derive(Default)]
pub(super) struct Object<T>(pub(super) T);

/// A text.
pub(super) struct Text<'t>(Cow<'t, str>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = <&RawValue>::deserialize(deserializer)?.get();
        if !value.starts_with('{') {
            return Err(D::Error::custom(format_args!("expected an object, found {}", kind(value))));
        }
        serde_json::from_str(value).map(Self).map_err(|error| D::Error::custom(message(&error)))
    }
}

impl<'de: 't, 't> Deserialize<'de> for Text<'t> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = <&RawValue>::deserialize(deserializer)?.get();
        if !value.starts_with('"') {
            return Err(D::Error::custom(format_args!("expected a text, found {}", kind(value))));
        }
        // Without escapes the text is borrowed.
        let plain = value.get(1..value.len().saturating_sub(1)).filter(|text| !text.contains('\\'));
        match plain {
            Some(text) => Ok(Self(Cow::Borrowed(text))),
            None => serde_json::from_str(value)
                .map(|text| Self(Cow::Owned(text)))
                .map_err(|error| D::Error::custom(message(&error))),
        }
    }
}

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

/// Deserializes a member that is present, whatever its value: `null` is not a missing member.
pub(super) fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// Reads a whole JSON text.
///
/// # Errors
///
/// If the text is not JSON, or not of this form: a message for people.
pub(super) fn read_json<'t, T: Deserialize<'t>>(text: &'t [u8]) -> Result<T, String> {
    serde_json::from_slice(text).map_err(|error| message(&error))
}

/// Returns the name of the kind of a JSON value, by its first character.
fn kind(value: &str) -> &'static str {
    match value.bytes().next() {
        Some(b'{') => "an object",
        Some(b'[') => "a list",
        Some(b'"') => "a text",
        Some(b'n') => "null",
        Some(b't' | b'f') => "a Boolean",
        _ => "a number",
    }
}

fn message(error: &serde_json::Error) -> String {
    let (line, column) = (error.line(), error.column());
    if !error.is_data() {
        return format!("the text is not valid JSON (line {line} column {column})");
    }
    json_message(error).into()
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::{Object, Text, present, read_json};

    #[derive(Deserialize)]
    struct Outer<'t> {
        #[serde(borrow, default, deserialize_with = "present")]
        inner: Option<Object<Inner<'t>>>,
    }

    #[derive(Deserialize)]
    struct Inner<'t> {
        #[serde(borrow)]
        id: Text<'t>,
    }

    #[test]
    fn errors_state_what_was_expected_and_repeat_no_value() {
        let read = |text: &str| {
            let read: Result<Object<Outer<'_>>, _> = read_json(text.as_bytes());
            read.map(|Object(outer)| outer.inner.map(|Object(inner)| inner.id.to_owned()))
        };
        assert_eq!(read("{}"), Ok(None));
        assert_eq!(read(r#" {"inner": {"id": "a\"bé", "more": [1]}} "#), Ok(Some("a\"bé".to_owned())));
        for (text, error) in [
            ("[]", "expected an object, found a list"),
            (r#"{"inner": null}"#, "expected an object, found null"),
            (r#"{"inner": "s3cret"}"#, "expected an object, found a text"),
            (r#"{"inner": 7}"#, "expected an object, found a number"),
            (r#"{"inner": {"id": 42424242}}"#, "expected a text, found a number"),
            (r#"{"inner": {"id": null}}"#, "expected a text, found null"),
            (r#"{"inner": {"id": true}}"#, "expected a text, found a Boolean"),
            (r#"{"inner": {"id": {"s3cret": 1}}}"#, "expected a text, found an object"),
            (r#"{"inner": {}}"#, "`id` is missing"),
            (r#"{"inner": {"id": "a", "id": "b"}}"#, "`id` is given more than once"),
            (r#"{"inner": {"id": "a"}"#, "the text is not valid JSON (line 1 column 21)"),
            (r#"{"inner": {"id": "\ud800"}}"#, "the text is not valid JSON (line 1 column 8)"),
            ("", "the text is not valid JSON (line 1 column 0)"),
        ] {
            assert_eq!(read(text), Err(error.to_owned()), "{text}");
        }
    }
}
