//! The URL at which clients reach the server.

use std::fmt;
use std::str::FromStr;

use portcullis::base::{is_browsed_host, is_browsed_port, quoted, unwrapped};
use url::Url;

/// The URL at which clients reach the server, without a slash at its end. Clients compare it byte for byte, so it is kept as
/// it is written, and has only one spelling.
///
/// ```
/// use portcullis_server::PublicUrl;
///
/// let url: PublicUrl = "https://authz.example.com/tenant1/".parse()?;
/// assert_eq!((url.as_str(), url.path()), ("https://authz.example.com/tenant1", "/tenant1"));
/// assert!("https://Authz.example.com".parse::<PublicUrl>().is_err());
/// assert!("authz.example.com".parse::<PublicUrl>().is_err());
/// # Ok::<(), portcullis_server::PublicUrlError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicUrl {
    text: String,
    /// The length of scheme, host and port, in bytes.
    origin: usize,
    host: String,
}

/// Text that is not the public URL of a server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected}, found {found}\nhelp: write `{instead}`")]
pub struct PublicUrlError {
    expected: &'static str,
    /// The text in backticks, unless it may hold a password.
    found: String,
    instead: String,
}

impl PublicUrl {
    /// Returns the URL.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns the host name.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Returns the path: empty, or starts with a slash.
    pub fn path(&self) -> &str {
        self.text.get(self.origin..).unwrap_or_default()
    }
}

impl FromStr for PublicUrl {
    type Err = PublicUrlError;

    fn from_str(text: &str) -> Result<Self, PublicUrlError> {
        let url = read(text).filter(|_| is_whole(text));
        if let Some(url) = &url
            && url.text != text
            && format!("{}/", url.text) != text
        {
            let expected = "the URL in the spelling that clients compare: in lower case, without a default port";
            return Err(PublicUrlError { expected, found: quoted(text), instead: url.text.clone() });
        }
        url.ok_or_else(|| {
            let is_blank = |character: char| character.is_whitespace() || character.is_control();
            let blank = unwrapped(text).find(is_blank);
            let expected = match blank {
                Some(_) => "the URL of a server, without a blank",
                None => "the URL of a server, without a user, a query or a fragment",
            };
            let found = if text.contains('@') { "one with an `@`".to_owned() } else { quoted(text) };
            let text = unwrapped(text).replace('\\', "/");
            let read_meant = |text: &str| {
                read(text).or_else(|| read(&format!("https://{text}")).filter(|url| url.host.contains('.')))
            };
            // The path that is meant is not known: the blank may be a separator, or a character of the path.
            let origin =
                |url: PublicUrl| PublicUrl { text: url.text.get(..url.origin).unwrap_or_default().to_owned(), ..url };
            let start = text.split(is_blank).next().unwrap_or_default();
            let meant = if blank.is_some() { read_meant(start).map(origin) } else { read_meant(&text) };
            let instead = meant.map_or_else(|| "https://authz.example.com".to_owned(), |url| url.text);
            PublicUrlError { expected, found, instead }
        })
    }
}

impl fmt::Display for PublicUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Whether `text` has only the parts that [`read`] keeps, in a spelling that every client reads alike.
fn is_whole(text: &str) -> bool {
    let rest = text.split_once("://").map(|(_, rest)| rest).unwrap_or_default();
    let path = rest.find('/').and_then(|start| rest.get(start..)).unwrap_or_default();
    let is_plain = |segment: &str| !matches!(segment, "" | "." | "..");
    // No part of a URL of a server has an escape: `%2e%2e` is `..`.
    text.bytes().all(|byte| byte.is_ascii_graphic() && !b"@?#\\%".contains(&byte))
        && path.trim_end_matches('/').split('/').skip(1).all(is_plain)
}

/// Reads scheme, host, port and path of a URL.
fn read(text: &str) -> Option<PublicUrl> {
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"))?;
    let host = url.host_str().filter(|host| is_browsed_host(host))?.to_owned();
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._~-".contains(&byte);
    let path = url.path().trim_end_matches('/');
    if !text.contains("://")
        || !url.port().is_none_or(is_browsed_port)
        || !path.bytes().all(is_plain)
        || path.contains("//")
    {
        return None;
    }
    let origin = url.origin().ascii_serialization();
    Some(PublicUrl { origin: origin.len(), text: format!("{origin}{path}"), host })
}

#[cfg(test)]
mod tests {
    use super::PublicUrl;

