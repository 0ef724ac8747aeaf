//! Secrets that Portcullis generates: generation and recognition. Nothing here stores a secret.
//!
//! A secret has three parts: a prefix that names its kind, 32 characters of base-62 randomness from the operating system
//! (190.5 bits), and six base-62 characters with the CRC-32 of the preceding text. A scanner finds candidates with
//! [`REGEX`] and rejects false ones offline by their checksum.
//!
//! ```
//! use portcullis_secret::{Secret, SecretKind, recognise};
//!
//! let secret = Secret::mint(SecretKind::Token)?;
//! assert_eq!(recognise(secret.expose()), Some(SecretKind::Token));
//! assert!(secret.expose().starts_with("pcl_tk_"));
//! assert_eq!(format!("{secret:?}"), "Secret(pcl_tk_…)");
//! # Ok::<(), portcullis_secret::RandomnessError>(())
//! ```

#![forbid(unsafe_code)]

mod url;

use std::fmt;
use std::ops::Range;

use portcullis::model::SecretDigest;

pub use url::without_passwords;

/// Why no secret can be generated: the operating system provides no randomness.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the operating system gives no randomness: {0}")]
pub struct RandomnessError(String);

type Result<T> = std::result::Result<T, RandomnessError>;

/// A regular expression for scanners, which matches every secret.
pub const REGEX: &str = r"\bpcl_(tk|m2m|at|rt)_[0-9A-Za-z]{38}\b";

/// The number of random characters: 32 · log₂ 62 = 190.5 bits.
const RANDOM: usize = 32;

/// The number of checksum characters: 62⁶ > 2³².
const CHECK: usize = 6;

const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The alphabet of short ids, without characters that look alike: five bits each.
const LETTERS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// The kind of credential that a secret belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecretKind {
    /// An API access token.
    Token,
    /// The secret of a machine-to-machine OAuth client.
    Client,
    /// An OAuth access token.
    Access,
    /// An OAuth refresh token.
    Refresh,
}

/// A new secret. Show it once; its `Debug` output masks it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret {
    text: String,
    kind: SecretKind,
}

impl SecretKind {
    /// All kinds.
    pub const ALL: [Self; 4] = [Self::Token, Self::Client, Self::Access, Self::Refresh];

    /// Returns the prefix of this kind's secrets.
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::Token => "pcl_tk_",
            Self::Client => "pcl_m2m_",
            Self::Access => "pcl_at_",
            Self::Refresh => "pcl_rt_",
        }
    }
}

impl Secret {
    /// The number of characters after the prefix.
    pub const AFTER_PREFIX: usize = RANDOM + CHECK;

    /// Mints a secret from the operating system's randomness.
    ///
    /// # Errors
    ///
    /// If the operating system provides no randomness.
    pub fn mint(kind: SecretKind) -> Result<Self> {
        let mut text = String::from(kind.prefix());
        text.push_str(&random(DIGITS, RANDOM)?);
        text.push_str(&check(&text));
        Ok(Self { text, kind })
    }

    /// Reads a secret that was minted before; `None` if its form or checksum is wrong.
    pub fn read(text: &str) -> Option<Self> {
        Some(Self { kind: recognise(text)?, text: text.to_owned() })
    }

    /// Returns the secret itself, to be shown once.
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// Returns the digest, which is stored instead of the secret.
    pub fn digest(&self) -> SecretDigest {
        SecretDigest::of(&self.text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({}…)", self.kind.prefix())
    }
}

/// Returns the kind of the secret `text`; `None` if its form or checksum is wrong.
pub fn recognise(text: &str) -> Option<SecretKind> {
    SecretKind::ALL.into_iter().find(|kind| has_check_digits(text, kind.prefix()))
}

/// Whether `text` is `prefix`, random characters, and the check digits of both.
pub fn has_check_digits(text: &str, prefix: &str) -> bool {
    let Some(rest) = text.strip_prefix(prefix) else { return false };
    if rest.len() != Secret::AFTER_PREFIX || !rest.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return false;
    }
    text.split_at_checked(text.len() - CHECK).is_some_and(|(checked, found)| check(checked) == found)
}

/// Whether `text` contains a secret. Linear in its length.
pub fn contains_secret(text: &str) -> bool {
    find_secret(text).is_some()
}

