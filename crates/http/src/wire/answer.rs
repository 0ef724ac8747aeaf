//! A decision, written.

use serde::Serialize;
use serde_json::value::RawValue;

use super::Logged;
use portcullis::decision::{Decision, Reason};

/// The answer to a request: `{"id": …, "decision": "allow", "token": …, "grants": […]}` or
/// `{"id": …, "decision": "deny", "reason": …, "status": …}`.
#[derive(Debug, Serialize)]
pub struct Answer<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a RawValue>,
    #[serde(flatten)]
    outcome: Outcome<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    logged: Option<&'static str>,
}

#[derive(Debug, Serialize)]
#[serde(tag = "decision", rename_all = "lowercase")]
enum Outcome<'a> {
    Allow { token: &'a str, grants: &'a [u32] },
    Deny { reason: &'static str, status: u16 },
}

const ALLOW: &str = "allow";

/// The answer to a request of a log that does not say enough to decide it.
#[derive(Debug, Serialize)]
pub struct SkippedAnswer<'a> {
    /// What identifies the request, as it is written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<&'a RawValue>,
    /// The line that it stands on, counted from 1.
    pub line: u64,
    /// What is missing.
    pub skipped: &'a str,
}

/// The answer to what is no request.
#[derive(Debug, Serialize)]
pub struct ErrorAnswer<'a> {
    /// The line that it stands on, counted from 1.
    pub line: u64,
    /// What is wrong with it.
    pub error: &'a str,
}

impl<'a> Answer<'a> {
    /// The answer that tells `decision` to who asked with this `id`.
    pub fn new(id: Option<&'a RawValue>, decision: &'a Decision<'_>) -> Self {
        let outcome = match decision {
            Decision::Allow(allow) => Outcome::Allow { token: allow.token(), grants: allow.grants() },
            Decision::Deny(reason) => Outcome::Deny { reason: reason.code(), status: reason.status() },
        };
        Self { id, outcome, logged: None }
    }

    /// The same, with how the request was decided when it was `logged`, if that was otherwise.
    #[must_use]
    pub fn logged(self, logged: Option<Logged>) -> Self {
        let now = match self.outcome {
            Outcome::Allow { .. } => ALLOW,
            Outcome::Deny { reason, .. } => reason,
        };
        let before = logged.map(|logged| logged.map_or_else(Reason::code, |()| ALLOW));
        Self { logged: before.filter(|before| *before != now), ..self }
    }

    /// Whether it was decided otherwise when it was logged.
    pub fn differs_from_log(&self) -> bool {
        self.logged.is_some()
    }
}
