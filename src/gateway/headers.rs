//! A request as a gateway hands it over, and the headers that matter (W4).

use std::borrow::Cow;
use std::fmt;

use super::NotUnderstood;
use super::reader::is_graphic;

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
    /// Whatever it is, the gateway did not pass it on, or not all of it. A request that may have one and names its
    /// sources in parameters is not understood (W2).
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

    /// The value for an address; of several, or of one that is no text, something that is no address.
    fn address(self) -> Option<&'r str> {
        match self {
            Self::Never | Self::Once(b"") => None,
            Self::Once(value) => Some(std::str::from_utf8(value).unwrap_or(NO_TEXT)),
            Self::Often => Some(SEVERAL),
        }
    }
}

/// In the place of several `Referer` headers: no URL, so that no referer of a token matches (W4).
const SEVERAL: &str = "several headers";

/// In the place of a `Referer` header that is not UTF-8.
const NO_TEXT: &str = "not UTF-8";

/// The headers that matter.
#[derive(Default)]
pub(super) struct Relevant<'r> {
    authorization: Seen<'r>,
    referer: Seen<'r>,
    origin: Seen<'r>,
    requested_method: Seen<'r>,
    content_type: Seen<'r>,
    /// `Content-Encoding`, if it is not `identity`.
    encoded: bool,
    /// A `Content-Length` that is not zero, or a `Transfer-Encoding`.
    announces_body: bool,
    overrides_method: bool,
}

impl<'r> Relevant<'r> {
    pub(super) fn of(headers: &'r dyn Headers) -> Self {
        let mut relevant = Self::default();
        headers.for_each(&mut |name, value| relevant.header(name, value));
        relevant
    }

    fn header(&mut self, name: &'r str, value: &'r [u8]) {
        let is = |wanted: &str| name.eq_ignore_ascii_case(wanted);
        // By length first: nearly all headers are none of these.
        match name.len() {
            6 if is("origin") => self.origin.another(value),
            7 if is("referer") => self.referer.another(value),
            12 if is("content-type") => self.content_type.another(value),
            13 if is("authorization") => self.authorization.another(value),
            13 if is("x-http-method") => self.overrides_method = true,
            14 if is("content-length") => self.announces_body |= value.trim_ascii() != b"0",
            16 if is("content-encoding") => self.encoded |= !value.trim_ascii().eq_ignore_ascii_case(b"identity"),
            17 if is("transfer-encoding") => self.announces_body = true,
            17 if is("x-method-override") => self.overrides_method = true,
            22 if is("x-http-method-override") => self.overrides_method = true,
            29 if is("access-control-request-method") => self.requested_method.another(value),
            _ => {}
        }
    }

    /// Whether these are the headers of a preflight (W4). A browser's has no body, and nothing that would make another
    /// method of it.
    pub(super) fn are_of_preflight(&self) -> bool {
        let once = |seen: Seen<'_>| matches!(seen, Seen::Once(value) if !value.is_empty());
        once(self.origin) && once(self.requested_method) && !self.overrides_method && !self.announces_body
    }

    pub(super) fn announces_body(&self) -> bool {
        self.announces_body
    }

    /// The secret of `Authorization: Bearer …`; empty where nothing stands behind `Bearer`.
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
        let end = value.bytes().position(|byte| byte.is_ascii_whitespace()).unwrap_or(value.len());
        let (scheme, secret) = value.split_at_checked(end).unwrap_or((value, ""));
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Ok(None);
        }
        // One character of white space, then spaces.
        let secret = secret.get(1..).unwrap_or_default().trim_start_matches(' ');
        if !is_graphic(secret) {
            return Err(NotUnderstood::new("an `Authorization` header with more than one word behind `Bearer`"));
        }
        Ok(Some(secret))
    }

    /// What stands for the referer.
    pub(super) fn referer(&self, origin_too: bool) -> Option<Cow<'r, str>> {
        let origin = || self.origin.address().filter(|origin| origin_too && !origin.eq_ignore_ascii_case("null"));
        self.referer.address().or_else(origin).map(Cow::Borrowed)
    }

    /// Whether a body may be read as JSON in UTF-8: no header says otherwise.
    pub(super) fn check_json(&self) -> Result<(), NotUnderstood> {
        if self.encoded {
            return Err(NotUnderstood::new("a body with a `Content-Encoding`"));
        }
        let value = match self.content_type {
            Seen::Never => return Ok(()),
            Seen::Once(value) => value,
            Seen::Often => return Err(NotUnderstood::new("more than one `Content-Type` header")),
        };
        if is_json(value) {
            Ok(())
        } else {
            Err(NotUnderstood::new("a body whose `Content-Type` is not JSON in UTF-8"))
        }
    }
}

fn is_json(content_type: &[u8]) -> bool {
    let mut parts = content_type.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
    let kind = parts.next().unwrap_or_default();
    (kind.eq_ignore_ascii_case(b"application/json")
        || kind.len() > 5 && kind.get(kind.len() - 5..).is_some_and(|end| end.eq_ignore_ascii_case(b"+json")))
        && parts.all(|part| !is_charset(part) || is_utf8(part))
}

/// Whether a parameter of a content type tells the charset, or nearly.
fn is_charset(part: &[u8]) -> bool {
    part.get(..7).is_some_and(|name| name.eq_ignore_ascii_case(b"charset"))
}

fn is_utf8(charset: &[u8]) -> bool {
    let Some((b'=', name)) = charset.get(7..).and_then(<[u8]>::split_first) else { return false };
    let name = name.strip_prefix(b"\"").and_then(|name| name.strip_suffix(b"\"")).unwrap_or(name);
    name.eq_ignore_ascii_case(b"utf-8") || name.eq_ignore_ascii_case(b"utf8")
}
