//! `POST /oauth/introspect` (RFC 7662).

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use portcullis::model::SecretDigest;
use serde::Serialize;

use super::client::{authenticate, peer};
use super::error::{OauthError, json};
use super::form::Form;
use crate::service::Workspace;

/// A token that is not valid, or of another client.
#[derive(Serialize)]
struct Inactive {
    active: bool,
}

#[derive(Serialize)]
struct Found<'t> {
    active: bool,
    scope: String,
    client_id: &'t str,
    username: &'t str,
    sub: &'t str,
    token_type: &'static str,
    iss: &'t str,
    jti: &'t str,
    iat: i64,
    exp: i64,
}

pub(super) async fn answer(State(workspace): State<Arc<Workspace>>, request: Request) -> Response {
    introspect(&workspace, request).await.unwrap_or_else(IntoResponse::into_response)
}

async fn introspect(workspace: &Arc<Workspace>, request: Request) -> Result<Response, OauthError> {
    let peer = peer(&request);
    let (parts, body) = request.into_parts();
    let form = Form::read(&parts.headers, body).await?;
    let client = authenticate(workspace, &parts.headers, peer, &form).await?;
    let Some(token) = form.get("token") else {
        return Err(OauthError::new("invalid_request", "`token` is missing", "send the access token in `token`"));
    };
    let digest = SecretDigest::of(token);
    let access = workspace.look(move |registry| registry.access(&digest, Workspace::now())).await?;
    // A client learns nothing about the tokens of other users.
    let Some(access) = access.filter(|access| access.client == client.id || access.user == client.owner) else {
        return Ok(json(StatusCode::OK, &Inactive { active: false }));
    };
    Ok(json(
        StatusCode::OK,
        &Found {
            active: true,
            scope: access.scopes.join(" "),
            client_id: &access.client,
            username: &access.user,
            sub: &access.user,
            token_type: "Bearer",
            iss: &workspace.issuer(),
            jti: &access.id,
            iat: access.issued.seconds(),
            exp: access.expires.seconds(),
        },
    ))
}
