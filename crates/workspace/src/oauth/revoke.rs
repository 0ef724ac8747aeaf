//! `POST /oauth/revoke` (RFC 7009).

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::CACHE_CONTROL;
use portcullis::model::SecretDigest;
use portcullis_registry::{Actor, Registry};
use portcullis_secret::{SecretKind, recognise};

use super::client::{any, peer};
use super::error::OauthError;
use super::form::Form;
use crate::service::Workspace;

pub(super) async fn answer(State(workspace): State<Arc<Workspace>>, request: Request) -> Response {
    match revoke(&workspace, request).await {
        // Also for a token that does not exist or that another client has: the answer does not tell them apart.
        Ok(()) => (StatusCode::OK, [(CACHE_CONTROL, "no-store")]).into_response(),
        Err(error) => error.into_response(),
    }
}

async fn revoke(workspace: &Arc<Workspace>, request: Request) -> Result<(), OauthError> {
    let peer = peer(&request);
    let (parts, body) = request.into_parts();
    let form = Form::read(&parts.headers, body).await?;
    let client = any(workspace, &parts.headers, peer, &form).await?;
    let Some(token) = form.get("token") else {
        return Err(OauthError::new("invalid_request", "`token` is missing", "send the token in `token`"));
    };
    let digest = SecretDigest::of(token);
    if recognise(token) == Some(SecretKind::Refresh) {
        let revoke = move |registry: &mut Registry| registry.revoke_refresh(&client.id, &digest, Workspace::now());
        return Ok(workspace.write(revoke).await?);
    }
    let revoked = workspace.write(move |registry| {
        let actor = Actor::new(&*client.owner, Workspace::now())?.by(format!("client {}", client.id));
        registry.revoke_access(&actor, &client.id, &digest)
    });
    Ok(revoked.await?)
}
