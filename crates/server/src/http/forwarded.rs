//! Request headers, as the request reader sees them.

use axum::http::{HeaderMap, HeaderValue};

use portcullis_http::gateway::{Body, Headers};

/// The headers of a check. Headers of other names report that the client's request had a body, since the check has its
/// own length.
pub(super) struct Received<'h>(pub(super) &'h HeaderMap);

impl Headers for Received<'_> {
    fn for_each<'h>(&'h self, visit: &mut dyn FnMut(&'h str, &'h [u8])) {
        for (name, value) in self.0 {
            let name = match name.as_str() {
                // Some gateways send a configured header empty if the client's is missing.
                ORIGINAL_LENGTH | ORIGINAL_ENCODING if value.is_empty() => continue,
                ORIGINAL_LENGTH => "content-length",
                ORIGINAL_ENCODING => "transfer-encoding",
                // `check_url` has compared it.
                ORIGINAL_URL => continue,
                name => name,
            };
            visit(name, value.as_bytes());
        }
    }
}

/// Returns the only value of a header. If a header is repeated, one of them could be the client's, so that is an error.
pub(super) fn only<'h>(headers: &'h HeaderMap, name: &str) -> Result<&'h str, String> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) if value.is_empty() => Err(format!("the gateway leaves `{name}` empty")),
        (Some(value), None) => value.to_str().map_err(|_| format!("`{name}` is not ASCII")),
        (None, _) => Err(format!("the gateway does not set `{name}`")),
        (Some(_), Some(_)) => Err(format!("`{name}` is set more than once")),
    }
}

/// The header in which some gateways send the whole URL.
pub(super) const ORIGINAL_URL: &str = "x-original-url";

/// Rejects a target that differs from that of `X-Original-URL`: the header may be the client's own, and some upstreams
/// read it instead.
pub(super) fn check_url(headers: &HeaderMap, target: &str) -> Result<(), String> {
    let differs = |value: &HeaderValue| value.to_str().ok().and_then(target_of) != Some(target);
    if headers.get_all(ORIGINAL_URL).iter().any(differs) {
        return Err("`x-original-url` is a different URL".to_owned());
    }
    Ok(())
}

/// Returns the path and query of a URL, with or without its origin; `None` if servers could disagree about their start.
pub(super) fn target_of(url: &str) -> Option<&str> {
    if url.starts_with('/') {
        return Some(url);
    }
    let (scheme, rest) = url.split_once("://")?;
    let is_http = scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https");
    let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte);
    let start = rest.bytes().position(|byte| !is_host(byte))?;
    rest.get(start..).filter(|target| is_http && target.starts_with('/'))
}

/// The length of the client's body, from a gateway that buffers bodies: a part of a body is not a body (W5).
const ORIGINAL_LENGTH: &str = "x-original-content-length";

/// The transfer encoding of the client's body: present if the body came in chunks.
const ORIGINAL_ENCODING: &str = "x-original-transfer-encoding";

/// The header that Envoy sets on a partial body.
const PARTIAL: &str = "x-envoy-auth-partial-body";

/// Returns the client's body. An empty one may be one that the gateway did not pass on: both look the same.
pub(super) fn passed_on<'b>(headers: &HeaderMap, body: &'b [u8]) -> Body<'b> {
    let is_part = headers.get_all(PARTIAL).iter().any(|value| value.as_bytes() != b"false");
    let length = |value: &[u8]| std::str::from_utf8(value).ok()?.trim().parse::<usize>().ok();
    let mut lengths = headers.get_all(ORIGINAL_LENGTH).iter().filter(|value| !value.is_empty());
    let is_other = lengths.any(|value| length(value.as_bytes()) != Some(body.len()));
    if body.is_empty() || is_part || is_other { Body::NotPassedOn } else { Body::Whole(body) }
}
