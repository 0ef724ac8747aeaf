//! One decided request, as metrics, the decision log and the shadow policy receive it.

use std::time::Duration;

use portcullis::base::Timestamp;
use portcullis::decision::{Decision, Request};

/// One decided request. Borrows everything; holds the client's secret only in `request`.
#[derive(Debug, Clone, Copy)]
pub struct Decided<'a> {
    /// The time of the decision, by the system's clock.
    pub at: Timestamp,
    /// The instant that the caller named, unless the decision is about the present.
    pub evaluated_at: Option<Timestamp>,
    /// The ids by which the caller knows the request.
    pub ids: Ids<'a>,
    /// The generation that decided.
    pub generation: u64,
    /// The id of the presented token, if known. Denials have it, too.
    pub token_id: Option<&'a str>,
    /// The request; `None` if it was not understood.
    pub request: Option<&'a Request<'a>>,
    /// The decision.
    pub decision: &'a Decision<'a>,
    /// The duration of the decision.
    pub took: Duration,
}

impl Decided<'_> {
    /// Returns the instant that the decision is about.
    pub fn instant(&self) -> Timestamp {
        self.evaluated_at.unwrap_or(self.at)
    }
}

/// A request that was not understood, and what is known about it. Holds no secret.
#[derive(Debug, Clone, Copy)]
pub struct Unread<'a> {
    /// The time of its arrival.
    pub at: Timestamp,
    /// The ids by which the caller knows it.
    pub ids: Ids<'a>,
    /// The generation that was active.
    pub generation: u64,
    /// Why it was not understood.
    pub why: &'a str,
    /// The method, if known.
    pub method: Option<&'a str>,
    /// The path without its query, if known.
    pub path: Option<&'a str>,
    /// The id of the presented token, if known.
    pub token_id: Option<&'a str>,
}

/// A preflight, which no token decides, and its result.
#[derive(Debug, Clone, Copy)]
pub struct ObservedPreflight<'a> {
    /// The time of its arrival.
    pub at: Timestamp,
    /// The ids by which the caller knows it.
    pub ids: Ids<'a>,
    /// The generation that was active.
    pub generation: u64,
    /// The result.
    pub end: PreflightEnd,
}

/// The result of a preflight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PreflightEnd {
    /// It was passed to the upstream.
    Passed,
    /// It was answered without the upstream.
    Answered,
    /// It was refused.
    Refused,
}

impl PreflightEnd {
    /// Every result.
    pub const ALL: [Self; 3] = [Self::Passed, Self::Answered, Self::Refused];

    /// Returns the name in the decision log and in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Answered => "answered",
            Self::Refused => "refused",
        }
    }
}

/// The ids by which the caller knows a request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ids<'a> {
    /// The id of the request: `X-Request-ID`.
    pub request: Option<&'a str>,
    /// The id of the trace that the request belongs to, 32 hexadecimal digits (W3C Trace Context).
    pub trace: Option<&'a str>,
}

impl<'a> Ids<'a> {
    /// Returns the id of the request or, without one, the id of its trace.
    pub fn either(&self) -> Option<&'a str> {
        self.request.or(self.trace)
    }
}