    #[test]
    fn only_urls_of_servers_are_accepted() {
        for (text, url, path) in [
            ("https://authz.example.com", "https://authz.example.com", ""),
            ("https://authz.example.com/", "https://authz.example.com", ""),
            ("https://authz.example.com/a/b", "https://authz.example.com/a/b", "/a/b"),
            ("https://authz.example.com/a/b/", "https://authz.example.com/a/b", "/a/b"),
            ("https://authz.example.com:8443", "https://authz.example.com:8443", ""),
            ("https://authz.example.com/Tenant", "https://authz.example.com/Tenant", "/Tenant"),
            ("http://127.0.0.1:8181", "http://127.0.0.1:8181", ""),
            ("http://[::1]:8181/t", "http://[::1]:8181/t", "/t"),
        ] {
            let read: PublicUrl = text.parse().unwrap();
            assert_eq!((read.as_str(), read.path()), (url, path), "{text}");
        }
        for (text, instead) in [
            ("", "https://authz.example.com"),
            ("nonsense", "https://authz.example.com"),
            ("*", "https://authz.example.com"),
            ("https://*.example.com", "https://authz.example.com"),
            ("https://", "https://authz.example.com"),
            ("https://.a.example", "https://authz.example.com"),
            ("https://a..example/t", "https://authz.example.com"),
            ("https://-a.example", "https://authz.example.com"),
            ("https://a-.example", "https://authz.example.com"),
            ("https://{tenant}.example", "https://authz.example.com"),
            ("https://${HOST}", "https://authz.example.com"),
            ("ftp://a.example", "https://authz.example.com"),
            ("https:a.example", "https://authz.example.com"),
            ("https:\\\\a.example\\t", "https://a.example/t"),
            ("https://a.example:0", "https://authz.example.com"),
            ("https://a.example:99999", "https://authz.example.com"),
            ("https://a.example/a%2Fb", "https://authz.example.com"),
            ("https://a.example//b", "https://authz.example.com"),
            ("a.example", "https://a.example"),
            ("(https://a.example)", "https://a.example"),
            ("<https://a.example/t>", "https://a.example/t"),
            ("\"https://a.example\"", "https://a.example"),
            ("'a.example'", "https://a.example"),
            ("a.example:8443/t", "https://a.example:8443/t"),
            ("https://user@a.example", "https://a.example"),
            ("https://user:secret@a.example", "https://a.example"),
            ("https://a.example?x=1", "https://a.example"),
            ("https://a.example/#x", "https://a.example"),
            ("https://a.example\\t", "https://a.example/t"),
            ("https://a.example/x/../t", "https://a.example/t"),
            ("https://a.example/x/%2E%2e/t", "https://a.example/t"),
            ("https://a.example/x/.%2E/t", "https://a.example/t"),
            ("https://a.example/%2e/t", "https://a.example/t"),
            ("https://%61.example/t", "https://a.example/t"),
            (" https://a.example", "https://a.example"),
            ("https://a.example/a b", "https://a.example"),
            ("https://a.example/a\tb", "https://a.example"),
            ("https://a.example https://b.example", "https://a.example"),
            ("a.example/a b", "https://a.example"),
            ("https://user:secret@a.example/a b", "https://a.example"),
            ("no sense", "https://authz.example.com"),
            ("https://bücher.example", "https://xn--bcher-kva.example"),
            ("https://A.example:443", "https://a.example"),
            ("https://a.example:443", "https://a.example"),
            ("http://a.example:80/t", "http://a.example/t"),
            ("HTTPS://a.example", "https://a.example"),
            ("https://a.Example/T", "https://a.example/T"),
            ("https://a.example:08443", "https://a.example:8443"),
            ("https://a.example//", "https://a.example"),
            ("https://a.example/t//", "https://a.example/t"),
            ("http://0x7f.1:8181", "http://127.0.0.1:8181"),
            ("http://[0:0::1]:8181", "http://[::1]:8181"),
        ] {
            let error = text.parse::<PublicUrl>().unwrap_err().to_string();
            assert!(error.ends_with(&format!("help: write `{instead}`")), "{text}: {error}");
            let is_blank = |character: char| character.is_whitespace();
            assert_eq!(text.trim().contains(is_blank), error.contains("without a blank"), "{text}: {error}");
            let kept = instead.parse::<PublicUrl>().unwrap();
            assert_eq!(kept.as_str(), instead);
            assert!(!error.contains("secret"), "{text}: {error}");
        }
    }
}
