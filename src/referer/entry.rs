//! Entries of a token's list of referers (N7.1 to N7.5).

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use url::{ParseError, Position};

use super::header::Referer;
use super::list;
use super::url::{Origin, Scheme, has_user_info, parse};
use crate::base::{is_same, quoted, starts_with};

/// A URL from which a token may be used, in canonical form.
///
/// Entries with the same meaning are equal. Entries are ordered by origin, then by path and query.
///
/// ```
/// use portcullis::referer::{Entry, Referer, Rule};
///
/// let site: Entry = "https://CARTO.com:443/*".parse()?;
/// assert_eq!(site, "https://carto.com".parse()?);
/// assert_eq!(site.as_str(), "https://carto.com/");
/// assert_eq!(site.rule(), Rule::Site);
/// assert!(Referer::parse("https://carto.com/maps?id=1").is_some_and(|referer| site.matches(&referer)));
/// # Ok::<(), portcullis::referer::EntryError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Entry {
    // INVARIANT: the canonical form by the WHATWG rules.
    text: Box<str>,
    // INVARIANT: derived from the text.
    parts: Parts,
}

/// The properties of an entry, with spans in its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Parts {
    scheme: Scheme,
    wildcard: bool,
    reach: Reach,
    port: Option<u16>,
    /// The span of the host, without the `*.` of a wildcard; not empty.
    host: (u32, u32),
    /// The span of the path that is compared; it starts with a slash. A site has only the slash, a prefix the text
    /// before the star, an exact entry its path and query.
    tail: (u32, u32),
}

/// The parts of an entry that decide. They are ordered like entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct View<'e> {
    pub(super) origin: Origin<'e>,
    /// The smallest path and query that the entry covers.
    pub(super) tail: &'e [u8],
    pub(super) reach: Reach,
}

/// The rule of an entry for the path and query of a Referer from its origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rule<'e> {
    /// Any path and query match (N7.2).
    Site,
    /// The path and query must start with this text (N7.3).
    Prefix(&'e str),
    /// The path and query must equal this text (N7.4).
    Exact(&'e str),
}

/// The comparison with `tail`. [`RefererSet`](super::RefererSet) relies on the order: comparisons that cover more come
/// first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Reach {
    Site,
    Prefix,
    Exact,
}

/// The error for text that is not a valid entry. Messages do not repeat text with an `@`, because it may contain a
/// password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// The URL has no scheme.
    #[error("{} is not an absolute URL: write its scheme too, as in `https://carto.com/`", shown(found))]
    NotAbsolute {
        /// The text.
        found: Box<str>,
    },
    /// The scheme is neither `http` nor `https`.
    #[error(
        "{} has the scheme {}: expected `http` or `https`, as in `https://carto.com/`",
        shown(found),
        shown(scheme)
    )]
    Scheme {
        /// The text.
        found: Box<str>,
        /// The scheme of the text.
        scheme: Box<str>,
    },
    /// The text is a list of URLs.
    #[error("{} is a list: write each URL as an entry of its own", shown(found))]
    List {
        /// The text.
        found: Box<str>,
        /// The elements of the list, as they are written; not all of them may be valid.
        urls: Box<[Box<str>]>,
    },
    /// The URL has user info before the host.
    #[error("a referer must not have user info: remove the part before the `@`: {}", shown(instead))]
    UserInfo {
        /// The URL without the rejected part.
        instead: Box<str>,
    },
    /// The URL has a fragment, which browsers do not send.
    #[error("{} has a fragment, which no browser sends: write {}", shown(found), shown(instead))]
    Fragment {
        /// The text.
        found: Box<str>,
        /// The URL without the rejected part.
        instead: Box<str>,
    },
    /// The host has a `*` that is not its first label (N7.5).
    #[error(
        "{} has a `*` inside its host: a `*` may only replace whole labels at the start, as in `https://*.carto.com/`",
        shown(found)
    )]
    HostStar {
        /// The text.
        found: Box<str>,
    },
    /// The wildcard is not followed by a host.
    #[error(
        "{} names no host after the `*`: write the host whose subdomains are meant, as in `https://*.carto.com/`",
        shown(found)
    )]
    EmptyWildcard {
        /// The text.
        found: Box<str>,
    },
    /// The host has an empty label before its end, as in `https://.carto.com/`.
    #[error("{} has an empty label in its host: subdomains are written as in `https://*.carto.com/`", shown(found))]
    EmptyLabel {
        /// The text.
        found: Box<str>,
    },
    /// The text is not a URL. The source has the reason.
    #[error("{} is not a URL: expected one such as `https://carto.com/`", shown(found))]
    Invalid {
        /// The text.
        found: Box<str>,
        /// The reason why the text is not a URL.
        source: ParseError,
    },
}

