//! The pages of the workspace: sign-in by a one-time link, and the start page.

mod start;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use http::header::SET_COOKIE;
use http::{Method, StatusCode};
use url::form_urlencoded;

use crate::authenticate::check_same_site;
use crate::problem::Problem;
use crate::service::Workspace;

/// Returns the pages.
pub(crate) fn router(workspace: Arc<Workspace>) -> Router {
    Router::new()
        .route("/", get(start::page))
        .route("/login", get(login))
        .route("/logout", post(logout))
        .with_state(workspace)
}

/// Signs the user of a login link in, once.
async fn login(State(workspace): State<Arc<Workspace>>, request: Request) -> Result<Response, Problem> {
    let query = request.uri().query().unwrap_or_default();
    let link = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "link");
    let link = link.map(|(_, link)| link.into_owned()).unwrap_or_default();
    let Some(secret) = workspace.start_session(&link).await? else {
        let message = "the login link was used before, or has expired";
        let help = "start `portcullis workspace` again for a new link";
        return Err(Problem::new(StatusCode::FORBIDDEN, "invalid_login_link", message, help));
    };
    let mut response = Redirect::to(&format!("{}/", workspace.base_path())).into_response();
    if let Some(cookie) = workspace.set_cookie(Some(&secret)) {
        response.headers_mut().insert(SET_COOKIE, cookie);
    }
    Ok(response)
}

/// Signs the user out.
async fn logout(State(workspace): State<Arc<Workspace>>, request: Request) -> Result<Response, Problem> {
    check_same_site(&workspace, &Method::POST, request.headers())?;
    workspace.end_session(request.headers()).await?;
    let mut response = Redirect::to(&format!("{}/", workspace.base_path())).into_response();
    if let Some(cookie) = workspace.set_cookie(None) {
        response.headers_mut().insert(SET_COOKIE, cookie);
    }
    Ok(response)
}
