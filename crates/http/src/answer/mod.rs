//! What clients, gateways and upstreams are told of a decision: the sidecar and the `tower` layer answer alike.

mod body;
mod http;
mod words;

use std::borrow::Cow;

use smallvec::SmallVec;

use portcullis::decision::{Decision, Reason};

pub use body::read;
pub use http::Cors;
pub use http::OWN;
pub use http::json;
pub use http::{Answers, failure};
pub use http::{GENERATION, TOKEN_ID};
pub use words::Denial;

/// The answer to one request, owned: it outlives the snapshot that it was made by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// What is decided.
    pub outcome: Outcome,
    /// The generation that decided; 0 where there is no policy.
    pub generation: u64,
    /// The id of the presented token, where it is known: of denials, too.
    pub token_id: Option<String>,
}

/// What is decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Yes.
    Allow {
        /// For each source, the place of the grant in the token's list.
        grants: SmallVec<[u32; 4]>,
    },
    /// Yes, without a decision: a path, or a preflight, that the operator lets pass (W4, W6).
    Pass,
    /// No: a preflight that is answered instead of the upstream (W4).
    Preflight,
    /// No.
    Deny {
        /// Why.
        reason: Reason,
        /// The same for people. Repeats nothing that the client sent.
        error: Cow<'static, str>,
    },
}

impl Verdict {
    /// What `decision` says, about the token of this id.
    pub fn of(decision: &Decision<'_>, generation: u64, token_id: Option<&str>) -> Self {
        let outcome = match decision {
            Decision::Allow(allow) => Outcome::Allow { grants: allow.grants().into() },
            Decision::Deny(reason) => Outcome::Deny { reason: *reason, error: words::of(*reason).into() },
        };
        Self { outcome, generation, token_id: token_id.map(str::to_owned) }
    }

    /// Of what is not decided by tokens.
    pub fn pass(generation: u64) -> Self {
        Self { outcome: Outcome::Pass, generation, token_id: None }
    }

    /// The verdict on a preflight that does not pass: it is answered if `cors` allows its origin, and denied otherwise.
    pub fn of_preflight(origin: &str, cors: &Cors, generation: u64) -> Self {
        if cors.allows(origin) {
            Self { outcome: Outcome::Preflight, generation, token_id: None }
        } else {
            Self::not_understood(
                "a preflight, which carries no token, from an origin that is not answered".into(),
                generation,
            )
        }
    }

    /// Of what cannot be read without doubt (W6).
    pub fn not_understood(why: Cow<'static, str>, generation: u64) -> Self {
        let outcome = Outcome::Deny { reason: Reason::RequestNotUnderstood, error: why };
        Self { outcome, generation, token_id: None }
    }

    /// Whether the answer is yes.
    pub fn is_yes(&self) -> bool {
        matches!(self.outcome, Outcome::Allow { .. } | Outcome::Pass)
    }

    /// The HTTP status of the answer.
    pub fn status(&self) -> u16 {
        match self.outcome {
            Outcome::Deny { reason, .. } => reason.status(),
            Outcome::Allow { .. } | Outcome::Pass => 200,
            Outcome::Preflight => 204,
        }
    }
}
