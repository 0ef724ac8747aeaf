//! OAuth 2.1 and OpenID Connect: machines and single-page applications.

mod authorize;
mod client;
mod cors;
mod error;
mod exchange;
mod form;
mod id_token;
mod introspect;
mod issued;
mod keys;
mod logout;
mod metadata;
mod redirect;
mod reply;
mod request;
mod revoke;
mod token;
mod userinfo;

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};

use crate::service::Workspace;

pub(crate) use cors::cors;
pub(crate) use request::asks_for_sign_in;

/// Returns the endpoints of OAuth.
pub(crate) fn router(workspace: Arc<Workspace>) -> Router {
    let of_scripts = Router::new()
        .route("/oauth/token", post(token::answer))
        .route("/oauth/revoke", post(revoke::answer))
        .route("/oauth/userinfo", get(userinfo::answer).post(userinfo::answer))
        .route("/.well-known/oauth-authorization-server", get(metadata::answer))
        .route("/.well-known/openid-configuration", get(metadata::answer))
        .route("/.well-known/jwks.json", get(metadata::keys))
        .layer(from_fn_with_state(Arc::clone(&workspace), cors));
    Router::new()
        .route("/oauth/authorize", get(authorize::get).post(authorize::post))
        .route("/oauth/consent", post(authorize::decide))
        .route("/oauth/logout", get(logout::get).post(logout::post))
        .route("/oauth/introspect", post(introspect::answer))
        // The paths that Auth0's libraries use.
        .route("/authorize", get(authorize::get))
        .route("/v2/logout", get(logout::get))
        .merge(of_scripts)
        .with_state(workspace)
}
