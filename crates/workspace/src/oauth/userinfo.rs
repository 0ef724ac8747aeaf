//! `/oauth/userinfo` (OpenID Connect Core, section 5.3).

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode};
use portcullis_registry::OPENID;

use super::error::json;
use super::id_token::claims;
use crate::authenticate::by_access_token;
use crate::identity::Via;
use crate::problem::Problem;
use crate::service::Workspace;

pub(super) async fn answer(State(workspace): State<Arc<Workspace>>, headers: HeaderMap) -> Response {
    userinfo(&workspace, &headers).await.unwrap_or_else(IntoResponse::into_response)
}

async fn userinfo(workspace: &Workspace, headers: &HeaderMap) -> Result<Response, Problem> {
    let identity = by_access_token(workspace, headers).await?;
    workspace.count(&identity.account())?;
    identity.require(OPENID)?;
    let scopes = match &identity.via {
        Via::Client { scopes, .. } => scopes.clone(),
        Via::Session => Vec::new(),
    };
    Ok(json(StatusCode::OK, &claims(&identity.user, &scopes)))
}