/// Returns text of a user as messages show it.
fn shown(text: &str) -> String {
    if text.contains('@') { "the referer".to_owned() } else { quoted(text) }
}

impl Entry {
    /// Parses an entry by the WHATWG URL rules (N7.1).
    ///
    /// Cost: linear in `text`, plus the conversion of a non-ASCII host to punycode.
    ///
    /// # Errors
    ///
    /// - If `text` is not an absolute `http` or `https` URL, or has user info or a fragment (N7.1).
    /// - If `text` is a list of URLs.
    /// - If the host has a `*` other than a first label before a host (N7.5), or an empty label.
    ///
    /// ```
    /// use portcullis::referer::{Entry, EntryError};
    ///
    /// let error = Entry::parse("carto.com").unwrap_err();
    /// assert_eq!(error, EntryError::NotAbsolute { found: "carto.com".into() });
    /// assert!(error.to_string().ends_with("write its scheme too, as in `https://carto.com/`"));
    /// ```
    pub fn parse(text: &str) -> Result<Self, EntryError> {
        let has_user_info = has_user_info(text);
        if !has_user_info {
            EntryError::reject_list(text, text)?;
        }
        let mut url = parse(text).map_err(|error| EntryError::from_url(text, error))?;
        let Some(scheme) = Scheme::of(&url) else {
            return Err(EntryError::Scheme { found: text.into(), scheme: url.scheme().into() });
        };
        if has_user_info {
            let from_host = &url[Position::BeforeHost..Position::AfterQuery];
            return Err(EntryError::UserInfo { instead: format!("{scheme}://{from_host}").into() });
        }
        if url.fragment().is_some() {
            return Err(EntryError::Fragment { found: text.into(), instead: url[..Position::AfterQuery].into() });
        }
        let (wildcard, host) = wildcard(text, url.host_str().unwrap_or_default())?;
        let host_length = host.len();
        let (reach, tail_length) = match (url.path(), url.query()) {
            ("/" | "/*", None) => (Reach::Site, 1),
            (path, None) if path.ends_with("/*") => (Reach::Prefix, path.trim_end_matches('*').len()),
            _ => (Reach::Exact, url[Position::BeforePath..Position::AfterQuery].len()),
        };
        if reach == Reach::Site {
            url.set_path("/");
        }
        // Parsing removes tabs and dots, after which the text may be a list.
        EntryError::reject_list(text, url.as_str())?;
        let port = url.port();
        let (host_end, tail_start) = (url[..Position::AfterHost].len(), url[..Position::BeforePath].len());
        let text: Box<str> = String::from(url).into();
        let span =
            |start: usize, length: usize| Some((u32::try_from(start).ok()?, u32::try_from(start + length).ok()?));
        let spans = span(host_end - host_length, host_length).zip(span(tail_start, tail_length));
        let Some((host, tail)) = spans else {
            return Err(EntryError::from_url("", ParseError::Overflow));
        };
        Ok(Self { parts: Parts { scheme, wildcard, reach, port, host, tail }, text })
    }

    pub(super) fn view(&self) -> View<'_> {
        let Parts { scheme, wildcard, reach, port, host, tail } = self.parts;
        let part = |span| self.part(span).as_bytes();
        View { origin: Origin { wildcard, host: part(host), scheme, port }, tail: part(tail), reach }
    }

    /// Returns the entry of a view; `None` if the view is not UTF-8 or too long.
    pub(super) fn of(View { origin, tail, reach }: View<'_>) -> Option<Self> {
        let Origin { wildcard, host, scheme, port } = origin;
        let (host, tail) = (std::str::from_utf8(host).ok()?, std::str::from_utf8(tail).ok()?);
        let mut text = format!("{scheme}://");
        let push = |text: &mut String, part: &str| {
            let start = u32::try_from(text.len()).ok()?;
            text.push_str(part);
            Some((start, u32::try_from(text.len()).ok()?))
        };
        text.push_str(if wildcard { "*." } else { "" });
        let host = push(&mut text, host)?;
        text.push_str(&port.map(|port| format!(":{port}")).unwrap_or_default());
        let tail = push(&mut text, tail)?;
        text.push_str(if reach == Reach::Prefix { "*" } else { "" });
        Some(Self { text: text.into(), parts: Parts { scheme, wildcard, reach, port, host, tail } })
    }

    /// Returns the canonical form. Parsing it returns an equal entry.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns the scheme of the origin.
    pub fn scheme(&self) -> Scheme {
        self.parts.scheme
    }

    /// Returns the host of the origin, in lower case and punycode, without the `*.` of a wildcard.
    pub fn host(&self) -> &str {
        self.part(self.parts.host)
    }

    /// Returns whether the entry matches the subdomains of [`host`](Self::host), at any depth, and not the host itself
    /// (N7.5).
    pub fn is_wildcard_host(&self) -> bool {
        self.parts.wildcard
    }

    /// Returns the port of the origin; `None` for the default port of the scheme.
    pub fn port(&self) -> Option<u16> {
        self.parts.port
    }

    /// Returns the rule for the path and query of a Referer from this origin.
    pub fn rule(&self) -> Rule<'_> {
        let tail = self.part(self.parts.tail);
        match self.parts.reach {
            Reach::Site => Rule::Site,
            Reach::Prefix => Rule::Prefix(tail),
            Reach::Exact => Rule::Exact(tail),
        }
    }

    fn part(&self, (start, end): (u32, u32)) -> &str {
        self.text.get(start as usize..end as usize).unwrap_or_default()
    }

    /// Returns whether the entry matches `referer` (N7.2 to N7.5).
    ///
    /// Cost: linear in the shorter of the two. Does not allocate.
    ///
    /// ```
    /// use portcullis::referer::{Entry, Referer};
    ///
    /// let entry = Entry::parse("https://*.carto.com/app/*")?;
    /// let matches = |header| Referer::parse(header).is_some_and(|referer| entry.matches(&referer));
    /// assert!(matches("https://a.b.carto.com/app/?x=1"));
    /// assert!(!matches("https://carto.com/app/"));
    /// assert!(!matches("https://evilcarto.com/app/"));
    /// assert!(!matches("https://a.carto.com/"));
    /// # Ok::<(), portcullis::referer::EntryError>(())
    /// ```
    pub fn matches(&self, referer: &Referer<'_>) -> bool {
        self.view().matches(referer)
    }
}

