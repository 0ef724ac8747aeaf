//! The workspace: manages credentials over HTTP, and issues OAuth access tokens.
//!
//! [`Workspace`] is the service: every call has an [`Identity`], whose rights the registry applies. [`router`] has all of
//! its endpoints. The command runs them on a listener of
//! their own ([`portcullis_server::site`]), never on that of the sidecar's decisions.
#![forbid(unsafe_code)]

mod address;
mod admission;
mod answer;
mod api;
mod authenticate;
mod catalog;
mod conditional;
mod console;
mod cookies;
mod cursor;
mod endpoint;
mod guard;
mod identity;
mod json;
mod log_limit;
mod oauth;
mod once;
mod openapi;
mod pool;
mod previews;
mod problem;
mod rates;
mod seal;
mod service;
mod session;
mod sign_in;
mod signing;

use std::sync::Arc;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::IntoResponse;
use axum::routing::get;
use http::StatusCode;

pub use catalog::{Catalog, CatalogName};
pub use identity::{Identity, Via};
pub use portcullis_oidc::{AuthorityError, Issuer, Options as ProviderOptions};
pub use problem::{Detail, Problem};
pub use service::{OpenError, Options, Workspace};
pub use sign_in::{Rules, SignInOptions};

/// Returns every endpoint of the workspace.
pub fn router(workspace: &Arc<Workspace>) -> Router {
    let document = openapi(workspace.url());
    let mut router = Router::new()
        .route(
            "/openapi.json",
            get(move || {
                let answer = answer::Answer::json(StatusCode::OK, &document);
                async move { answer }
            }),
        )
        .route("/healthz", get(|| async { "ok\n" }))
        .merge(console::router(Arc::clone(workspace)))
        .merge(oauth::router(Arc::clone(workspace)));
    for endpoints in api::endpoints() {
        let cors = from_fn_with_state(Arc::clone(workspace), oauth::cors);
        router = router.merge(endpoint::router(workspace, endpoints).layer(cors));
    }
    router.fallback(not_found).layer(from_fn(guard::guard))
}

/// Returns the `OpenAPI` document of a workspace at `url`.
pub fn openapi(url: &str) -> serde_json::Value {
    openapi::document(url, &api::endpoints())
}

async fn not_found() -> axum::response::Response {
    let help = "`/openapi.json` lists the paths";
    Problem::new(StatusCode::NOT_FOUND, "not_found", "no endpoint has this path", help).into_response()
}
