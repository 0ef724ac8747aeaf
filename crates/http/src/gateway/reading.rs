//! The result of reading an HTTP request.

use std::borrow::Cow;

use crate::access::Access;
use portcullis::decision::Reason;

/// An HTTP request, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reading<'r> {
    /// A request for a decision.
    Access(Access<'r>),
    /// A browser's preflight.
    Preflight(Preflight<'r>),
    /// A path that the operator lets pass without a decision (W6).
    PassedThrough,
}

/// A browser's preflight (W4). It carries no token, so that nothing about it can be decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Preflight<'r> {
    /// The `Origin` header.
    pub origin: &'r str,
    /// Whether the operator lets preflights pass ([`Preflights::Pass`](super::Preflights::Pass)). If not, the caller
    /// answers or denies it, and never passes it on.
    pub passes: bool,
}

/// An HTTP request that is not understood, with the reason (W6). It is denied with [`Reason::RequestNotUnderstood`].
///
/// The message names headers and the parameters of the route, and repeats nothing that the client sent.
///
/// ```
/// use portcullis_http::gateway::{Body, HttpRequest, Reader};
///
/// let target = "/v3/maps/dw/table?name=a.b.c&name=a.b.secret";
/// let request = HttpRequest { method: "GET", target, headers: &[("", ""); 0], body: Body::Whole(b"") };
/// let error = Reader::default().read(&request).unwrap_err();
/// assert_eq!(error.to_string(), "a parameter is given twice in the query");
/// assert_eq!(error.reason().code(), "request_not_understood");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct NotUnderstood {
    why: Cow<'static, str>,
}

impl NotUnderstood {
    pub(super) fn new(why: impl Into<Cow<'static, str>>) -> Self {
        Self { why: why.into() }
    }

    /// Returns [`Reason::RequestNotUnderstood`].
    pub const fn reason(&self) -> Reason {
        Reason::RequestNotUnderstood
    }
}