impl View<'_> {
    fn matches(self, referer: &Referer<'_>) -> bool {
        let (own, found) = (self.origin, referer.origin());
        own.scheme == found.scheme
            && own.port == found.port
            && if own.wildcard { is_below(found.host, own.host) } else { found.host == own.host }
            && self.reach.covers(self.tail, referer.path_and_query().as_bytes())
    }

    /// Returns whether this entry has the origin of `other` and matches everything that `other` matches.
    pub(super) fn includes(self, other: View<'_>) -> bool {
        self.origin == other.origin && self.reach <= other.reach && self.reach.covers(self.tail, other.tail)
    }
}

impl Reach {
    /// Returns whether an entry with this `tail` matches a path and query of its origin.
    #[inline]
    pub(super) fn covers(self, tail: &[u8], path_and_query: &[u8]) -> bool {
        match self {
            Self::Site => true,
            Self::Prefix => starts_with(path_and_query, tail),
            Self::Exact => is_same(path_and_query, tail),
        }
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        self.view().cmp(&other.view())
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl FromStr for Entry {
    type Err = EntryError;

    fn from_str(text: &str) -> Result<Self, EntryError> {
        Self::parse(text)
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl EntryError {
    /// Rejects `text`, a form of the text `found`, if it is a list of URLs.
    fn reject_list(found: &str, text: &str) -> Result<(), Self> {
        match list::urls(text) {
            None => Ok(()),
            Some(urls) => Err(Self::List { found: found.into(), urls: urls.into_iter().map(Box::from).collect() }),
        }
    }

    fn from_url(text: &str, error: ParseError) -> Self {
        let found = text.into();
        match error {
            ParseError::RelativeUrlWithoutBase => Self::NotAbsolute { found },
            source => Self::Invalid { found, source },
        }
    }
}

/// Returns whether `host` is a wildcard, and the host after the `*.` (N7.5).
fn wildcard<'u>(text: &str, host: &'u str) -> Result<(bool, &'u str), EntryError> {
    let (wildcard, rest) = match host.strip_prefix("*.") {
        Some(rest) if rest.is_empty() || rest.starts_with('.') => {
            return Err(EntryError::EmptyWildcard { found: text.into() });
        }
        Some(rest) => (true, rest),
        None if host == "*" => return Err(EntryError::EmptyWildcard { found: text.into() }),
        None => (false, host),
    };
    if rest.contains('*') {
        return Err(EntryError::HostStar { found: text.into() });
    }
    // A final dot is no label: `carto.com.` is a host.
    let labels = rest.strip_suffix('.').unwrap_or(rest);
    if labels.split('.').any(str::is_empty) {
        return Err(EntryError::EmptyLabel { found: text.into() });
    }
    Ok((wildcard, rest))
}

/// Returns whether `host` is a subdomain of `domain`: one or more non-empty labels, then `domain` (N7.5).
fn is_below(host: &[u8], domain: &[u8]) -> bool {
    host.strip_suffix(domain)
        .and_then(|labels| labels.strip_suffix(b"."))
        .is_some_and(|labels| labels.split(|byte| *byte == b'.').all(|label| !label.is_empty()))
}
