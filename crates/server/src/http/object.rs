//! JSON read strictly: objects, and strings in them. A derived deserializer would also accept a list, field by field, and
//! take `null` for a missing member.
//!
//! An error names the path of the member, what was expected and what was found. It repeats no value, which may be a
//! secret.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;

use portcullis_document::definition::json_message;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};

/// A value that is read from an object only.
#[derive(Default)]
pub(super) struct Object<T>(pub(super) T);

/// A string, borrowed from the JSON unless it is written with escapes.
#[derive(serde::Deserialize)]
#[serde(transparent)]
pub(super) struct Text<'t>(#[serde(borrow)] Cow<'t, str>);

/// The path of the JSON text that is read, inside the body of the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// The whole body.
    Body,
    /// A member of the body.
    Member(&'static str),
    /// An element of the list in a member of the body.
    Element(&'static str, usize),
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ObjectVisitor<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
            type Value = Object<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Object)
            }
        }

        deserializer.deserialize_any(ObjectVisitor(PhantomData))
    }
}

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl Place {
    /// Reads the whole JSON text at this place.
    ///
    /// # Errors
    ///
    /// If the text is not JSON, or not of this form: a message for people.
    pub(super) fn read<'t, T: Deserialize<'t>>(self, text: &'t [u8]) -> Result<T, String> {
        // Paths are tracked only for the message: most requests are valid.
        serde_json::from_slice(text).map_err(|error| {
            let mut deserializer = serde_json::Deserializer::from_slice(text);
            let located: Result<T, _> = serde_path_to_error::deserialize(&mut deserializer);
            match located.err().map(|located| located.path().to_string()) {
                Some(path) if path != "." => self.message(&path, &error),
                _ => self.message("", &error),
            }
        })
    }

    /// Returns the path of a member inside this place, such as `evaluations[2].subject`.
    pub(super) fn member(self, path: &str) -> String {
        let whole = match self {
            Self::Body => String::new(),
            Self::Member(name) => name.to_owned(),
            Self::Element(list, index) => format!("{list}[{index}]"),
        };
        let dot = if whole.is_empty() || path.is_empty() { "" } else { "." };
        format!("{whole}{dot}{path}")
    }

    /// Returns the message of an error at `path` inside this place; the path of the place itself is empty.
    pub(super) fn message(self, path: &str, error: &serde_json::Error) -> String {
        let (at, message) = (self.member(path), json_message(error));
        // A position inside a part of the body would mislead.
        if !error.is_data() && self == Self::Body {
            return format!("{message} (line {} column {})", error.line(), error.column());
        }
        // A member that is missing or given twice is named without the object that lacks it.
        let lacking = message.strip_prefix('`').and_then(|rest| rest.split_once("` is "));
        match lacking {
            Some((name, what)) if at.is_empty() => format!("`{name}` is {what}"),
            Some((name, what)) => format!("`{at}.{name}` is {what}"),
            None if at.is_empty() => message.into(),
            None => format!("`{at}`: {message}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::{Object, Place, Text};
    use portcullis_document::definition::present;

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

    fn read(at: Place, text: &str) -> Result<Option<String>, String> {
        let read: Result<Object<Outer<'_>>, _> = at.read(text.as_bytes());
        read.map(|Object(outer)| outer.inner.map(|Object(inner)| inner.id.to_owned()))
    }

    #[test]
    fn errors_state_the_path_and_what_was_expected_and_repeat_no_value() {
        assert_eq!(read(Place::Body, "{}"), Ok(None));
        let text = r#" {"inner": {"id": "a\"bé", "more": [1]}} "#;
        assert_eq!(read(Place::Body, text), Ok(Some("a\"bé".to_owned())));
        for (text, error) in [
            ("[]", "expected an object, found a list"),
            (r#"{"inner": null}"#, "`inner`: expected an object, found null"),
            (r#"{"inner": "s3cret"}"#, "`inner`: expected an object, found a string"),
            (r#"{"inner": 7}"#, "`inner`: expected an object, found a number"),
            (r#"{"inner": {"id": 42424242}}"#, "`inner.id`: expected a string, found a number"),
            (r#"{"inner": {"id": null}}"#, "`inner.id`: expected a string, found null"),
            (r#"{"inner": {"id": true}}"#, "`inner.id`: expected a string, found a boolean"),
            (r#"{"inner": {"id": {"s3cret": 1}}}"#, "`inner.id`: expected a string, found an object"),
            (r#"{"inner": {}}"#, "`inner.id` is missing"),
            (r#"{"inner": {"id": "a", "id": "b"}}"#, "`inner.id` is given more than once"),
            (r#"{"inner": {"id": "a"}, "inner": {"id": "a"}}"#, "`inner` is given more than once"),
            (r#"{"inner": {"id": "a"}"#, "the JSON is cut off in an object (line 1 column 21)"),
            (r#"{"inner": {"id": "\ud800"}}"#, "an escape is half of a surrogate pair (line 1 column 25)"),
            ("", "the JSON is cut off in a value (line 1 column 0)"),
        ] {
            assert_eq!(read(Place::Body, text), Err(error.to_owned()), "{text}");
        }
    }

    #[test]
    fn paths_start_at_the_body() {
        for (at, text, error) in [
            (Place::Element("list", 2), "null", "`list[2]`: expected an object, found null"),
            (Place::Element("list", 2), r#"{"inner": 7}"#, "`list[2].inner`: expected an object, found a number"),
            (Place::Element("list", 2), r#"{"inner": {}}"#, "`list[2].inner.id` is missing"),
            (
                Place::Element("list", 0),
                r#"{"inner": {"id": "\ud800"}}"#,
                "`list[0].inner.id`: an escape is half of a surrogate pair",
            ),
            (Place::Member("options"), "[]", "`options`: expected an object, found a list"),
            (
                Place::Member("options"),
                r#"{"inner": {"id": 7}}"#,
                "`options.inner.id`: expected a string, found a number",
            ),
        ] {
            assert_eq!(read(at, text), Err(error.to_owned()), "{text}");
        }
    }
}
