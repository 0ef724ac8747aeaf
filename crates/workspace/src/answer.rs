//! Answers of the API.

use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, LOCATION};
use http::{HeaderName, HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};

use crate::conditional::etag;
use crate::problem::Problem;

/// A successful answer. It can be remembered, and given again.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Answer {
    status: u16,
    body: String,
    etag: Option<String>,
    location: Option<String>,
}

impl Answer {
    /// Creates an answer with `value` as JSON.
    pub(crate) fn json(status: StatusCode, value: &impl Serialize) -> Self {
        let body = serde_json::to_string(value).unwrap_or_default();
        Self { status: status.as_u16(), body, etag: None, location: None }
    }

    /// Creates an answer without a body.
    pub(crate) fn empty(status: StatusCode) -> Self {
        Self { status: status.as_u16(), body: String::new(), etag: None, location: None }
    }

    /// Adds the version of the record in the body.
    pub(crate) fn with_version(self, version: &str) -> Self {
        Self { etag: Some(etag(version)), ..self }
    }

    /// Adds the URL of the record that was created.
    pub(crate) fn at(self, location: String) -> Self {
        Self { location: Some(location), ..self }
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let has_body = !self.body.is_empty();
        let mut response = (status, self.body).into_response();
        let headers = response.headers_mut();
        headers.remove(CONTENT_TYPE);
        if has_body {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        // An answer is for its caller alone, and some have a secret.
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        let mut set = |name: HeaderName, value: Option<String>| {
            if let Some(value) = value.and_then(|value| HeaderValue::from_str(&value).ok()) {
                headers.insert(name, value);
            }
        };
        set(ETAG, self.etag);
        set(LOCATION, self.location);
        response
    }
}

/// The result of an endpoint.
pub(crate) type Outcome = Result<Response, Problem>;
