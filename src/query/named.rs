//! Named sources (N5).

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::base::quoted;

/// The allowed number of characters of a name.
const LENGTH: std::ops::RangeInclusive<usize> = 3..=51;

/// The maximum number of characters of a text in an error.
const EXCERPT: usize = 60;

/// The name of a stored query (N5).
///
/// A name has 3 to 51 lower-case letters, digits, `-` and `_`. The first and the last character are a letter or a
/// digit. Names are compared byte for byte.
///
/// ```
/// use portcullis::query::NamedSource;
///
/// let name: NamedSource = "shops-by_city".parse()?;
/// assert_eq!(name.as_str(), "shops-by_city");
/// # Ok::<(), portcullis::query::NamedSourceError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NamedSource(
    // Shared: one source is granted to many tokens.
    Arc<str>,
);

/// The error for text that is not the name of a named source.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{} is not a named source: expected 3 to 51 lower-case letters, digits, `-` and `_`, \
     first a letter or digit, last neither `-` nor `_`",
    quoted(found)
)]
pub struct NamedSourceError {
    found: Box<str>,
}

impl NamedSource {
    /// Returns whether `text` is the name of a named source (N5).
    ///
    /// Cost: linear in `text`, up to 51 bytes. Does not allocate.
    ///
    /// ```
    /// use portcullis::query::NamedSource;
    ///
    /// assert!(NamedSource::is_named_source("0-0"));
    /// assert!(!NamedSource::is_named_source("Shops"));
    /// ```
    pub fn is_named_source(text: &str) -> bool {
        let bytes = text.as_bytes();
        LENGTH.contains(&bytes.len())
            && bytes.iter().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_'))
            && bytes.first().is_some_and(u8::is_ascii_alphanumeric)
            && bytes.last().is_some_and(u8::is_ascii_alphanumeric)
    }

    /// Parses a name (N5).
    ///
    /// Cost: linear in `text`, up to 51 bytes, with one allocation.
    ///
    /// # Errors
    ///
    /// If [`is_named_source`](Self::is_named_source) is false.
    ///
    /// ```
    /// use portcullis::query::NamedSource;
    ///
    /// let error = NamedSource::parse("Shops").unwrap_err();
    /// assert!(error.to_string().starts_with("`Shops` is not a named source: expected 3 to 51 lower-case letters"));
    /// ```
    pub fn parse(text: &str) -> Result<Self, NamedSourceError> {
        if Self::is_named_source(text) { Ok(Self(text.into())) } else { Err(NamedSourceError::new(text)) }
    }

    /// Returns the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for NamedSource {
    type Err = NamedSourceError;

    fn from_str(text: &str) -> Result<Self, NamedSourceError> {
        Self::parse(text)
    }
}

impl fmt::Display for NamedSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl NamedSourceError {
    fn new(text: &str) -> Self {
        let found = match text.char_indices().nth(EXCERPT) {
            Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()).into(),
            None => text.into(),
        };
        Self { found }
    }
}

#[cfg(test)]
mod tests {
    use super::NamedSource;

    #[test]
    fn names_follow_the_rules_of_n5() {
        let (longest, too_long) = ("a".repeat(51), "a".repeat(52));
        for (text, want, why) in [
            ("abc", true, "the shortest"),
            ("ab", false, "too short"),
            (longest.as_str(), true, "the longest"),
            (too_long.as_str(), false, "too long"),
            ("0-_9", true, "digits, `-` and `_`"),
            ("-ab", false, "first `-`"),
            ("_ab", false, "first `_`"),
            ("ab-", false, "last `-`"),
            ("ab_", false, "last `_`"),
            ("aBc", false, "an upper-case letter"),
            ("a.c", false, "a dot"),
            ("a c", false, "a space"),
            ("aéc", false, "a letter that is not ASCII"),
            ("", false, "nothing"),
        ] {
            assert_eq!(NamedSource::is_named_source(text), want, "{text:?}: {why}");
            assert_eq!(text.parse::<NamedSource>().ok().map(|name| name.to_string()), want.then(|| text.to_owned()));
        }
    }

    #[test]
    fn error_shortens_a_long_text() {
        let error = NamedSource::parse(&"é".repeat(1000)).unwrap_err().to_string();
        assert!(error.starts_with(&format!("`{}…` is not", "é".repeat(60))), "{error}");
    }

    #[test]
    fn error_escapes_hidden_characters() {
        let error = NamedSource::parse("a\u{202e}\nb").unwrap_err().to_string();
        assert!(error.starts_with(r"`a\u{202e}\nb` is not a named source"), "{error}");
    }
}
