//! One thing to be said of a document.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use serde::{Serialize, Serializer};

use crate::definition::MAX_PLACE;
use portcullis::base::Escaped;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// It makes the document, or the token where those are skipped, unusable.
    Error,
    /// Legal, but surely unintended.
    Warning,
}

/// One thing to be said of a document: lower case, on one line, without any secret.
///
/// Serializes as `{"severity", "code", "path", "line", "column", "message", "help"}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// What it is about, as one word that never changes.
    pub code: &'static str,
    /// The name of the input.
    pub file: String,
    /// Where in the document, such as `tokens[3].grants[0].source`; empty for all of it.
    pub place: String,
    /// The line, from 1.
    pub line: usize,
    /// The character of the line, from 1.
    pub column: usize,
    /// The bytes of the text to show, of an object or list only its bracket; `None` where they are not known. To show
    /// them or their line, take them from [`Input::redacted`](super::Input::redacted): in broken text they may be a secret.
    pub span: Option<Range<usize>>,
    /// What is wrong.
    pub message: Cow<'static, str>,
    /// What would be right.
    pub help: Cow<'static, str>,
}

impl Severity {
    /// `error` or `warning`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { severity, code, line, column, message, .. } = self;
        write!(f, "{}:{line}:{column}: {severity}[{code}]: {message}", Escaped::whole(&self.file))?;
        if self.place.is_empty() { Ok(()) } else { write!(f, " ({})", Escaped::up_to(&self.place, MAX_PLACE)) }
    }
}

impl Serialize for Diagnostic {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Twin<'a> {
            severity: Severity,
            code: &'a str,
            path: &'a str,
            line: usize,
            column: usize,
            message: &'a str,
            help: &'a str,
        }
        let Self { severity, code, place: path, line, column, message, help, .. } = self;
        Twin { severity: *severity, code, path, line: *line, column: *column, message, help }.serialize(serializer)
    }
}
