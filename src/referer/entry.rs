//! One entry of a token's list of referers (N7.1 to N7.5).

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use url::{ParseError, Position, Url};

use super::header::Referer;
use super::url::{Scheme, has_user_info};

/// A URL that a token may be used from, in canonical form.
///
/// Entries that mean the same are equal; they are ordered by origin, then by path and query.
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
    scheme: Scheme,
    port: Option<u16>,
    wildcard: bool,
    reach: Reach,
    // INVARIANT: as the WHATWG rules write it, without the `*.` of a wildcard; not empty.
    host: Box<str>,
    // INVARIANT: begins with a slash; `/` for a site, what precedes the star for a prefix, else path and query.
    tail: Box<str>,
    // INVARIANT: follows from the other fields.
    text: Box<str>,
}

/// What an entry asks of a Referer of its origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rule<'e> {
    /// Nothing (N7.2).
    Site,
    /// That its path, then query, begins with this (N7.3).
    Prefix(&'e str),
    /// That its path and query are this (N7.4).
    Exact(&'e str),
}

/// How `tail` is compared. The order matters to [`RefererSet`](super::RefererSet): what covers more comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Reach {
    Site,
    Prefix,
    Exact,
}

/// What decides whether an entry applies at all; the first part of the order of entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Origin<'e> {
    /// Whether `host` stands for the hosts below it (N7.5).
    pub(super) wildcard: bool,
    pub(super) host: &'e str,
    pub(super) scheme: Scheme,
    pub(super) port: Option<u16>,
}

/// Text that is not an entry of a token's referers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// There is no scheme in front.
    #[error("`{found}` is not an absolute URL: write its scheme too, as in `https://carto.com/`")]
    NotAbsolute {
        /// The text.
        found: Box<str>,
    },
    /// The scheme is neither `http` nor `https`.
    #[error("`{found}` has the scheme `{scheme}`: expected `http` or `https`, as in `https://carto.com/`")]
    Scheme {
        /// The text.
        found: Box<str>,
        /// Its scheme.
        scheme: Box<str>,
    },
    /// User info stands before the host. It is not repeated: it may be a password.
    #[error("a referer has no user info: leave out what stands before the `@`, and write `{instead}`")]
    UserInfo {
        /// The URL without it.
        instead: Box<str>,
    },
    /// A `#` stands in it; no browser sends what follows.
    #[error("`{found}` has a fragment, which no browser sends: write `{instead}`")]
    Fragment {
        /// The text.
        found: Box<str>,
        /// The URL without it.
        instead: Box<str>,
    },
    /// A `*` in the host that is not its first label (N7.5).
    #[error(
        "`{found}` has a `*` inside its host: it may only stand for whole labels in front, as in `https://*.carto.com/`"
    )]
    HostStar {
        /// The text.
        found: Box<str>,
    },
    /// A wildcard host without a host after it.
    #[error(
        "`{found}` names no host after the `*`: write the host whose subdomains are meant, as in `https://*.carto.com/`"
    )]
    EmptyWildcard {
        /// The text.
        found: Box<str>,
    },
    /// Not a URL, for the reason that the source gives.
    #[error("`{found}` is not a URL: expected one such as `https://carto.com/`")]
    Invalid {
        /// The text.
        found: Box<str>,
        /// What is wrong with it.
        source: ParseError,
    },
}

