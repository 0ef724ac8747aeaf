//! A request as a gateway hands it over, and the headers that matter (W4).

use std::borrow::Cow;
use std::fmt;

use smallvec::SmallVec;

use super::NotUnderstood;
use super::keys::Keys;

/// A request, borrowed from whoever received it. `Debug` shows neither headers nor parameters, which may hold a token.
#[derive(Clone, Copy)]
pub struct HttpRequest<'r> {
    /// The method of the client's own request. Where the gateway asks with another, pass on the original: it tells
    /// preflights, and whether there may be a body.
    pub method: &'r str,
    /// Path and query as the client sent them, neither decoded nor normalised: `/v3/maps/dw/table?name=a.b.c`. Not an
    /// absolute URL, and without a fragment.
    pub target: &'r str,
    /// All headers.
    pub headers: &'r dyn Headers,
    /// The body.
    pub body: Body<'r>,
}

/// The body of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body<'r> {
    /// Whatever it is, the gateway did not pass it on, or not all of it. A request that may have one is not understood, where tokens
    /// decide about its path (W2).
    NotPassedOn,
    /// All of it; empty where there is none.
    Whole(&'r [u8]),
}

/// The headers of a request, in any order: a name in any case and the value of each, as often as it was sent.
pub trait Headers {
    /// Shows each header to `visit`.
    fn for_each<'h>(&'h self, visit: &mut dyn FnMut(&'h str, &'h [u8]));
}

impl<N: AsRef<str>, V: AsRef<[u8]>, const COUNT: usize> Headers for [(N, V); COUNT] {
    fn for_each<'h>(&'h self, visit: &mut dyn FnMut(&'h str, &'h [u8])) {
        for (name, value) in self {
            visit(name.as_ref(), value.as_ref());
        }
    }
}

impl<N: AsRef<str>, V: AsRef<[u8]>> Headers for &[(N, V)] {
    fn for_each<'h>(&'h self, visit: &mut dyn FnMut(&'h str, &'h [u8])) {
        for (name, value) in *self {
            visit(name.as_ref(), value.as_ref());
        }
    }
}

impl<N: AsRef<str>, V: AsRef<[u8]>> Headers for Vec<(N, V)> {
    fn for_each<'h>(&'h self, visit: &mut dyn FnMut(&'h str, &'h [u8])) {
        for (name, value) in self {
            visit(name.as_ref(), value.as_ref());
        }
    }
}

impl fmt::Debug for HttpRequest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.target.split(['?', '#']).next().unwrap_or_default();
        f.debug_struct("HttpRequest").field("method", &self.method).field("path", &path).finish_non_exhaustive()
    }
}

/// A header's value, and whether it was the only one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Seen<'r> {
    #[default]
    Never,
    Once(&'r [u8]),
    Often,
}

impl<'r> Seen<'r> {
    fn another(&mut self, value: &'r [u8]) {
        *self = if *self == Self::Never { Self::Once(value.trim_ascii()) } else { Self::Often };
    }

    /// The value as an address. Several headers, also joined into one, and text that is not an address are replaced.
    fn address(self) -> Option<&'r str> {
        match self {
            Self::Never | Self::Once(b"") => None,
            Self::Once(value) if value.contains(&b'\t') => Some(NO_TEXT),
            Self::Once(value) if joins_addresses(value) => Some(SEVERAL),
            Self::Once(value) => Some(std::str::from_utf8(value).unwrap_or(NO_TEXT)),
            Self::Often => Some(SEVERAL),
        }
    }
}

/// Whether a comma in `value` is followed by the scheme of another URL: a gateway joined two headers (W4).
fn joins_addresses(value: &[u8]) -> bool {
    memchr::memchr_iter(b',', value).any(|at| {
        let next = value.get(at + 1..).unwrap_or_default().trim_ascii_start();
        let end = next.iter().position(|byte| !byte.is_ascii_alphanumeric() && !b"+-.".contains(byte));
        let (scheme, rest) = next.split_at_checked(end.unwrap_or(next.len())).unwrap_or_default();
        let is_web = scheme.eq_ignore_ascii_case(b"http") || scheme.eq_ignore_ascii_case(b"https");
        // URL parsers need no slashes after these two schemes.
        !scheme.is_empty() && (rest.starts_with(b"://") || is_web && rest.starts_with(b":"))
    })
}

