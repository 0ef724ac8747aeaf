//! HTTP requests from a gateway, and the headers that matter (W4).

use std::borrow::Cow;
use std::fmt;

use smallvec::SmallVec;

use super::NotUnderstood;
use super::keys::Keys;
use portcullis::base::bytes::{all, contains, is_same_name};

/// An HTTP request, borrowed from its receiver. `Debug` shows neither headers nor parameters, which may hold a token.
#[derive(Clone, Copy)]
pub struct HttpRequest<'r> {
    /// The method of the client's request. If the gateway sends its own request with another method, pass the original:
    /// it identifies preflights and requests without a body.
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
    /// The gateway did not pass the body on, or only a part of it. A request that may have a body is not understood if
    /// a token decides about its path (W2).
    NotPassedOn,
    /// The whole body; empty if there is none.
    Whole(&'r [u8]),
}

/// The headers of a request, in any order. Names are in any case; a repeated header is visited each time.
pub trait Headers {
    /// Calls `visit` with each header.
    fn for_each<'h>(&'h self, visit: &mut dyn FnMut(&'h str, &'h [u8]));

    /// Returns a value, or a part of one, as text; `None` if it is not UTF-8.
    ///
    /// An implementation may replace this check by a faster one.
    fn text<'h>(&self, value: &'h [u8]) -> Option<&'h str> {
        std::str::from_utf8(value).ok()
    }
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

/// The values of a header that should occur once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Occurrence<'r> {
    Never,
    Once(&'r [u8]),
    Often,
}

impl<'r> Occurrence<'r> {
    fn another(&mut self, value: &'r [u8]) {
        *self = if *self == Self::Never { Self::Once(value.trim_ascii()) } else { Self::Often };
    }

    /// Returns the value as an address. Several headers, also joined into one, and text that is not an address are
    /// replaced.
    fn address(self, headers: &dyn Headers) -> Option<&'r str> {
        match self {
            Self::Never | Self::Once(b"") => None,
            Self::Once(value) => Some(fault(value).unwrap_or_else(|| headers.text(value).unwrap_or(NO_TEXT))),
            Self::Often => Some(SEVERAL),
        }
    }
}

