//! What is logged of a request that is not understood: enough to find its client, and never a secret or a query.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;
use url::form_urlencoded;

use portcullis_http::gateway::HttpRequest;
use portcullis_secret::contains_secret;

/// The parts of a request that are known, although it is not understood.
#[derive(Debug, Clone, Copy, Default)]
pub struct Seen<'r> {
    /// The method of the client.
    pub method: Option<&'r str>,
    /// Path and query, as the client sent them.
    pub target: Option<&'r str>,
    /// The secrets that the client presented: those of `Authorization`, and of `access_token` in the query.
    pub secrets: &'r [Cow<'r, str>],
}

/// The methods that are logged by name: a client may send any text as its method.
const METHODS: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"];

/// The maximum length of a logged path, in bytes.
const MAX_PATH: usize = 1_024;

/// The minimum length of a secret that is searched in other texts: a shorter one may occur by chance.
const SEARCHED_FROM: usize = 4;

/// Replaces a secret.
pub(crate) const HIDDEN: &str = "[secret]";

/// Characters that end the path, and their encoded forms in lower case: parameters follow, which may hold a secret.
const ENDS: [&str; 6] = ["?", "#", ";", "%3f", "%23", "%3b"];

impl Seen<'_> {
    /// Returns the method, or `other`.
    pub(super) fn method(&self) -> Option<&'static str> {
        let known = |method: &str| METHODS.into_iter().find(|known| *known == method).unwrap_or("other");
        self.method.map(known)
    }

    /// Returns the path without parameters and secrets. `is_secret` recognises the secrets of the policy.
    pub(super) fn path(&self, is_secret: impl Fn(&str) -> bool) -> Option<String> {
        let path = path_of(self.target?)?;
        let is_cut = path.len() > MAX_PATH;
        // A part of a secret is not left over.
        let kept = path.get(..path.floor_char_boundary(MAX_PATH)).unwrap_or_default();
        let path = if is_cut { kept.rsplit_once('/').map_or("", |(kept, _)| kept) } else { path };
        let presented = self.secrets.iter().filter(|secret| secret.len() >= SEARCHED_FROM);
        let hides = |text: &str| {
            contains_secret(text) || presented.clone().any(|secret| text.contains(&**secret)) || is_secret(text)
        };
        let is_inside = |character: char| character.is_ascii_alphanumeric() || "-_.~".contains(character);
        let words = |text: &str| {
            let mut words = text.split(|character| !is_inside(character)).filter(|word| word.len() >= SEARCHED_FROM);
            !text.chars().all(is_inside) && words.any(&is_secret)
        };
        let segment = |segment: &str| {
            let decoded = percent_decoded(segment);
            let is_hidden = hides(segment)
                || words(segment)
                || decoded.is_some_and(|decoded| decoded != segment && (hides(&decoded) || words(&decoded)));
            if is_hidden { HIDDEN.to_owned() } else { segment.to_owned() }
        };
        let segments: Vec<_> = path.split('/').map(segment).collect();
        Some(segments.join("/") + if is_cut { "/…" } else { "" })
    }
}

impl<'r> Seen<'r> {
    /// Returns the secret, if the client presented exactly one.
    pub(super) fn secret(&self) -> Option<&'r str> {
        match self.secrets {
            [secret] => Some(secret),
            _ => None,
        }
    }
}

