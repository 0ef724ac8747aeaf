//! The one way from a request to its answer, whatever protocol it came by.

use std::borrow::Cow;
use std::fmt;

use super::decided::{Decided, Ids, PreflightEnd, PreflightSeen};
use super::operations::Operations;
use portcullis::authorizer::{Clock, Current, SystemClock};
use portcullis::base::Timestamp;
use portcullis::decision::{Decision, Reason, Request};
use portcullis_http::answer::{Cors, HttpDecision, Outcome};
use portcullis_http::gateway::{HttpRequest, Preflight, Reader, Reading};

/// What decides a request once it is read.
///
/// It is the current snapshot, always, but where a server is measured without its decisions.
pub trait Decide: fmt::Debug + Send + Sync + 'static {
    /// The decision of `request`, with the id of the presented token where it is known.
    fn decide<'a>(
        &'a self,
        current: &'a Current,
        request: &Request<'_>,
        instant: Instant,
    ) -> (Option<&'a str>, Decision<'a>);
}

/// The instant that a decision is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Instant {
    /// The present, by the system's clock: the request is a use of its token.
    Now(Timestamp),
    /// An instant that the caller names: a question, which is not a use of the token.
    Named(Timestamp),
}

/// Decides by the current snapshot.
#[derive(Debug)]
struct BySnapshot;

impl Decide for BySnapshot {
    fn decide<'a>(
        &'a self,
        current: &'a Current,
        request: &Request<'_>,
        instant: Instant,
    ) -> (Option<&'a str>, Decision<'a>) {
        match instant {
            Instant::Now(now) => current.decide_identified(request, now),
            Instant::Named(at) => current.evaluate_identified(request, at),
        }
    }
}

/// Whom every protocol asks: decides requests, and tells [`Operations`] of each.
#[derive(Debug)]
pub struct Authority {
    operations: Operations,
    reader: Reader,
    decide: Box<dyn Decide>,
}

impl Authority {
    /// An authority that reads HTTP requests with `reader`.
    pub fn new(operations: Operations, reader: Reader) -> Self {
        Self { operations, reader, decide: Box::new(BySnapshot) }
    }

    /// The same, with another's decisions.
    #[must_use]
    pub fn with_decisions(self, decide: impl Decide) -> Self {
        Self { decide: Box::new(decide), ..self }
    }

    /// What stands beside the decisions.
    pub fn operations(&self) -> &Operations {
        &self.operations
    }

    /// Decides what a gateway was asked (W1 to W6): `request` is the client's own, `ids` identify it in the log, and `cors`
    /// are the web sites whose preflights are answered instead of the upstream.
    pub fn ask(&self, request: &HttpRequest<'_>, ids: Ids<'_>, cors: &Cors) -> HttpDecision {
        match self.reader.read(request) {
            Ok(Reading::Access(access)) => self.decide(&access.request(&access.sources()), ids, None),
            Ok(Reading::PassedThrough) => HttpDecision::pass(self.operations.authorizer().current().number()),
            Ok(Reading::Preflight(preflight)) => self.preflight(&preflight, ids, cors),
            Err(why) => self.not_understood(why.to_string().into(), ids),
        }
    }

    fn preflight(&self, preflight: &Preflight<'_>, ids: Ids<'_>, cors: &Cors) -> HttpDecision {
        let generation = self.operations.authorizer().current().number();
        let verdict = if preflight.passes {
            HttpDecision::pass(generation)
        } else {
            HttpDecision::of_preflight(preflight.origin, cors, generation)
        };
        let end = match verdict.outcome {
            Outcome::Allow { .. } | Outcome::Pass => PreflightEnd::Passed,
            Outcome::Preflight => PreflightEnd::Answered,
            Outcome::Deny { .. } => PreflightEnd::Refused,
        };
        self.operations.observe_preflight(&PreflightSeen { at: SystemClock.now(), ids, generation, end });
        verdict
    }

    /// Denies what cannot be read without doubt (W6).
    pub fn not_understood(&self, why: Cow<'static, str>, ids: Ids<'_>) -> HttpDecision {
        let generation = self.operations.authorizer().current().number();
        self.operations.observe(&Decided {
            at: SystemClock.now(),
            evaluated_at: None,
            ids,
            generation,
            token_id: None,
            request: None,
            decision: &Decision::Deny(Reason::RequestNotUnderstood),
            took: std::time::Duration::ZERO,
        });
        HttpDecision::not_understood(why, generation)
    }

    /// Decides `request`, now or at the instant that the caller names. The latter is logged under the present time, and is not
    /// counted as a use of the token.
    pub fn decide(&self, request: &Request<'_>, ids: Ids<'_>, named: Option<Timestamp>) -> HttpDecision {
        let begun = std::time::Instant::now();
        let at = SystemClock.now();
        let current = self.operations.authorizer().current();
        let instant = named.map_or(Instant::Now(at), Instant::Named);
        let (token_id, decision) = self.decide.decide(&current, request, instant);
        let took = begun.elapsed();
        let generation = current.number();
        let request = Some(request);
        let decided =
            Decided { at, evaluated_at: named, ids, generation, token_id, request, decision: &decision, took };
        self.operations.observe(&decided);
        HttpDecision::of(&decision, generation, token_id)
    }
}
