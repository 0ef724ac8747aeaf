//! `POST /v1/decide` and `/v1/explain`: the JSON of `portcullis check`.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::Serialize;
use serde_json::value::RawValue;

use super::Shared;
use super::id::told;
use crate::answer::{Outcome, Verdict, failure, json, read};
use crate::authorizer::{Clock, SystemClock};
use crate::explain::explain as told_why;
use crate::server::authority::Authority;
use crate::server::decided::Ids;
use crate::wire::WireRequest;

/// One answer, as `portcullis check` writes it.
#[derive(Serialize)]
struct Answer<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a RawValue>,
    decision: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    grants: Option<&'a [u32]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
}

impl<'a> Answer<'a> {
    fn new(id: Option<&'a RawValue>, verdict: &'a Verdict) -> Self {
        let none = Self { id, decision: "deny", token: None, grants: None, reason: None, status: None };
        match &verdict.outcome {
            Outcome::Deny { reason, .. } => Self { reason: Some(reason.code()), status: Some(reason.status()), ..none },
            Outcome::Allow { grants } => {
                Self { decision: "allow", token: verdict.token_id.as_deref(), grants: Some(grants), ..none }
            }
            Outcome::Pass => Self { decision: "allow", ..none },
            // Neither is asked for here: only HTTP requests pass or are preflights.
            Outcome::Preflight => none,
        }
    }
}

/// What stands in the place of an answer to what is no request.
#[derive(Serialize)]
struct Wrong {
    error: String,
}

pub(super) async fn decide(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    with_body(&shared, request, |headers, body| answer(&shared.authority, told(headers), body)).await
}

/// Why a request is decided as it is. For administrators: it tells of the policy.
pub(in crate::server) async fn explain(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    with_body(&shared, request, |_, body| explanation(&shared.authority, body)).await
}

async fn with_body(
    shared: &Shared,
    request: Request,
    answer: impl FnOnce(&HeaderMap, &[u8]) -> Result<String, String>,
) -> Response {
    let (parts, body) = request.into_parts();
    let body = match read(body, shared.body_bytes).await {
        Ok(body) => body.to_bytes(),
        Err(answer) => return answer,
    };
    match answer(&parts.headers, &body) {
        Ok(text) => json(StatusCode::OK, text),
        Err(error) => failure(StatusCode::BAD_REQUEST, "invalid_request", &error),
    }
}

fn answer(authority: &Authority, ids: Ids<'_>, body: &[u8]) -> Result<String, String> {
    if body.trim_ascii_start().first() != Some(&b'[') {
        return one(authority, ids, body);
    }
    let requests: Vec<&RawValue> = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let mut answers = String::with_capacity(64 * requests.len() + 2);
    for request in requests {
        answers.push(if answers.is_empty() { '[' } else { ',' });
        let answer = one(authority, ids, request.get().as_bytes());
        answers.push_str(&answer.unwrap_or_else(|error| written(&Wrong { error })));
    }
    answers.push_str(if answers.is_empty() { "[]" } else { "]" });
    Ok(answers)
}

fn one(authority: &Authority, ids: Ids<'_>, text: &[u8]) -> Result<String, String> {
    let request = WireRequest::read(text).map_err(|error| error.to_string())?;
    let own = request.id().map(RawValue::get);
    let own = own.map(|id| id.trim_matches('"'));
    let ids = Ids { request: ids.request.or(own), ..ids };
    let verdict = authority.decide(&request.with(&request.sources()), ids, request.now());
    Ok(written(&Answer::new(request.id(), &verdict)))
}

fn explanation(authority: &Authority, body: &[u8]) -> Result<String, String> {
    let request = WireRequest::read(body).map_err(|error| error.to_string())?;
    let current = authority.operations().authorizer().current();
    let now = request.now().unwrap_or_else(|| SystemClock.now());
    match current.snapshot() {
        Some(snapshot) => Ok(written(&told_why(snapshot, &request.with(&request.sources()), now))),
        None => Err("there is no policy to explain by".to_owned()),
    }
}

fn written(answer: &impl Serialize) -> String {
    // Writing to memory does not fail, and all keys are texts.
    serde_json::to_string(answer).unwrap_or_default()
}
