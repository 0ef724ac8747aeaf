//! Value parsers of the options of `serve`: an accepted value has an effect, and the error of another one has a valid one.

use std::net::IpAddr;

use portcullis::base::{is_browsed_host, is_browsed_port, unwrapped};
use portcullis_server::decision_log::WhenFull;
use url::{Host, Url};

use crate::bounds::{MAX_BYTES, byte_count, expected};

pub(super) fn policy_bytes(text: &str) -> Result<u64, String> {
    byte_count::<1, MAX_BYTES>(text).map(|bytes| bytes as u64)
}

pub(super) fn when_full(text: &str) -> Result<WhenFull, String> {
    match text {
        "drop" => Ok(WhenFull::Drop),
        "block" => Ok(WhenFull::Block),
        _ => Err(expected("`drop` or `block`", "drop")),
    }
}

/// Parses a host name without a port, or `*`. Returns the name as an HTTP request has it.
pub(crate) fn host(text: &str) -> Result<String, String> {
    const EXAMPLE: &str = "decide.internal";
    let what = "a host name as in the `Host` header, without a port";
    if text == "*" {
        return Ok(text.to_owned());
    }
    if let Ok(ip) = unbracketed(text).parse::<IpAddr>() {
        return Ok(ip.to_string());
    }
    let of_url = |text: &str| Url::parse(text).ok().and_then(|url| url.host_str().map(str::to_owned));
    let parsed = Host::parse(text).ok().map(|host| host.to_string());
    let name = parsed.or_else(|| of_url(text)).or_else(|| of_url(&format!("http://{text}")));
    let name = name.map(|name| unbracketed(name.trim_end_matches('.')).to_owned());
    // Addresses have no brackets here.
    let is_host = |name: &String| name.parse::<IpAddr>().is_ok() || is_browsed_host(name);
    match name.filter(is_host) {
        Some(name) if name.eq_ignore_ascii_case(text) => Ok(name),
        Some(name) => Err(expected(what, name)),
        None => Err(expected(what, EXAMPLE)),
    }
}

fn unbracketed(text: &str) -> &str {
    text.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(text)
}

/// Parses the origin of a web site as browsers write it, or `*`.
pub(super) fn origin(text: &str) -> Result<String, String> {
    const EXAMPLE: &str = "https://app.example.com";
    if text == "*" {
        return Ok(text.to_owned());
    }
    let is_separator = |character: char| matches!(character, ',' | ';') || character.is_whitespace();
    let items: Vec<&str> = unwrapped(text).split(is_separator).filter(|item| !item.is_empty()).collect();
    if let [item] = *items
        && item != text
    {
        let bare = canonical_origin(item).unwrap_or_else(|| if item == "*" { "*" } else { EXAMPLE }.to_owned());
        return Err(expected("an origin without blanks, commas, quotes or brackets around it", bare));
    }
    if items.len() > 1 {
        let each: Option<Vec<_>> = items.into_iter().map(canonical_origin).collect();
        let each = each.filter(|each| !each.is_empty()).map_or_else(|| EXAMPLE.to_owned(), |each| each.join(" "));
        return Err(expected("one origin in each argument, found a list", format_args!("--cors-origin {each}")));
    }
    match canonical_origin(text) {
        Some(canonical) if canonical == text => Ok(canonical),
        Some(canonical) => Err(expected("an origin as browsers send it", canonical)),
        None if text.contains('*') => Err(expected("an origin without `*`, or `*` alone for all origins", EXAMPLE)),
        None => Err(expected(format_args!("an origin such as `{EXAMPLE}`, or `*`"), EXAMPLE)),
    }
}

/// Returns the origin that `text` means, as browsers write it: adds a missing scheme, and removes all that is not part of an
/// origin.
fn canonical_origin(text: &str) -> Option<String> {
    let text = unwrapped(text);
    let is_local = text.starts_with("localhost") || text.starts_with("127.") || text.starts_with("[::1]");
    let has_scheme = ["http:", "https:"]
        .iter()
        .any(|scheme| text.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme)));
    let url = if has_scheme || text.contains("://") {
        Url::parse(text).ok()?
    } else if is_local {
        Url::parse(&format!("http://{text}")).ok()?
    } else if text.contains('.') {
        Url::parse(&format!("https://{text}")).ok()?
    } else {
        return None;
    };
    let is_host = is_browsed_host(url.host_str()?) && url.port().is_none_or(is_browsed_port);
    (is_host && matches!(url.scheme(), "http" | "https")).then(|| url.origin().ascii_serialization())
}

/// Parses the permissions of a socket. Clients connect only to a socket that they may write to.
pub(crate) fn socket_mode(text: &str) -> Result<u32, String> {
    const OWNER: u32 = 0o600;
    let is_octal = text.bytes().all(|byte| matches!(byte, b'0'..=b'7'));
    let mode = u32::from_str_radix(text, 8).ok().filter(|_| is_octal && text.len() <= 4);
    mode.filter(|mode| *mode <= 0o777 && mode & OWNER == OWNER).ok_or_else(|| {
        expected("permissions in octal digits, with reading and writing by the owner, such as 600 or 660", 660)
    })
}

#[cfg(test)]
mod tests {
    use super::{host, origin, socket_mode};

    /// Returns the value that the error of `parse` on `text` proposes.
    fn instead<T: std::fmt::Debug>(parse: impl Fn(&str) -> Result<T, String>, text: &str) -> String {
        let error = parse(text).expect_err(text);
        assert!(error.starts_with("expected "), "{text}: {error}");
        error.split("help: write `").nth(1).unwrap().trim_end_matches('`').to_owned()
    }

