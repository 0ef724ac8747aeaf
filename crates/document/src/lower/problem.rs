//! Problems of a document, also those of shape.

use std::borrow::Cow;
use std::fmt;

use super::words::list;
use crate::definition::{self, Kind, ProblemKind, Target};
use portcullis::base::{Escaped, JsonPath, Step, quoted};
use portcullis::model::PolicyError;

/// The default for the number of problems that are kept.
pub const MAX_PROBLEMS: usize = 100;

/// Problems of several documents, bounded in memory: keeps the first `max`, counts all of them.
pub(super) struct Problems {
    kept: Vec<Problem>,
    max: usize,
    /// The number of problems of each document.
    counts: Vec<usize>,
    /// Whether a problem concerns more than one token.
    is_fatal: bool,
    /// The name of a connection for examples.
    connection: Box<str>,
}

impl Problems {
    pub(super) fn new(documents: usize, max: usize) -> Self {
        Self { kept: Vec::new(), max, counts: vec![0; documents], is_fatal: false, connection: "dw".into() }
    }

    /// Sets the connection that examples of grants name.
    pub(super) fn set_connection(&mut self, name: &str) {
        self.connection = name.into();
    }

    /// Returns the number of further problems that are kept.
    pub(super) fn room(&self) -> usize {
        self.max.saturating_sub(self.kept.len())
    }

    /// Returns the number of problems of the document `at`.
    pub(super) fn count(&self, at: usize) -> usize {
        self.counts.get(at).copied().unwrap_or_default()
    }

    /// Whether a problem remains when all malformed tokens are left out.
    pub(super) fn is_fatal(&self) -> bool {
        self.is_fatal
    }

    pub(super) fn is_empty(&self) -> bool {
        self.counts.iter().all(|count| *count == 0)
    }

    pub(super) fn push(&mut self, problem: Problem) {
        self.is_fatal |= problem.token().is_none();
        self.add(problem.document, 1);
        if self.room() > 0 {
            self.kept.push(problem);
        }
    }

    /// Adds the problems of shape of the document `at`: of one token, or of everything outside the tokens.
    pub(super) fn take(&mut self, at: usize, found: definition::Problems) {
        self.add(at, found.count());
        for problem in found.into_kept() {
            let problem = Problem::of_shape(at, problem, &self.connection);
            self.is_fatal |= problem.token().is_none();
            if self.room() > 0 {
                self.kept.push(problem);
            }
        }
    }

    /// Drops the problems of the document `at`, which turned out not to be JSON: that error replaces them.
    pub(super) fn forget(&mut self, at: usize) {
        self.kept.retain(|problem| problem.document != at);
        if let Some(count) = self.counts.get_mut(at) {
            *count = 0;
        }
    }

    /// Records a problem that concerns more than one token.
    pub(super) fn set_fatal(&mut self) {
        self.is_fatal = true;
    }

    fn add(&mut self, document: usize, more: usize) {
        if let Some(count) = self.counts.get_mut(document) {
            *count = count.saturating_add(more);
        }
    }

    /// Returns the problems that were kept, by document and token, and the number of all problems of each document.
    pub(super) fn finish(mut self) -> (Vec<Problem>, Vec<usize>) {
        // Stable: the problems of one token keep their order.
        self.kept.sort_by_key(|problem| (problem.document, problem.token()));
        (self.kept, self.counts)
    }
}

/// The part of a field to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Part {
    /// The value.
    Value,
    /// The key: for unknown and duplicate fields, and for secrets, which must not be shown.
    Key,
}

/// A problem that makes a document an invalid policy.
///
/// Its texts are lower case, on one line, and hold no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The index of the document.
    pub document: usize,
    /// The JSON path of the value; for a missing field, of the object that lacks it.
    pub path: JsonPath,
    /// The part of the field to show.
    pub part: Part,
    /// The offset of the error of JSON, for a line of JSON Lines that is not JSON.
    pub offset: Option<usize>,
    /// The stable code.
    pub code: &'static str,
    /// The problem, with the malformed text.
    pub message: Cow<'static, str>,
    /// A fix.
    pub help: Cow<'static, str>,
}

