//! Responses to clients, gateways and upstreams, the same from the sidecar and the `tower` layer.

mod body;
mod decide;
mod http;
mod words;

use std::borrow::Cow;

use smallvec::SmallVec;

use portcullis::decision::{Decision, Reason};

pub use body::{body_too_large, read};
pub use decide::{decide, decide_borrowed};
pub use http::Cors;
pub use http::json;
pub use http::{GENERATION, TOKEN_ID, escaped_id};
pub use http::{OWN, is_own};
pub use http::{Responses, failure, token_id};
pub use words::Denial;

/// The decision on one HTTP request. With an owned id, it outlives the snapshot that decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpDecision<Id = String> {
    /// The outcome of a decision.
    pub outcome: Outcome,
    /// The generation that decided; 0 without a policy.
    pub generation: u64,
    /// The id of the presented token, if it is known: also of a denial.
    pub token_id: Option<Id>,
}

/// The outcome of a decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Allow.
    Allow {
        /// For each source, the index of the grant in the token's list.
        grants: SmallVec<[u32; 4]>,
    },
    /// Allow without a decision: a path or a preflight that the operator lets pass (W4, W6).
    Pass,
    /// Deny: a preflight that is answered instead of the upstream (W4).
    Preflight,
    /// Deny.
    Deny {
        /// The reason.
        reason: Reason,
        /// The message for people. Repeats nothing that the client sent.
        error: Cow<'static, str>,
    },
}

impl HttpDecision {
    /// Converts a `decision` on the token with this id.
    pub fn of(decision: &Decision<'_>, generation: u64, token_id: Option<&str>) -> Self {
        Self { outcome: Outcome::of(decision), generation, token_id: token_id.map(str::to_owned) }
    }

    /// Returns an allow without a decision.
    pub fn pass(generation: u64) -> Self {
        Self { outcome: Outcome::Pass, generation, token_id: None }
    }

    /// Answers a preflight that does not pass: allows the origin if `cors` does, otherwise denies it.
    pub fn of_preflight(origin: &str, cors: &Cors, generation: u64) -> Self {
        Self { outcome: Outcome::of_preflight(origin, cors), generation, token_id: None }
    }

    /// Denies an HTTP request that is ambiguous (W6).
    pub fn not_understood(why: Cow<'static, str>, generation: u64) -> Self {
        Self { outcome: Outcome::not_understood(why), generation, token_id: None }
    }
}

impl Outcome {
    /// Converts a `decision`.
    pub fn of(decision: &Decision<'_>) -> Self {
        match decision {
            Decision::Allow(allow) => Self::Allow { grants: allow.grants().into() },
            Decision::Deny(reason) => Self::Deny { reason: *reason, error: words::of(*reason).into() },
        }
    }

    /// Denies an HTTP request that is ambiguous (W6).
    fn not_understood(why: Cow<'static, str>) -> Self {
        Self::Deny { reason: Reason::RequestNotUnderstood, error: why }
    }

    /// Answers a preflight that does not pass: allows the origin if `cors` does, otherwise denies it.
    fn of_preflight(origin: &str, cors: &Cors) -> Self {
        if cors.allows(origin) {
            Self::Preflight
        } else {
            Self::not_understood("a preflight, which carries no token, from an origin that is not answered".into())
        }
    }
}

impl<Id> HttpDecision<Id> {
    /// Whether the request is allowed.
    pub fn is_allow(&self) -> bool {
        matches!(self.outcome, Outcome::Allow { .. } | Outcome::Pass)
    }

    /// Returns the HTTP status of the response.
    pub fn status(&self) -> u16 {
        match self.outcome {
            Outcome::Deny { reason, .. } => reason.status(),
            Outcome::Allow { .. } | Outcome::Pass => 200,
            Outcome::Preflight => 204,
        }
    }
}
