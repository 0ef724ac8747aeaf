//! Answers of the console. No cache keeps them.

use axum::response::{Html, IntoResponse, Redirect, Response};
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY};
use http::{HeaderValue, StatusCode};
use maud::Markup;

/// Pages load nothing from other sites, and have no inline script or style.
pub(super) const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self' data:; \
    frame-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Redirects to the page at `url`, by GET.
pub(crate) fn redirect(url: &str) -> Response {
    let mut response = Redirect::to(url).into_response();
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Answers with a document that no cache keeps.
pub(super) fn html(status: StatusCode, document: Markup) -> Response {
    // With `no-referrer`, browsers send the forms of a page with `Origin: null`, as pages of other sites can.
    let headers = [(CACHE_CONTROL, "no-store"), (CONTENT_SECURITY_POLICY, POLICY), (REFERRER_POLICY, "same-origin")];
    (status, headers, Html(document.into_string())).into_response()
}

/// Answers with JSON for the script of a page.
pub(super) fn json(value: &impl serde::Serialize) -> Response {
    let headers = [(CACHE_CONTROL, "no-store"), (CONTENT_TYPE, "application/json")];
    (headers, serde_json::to_string(value).unwrap_or_default()).into_response()
}
