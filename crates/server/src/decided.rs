//! One request that was decided: what metrics, the decision log and the shadow policy are told of.

use std::time::Duration;

use portcullis::base::Timestamp;
use portcullis::decision::{Decision, Request};

/// One request that was decided. Borrows everything; holds the client's secret only where `request` does.
#[derive(Debug, Clone, Copy)]
pub struct Decided<'a> {
    /// When it was decided, by the system's clock.
    pub at: Timestamp,
    /// The instant that the caller asked about, where that is not the present.
    pub evaluated_at: Option<Timestamp>,
    /// What identifies the request to who asked.
    pub ids: Ids<'a>,
    /// The generation that decided.
    pub generation: u64,
    /// The id of the presented token, where it is known, of denials, too.
    pub token_id: Option<&'a str>,
    /// What was asked; `None` where that was not understood.
    pub request: Option<&'a Request<'a>>,
    /// The answer.
    pub decision: &'a Decision<'a>,
    /// How long it took.
    pub took: Duration,
}

impl Decided<'_> {
    /// The instant that the decision is about.
    pub fn instant(&self) -> Timestamp {
        self.evaluated_at.unwrap_or(self.at)
    }
}

/// A preflight, about which no token decides, and what became of it.
#[derive(Debug, Clone, Copy)]
pub struct PreflightSeen<'a> {
    /// When it came.
    pub at: Timestamp,
    /// What identifies it to who asked.
    pub ids: Ids<'a>,
    /// The generation that was active.
    pub generation: u64,
    /// What became of it.
    pub end: PreflightEnd,
}

/// What became of a preflight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PreflightEnd {
    /// It passed to the upstream.
    Passed,
    /// It was answered instead of the upstream.
    Answered,
    /// It was refused.
    Refused,
}

impl PreflightEnd {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Passed, Self::Answered, Self::Refused];

    /// The name in the decision log and in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Answered => "answered",
            Self::Refused => "refused",
        }
    }
}

/// What identifies a request to who asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ids<'a> {
    /// The request's own id: `X-Request-ID`.
    pub request: Option<&'a str>,
    /// The id of the trace that it belongs to, 32 hexadecimal digits (W3C Trace Context).
    pub trace: Option<&'a str>,
}

impl<'a> Ids<'a> {
    /// The request's own id, or else its trace's.
    pub fn either(&self) -> Option<&'a str> {
        self.request.or(self.trace)
    }
}
