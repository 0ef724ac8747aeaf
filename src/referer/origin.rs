//! The origin at the start of a Referer header, read as bytes before the header is parsed.
//!
//! Most headers have a canonical origin. They are accepted or denied without parsing.

use super::class;
use super::url::Scheme;

/// The origin at the start of a header.
///
/// The WHATWG rules reject the header, or they read this scheme, this host and this port. The exception is
/// [`may_be_address`](Self::may_be_address).
#[derive(Debug, Clone, Copy)]
pub(super) struct HeaderOrigin<'h> {
    pub(super) scheme: Scheme,
    /// The host, and the port unless it is the default one.
    pub(super) authority: &'h str,
    pub(super) host: &'h str,
    /// `None` for the default port of the scheme.
    pub(super) port: Option<u16>,
    /// The header after host and port: empty, or it starts with `/`, `?` or `#`.
    pub(super) rest: &'h str,
}

impl<'h> HeaderOrigin<'h> {
    /// Reads the origin of a header; returns `None` if it is not ASCII in lower case, or has a port that is not
    /// canonical.
    #[inline]
    pub(super) fn read(header: &'h str) -> Option<Self> {
        let (scheme, text) = scheme(header)?;
        let (host, rest) = text.split_at_checked(class::end(text.as_bytes(), class::host))?;
        Self::with_host(scheme, text, host, rest)
    }

    /// Creates the origin of a host at the start of `text` and what follows the host.
    #[inline]
    fn with_host(scheme: Scheme, text: &'h str, host: &'h str, rest: &'h str) -> Option<Self> {
        if host.is_empty() {
            return None;
        }
        match rest.as_bytes().first() {
            None | Some(b'/' | b'?' | b'#') => Some(Self { scheme, authority: host, host, port: None, rest }),
            Some(b':') => Self::with_port(scheme, text, host, rest),
            Some(_) => None,
        }
    }

    fn with_port(scheme: Scheme, text: &'h str, host: &'h str, rest: &'h str) -> Option<Self> {
        let after_colon = rest.get(1..)?;
        let end = after_colon.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(after_colon.len());
        let (digits, rest) = after_colon.split_at_checked(end)?;
        let port = plain_number(digits).filter(|port| *port != 0)?;
        let is_default = port == scheme.default_port();
        let authority = if is_default { host } else { text.get(..host.len() + 1 + digits.len())? };
        let port = if is_default { None } else { Some(port) };
        matches!(rest.as_bytes().first(), None | Some(b'/' | b'?' | b'#')).then_some(Self {
            scheme,
            authority,
            host,
            port,
            rest,
        })
    }

    /// Returns whether the rules may read the host as an IPv4 address in another notation: its last label starts with
    /// a digit.
    #[inline]
    pub(super) fn may_be_address(&self) -> bool {
        // The rules ignore a final dot when they look for an address.
        let label = self.host.as_bytes().rsplit(|byte| *byte == b'.').find(|label| !label.is_empty());
        label.and_then(<[u8]>::first).is_none_or(u8::is_ascii_digit) && !is_plain_ipv4(self.host)
    }

    /// Returns whether the rules neither reject the host nor change it.
    pub(super) fn is_plain(&self) -> bool {
        are_plain_labels(self.host) && !self.may_be_address()
    }
}

/// Returns whether no label is empty or punycode, which the rules may reject.
#[inline]
pub(super) fn are_plain_labels(labels: &str) -> bool {
    labels.as_bytes().split(|byte| *byte == b'.').all(|label| !label.is_empty() && !label.starts_with(b"xn--"))
}

/// The origin of a header whose host is not ASCII.
///
/// The rules map and normalize characters that are not ASCII. Neither affects text after a dot.
#[derive(Debug, Clone, Copy)]
pub(super) struct UnicodeOrigin<'h> {
    scheme: Scheme,
    /// The labels after the last one that is not ASCII, and the port unless it is the default one.
    suffix: &'h str,
}

impl<'h> UnicodeOrigin<'h> {
    /// Reads the origin of a header; returns `None` if the whole origin may change.
    pub(super) fn read(header: &'h str) -> Option<Self> {
        let (scheme, text) = scheme(header)?;
        let is_host =
            |character: &char| !character.is_ascii() || matches!(character, 'a'..='z' | '0'..='9' | '.' | '-' | '_');
        let end = text.find(|character: char| !is_host(&character)).unwrap_or(text.len());
        let last = text.get(..end)?.bytes().rposition(|byte| !byte.is_ascii())?;
        let (_, text) = text.get(last + 1..)?.split_once('.')?;
        let (host, rest) = text.split_at_checked(class::end(text.as_bytes(), class::host))?;
        let origin = HeaderOrigin::with_host(scheme, text, host, rest)?;
        // Four numbers would be an address, but here they end a longer host.
        let is_plain = origin.is_plain() && !host.starts_with(|first: char| first.is_ascii_digit());
        is_plain.then_some(Self { scheme, suffix: origin.authority })
    }

    /// Returns whether an entry of this scheme and authority may match the header. The authority of a wildcard starts
    /// with a dot.
    pub(super) fn may_be(&self, scheme: Scheme, authority: &[u8]) -> bool {
        let suffix = self.suffix.as_bytes();
        let ends_with_suffix = authority.strip_suffix(suffix).is_some_and(|labels| labels.ends_with(b"."));
        let is_below = authority.starts_with(b".") && suffix.ends_with(authority);
        scheme == self.scheme && (ends_with_suffix || is_below)
    }
}

/// Splits a header after its scheme and two slashes.
#[inline]
pub(super) fn scheme(header: &str) -> Option<(Scheme, &str)> {
    match header.strip_prefix("https://") {
        Some(text) => Some((Scheme::Https, text)),
        None => Some((Scheme::Http, header.strip_prefix("http://")?)),
    }
}

/// Returns whether `host` consists of four numbers up to 255, in decimal and without leading zeros.
fn is_plain_ipv4(host: &str) -> bool {
    let is_octet = |label: &str| plain_number(label).is_some_and(|number| number <= 255);
    host.split('.').count() == 4 && host.split('.').all(is_octet)
}

/// Parses a decimal number without leading zeros.
fn plain_number(digits: &str) -> Option<u16> {
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit()) && (digits == "0" || !digits.starts_with('0'));
    if plain { digits.parse().ok() } else { None }
}
