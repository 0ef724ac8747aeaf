//! A finding, before and after its place is known.

use std::borrow::Cow;
use std::ops::Range;

use serde::{Serialize, Serializer};

use super::rule::Rule;
use portcullis::base::Place;
use portcullis_document::definition::Position;

/// One thing to be said of a policy. Its texts are on one line and hold no secret.
///
/// Serializes as an object with `code`, `severity`, `file`, `line`, `column`, `path`, `token`, `message`, `fix`, `paste`
/// and `witness`.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// The rule.
    pub rule: &'static Rule,
    /// The name of the input.
    pub file: String,
    /// Where in the document, such as `tokens[3].grants[0].source`.
    pub place: String,
    /// The line, from 1.
    pub line: usize,
    /// The character of the line, from 1.
    pub column: usize,
    /// The bytes of the text to show; `None` where they are not known. To show them or their line, take them from
    /// [`Input::redacted`](portcullis_document::load::Input::redacted).
    pub span: Option<Range<usize>>,
    /// Behind the end of what is meant: line and character; `None` where only its beginning is known.
    pub end: Option<Position>,
    /// The id of the token, where it is of one.
    pub token: Option<String>,
    /// What was found, and why it matters.
    pub message: String,
    /// What to do.
    pub fix: Cow<'static, str>,
    /// The text to write at the place instead, where there is one.
    pub paste: Option<String>,
    /// The change of the document that does it, where it is known.
    pub edit: Option<Edit>,
    /// A name that shows it.
    pub witness: Option<Witness>,
}

/// A change of a document's text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// The bytes to take out.
    pub span: Range<usize>,
    /// Where they begin.
    pub start: Position,
    /// Behind their end.
    pub end: Position,
    /// What to put there.
    pub insert: String,
}

/// A name that shows what a finding says; decided, so it is not just claimed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Witness {
    /// The connection.
    pub connection: String,
    /// The name, as its dialect writes it.
    pub resource: String,
    /// Whether the grant of the finding covers it.
    pub covered: bool,
}

/// A finding of a token of a document.
pub(super) struct Raw {
    pub(super) rule: &'static Rule,
    pub(super) document: usize,
    /// The token's place in the policy.
    pub(super) token: Option<usize>,
    pub(super) place: Place,
    pub(super) message: String,
    pub(super) fix: Fix,
    pub(super) witness: Option<Witness>,
}

/// What to do about it.
pub(super) struct Fix {
    pub(super) say: Cow<'static, str>,
    pub(super) change: Change,
}

/// What to change in the text.
pub(super) enum Change {
    None,
    /// Write this JSON in the place of what stands at the finding's place.
    Replace(String),
    /// Take this element out of its list.
    Remove(Place),
    /// Write this behind what stands at that place.
    Insert(Place, String),
}

impl Fix {
    pub(super) fn say(say: impl Into<Cow<'static, str>>) -> Self {
        Self { say: say.into(), change: Change::None }
    }

    pub(super) fn replace(say: impl Into<Cow<'static, str>>, text: &str) -> Self {
        Self { say: say.into(), change: Change::Replace(super::words::json(text)) }
    }

    pub(super) fn remove(say: impl Into<Cow<'static, str>>, place: Place) -> Self {
        Self { say: say.into(), change: Change::Remove(place) }
    }

    /// Adds `text` behind the member or element at `place`.
    pub(super) fn insert(say: impl Into<Cow<'static, str>>, place: Place, text: String) -> Self {
        Self { say: say.into(), change: Change::Insert(place, text) }
    }
}

impl Serialize for Finding {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Twin<'a> {
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
        Twin {
            code: self.rule.code,
            severity: self.rule.severity,
            file: &self.file,
            line: self.line,
            column: self.column,
            path: &self.place,
            token: self.token.as_deref(),
            message: &self.message,
            fix: &self.fix,
            paste: self.paste.as_deref(),
            witness: self.witness.as_ref(),
        }
        .serialize(serializer)
    }
}
