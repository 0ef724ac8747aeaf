//! What applies to every request: its id, secrets in its URL, and the headers of its answer.

use std::borrow::Cow;

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_SECURITY_POLICY, HeaderName, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS};
use http::{HeaderMap, HeaderValue};
use percent_encoding::percent_decode_str;
use portcullis_secret::{contains_secret, short_id};

use crate::problem::Problem;

/// The header with the id of a request, which every handler sees.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The only path whose query is a secret: it is valid once.
const LOGIN: &str = "/login";

/// Answers requests with a secret in their URL with 400, and adds the id of the request and the headers of security.
pub(crate) async fn guard(mut request: Request, next: Next) -> Response {
    let id = request_id(request.headers());
    // Pages of failures show the id.
    match &id {
        Some(id) => drop(request.headers_mut().insert(REQUEST_ID, id.clone())),
        None => drop(request.headers_mut().remove(REQUEST_ID)),
    }
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    let has_secret = has_secret(&path) || (path != LOGIN && request.uri().query().is_some_and(has_secret));
    let mut response = if has_secret {
        let help = "send it in a header or a body, and replace it: URLs are kept in logs and histories";
        Problem::invalid("secret_in_url", "the URL contains a secret", help).into_response()
    } else {
        next.run(request).await
    };
    let shown = if has_secret { "…" } else { &*path };
    tracing::debug!(request = ?id, %method, path = shown, status = response.status().as_u16(), "answered");
    let headers = response.headers_mut();
    if let Some(id) = id {
        headers.insert(REQUEST_ID, id);
    }
    let mut set = |name, value| {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    };
    set(X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(REFERRER_POLICY, "no-referrer");
    set(CONTENT_SECURITY_POLICY, "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'");
    // Older browsers know only this header, which cannot name an origin.
    if forbids_frames(headers) {
        headers.entry(X_FRAME_OPTIONS).or_insert(HeaderValue::from_static("DENY"));
    }
    response
}

fn forbids_frames(headers: &HeaderMap) -> bool {
    let policy = headers.get(CONTENT_SECURITY_POLICY).and_then(|policy| policy.to_str().ok());
    policy.is_none_or(|policy| policy.contains("frame-ancestors 'none'"))
}

/// Whether a part of a URL contains a secret, as it is or percent-encoded up to four times.
fn has_secret(part: &str) -> bool {
    /// Decoding ends: each round shortens the text.
    const MAX_ROUNDS: usize = 4;
    let mut text = Cow::Borrowed(part);
    for _ in 0..MAX_ROUNDS {
        if contains_secret(&text) {
            return true;
        }
        let decoded = percent_decode_str(&text).decode_utf8_lossy().into_owned();
        if decoded == *text {
            return false;
        }
        text = Cow::Owned(decoded);
    }
    contains_secret(&text)
}

/// Returns the id of the request: that of the client, if a log can hold it, or a new one.
fn request_id(headers: &HeaderMap) -> Option<HeaderValue> {
    const MAX: usize = 128;
    let mut given = headers.get_all(&REQUEST_ID).iter();
    let is_plain = |id: &&HeaderValue| (1..=MAX).contains(&id.len()) && id.as_bytes().iter().all(u8::is_ascii_graphic);
    let has_no_secret = |id: &&HeaderValue| id.to_str().is_ok_and(|id| !contains_secret(id));
    let given = given.next().filter(|_| given.next().is_none()).filter(is_plain).filter(has_no_secret);
    given.cloned().or_else(|| HeaderValue::from_str(&short_id("req").ok()?).ok())
}

#[cfg(test)]
mod tests {
    use super::has_secret;
    use portcullis_secret::{Secret, SecretKind};

    #[test]
    fn secrets_are_found_however_a_url_encodes_them() {
        for kind in SecretKind::ALL {
            let secret = Secret::mint(kind).unwrap();
            let secret = secret.expose();
            let percent: Vec<_> = secret.bytes().map(|byte| format!("%{byte:02x}")).collect();
            let percent = percent.concat();
            let twice = percent.replace('%', "%25");
            for part in [secret, &format!("/v3/tokens/{secret}"), &format!("a=b&c={secret}&d"), &percent, &twice] {
                assert!(has_secret(part), "{}", part.len());
            }
        }
        for part in ["", "/v3/tokens/tk_5h3f9w2mzq", "%", "%zz", "search=pcl_tk_", "%70cl_tk_short"] {
            assert!(!has_secret(part), "{part}");
        }
    }
}
