//! A finding, before and after its position is known.

use std::borrow::Cow;
use std::ops::Range;

use serde::{Serialize, Serializer};

use super::rule::Rule;
use portcullis::base::JsonPath;
use portcullis_document::definition::Position;

/// One finding about a policy. Its texts have one line and contain no secret.
///
/// Serializes as an object with `code`, `severity`, `file`, `line`, `column`, `path`, `token`, `message`, `fix`,
/// `paste` and `witness`.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// The rule.
    pub rule: &'static Rule,
    /// The name of the input.
    pub file: String,
    /// The JSON path, such as `tokens[3].grants[0].source`.
    pub path: String,
    /// The line, from 1; 0 if no user has the text, such as that of a registry.
    pub line: usize,
    /// The column in characters, from 1; 0 if no user has the text.
    pub column: usize,
    /// The byte span of the text to show; `None` if it is not known. To show it, or its line, take the text from
    /// [`Input::redacted`](portcullis_document::load::Input::redacted).
    pub span: Option<Range<usize>>,
    /// Line and column after the end of the span; `None` if only the start is known.
    pub end: Option<Position>,
    /// The id of the token, if the finding is about one.
    pub token: Option<String>,
    /// The problem, and why it matters.
    pub message: String,
    /// The instruction to fix it.
    pub fix: Cow<'static, str>,
    /// The text to write at the position instead, if there is one.
    pub paste: Option<String>,
    /// The edit of the document that fixes it, if known.
    pub edit: Option<Edit>,
    /// The change of the policy that fixes it.
    pub change: Change,
    /// A name that proves the finding.
    pub witness: Option<Witness>,
}

/// An edit of a document's text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// The byte span to remove.
    pub span: Range<usize>,
    /// The start of the span.
    pub start: Position,
    /// The position after the span.
    pub end: Position,
    /// The text to insert.
    pub insert: String,
}

/// A name that proves a finding, confirmed by a decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Witness {
    /// The connection.
    pub connection: String,
    /// The name, as its dialect writes it.
    pub resource: String,
    /// Whether the grant of the finding covers the name.
    pub covered: bool,
}

/// A finding whose position in the text is not known yet.
pub(super) struct Raw {
    pub(super) rule: &'static Rule,
    pub(super) document: usize,
    /// The index of the token in the policy.
    pub(super) token: Option<usize>,
    pub(super) path: JsonPath,
    pub(super) message: String,
    pub(super) fix: Fix,
    pub(super) witness: Option<Witness>,
}

/// The instruction to fix a finding, and the edit that does it.
pub(super) struct Fix {
    pub(super) say: Cow<'static, str>,
    pub(super) change: Change,
}

/// A change of a policy, by JSON paths.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Change {
    /// No single change fixes the finding.
    #[default]
    None,
    /// Replaces the value at this path with this JSON.
    Replace(JsonPath, String),
    /// Removes this element from its list.
    Remove(JsonPath),
    /// Inserts the text after the value at this path.
    Insert(JsonPath, String),
}

impl Fix {
    pub(super) fn say(say: impl Into<Cow<'static, str>>) -> Self {
        Self { say: say.into(), change: Change::None }
    }

    /// Replaces the value at `place` with the string `text`.
    pub(super) fn replace(say: impl Into<Cow<'static, str>>, path: JsonPath, text: &str) -> Self {
        Self { say: say.into(), change: Change::Replace(path, super::words::json(text)) }
    }

    pub(super) fn remove(say: impl Into<Cow<'static, str>>, path: JsonPath) -> Self {
        Self { say: say.into(), change: Change::Remove(path) }
    }

    /// Inserts `text` after the member or element at `place`.
    pub(super) fn insert(say: impl Into<Cow<'static, str>>, path: JsonPath, text: String) -> Self {
        Self { say: say.into(), change: Change::Insert(path, text) }
    }
}

impl Serialize for Finding {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct FindingJson<'a> {
            code: &'a str,
            severity: super::Severity,
            file: &'a str,
            line: usize,
            column: usize,
            path: &'a str,
            token: Option<&'a str>,
            message: &'a str,
            fix: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            paste: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            witness: Option<&'a Witness>,
        }
        FindingJson {
            code: self.rule.code,
            severity: self.rule.severity,
            file: &self.file,
            line: self.line,
            column: self.column,
            path: &self.path,
            token: self.token.as_deref(),
            message: &self.message,
            fix: &self.fix,
            paste: self.paste.as_deref(),
            witness: self.witness.as_ref(),
        }
        .serialize(serializer)
    }
}
