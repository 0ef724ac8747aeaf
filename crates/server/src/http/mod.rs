//! The decision endpoints: one for each gateway convention, the native one, and AuthZEN.

mod authzen;
mod authzen_metadata;
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
use super::public_url::PublicUrl;
use batch::Batches;
pub(super) use id::{REQUEST_ID, ids_by, is_request_id, repeated};
pub(super) use native::explain;
use portcullis_http::answer::{Responses, failure, json, read};
pub(super) use sites::{Hosts, Sites, check, check_host};

/// The state that all endpoints share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) authority: Arc<Authority>,
    pub(super) answers: Responses,
    /// The maximum size of a body, in bytes.
    pub(super) body_bytes: usize,
    /// The maximum number of elements of a list, and of sources of a request.
    pub(super) max_batch: usize,
    batches: Batches,
    /// Lets one request be explained at a time.
    explaining: Arc<Semaphore>,
    /// The URL at which clients reach the server, if configured.
    pub(super) public_url: Option<PublicUrl>,
}

impl Shared {
    /// Creates the state. Lists may use at most half of `threads`.
    pub(super) fn new(
        authority: Arc<Authority>,
        answers: Responses,
        limits: &Limits,
        public_url: Option<PublicUrl>,
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

/// Returns all decision endpoints over HTTP.
pub(super) fn router(shared: Arc<Shared>, sites: Arc<Sites>) -> Router {
    Router::new()
        .route("/v1/decide", post(native::decide))
        .route("/access/v1/evaluation", post(authzen::evaluation))
        .route("/access/v1/evaluations", post(authzen::evaluations))
        .route("/.well-known/authzen-configuration", get(authzen_metadata::configuration))
        .route("/.well-known/authzen-configuration/{*path}", get(authzen_metadata::configuration_of_path))
        .route_layer(from_fn_with_state(sites, check))
        // The routes below are for gateways, which pass on the client's own `Host` and `Origin`.
        .route("/authz/nginx", any(conventions::nginx))
        .route("/authz/ingress-nginx", any(conventions::ingress_nginx))
        .route("/authz/script", any(conventions::script))
        .route("/authz/forwarded", any(conventions::forwarded))
        .fallback(other)
        .method_not_allowed_fallback(wrong_method)
        .with_state(shared)
}

/// Answers Envoy, which appends the original path to its prefix. Every other path is unknown.
async fn other(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    match conventions::envoy_target(request.uri()) {
        Some(_) => conventions::envoy(shared, request).await,
        None => not_found(),
    }
}

pub(super) fn not_found() -> Response {
    failure(StatusCode::NOT_FOUND, "not_found", "no endpoint has this path")
}

pub(super) async fn wrong_method() -> Response {
    failure(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "this path does not support the method")
}

/// Why a program's request is not decided.
#[derive(Debug)]
enum Refused {
    /// The request is invalid.
    Invalid(String),
    /// The request is too large.
    TooLarge(String),
}

/// Returns the headers and the body of a program's request, or the error response if it does not arrive.
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
