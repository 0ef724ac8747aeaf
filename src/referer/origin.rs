//! The origin at the start of a Referer header, read as bytes before the header is parsed.
//!
//! Most headers that a token does not accept have another origin. They are denied without parsing.

use super::class::HOST;
use super::url::{Origin, Scheme};
use crate::base::is_same;

/// The origin at the start of a header.
///
/// The WHATWG rules reject the header, or they read this scheme, this port, and the [`HeaderHost`].
#[derive(Debug, Clone, Copy)]
pub(super) struct HeaderOrigin<'h> {
    pub(super) scheme: Scheme,
    /// `None` for the default port of the scheme.
    pub(super) port: Option<u16>,
    pub(super) host: HeaderHost<'h>,
    /// The header after host and port: empty, or it starts with `/`, `?` or `#`.
    pub(super) rest: &'h str,
}

/// The host of a header that the rules do not reject, as far as it is known without parsing.
#[derive(Debug, Clone, Copy)]
pub(super) enum HeaderHost<'h> {
    /// The whole host. The rules do not reject it: it has no empty label and no punycode.
    Plain(&'h str),
    /// The whole host.
    Whole(&'h str),
    /// The text after a dot. The labels before the dot may change: they are not ASCII.
    Suffix(&'h str),
}

impl<'h> HeaderOrigin<'h> {
    /// Reads the origin of a header; returns `None` if the WHATWG rules may read another one.
    ///
    /// Accepts only lower case, a port without leading zeros, and an IPv4 address only in its usual notation.
    #[inline]
    pub(super) fn read(header: &'h str) -> Option<Self> {
        let (scheme, text) = match header.strip_prefix("https://") {
            Some(text) => (Scheme::Https, text),
            None => (Scheme::Http, header.strip_prefix("http://")?),
        };
        let bytes = text.as_bytes();
        let end = HOST.end(bytes, 0);
        let (host, rest) = match bytes.get(end) {
            Some(byte) if !byte.is_ascii() => suffix(text)?,
            _ => {
                let (host, rest) = text.split_at_checked(end)?;
                (whole(host)?, rest)
            }
        };
        let (port, rest) = match rest.strip_prefix(':') {
            Some(rest) => port(rest)?,
            None => (None, rest),
        };
        let port = port.filter(|&port| port != scheme.default_port());
        matches!(rest.as_bytes().first(), None | Some(b'/' | b'?' | b'#')).then_some(Self { scheme, port, host, rest })
    }

    /// Returns whether an entry with this origin may match the header. If not, it does not match.
    #[inline]
    pub(super) fn may_be(&self, entry: Origin<'_>) -> bool {
        self.scheme == entry.scheme
            && self.port == entry.port
            && match self.host {
                HeaderHost::Plain(host) | HeaderHost::Whole(host) if entry.wildcard => {
                    ends_with_labels(host.as_bytes(), entry.host)
                }
                HeaderHost::Plain(host) | HeaderHost::Whole(host) => is_same(host.as_bytes(), entry.host),
                HeaderHost::Suffix(suffix) => {
                    let suffix = suffix.as_bytes();
                    ends_with_labels(entry.host, suffix)
                        || entry.wildcard && (suffix == entry.host || ends_with_labels(suffix, entry.host))
                }
            }
    }
}

/// Returns whether `host` ends with a dot and `domain`.
#[inline]
fn ends_with_labels(host: &[u8], domain: &[u8]) -> bool {
    let dot = host.len().checked_sub(domain.len() + 1);
    dot.and_then(|dot| host.get(dot..)?.split_first()).is_some_and(|(&dot, end)| dot == b'.' && is_same(end, domain))
}

/// Classifies a host of host bytes; `None` if it may be an IPv4 address in an unusual notation.
#[inline]
fn whole(host: &str) -> Option<HeaderHost<'_>> {
    let bytes = host.as_bytes();
    // The offset of the label, and whether all labels are neither empty nor punycode.
    let (mut start, mut is_plain) = (0, true);
    let mut last = bytes;
    for end in bytes.iter().enumerate().filter(|(_, byte)| **byte == b'.').map(|(at, _)| at).chain([bytes.len()]) {
        let label = bytes.get(start..end)?;
        is_plain &= !label.is_empty() && !label.starts_with(b"xn--");
        // The rules ignore a final dot when they look for an address.
        if !label.is_empty() {
            last = label;
        }
        start = end + 1;
    }
    match last.first() {
        None => None,
        Some(b'0'..=b'9') if !(is_plain && is_plain_ipv4(host)) => None,
        Some(_) if is_plain => Some(HeaderHost::Plain(host)),
        Some(_) => Some(HeaderHost::Whole(host)),
    }
}

/// Returns the labels after the last one that is not ASCII, and the text after the host; `None` if there are none.
///
/// The rules map and normalize characters that are not ASCII. Neither affects text after a dot.
#[cold]
fn suffix(text: &str) -> Option<(HeaderHost<'_>, &str)> {
    let is_host = |&byte: &u8| HOST.contains(byte) || !byte.is_ascii();
    let end = text.bytes().position(|byte| !is_host(&byte)).unwrap_or(text.len());
    let (host, rest) = text.split_at_checked(end)?;
    let after = host.bytes().rposition(|byte| !byte.is_ascii())? + 1;
    let (_, suffix) = host.get(after..)?.split_once('.')?;
    match whole(suffix)? {
        // Four numbers would be an address, but here they end a longer host.
        HeaderHost::Plain(suffix) if !suffix.starts_with(|first: char| first.is_ascii_digit()) => {
            Some((HeaderHost::Suffix(suffix), rest))
        }
        _ => None,
    }
}

/// Returns whether `host` consists of four numbers up to 255, in decimal and without leading zeros.
fn is_plain_ipv4(host: &str) -> bool {
    let is_octet = |label: &str| plain_number(label).is_some_and(|number| number <= 255);
    host.split('.').count() == 4 && host.split('.').all(is_octet)
}

/// Parses a port from 1 to 65535, in decimal and without leading zeros. Returns it with the text after it.
fn port(text: &str) -> Option<(Option<u16>, &str)> {
    let end = text.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at_checked(end)?;
    let port = plain_number(digits).filter(|port| *port != 0)?;
    Some((Some(port), rest))
}

/// Parses a decimal number without leading zeros.
fn plain_number(digits: &str) -> Option<u16> {
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit()) && (digits == "0" || !digits.starts_with('0'));
    if plain { digits.parse().ok() } else { None }
}
