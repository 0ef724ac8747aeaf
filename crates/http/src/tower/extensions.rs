//! What handlers and access logs find of a decision.

use http::Extensions;
use smallvec::SmallVec;

use crate::answer::{Outcome, Verdict};
use portcullis::decision::Reason;

/// In the extensions of a request that was allowed: by which token, generation and grants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowed {
    token_id: String,
    generation: u64,
    grants: SmallVec<[u32; 4]>,
}

/// In the extensions of an answer that is a denial.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denied {
    reason: Reason,
    token_id: Option<String>,
    generation: u64,
}

impl Allowed {
    /// The id of the token.
    pub fn token_id(&self) -> &str {
        &self.token_id
    }

    /// The generation of the policy that decided.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// For each source that was asked for, the place of the grant in the token's list.
    pub fn grants(&self) -> &[u32] {
        &self.grants
    }

    /// Extensions that hold it; empty where no token was asked for.
    pub(super) fn of(verdict: Verdict) -> Extensions {
        let mut extensions = Extensions::new();
        if let (Outcome::Allow { grants }, Some(token_id)) = (verdict.outcome, verdict.token_id) {
            extensions.insert(Self { token_id, generation: verdict.generation, grants });
        }
        extensions
    }
}

impl Denied {
    /// Why.
    pub fn reason(&self) -> Reason {
        self.reason
    }

    /// The id of the presented token, where it is known.
    pub fn token_id(&self) -> Option<&str> {
        self.token_id.as_deref()
    }

    /// The generation of the policy that decided; 0 without one.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    pub(super) fn of(verdict: Verdict) -> Extensions {
        let mut extensions = Extensions::new();
        if let Outcome::Deny { reason, .. } = verdict.outcome {
            extensions.insert(Self { reason, token_id: verdict.token_id, generation: verdict.generation });
        }
        extensions
    }
}
