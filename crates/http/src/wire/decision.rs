//! A decision as JSON.
//!
//! Three other formats stay apart on purpose: a line of the decision log, which also holds the request and its sample;
//! AuthZEN, whose `decision` is a Boolean; and an explanation, which always has a `status`.

use serde::Serialize;
use serde_json::value::RawValue;

use super::Logged;
use crate::answer::{HttpDecision, Outcome};
use portcullis::decision::{Decision, Reason};

/// A decision: `{"id": …, "decision": "allow", "token": …, "grants": […]}` or
/// `{"id": …, "decision": "deny", "reason": …, "status": …}`.
#[derive(Debug, Serialize)]
pub struct WireDecision<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a RawValue>,
    decision: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    grants: Option<&'a [u32]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    logged: Option<&'static str>,
}

const ALLOW: &str = "allow";
const DENY: &str = "deny";

/// A line of a log that lacks something that a decision needs.
#[derive(Debug, Serialize)]
pub struct SkippedLine<'a> {
    /// The id of the request, as it is written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<&'a RawValue>,
    /// The line number, counted from 1.
    pub line: u64,
    /// The missing part.
    pub skipped: &'a str,
}

/// A line that is not a valid request.
#[derive(Debug, Serialize)]
pub struct ErrorLine<'a> {
    /// The line number, counted from 1.
    pub line: u64,
    /// The error.
    pub error: &'a str,
}

impl<'a> WireDecision<'a> {
    /// Writes `decision` on the request with this `id`.
    pub fn new(id: Option<&'a RawValue>, decision: &'a Decision<'_>) -> Self {
        match decision {
            Decision::Allow(allow) => Self::allow(id, Some(allow.token()), Some(allow.grants())),
            Decision::Deny(reason) => Self::deny(id, Some(*reason)),
        }
    }

    /// Writes an HTTP decision on the request with this `id`.
    pub fn of_http(id: Option<&'a RawValue>, decision: &'a HttpDecision) -> Self {
        match &decision.outcome {
            Outcome::Allow { grants } => Self::allow(id, decision.token_id.as_deref(), Some(grants)),
            Outcome::Deny { reason, .. } => Self::deny(id, Some(*reason)),
            // Only HTTP requests pass or are preflights.
            Outcome::Pass => Self::allow(id, None, None),
            Outcome::Preflight => Self::deny(id, None),
        }
    }

    /// Adds the decision that was `logged` for the request, if it differs from this one.
    #[must_use]
    pub fn logged(self, logged: Option<Logged>) -> Self {
        let now = self.reason.unwrap_or(self.decision);
        let before = logged.map(|logged| logged.map_or_else(Reason::code, |()| ALLOW));
        Self { logged: before.filter(|before| *before != now), ..self }
    }

    /// Whether the logged decision differs from this one.
    pub fn differs_from_log(&self) -> bool {
        self.logged.is_some()
    }

    fn allow(id: Option<&'a RawValue>, token: Option<&'a str>, grants: Option<&'a [u32]>) -> Self {
        Self { id, decision: ALLOW, token, grants, reason: None, status: None, logged: None }
    }

    fn deny(id: Option<&'a RawValue>, reason: Option<Reason>) -> Self {
        let (code, status) = (reason.map(Reason::code), reason.map(Reason::status));
        Self { id, decision: DENY, token: None, grants: None, reason: code, status, logged: None }
    }
}
