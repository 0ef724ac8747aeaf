//! Sign-in by a one-time link, and sign-out.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::{get, post};
use http::header::SET_COOKIE;
use http::{HeaderMap, Method, StatusCode};
use url::form_urlencoded;

use super::failure;
use super::respond::redirect;
use super::signed_out;
use super::visit::Console;
use crate::authenticate::check_same_site;
use crate::problem::Problem;

pub(super) fn router(console: &Arc<Console>) -> Router {
    Router::new()
        .route("/", get(start))
        .route("/login", get(login))
        .route("/logout", post(logout))
        .with_state(Arc::clone(console))
}

async fn start(State(console): State<Arc<Console>>, headers: HeaderMap) -> Response {
    let workspace = &console.workspace;
    let base = workspace.base_path();
    match workspace.session(&headers).await {
        Ok(Some(_)) => redirect(&format!("{base}/credentials/tokens")),
        Ok(None) => signed_out::page(&base, StatusCode::OK),
        Err(problem) => failure::page(&base, None, &problem),
    }
}

/// Signs the user of a login link in, once.
async fn login(State(console): State<Arc<Console>>, request: Request) -> Response {
    let workspace = &console.workspace;
    let base = workspace.base_path();
    // A program that only looks at a link does not use it up.
    if *request.method() == Method::HEAD {
        return signed_out::page(&base, StatusCode::OK);
    }
    let query = request.uri().query().unwrap_or_default();
    let link = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "link");
    let link = link.map(|(_, link)| link.into_owned()).unwrap_or_default();
    let secret = match workspace.start_session(&link).await {
        Ok(Some(secret)) => secret,
        Ok(None) => {
            let message = "the login link was used before, or has expired";
            let help = "start `portcullis workspace` again for a new link";
            let problem = Problem::new(StatusCode::FORBIDDEN, "invalid_login_link", message, help);
            return failure::page(&base, None, &problem);
        }
        Err(problem) => return failure::page(&base, None, &problem),
    };
    let back = workspace.way_back(request.headers()).unwrap_or_else(|| format!("{base}/"));
    let mut response = redirect(&back);
    if let Some(cookie) = workspace.set_cookie(Some(&secret)) {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    workspace.forget_way_back(&mut response);
    response
}

/// Signs the user out.
async fn logout(State(console): State<Arc<Console>>, headers: HeaderMap) -> Response {
    let workspace = &console.workspace;
    let base = workspace.base_path();
    let ended = async {
        check_same_site(workspace, &Method::POST, &headers)?;
        workspace.end_session(&headers).await
    };
    if let Err(problem) = ended.await {
        return failure::page(&base, None, &problem);
    }
    let mut response = redirect(&format!("{base}/"));
    if let Some(cookie) = workspace.set_cookie(None) {
        response.headers_mut().insert(SET_COOKIE, cookie);
    }
    response
}
