//! `/.well-known/…`: the endpoints (RFC 8414, OpenID Connect Discovery), and the keys of ID tokens.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::CACHE_CONTROL;
use http::{HeaderValue, StatusCode};
use portcullis_registry::{SCOPES, USER_SCOPES};
use serde_json::json;

use super::error::json;
use super::keys::{current, published};
use crate::service::Workspace;

/// Answers both `oauth-authorization-server` and `openid-configuration`: the documents have the same fields.
pub(super) async fn answer(State(workspace): State<Arc<Workspace>>) -> Response {
    let url = workspace.url();
    let with_secret = ["client_secret_basic", "client_secret_post"];
    let with_and_without = ["client_secret_basic", "client_secret_post", "none"];
    let scopes: Vec<&str> = USER_SCOPES.into_iter().chain(SCOPES).collect();
    json(
        StatusCode::OK,
        &json!({
            "issuer": workspace.issuer(),
            "authorization_endpoint": format!("{url}/oauth/authorize"),
            "token_endpoint": format!("{url}/oauth/token"),
            "revocation_endpoint": format!("{url}/oauth/revoke"),
            "introspection_endpoint": format!("{url}/oauth/introspect"),
            "userinfo_endpoint": format!("{url}/oauth/userinfo"),
            "end_session_endpoint": format!("{url}/oauth/logout"),
            "jwks_uri": format!("{url}/.well-known/jwks.json"),
            "scopes_supported": scopes,
            "response_types_supported": ["code"],
            "response_modes_supported": ["query", "web_message"],
            "grant_types_supported": ["authorization_code", "refresh_token", "client_credentials"],
            "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": true,
            "token_endpoint_auth_methods_supported": with_and_without,
            "revocation_endpoint_auth_methods_supported": with_and_without,
            "introspection_endpoint_auth_methods_supported": with_secret,
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "claims_supported":
                ["iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "name", "preferred_username", "email"],
            "prompt_values_supported": ["none", "login", "consent", "select_account"],
            "request_parameter_supported": false,
            "request_uri_parameter_supported": false,
            "claims_parameter_supported": false,
            "service_documentation": format!("{url}/openapi.json"),
        }),
    )
}

/// Answers with the public keys. Clients that find a new `kid` read them again.
pub(super) async fn keys(State(workspace): State<Arc<Workspace>>) -> Response {
    let found = async {
        // Before the first sign-in there may be none.
        current(&workspace).await?;
        published(&workspace).await
    };
    match found.await {
        Ok(keys) => {
            let mut response = json(StatusCode::OK, &json!({ "keys": keys }));
            response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=60"));
            response.headers_mut().remove(http::header::PRAGMA);
            response
        }
        Err(problem) => problem.into_response(),
    }
}
