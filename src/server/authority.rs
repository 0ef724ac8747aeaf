//! The one way from a request to its answer, whatever protocol it came by.

use std::borrow::Cow;
use std::time::Instant;

use smallvec::SmallVec;

use super::decided::Decided;
use super::operations::Operations;
use super::words;
use crate::authorizer::{Clock, SystemClock};
use crate::base::Timestamp;
use crate::decision::{Decision, Reason, Request};
use crate::gateway::{HttpRequest, Reader, Reading};

/// Decides requests, and tells [`Operations`] of each.
#[derive(Debug)]
pub struct Authority {
    operations: Operations,
    reader: Reader,
}

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
    /// Yes, for it is nothing that is decided by tokens: a preflight, or a path that the operator lets pass (W4, W6).
    Pass,
    /// No.
    Deny {
        /// Why.
        reason: Reason,
        /// The same for people. Repeats nothing that the client sent.
        error: Cow<'static, str>,
    },
}

impl Authority {
    /// An authority that reads HTTP requests with `reader`.
    pub fn new(operations: Operations, reader: Reader) -> Self {
        Self { operations, reader }
    }

    /// What stands beside the decisions.
    pub fn operations(&self) -> &Operations {
        &self.operations
    }

    /// Decides what a gateway was asked (W1 to W6): `request` is the client's own, `id` what identifies it in the log.
    pub fn ask(&self, request: &HttpRequest<'_>, id: Option<&str>) -> Verdict {
        match self.reader.read(request) {
            Ok(Reading::Access(access)) => self.decide(&access.request(&access.sources()), id, None),
            Ok(Reading::Preflight | Reading::PassedThrough) => {
                let generation = self.operations.authorizer().current().number();
                Verdict { outcome: Outcome::Pass, generation, token_id: None }
            }
            Err(why) => self.not_understood(why.to_string(), id),
        }
    }

    /// Denies what cannot be read without doubt (W6).
    pub fn not_understood(&self, why: impl Into<Cow<'static, str>>, id: Option<&str>) -> Verdict {
        let reason = Reason::RequestNotUnderstood;
        let generation = self.operations.authorizer().current().number();
        self.operations.observe(&Decided {
            at: SystemClock.now(),
            id,
            generation,
            token_id: None,
            request: None,
            decision: &Decision::Deny(reason),
            took: std::time::Duration::ZERO,
        });
        Verdict { outcome: Outcome::Deny { reason, error: why.into() }, generation, token_id: None }
    }

    /// Decides `request`, at the instant `at` or else now.
    pub fn decide(&self, request: &Request<'_>, id: Option<&str>, at: Option<Timestamp>) -> Verdict {
        let begun = Instant::now();
        let at = at.unwrap_or_else(|| SystemClock.now());
        let current = self.operations.authorizer().current();
        let (token_id, decision) = current.decide_identified(request, at);
        let took = begun.elapsed();
        let generation = current.number();
        let request = Some(request);
        self.operations.observe(&Decided { at, id, generation, token_id, request, decision: &decision, took });
        let outcome = match &decision {
            Decision::Allow(allow) => Outcome::Allow { grants: allow.grants().into() },
            Decision::Deny(reason) => Outcome::Deny { reason: *reason, error: words::of(*reason).into() },
        };
        Verdict { outcome, generation, token_id: token_id.map(str::to_owned) }
    }
}

impl Verdict {
    /// Whether the answer is yes.
    pub fn is_yes(&self) -> bool {
        !matches!(self.outcome, Outcome::Deny { .. })
    }

    /// The HTTP status of the answer.
    pub fn status(&self) -> u16 {
        match self.outcome {
            Outcome::Deny { reason, .. } => reason.status(),
            Outcome::Allow { .. } | Outcome::Pass => 200,
        }
    }
}
