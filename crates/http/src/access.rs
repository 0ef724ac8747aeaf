//! Requests for a decision that own their texts, or borrow them from the input.

use std::borrow::Cow;
use std::fmt;

use smallvec::SmallVec;

use portcullis::decision::{Credential, Request, Source, Sources};
use portcullis::model::Operation;

/// The kind of a source in a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SourceKind {
    /// A fully qualified table, tileset or raster.
    Resource,
    /// The text of a query.
    Query,
    /// A named source.
    NamedSource,
}

/// The source of a request: its kind and its text.
pub type AccessSource<'t> = (SourceKind, Cow<'t, str>);

/// A request for a decision, read from an HTTP request or from JSON. `Debug` hides the token.
#[derive(Clone, PartialEq, Eq)]
pub struct Access<'t> {
    /// The secret that the client presented; never empty.
    pub token: Option<Cow<'t, str>>,
    /// The name of the API.
    pub api: Cow<'t, str>,
    /// The operation under the API.
    pub operation: Operation,
    /// The name of the connection; empty under an API that needs none.
    pub connection: Cow<'t, str>,
    /// The sources that are read or written; of an HTTP request, in the order of the route's table.
    pub sources: SmallVec<[AccessSource<'t>; 2]>,
    /// The `Referer` header, or its replacement (W4).
    pub referer: Option<Cow<'t, str>>,
}

impl SourceKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Resource, Self::Query, Self::NamedSource];

    /// The name in requests and documents.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Resource => "resource",
            Self::Query => "query",
            Self::NamedSource => "named_source",
        }
    }

    /// Returns the kind with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }

    /// Returns the source of this kind with this text.
    pub const fn source(self, text: &str) -> Source<'_> {
        match self {
            Self::Resource => Source::Resource(text),
            Self::Query => Source::Query(text),
            Self::NamedSource => Source::NamedSource(text),
        }
    }
}

impl Access<'_> {
    /// Returns the sources, for [`Access::request`].
    pub fn sources(&self) -> SmallVec<[Source<'_>; 2]> {
        self.sources.iter().map(|(kind, text)| kind.source(text)).collect()
    }

    /// Returns the request for a decision, with the sources that [`Access::sources`] returned.
    pub fn request<'a>(&'a self, sources: &'a [Source<'a>]) -> Request<'a> {
        Request {
            credential: self.token.as_deref().map_or(Credential::Missing, Credential::Secret),
            api: &self.api,
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
