//! Errors as `application/problem+json` (RFC 9457), which also carry the fields of the platform: `error` and `status`.

use std::fmt::Write as _;

use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, StatusCode};
use portcullis_document::load::Diagnostic;
use portcullis_registry::{Advice, RegistryError};
use serde::Serialize;

/// The content type of a problem.
pub(crate) const PROBLEM_JSON: &str = "application/problem+json";

/// One problem of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Detail {
    /// The JSON Pointer of the wrong value in the body; empty for the whole request.
    pub pointer: String,
    /// The stable code.
    pub reason: String,
    /// The problem: lower case, without a full stop.
    pub message: String,
    /// A fix.
    pub help: String,
}

impl Detail {
    pub(crate) fn new(
        pointer: impl Into<String>,
        reason: impl Into<String>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> Self {
        Self { pointer: pointer.into(), reason: reason.into(), message: message.into(), help: help.into() }
    }
}

/// Why a request is refused. No text contains a secret.
#[derive(Debug, Clone)]
pub struct Problem {
    status: StatusCode,
    details: Vec<Detail>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl From<Detail> for Problem {
    fn from(detail: Detail) -> Self {
        Self { status: StatusCode::BAD_REQUEST, details: vec![detail], headers: Vec::new() }
    }
}

impl Problem {
    /// Creates a problem of the whole request.
    pub fn new(status: StatusCode, reason: &str, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { status, details: vec![Detail::new("", reason, message, help)], headers: Vec::new() }
    }

    /// Creates a problem of a request that no state of the registry would make valid.
    pub(crate) fn invalid(reason: &str, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, reason, message, help)
    }

    /// Creates the problem of a request without valid credentials.
    pub(crate) fn unauthorized(reason: &str, message: impl Into<String>, help: impl Into<String>) -> Self {
        let challenge = format!("Bearer realm=\"portcullis\", error=\"{reason}\"");
        Self::new(StatusCode::UNAUTHORIZED, reason, message, help).with(WWW_AUTHENTICATE, &challenge)
    }

    /// Creates the problem of a caller that sends too many requests. It may try again after `seconds`.
    pub(crate) fn too_many(seconds: u64) -> Self {
        let help = format!("wait {seconds} s before the next request");
        Self::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", "too many requests", help)
            .with(RETRY_AFTER, &seconds.to_string())
    }

    /// Creates the problem of a user who writes too much. The user may write again after `seconds`.
    pub(crate) fn too_many_bytes(seconds: u64) -> Self {
        let help = format!("wait {seconds} s before the next change");
        let message = "the changes of the user have too many bytes";
        Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many_bytes", message, help)
            .with(RETRY_AFTER, &seconds.to_string())
    }

    pub(crate) fn of_details(details: Vec<Detail>) -> Option<Self> {
        (!details.is_empty()).then(|| Self { status: StatusCode::BAD_REQUEST, details, headers: Vec::new() })
    }

    /// Adds a header to the answer.
    pub(crate) fn with(mut self, name: HeaderName, value: &str) -> Self {
        self.headers.extend(HeaderValue::from_str(value).ok().map(|value| (name, value)));
        self
    }

    /// Makes the answer 403.
    pub(crate) fn forbidden(self) -> Self {
        Self { status: StatusCode::FORBIDDEN, ..self }
    }

    /// Makes the answer 404.
    pub(crate) fn not_found(mut self) -> Self {
        self.status = StatusCode::NOT_FOUND;
        if let Some(first) = self.details.first_mut() {
            first.pointer.clear();
            "not_found".clone_into(&mut first.reason);
        }
        self
    }

    /// Adds the problems of `other`.
    pub(crate) fn and(mut self, other: Self) -> Self {
        self.details.extend(other.details);
        self
    }

    /// Returns the status of the answer.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// Returns every problem.
    pub fn details(&self) -> &[Detail] {
        &self.details
    }

    /// Returns the headers of the answer.
    pub(crate) fn headers(&self) -> &[(HeaderName, HeaderValue)] {
        &self.headers
    }

    /// Returns the stable code of the first problem.
    pub fn reason(&self) -> &str {
        self.details.first().map_or("", |detail| &detail.reason)
    }
}

/// The body of a problem.
#[derive(Serialize)]
struct Body<'p> {
    r#type: &'static str,
    title: &'static str,
    status: u16,
    detail: &'p str,
    error: &'p str,
    reason: &'p str,
    help: &'p str,
    errors: &'p [Detail],
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let first = self.details.first().cloned().unwrap_or_else(|| Detail::new("", "internal_error", "", ""));
        let mut error = first.message.clone();
        if self.details.len() > 1 {
            let _ = write!(error, " (and {} more)", self.details.len() - 1);
        }
        let body = Body {
            r#type: "about:blank",
            title: self.status.canonical_reason().unwrap_or("Error"),
            status: self.status.as_u16(),
            detail: &error,
            error: &error,
            reason: &first.reason,
            help: &first.help,
            errors: &self.details,
        };
        let text = serde_json::to_string(&body).unwrap_or_default();
        let mut response = (self.status, text).into_response();
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        for (name, value) in self.headers {
            response.headers_mut().insert(name, value);
        }
        response
    }
}

