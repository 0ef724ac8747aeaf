//! The endpoints for decisions: one for each convention of gateways, the native one, AuthZEN.

mod authzen;
mod batch;
mod conventions;
mod forwarded;
mod id;
mod native;
mod object;
mod sites;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::from_fn_with_state;
use axum::response::Response;
use axum::routing::{any, get, post};
use bytes::Bytes;
use tokio::sync::Semaphore;

use super::Limits;
use super::authority::Authority;
use batch::Batches;
pub(super) use id::told_by;
pub(super) use native::explain;
use portcullis_http::answer::{Responses, failure, json, read};
pub(super) use sites::{Sites, check};

/// What every endpoint needs.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) authority: Arc<Authority>,
    pub(super) answers: Responses,
    /// Bytes of a body, at most.
    pub(super) body_bytes: usize,
    /// Elements of a list and sources of a request, at most.
    pub(super) max_batch: usize,
    batches: Batches,
    /// One request is explained at a time.
    explaining: Arc<Semaphore>,
    /// The URL that clients reach the server by, where it is told.
    pub(super) public_url: Option<String>,
}

impl Shared {
    /// Lists are worked on by at most half of `threads`.
    pub(super) fn new(
        authority: Arc<Authority>,
        answers: Responses,
        limits: &Limits,
        public_url: Option<String>,
        threads: usize,
    ) -> Self {
        Self {
            authority,
            answers,
            body_bytes: limits.body_bytes,
            max_batch: limits.batch,
            batches: Batches::new(threads),
            explaining: Arc::new(Semaphore::new(1)),
            public_url,
        }
    }
}

/// All endpoints for decisions over HTTP.
pub(super) fn router(shared: Arc<Shared>, sites: Arc<Sites>) -> Router {
    Router::new()
        .route("/v1/decide", post(native::decide))
        .route("/access/v1/evaluation", post(authzen::evaluation))
        .route("/access/v1/evaluations", post(authzen::evaluations))
        .route("/.well-known/authzen-configuration", get(authzen::configuration))
        .route_layer(from_fn_with_state(sites, check))
        // What follows is for gateways: `Host` and `Origin` are the client's own.
        .route("/authz/nginx", any(conventions::nginx))
        .route("/authz/script", any(conventions::script))
        .route("/authz/forwarded", any(conventions::forwarded))
        .fallback(other)
        .method_not_allowed_fallback(wrong_method)
        .with_state(shared)
}

/// Envoy asks for its prefix and the original path, whatever that is; all else is nothing.
async fn other(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    match conventions::behind_envoy(request.uri()) {
        Some(_) => conventions::envoy(shared, request).await,
        None => failure(StatusCode::NOT_FOUND, "not_found", "there is nothing at this path"),
    }
}

pub(super) async fn wrong_method() -> Response {
    failure(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "this path is asked for with another method")
}

/// Why a program's request is not decided.
#[derive(Debug)]
enum Refused {
    /// It is not a request.
    Invalid(String),
    /// It is too large.
    TooLarge(String),
}

/// The headers and the body of a program's request, or the response to one that does not arrive.
async fn received(shared: &Shared, request: Request) -> Result<(HeaderMap, Bytes), Response> {
    let (parts, body) = request.into_parts();
    let body = read(body, shared.body_bytes).await?;
    Ok((parts.headers, body.to_bytes()))
}

fn decided(answer: Result<String, Refused>) -> Response {
    match answer {
        Ok(text) => json(StatusCode::OK, text),
        Err(Refused::Invalid(error)) => failure(StatusCode::BAD_REQUEST, "invalid_request", &error),
        Err(Refused::TooLarge(error)) => failure(StatusCode::PAYLOAD_TOO_LARGE, "batch_too_large", &error),
    }
}
