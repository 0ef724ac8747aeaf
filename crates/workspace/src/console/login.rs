//! Sign-in by a one-time link, and sign-out.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::{get, post};
use http::header::SET_COOKIE;
use http::{HeaderMap, Method, StatusCode};
use maud::html;
use portcullis_server::site::Peer;
use url::form_urlencoded;

use super::form::Form;
use super::layout::{self, Shell, Tab};
use super::oauth::again;
use super::provider_sign_in::failed;
use super::respond::{self, redirect};
use super::visit::Console;
use super::words::safe;
use super::{failure, signed_out};
use crate::address::address_name;
use crate::authenticate::{check_same_site, only_looks};
use crate::endpoint::body_of;
use crate::identity::Identity;
use crate::problem::Problem;
use crate::service::Workspace;

pub(super) fn router(console: &Arc<Console>) -> Router {
    Router::new()
        .route("/", get(start))
        .route("/login", get(login).post(confirmed))
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

/// Signs the user of a login link in, once. The link may be somebody else's: where the browser has a session of another user,
/// or another site opens the link, the user is asked first.
async fn login(State(console): State<Arc<Console>>, request: Request) -> Response {
    let workspace = &console.workspace;
    let headers = request.headers();
    if only_looks(request.method(), headers) {
        return signed_out::page(workspace, StatusCode::OK, "/");
    }
    let query = request.uri().query().unwrap_or_default();
    let link = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "link");
    let link = link.map(|(_, link)| link.into_owned()).unwrap_or_default();
    let from = address_name(request.extensions().get::<Peer>().copied());
    let checked = async {
        let user = user_of(workspace, &from, &link).await?;
        let current = workspace.session(headers).await?;
        let is_same = |current: &Identity| current.user == user && current.person.is_none();
        if is_opened_elsewhere(headers) || current.as_ref().is_some_and(|current| !is_same(current)) {
            return Ok(question(workspace, &user, current.as_ref(), &link));
        }
        start_session(workspace, headers, &link, redirect).await
    };
    checked.await.unwrap_or_else(|problem| failed(workspace, headers, &problem, "/"))
}

/// Whether a page of another origin opens the link, also one of the same site: it may hide the session's cookie by another one.
fn is_opened_elsewhere(headers: &HeaderMap) -> bool {
    headers.get("sec-fetch-site").is_some_and(|site| site != "none" && site != "same-origin")
}

/// Signs the user of a login link in who was asked.
async fn confirmed(State(console): State<Arc<Console>>, request: Request) -> Response {
    let workspace = &console.workspace;
    let (parts, body) = request.into_parts();
    let from = address_name(parts.extensions.get::<Peer>().copied());
    let checked = async {
        check_same_site(workspace, &Method::POST, &parts.headers)?;
        let form = Form::read(&body_of(body).await?);
        user_of(workspace, &from, form.get("link")).await?;
        // A page and not a redirect: the answer to a form leads only to this site, and an authorization may lead further.
        start_session(workspace, &parts.headers, form.get("link"), again).await
    };
    checked.await.unwrap_or_else(|problem| failed(workspace, &parts.headers, &problem, "/"))
}

/// Returns the user whom a login link signs in.
///
/// # Errors
///
/// If the link is not valid. After many failures of an address, the time to wait; a valid link is accepted nevertheless.
async fn user_of(workspace: &Workspace, from: &str, link: &str) -> Result<String, Problem> {
    if !workspace.sign_in().accepts_links() {
        let message = "this workspace does not accept login links";
        let help = "sign in at the OpenID provider";
        return Err(Problem::new(StatusCode::FORBIDDEN, "login_links_refused", message, help));
    }
    if let Some(user) = workspace.user_of_link(link).await? {
        return Ok(user);
    }
    workspace.count_failure_of(from).map_err(Problem::too_many)?;
    Err(invalid_link())
}

fn invalid_link() -> Problem {
    let message = "the login link was used before, or has expired";
    Problem::new(
        StatusCode::FORBIDDEN,
        "invalid_login_link",
        message,
        "start `portcullis workspace` again for a new link",
    )
}

/// Starts the session of a login link. `lead` makes the answer that leads to a URL.
async fn start_session(
    workspace: &Workspace,
    headers: &HeaderMap,
    link: &str,
    lead: fn(&str) -> Response,
) -> Result<Response, Problem> {
    let page = workspace.way_back(headers).unwrap_or_else(|| "/".to_owned());
    let secret = workspace.start_session(link, headers, &page).await?.ok_or_else(invalid_link)?;
    let mut response = lead(&format!("{}{page}", workspace.base_path()));
    if let Some(cookie) = workspace.set_cookie(Some(&secret)) {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    workspace.forget_way_back(&mut response);
    Ok(response)
}

/// Asks whether to sign in with a link.
fn question(workspace: &Workspace, user: &str, current: Option<&Identity>, link: &str) -> Response {
    let base = workspace.base_path();
    let content = html! {
        h1 { "Sign in as " (safe(user)) "?" }
        @if let Some(current) = current {
            p.lead { "This browser is signed in as " b { (safe(&current.user)) } ". That session ends." }
        } @else {
            p.lead { "A page of another site opened this login link." }
        }
        p { "Go on only if you asked for the link. What you create is then of " b { (safe(user)) } "." }
        form.narrow method="post" action={ (base) "/login" } {
            input type="hidden" name="link" value=(link);
            div.buttons { button.primary { "Sign in as " (safe(user)) } a.button.quiet href={ (base) "/" } { "Cancel" } }
        }
    };
    let shell = Shell { has_navigation: false, ..Shell::new(&base, None, Tab::None, "Sign in") };
    respond::html(StatusCode::OK, layout::page(&shell, &content))
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