/// Returns the secrets of a request, however many headers and parameters hold them.
pub(super) fn secrets_of(request: &HttpRequest<'_>) -> Vec<Cow<'static, str>> {
    let mut secrets = Vec::new();
    request.headers.for_each(&mut |name, value| {
        if name.eq_ignore_ascii_case("authorization") {
            let value = String::from_utf8_lossy(value);
            let words = value.split([' ', '\t', ',']).filter(|word| !word.is_empty());
            let is_scheme = |word: &str| word.eq_ignore_ascii_case("bearer") || word.eq_ignore_ascii_case("basic");
            secrets.extend(words.filter(|word| !is_scheme(word)).map(|word| word.to_owned().into()));
        }
    });
    let query = request.target.split_once('?').map_or("", |(_, query)| query);
    let in_query =
        form_urlencoded::parse(query.as_bytes()).filter(|(key, secret)| key == "access_token" && !secret.is_empty());
    secrets.extend(in_query.map(|(_, secret)| secret.into_owned().into()));
    secrets
}

/// Returns the path of a target: of an absolute URL, the part after its host, which may follow a password.
fn path_of(target: &str) -> Option<&str> {
    let lower = target.to_ascii_lowercase();
    let end = ENDS.iter().filter_map(|end| lower.find(end)).min().unwrap_or(target.len());
    let whole = target.get(..end)?;
    if whole.starts_with('/') {
        return Some(whole);
    }
    let (_, rest) = whole.split_once("://")?;
    rest.find('/').and_then(|start| rest.get(start..))
}

/// Returns the decoded form of a segment; `None` if nothing in it is encoded.
fn percent_decoded(segment: &str) -> Option<String> {
    if !segment.contains('%') {
        return None;
    }
    Some(percent_decode_str(segment).decode_utf8_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::{Seen, secrets_of};
    use portcullis_http::gateway::{Body, HttpRequest};

    #[test]
    fn logged_path_has_no_parameter_and_no_secret() {
        let path = |target| {
            let secrets = ["the-presented-one".into(), "another-one".into()];
            let seen = Seen { target: Some(target), secrets: &secrets, ..Seen::default() };
            seen.path(|text| text == "one of the policy" || text == "one.of~it")
        };
        for (target, expected) in [
            ("/v3/maps/dw/table?name=a&access_token=x", Some("/v3/maps/dw/table")),
            ("/v3/maps/dw/table#x", Some("/v3/maps/dw/table")),
            ("/v3/maps;access_token=x/dw", Some("/v3/maps")),
            ("/v3/maps%3Faccess_token=x", Some("/v3/maps")),
            ("/v3/maps%3baccess_token=x", Some("/v3/maps")),
            ("/v3/the-presented-one/x", Some("/v3/[secret]/x")),
            ("/v3/a=the-presented-one&b/x", Some("/v3/[secret]/x")),
            ("/v3/the%2Dpresented-one/x", Some("/v3/[secret]/x")),
            ("/v3/x%3Danother-one/x", Some("/v3/[secret]/x")),
            ("/v3/x=1&y%3Danother%2Done", Some("/v3/[secret]")),
            ("/v3/one%20of%20the%20policy", Some("/v3/[secret]")),
            ("/v3/a=one.of~it&b", Some("/v3/[secret]")),
            ("/", Some("/")),
            ("https://user:password@host/v3/x?y", Some("/v3/x")),
            ("https://user:password@host", None),
            ("not a path", None),
            ("", None),
        ] {
            assert_eq!(path(target).as_deref(), expected, "{target}");
        }
        let long = format!("/v3/{}/the-presented-one", "x".repeat(1_010));
        assert_eq!(path(&long).as_deref(), Some(&*format!("/v3/{}/…", "x".repeat(1_010))));
        let beyond_ascii = format!("/{}", "é".repeat(2_000));
        assert_eq!(path(&beyond_ascii).as_deref(), Some("/…"));
    }

    #[test]
    fn only_one_presented_secret_identifies_a_token() {
        let secret = |target: &str, headers: &[(&str, &str)]| {
            let request = HttpRequest { method: "GET", target, headers: &headers, body: Body::NotPassedOn };
            let secrets = secrets_of(&request);
            (Seen { secrets: &secrets, ..Seen::default() }.secret().map(str::to_owned), secrets.len())
        };
        let one = [("authorization", "Bearer a")];
        let found = |text: &str| (Some(text.to_owned()), 1);
        assert_eq!(secret("/x", &one), found("a"));
        assert_eq!(secret("/x", &[("Authorization", "bearer  a ")]), found("a"));
        assert_eq!(secret("/x?access_token=a%2Bb", &[]), found("a+b"));
        for (target, headers, count) in [
            ("/x", &[][..], 0),
            ("/x?access_token=", &[], 0),
            ("/x", &[("authorization", "Bearer")], 0),
            ("/x?access_token=a", &one, 2),
            ("/x?access_token=a&access_token=b", &[], 2),
            ("/x", &[("authorization", "Bearer a"), ("Authorization", "Bearer b")], 2),
            ("/x", &[("authorization", "Bearer a"), ("Authorization", "Basic b")], 2),
            ("/x", &[("authorization", "Bearer a,Bearer b")], 2),
        ] {
            assert_eq!(secret(target, headers), (None, count), "{target} {headers:?}");
        }
    }

    #[test]
    fn unknown_methods_are_not_repeated() {
        let method = |method| Seen { method: Some(method), ..Seen::default() }.method();
        assert_eq!([method("GET"), method("s3cret"), method("get")], [Some("GET"), Some("other"), Some("other")]);
    }
}
