//! A token: what its secret lets a client do (N1, N11.1).

use std::fmt;

use sha2::{Digest, Sha256};

use super::{ApiSet, Expiry, Grant};
use crate::base::Timestamp;
use crate::referer::RefererSet;

/// The SHA-256 of a secret's UTF-8: the only form in which the engine keeps one (N11.5).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SecretDigest([u8; 32]);

/// Text that is not 64 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a SHA-256 digest: expected 64 hexadecimal digits")]
pub struct SecretDigestError;

impl SecretDigest {
    /// The digest of `secret`. Linear in its length.
    pub fn of(secret: &str) -> Self {
        Self(Sha256::digest(secret.as_bytes()).into())
    }

    /// Reads 64 hexadecimal digits, of any case.
    ///
    /// # Errors
    ///
    /// For any other text, which the error does not repeat: it may be a secret in the wrong field.
    pub fn from_hex(text: &str) -> Result<Self, SecretDigestError> {
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        if pairs.len() != 32 || !rest.is_empty() {
            return Err(SecretDigestError);
        }
        let digit = |byte: u8| {
            char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok()).ok_or(SecretDigestError)
        };
        let mut digest = [0; 32];
        for (byte, &[high, low]) in digest.iter_mut().zip(pairs) {
            *byte = digit(high)? << 4 | digit(low)?;
        }
        Ok(Self(digest))
    }

    /// The 64 hexadecimal digits, in lower case.
    pub fn to_hex(&self) -> String {
        use std::fmt::Write;
        self.0.iter().fold(String::with_capacity(64), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        })
    }

    /// The 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl From<[u8; 32]> for SecretDigest {
    fn from(digest: [u8; 32]) -> Self {
        Self(digest)
    }
}

impl fmt::Debug for SecretDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hex = self.to_hex();
        write!(f, "sha256:{}…", hex.get(..8).unwrap_or(&hex))
    }
}

/// The web sites from which a token may be used (N7.6).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub enum Referers {
    /// Any, and none: the author listed no entry.
    #[default]
    Any,
    /// Only these; at least one entry.
    Only(RefererSet),
}

/// A validated token.
#[derive(Debug, Clone)]
pub struct Token {
    pub(crate) id: Box<str>,
    pub(crate) name: Option<Box<str>>,
    pub(crate) owner: Option<Box<str>>,
    pub(crate) digest: SecretDigest,
    pub(crate) apis: ApiSet,
    pub(crate) grants: Box<[Grant]>,
    pub(crate) referers: Referers,
    pub(crate) expiry: Expiry,
    pub(crate) created_at: Option<Timestamp>,
}

impl Token {
    /// What decisions and logs call the token; unique in a policy.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// What its owner calls it; unique for the owner.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Whose it is.
    pub fn owner(&self) -> Option<&str> {
        self.owner.as_deref()
    }

    /// The digest of its secret; unique in a policy.
    pub fn digest(&self) -> &SecretDigest {
        &self.digest
    }

    /// The APIs that it may use (N8.1).
    pub fn apis(&self) -> ApiSet {
        self.apis
    }

    /// What it may read or write, in the order of the document.
    pub fn grants(&self) -> &[Grant] {
        &self.grants
    }

    /// From where it may be used.
    pub fn referers(&self) -> &Referers {
        &self.referers
    }

    /// Until when.
    pub fn expiry(&self) -> Expiry {
        self.expiry
    }

    /// Since when, where the document says.
    pub fn created_at(&self) -> Option<Timestamp> {
        self.created_at
    }
}
