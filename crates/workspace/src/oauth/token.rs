//! `POST /oauth/token`.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use portcullis_registry::record::Client;
use portcullis_registry::{Actor, NewAccess, default_scopes};
use serde::Serialize;

use super::client::{authenticate, peer};
use super::error::{OauthError, json};
use super::form::Form;
use crate::service::Workspace;

/// An access token, as RFC 6749 answers.
#[derive(Serialize)]
struct Body<'t> {
    access_token: &'t str,
    token_type: &'static str,
    expires_in: i64,
    scope: String,
}

pub(super) async fn answer(State(workspace): State<Arc<Workspace>>, request: Request) -> Response {
    let issued = issue(&workspace, request).await;
    issued.unwrap_or_else(IntoResponse::into_response)
}

async fn issue(workspace: &Arc<Workspace>, request: Request) -> Result<Response, OauthError> {
    let peer = peer(&request);
    let (parts, body) = request.into_parts();
    let form = Form::read(&parts.headers, body).await?;
    match form.get("grant_type") {
        Some("client_credentials") => {}
        Some(_) => {
            let message = "the grant type is not supported";
            return Err(OauthError::new("unsupported_grant_type", message, "send `grant_type=client_credentials`"));
        }
        None => {
            let message = "`grant_type` is missing";
            return Err(OauthError::new("invalid_request", message, "send `grant_type=client_credentials`"));
        }
    }
    let client = authenticate(workspace, &parts.headers, peer, &form).await?;
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
    let issued = issued.await.map_err(|problem| match problem.status() {
        status if status.is_server_error() => OauthError::from(problem),
        _ if problem.reason() == "user_disabled" => {
            OauthError::new("unauthorized_client", "the owner of the client is disabled", "ask an administrator")
        }
        _ => {
            let message = problem.details().first().map_or_else(String::new, |detail| detail.message.clone());
            let message = format!("the grants of the client are not valid any more: {message}");
            OauthError::new("invalid_grant", message, "correct the grants with `portcullis credentials update m2m`")
        }
    })?;
    let body =
        Body { access_token: issued.secret.expose(), token_type: "Bearer", expires_in: lifetime, scope: granted };
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