/// Replaces several `Referer` headers: not a URL, so that no referer of a token matches (W4).
const SEVERAL: &str = "several headers";

/// Replaces a `Referer` header that is not UTF-8 or holds a tab, which URL parsers skip.
const NO_TEXT: &str = "not a URL";

/// The headers that matter.
#[derive(Default)]
pub(super) struct Relevant<'r> {
    authorization: Seen<'r>,
    referer: Seen<'r>,
    origin: Seen<'r>,
    requested_method: Seen<'r>,
    content_type: Seen<'r>,
    /// The values of all `Cookie` headers.
    cookies: SmallVec<[&'r [u8]; 2]>,
    /// Whether there is an `Upgrade` header; its value is `websocket`.
    upgrades: bool,
    /// Whether there is a `Content-Encoding` other than `identity`.
    encoded: bool,
    /// Whether there is a `Content-Length` other than zero, or a `Transfer-Encoding`.
    announces_body: bool,
    /// Why the request is not understood whatever it asks for.
    refused: Option<&'static str>,
}

impl<'r> Relevant<'r> {
    /// Collects the headers that matter.
    ///
    /// Refuses names that servers confuse with other names, and headers that make the upstream read another request
    /// than the one that is decided (W2).
    pub(super) fn of(headers: &'r dyn Headers) -> Result<Self, NotUnderstood> {
        let mut relevant = Self::default();
        headers.for_each(&mut |name, value| relevant.header(name, value));
        match relevant.refused {
            Some(why) => Err(NotUnderstood::new(why)),
            None => Ok(relevant),
        }
    }

    fn header(&mut self, name: &'r str, value: &'r [u8]) {
        let is = |wanted: &str| name.eq_ignore_ascii_case(wanted);
        if !is_plain(name) {
            self.refused = Some("a header whose name holds another character than a letter, a digit or `-`");
        }
        // By length first: most headers have none of these names.
        match name.len() {
            6 if is("origin") => self.origin.another(value),
            6 if is("cookie") => self.cookies.push(value),
            7 if is("referer") => self.referer.another(value),
            7 if is("upgrade") => self.upgrade(value),
            7 if is("trailer") => self.refused = Some("trailers, which are headers after the check"),
            12 if is("content-type") => self.content_type.another(value),
            13 if is("authorization") => self.authorization.another(value),
            14 if is("content-length") => self.announces_body |= value.trim_ascii() != b"0",
            16 if is("content-encoding") => self.encoded |= !value.trim_ascii().eq_ignore_ascii_case(b"identity"),
            17 if is("transfer-encoding") => self.announces_body = true,
            29 if is("access-control-request-method") => self.requested_method.another(value),
            14 if is("http2-settings") => self.refused = Some(TUNNEL),
            8 | 13 | 15 | 17 | 20 | 22 if METHOD_OVERRIDES.iter().any(|wanted| is(wanted)) => {
                self.refused = Some("a header that overrides the method");
            }
            13 | 14 if URL_OVERRIDES.iter().any(|wanted| is(wanted)) => {
                self.refused = Some("a header that overrides the URL");
            }
            _ => {}
        }
    }

    fn upgrade(&mut self, value: &[u8]) {
        self.upgrades = true;
        if !value.trim_ascii().eq_ignore_ascii_case(b"websocket") {
            self.refused = Some(TUNNEL);
        }
    }

