//! What a client asks for. Borrows all its text: building a request costs nothing.

use std::fmt;

use crate::model::{Operation, SecretDigest};

/// What a request reads or writes on its connection (N1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source<'a> {
    /// A fully qualified table, tileset or raster.
    Resource(&'a str),
    /// The text of a query.
    Query(&'a str),
    /// A named source.
    NamedSource(&'a str),
}

impl<'a> Source<'a> {
    /// The text, as the client wrote it.
    pub fn text(self) -> &'a str {
        let (Self::Resource(text) | Self::Query(text) | Self::NamedSource(text)) = self;
        text
    }
}

/// The sources of a request: nearly always one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sources<'a> {
    /// Just one.
    One(Source<'a>),
    /// Any number, all on the request's connection. None at all is right only for APIs that need none.
    Many(&'a [Source<'a>]),
}

impl<'a> Sources<'a> {
    /// The sources, in order.
    pub fn as_slice(&self) -> &[Source<'a>] {
        match self {
            Self::One(source) => std::slice::from_ref(source),
            Self::Many(sources) => sources,
        }
    }
}

/// Who asks.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Credential<'a> {
    /// No token was presented. An empty secret counts as none.
    Missing,
    /// The secret that the client presented.
    Secret(&'a str),
    /// The digest of that secret, where the caller keeps it, for one connection's many requests.
    Digest(SecretDigest),
}

impl fmt::Debug for Credential<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("Missing"),
            Self::Secret(_) => f.write_str("Secret([secret])"),
            Self::Digest(digest) => digest.fmt(f),
        }
    }
}

/// One request for a decision.
///
/// ```
/// use portcullis::decision::{Request, Source};
///
/// let request = Request::new("maps", "carto_dw")
///     .secret("the token's secret")
///     .source(Source::Resource("carto.shared.demo_table"))
///     .referer("https://app.example.com/");
/// assert!(!format!("{request:?}").contains("the token's secret"));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request<'a> {
    /// Who asks.
    pub credential: Credential<'a>,
    /// The name of the API.
    pub api: &'a str,
    /// What is done under it.
    pub operation: Operation,
    /// The name of the connection.
    pub connection: &'a str,
    /// What is read or written.
    pub sources: Sources<'a>,
    /// The `Referer` header.
    pub referer: Option<&'a str>,
}

impl<'a> Request<'a> {
    /// A request under `api` on `connection`, so far without a token, a source and a referer.
    pub const fn new(api: &'a str, connection: &'a str) -> Self {
        Self {
            credential: Credential::Missing,
            api,
            operation: Operation::Query,
            connection,
            sources: Sources::Many(&[]),
            referer: None,
        }
    }

    /// With this secret presented.
    #[must_use]
    pub const fn secret(mut self, secret: &'a str) -> Self {
        self.credential = Credential::Secret(secret);
        self
    }

    /// With the secret of this digest presented.
    #[must_use]
    pub const fn digest(mut self, digest: SecretDigest) -> Self {
        self.credential = Credential::Digest(digest);
        self
    }

    /// For this operation.
    #[must_use]
    pub const fn operation(mut self, operation: Operation) -> Self {
        self.operation = operation;
        self
    }

    /// For this one source.
    #[must_use]
    pub const fn source(mut self, source: Source<'a>) -> Self {
        self.sources = Sources::One(source);
        self
    }

    /// For all of these sources.
    #[must_use]
    pub const fn sources(mut self, sources: &'a [Source<'a>]) -> Self {
        self.sources = Sources::Many(sources);
        self
    }

    /// With this `Referer` header.
    #[must_use]
    pub const fn referer(mut self, referer: &'a str) -> Self {
        self.referer = Some(referer);
        self
    }
}
