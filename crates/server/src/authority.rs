//! Decides the requests of all protocols.

use std::borrow::Cow;

use super::decided::{Decided, Ids, ObservedPreflight, PreflightEnd, Unread};
use super::operations::Operations;
use super::unread::{Seen, secrets_of};
use portcullis::authorizer::{Clock, SystemClock};
use portcullis::base::Timestamp;
use portcullis::decision::Request;
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

    /// Returns whether a policy is active that has no API of this name: every request for this API is then denied.
    pub(super) fn lacks_api(&self, name: &str) -> bool {
        self.operations.authorizer().current().snapshot().is_some_and(|snapshot| snapshot.apis().find(name).is_none())
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
            Err(why) => {
                let secrets = secrets_of(request);
                let (method, target) = (Some(request.method), Some(request.target));
                self.not_understood(why.to_string().into(), ids, &Seen { method, target, secrets: &secrets })
            }
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

    /// Denies a request that cannot be read with certainty (W6). `seen` is what the log reports of it.
    pub fn not_understood(&self, why: Cow<'static, str>, ids: Ids<'_>, seen: &Seen<'_>) -> HttpDecision {
        let (at, current) = (SystemClock.now(), self.operations.authorizer().current());
        // Does not count as a use of the token.
        let id_of = |secret: &str| current.evaluate_identified(&Request::new("", "").secret(secret), at).0;
        let path = seen.path(|text| id_of(text).is_some());
        self.operations.observe_unread(&Unread {
            at,
            ids,
            generation: current.number(),
            why: &why,
            method: seen.method(),
            path: path.as_deref(),
            token_id: seen.secret().and_then(id_of),
        });
        HttpDecision::not_understood(why, current.number())
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
