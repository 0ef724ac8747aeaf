//! The request that is decided. It borrows all its text, so building one allocates nothing.

use std::fmt;

use crate::model::{Operation, SecretDigest};

/// A source that a request reads or writes on its connection (N1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source<'a> {
    /// A fully qualified table, tileset or raster.
    Resource(&'a str),
    /// The text of a query.
    Query(&'a str),
    /// The name of a named source.
    NamedSource(&'a str),
}

impl<'a> Source<'a> {
    /// Returns the text, as the client wrote it.
    pub fn text(self) -> &'a str {
        let (Self::Resource(text) | Self::Query(text) | Self::NamedSource(text)) = self;
        text
    }
}

/// The sources of a request: usually one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sources<'a> {
    /// Exactly one source.
    One(Source<'a>),
    /// Any number of sources, all on the request's connection. An empty list is valid only for APIs that need no
    /// source.
    Many(&'a [Source<'a>]),
}

impl<'a> Sources<'a> {
    /// Returns the sources, in order.
    pub fn as_slice(&self) -> &[Source<'a>] {
        match self {
            Self::One(source) => std::slice::from_ref(source),
            Self::Many(sources) => sources,
        }
    }
}

/// The credential that the client presented.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Credential<'a> {
    /// The client presented no token. An empty secret is treated as missing.
    Missing,
    /// The secret that the client presented.
    Secret(&'a str),
    /// The digest of the secret, for callers that keep it across many requests of one network connection.
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

/// A request to be decided.
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
    /// The credential that the client presented.
    pub credential: Credential<'a>,
    /// The name of the API.
    pub api: &'a str,
    /// The operation under the API.
    pub operation: Operation,
    /// The name of the connection.
    pub connection: &'a str,
    /// The sources that are read or written.
    pub sources: Sources<'a>,
    /// The `Referer` header.
    pub referer: Option<&'a str>,
}

impl<'a> Request<'a> {
    /// Creates a request under `api` on `connection`, without a token, a source or a referer.
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

    /// Sets the secret that the client presented.
    #[must_use]
    pub const fn secret(mut self, secret: &'a str) -> Self {
        self.credential = Credential::Secret(secret);
        self
    }

    /// Sets the digest of the secret that the client presented.
    #[must_use]
    pub const fn digest(mut self, digest: SecretDigest) -> Self {
        self.credential = Credential::Digest(digest);
        self
    }

    /// Sets the operation.
    #[must_use]
    pub const fn operation(mut self, operation: Operation) -> Self {
        self.operation = operation;
        self
    }

    /// Sets one source.
    #[must_use]
    pub const fn source(mut self, source: Source<'a>) -> Self {
        self.sources = Sources::One(source);
        self
    }

    /// Sets the list of sources.
    #[must_use]
    pub const fn sources(mut self, sources: &'a [Source<'a>]) -> Self {
        self.sources = Sources::Many(sources);
        self
    }

    /// Sets the `Referer` header.
    #[must_use]
    pub const fn referer(mut self, referer: &'a str) -> Self {
        self.referer = Some(referer);
        self
    }
}
