//! The Referer header of a request (N7.6).

use url::{Position, Url};

use super::class;
use super::origin::HeaderOrigin;
use super::url::{Origin, Scheme, has_user_info, parse};
use crate::base::bytes::all;

/// A Referer header, parsed by the WHATWG URL rules, without its fragment (N7.6).
///
/// Borrows a header in the form that browsers send. Any other header allocates memory.
///
/// ```
/// use portcullis::referer::{Referer, Scheme};
///
/// let referer = Referer::parse("http://localhost:5173/a?b#c").ok_or("not a Referer")?;
/// assert_eq!(referer.scheme(), Scheme::Http);
/// assert_eq!(referer.host(), "localhost");
/// assert_eq!(referer.port(), Some(5173));
/// assert_eq!(referer.path_and_query(), "/a?b");
/// # Ok::<(), &str>(())
/// ```
#[derive(Debug, Clone)]
pub struct Referer<'h> {
    scheme: Scheme,
    port: Option<u16>,
    form: Form<'h>,
}

#[derive(Debug, Clone)]
enum Form<'h> {
    /// Slices of a header that the WHATWG rules do not change.
    Plain {
        host: &'h str,
        authority: &'h str,
        path_and_query: &'h str,
    },
    Parsed(Box<Url>),
}

impl<'h> Referer<'h> {
    /// Parses a header; returns `None` if it is not an absolute `http` or `https` URL or has user info (N7.6).
    ///
    /// The caller handles a missing or empty header, which has the reason `referer_missing`.
    ///
    /// Cost: one pass over a header in the form that browsers send, without allocation.
    ///
    /// ```
    /// use portcullis::referer::Referer;
    ///
    /// assert!(Referer::parse("https://carto.com").is_some());
    /// assert!(Referer::parse("https://user@carto.com/").is_none());
    /// assert!(Referer::parse("about:client").is_none());
    /// assert!(Referer::parse("carto.com").is_none());
    /// ```
    pub fn parse(header: &'h str) -> Option<Self> {
        HeaderOrigin::read(header).and_then(Self::plain).or_else(|| Self::slow(header))
    }

    /// Returns the scheme.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Returns the host, in lower case and punycode.
    pub fn host(&self) -> &str {
        match &self.form {
            Form::Plain { host, .. } => host,
            Form::Parsed(url) => url.host_str().unwrap_or_default(),
        }
    }

    /// Returns the port; `None` for the default port of the scheme.
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// Returns the path, which starts with a slash, and the query with its question mark.
    pub fn path_and_query(&self) -> &str {
        match &self.form {
            Form::Plain { path_and_query, .. } => path_and_query,
            Form::Parsed(url) => &url[Position::BeforePath..Position::AfterQuery],
        }
    }

    pub(super) fn origin(&self) -> Origin<'_> {
        Origin { wildcard: false, host: self.host().as_bytes(), scheme: self.scheme, port: self.port }
    }

    /// Returns the host, and the port unless it is the default one.
    pub(super) fn authority(&self) -> &str {
        match &self.form {
            Form::Plain { authority, .. } => authority,
            // A URL with user info is not a Referer.
            Form::Parsed(url) => &url[Position::BeforeHost..Position::AfterPort],
        }
    }

    /// Returns a header that the WHATWG rules do not change, except for the fragment; `None` if they may change it.
    fn plain(origin: HeaderOrigin<'h>) -> Option<Self> {
        let HeaderOrigin { scheme, authority, host, port, rest } = origin;
        let path_and_query = path_and_query(rest).filter(|_| origin.is_plain())?;
        Some(Self { scheme, port, form: Form::Plain { host, authority, path_and_query } })
    }

    /// Parses any header.
    pub(super) fn slow(header: &str) -> Option<Self> {
        let url = parse(header).ok()?;
        let scheme = Scheme::of(&url)?;
        if has_user_info(header) {
            return None;
        }
        Some(Self { scheme, port: url.port(), form: Form::Parsed(Box::new(url)) })
    }
}

/// Returns the path and query of a header, from the text after its origin, if the WHATWG rules do not change them: no
/// byte needs percent-encoding, and no segment is `.` or `..`.
#[inline]
pub(super) fn path_and_query(rest: &str) -> Option<&str> {
    match rest.as_bytes().first() {
        None | Some(b'#') => Some("/"),
        Some(b'/') => plain_path_and_query(rest),
        Some(_) => None,
    }
}

