//! JSON bodies, read completely before anything is rejected: every problem is reported at once.
//!
//! A [`Shape`] lists the fields of an object. The same shapes are the schemas of the `OpenAPI` document.

use std::fmt;

use portcullis::base::{nearest, quoted};
use portcullis_secret::contains_secret;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::problem::{Detail, Problem};

/// The maximum number of problems that an answer lists.
const MAX_PROBLEMS: usize = 100;

/// A JSON value. Unlike a map, an object keeps duplicate fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Json {
    Null,
    Bool(bool),
    Whole(u64),
    /// Any other number.
    Number,
    Text(String),
    List(Vec<Self>),
    Object(Vec<(String, Self)>),
}

/// The fields of an object.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    /// The name of the schema.
    pub(crate) name: &'static str,
    /// What the object describes.
    pub(crate) about: &'static str,
    /// The fields.
    pub(crate) fields: &'static [Member],
}

/// A field of an object.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) is_required: bool,
    pub(crate) about: &'static str,
}

/// The type of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    /// A text or `null`.
    Nullable,
    Bool,
    Whole,
    Texts,
    /// A list of objects.
    Objects(&'static Shape),
    /// An object.
    Object(&'static Shape),
    /// Any value: in answers only.
    Any,
}

/// An object whose fields have the types of its shape.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Object(Vec<(String, Json)>);

impl Object {
    fn field(&self, name: &str) -> Option<&Json> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    /// Returns a text; `None` if the field is missing or `null`.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        match self.field(name) {
            Some(Json::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// Returns a text, or `Some(None)` for `null`; `None` if the field is missing.
    #[expect(clippy::option_option, reason = "a missing field is not `null`")]
    pub(crate) fn nullable(&self, name: &str) -> Option<Option<&str>> {
        self.field(name).map(|_| self.text(name))
    }

    pub(crate) fn bool(&self, name: &str) -> Option<bool> {
        match self.field(name) {
            Some(Json::Bool(value)) => Some(*value),
            _ => None,
        }
    }

    pub(crate) fn texts(&self, name: &str) -> Option<Vec<String>> {
        let Some(Json::List(list)) = self.field(name) else { return None };
        let text = |value: &Json| match value {
            Json::Text(text) => Some(text.clone()),
            _ => None,
        };
        Some(list.iter().filter_map(text).collect())
    }

    pub(crate) fn objects(&self, name: &str) -> Option<Vec<Self>> {
        let Some(Json::List(list)) = self.field(name) else { return None };
        let object = |value: &Json| match value {
            Json::Object(fields) => Some(Self(fields.clone())),
            _ => None,
        };
        Some(list.iter().filter_map(object).collect())
    }
}

/// Reads `body` as an object of `shape`.
///
/// # Errors
///
/// Every problem: text that is not JSON, unknown and duplicate fields, missing fields, and values of another type. No
/// message repeats a value.
pub(crate) fn read(body: &[u8], shape: &Shape) -> Result<Object, Problem> {
    let value: Json = serde_json::from_slice(body).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        Problem::invalid(
            "invalid_json",
            format!("the body is not valid JSON (line {line} column {column})"),
            "send one JSON object in UTF-8",
        )
    })?;
    let mut problems = Vec::new();
    check_object(&value, shape, "", &mut problems);
    if let Some(problem) = Problem::of_details(problems) {
        return Err(problem);
    }
    match value {
        Json::Object(fields) => Ok(Object(fields)),
        _ => Err(wrong_type("", "an object", &value).into()),
    }
}