impl Problem {
    /// Returns the index of the token with the problem: the document without that token does not have it.
    pub fn token(&self) -> Option<usize> {
        match self.path.steps() {
            [Step::Key(key), Step::Index(index), ..] if key == "tokens" => Some(*index),
            _ => None,
        }
    }

    /// Returns the part of the text to show.
    pub fn target(&self) -> Target<'_> {
        match self.part {
            Part::Value => Target::Value(&self.path),
            Part::Key => Target::Key(&self.path),
        }
    }

    /// Converts an error of the model that lowering should have found.
    pub(super) fn of_policy(error: &PolicyError) -> Self {
        Self {
            document: 0,
            path: JsonPath::root(),
            part: Part::Value,
            offset: None,
            code: "invalid_policy",
            message: error.to_string().into(),
            help: "please report this: an earlier check should have found it".into(),
        }
    }

    pub(super) fn of_shape(document: usize, problem: definition::Problem, connection: &str) -> Self {
        let part = match problem.target() {
            Target::Value(path) if !is_secret(path) => Part::Value,
            Target::Value(_) | Target::Key(_) => Part::Key,
        };
        let definition::Problem { path, kind } = problem;
        let field = match path.steps().last() {
            Some(Step::Key(key)) => key.as_ref(),
            _ => "",
        };
        let mut offset = None;
        let (code, message, help): (_, Cow<'_, str>, Cow<'_, str>) = match &kind {
            ProblemKind::UnknownField { found, nearest } => {
                let help = match nearest {
                    _ if path.steps().len() == 1 && **found == *"sops" => {
                        "the document is encrypted by sops: decrypt it with `sops -d FILE`".to_owned()
                    }
                    _ if path.steps().len() == 1 && WRAPPERS.contains(&&**found) => {
                        format!("if the tokens are under `{found}`, convert the file: `jq '{{tokens: .{found}}}' FILE`")
                    }
                    Some(nearest) => format!("did you mean `{nearest}`?"),
                    None => format!("the fields here are {}", list(fields(&path).iter().copied())),
                };
                ("unknown_field", format!("unknown field {}", quoted(found)).into(), help.into())
            }
            ProblemKind::DuplicateField { field } => (
                "duplicate_field",
                format!("field {} is given more than once", quoted(field)).into(),
                "keep one of them: two readers could each take another".into(),
            ),
            ProblemKind::WrongType { expected, found } => {
                ("wrong_type", kind.to_string().into(), wrong_type(&path, field, expected, *found))
            }
            ProblemKind::Missing { field: "tokens" } => {
                ("missing_field", kind.to_string().into(), format!("add `\"tokens\"`, {TOKENS}").into())
            }
            ProblemKind::Missing { field } => {
                ("missing_field", kind.to_string().into(), format!("add {}", example(field, &path)).into())
            }
            ProblemKind::Syntax(error) => {
                offset = Some(error.offset());
                ("json_syntax", error.message().to_owned().into(), "write one JSON object a line".into())
            }
        };
        // The example of a declaration names a new connection.
        let is_declaration = matches!(path.steps().first(), Some(Step::Key(key)) if key == "connections");
        let help = if help.contains("\"dw\"") && !is_declaration {
            help.replace("\"dw\"", &format!("\"{connection}\"")).into()
        } else {
            help
        };
        Self { document, path, part, offset, code, message, help }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.to_string();
        match &*path {
            "" => write!(f, "{}; {}", self.message, self.help),
            path => write!(f, "{}: {}; {}", Escaped::up_to(path, definition::MAX_PATH), self.message, self.help),
        }
    }
}

/// Whether the value at `path` may be a secret, whatever its type.
fn is_secret(path: &JsonPath) -> bool {
    matches!(path.steps().last(), Some(Step::Key(key)) if matches!(&**key, "token" | "token_sha256"))
}

/// The fields that interfaces of other programs wrap a list in.
const WRAPPERS: [&str; 4] = ["data", "items", "results", "value"];

