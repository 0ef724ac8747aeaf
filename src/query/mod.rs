//! Query texts and named sources (N4, N5, N6.4).
//!
//! A query grant covers one text, and two texts are the same when their *normal forms* are, byte for byte (N4.1).
//! [`Query`] keeps the normal form of a grant; [`NormalForm`] walks that of a request piece by piece, without
//! allocating. [`NamedSource`] is the name of a query that somebody else wrote down, and [`looks_like_query`] is the
//! guess that a source written as one string needs.
//!
//! # What the rules leave open
//!
//! Decided for the stricter reading, under which fewer texts are the same:
//!
//! - ASCII white space is space, tab, line feed, carriage return and form feed; the vertical tab is not.
//! - A text of nothing but white space and semicolons is malformed, in grants and in requests.
//! - The sequences that make a text not plain (N4.3) do so wherever they stand, in quotes and comments too.
//! - A carriage return in a `--` comment that no line feed follows makes a text not plain: some dialects end the
//!   comment there.

mod digest;
mod lex;
#[doc(hidden)]
pub mod naive;
mod named;
mod normal;
mod word;

use std::fmt;
use std::sync::Arc;

pub use digest::{QueryDigest, QueryDigestError};
pub use named::{NamedSource, NamedSourceError};
pub use normal::NormalForm;
pub use word::looks_like_query;

/// The bytes that a query may have, 1 MiB (N4.4): what to pass for `max_bytes` where nothing else is configured.
pub const MAX_QUERY_BYTES: usize = 1 << 20;

/// A query text in normal form (N4.2); two are equal when they are the same query.
///
/// ```
/// use portcullis::query::{MAX_QUERY_BYTES, Query};
///
/// let granted = Query::parse("SELECT *\n  FROM shops;\n", MAX_QUERY_BYTES)?;
/// assert_eq!(granted.as_str(), "SELECT * FROM shops");
/// assert_eq!(granted, Query::parse("SELECT * FROM shops", MAX_QUERY_BYTES)?);
/// assert_ne!(granted, Query::parse("select * from shops", MAX_QUERY_BYTES)?);
/// # Ok::<(), portcullis::query::QueryError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
// INVARIANT: its own normal form.
pub struct Query(
    // Shared: one query is granted to many tokens.
    Arc<str>,
);

/// Text that is not a query, whatever its SQL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// Nothing but white space and semicolons.
    #[error("the query is empty: expected SQL text, found nothing but white space and semicolons")]
    Empty,
    /// More bytes than a query may have (N4.4).
    #[error("the query is {found} bytes long: expected at most {limit}")]
    TooLong {
        /// The bytes of the text.
        found: usize,
        /// The bytes that it may have.
        limit: usize,
    },
}

impl Query {
    /// Brings `text` into normal form.
    ///
    /// Cost: linear in `text`, two allocations.
    ///
    /// # Errors
    ///
    /// [`QueryError::TooLong`] when `text`, as it stands, has more than `max_bytes` bytes (N4.4); [`QueryError::Empty`]
    /// when its normal form is empty.
    ///
    /// ```
    /// use portcullis::query::{Query, QueryError};
    ///
    /// assert_eq!(Query::parse(" ; ", 100), Err(QueryError::Empty));
    /// assert_eq!(Query::parse("select 1", 7), Err(QueryError::TooLong { found: 8, limit: 7 }));
    /// ```
    pub fn parse(text: &str, max_bytes: usize) -> Result<Self, QueryError> {
        let pieces = NormalForm::of(text, max_bytes)?;
        let mut normal = String::with_capacity(text.len());
        normal.extend(pieces);
        Ok(Self(normal.into()))
    }

    /// The text in normal form.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// White space that normal form trims and folds (N4.2).
const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | b'\x0C')
}