fn check_object(value: &Json, shape: &Shape, pointer: &str, problems: &mut Vec<Detail>) {
    let Json::Object(fields) = value else {
        push(problems, || wrong_type(pointer, "an object", value));
        return;
    };
    let mut seen: Vec<&str> = Vec::new();
    for (name, value) in fields {
        let pointer = format!("{pointer}/{}", escaped(name));
        let Some(member) = shape.fields.iter().find(|member| member.name == name) else {
            push(problems, || unknown(&pointer, name, shape));
            continue;
        };
        if seen.contains(&member.name) {
            let message = format!("field `{name}` is given more than once");
            push(problems, || Detail::new(&*pointer, "duplicate_field", message, "write each field once"));
            continue;
        }
        seen.push(member.name);
        check_value(value, member.kind, &pointer, problems);
    }
    for member in shape.fields.iter().filter(|member| member.is_required && !seen.contains(&member.name)) {
        let (name, about) = (member.name, member.about);
        let help = format!("add `{name}`: {}", about.trim_end_matches('.'));
        push(problems, || Detail::new(pointer, "missing_field", format!("`{name}` is missing"), help));
    }
}

fn check_value(value: &Json, kind: Kind, pointer: &str, problems: &mut Vec<Detail>) {
    match (kind, value) {
        (Kind::Text | Kind::Nullable, Json::Text(_))
        | (Kind::Nullable, Json::Null)
        | (Kind::Bool, Json::Bool(_))
        | (Kind::Whole, Json::Whole(_))
        | (Kind::Any, _) => {}
        (Kind::Texts, Json::List(list)) => {
            let wrong = (0..).zip(list).filter(|(_, value)| !matches!(value, Json::Text(_)));
            for (index, value) in wrong {
                push(problems, || wrong_type(&format!("{pointer}/{index}"), "a text", value));
            }
        }
        (Kind::Objects(shape), Json::List(list)) => {
            for (index, value) in (0..).zip(list) {
                check_object(value, shape, &format!("{pointer}/{index}"), problems);
            }
        }
        (Kind::Object(shape), Json::Object(_)) => check_object(value, shape, pointer, problems),
        _ => push(problems, || wrong_type(pointer, kind.expected(), value)),
    }
}

fn push(problems: &mut Vec<Detail>, problem: impl FnOnce() -> Detail) {
    if problems.len() < MAX_PROBLEMS {
        problems.push(problem());
    }
}

fn unknown(pointer: &str, name: &str, shape: &Shape) -> Detail {
    let known = shape.fields.iter().map(|member| member.name);
    if contains_secret(name) {
        return Detail::new("", "unknown_field", "a field is named like a secret", "never send a secret in a body");
    }
    let help = match nearest(name, known.clone()) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => format!("the fields are `{}`", known.collect::<Vec<_>>().join("`, `")),
    };
    Detail::new(pointer, "unknown_field", format!("unknown field {}", quoted(name)), help)
}

fn wrong_type(pointer: &str, expected: &str, found: &Json) -> Detail {
    let message = format!("expected {expected}, found {}", found.kind());
    Detail::new(pointer, "wrong_type", message, format!("write {expected}"))
}

/// Escapes a field name for a JSON Pointer (RFC 6901). Long names are cut off.
fn escaped(name: &str) -> String {
    const MAX: usize = 64;
    name.chars().take(MAX).collect::<String>().replace('~', "~0").replace('/', "~1")
}

impl Kind {
    fn expected(self) -> &'static str {
        match self {
            Self::Text => "a text",
            Self::Nullable => "a text or null",
            Self::Bool => "a Boolean",
            Self::Whole => "a whole number",
            Self::Texts => "a list of texts",
            Self::Objects(_) => "a list of objects",
            Self::Object(_) => "an object",
            Self::Any => "a value",
        }
    }
}

