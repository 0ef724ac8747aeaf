//! A decision, written.

use serde::Serialize;
use serde_json::value::RawValue;

use crate::decision::Decision;

/// The answer to a request: `{"id": …, "decision": "allow", "token": …, "grants": […]}` or
/// `{"id": …, "decision": "deny", "reason": …, "status": …}`.
#[derive(Debug, Serialize)]
pub struct Answer<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a RawValue>,
    #[serde(flatten)]
    outcome: Outcome<'a>,
}

#[derive(Debug, Serialize)]
#[serde(tag = "decision", rename_all = "lowercase")]
enum Outcome<'a> {
    Allow { token: &'a str, grants: &'a [u32] },
    Deny { reason: &'static str, status: u16 },
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
        Self { id, outcome }
    }
}
