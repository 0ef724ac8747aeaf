//! The headers of HTTP as requests are read from them.

use axum::http::{HeaderMap, HeaderValue};

use portcullis_http::gateway::{Body, Headers};

/// The headers of a check. That the client's request had a body is told by headers of other names, since the check has a
/// length of its own.
pub(super) struct Received<'h>(pub(super) &'h HeaderMap);

impl Headers for Received<'_> {
    fn for_each<'h>(&'h self, visit: &mut dyn FnMut(&'h str, &'h [u8])) {
        for (name, value) in self.0 {
            let name = match name.as_str() {
                // Some gateways leave a header of their configuration empty where the client's is missing.
                ORIGINAL_LENGTH | ORIGINAL_ENCODING if value.is_empty() => continue,
                ORIGINAL_LENGTH => "content-length",
                ORIGINAL_ENCODING => "transfer-encoding",
                // It was checked to be the same.
                ORIGINAL_URL => continue,
                name => name,
            };
            visit(name, value.as_bytes());
        }
    }
}

/// The only value of a header; a header that comes twice could be the client's beside the gateway's.
pub(super) fn only<'h>(headers: &'h HeaderMap, name: &str) -> Result<&'h str, String> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) if value.is_empty() => Err(format!("the gateway leaves `{name}` empty")),
        (Some(value), None) => value.to_str().map_err(|_| format!("`{name}` is not ASCII")),
        (None, _) => Err(format!("the gateway does not set `{name}`")),
        (Some(_), Some(_)) => Err(format!("`{name}` is set more than once")),
    }
}

/// The header in which some gateways write the whole URL.
const ORIGINAL_URL: &str = "x-original-url";

/// Refuses a target that differs from that of `X-Original-URL`, which some upstreams read instead: the header may be the
/// client's own.
pub(super) fn check_url(headers: &HeaderMap, target: &str) -> Result<(), String> {
    let differs = |value: &HeaderValue| value.to_str().ok().and_then(target_of) != Some(target);
    if headers.get_all(ORIGINAL_URL).iter().any(differs) {
        return Err("`x-original-url` is another URL".to_owned());
    }
    Ok(())
}

/// The path and query of a URL with or without its origin; `None` where servers could find another start of the path.
fn target_of(url: &str) -> Option<&str> {
    if url.starts_with('/') {
        return Some(url);
    }
    let (scheme, rest) = url.split_once("://")?;
    let is_http = scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https");
    let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte);
    let start = rest.bytes().position(|byte| !is_host(byte))?;
    rest.get(start..).filter(|target| is_http && target.starts_with('/'))
}

/// The header by which a gateway that buffers bodies tells how long the client's was: a part is none (W5).
const ORIGINAL_LENGTH: &str = "x-original-content-length";

/// The header by which a gateway tells that the client's body came in chunks.
const ORIGINAL_ENCODING: &str = "x-original-transfer-encoding";

/// The header by which Envoy tells that a body is a part.
const PARTIAL: &str = "x-envoy-auth-partial-body";

/// The client's body. An empty one may be one that the gateway kept to itself: both look the same.
pub(super) fn passed_on<'b>(headers: &HeaderMap, body: &'b [u8]) -> Body<'b> {
    let is_part = headers.get_all(PARTIAL).iter().any(|value| value.as_bytes() != b"false");
    let length = |value: &[u8]| std::str::from_utf8(value).ok()?.trim().parse::<usize>().ok();
    let mut lengths = headers.get_all(ORIGINAL_LENGTH).iter().filter(|value| !value.is_empty());
    let is_other = lengths.any(|value| length(value.as_bytes()) != Some(body.len()));
    if body.is_empty() || is_part || is_other { Body::NotPassedOn } else { Body::Whole(body) }
}
