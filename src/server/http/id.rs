//! What identifies a request.

use axum::http::HeaderMap;

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
