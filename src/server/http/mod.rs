//! The endpoints for decisions: one for each convention of gateways, the native one, AuthZEN.

mod authzen;
mod conventions;
mod forwarded;
mod id;
mod native;
mod object;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{any, get, post};

use super::authority::Authority;
use crate::answer::{Answers, failure};
pub(super) use id::told_by;
pub(super) use native::explain;

/// What every endpoint needs.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) authority: Arc<Authority>,
    pub(super) answers: Answers,
    /// The most bytes of a body.
    pub(super) body_bytes: usize,
    /// The URL that clients reach the server by, where it is told.
    pub(super) public_url: Option<String>,
}

/// All endpoints for decisions over HTTP.
pub(super) fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/authz/nginx", any(conventions::nginx))
        .route("/authz/script", any(conventions::script))
        .route("/authz/forwarded", any(conventions::forwarded))
        .route("/v1/decide", post(native::decide))
        .route("/access/v1/evaluation", post(authzen::evaluation))
        .route("/access/v1/evaluations", post(authzen::evaluations))
        .route("/.well-known/authzen-configuration", get(authzen::configuration))
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
