//! Grants: a connection and a source that a token may read or write (N1, N6).

use std::fmt;

use super::{ConnectionId, GrantKind, Limits};
use crate::base::quoted;
use crate::name::{Dialect, Name, NameBuffer, NameError, Role, Scanned, scan};
use crate::pattern::{Pattern, PatternError};
use crate::query::{NamedSource, NamedSourceError, Query, QueryError, looks_like_query};

/// The source of a grant, on the grant's connection.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum GrantSource {
    /// One resource.
    Resource(Name),
    /// Every resource that the pattern covers.
    Pattern(Pattern),
    /// One query text.
    Query(Query),
    /// One named source.
    NamedSource(NamedSource),
    /// All sources of the connection.
    All,
}

/// The optional `type` of a source in a document (N6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SourceType(GrantKind);

impl SourceType {
    /// Every name that a document may use.
    pub const NAMES: [&str; 8] = ["resource", "table", "tileset", "raster", "pattern", "query", "named_source", "all"];

    /// Returns the type of sources of this kind.
    pub const fn of(kind: GrantKind) -> Self {
        Self(kind)
    }

    /// Reads a `type`: a grant kind, or `table`, `tileset` or `raster` for a resource.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "table" | "tileset" | "raster" => Some(Self(GrantKind::Resource)),
            _ => GrantKind::from_name(name).map(Self),
        }
    }
}