impl From<RegistryError> for Problem {
    fn from(error: RegistryError) -> Self {
        match &error {
            RegistryError::Definition(diagnostics) => {
                let details = diagnostics.iter().map(of_diagnostic).collect();
                Self { status: StatusCode::BAD_REQUEST, details, headers: Vec::new() }
            }
            RegistryError::Invalid(advice) => Self::of_advice(StatusCode::BAD_REQUEST, error.reason(), advice),
            RegistryError::Refused(advice) if error.reason() == "credential_ended" => {
                Self::unauthorized(error.reason(), &*advice.message, &*advice.help)
            }
            RegistryError::Refused(advice) => Self::of_advice(refusal(error.reason()), error.reason(), advice),
            RegistryError::Storage(advice) => {
                tracing::error!("the registry failed: {advice}");
                let help = "try again; the log of the workspace has the cause";
                Self::new(StatusCode::SERVICE_UNAVAILABLE, error.reason(), "the registry cannot be used now", help)
                    .with(RETRY_AFTER, "1")
            }
            RegistryError::Several(_) => {
                let RegistryError::Several(errors) = error else { return Self::internal() };
                let mut problems: Vec<Self> = errors.into_iter().map(Self::from).collect();
                // What is wrong whatever the registry holds comes first.
                problems.sort_by_key(|problem| problem.status != StatusCode::BAD_REQUEST);
                problems.into_iter().reduce(Self::and).unwrap_or_else(Self::internal)
            }
            _ => Self::internal(),
        }
    }
}

impl Problem {
    /// Creates the problem of a request that failed for a reason of ours.
    pub(crate) fn internal() -> Self {
        let help = "try again; the log of the workspace has the cause";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal_error", "the request failed", help)
    }

    fn of_advice(status: StatusCode, reason: &str, advice: &Advice) -> Self {
        let (pointer, help) = in_bodies(reason);
        let detail = Detail::new(pointer, reason, &*advice.message, help.unwrap_or(&advice.help));
        Self { status, details: vec![detail], headers: Vec::new() }
    }
}

/// Returns the status of a refusal.
fn refusal(reason: &str) -> StatusCode {
    match reason {
        "not_found" => StatusCode::NOT_FOUND,
        "version_changed" => StatusCode::PRECONDITION_FAILED,
        "read_only"
        | "scope_not_held"
        | "user_disabled"
        | "not_invited"
        | "user_of_another_account"
        | "rights_changed" => StatusCode::FORBIDDEN,
        "idempotency_key_reused" => StatusCode::UNPROCESSABLE_ENTITY,
        "unknown_connection" | "unknown_named_source" | "no_such_grant" | "referers_removed" => StatusCode::BAD_REQUEST,
        _ => StatusCode::CONFLICT,
    }
}

/// Returns the JSON Pointer of the field with a problem, and the help for callers of the API where the registry's help
/// names an option of the command line.
fn in_bodies(reason: &str) -> (&'static str, Option<&'static str>) {
    match reason {
        "invalid_name" | "name_taken" | "user_looks_alike" => ("/name", None),
        "invalid_title" => ("/title", None),
        "invalid_email" | "email_taken" => ("/email", None),
        "unknown_dialect" => ("/dialect", None),
        "not_case_sensitive" => ("/case_sensitive", Some("leave `case_sensitive` out: only dialect `redshift` has it")),
        "connection_in_use" => ("", Some("remove these grants and named sources first")),
        "invalid_query" | "query_too_long" => ("/query", None),
        "invalid_expiry" | "expiry_is_fixed" => ("/expiration_date", None),
        "invalid_span" => ("/overlap", None),
        "invalid_scope" => ("/scopes", None),
        "token_expired" => ("/expiration_date", Some("set `expiration_date` for the new secret, such as `30d`")),
        "unknown_connection" => ("/grants", Some("`GET /v3/connections` lists the connections")),
        "unknown_named_source" => ("/grants", Some("`GET /v3/named-sources` lists the named sources")),
        "no_such_grant" => ("/remove_grants", None),
        "too_many_grants" => ("/add_grants", None),
        "referers_removed" => ("/referers", Some("keep a referer, or send `\"any_referer\": true`")),
        "token_in_use" => ("", Some("it may still be in use: `?force=true` deletes it anyway")),
        _ => ("", None),
    }
}

/// Returns a diagnostic of a token, whose JSON path starts with `tokens[0]`.
fn of_diagnostic(diagnostic: &Diagnostic) -> Detail {
    let help = match diagnostic.code {
        "grants_empty" => "add a grant to `grants`; only the API `lds` needs none",
        "apis_empty" => "list one or more APIs in `allowed_apis`, such as `maps` or `sql`",
        _ => &diagnostic.help,
    };
    Detail::new(pointer(&diagnostic.path), diagnostic.code, &*diagnostic.message, help)
}

/// Returns the JSON Pointer in a token of a JSON path such as `tokens[0].grants[1].source`.
pub(crate) fn pointer(path: &str) -> String {
    let path = path.strip_prefix("tokens[0]").unwrap_or(path);
    path.replace('[', ".").replace(']', "").split('.').filter(|step| !step.is_empty()).fold(
        String::new(),
        |mut pointer, step| {
            let _ = write!(pointer, "/{step}");
            pointer
        },
    )
}

#[cfg(test)]
mod tests {
    use super::pointer;

    #[test]
    fn paths_of_a_document_become_pointers_of_a_body() {
        for (path, want) in [
            ("", ""),
            ("tokens[0]", ""),
            ("tokens[0].grants[12].source", "/grants/12/source"),
            ("tokens[0].allowed_apis[0]", "/allowed_apis/0"),
        ] {
            assert_eq!(pointer(path), want, "{path}");
        }
    }
}
