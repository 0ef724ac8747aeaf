//! Keys of parameters: the plain ones, and those that a server may read as another key (W2).

use std::borrow::Cow;

use super::NotUnderstood;
use super::percent::{Plus, decode};
use portcullis::base::bytes::{Lanes, all};

/// The query parameter that may hold the token (W4).
pub(super) const TOKEN: &str = "access_token";

/// Keys by which some servers override the method.
const METHOD_OVERRIDES: [&str; 3] = ["x-http-method", "x-http-method-override", "x-method-override"];

/// The keys that a route reads. No other key of a request may resemble one of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Keys {
    /// The token's key, then those of the route's parameters.
    read: Vec<Box<str>>,
    /// The first letters of the keys that need a second check: one bit each.
    first: u32,
}

impl Keys {
    /// Returns the keys of a route with these parameters.
    pub(super) fn new<'n>(parameters: impl IntoIterator<Item = &'n str>) -> Self {
        let read: Vec<Box<str>> = std::iter::once(TOKEN).chain(parameters).map(Box::from).collect();
        let others = METHOD_OVERRIDES.into_iter().chain(["method", "proto"]);
        let first =
            read.iter().map(|key| &**key).chain(others).fold(0, |bits, key| bits | first_letter(key.as_bytes()));
        Self { read, first }
    }

    /// Decodes and checks a key of a query.
    #[inline]
    pub(super) fn decode<'r>(&self, sent: &'r [u8]) -> Result<Cow<'r, [u8]>, NotUnderstood> {
        if is_plain(sent) {
            self.check_plain(sent)?;
            return Ok(Cow::Borrowed(sent));
        }
        let key = decode(std::str::from_utf8(sent).map_err(|_| not_plain())?, Plus::Space)?;
        self.check(key.as_bytes())?;
        Ok(Cow::Owned(key.into_owned().into_bytes()))
    }

    /// Checks a decoded key.
    pub(super) fn check(&self, key: &[u8]) -> Result<(), NotUnderstood> {
        if is_plain(key) { self.check_plain(key) } else { Err(not_plain()) }
    }

    /// Checks a plain key.
    #[inline]
    fn check_plain(&self, key: &[u8]) -> Result<(), NotUnderstood> {
        match key {
            // Nearly all keys start with a letter that no key of the route starts with.
            [first, ..] if first.is_ascii_alphanumeric() && self.first >> (first & 31) & 1 == 0 => Ok(()),
            _ => self.check_similar(key),
        }
    }

    fn check_similar(&self, key: &[u8]) -> Result<(), NotUnderstood> {
        if first_letter(key) & self.first == 0 {
            return Ok(());
        }
        if self.read.iter().any(|read| *read.as_bytes() == *key) {
            return Ok(());
        }
        if let Some(read) = self.read.iter().find(|read| resembles(key, read)) {
            return Err(NotUnderstood::new(format!("`{read}` in another spelling")));
        }
        if is_method(key) || METHOD_OVERRIDES.iter().any(|name| resembles(key, name)) {
            return Err(NotUnderstood::new("a parameter that overrides the method"));
        }
        if key == b"__proto__" {
            return Err(NotUnderstood::new("a parameter that some servers set on every object"));
        }
        Ok(())
    }

    /// Checks the names of the cookies in a `Cookie` header: PHP without a configuration file lets cookies override
    /// parameters.
    pub(super) fn check_cookies(&self, cookies: &[u8]) -> Result<(), NotUnderstood> {
        for cookie in cookies.split(|byte| *byte == b';') {
            let name = cookie.split(|byte| *byte == b'=').next().unwrap_or_default();
            // A name that is not UTF-8 is none of these keys, also after decoding.
            let Ok(name) = std::str::from_utf8(name) else { continue };
            let names = [Some(name), name.split('[').next(), name.split("%00").next()];
            if names.into_iter().flatten().any(|name| self.is_replaced_by(name)) {
                return Err(NotUnderstood::new(
                    "a cookie with the name of a parameter, which some servers read instead",
                ));
            }
        }
        Ok(())
    }

    /// Whether PHP reads a cookie of this name as a key of the route. PHP drops blanks before the name, reads blanks,
    /// dots and an open bracket in it as `_`, and reads what follows a bracket as the key of a list.
    fn is_replaced_by(&self, cookie: &str) -> bool {
        let decoded = decode(cookie, Plus::Plus).unwrap_or(Cow::Borrowed(cookie));
        let variable = decoded.trim_start().replace([' ', '.'], "_");
        let list = variable.split('[').next().unwrap_or_default();
        [list, &variable.replace('[', "_")]
            .into_iter()
            .any(|name| name == "_method" || self.read.iter().any(|read| **read == *name))
    }
}

/// Whether `key` is made of ASCII letters, digits, `_`, `.` and `-`.
pub(super) fn is_plain(key: &[u8]) -> bool {
    let is_separator = |lanes: Lanes| lanes.equal(b'_') | lanes.equal(b'.') | lanes.equal(b'-');
    !key.is_empty() && all(key, |lanes| lanes.alphanumeric() | is_separator(lanes))
}

/// Returns a bit for the first letter or digit of `key`, in any case: the same bit for keys that resemble each other.
fn first_letter(key: &[u8]) -> u32 {
    let first = key.iter().find(|byte| byte.is_ascii_alphanumeric());
    first.map_or(0, |first| 1 << (first & 31))
}

#[cold]
fn not_plain() -> NotUnderstood {
    NotUnderstood::new("a key that is empty or holds another character than A-Z, a-z, 0-9, `_`, `.` and `-`")
}

/// Whether a server may read `key` as `name`, or as a part of it: letters in another case (Go), other separators (PHP
/// reads `.` as `_`), or a member after a dot (`qs`).
fn resembles(key: &[u8], name: &str) -> bool {
    let mut rest = key;
    for wanted in name.bytes().filter(u8::is_ascii_alphanumeric) {
        rest = after_separators(rest);
        match rest {
            [found, after @ ..] if found.eq_ignore_ascii_case(&wanted) => rest = after,
            _ => return false,
        }
    }
    let more = after_separators(rest);
    more.is_empty() || rest.iter().take(rest.len() - more.len()).any(|byte| *byte == b'.')
}

/// Whether `key` is `_method`, with any separator.
fn is_method(key: &[u8]) -> bool {
    let word = after_separators(key);
    word.len() < key.len() && word.eq_ignore_ascii_case(b"method")
}

fn after_separators(key: &[u8]) -> &[u8] {
    let at = key.iter().position(u8::is_ascii_alphanumeric).unwrap_or(key.len());
    key.get(at..).unwrap_or_default()
}
