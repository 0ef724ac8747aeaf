//! Errors of OAuth (RFC 6749, section 5.2), with our help.

use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, PRAGMA, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use serde::Serialize;

use crate::problem::Problem;

/// Why an OAuth request is refused.
#[derive(Debug, Clone)]
pub(super) struct OauthError {
    status: StatusCode,
    error: &'static str,
    description: String,
    help: &'static str,
    retry_after: Option<u64>,
}

impl OauthError {
    pub(super) fn new(error: &'static str, description: impl Into<String>, help: &'static str) -> Self {
        let description = description.into();
        Self { status: StatusCode::BAD_REQUEST, error, description, help, retry_after: None }
    }

    /// Creates the error of a client that is unknown or has another secret: the same for both.
    pub(super) fn invalid_client() -> Self {
        let help = "send the `client_id` and the `client_secret` of `portcullis credentials create m2m`";
        let description = "the client or its secret is not valid";
        Self { status: StatusCode::UNAUTHORIZED, ..Self::new("invalid_client", description, help) }
    }

    /// Creates the error of a client or an address with too many failed attempts.
    pub(super) fn too_many(seconds: u64) -> Self {
        let error = Self::new("temporarily_unavailable", "too many attempts", "wait before the next attempt");
        Self { status: StatusCode::TOO_MANY_REQUESTS, retry_after: Some(seconds), ..error }
    }
}

impl From<Problem> for OauthError {
    fn from(problem: Problem) -> Self {
        if problem.status().is_server_error() {
            let help = "try again; the log of the workspace has the cause";
            let error = Self::new("temporarily_unavailable", "the registry cannot be used now", help);
            return Self { status: StatusCode::SERVICE_UNAVAILABLE, retry_after: Some(1), ..error };
        }
        let message = problem.details().first().map_or_else(String::new, |detail| detail.message.clone());
        Self { status: problem.status(), ..Self::new("invalid_request", message, "correct the request") }
    }
}

#[derive(Serialize)]
struct Body<'e> {
    error: &'e str,
    error_description: &'e str,
    help: &'e str,
    status: u16,
}

impl IntoResponse for OauthError {
    fn into_response(self) -> Response {
        let Self { status, error, description, help, retry_after } = self;
        let body = Body { error, error_description: &description, help, status: status.as_u16() };
        let mut response = json(status, &body);
        let headers = response.headers_mut();
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"portcullis\""));
        }
        if let Some(seconds) = retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

/// Returns an answer that no cache keeps.
pub(super) fn json(status: StatusCode, value: &impl Serialize) -> Response {
    let mut response = (status, serde_json::to_string(value).unwrap_or_default()).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(PRAGMA, HeaderValue::from_static("no-cache"));
    response
}
