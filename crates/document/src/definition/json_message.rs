//! Words the errors of the JSON library for people.

use portcullis::base::{nearest, quoted};

/// The start of the message of a text that ends too early.
pub(super) const CUT_OFF: &str = "the JSON is cut off in ";

/// Returns the message of `error` without the position in it, in the words of all errors of the project. It repeats names
/// of keys and choices, but no other value, which may be a secret.
///
/// ```
/// use portcullis_document::definition::json_message;
///
/// let error = serde_json::from_str::<String>("7").unwrap_err();
/// assert_eq!(&*json_message(&error), "expected a string, found a number");
/// let error = serde_json::from_str::<Vec<u64>>("[1, 2").unwrap_err();
/// assert_eq!(&*json_message(&error), "the JSON is cut off in a list");
/// ```
pub fn json_message(error: &serde_json::Error) -> Box<str> {
    let message = error.to_string();
    let position = format!(" at line {} column {}", error.line(), error.column());
    reworded(message.strip_suffix(&position).unwrap_or(&message)).into()
}

/// The messages of `serde_json` about syntax, each with its words here.
const SYNTAX: [(&str, &str); 12] = [
    ("expected ident", "expected a JSON value"),
    ("expected value", "expected a JSON value"),
    ("key must be a string", "expected a key in double quotes"),
    ("trailing comma", "expected a value after the comma"),
    ("trailing characters", "expected nothing after the JSON"),
    ("invalid escape", "unknown escape in a string"),
    (
        "control character (\\u0000-\\u001F) found while parsing a string",
        "expected an escape, found a control character in a string",
    ),
    ("unexpected end of hex escape", "an escape is half of a surrogate pair"),
    ("lone leading surrogate in hex escape", "an escape is half of a surrogate pair"),
    ("invalid number", "expected a number such as `1` or `0.5`"),
    ("number out of range", "the number is too large"),
    ("invalid unicode code point", "the text is not UTF-8"),
];

/// Rewords a message of `serde` or `serde_json`. Returns other messages, which are of the project, as they are.
fn reworded(message: &str) -> String {
    if let Some(inside) = message.strip_prefix("EOF while parsing ") {
        return format!("{CUT_OFF}{inside}");
    }
    if let Some((_, ours)) = SYNTAX.iter().find(|(theirs, _)| message == *theirs) {
        return (*ours).to_owned();
    }
    if let Some(name) = between(message, "missing field `", "`") {
        return format!("{} is missing", quoted(name));
    }
    if let Some(name) = between(message, "duplicate field `", "`") {
        return format!("{} is given more than once", quoted(name));
    }
    for (start, what) in [("unknown field `", "key"), ("unknown variant `", "value")] {
        if let Some(text) = message.strip_prefix(start)
            && let Some(message) = unknown(what, text)
        {
            return message;
        }
    }
    for start in ["invalid type: ", "invalid value: ", "invalid length "] {
        if let Some(text) = message.strip_prefix(start)
            && let Some((found, expected)) = text.rsplit_once(", expected ")
        {
            let expected = expected_value(expected);
            return match found_value(found) {
                Some(found) => format!("expected {expected}, found {found}"),
                None => format!("expected {expected}"),
            };
        }
    }
    message.to_owned()
}

/// Returns the text between `start` and `end`, which are all that is around it.
fn between<'m>(message: &'m str, start: &str, end: &str) -> Option<&'m str> {
    message.strip_prefix(start)?.strip_suffix(end)
}

/// Rewords ``x`, expected one of `a`, `b`` about an unknown key or value.
fn unknown(what: &str, text: &str) -> Option<String> {
    // The user's text may have any of these signs; the names that follow have none.
    if let Some((found, "")) =
        text.rsplit_once("`, there are no fields").or_else(|| text.rsplit_once("`, there are no variants"))
    {
        return Some(format!("unknown {what} {}", quoted(found)));
    }
    let (found, known) = text.rsplit_once("`, expected ")?;
    let known = known.strip_prefix("one of ").unwrap_or(known);
    let names: Vec<&str> = known.split('`').skip(1).step_by(2).collect();
    let found_text = quoted(found);
    Some(match (nearest(found, names.iter().copied()), names.as_slice()) {
        (Some(nearest), _) => format!("unknown {what} {found_text}, did you mean `{nearest}`?"),
        (None, [name]) => format!("unknown {what} {found_text}, expected `{name}`"),
        (None, names) => format!("unknown {what} {found_text}, expected one of `{}`", names.join("`, `")),
    })
}

