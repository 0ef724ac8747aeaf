//! Tokens: the rights of a client that presents a secret (N1, N11.1).

use std::fmt;

use sha2::{Digest, Sha256};

use super::{ApiSet, Expiry, Grant};
use crate::base::Timestamp;
use crate::referer::RefererSet;

/// The SHA-256 of a secret in UTF-8. The engine stores a secret in no other form (N11.5).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SecretDigest([u8; 32]);

/// The error for text that is not 64 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a SHA-256 digest: expected 64 hexadecimal digits")]
pub struct SecretDigestError;

impl SecretDigest {
    /// Returns the digest of `secret`. Linear in the length of `secret`.
    pub fn of(secret: &str) -> Self {
        Self(Sha256::digest(secret.as_bytes()).into())
    }

    /// Reads 64 hexadecimal digits in upper or lower case.
    ///
    /// # Errors
    ///
    /// For any other text. The error does not repeat the text, because it may be a secret in the wrong field.
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

    /// Returns the 64 hexadecimal digits, in lower case.
    pub fn to_hex(&self) -> String {
        use std::fmt::Write;
        self.0.iter().fold(String::with_capacity(64), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        })
    }

    /// Returns the 32 bytes.
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
    /// Any site, and requests without a referer: the token lists no entry.
    #[default]
    Any,
    /// Only these sites; at least one entry.
    Only(RefererSet),
}

/// The parts of a [`Token`], each valid by itself. [`Policy::new`](super::Policy::new) checks the rules that involve
/// several tokens.
#[derive(Debug, Clone)]
pub struct TokenParts {
    /// The id in decisions and logs; unique in the policy.
    pub id: Box<str>,
    /// The name that the owner gave the token; unique for the owner.
    pub name: Option<Box<str>>,
    /// The user that owns the token.
    pub owner: Option<Box<str>>,
    /// The digest of the secret; unique in the policy.
    pub digest: SecretDigest,
    /// The APIs that the token may use (N8.1).
    pub apis: ApiSet,
    /// The grants of the token, in the order of the document.
    pub grants: Box<[Grant]>,
    /// The web sites from which the token may be used.
    pub referers: Referers,
    /// The expiry of the token.
    pub expiry: Expiry,
    /// The instant of creation, if the document states it.
    pub created_at: Option<Timestamp>,
}

/// A valid token.
#[derive(Debug, Clone)]
pub struct Token(TokenParts);

impl From<TokenParts> for Token {
    fn from(parts: TokenParts) -> Self {
        Self(parts)
    }
}

impl Token {
    /// Returns the id in decisions and logs; unique in the policy.
    pub fn id(&self) -> &str {
        &self.0.id
    }

    /// Returns the name that the owner gave the token; unique for the owner.
    pub fn name(&self) -> Option<&str> {
        self.0.name.as_deref()
    }

    /// Returns the user that owns the token.
    pub fn owner(&self) -> Option<&str> {
        self.0.owner.as_deref()
    }

    /// Returns the digest of the secret; unique in the policy.
    pub fn digest(&self) -> &SecretDigest {
        &self.0.digest
    }

    /// Returns the APIs that the token may use (N8.1).
    pub fn apis(&self) -> ApiSet {
        self.0.apis
    }

    /// Returns the grants of the token, in the order of the document.
    pub fn grants(&self) -> &[Grant] {
        &self.0.grants
    }

    /// Returns the web sites from which the token may be used.
    pub fn referers(&self) -> &Referers {
        &self.0.referers
    }

    /// Returns the expiry of the token.
    pub fn expiry(&self) -> Expiry {
        self.0.expiry
    }

    /// Returns the instant of creation, if the document states it.
    pub fn created_at(&self) -> Option<Timestamp> {
        self.0.created_at
    }
}
