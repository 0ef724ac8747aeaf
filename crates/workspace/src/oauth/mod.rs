//! OAuth 2.1 for machines: `/oauth/…`.

mod client;
mod error;
mod form;
mod introspect;
mod metadata;
mod revoke;
mod token;

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};

use crate::service::Workspace;

/// Returns the endpoints of OAuth.
pub(crate) fn router(workspace: Arc<Workspace>) -> Router {
    Router::new()
        .route("/oauth/token", post(token::answer))
        .route("/oauth/revoke", post(revoke::answer))
        .route("/oauth/introspect", post(introspect::answer))
        .route("/.well-known/oauth-authorization-server", get(metadata::answer))
        .with_state(workspace)
}
