//! Tokens: the rights of a client that presents a secret (N1, N11.1).

use std::fmt;

use sha2::block_api::compress256;
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
        of_short(secret.as_bytes()).unwrap_or_else(|| Self(Sha256::digest(secret.as_bytes()).into()))
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

/// Returns the digest of a secret that fits in one block of SHA-256, as nearly all do: one call of the compression
/// function, without the buffers of a hash of any length.
#[inline]
fn of_short(secret: &[u8]) -> Option<SecretDigest> {
    // FIPS 180-4, 5.1.1: the text, a set bit, zeros, and the length in bits.
    let mut block = [0; 64];
    let (text, length) = block.split_last_chunk_mut::<8>()?;
    let (filled, rest) = text.split_at_mut_checked(secret.len())?;
    *rest.first_mut()? = 0x80;
    filled.copy_from_slice(secret);
    *length = (8 * u64::try_from(secret.len()).ok()?).to_be_bytes();
    // FIPS 180-4, 5.3.3: the initial state.
    let mut state =
        [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];
    compress256(&mut state, &[block]);
    let mut digest = [0; 32];
    for (bytes, word) in digest.as_chunks_mut::<4>().0.iter_mut().zip(state) {
        *bytes = word.to_be_bytes();
    }
    Some(SecretDigest(digest))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_of_secrets_of_any_length_are_sha_256() {
        let text = "a secret of letters, digits and \u{e9}".repeat(5);
        for length in (0..150).filter(|length| text.is_char_boundary(*length)) {
            let secret = &text[..length];
            let want: [u8; 32] = Sha256::digest(secret.as_bytes()).into();
            assert_eq!(*SecretDigest::of(secret).as_bytes(), want, "{length} bytes");
        }
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(SecretDigest::of("").to_hex(), empty);
    }
}