/// Returns the replacement of a value that holds a tab or several addresses.
fn fault(value: &[u8]) -> Option<&'static str> {
    // Nearly all values hold neither byte: one pass.
    if all(value, |lanes| !(lanes.equal(b',') | lanes.equal(b'\t'))) {
        None
    } else if contains(value, b'\t') {
        Some(NO_TEXT)
    } else {
        joins_addresses(value).then_some(SEVERAL)
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
pub(super) struct Relevant<'r> {
    all: &'r dyn Headers,
    authorization: Occurrence<'r>,
    referer: Occurrence<'r>,
    origin: Occurrence<'r>,
    requested_method: Occurrence<'r>,
    content_type: Occurrence<'r>,
    /// The values of all `Cookie` headers.
    cookies: SmallVec<[&'r [u8]; 2]>,
    /// Whether there is an `Upgrade` header; its value is `websocket`.
    upgrades: bool,
    /// Whether there is a `Content-Encoding` other than `identity`.
    encoded: bool,
    /// Whether there is a `Content-Length` other than zero, or a `Transfer-Encoding`.
    announces_body: bool,
    /// The reason why the request is not understood, whatever else it contains.
    refused: Option<&'static str>,
}

impl<'r> Relevant<'r> {
    /// Collects the headers that matter.
    ///
    /// Rejects names that servers confuse with other names, and headers that make the upstream read another request
    /// than the one that is decided (W2).
    pub(super) fn of(headers: &'r dyn Headers) -> Result<Self, NotUnderstood> {
        let mut relevant = Self::none(headers);
        headers.for_each(&mut |name, value| relevant.header(name, value));
        match relevant.refused {
            Some(why) => Err(NotUnderstood::new(why)),
            None => Ok(relevant),
        }
    }

    fn none(all: &'r dyn Headers) -> Self {
        Self {
            all,
            authorization: Occurrence::Never,
            referer: Occurrence::Never,
            origin: Occurrence::Never,
            requested_method: Occurrence::Never,
            content_type: Occurrence::Never,
            cookies: SmallVec::new(),
            upgrades: false,
            encoded: false,
            announces_body: false,
            refused: None,
        }
    }

    fn header(&mut self, name: &'r str, value: &'r [u8]) {
        let is = |wanted: &str| is_same_name(name.as_bytes(), wanted.as_bytes());
        if !is_plain(name) {
            self.refused = Some("a header whose name holds another character than a letter, a digit or `-`");
            return;
        }
        // Compares lengths first: most headers have none of these names.
        match name.len() {
            8 if is("x-method") => self.refused = Some(METHOD_OVERRIDE),
            13 if is("x-http-method") => self.refused = Some(METHOD_OVERRIDE),
            15 if is("method-override") => self.refused = Some(METHOD_OVERRIDE),
            17 if is("x-method-override") => self.refused = Some(METHOD_OVERRIDE),
            20 if is("http-method-override") => self.refused = Some(METHOD_OVERRIDE),
            22 if is("x-http-method-override") => self.refused = Some(METHOD_OVERRIDE),
            13 if is("x-rewrite-url") => self.refused = Some(URL_OVERRIDE),
            14 if is("x-original-url") => self.refused = Some(URL_OVERRIDE),
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
            _ => {}
        }
    }

    fn upgrade(&mut self, value: &[u8]) {
        self.upgrades = true;
        if !value.trim_ascii().eq_ignore_ascii_case(b"websocket") {
            self.refused = Some(TUNNEL);
        }
    }

    /// Returns the origin if these are the headers of a preflight (W4): a browser's preflight has neither a body nor an
    /// upgrade.
    pub(super) fn preflight(&self) -> Option<&'r str> {
        let once = |header: Occurrence<'r>| match header {
            Occurrence::Once(value) if !value.is_empty() => self.all.text(value),
            _ => None,
        };
        once(self.requested_method).filter(|_| !self.upgrades && !self.announces_body)?;
        once(self.origin)
    }

    /// Checks that no cookie resembles the name of a parameter.
    pub(super) fn check_cookies(&self, keys: &Keys) -> Result<(), NotUnderstood> {
        self.cookies.iter().try_for_each(|cookies| keys.check_cookies(cookies))
    }

    pub(super) fn announces_body(&self) -> bool {
        self.announces_body
    }

    /// Returns the secret of `Authorization: Bearer …`; empty if nothing follows `Bearer`.
    pub(super) fn bearer(&self) -> Result<Option<&'r str>, NotUnderstood> {
        let value = match self.authorization {
            Occurrence::Never => return Ok(None),
            Occurrence::Once(value) => value,
            Occurrence::Often => return Err(NotUnderstood::new("more than one `Authorization` header")),
        };
        if let Some(secret) = plain_bearer(value).and_then(|secret| self.all.text(secret)) {
            return Ok(Some(secret));
        }
        if contains(value, b',') {
            return Err(NotUnderstood::new("a comma in the `Authorization` header, which may be two joined into one"));
        }
        let value =
            self.all.text(value).ok_or_else(|| NotUnderstood::new("an `Authorization` header that is not UTF-8"))?;
        let end = value.bytes().position(|byte| byte == b' ').unwrap_or(value.len());
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

    /// Returns the `Referer` header, or its replacement.
    pub(super) fn referer(&self, origin_too: bool) -> Option<Cow<'r, str>> {
        let origin =
            || self.origin.address(self.all).filter(|origin| origin_too && !origin.eq_ignore_ascii_case("null"));
        self.referer.address(self.all).or_else(origin).map(Cow::Borrowed)
    }

    /// Checks that the headers declare the body as JSON in UTF-8, in the one spelling that all servers read alike (W2).
    pub(super) fn check_json(&self) -> Result<(), NotUnderstood> {
        if self.encoded {
            return Err(NotUnderstood::new("a body with a `Content-Encoding`"));
        }
        match self.content_type {
            Occurrence::Once(value) if is_json(value) => Ok(()),
            Occurrence::Once(_) => Err(NotUnderstood::new("a body whose `Content-Type` is not `application/json`")),
            Occurrence::Never => Err(NotUnderstood::new("a body without a `Content-Type`")),
            Occurrence::Often => Err(NotUnderstood::new("more than one `Content-Type` header")),
        }
    }
}

/// Returns the secret of a value in the usual form: `Bearer`, one space, and visible ASCII without a comma.
fn plain_bearer(value: &[u8]) -> Option<&[u8]> {
    match value {
        [b'B' | b'b', b'e' | b'E', b'a' | b'A', b'r' | b'R', b'e' | b'E', b'r' | b'R', b' ', secret @ ..]
            if all(secret, |lanes| lanes.within(b'!', b'~') & !lanes.equal(b',')) =>
        {
            Some(secret)
        }
        _ => None,
    }
}

/// Whether all of `text` is visible ASCII.
fn is_graphic(text: &str) -> bool {
    all(text.as_bytes(), |lanes| lanes.within(b'!', b'~'))
}

/// Whether this is `application/json`, with no parameter but `charset=utf-8`.
fn is_json(content_type: &[u8]) -> bool {
    let mut parts = content_type.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
    let mut next = |wanted: &[u8]| parts.next().map(|part| part.eq_ignore_ascii_case(wanted));
    next(b"application/json") == Some(true) && next(b"charset=utf-8") != Some(false) && parts.next().is_none()
}

/// Whether all servers read `name` as the same header: CGI, and PHP after it, read `_` and `.` as `-`. HTTP/2's own
/// fields start with a colon.
fn is_plain(name: &str) -> bool {
    let is_word =
        |name: &str| !name.is_empty() && all(name.as_bytes(), |lanes| lanes.alphanumeric() | lanes.equal(b'-'));
    is_word(name) || name.strip_prefix(':').is_some_and(is_word)
}

const TUNNEL: &str = "an upgrade to another protocol than `websocket`";

/// Some upstreams take the method from these headers.
const METHOD_OVERRIDE: &str = "a header that overrides the method";

/// Some upstreams take the URL from these headers.
const URL_OVERRIDE: &str = "a header that overrides the URL";