/// The fix for a document without tokens.
const TOKENS: &str = "a list of tokens: `portcullis init` writes a policy with one";

/// Returns an example of a grant on this connection.
pub(super) fn grant(connection: &str) -> String {
    format!("{{\"connection_name\": \"{connection}\", \"source\": \"schema.table\"}}")
}

/// Returns a fix for a value of the wrong type.
fn wrong_type(path: &JsonPath, field: &str, expected: &'static str, found: Kind) -> Cow<'static, str> {
    match (field, found) {
        ("tokens", _) => format!("write {TOKENS}").into(),
        ("token", _) => "write a string: a long random text".into(),
        ("token_sha256", _) => "write a string: the secret's SHA-256 as 64 hexadecimal digits".into(),
        ("referers", Kind::Null) => "leave the field out where any request is to be accepted".into(),
        ("id" | "allowed_apis" | "connection_name" | "source" | "accepts", _) => {
            format!("write {expected}, such as {}", example(field, path)).into()
        }
        (_, Kind::Null) => format!("write {expected}, or leave the field out where it may be").into(),
        ("version", _) => "write `1`, or leave the field out".into(),
        ("expiration_date" | "created_at", _) => "write a string such as `\"2030-01-01T00:00:00Z\"`".into(),
        ("", _) => match path.steps() {
            [Step::Key(key), _] if key == "tokens" => {
                "write an object with `id`, `token_sha256`, `allowed_apis` and `grants`".into()
            }
            [.., Step::Key(key), _] if key == "grants" => {
                "write an object such as `{\"connection_name\": \"dw\", \"source\": \"schema.table\"}`".into()
            }
            _ => format!("write {expected}").into(),
        },
        _ => format!("write {expected}, such as {}", example(field, path)).into(),
    }
}

/// Returns a field with an example value.
fn example(field: &str, path: &JsonPath) -> &'static str {
    let in_connection = |key: &Step| matches!(key, Step::Key(key) if key == "connections");
    match field {
        "connections" => "`\"connections\": [{\"name\": \"dw\", \"dialect\": \"bigquery\"}]`",
        "apis" => "`\"apis\": [{\"name\": \"tiles\", \"accepts\": [\"resource\"]}]`",
        "accepts" => "`\"accepts\": [\"resource\"]`",
        "id" => "`\"id\": \"tok_1\"`",
        "owner" => "`\"owner\": \"ana\"`",
        "allowed_apis" => "`\"allowed_apis\": [\"maps\", \"sql\"]`",
        "grants" => "`\"grants\": [{\"connection_name\": \"dw\", \"source\": \"schema.table\"}]`",
        "referers" => "`\"referers\": [\"https://carto.com/\"]`",
        "connection_name" => "`\"connection_name\": \"dw\"`",
        "source" => "`\"source\": \"schema.table\"`; all sources are written `\"*\"`",
        "type" => "`\"type\": \"resource\"`",
        "dialect" => "`\"dialect\": \"bigquery\"`",
        "named_sources_only" => "`\"named_sources_only\": true`",
        "case_sensitive" => "`\"case_sensitive\": true`",
        "name" if path.steps().first().is_some_and(in_connection) => "`\"name\": \"dw\"`",
        "name" => "`\"name\": \"tiles\"`",
        _ => "a value",
    }
}

/// Returns the fields of the object that contains the field `path`.
fn fields(path: &JsonPath) -> &'static [&'static str] {
    let list = path.steps().iter().rev().skip(1).find_map(|step| match step {
        Step::Key(key) => Some(key.as_ref()),
        Step::Index(_) => None,
    });
    match list {
        Some("tokens") => &[
            "id",
            "name",
            "owner",
            "token",
            "token_sha256",
            "allowed_apis",
            "grants",
            "referers",
            "expiration_date",
            "created_at",
        ],
        Some("grants") => &["connection_name", "source", "type"],
        Some("connections") => &["name", "dialect", "named_sources_only", "case_sensitive"],
        Some("apis") => &["name", "accepts"],
        _ => &["version", "connections", "apis", "tokens"],
    }
}
