//! Decides the request of a Pingora session, and answers denials.

use bytes::Bytes;
use http::HeaderMap;
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, WWW_AUTHENTICATE};
use pingora_http::ResponseHeader;
use pingora_proxy::Session;
use portcullis::authorizer::{Clock, SystemClock};
use portcullis_http::gateway::{Body, Headers, HttpRequest, Reader, Reading};
use portcullis::{Authorizer, Decision};

/// The prefix of all headers that report a decision to upstreams. Headers of clients with this prefix are removed.
pub const OWN: &str = "x-portcullis-";
pub const TOKEN_ID: &str = "x-portcullis-token-id";
pub const GENERATION: &str = "x-portcullis-generation";

/// The maximum length of a body that can be checked: the size of Pingora's buffer for forwarding it.
const BODY_BYTES: usize = 64 * 1024;

/// An allowed or passed request.
#[derive(Default)]
pub struct Allowed {
    /// The id of the token. `None` for requests that pass without a decision.
    pub token_id: Option<String>,
    pub generation: u64,
}

/// A denial and its answer.
pub struct Denied {
    status: u16,
    reason: &'static str,
    error: String,
}

/// Reads the whole body if the decision needs it, and keeps it for the upstream. `None` if the body is not needed.
pub async fn body(session: &mut Session, reader: &Reader) -> pingora_core::Result<Result<Option<Bytes>, Denied>> {
    if session.is_body_empty() {
        return Ok(Ok(Some(Bytes::new())));
    }
    if !reader.needs_body(session.req_header().method.as_str(), target(session)) {
        return Ok(Ok(None));
    }
    session.enable_retry_buffering();
    while session.read_request_body().await?.is_some() {
        if session.retry_buffer_truncated() {
            let error = format!("the body is longer than {BODY_BYTES} bytes");
            return Ok(Err(Denied { status: 413, reason: "body_too_large", error }));
        }
    }
    Ok(Ok(Some(session.get_retry_buffer().unwrap_or_default())))
}

/// Decides the request with the current policy.
pub fn decide(
    authorizer: &Authorizer,
    reader: &Reader,
    session: &Session,
    body: Option<&[u8]>,
) -> Result<Allowed, Denied> {
    let request = session.req_header();
    let current = authorizer.current();
    let generation = current.number();
    let headers = Sent(&request.headers);
    let body = body.map_or(Body::NotPassedOn, Body::Whole);
    let http_request = HttpRequest { method: request.method.as_str(), target: target(session), headers: &headers, body };
    let access = match reader.read(&http_request) {
        Ok(Reading::Access(access)) => access,
        Ok(Reading::PassedThrough) => return Ok(Allowed { token_id: None, generation }),
        Ok(Reading::Preflight(preflight)) if preflight.passes => return Ok(Allowed { token_id: None, generation }),
        Ok(Reading::Preflight(_)) => {
            let error = "preflights are not answered here".to_owned();
            return Err(Denied { status: 403, reason: "request_not_understood", error });
        }
        Err(why) => {
            let reason = why.reason();
            return Err(Denied { status: reason.status(), reason: reason.code(), error: why.to_string() });
        }
    };
    match current.decide(&access.request(&access.sources()), SystemClock.now()) {
        Decision::Allow(allow) => Ok(Allowed { token_id: Some(allow.token().to_owned()), generation }),
        Decision::Deny(reason) => {
            Err(Denied { status: reason.status(), reason: reason.code(), error: reason.to_string() })
        }
    }
}

/// Returns the target as the upstream receives it. If it is not UTF-8, returns an empty target, which is not understood.
fn target(session: &Session) -> &str {
    std::str::from_utf8(session.req_header().raw_path()).unwrap_or_default()
}

/// The headers that a client sent.
struct Sent<'h>(&'h HeaderMap);

impl Headers for Sent<'_> {
    fn for_each<'h>(&'h self, visit: &mut dyn FnMut(&'h str, &'h [u8])) {
        for (name, value) in self.0 {
            visit(name.as_str(), value.as_bytes());
        }
    }
}

impl Denied {
    /// Answers the client, and does not read the connection further: the rest of a body may follow.
    pub async fn answer(self, session: &mut Session) -> pingora_core::Result<()> {
        let body = serde_json::json!({"error": self.error, "reason": self.reason}).to_string();
        let mut header = ResponseHeader::build(self.status, Some(5))?;
        header.insert_header(CONTENT_TYPE, "application/json")?;
        header.insert_header(CACHE_CONTROL, "no-store")?;
        header.insert_header(CONTENT_LENGTH, body.len())?;
        if self.status == 401 {
            header.insert_header(WWW_AUTHENTICATE, "Bearer")?;
        }
        session.write_error_response(header, body.into()).await
    }
}