/// Returns the position of a secret in `text`. Linear in its length.
pub fn find_secret(text: &str) -> Option<Range<usize>> {
    let of_kind = |kind: SecretKind| {
        let length = kind.prefix().len() + Secret::AFTER_PREFIX;
        let mut spans = text.match_indices(kind.prefix()).map(|(start, _)| start..start + length);
        spans.find(|span| text.get(span.clone()).is_some_and(|text| recognise(text).is_some()))
    };
    SecretKind::ALL.into_iter().find_map(of_kind)
}

/// Returns `text` with `…` for each secret. Linear in its length, for each secret.
pub fn without_secrets(mut text: String) -> String {
    while let Some(span) = find_secret(&text) {
        text.replace_range(span, "…");
    }
    text
}

/// Returns `prefix` and ten random letters and digits: 50 bits, enough for unique ids but not for secrets.
///
/// # Errors
///
/// If the operating system provides no randomness.
pub fn short_id(prefix: &str) -> Result<String> {
    Ok(format!("{prefix}_{}", random(LETTERS, 10)?))
}

/// Returns `count` uniformly random characters of `alphabet`. Random bits beyond the alphabet are discarded.
fn random(alphabet: &[u8], count: usize) -> Result<String> {
    let mask = u8::try_from(alphabet.len().next_power_of_two() - 1).unwrap_or(u8::MAX);
    let mut text = String::with_capacity(count);
    let mut bytes = [0; 64];
    while text.len() < count {
        getrandom::fill(&mut bytes).map_err(|error| RandomnessError(error.to_string()))?;
        let found = bytes.iter().filter_map(|byte| alphabet.get(usize::from(byte & mask)));
        text.extend(found.take(count - text.len()).map(|byte| char::from(*byte)));
    }
    Ok(text)
}

/// Returns the CRC-32 of `text` in base 62, the most significant digit first.
fn check(text: &str) -> String {
    let mut rest = crc32fast::hash(text.as_bytes()) as usize;
    let mut digits = [b'0'; CHECK];
    for digit in digits.iter_mut().rev() {
        *digit = DIGITS.get(rest % DIGITS.len()).copied().unwrap_or_default();
        rest /= DIGITS.len();
    }
    digits.into_iter().map(char::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_recognised_and_one_changed_character_is_not() {
        let regex = regex::Regex::new(REGEX).unwrap();
        for kind in SecretKind::ALL {
            let secret = Secret::mint(kind).unwrap();
            let text = secret.expose();
            assert_eq!(recognise(text), Some(kind));
            assert_eq!(Secret::read(text).as_ref(), Some(&secret));
            assert!(contains_secret(&format!("curl -H 'Authorization: Bearer {text}'")));
            assert_eq!(without_secrets(format!("a {text}, {text}é")), "a …, …é");
            assert_eq!(regex.find(&format!("key={text};")).map(|found| found.as_str()), Some(text));
            for at in 0..text.len() {
                let mut changed = text.as_bytes().to_vec();
                changed[at] = if changed[at] == b'x' { b'y' } else { b'x' };
                assert_eq!(recognise(std::str::from_utf8(&changed).unwrap()), None, "{at}");
            }
        }
    }

    /// Tokens in use must remain valid: this exact text is a token.
    #[test]
    fn format_of_secrets_is_stable() {
        let text = "pcl_tk_0123456789ABCDEFGHIJKLMNOPQRSTUV";
        assert_eq!(check(text), "3ueDXv");
        assert_eq!(recognise(&format!("{text}3ueDXv")), Some(SecretKind::Token));
        for other in ["", "pcl_tk_", "pcl_tk_é", &format!("{text}3ueDXv0"), &format!("{text}1wKUQ")] {
            assert_eq!(recognise(other), None, "{other}");
        }
    }

    /// Detects a bias towards some characters: each of 62 is expected 1,600 times, with a standard deviation of 40.
    #[test]
    fn every_character_is_as_likely_as_any_other() {
        let text = random(DIGITS, 62 * 1600).unwrap();
        for digit in DIGITS {
            let count = text.bytes().filter(|byte| byte == digit).count();
            assert!((1300..1900).contains(&count), "{} occurs {count} times", char::from(*digit));
        }
    }
}
