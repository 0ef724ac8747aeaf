//! The prefixes of secrets.

use portcullis_secret::{Secret, SecretKind};

/// The prefixes that a scan searches for: those of all kinds of secret, and further ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prefixes(Vec<Prefix>);

/// A prefix that secrets start with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prefix {
    text: Box<str>,
    kind: Option<SecretKind>,
}

/// Why a text cannot be a prefix.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PrefixError {
    /// The text has other characters, or another length.
    #[error("expected a prefix of {MIN} to {MAX} ASCII letters, digits and `_`, such as `acme_tk_`; found {0}")]
    Form(String),
    /// There are more prefixes than an automaton can have.
    #[error("there are too many prefixes")]
    TooMany,
}

/// Shorter prefixes have no base64 form that is long enough to search for.
const MIN: usize = 4;

/// Bounds the longest encoded form of a secret, which may be split between two blocks of input.
pub(crate) const MAX: usize = 32;

impl Prefix {
    /// Returns the text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns the kind of credential. `None` for a prefix that [`Prefixes::add`] added.
    pub fn kind(&self) -> Option<SecretKind> {
        self.kind
    }
}

impl Default for Prefixes {
    /// The prefixes of all kinds of secret.
    fn default() -> Self {
        let prefix = |kind: SecretKind| Prefix { text: kind.prefix().into(), kind: Some(kind) };
        Self(SecretKind::ALL.into_iter().map(prefix).collect())
    }
}

impl Prefixes {
    /// Adds a prefix. Its secrets have the same random characters and check digits as all others.
    ///
    /// # Errors
    ///
    /// If `text` is not 4 to 32 ASCII letters, digits and `_`.
    ///
    /// # Examples
    ///
    /// ```
    /// let mut prefixes = portcullis_scan::Prefixes::default();
    /// prefixes.add("acme_tk_")?;
    /// assert!(prefixes.add("a b").is_err());
    /// # Ok::<(), portcullis_scan::PrefixError>(())
    /// ```
    pub fn add(&mut self, text: &str) -> Result<(), PrefixError> {
        if !(MIN..=MAX).contains(&text.len()) || !text.bytes().all(is_word) {
            return Err(PrefixError::Form(found(text)));
        }
        if !self.0.iter().any(|prefix| &*prefix.text == text) {
            self.0.push(Prefix { text: text.into(), kind: None });
        }
        Ok(())
    }

    /// Whether `secret` has the form that a scan finds: one of the prefixes, random characters and check digits.
    ///
    /// ```
    /// let secret = portcullis_secret::Secret::mint(portcullis_secret::SecretKind::Token)?;
    /// let prefixes = portcullis_scan::Prefixes::default();
    /// assert!(prefixes.has_form(secret.expose()) && !prefixes.has_form("s3cret"));
    /// # Ok::<(), portcullis_secret::RandomnessError>(())
    /// ```
    pub fn has_form(&self, secret: &str) -> bool {
        self.0.iter().any(|prefix| portcullis_secret::has_check_digits(secret, &prefix.text))
    }

    pub(crate) fn as_slice(&self) -> &[Prefix] {
        &self.0
    }
}

/// Describes a wrong prefix. A whole secret in the list of prefixes is not repeated.
fn found(text: &str) -> String {
    let shows_secret = portcullis_secret::contains_secret(text) || text.len() > Secret::AFTER_PREFIX;
    if shows_secret { format!("{} bytes", text.len()) } else { portcullis::base::quoted(text) }
}

/// Whether `byte` is an ASCII letter, digit or `_`: the characters of secrets.
pub(crate) fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}
