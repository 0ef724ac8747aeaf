//! Sign-in by a one-time link, and sign-out.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::{get, post};
use http::header::SET_COOKIE;
use http::{HeaderMap, Method, StatusCode};
use maud::html;
use url::form_urlencoded;

use super::layout::{self, Shell, Tab};
use super::provider_sign_in::failed;
use super::respond::{self, redirect};
use super::visit::Console;
use super::{failure, signed_out};
use crate::authenticate::check_same_site;
use crate::problem::Problem;
use crate::service::Workspace;

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
        Ok(None) => signed_out::page(workspace, StatusCode::OK, "/"),
        Err(problem) => failure::page(&base, None, &problem),
    }
}

/// Signs the user of a login link in, once.
async fn login(State(console): State<Arc<Console>>, request: Request) -> Response {
    let workspace = &console.workspace;
    let base = workspace.base_path();
    // A program that only looks at a link does not use it up.
    if *request.method() == Method::HEAD {
        return signed_out::page(workspace, StatusCode::OK, "/");
    }
    if !workspace.sign_in().accepts_links() {
        let message = "this workspace does not accept login links";
        let problem =
            Problem::new(StatusCode::FORBIDDEN, "login_links_refused", message, "sign in at the OpenID provider");
        return failed(workspace, request.headers(), &problem, "/");
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
            return failed(workspace, request.headers(), &problem, "/");
        }
        Err(problem) => return failed(workspace, request.headers(), &problem, "/"),
    };
    let back = workspace.way_back(request.headers()).unwrap_or_else(|| format!("{base}/"));
    let mut response = redirect(&back);
    if let Some(cookie) = workspace.set_cookie(Some(&secret)) {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    workspace.forget_way_back(&mut response);
    response
}

/// Signs the user out, and also at the OpenID provider.
async fn logout(State(console): State<Arc<Console>>, headers: HeaderMap) -> Response {
    let workspace = &console.workspace;
    let base = workspace.base_path();
    let ended = async {
        check_same_site(workspace, &Method::POST, &headers)?;
        let identity = workspace.session(&headers).await?;
        workspace.end_session(&headers).await?;
        Ok::<_, Problem>(identity)
    };
    let mut response = match ended.await {
        Err(problem) => return failure::page(&base, None, &problem),
        Ok(identity) => {
            let is_of_provider = identity.is_some_and(|identity| identity.person.is_some());
            signed_out_at_provider(workspace)
                .filter(|_| is_of_provider)
                .unwrap_or_else(|| redirect(&format!("{base}/")))
        }
    };
    if let Some(cookie) = workspace.set_cookie(None) {
        response.headers_mut().insert(SET_COOKIE, cookie);
    }
    response
}

/// Returns a page that opens the sign-out of the provider. A redirect would not do: the answer to a form may only lead to this
/// site.
fn signed_out_at_provider(workspace: &Workspace) -> Option<Response> {
    let provider = workspace.sign_in().provider()?;
    let url = provider.sign_out_url()?;
    let content = html! {
        section.hero {
            h1 { "Signed out" }
            p.lead { "You are signed out of this workspace." }
            p { a.button.primary href=(url) { "Sign out of " (provider.issuer().host()) } }
        }
    };
    let base = workspace.base_path();
    let shell = Shell { refresh: Some(url.as_str()), ..Shell::new(&base, None, Tab::None, "Signed out") };
    Some(respond::html(StatusCode::OK, layout::page(&shell, &content)))
}
