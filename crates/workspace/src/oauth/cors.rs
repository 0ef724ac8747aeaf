//! Cross-origin calls by the scripts of single-page applications: only from registered origins, and never with cookies.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode};

use crate::service::Workspace;

/// The headers that scripts may send. `auth0-client` names the version of Auth0's libraries.
const HEADERS: &str =
    "authorization, auth0-client, content-type, idempotency-key, if-match, if-none-match, x-request-id";

/// The headers of answers that scripts may read.
const EXPOSED: &str = "etag, idempotency-replayed, location, retry-after, www-authenticate, x-request-id";

/// Lets the scripts of registered origins read answers.
pub(crate) async fn cors(State(workspace): State<Arc<Workspace>>, request: Request, next: Next) -> Response {
    let allowed = match origin(request.headers()) {
        // Without an answer of the registry, no script reads anything.
        Some(origin) if workspace.is_registered_origin(origin).await.unwrap_or(false) => {
            HeaderValue::from_str(origin).ok()
        }
        _ => None,
    };
    let is_preflight =
        request.method() == Method::OPTIONS && request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD);
    let mut response = if is_preflight { StatusCode::NO_CONTENT.into_response() } else { next.run(request).await };
    let headers = response.headers_mut();
    headers.append(VARY, HeaderValue::from_static("origin"));
    let Some(allowed) = allowed else { return response };
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED));
    if is_preflight {
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST, PATCH, DELETE"));
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(HEADERS));
        headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    }
    response
}

/// Returns the origin of the page that sends a request; `None` also if there are several.
pub(super) fn origin(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(ORIGIN).iter();
    values.next().filter(|_| values.next().is_none()).and_then(|value| value.to_str().ok())
}
