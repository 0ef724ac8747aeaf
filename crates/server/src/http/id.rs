//! The ids of a request.

use axum::http::HeaderMap;

use crate::decided::Ids;

/// Reads the ids that the gateway sent: `X-Request-ID`, and the trace of the request (W3C Trace Context).
pub(super) fn ids_of(headers: &HeaderMap) -> Ids<'_> {
    ids_by(|name| headers.get(name)?.to_str().ok())
}

/// Reads the ids with `find`, which returns the value of a header.
pub(crate) fn ids_by<'h>(find: impl Fn(&str) -> Option<&'h str>) -> Ids<'h> {
    let request = find("x-request-id").filter(|id| !id.is_empty() && id.len() <= 128);
    Ids { request, trace: find("traceparent").and_then(trace) }
}

/// Returns the id of the trace in `00-<trace>-<parent>-<flags>`.
fn trace(parent: &str) -> Option<&str> {
    let id = parent.split('-').nth(1)?;
    (id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(id)
}