    /// The origin of a preflight, if these are the headers of one (W4): a browser's has neither a body nor an upgrade.
    pub(super) fn preflight(&self) -> Option<&'r str> {
        let once = |seen: Seen<'r>| match seen {
            Seen::Once(value) if !value.is_empty() => std::str::from_utf8(value).ok(),
            _ => None,
        };
        once(self.requested_method).filter(|_| !self.upgrades && !self.announces_body)?;
        once(self.origin)
    }

    /// Checks that no cookie has the name of a parameter, or nearly.
    pub(super) fn check_cookies(&self, keys: &Keys) -> Result<(), NotUnderstood> {
        self.cookies.iter().try_for_each(|cookies| keys.check_cookies(cookies))
    }

    pub(super) fn announces_body(&self) -> bool {
        self.announces_body
    }

    /// The secret of `Authorization: Bearer …`; empty where nothing follows `Bearer`.
    pub(super) fn bearer(&self) -> Result<Option<&'r str>, NotUnderstood> {
        let value = match self.authorization {
            Seen::Never => return Ok(None),
            Seen::Once(value) => value,
            Seen::Often => return Err(NotUnderstood::new("more than one `Authorization` header")),
        };
        if value.contains(&b',') {
            return Err(NotUnderstood::new("a comma in the `Authorization` header, which may be two joined into one"));
        }
        let value = std::str::from_utf8(value)
            .map_err(|_| NotUnderstood::new("an `Authorization` header that is not UTF-8"))?;
        let end = value.find(' ').unwrap_or(value.len());
        let (scheme, secret) = value.split_at_checked(end).unwrap_or((value, ""));
        if !is_graphic(scheme) {
            return Err(NotUnderstood::new("an `Authorization` header whose scheme is not followed by a space"));
        }
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Ok(None);
        }
        let secret = secret.trim_start_matches(' ');
        if !is_graphic(secret) {
            return Err(NotUnderstood::new("an `Authorization` header with more than one word after `Bearer`"));
        }
        Ok(Some(secret))
    }

    /// What stands for the referer.
    pub(super) fn referer(&self, origin_too: bool) -> Option<Cow<'r, str>> {
        let origin = || self.origin.address().filter(|origin| origin_too && !origin.eq_ignore_ascii_case("null"));
        self.referer.address().or_else(origin).map(Cow::Borrowed)
    }

    /// Checks that the headers call the body JSON in UTF-8, in the one spelling that every server reads alike (W2).
    pub(super) fn check_json(&self) -> Result<(), NotUnderstood> {
        if self.encoded {
            return Err(NotUnderstood::new("a body with a `Content-Encoding`"));
        }
        match self.content_type {
            Seen::Once(value) if is_json(value) => Ok(()),
            Seen::Once(_) => Err(NotUnderstood::new("a body whose `Content-Type` is not `application/json`")),
            Seen::Never => Err(NotUnderstood::new("a body without a `Content-Type`")),
            Seen::Often => Err(NotUnderstood::new("more than one `Content-Type` header")),
        }
    }
}

/// Whether all of `text` is visible ASCII. Does not stop early, so that many bytes are compared at once.
pub(super) fn is_graphic(text: &str) -> bool {
    text.bytes().fold(true, |all, byte| all & byte.is_ascii_graphic())
}

/// `application/json`, with nothing but an optional `charset=utf-8`.
fn is_json(content_type: &[u8]) -> bool {
    let mut parts = content_type.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
    let mut next = |wanted: &[u8]| parts.next().map(|part| part.eq_ignore_ascii_case(wanted));
    next(b"application/json") == Some(true) && next(b"charset=utf-8") != Some(false) && parts.next().is_none()
}

/// Whether every server reads `name` as the same header: CGI, and PHP after it, take `_` and `.` for `-`. HTTP/2's own
/// fields begin with a colon.
fn is_plain(name: &str) -> bool {
    let name = name.strip_prefix(':').unwrap_or(name);
    name.bytes().fold(!name.is_empty(), |all, byte| all & (byte.is_ascii_alphanumeric() || byte == b'-'))
}

const TUNNEL: &str = "an upgrade to another protocol than `websocket`";

/// Headers that make some upstreams take the request for one with another method.
const METHOD_OVERRIDES: [&str; 6] = [
    "x-method",
    "x-http-method",
    "method-override",
    "x-method-override",
    "http-method-override",
    "x-http-method-override",
];

/// Headers that make some upstreams take the request for one with another URL.
const URL_OVERRIDES: [&str; 2] = ["x-original-url", "x-rewrite-url"];