    #[test]
    fn origin_accepts_only_what_browsers_send() {
        for text in [
            "*",
            "https://a.example",
            "http://127.0.0.1:8080",
            "https://xn--bcher-kva.example",
            "http://localhost:5173",
            "http://[::1]:3000",
        ] {
            assert_eq!(origin(text), Ok(text.to_owned()));
        }
        for (text, valid) in [
            (" https://a.example", "https://a.example"),
            ("https://a.example ", "https://a.example"),
            ("\thttps://A.example/\n", "https://a.example"),
            ("https://a.example,", "https://a.example"),
            (" * ", "*"),
            (" nonsense ", "https://app.example.com"),
            (",", "https://app.example.com"),
            ("\"https://a.example\"", "https://a.example"),
            ("(https://a.example)", "https://a.example"),
            ("<https://a.example/>", "https://a.example"),
            ("[\"https://a.example\"]", "https://a.example"),
            ("[https://a.example,https://b.example]", "--cors-origin https://a.example https://b.example"),
            ("(https://a.example, b.example)", "--cors-origin https://a.example https://b.example"),
            ("\u{201c}https://a.example\u{201d}", "https://a.example"),
            ("[::1]", "http://[::1]"),
            ("([::1]:3000)", "http://[::1]:3000"),
            ("nonsense here", "--cors-origin https://app.example.com"),
            ("https://a.example,https://b.example", "--cors-origin https://a.example https://b.example"),
            ("https://A.example; b.example/", "--cors-origin https://a.example https://b.example"),
            ("https://a.example https://b.example", "--cors-origin https://a.example https://b.example"),
            ("https://*.a.example", "https://app.example.com"),
            ("*.a.example", "https://app.example.com"),
            ("null", "https://app.example.com"),
            ("", "https://app.example.com"),
            ("ftp://a.example", "https://app.example.com"),
            ("https://", "https://app.example.com"),
            ("https://.a.example", "https://app.example.com"),
            ("https://a..example", "https://app.example.com"),
            ("https://-a.example", "https://app.example.com"),
            ("https://a-.example", "https://app.example.com"),
            ("https://{tenant}.example", "https://app.example.com"),
            ("https://$TENANT.example", "https://app.example.com"),
            ("https://a.example..", "https://app.example.com"),
            ("https://a.example,https://{x}.example", "--cors-origin https://app.example.com"),
            ("https://a.example:0", "https://app.example.com"),
            ("https://a.example:6000", "https://app.example.com"),
            ("https://A.example/", "https://a.example"),
            ("https://a.example/", "https://a.example"),
            ("HTTPS://a.example", "https://a.example"),
            ("https://a.example/maps", "https://a.example"),
            ("https://a.example?x=1#y", "https://a.example"),
            ("https://user:secret@a.example", "https://a.example"),
            ("https://a.example:443", "https://a.example"),
            ("http://a.example:80/", "http://a.example"),
            ("https://bücher.example", "https://xn--bcher-kva.example"),
            ("a.example", "https://a.example"),
            ("a.example:8443", "https://a.example:8443"),
            ("localhost:5173", "http://localhost:5173"),
            ("//a.example", "https://a.example"),
            ("https:\\\\a.example", "https://a.example"),
            ("https:\\a.example", "https://a.example"),
            ("\\\\a.example", "https://a.example"),
            ("https:/a.example", "https://a.example"),
            ("https:a.example", "https://a.example"),
            ("HTTP:\\\\A.example\\maps", "http://a.example"),
            ("https:", "https://app.example.com"),
            ("https:\\\\", "https://app.example.com"),
            ("file:///a.example", "https://app.example.com"),
        ] {
            assert_eq!(instead(origin, text), valid, "{text}");
            for valid in valid.split(' ').filter(|item| *item != "--cors-origin") {
                assert!(origin(valid).is_ok(), "{valid}");
            }
        }
    }

    #[test]
    fn host_accepts_only_names_that_a_request_can_have() {
        for (text, name) in [
            ("*", "*"),
            ("decide.internal", "decide.internal"),
            ("Decide.Internal", "decide.internal"),
            ("my_service", "my_service"),
            ("10.0.0.1", "10.0.0.1"),
            ("[fd00:0:0::1]", "fd00::1"),
            ("FD00::1", "fd00::1"),
        ] {
            assert_eq!(host(text), Ok(name.to_owned()), "{text}");
        }
        for (text, valid) in [
            ("a:80", "a"),
            ("http://a", "a"),
            ("https://a.example:8443/x", "a.example"),
            ("a.example.", "a.example"),
            ("bücher.internal", "xn--bcher-kva.internal"),
            ("1.2.3", "1.2.0.3"),
            ("[::1]:8181", "::1"),
            ("*.example", "decide.internal"),
            (".", "decide.internal"),
            (".a", "decide.internal"),
            ("a..b", "decide.internal"),
            ("-a", "decide.internal"),
            ("{x}.internal", "decide.internal"),
            ("", "decide.internal"),
            ("a b", "decide.internal"),
        ] {
            assert_eq!(instead(host, text), valid, "{text}");
            assert!(host(valid).is_ok(), "{valid}");
        }
    }

    #[test]
    fn socket_mode_lets_the_owner_connect() {
        for (text, mode) in [("600", 0o600), ("0660", 0o660), ("777", 0o777)] {
            assert_eq!(socket_mode(text), Ok(mode));
        }
        for text in ["", "0", "444", "060", "066", "1777", "00660", "+660", "0o660", "rw-rw----", "432", "-600", "888"]
        {
            assert_eq!(instead(socket_mode, text), "660", "{text}");
        }
    }
}