impl Entry {
    /// Reads an entry by the WHATWG URL rules (N7.1).
    ///
    /// Cost: linear in `text`, for a host that is not ASCII its conversion to punycode.
    ///
    /// # Errors
    ///
    /// [`EntryError`] when `text` is not an absolute `http` or `https` URL, has user info or a fragment (N7.1), or has a `*`
    /// in its host that does not stand for whole labels in front of a host (N7.5).
    ///
    /// ```
    /// use portcullis::referer::{Entry, EntryError};
    ///
    /// let error = Entry::parse("carto.com").unwrap_err();
    /// assert_eq!(error, EntryError::NotAbsolute { found: "carto.com".into() });
    /// assert!(error.to_string().ends_with("write its scheme too, as in `https://carto.com/`"));
    /// ```
    pub fn parse(text: &str) -> Result<Self, EntryError> {
        let mut url = Url::parse(text).map_err(|error| EntryError::from_url(text, error))?;
        let Some(scheme) = Scheme::of(&url) else {
            return Err(EntryError::Scheme { found: text.into(), scheme: url.scheme().into() });
        };
        if has_user_info(text) {
            let from_host = &url[Position::BeforeHost..Position::AfterQuery];
            return Err(EntryError::UserInfo { instead: format!("{scheme}://{from_host}").into() });
        }
        if url.fragment().is_some() {
            return Err(EntryError::Fragment { found: text.into(), instead: url[..Position::AfterQuery].into() });
        }
        let (wildcard, host) = wildcard(text, url.host_str().unwrap_or_default())?;
        let host = host.into();
        let (reach, tail) = match (url.path(), url.query()) {
            ("/" | "/*", None) => (Reach::Site, "/".into()),
            (path, None) if path.ends_with("/*") => (Reach::Prefix, path.trim_end_matches('*').into()),
            _ => (Reach::Exact, url[Position::BeforePath..Position::AfterQuery].into()),
        };
        if reach == Reach::Site {
            url.set_path("/");
        }
        Ok(Self { scheme, port: url.port(), wildcard, reach, host, tail, text: String::from(url).into() })
    }

    /// The canonical form, which reads back as this entry.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The scheme of its origin.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The host of its origin, lower-case and in punycode, without the `*.` of a wildcard.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Whether it stands for the hosts below [`host`](Self::host), to any depth, and not for that host itself (N7.5).
    pub fn is_wildcard_host(&self) -> bool {
        self.wildcard
    }

    /// The port of its origin; `None` for the default one of the scheme.
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// What it asks of a Referer of its origin.
    pub fn rule(&self) -> Rule<'_> {
        match self.reach {
            Reach::Site => Rule::Site,
            Reach::Prefix => Rule::Prefix(&self.tail),
            Reach::Exact => Rule::Exact(&self.tail),
        }
    }

    /// Whether it lets `referer` pass (N7.2 to N7.5).
    ///
    /// Cost: linear in the shorter of both, nothing allocated.
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
        let origin = referer.origin();
        self.scheme == origin.scheme
            && self.port == origin.port
            && if self.wildcard { is_below(origin.host, &self.host) } else { origin.host == &*self.host }
            && self.covers(referer.path_and_query())
    }

    pub(super) fn origin(&self) -> Origin<'_> {
        Origin { wildcard: self.wildcard, host: &self.host, scheme: self.scheme, port: self.port }
    }

    /// The least path and query that it covers, and the second part of the order of entries.
    pub(super) fn tail(&self) -> &str {
        &self.tail
    }

    /// Whether it lets this path and query of its origin pass.
    pub(super) fn covers(&self, path_and_query: &str) -> bool {
        match self.reach {
            Reach::Site => true,
            Reach::Prefix => path_and_query.starts_with(&*self.tail),
            Reach::Exact => path_and_query == &*self.tail,
        }
    }

    /// Whether all that `other` matches is matched by this entry, of the same origin.
    pub(super) fn includes(&self, other: &Self) -> bool {
        self.origin() == other.origin() && self.reach <= other.reach && self.covers(&other.tail)
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.origin(), self.tail(), self.reach).cmp(&(other.origin(), other.tail(), other.reach))
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
    fn from_url(text: &str, error: ParseError) -> Self {
        let found = text.into();
        match error {
            ParseError::RelativeUrlWithoutBase => Self::NotAbsolute { found },
            source => Self::Invalid { found, source },
        }
    }
}

/// Whether `host` is a wildcard, and what follows the `*.` (N7.5).
fn wildcard<'u>(text: &str, host: &'u str) -> Result<(bool, &'u str), EntryError> {
    let (wildcard, rest) = match host.strip_prefix("*.") {
        Some(rest) if rest.is_empty() || rest.starts_with('.') => {
            return Err(EntryError::EmptyWildcard { found: text.into() });
        }
        Some(rest) => (true, rest),
        None if host == "*" => return Err(EntryError::EmptyWildcard { found: text.into() }),
        None => (false, host),
    };
    if rest.contains('*') { Err(EntryError::HostStar { found: text.into() }) } else { Ok((wildcard, rest)) }
}

/// Whether one or more labels, none of them empty, stand before `domain` in `host` (N7.5).
fn is_below(host: &str, domain: &str) -> bool {
    host.strip_suffix(domain)
        .and_then(|labels| labels.strip_suffix('.'))
        .is_some_and(|labels| labels.split('.').all(|label| !label.is_empty()))
}
