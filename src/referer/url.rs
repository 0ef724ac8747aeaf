//! The parsing of URLs that entries and headers share.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use url::{ParseError, Url};

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

/// Parses an absolute URL by the WHATWG rules.
pub(super) fn parse(text: &str) -> Result<Url, ParseError> {
    Url::parse(&with_standard_path(text))
}

/// Returns whether `text`, an `http` or `https` URL, has user info, even if it is empty: an `@` before the path.
///
/// The check needs the text, because parsing turns `https://@carto.com/` into `https://carto.com/`.
pub(super) fn has_user_info(text: &str) -> bool {
    text.get(authority(text)).is_some_and(|authority| authority.contains('@'))
}

/// Normalizes the path of `text`, an `http` or `https` URL, if the crate `url` reads it otherwise than the WHATWG rules:
///
/// - `url` keeps a drive letter such as `C:` when `..` follows it. By the rules only a `file` URL keeps it.
/// - `url` leaves `^` as it is. By the rules it is percent-encoded in a path, though not in a query.
///
/// Remove this function when `url` follows the rules: the test data of the web platform includes these cases.
pub(super) fn with_standard_path(text: &str) -> Cow<'_, str> {
    let start = authority(text).end;
    let (Some(before), Some(tail)) = (text.get(..start), text.get(start..)) else { return Cow::Borrowed(text) };
    let tail = tail.trim_end_matches(|last| last <= ' ');
    let (path, rest) = tail.split_at_checked(tail.find(['?', '#']).unwrap_or(tail.len())).unwrap_or((tail, ""));
    if !path.contains(['^', ':', '|']) {
        return Cow::Borrowed(text);
    }
    let path = path.replace(IGNORED, "").replace('\\', "/").replace('^', "%5E");
    let mut segments: Vec<&str> = Vec::new();
    let mut unread = path.split('/').skip(1).peekable();
    while let Some(segment) = unread.next() {
        match Dots::of(segment) {
            None => {
                segments.push(segment);
                continue;
            }
            Some(Dots::Double) => drop(segments.pop()),
            Some(Dots::Single) => {}
        }
        if unread.peek().is_none() {
            segments.push("");
        }
    }
    Cow::Owned(format!("{before}/{}{rest}", segments.join("/")))
}

/// Characters that the WHATWG rules remove from a URL.
const IGNORED: [char; 3] = ['\t', '\n', '\r'];

/// Returns the span of the user info, host and port of `text`, an `http` or `https` URL.
pub(super) fn authority(text: &str) -> Range<usize> {
    let after_scheme = text.split_once(':').map_or("", |(_, rest)| rest);
    let rest = after_scheme.trim_start_matches(|first| matches!(first, '/' | '\\') || IGNORED.contains(&first));
    let start = text.len() - rest.len();
    start..start + rest.find(['/', '\\', '?', '#']).unwrap_or(rest.len())
}

/// A segment of a path that refers to another one.
enum Dots {
    /// `.`: the same segment.
    Single,
    /// `..`: the segment above.
    Double,
}

impl Dots {
    /// Recognizes a segment of dots, which may be percent-encoded.
    fn of(segment: &str) -> Option<Self> {
        const LONGEST: usize = "%2e%2e".len();
        if segment.len() > LONGEST {
            return None;
        }
        match &*segment.to_ascii_lowercase().replace("%2e", ".") {
            "." => Some(Self::Single),
            ".." => Some(Self::Double),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{has_user_info, parse, with_standard_path};

    #[test]
    fn paths_are_parsed_by_the_current_rules() {
        for (path, want, why) in [
            ("/C:/../x", "/x", "a drive letter is a segment like any other"),
            ("/C|/../x", "/x", "in its other notation too"),
            ("/c:/..", "/", "at the end"),
            ("/c:/..?q", "/?q", "before a query"),
            ("/c:/..#f", "/#f", "before a fragment"),
            ("/c:/../ \n", "/", "white space at the end of the URL is dropped"),
            ("/a/C:/../../x", "/x", "two segments are dropped"),
            ("/a/C:/%2e%2E/x", "/a/x", "dots may be encoded"),
            ("\\C:\\.\\..\\x", "/x", "backslashes separate too"),
            ("/\tC\n:\r/.\t./x", "/x", "tabs and line ends are dropped"),
            ("/C:/./x", "/C:/x", "one dot drops nothing"),
            ("/C:/.", "/C:/", "one dot at the end"),
            ("/C:/../..//../x", "/x", "the root stays, and an empty segment is one"),
            ("/a:b/../x", "/x", "no drive letter"),
            ("/C:/..x/...", "/C:/..x/...", "not dots only"),
            ("/C:/x", "/C:/x", "nothing to drop"),
            ("/a^b/^?^#^", "/a%5Eb/%5E?^#^", "encoded in the path alone"),
            ("/%5e", "/%5e", "encoded already"),
            ("?C:/../^", "/?C:/../^", "no path"),
        ] {
            for origin in ["https://e.com", "http:\\\\e.com:8080", " https:/\t/e.com"] {
                let url = parse(&format!("{origin}{path}")).unwrap();
                assert_eq!(&url[url::Position::BeforePath..], want, "{origin}{path}: {why}");
            }
        }
    }

    #[test]
    fn other_paths_are_left_to_the_url_crate() {
        for text in ["https://e.com/a/../b?^:|", "https://e.com:8443", "https://e.com/#^:", "e.com/^", "", ":", "a:/"] {
            assert!(matches!(with_standard_path(text), std::borrow::Cow::Borrowed(same) if same == text), "{text}");
        }
    }

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
