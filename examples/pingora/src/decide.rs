//! From a session of Pingora to a decision, and from a denial to its answer.

use bytes::Bytes;
use http::HeaderMap;
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, WWW_AUTHENTICATE};
use pingora_http::ResponseHeader;
use pingora_proxy::Session;
use portcullis::authorizer::{Clock, SystemClock};
use portcullis_http::gateway::{Body, Headers, HttpRequest, Reader, Reading};
use portcullis::{Authorizer, Decision};

/// What the names of all headers begin with that tell upstreams of a decision. No client may send one.
pub const OWN: &str = "x-portcullis-";
pub const TOKEN_ID: &str = "x-portcullis-token-id";
pub const GENERATION: &str = "x-portcullis-generation";

/// The longest body that is decided about: as much as Pingora keeps to send it on.
const BODY_BYTES: usize = 64 * 1024;

/// What is told of a request that passes.
#[derive(Default)]
pub struct Allowed {
    /// The token's id; `None` where no token decides.
    pub token_id: Option<String>,
    pub generation: u64,
}

/// An answer that is no.
pub struct Denied {
    status: u16,
    reason: &'static str,
    error: String,
}

/// The whole body, if it plays a part; it stays to be sent on.
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

/// Decides by the current policy.
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
    let asked = HttpRequest { method: request.method.as_str(), target: target(session), headers: &headers, body };
    let access = match reader.read(&asked) {
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

/// The target as it goes on to the upstream; nothing, which is not understood, where it is no text.
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
    /// Answers the client, and reads no more of this connection: a body may still come.
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
