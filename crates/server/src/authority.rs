//! Decides the requests of all protocols.

use std::borrow::Cow;

use super::decided::{Decided, Ids, ObservedPreflight, PreflightEnd};
use super::operations::Operations;
use portcullis::authorizer::{Clock, SystemClock};
use portcullis::base::Timestamp;
use portcullis::decision::{Decision, Reason, Request};
use portcullis_http::answer::{Cors, HttpDecision, Outcome};
use portcullis_http::gateway::{HttpRequest, Preflight, Reader, Reading};

/// Decides the requests of every protocol and reports each to [`Operations`].
#[derive(Debug)]
pub struct Authority {
    operations: Operations,
    reader: Reader,
}

impl Authority {
    /// Creates an authority that reads HTTP requests with `reader`.
    pub fn new(operations: Operations, reader: Reader) -> Self {
        Self { operations, reader }
    }

    /// Returns the metrics, the logs and the active policy.
    pub fn operations(&self) -> &Operations {
        &self.operations
    }

    /// Reads and decides the HTTP request of a client (W1 to W6).
    ///
    /// `ids` identify the HTTP request in the log. `cors` lists the web sites whose preflights are answered here and not by
    /// the upstream.
    pub fn decide_http(&self, request: &HttpRequest<'_>, ids: Ids<'_>, cors: &Cors) -> HttpDecision {
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
        self.operations.observe_preflight(&ObservedPreflight { at: SystemClock.now(), ids, generation, end });
        verdict
    }

    /// Denies a request that cannot be read with certainty (W6).
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

    /// Decides `request`, now or at the instant `named`.
    ///
    /// The log records a decision for `named` under the current time. Such a decision does not count as a use of the token.
    pub fn decide(&self, request: &Request<'_>, ids: Ids<'_>, named: Option<Timestamp>) -> HttpDecision {
        let begun = std::time::Instant::now();
        let at = SystemClock.now();
        let current = self.operations.authorizer().current();
        // A question about another instant is not a use of the token.
        let (token_id, decision) = match named {
            None => current.decide_identified(request, at),
            Some(instant) => current.evaluate_identified(request, instant),
        };
        let took = begun.elapsed();
        let generation = current.number();
        let request = Some(request);
        let decided =
            Decided { at, evaluated_at: named, ids, generation, token_id, request, decision: &decision, took };
        self.operations.observe(&decided);
        HttpDecision::of(&decision, generation, token_id)
    }
}
