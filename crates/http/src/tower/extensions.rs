//! Decisions in extensions, for handlers and access logs.

use http::Extensions;
use smallvec::SmallVec;

use crate::answer::{HttpDecision, Outcome};
use portcullis::decision::Reason;

/// The decision in the extensions of an allowed request: token, generation and grants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowed {
    token_id: String,
    generation: u64,
    grants: SmallVec<[u32; 4]>,
}

/// The decision in the extensions of a response that denies a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denied {
    reason: Reason,
    token_id: Option<String>,
    generation: u64,
}

impl Allowed {
    /// Returns the id of the token.
    pub fn token_id(&self) -> &str {
        &self.token_id
    }

    /// Returns the generation of the policy that decided.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Returns, for each source of the request, the index of the grant in the token's list.
    pub fn grants(&self) -> &[u32] {
        &self.grants
    }

    /// Returns extensions with the decision; empty if no token decided.
    pub(super) fn of(decision: HttpDecision) -> Extensions {
        let mut extensions = Extensions::new();
        if let (Outcome::Allow { grants }, Some(token_id)) = (decision.outcome, decision.token_id) {
            extensions.insert(Self { token_id, generation: decision.generation, grants });
        }
        extensions
    }
}

impl Denied {
    /// Returns the reason.
    pub fn reason(&self) -> Reason {
        self.reason
    }

    /// Returns the id of the presented token, if it is known.
    pub fn token_id(&self) -> Option<&str> {
        self.token_id.as_deref()
    }

    /// Returns the generation of the policy that decided; 0 without a policy.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    pub(super) fn of(decision: HttpDecision) -> Extensions {
        let mut extensions = Extensions::new();
        if let Outcome::Deny { reason, .. } = decision.outcome {
            extensions.insert(Self { reason, token_id: decision.token_id, generation: decision.generation });
        }
        extensions
    }
}
