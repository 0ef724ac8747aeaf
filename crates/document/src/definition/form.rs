//! The forms of a document (N11.1), detected from as little of the text as possible.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, Visitor};

use super::field::Name;

/// The form of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Only white space.
    Empty,
    /// An object with `tokens`.
    Document,
    /// A list of tokens.
    List,
    /// One token, on one or more lines.
    Token,
    /// One token a line.
    Lines,
    /// Something else, JSON or not.
    Other,
}

impl Form {
    /// Returns the form of `text`, which need not be JSON. Reads the first object only up to the first key that
    /// decides.
    pub(super) fn of(text: &str) -> Self {
        match trim(text).bytes().next() {
            None => Self::Empty,
            Some(b'[') => Self::List,
            Some(b'{') => Self::of_object(trim(text)),
            Some(_) => Self::Other,
        }
    }

    fn of_object(text: &str) -> Self {
        let mut values = serde_json::Deserializer::from_str(text).into_iter::<Keys>();
        match values.next() {
            Some(Ok(keys)) => {
                let (first, rest) = text.split_at_checked(values.byte_offset()).unwrap_or((text, ""));
                match keys {
                    _ if !trim(rest).is_empty() && !first.contains('\n') => Self::Lines,
                    Keys { token: true } => Self::Token,
                    Keys { token: false } => Self::Document,
                }
            }
            // Stopped at a key that only a document has.
            Some(Err(error)) if error.is_data() => Self::Document,
            _ if looks_like_lines(text) => Self::Lines,
            _ => Self::Document,
        }
    }
}

/// Returns `text` without the JSON white space around it.
pub(super) fn trim(text: &str) -> &str {
    text.trim_matches([' ', '\t', '\r', '\n'])
}

/// Returns `text` without a byte order mark.
pub(super) fn without_bom(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

/// Whether `text`, whose first object is not JSON, looks like one object a line rather than one object on several
/// lines.
fn looks_like_lines(text: &str) -> bool {
    let mut lines = text.split('\n').map(trim).filter(|line| !line.is_empty());
    let unfinished = lines.next().is_none_or(|line| line.ends_with(['{', '[', ',', ':']));
    !unfinished && lines.next().is_some_and(|line| line.starts_with('{'))
}

/// The form that the keys of the first object indicate.
struct Keys {
    /// Some key belongs to a token, and none to a document.
    token: bool,
}

impl<'de> Deserialize<'de> for Keys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeysVisitor;

        impl<'de> Visitor<'de> for KeysVisitor {
            type Value = Keys;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Keys, A::Error> {
                let mut token = false;
                while let Some(Name(name)) = map.next_key()? {
                    match &*name {
                        "tokens" | "version" | "connections" => return Err(A::Error::custom("a document")),
                        // These keys decide nothing: `apis` (easily written for `allowed_apis`), `token` (for `tokens`)
                        // and `name`.
                        "id" | "owner" | "token_sha256" | "allowed_apis" | "grants" | "referers"
                        | "expiration_date" | "created_at" => token = true,
                        _ => {}
                    }
                    map.next_value::<IgnoredAny>()?;
                }
                Ok(Keys { token })
            }
        }

        deserializer.deserialize_map(KeysVisitor)
    }
}