/// Names the kind of a value that `serde` describes, without the value.
fn found_value(found: &str) -> Option<&'static str> {
    Some(match found.split([' ', '`']).next()? {
        "null" | "unit" | "Option" => "null",
        "boolean" => "a boolean",
        "integer" | "floating" | "number" => "a number",
        "string" | "character" | "byte" => "a string",
        "sequence" | "tuple" => "a list",
        "map" | "struct" | "newtype" => "an object",
        count if count.parse::<usize>().is_ok() => "a list of another length",
        _ => return None,
    })
}

/// Names a type that `serde` expects by its JSON. Keeps other texts, which are of the project.
fn expected_value(expected: &str) -> String {
    let named = match expected {
        "u8" | "u16" | "u32" | "u64" | "u128" | "usize" => "a whole number from 0",
        "i8" | "i16" | "i32" | "i64" | "i128" | "isize" => "a whole number",
        "f32" | "f64" => "a number",
        "a borrowed string" | "a formatted string" | "a character" | "string" => "a string",
        "a sequence" | "sequence" | "a byte array" => "a list",
        "a map" | "map" => "an object",
        "unit" => "null",
        "any valid JSON value" => "a JSON value",
        "string or map" => "a string or an object",
        other if other.starts_with("struct ") => "an object",
        other if other.starts_with("enum ") => "a string",
        other if other.starts_with("tuple ") || other.starts_with("a tuple ") => "a list",
        other => other,
    };
    named.to_owned()
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::{json_message, reworded};

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only errors are read")]
    struct Route {
        path: String,
        #[serde(default)]
        count: u8,
        #[serde(default)]
        kind: Option<Choice>,
        #[serde(default)]
        pair: Option<(u8, u8)>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Choice {
        Query,
        Model,
    }

    #[test]
    fn errors_name_json_and_no_type_of_the_program() {
        for (text, expected) in [
            ("{}", "`path` is missing"),
            (r#"{"path": "a", "path": "b"}"#, "`path` is given more than once"),
            (r#"{"paht": "a"}"#, "unknown key `paht`, did you mean `path`?"),
            (r#"{"zzz": 1}"#, "unknown key `zzz`, expected one of `path`, `count`, `kind`, `pair`"),
            (
                r#"{"a`, expected `b": 1}"#,
                "unknown key `a`, expected `b`, expected one of `path`, `count`, `kind`, `pair`",
            ),
            (r#"{"\u001b[2J": 1}"#, r"unknown key `\u{1b}[2J`, expected one of `path`, `count`, `kind`, `pair`"),
            (r#"{"path": 7}"#, "expected a string, found a number"),
            (r#"{"path": null}"#, "expected a string, found null"),
            (r#"{"path": true}"#, "expected a string, found a boolean"),
            (r#"{"path": ["a"]}"#, "expected a string, found a list"),
            (r#"{"path": {"a": "b"}}"#, "expected a string, found an object"),
            (r#"{"path": "a", "count": "s3cret"}"#, "expected a whole number from 0, found a string"),
            (r#"{"path": "a", "count": 1.5}"#, "expected a whole number from 0, found a number"),
            (r#"{"path": "a", "count": -1}"#, "expected a whole number from 0, found a number"),
            (r#"{"path": "a", "kind": "qery"}"#, "unknown value `qery`, did you mean `query`?"),
            (r#"{"path": "a", "kind": 7}"#, "expected a JSON value"),
            (r#"{"path": "a", "pair": [1]}"#, "expected a list, found a list of another length"),
            ("7", "expected an object, found a number"),
            (r#""s3cret, expected struct""#, "expected an object, found a string"),
            ("{", "the JSON is cut off in an object"),
            ("trux", "expected a JSON value"),
            ("tru", "the JSON is cut off in a value"),
            ("{path: 1}", "expected a key in double quotes"),
            (r#"{"path": "a",}"#, "expected a value after the comma"),
            (r#"{"path": "a"} {}"#, "expected nothing after the JSON"),
            (r#"{"path": "\x"}"#, "unknown escape in a string"),
            ("{\"path\": \"a\tb\"}", "expected an escape, found a control character in a string"),
            (r#"{"path": "\ud800"}"#, "an escape is half of a surrogate pair"),
            (r#"{"path": "\ud800\u0041"}"#, "an escape is half of a surrogate pair"),
            (r#"{"path": "a", "count": 01}"#, "expected a number such as `1` or `0.5`"),
            (r#"{"path": "a", "count": 1e999}"#, "the number is too large"),
        ] {
            let error = serde_json::from_str::<Route>(text).unwrap_err();
            assert_eq!(&*json_message(&error), expected, "{text}: {error}");
        }
    }

    #[test]
    fn messages_of_the_project_are_kept() {
        for message in ["unknown key `a`, did you mean `b`?", "`a`: expected a string, found null", "expected a number"]
        {
            assert_eq!(reworded(message), message);
        }
    }
}