/// The error for a source that cannot be granted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// The source is empty.
    #[error("the source is empty")]
    Empty,
    /// The source has type `resource` but is not a name.
    #[error("not a resource: {0}")]
    Resource(NameError),
    /// A resource has one segment only; it needs its full path.
    #[error("a resource needs at least two segments, such as `schema.table`")]
    OneSegment,
    /// A source of type `resource` has a bare `*`, so it would cover many names (N3.5).
    #[error("a resource must not contain `*` outside quotes: a name with `*` is a pattern")]
    StarInResource,
    /// A quoted `*` on BigQuery, which treats it as the star of a wildcard table even inside quotes (N3.5).
    #[error(
        "BigQuery reads a `*` inside backquotes as a wildcard too, so it cannot be granted as an ordinary character"
    )]
    QuotedStar,
    /// The source is not a pattern.
    #[error("not a pattern: {0}")]
    Pattern(#[from] PatternError),
    /// The source is not a query.
    #[error("not a query: {0}")]
    Query(#[from] QueryError),
    /// The source is not a named source.
    #[error("not a named source: {0}")]
    NamedSource(#[from] NamedSourceError),
    /// The type is `all` and the source is something other than `*`.
    #[error("{} is not all sources: `all` takes the source `*` or none", quoted(.0))]
    All(Box<str>),
    /// The source is of no kind that N6 defines.
    #[error("{} is neither a resource, a pattern, a named source nor a query", quoted(found))]
    NoKind {
        /// The text, shortened if it is long.
        found: Box<str>,
        /// The reason why the text is not a path.
        path: Option<NameError>,
    },
}

impl GrantSource {
    /// Reads a source without a type: tries the kinds in the order of N6.
    ///
    /// Linear in the length of `text`.
    ///
    /// # Errors
    ///
    /// If the text is of none of the kinds.
    ///
    /// ```
    /// use portcullis::model::{GrantKind, GrantSource, Limits};
    /// use portcullis::name::Dialect;
    ///
    /// let kind = |text| GrantSource::guess(text, Dialect::Generic, &Limits::default()).map(|source| source.kind());
    /// assert_eq!(kind("*")?, GrantKind::All);
    /// assert_eq!(kind("carto.shared.CARTO_*")?, GrantKind::Pattern);
    /// assert_eq!(kind("accidents-2024")?, GrantKind::NamedSource);
    /// assert_eq!(kind("SELECT 1")?, GrantKind::Query);
    /// assert!(kind("table*").is_err());
    /// # Ok::<(), portcullis::model::SourceError>(())
    /// ```
    pub fn guess(text: &str, dialect: Dialect, limits: &Limits) -> Result<Self, SourceError> {
        if text.is_empty() {
            return Err(SourceError::Empty);
        }
        if text == "*" {
            return Ok(Self::All);
        }
        let mut buffer = NameBuffer::new();
        let path = match scan(text, dialect, Role::Granted, &mut buffer) {
            Ok(path) if path.segments >= 2 && path.bare_star => return Self::pattern(path, dialect),
            Ok(path) if path.segments >= 2 => return Self::resource(path, dialect),
            Ok(_) => None,
            Err(error) => Some(error),
        };
        if NamedSource::is_named_source(text) {
            return Ok(Self::NamedSource(NamedSource::parse(text)?));
        }
        if looks_like_query(text) {
            return Ok(Self::Query(Query::parse(text, limits.query_bytes)?));
        }
        Err(SourceError::NoKind { found: shortened(text), path })
    }

    /// Reads a source that has a type (N6). `text` is `None` if the grant has no source.
    ///
    /// # Errors
    ///
    /// If the text is not of that type.
    pub fn typed(
        text: Option<&str>,
        source_type: SourceType,
        dialect: Dialect,
        limits: &Limits,
    ) -> Result<Self, SourceError> {
        let text = match (source_type.0, text) {
            (GrantKind::All, None | Some("*")) => return Ok(Self::All),
            (GrantKind::All, Some(text)) => return Err(SourceError::All(shortened(text))),
            (_, None | Some("")) => return Err(SourceError::Empty),
            (_, Some(text)) => text,
        };
        match source_type.0 {
            GrantKind::Resource => {
                let mut buffer = NameBuffer::new();
                let path = scan(text, dialect, Role::Granted, &mut buffer).map_err(SourceError::Resource)?;
                Self::resource(path, dialect)
            }
            GrantKind::Pattern => Self::of_pattern(Pattern::parse(text, dialect)?, dialect),
            GrantKind::Query => Ok(Self::Query(Query::parse(text, limits.query_bytes)?)),
            GrantKind::NamedSource | GrantKind::All => Ok(Self::NamedSource(NamedSource::parse(text)?)),
        }
    }

    fn resource(path: Scanned<'_>, dialect: Dialect) -> Result<Self, SourceError> {
        if path.bare_star {
            return Err(SourceError::StarInResource);
        }
        if path.segments < 2 {
            return Err(SourceError::OneSegment);
        }
        reject_quoted_star(path.bytes, dialect)?;
        Ok(Self::Resource(Name::of(path)))
    }

    fn pattern(path: Scanned<'_>, dialect: Dialect) -> Result<Self, SourceError> {
        Self::of_pattern(Pattern::of(path)?, dialect)
    }

    fn of_pattern(pattern: Pattern, dialect: Dialect) -> Result<Self, SourceError> {
        reject_quoted_star(pattern.as_bytes(), dialect)?;
        Ok(Self::Pattern(pattern))
    }

    /// Returns the kind of grant.
    pub fn kind(&self) -> GrantKind {
        match self {
            Self::Resource(_) => GrantKind::Resource,
            Self::Pattern(_) => GrantKind::Pattern,
            Self::Query(_) => GrantKind::Query,
            Self::NamedSource(_) => GrantKind::NamedSource,
            Self::All => GrantKind::All,
        }
    }

    /// Returns the canonical bytes: two sources of one kind are equal if these bytes are equal.
    pub fn canonical(&self) -> &[u8] {
        match self {
            Self::Resource(name) => name.as_bytes(),
            Self::Pattern(pattern) => pattern.as_bytes(),
            Self::Query(query) => query.as_str().as_bytes(),
            Self::NamedSource(name) => name.as_str().as_bytes(),
            Self::All => &[],
        }
    }

    /// Returns whether [`display`](Self::display) returns `text`. Allocates only for resources and patterns.
    #[doc(hidden)]
    pub fn is_displayed_as(&self, text: &str, dialect: Dialect) -> bool {
        match self {
            Self::Query(query) => query.as_str() == text,
            Self::NamedSource(name) => name.as_str() == text,
            Self::All => text == "*",
            Self::Resource(_) | Self::Pattern(_) => self.display(dialect) == text,
        }
    }

    /// Returns the source as a document in `dialect` writes it. Reading the result as this kind returns an equal
    /// source.
    pub fn display(&self, dialect: Dialect) -> String {
        match self {
            Self::Resource(name) => name.display(dialect).to_string(),
            Self::Pattern(pattern) => pattern.display(dialect).to_string(),
            Self::Query(query) => query.as_str().to_owned(),
            Self::NamedSource(name) => name.as_str().to_owned(),
            Self::All => "*".to_owned(),
        }
    }
}

/// A grant: a connection and a source that a token may read or write.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Grant {
    connection: ConnectionId,
    source: GrantSource,
}

impl Grant {
    /// Creates a grant of `source` on `connection`.
    pub fn new(connection: ConnectionId, source: GrantSource) -> Self {
        Self { connection, source }
    }

    /// Returns the connection.
    pub fn connection(&self) -> ConnectionId {
        self.connection
    }

    /// Returns the source.
    pub fn source(&self) -> &GrantSource {
        &self.source
    }
}

fn reject_quoted_star(canonical: &[u8], dialect: Dialect) -> Result<(), SourceError> {
    if dialect == Dialect::BigQuery && canonical.contains(&b'*') { Err(SourceError::QuotedStar) } else { Ok(()) }
}

fn shortened(text: &str) -> Box<str> {
    const MAX_CHARS: usize = 80;
    match text.char_indices().nth(MAX_CHARS) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()).into(),
        None => text.into(),
    }
}

impl fmt::Display for SourceType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
