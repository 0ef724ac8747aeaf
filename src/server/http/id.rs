//! What identifies a request.

use axum::http::HeaderMap;

/// What the gateway calls a request: `X-Request-ID`, or else the trace that it belongs to (W3C Trace Context).
pub(super) fn told(headers: &HeaderMap) -> Option<&str> {
    told_by(|name| headers.get(name)?.to_str().ok())
}

/// The same where `find` finds headers.
pub(in crate::server) fn told_by<'h>(find: impl Fn(&str) -> Option<&'h str>) -> Option<&'h str> {
    let text = |name| find(name).filter(|text| !text.is_empty());
    text("x-request-id").or_else(|| trace(text("traceparent")?)).filter(|id| id.len() <= 128)
}

/// The trace's id in `00-<trace>-<parent>-<flags>`.
fn trace(parent: &str) -> Option<&str> {
    let id = parent.split('-').nth(1)?;
    (id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(id)
}
