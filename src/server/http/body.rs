//! Bodies, read up to a limit, and what identifies a request.

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Response, StatusCode};
use http_body_util::{BodyExt, LengthLimitError, Limited};

use super::answer::failure;

/// All of a body, or the answer to one that is too long or does not arrive.
pub(in crate::server) async fn read(body: Body, most: usize) -> Result<Bytes, Response<Body>> {
    match Limited::new(body, most).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => {
            let error = format!("the body is longer than {most} bytes");
            Err(failure(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", &error))
        }
        Err(_) => Err(failure(StatusCode::BAD_REQUEST, "body_incomplete", "the body did not arrive as announced")),
    }
}

/// What the gateway calls a request: `X-Request-ID`, or else the trace that it belongs to (W3C Trace Context).
pub(in crate::server) fn told(headers: &HeaderMap) -> Option<&str> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).filter(|text| !text.is_empty());
    text("x-request-id").or_else(|| trace(text("traceparent")?)).filter(|id| id.len() <= 128)
}

/// The trace's id in `00-<trace>-<parent>-<flags>`.
fn trace(parent: &str) -> Option<&str> {
    let id = parent.split('-').nth(1)?;
    (id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(id)
}
