//! `GET /.well-known/oauth-authorization-server` (RFC 8414).

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use portcullis_registry::SCOPES;
use serde_json::json;

use crate::service::Workspace;

pub(super) async fn answer(State(workspace): State<Arc<Workspace>>) -> Response {
    let url = workspace.url();
    let methods = ["client_secret_basic", "client_secret_post"];
    super::error::json(
        StatusCode::OK,
        &json!({
            "issuer": url,
            "token_endpoint": format!("{url}/oauth/token"),
            "revocation_endpoint": format!("{url}/oauth/revoke"),
            "introspection_endpoint": format!("{url}/oauth/introspect"),
            "scopes_supported": SCOPES,
            "response_types_supported": [],
            "grant_types_supported": ["client_credentials"],
            "token_endpoint_auth_methods_supported": methods,
            "revocation_endpoint_auth_methods_supported": methods,
            "introspection_endpoint_auth_methods_supported": methods,
            "service_documentation": format!("{url}/openapi.json"),
        }),
    )
}
