//! What a request was read as.

use std::borrow::Cow;
use std::fmt;

use smallvec::SmallVec;

use portcullis::decision::{Credential, Reason, Request, Source, Sources};
use portcullis::model::Operation;

/// What a request is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reading<'r> {
    /// It asks for something that a decision is made about.
    Access(Access<'r>),
    /// A browser's preflight.
    Preflight(Preflight<'r>),
    /// Its path is one that the operator lets pass undecided (W6).
    PassedThrough,
}

/// A browser's preflight (W4). It carries no token, so that nothing about it can be decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Preflight<'r> {
    /// The `Origin` header.
    pub origin: &'r str,
    /// Whether the operator lets preflights pass ([`Preflights::Pass`](super::Preflights::Pass)). Where not, the caller answers or denies it, and never
    /// passes it on.
    pub passes: bool,
}

/// How a source is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SourceKind {
    /// A fully qualified table, tileset or raster.
    Resource,
    /// The text of a query.
    Query,
    /// A named source.
    NamedSource,
}

impl SourceKind {
    /// The name that requests and documents write.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Resource => "resource",
            Self::Query => "query",
            Self::NamedSource => "named_source",
        }
    }
}

/// What a request asks for. `Debug` does not show the token.
#[derive(Clone, PartialEq, Eq)]
pub struct Access<'r> {
    /// The secret that was presented (W4).
    pub token: Option<Cow<'r, str>>,
    /// The name of the API.
    pub api: &'r str,
    /// What is done under it.
    pub operation: Operation,
    /// The name of the connection; empty under an API without.
    pub connection: Cow<'r, str>,
    /// What is read or written, in the order of the route's table.
    pub sources: SmallVec<[(SourceKind, Cow<'r, str>); 2]>,
    /// The `Referer` header, or what stands for it (W4).
    pub referer: Option<Cow<'r, str>>,
}

impl Access<'_> {
    /// What is read or written, to be lent to [`Access::request`].
    pub fn sources(&self) -> SmallVec<[Source<'_>; 2]> {
        self.sources
            .iter()
            .map(|(kind, text)| match kind {
                SourceKind::Resource => Source::Resource(text),
                SourceKind::Query => Source::Query(text),
                SourceKind::NamedSource => Source::NamedSource(text),
            })
            .collect()
    }

    /// The request for a decision, with the sources that [`Access::sources`] returned.
    pub fn request<'a>(&'a self, sources: &'a [Source<'a>]) -> Request<'a> {
        Request {
            credential: self.token.as_deref().map_or(Credential::Missing, Credential::Secret),
            api: self.api,
            operation: self.operation,
            connection: &self.connection,
            sources: match sources {
                [source] => Sources::One(*source),
                many => Sources::Many(many),
            },
            referer: self.referer.as_deref(),
        }
    }
}

impl fmt::Debug for Access<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The request for a decision hides the secret.
        self.request(&self.sources()).fmt(f)
    }
}

/// A request that cannot be read without doubt, and why (W6). It is denied with [`Reason::RequestNotUnderstood`].
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

    /// Always [`Reason::RequestNotUnderstood`].
    pub const fn reason(&self) -> Reason {
        Reason::RequestNotUnderstood
    }
}
