//! One entry of a token's list of referers (N7.1 to N7.5).

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use url::{ParseError, Position, Url};

use super::header::Referer;
use super::url::{Origin, Scheme, has_user_info};

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
    // INVARIANT: the canonical form, as the WHATWG rules write it.
    text: Box<str>,
    // INVARIANT: follow from the text.
    parts: Parts,
}

/// What an entry asks, and where in its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Parts {
    pub(super) scheme: Scheme,
    pub(super) wildcard: bool,
    pub(super) reach: Reach,
    pub(super) port: Option<u16>,
    /// Of the host, without the `*.` of a wildcard; not empty.
    pub(super) host: (u32, u32),
    /// Begins with a slash: that alone for a site, what precedes the star for a prefix, else path and query.
    pub(super) tail: (u32, u32),
}

/// An entry, wherever it is kept.
#[derive(Debug, Clone, Copy)]
pub(super) struct View<'e> {
    pub(super) text: &'e str,
    pub(super) parts: Parts,
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
pub(super) enum Reach {
    Site,
    Prefix,
    Exact,
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
        let host_length = host.len();
        let (reach, tail_length) = match (url.path(), url.query()) {
            ("/" | "/*", None) => (Reach::Site, 1),
            (path, None) if path.ends_with("/*") => (Reach::Prefix, path.trim_end_matches('*').len()),
            _ => (Reach::Exact, url[Position::BeforePath..Position::AfterQuery].len()),
        };
        if reach == Reach::Site {
            url.set_path("/");
        }
        let port = url.port();
        let (host_end, tail_start) = (url[..Position::AfterHost].len(), url[..Position::BeforePath].len());
        let text: Box<str> = String::from(url).into();
        let place =
            |start: usize, length: usize| Some((u32::try_from(start).ok()?, u32::try_from(start + length).ok()?));
        let places = place(host_end - host_length, host_length).zip(place(tail_start, tail_length));
        let Some((host, tail)) = places else {
            return Err(EntryError::from_url("", ParseError::Overflow));
        };
        Ok(Self { parts: Parts { scheme, wildcard, reach, port, host, tail }, text })
    }

    pub(super) fn view(&self) -> View<'_> {
        View { text: &self.text, parts: self.parts }
    }

    pub(super) fn of(view: View<'_>) -> Self {
        Self { text: view.text.into(), parts: view.parts }
    }

    /// The canonical form, which reads back as this entry.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The scheme of its origin.
    pub fn scheme(&self) -> Scheme {
        self.parts.scheme
    }

    /// The host of its origin, lower-case and in punycode, without the `*.` of a wildcard.
    pub fn host(&self) -> &str {
        self.view().host()
    }

    /// Whether it stands for the hosts below [`host`](Self::host), to any depth, and not for that host itself (N7.5).
    pub fn is_wildcard_host(&self) -> bool {
        self.parts.wildcard
    }

    /// The port of its origin; `None` for the default one of the scheme.
    pub fn port(&self) -> Option<u16> {
        self.parts.port
    }

    /// What it asks of a Referer of its origin.
    pub fn rule(&self) -> Rule<'_> {
        let tail = self.view().tail();
        match self.parts.reach {
            Reach::Site => Rule::Site,
            Reach::Prefix => Rule::Prefix(tail),
            Reach::Exact => Rule::Exact(tail),
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
        self.view().matches(referer)
    }
}

impl<'e> View<'e> {
    fn part(self, (start, end): (u32, u32)) -> &'e str {
        self.text.get(start as usize..end as usize).unwrap_or_default()
    }

    pub(super) fn host(self) -> &'e str {
        self.part(self.parts.host)
    }

    /// The least path and query that it covers, and the second part of the order of entries.
    pub(super) fn tail(self) -> &'e str {
        self.part(self.parts.tail)
    }

    pub(super) fn origin(self) -> Origin<'e> {
        let Parts { scheme, wildcard, port, .. } = self.parts;
        Origin { wildcard, host: self.host(), scheme, port }
    }

    pub(super) fn matches(self, referer: &Referer<'_>) -> bool {
        let (own, asked) = (self.origin(), referer.origin());
        own.scheme == asked.scheme
            && own.port == asked.port
            && if own.wildcard { is_below(asked.host, own.host) } else { asked.host == own.host }
            && self.covers(referer.path_and_query())
    }

    /// Whether it lets this path and query of its origin pass.
    pub(super) fn covers(self, path_and_query: &str) -> bool {
        match self.parts.reach {
            Reach::Site => true,
            Reach::Prefix => path_and_query.starts_with(self.tail()),
            Reach::Exact => path_and_query == self.tail(),
        }
    }

    /// Whether all that `other` matches is matched by this entry, of the same origin.
    pub(super) fn includes(self, other: View<'_>) -> bool {
        self.origin() == other.origin() && self.parts.reach <= other.parts.reach && self.covers(other.tail())
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        let (own, other) = (self.view(), other.view());
        (own.origin(), own.tail(), own.parts.reach).cmp(&(other.origin(), other.tail(), other.parts.reach))
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