impl Json {
    fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a Boolean",
            Self::Whole(_) | Self::Number => "a number",
            Self::Text(_) => "a text",
            Self::List(_) => "a list",
            Self::Object(_) => "an object",
        }
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Json;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Whole(value))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Json, E> {
        Ok(Json::Number)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Json, E> {
        Ok(Json::Number)
    }

    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(Json::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Json, E> {
        Ok(Json::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Json, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = list.next_element()? {
            values.push(value);
        }
        Ok(Json::List(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
        let mut fields = Vec::new();
        while let Some(field) = map.next_entry()? {
            fields.push(field);
        }
        Ok(Json::Object(fields))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INNER: Shape = Shape {
        name: "Inner",
        about: "",
        fields: &[Member { name: "source", kind: Kind::Text, is_required: true, about: "The source." }],
    };
    const OUTER: Shape = Shape {
        name: "Outer",
        about: "",
        fields: &[
            Member { name: "name", kind: Kind::Nullable, is_required: false, about: "" },
            Member { name: "apis", kind: Kind::Texts, is_required: true, about: "The APIs." },
            Member { name: "grants", kind: Kind::Objects(&INNER), is_required: false, about: "" },
            Member { name: "force", kind: Kind::Bool, is_required: false, about: "" },
            Member { name: "size", kind: Kind::Whole, is_required: false, about: "" },
        ],
    };

    #[test]
    fn every_problem_is_reported_with_its_pointer() {
        for (body, want, why) in [
            ("[]", &["|wrong_type"][..], "a list is not an object"),
            ("7", &["|wrong_type"], "a number is not an object"),
            ("", &["|invalid_json"], "an empty body"),
            ("{\"apis\":[]}x", &["|invalid_json"], "text after the object"),
            ("{}", &["|missing_field"], "a required field"),
            (r#"{"apis":[],"apis":[]}"#, &["/apis|duplicate_field"], "a duplicate, even if equal"),
            (r#"{"apis":null}"#, &["/apis|wrong_type"], "null is not a list"),
            (r#"{"apis":["a",7,null]}"#, &["/apis/1|wrong_type", "/apis/2|wrong_type"], "wrong elements"),
            (r#"{"apis":[],"force":"true"}"#, &["/force|wrong_type"], "a text is not a Boolean"),
            (r#"{"apis":[],"size":-1}"#, &["/size|wrong_type"], "a negative number"),
            (r#"{"apis":[],"size":1.5}"#, &["/size|wrong_type"], "a fraction"),
            (r#"{"apis":[],"a/b~":1}"#, &["/a~1b~0|unknown_field"], "a pointer is escaped"),
            (
                r#"{"nmae":"x","grants":[{},{"source":1,"x":2}],"force":1}"#,
                &[
                    "/nmae|unknown_field",
                    "/grants/0|missing_field",
                    "/grants/1/source|wrong_type",
                    "/grants/1/x|unknown_field",
                    "/force|wrong_type",
                    "|missing_field",
                ],
                "all of them at once",
            ),
        ] {
            let problem = read(body.as_bytes(), &OUTER).unwrap_err();
            let found: Vec<_> = problem.details().iter().map(|it| format!("{}|{}", it.pointer, it.reason)).collect();
            assert_eq!(found, want, "{why}: {body}");
        }
    }

    #[test]
    fn values_of_their_types_are_read() {
        let read = |body: &str| read(body.as_bytes(), &OUTER).unwrap();
        let object = read(r#"{"name":null,"apis":["a\u0041"],"grants":[{"source":"s"}],"force":true,"size":7}"#);
        assert_eq!(object.nullable("name"), Some(None));
        assert_eq!(object.texts("apis"), Some(vec!["aA".to_owned()]));
        assert_eq!(object.objects("grants").unwrap()[0].text("source"), Some("s"));
        assert_eq!(object.bool("force"), Some(true));
        assert_eq!(read(r#"{"apis":[]}"#).nullable("name"), None);
    }

    #[test]
    fn problems_are_limited_and_repeat_no_value() {
        let body = format!(r#"{{"apis":[{}"s"]}}"#, "7,".repeat(50_000));
        let problem = read(body.as_bytes(), &OUTER).unwrap_err();
        assert_eq!(problem.details().len(), MAX_PROBLEMS);
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(read(deep.as_bytes(), &OUTER).unwrap_err().details()[0].reason, "invalid_json");
        let secret = portcullis_secret::Secret::mint(portcullis_secret::SecretKind::Token).unwrap();
        let body = format!(r#"{{"apis":[],"{0}":"{0}","force":"{0}"}}"#, secret.expose());
        let problem = read(body.as_bytes(), &OUTER).unwrap_err();
        assert!(!format!("{problem:?}").contains(secret.expose()));
    }
}
