//! Diagnostics of a document.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use serde::{Serialize, Serializer};

use crate::definition::MAX_PATH;
use portcullis::base::Escaped;

/// The severity of a diagnostic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The document is unusable, or, where invalid tokens are skipped, the token.
    Error,
    /// Legal, but probably unintended.
    Warning,
}

/// A problem of a document: its texts are lower case, on one line, and hold no secret.
///
/// Serializes as `{"severity", "code", "path", "line", "column", "message", "help"}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// The severity of a diagnostic.
    pub severity: Severity,
    /// The stable code.
    pub code: &'static str,
    /// The name of the input.
    pub file: String,
    /// The JSON path, such as `tokens[3].grants[0].source`; empty for the whole document.
    pub path: String,
    /// The line, counted from 1; 0 if no user has the text ([`Input::generated`](super::Input::generated)).
    pub line: usize,
    /// The character of the line, counted from 1; 0 if no user has the text.
    pub column: usize,
    /// The span of the text to show: of an object or list only its bracket. `None` if it is not known. Take the text
    /// from [`Input::redacted`](super::Input::redacted): in malformed text the span may hold a secret.
    pub span: Option<Range<usize>>,
    /// The problem.
    pub message: Cow<'static, str>,
    /// A fix.
    pub help: Cow<'static, str>,
}

impl Severity {
    /// Returns `error` or `warning`.
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
        write!(f, "{}", Escaped::whole(&self.file))?;
        if *line > 0 {
            write!(f, ":{line}:{column}")?;
        }
        write!(f, ": {severity}[{code}]: {message}")?;
        if self.path.is_empty() { Ok(()) } else { write!(f, " ({})", Escaped::up_to(&self.path, MAX_PATH)) }
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
        let Self { severity, code, path, line, column, message, help, .. } = self;
        Twin { severity: *severity, code, path, line: *line, column: *column, message, help }.serialize(serializer)
    }
}
