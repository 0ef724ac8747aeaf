//! Digests of queries, which identify a query without its text.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest, Sha256};

use super::NormalForm;

/// The SHA-256 of a query in normal form (N4.2). Two queries are equal if their digests are equal.
///
/// A digest does not protect a text that can be guessed.
///
/// ```
/// use portcullis::query::{MAX_QUERY_BYTES, NormalForm, Query, QueryDigest};
///
/// let digest = QueryDigest::of(NormalForm::of("SELECT  1;", MAX_QUERY_BYTES)?);
/// assert_eq!(digest, QueryDigest::of_normal(Query::parse("SELECT 1", MAX_QUERY_BYTES)?.as_str()));
/// assert_eq!(digest.to_string().parse(), Ok(digest));
/// # Ok::<(), portcullis::query::QueryError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueryDigest([u8; 32]);

/// The error for text that is not a digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a SHA-256 digest: expected 64 hexadecimal digits")]
pub struct QueryDigestError;

impl QueryDigest {
    /// Computes the digest of a normal form, piece by piece. Linear in the length of the text. Does not allocate.
    pub fn of(query: NormalForm<'_>) -> Self {
        let mut digest = Sha256::new();
        query.for_each(|piece| digest.update(piece));
        Self(digest.finalize().into())
    }

    /// Computes the digest of a text that is already in normal form.
    pub fn of_normal(text: &str) -> Self {
        Self(Sha256::digest(text.as_bytes()).into())
    }
}

impl fmt::Display for QueryDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for QueryDigest {
    type Err = QueryDigestError;

    fn from_str(text: &str) -> Result<Self, QueryDigestError> {
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        if pairs.len() != 32 || !rest.is_empty() {
            return Err(QueryDigestError);
        }
        let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let mut digest = [0; 32];
        for (byte, &[high, low]) in digest.iter_mut().zip(pairs) {
            *byte = digit(high).ok_or(QueryDigestError)? << 4 | digit(low).ok_or(QueryDigestError)?;
        }
        Ok(Self(digest))
    }
}
