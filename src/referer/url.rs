//! The schemes and the user info check that entries and headers share.

use std::fmt;

use url::Url;

/// The scheme of a Referer that can match (N7.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scheme {
    /// `http`.
    Http,
    /// `https`.
    Https,
}

/// What decides whether an entry applies at all; the first part of the order of entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Origin<'e> {
    /// Whether `host` stands for the hosts below it (N7.5).
    pub(super) wildcard: bool,
    pub(super) host: &'e [u8],
    pub(super) scheme: Scheme,
    pub(super) port: Option<u16>,
}

impl Scheme {
    /// Returns the scheme of a parsed URL; `None` for any other scheme.
    pub(super) fn of(url: &Url) -> Option<Self> {
        match url.scheme() {
            "http" => Some(Self::Http),
            "https" => Some(Self::Https),
            _ => None,
        }
    }

    /// Returns the scheme as it is written in a URL.
    ///
    /// ```
    /// use portcullis::referer::Scheme;
    ///
    /// assert_eq!(Scheme::Https.as_str(), "https");
    /// ```
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    /// Returns the default port of the scheme.
    pub(super) const fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Returns whether `text`, an `http` or `https` URL, has user info, even if it is empty: an `@` before the path.
///
/// The check needs the text, because parsing turns `https://@carto.com/` into `https://carto.com/`.
pub(super) fn has_user_info(text: &str) -> bool {
    text.trim_start_matches(|first| first <= ' ')
        .chars()
        .filter(|character| !matches!(character, '\t' | '\n' | '\r'))
        .skip_while(|character| *character != ':')
        .skip(1)
        .skip_while(|character| matches!(character, '/' | '\\'))
        .take_while(|character| !matches!(character, '/' | '\\' | '?' | '#'))
        .any(|character| character == '@')
}

#[cfg(test)]
mod tests {
    use super::has_user_info;

    #[test]
    fn user_info_is_found_even_if_empty() {
        for (text, want, why) in [
            ("https://carto.com/", false, "none"),
            ("https://user@carto.com/", true, "a name"),
            ("https://user:pass@carto.com/", true, "a name and a password"),
            ("https://@carto.com/", true, "an empty name"),
            ("https://:@carto.com/", true, "an empty name and password"),
            ("https://carto.com@evil.com/", true, "the host is what follows"),
            ("https://carto.com/@evil.com/", false, "in the path"),
            ("https://carto.com?@evil.com/", false, "in the query"),
            ("https://carto.com#@evil.com/", false, "in the fragment"),
            ("https://carto.com\\@evil.com/", false, "a backslash starts the path"),
            ("https:carto.com@evil.com/", true, "no slashes"),
            ("https:/\\//carto.com@evil.com/", true, "slashes of both kinds"),
            (" ht\ntps:/\t/\r/\tuser\n@carto.com/", true, "tabs and line ends are ignored"),
        ] {
            assert_eq!(has_user_info(text), want, "{text:?}: {why}");
        }
    }
}