#[inline]
fn plain_path_and_query(text: &str) -> Option<&str> {
    let bytes = text.as_bytes();
    let path = class::end(bytes, class::path);
    let query = if bytes.get(path) == Some(&b'?') { path + class::end(bytes.get(path..)?, class::query) } else { path };
    if !matches!(bytes.get(query), None | Some(b'#')) || may_have_dot_segment(bytes.get(..path)?) {
        return None;
    }
    text.get(..query)
}

/// Returns whether a segment starts with a dot, plain or percent-encoded.
#[inline]
fn may_have_dot_segment(path: &[u8]) -> bool {
    // Most paths have neither a dot nor a percent sign.
    !all(path, |lanes| !(lanes.equal(b'.') | lanes.equal(b'%'))) && has_segment_with_dot(path)
}

#[inline(never)]
fn has_segment_with_dot(path: &[u8]) -> bool {
    let mut segments = path.iter().enumerate().filter(|(_, byte)| **byte == b'/');
    segments.any(|(slash, _)| matches!(path.get(slash + 1..), Some([b'.', ..] | [b'%', b'2', b'e' | b'E', ..])))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Form, HeaderOrigin, Referer};

    type Parts = (String, String, Option<u16>, String);

    fn parts(referer: &Referer<'_>) -> Parts {
        let owned = |text: &str| text.to_owned();
        (owned(referer.scheme().as_str()), owned(referer.host()), referer.port(), owned(referer.path_and_query()))
    }

    #[test]
    fn headers_are_parsed_and_borrowed_if_plain() {
        for (header, want, borrowed) in [
            ("https://carto.com/", Some("https carto.com - /"), true),
            ("https://carto.com", Some("https carto.com - /"), true),
            ("https://carto.com#top", Some("https carto.com - /"), true),
            ("https://carto.com/#\u{e9} \t@", Some("https carto.com - /"), true),
            ("http://localhost:5173/", Some("http localhost 5173 /"), true),
            ("http://localhost:443/", Some("http localhost 443 /"), true),
            ("http://127.0.0.1/", Some("http 127.0.0.1 - /"), true),
            ("https://a.carto.com/p/q?r=1&s=%20/?#t", Some("https a.carto.com - /p/q?r=1&s=%20/?"), true),
            ("https://carto.com/?", Some("https carto.com - /?"), true),
            ("https://carto.com/a.b/..c@*", Some("https carto.com - /a.b/..c@*"), false),
            ("https://carto.com?x", Some("https carto.com - /?x"), false),
            ("https://carto.com:443/", Some("https carto.com - /"), true),
            ("https://carto.com:/", Some("https carto.com - /"), false),
            ("https://carto.com:080/", Some("https carto.com 80 /"), false),
            ("https://carto.com:0/", Some("https carto.com 0 /"), false),
            ("https://carto.com:65536/", None, false),
            ("HTTPS://Carto.COM/A", Some("https carto.com - /A"), false),
            (" https://carto.com/ ", Some("https carto.com - /"), false),
            ("https:carto.com/", Some("https carto.com - /"), false),
            ("https:///carto.com/", Some("https carto.com - /"), false),
            ("https://carto.com\\@evil.com/", Some("https carto.com - /@evil.com/"), false),
            ("https://carto.com./", Some("https carto.com. - /"), false),
            ("https://.carto.com/", Some("https .carto.com - /"), false),
            ("https://b\u{fc}cher.example/\u{fc}", Some("https xn--bcher-kva.example - /%C3%BC"), false),
            ("https://xn--bcher-kva.example/", Some("https xn--bcher-kva.example - /"), false),
            ("https://xn--a.example/", None, false),
            ("http://[0:0::1]:8080/", Some("http [::1] 8080 /"), false),
            ("http://0x7f000001/", Some("http 127.0.0.1 - /"), false),
            ("http://127.1/", Some("http 127.0.0.1 - /"), false),
            ("http://127.0.0.01/", Some("http 127.0.0.1 - /"), false),
            ("http://127.0.0.256/", None, false),
            ("http://1.2.3.4.5/", None, false),
            ("https://carto.com/a/../b/%2E/c", Some("https carto.com - /b/c"), false),
            ("https://carto.com/a b?'", Some("https carto.com - /a%20b?%27"), false),
            ("https://user@carto.com/", None, false),
            ("https://@carto.com/", None, false),
            ("https://carto.com@evil.com/", None, false),
            ("ftp://carto.com/", None, false),
            ("about:client", None, false),
            ("null", None, false),
            ("carto.com", None, false),
            ("https://", None, false),
            ("", None, false),
        ] {
            let referer = Referer::parse(header);
            let text = referer.as_ref().map(|referer| {
                let (scheme, host, port, path) = parts(referer);
                format!("{scheme} {host} {} {path}", port.map_or("-".to_owned(), |port| port.to_string()))
            });
            assert_eq!(text.as_deref(), want, "{header:?}");
            assert_eq!(
                referer.is_some_and(|referer| matches!(referer.form, Form::Plain { .. })),
                borrowed,
                "{header:?}"
            );
        }
    }

    fn some_of(parts: &'static [&'static str], count: std::ops::Range<usize>) -> impl Strategy<Value = String> {
        prop::collection::vec(prop::sample::select(parts), count).prop_map(|parts| parts.concat())
    }

    fn near_url() -> impl Strategy<Value = String> {
        let scheme = prop::sample::select(vec![
            "https://",
            "http://",
            "https:/",
            "HTTP://",
            " https://",
            "ftp://",
            "https:\\\\",
        ]);
        let scheme = prop_oneof![4 => prop::sample::select(vec!["https://", "http://"]), 1 => scheme];
        let host = some_of(
            &[
                "a",
                "carto",
                "com",
                ".",
                ".",
                ".",
                "-",
                "--",
                "_",
                "xn--",
                "xn--bcher-kva",
                "0",
                "1",
                "127",
                "255",
                "256",
                "0x7f",
                "08",
                "A",
                "%41",
                "é",
                "ß",
                "*",
                "@",
                "[::1]",
                "\t",
                "|",
                "^",
                " ",
                "\\",
                "\u{ad}",
            ],
            0..8,
        );
        let plain_host = some_of(&["a", "b-", ".", ".", "_c", "1", "127", "0", "xn-", "com"], 1..9);
        let host = prop_oneof![plain_host, host];
        let port = some_of(&["", ":", "80", "443", "8", "0", "65535", "65536", "a"], 0..4);
        let plain_port = prop::sample::select(vec!["", "", ":8", ":80", ":443", ":5173"]).prop_map(str::to_owned);
        let port = prop_oneof![3 => plain_port, 1 => port];
        let rest = some_of(
            &[
                "/", "/", "/", ".", "..", "%2e", "%2E", "%", "%20", "a", "b=c", "?", "?", "#", "'", "\"", "<", "`",
                "{", "|", "^", "[", "]", "\\", "~", "é", "\t", "\n", " ", "@", ":", "*", "&", "+", "\u{7f}", "\0",
                "c:", "!", "$", "(", ",", ";",
            ],
            0..10,
        );
        let plain_rest = some_of(&["/", "a", ".", "%2e", "%20", "?", "b=c", "&", "@", "#"], 0..8);
        let rest = prop_oneof![plain_rest.prop_map(|rest| format!("/{rest}")), rest];
        (scheme, host, port, rest).prop_map(|(scheme, host, port, rest)| format!("{scheme}{host}{port}{rest}"))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]

        #[test]
        fn borrowed_and_parsed_forms_agree(header in near_url()) {
            if let Some(plain) = HeaderOrigin::read(&header).and_then(Referer::plain) {
                prop_assert_eq!(Some(parts(&plain)), Referer::slow(&header).as_ref().map(parts));
            }
        }

        #[test]
        fn parsed_header_has_no_credentials(header in near_url()) {
            if let Some(Referer { form: Form::Parsed(url), .. }) = Referer::slow(&header) {
                prop_assert!(url.username().is_empty() && url.password().is_none());
                prop_assert!(url.path().starts_with('/') && url.has_host());
            }
        }
    }

    #[test]
    fn borrowed_and_parsed_forms_agree_on_every_byte() {
        for byte in (0..128).map(char::from) {
            for header in [
                format!("https://carto.com/a{byte}b"),
                format!("https://carto.com/{byte}"),
                format!("https://carto.com/a?b{byte}c"),
                format!("https://carto.com/a#b{byte}c"),
                format!("https://a{byte}b/"),
                format!("https://a{byte}"),
                format!("http://a:8{byte}/"),
            ] {
                if let Some(plain) = HeaderOrigin::read(&header).and_then(Referer::plain) {
                    assert_eq!(Some(parts(&plain)), Referer::slow(&header).as_ref().map(parts), "{header:?}");
                }
            }
        }
    }
}
