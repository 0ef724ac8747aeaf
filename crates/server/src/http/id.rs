//! What identifies a request.

use axum::http::HeaderMap;

use crate::decided::Ids;

/// What the gateway calls a request: `X-Request-ID`, and the trace that it belongs to (W3C Trace Context).
pub(super) fn told(headers: &HeaderMap) -> Ids<'_> {
    told_by(|name| headers.get(name)?.to_str().ok())
}

/// The same where `find` finds headers.
pub(crate) fn told_by<'h>(find: impl Fn(&str) -> Option<&'h str>) -> Ids<'h> {
    let request = find("x-request-id").filter(|id| !id.is_empty() && id.len() <= 128);
    Ids { request, trace: find("traceparent").and_then(trace) }
}

/// The trace's id in `00-<trace>-<parent>-<flags>`.
fn trace(parent: &str) -> Option<&str> {
    let id = parent.split('-').nth(1)?;
    (id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(id)
}
