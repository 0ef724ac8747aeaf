//! `POST /v1/decide` and `/v1/explain`: the JSON of `portcullis check`. Only `/v1/explain`, for operators, accepts the id of a
//! token in place of its secret.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use serde::Serialize;
use serde_json::value::RawValue;

use super::batch::elements;
use super::id::{ids_of, is_request_id};
use super::object::Place;
use super::{Refused, Shared, decided, received};
use crate::decided::Ids;
use portcullis::authorizer::{Clock, SystemClock};
use portcullis::decision::Replay;
use portcullis_http::wire::{ReplayRequest, WireDecision, WireRequest};

/// The element for input that is not a valid request.
#[derive(Serialize)]
struct InvalidRequest {
    error: String,
}

pub(super) async fn decide(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (headers, body) = match received(&shared, request).await {
        Ok(received) => received,
        Err(response) => return response,
    };
    decided(answer(&shared, ids_of(&headers), &body).await)
}

/// Explains the decision of a request. For operators: explanations expose policy details.
pub(crate) async fn explain(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let body = match received(&shared, request).await {
        Ok((_, body)) => body,
        Err(response) => return response,
    };
    // An explanation may take long: only one runs at a time, on a thread that does not serve health checks.
    let turn = Arc::clone(&shared.explaining).acquire_owned().await;
    let explained = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        explanation(&shared, &body)
    });
    decided(explained.await.unwrap_or_else(|_| Err(Refused::Invalid("the explanation failed".to_owned()))))
}

async fn answer(shared: &Shared, ids: Ids<'_>, body: &[u8]) -> Result<String, Refused> {
    if body.trim_ascii_start().first() != Some(&b'[') {
        shared.authority.operations().room().await;
        return one(shared, ids, body).map_err(Refused::Invalid);
    }
    let requests = elements(Place::Body, body, shared.max_batch)?;
    let mut answers = String::with_capacity(64 * requests.len() + 2);
    let mut turn = shared.batches.turn().await;
    for request in requests {
        turn.pause().await;
        shared.authority.operations().room().await;
        answers.push(if answers.is_empty() { '[' } else { ',' });
        let answer = one(shared, ids, request.get().as_bytes());
        answers.push_str(&answer.unwrap_or_else(|error| to_json(&InvalidRequest { error })));
    }
    answers.push_str(if answers.is_empty() { "[]" } else { "]" });
    Ok(answers)
}

fn one(shared: &Shared, ids: Ids<'_>, text: &[u8]) -> Result<String, String> {
    let request = WireRequest::read(text).map_err(|error| error.to_string())?;
    let sources = request.sources();
    limited(shared, sources.len())?;
    let own = request.id().map(RawValue::get);
    let own = own.map(|id| id.trim_matches('"')).filter(|id| is_request_id(id));
    let ids = Ids { request: ids.request.or(own), ..ids };
    let verdict = shared.authority.decide(&request.with(&sources), ids, request.now());
    Ok(to_json(&WireDecision::of_http(request.id(), &verdict)))
}

fn explanation(shared: &Shared, body: &[u8]) -> Result<String, Refused> {
    let request = ReplayRequest::read(body).map_err(|error| Refused::Invalid(error.to_string()))?;
    let current = shared.authority.operations().authorizer().current();
    let Some(snapshot) = current.snapshot() else {
        return Err(Refused::Invalid("there is no policy to explain by".to_owned()));
    };
    let replay = Replay::new(snapshot);
    limited(shared, request.source_count()).map_err(Refused::Invalid)?;
    request.explain(&replay, SystemClock.now()).map(|explained| to_json(&explained)).map_err(Refused::Invalid)
}

fn limited(shared: &Shared, sources: usize) -> Result<(), String> {
    let limit = shared.max_batch;
    if sources > limit {
        return Err(format!("`sources`: expected at most {limit}, found {sources}"));
    }
    Ok(())
}

fn to_json(answer: &impl Serialize) -> String {
    // Writing to memory does not fail, and all keys are texts.
    serde_json::to_string(answer).unwrap_or_default()
}
