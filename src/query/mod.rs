//! Query texts and named sources (N4, N5, N6.4).
//!
//! A query grant covers one text. Two texts are equal if their *normal forms* are equal, byte for byte (N4.1).
//!
//! - [`Query`] stores the normal form of a grant.
//! - [`NormalForm`] iterates over the normal form of a request, piece by piece and without allocating.
//! - [`NamedSource`] is the name of a stored query.
//! - [`looks_like_query`] guesses whether a source without a type is a query.
//!
//! # Details beyond the rules
//!
//! The stricter reading applies, under which fewer texts are equal:
//!
//! - ASCII white space is space, tab, line feed, carriage return and form feed. The vertical tab is not white space.
//! - A text of only white space and semicolons is malformed, in grants and in requests.
//! - The sequences that make a text not plain (N4.3) do so everywhere, including in quotes and comments.
//! - A carriage return in a `--` comment without a following line feed makes a text not plain: some dialects end the
//!   comment
//!   there.

mod digest;
mod lex;
mod marks;
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
pub(crate) use normal::QueryText;
pub use word::looks_like_query;

/// The default maximum length of a query, in bytes: 1 MiB (N4.4).
pub const MAX_QUERY_BYTES: usize = 1 << 20;

/// A query text in normal form (N4.2). Two queries are equal if their normal forms are equal.
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
// INVARIANT: in normal form.
pub struct Query(
    // Shared: one query is granted to many tokens.
    Arc<str>,
);

/// The error for text that is not a query.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// The text contains only white space and semicolons.
    #[error("the query is empty: expected SQL text, found nothing but white space and semicolons")]
    Empty,
    /// The text exceeds the maximum length of a query (N4.4).
    #[error("the query is {found} bytes long: expected at most {limit}")]
    TooLong {
        /// The length of the text, in bytes.
        found: usize,
        /// The maximum length, in bytes.
        limit: usize,
    },
}

impl Query {
    /// Converts `text` to normal form.
    ///
    /// Cost: linear in `text`, with two allocations.
    ///
    /// # Errors
    ///
    /// - [`QueryError::TooLong`] if the original `text` has more than `max_bytes` bytes (N4.4).
    /// - [`QueryError::Empty`] if the normal form is empty.
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

    /// Returns the text in normal form.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Returns whether a byte is white space that normal form trims and folds (N4.2).
const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | b'\x0C')
}
