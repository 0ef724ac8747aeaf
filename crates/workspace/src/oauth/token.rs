//! `POST /oauth/token`. Machines exchange their secret here; [`exchange`](super::exchange) has the grants of users.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode};
use portcullis_registry::record::Client;
use portcullis_registry::{Actor, NewAccess, default_scopes};
use portcullis_server::site::Peer;

use super::client::{authenticate, peer};
use super::error::{OauthError, json};
use super::exchange;
use super::form::Form;
use super::issued::{Body, not_issued};
use crate::service::Workspace;

pub(super) async fn answer(State(workspace): State<Arc<Workspace>>, request: Request) -> Response {
    let issued = issue(&workspace, request).await;
    issued.unwrap_or_else(IntoResponse::into_response)
}

async fn issue(workspace: &Arc<Workspace>, request: Request) -> Result<Response, OauthError> {
    const HELP: &str = "send `client_credentials` with a secret, or `authorization_code` or `refresh_token`";
    let peer = peer(&request);
    let (parts, body) = request.into_parts();
    let form = Form::read(&parts.headers, body).await?;
    match form.get("grant_type") {
        Some("client_credentials") => machine(workspace, &parts.headers, peer, &form).await,
        Some("authorization_code") => exchange::code(workspace, &parts.headers, peer, &form).await,
        Some("refresh_token") => exchange::refresh(workspace, &parts.headers, peer, &form).await,
        Some(_) => Err(OauthError::new("unsupported_grant_type", "the grant type is not supported", HELP)),
        None => Err(OauthError::new("invalid_request", "`grant_type` is missing", HELP)),
    }
}

async fn machine(
    workspace: &Arc<Workspace>,
    headers: &HeaderMap,
    peer: Option<Peer>,
    form: &Form,
) -> Result<Response, OauthError> {
    let client = authenticate(workspace, headers, peer, form).await?;
    let scopes = scopes(&client, form.get("scope"))?;
    let lifetime = workspace.access_lifetime();
    let granted = scopes.join(" ");
    let issued = workspace.write(move |registry| {
        let actor = Actor::new(&*client.owner, Workspace::now())?.by(format!("client {}", client.id));
        registry.issue_access(
            &actor,
            &NewAccess { client: &client, user: &client.owner, scopes: &scopes, referers: &[], family: None, lifetime },
        )
    });
    let issued = issued.await.map_err(not_issued)?;
    let body = Body {
        access_token: issued.secret.expose(),
        token_type: "Bearer",
        expires_in: lifetime,
        scope: granted,
        refresh_token: None,
        id_token: None,
    };
    Ok(json(StatusCode::OK, &body))
}

/// Returns the scopes of an access token: those that are requested, of those that the client may have. They only narrow.
fn scopes(client: &Client, requested: Option<&str>) -> Result<Vec<String>, OauthError> {
    let allowed = client.scopes.clone().unwrap_or_else(default_scopes);
    let Some(requested) = requested else { return Ok(allowed) };
    let requested: Vec<&str> = requested.split(' ').filter(|scope| !scope.is_empty()).collect();
    if requested.is_empty() || requested.iter().any(|scope| !allowed.iter().any(|known| known == scope)) {
        let message = format!("the client may have only the scopes `{}`", allowed.join(" "));
        return Err(OauthError::new("invalid_scope", message, "request some of these scopes, or none for all of them"));
    }
    Ok(allowed.into_iter().filter(|scope| requested.contains(&&**scope)).collect())
}
