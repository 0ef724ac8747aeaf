//! Sign-in at the OpenID provider: the start, and the answer of the provider.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::get;
use http::header::{RETRY_AFTER, SET_COOKIE};
use http::{HeaderMap, StatusCode};
use maud::html;
use portcullis_oidc::{Answer, Attempt, Browser, Refusal};
use portcullis_server::site::Peer;
use url::form_urlencoded;

use super::failure::notice;
use super::layout::{self, Shell, Tab};
use super::respond::{self, redirect};
use super::signed_out;
use super::visit::Console;
use super::who::once_more;
use super::words::safe;
use crate::address::address_name;
use crate::authenticate::only_looks;
use crate::guard::REQUEST_ID;
use crate::oauth::asks_for_sign_in;
use crate::problem::Problem;
use crate::service::Workspace;
use crate::sign_in::own_page::{authorization, own_page, start};

pub(super) fn router(console: &Arc<Console>) -> Router {
    Router::new()
        .route("/login/start", get(begin))
        .route("/login/callback", get(finish))
        .with_state(Arc::clone(console))
}

/// Returns the value of a parameter that is given once.
fn one(query: &str, name: &str) -> Option<String> {
    let mut values = form_urlencoded::parse(query.as_bytes()).filter(|(known, _)| known == name);
    let value = values.next().filter(|_| values.next().is_none());
    value.map(|(_, value)| value.into_owned())
}

/// Sends the browser to the provider.
async fn begin(State(console): State<Arc<Console>>, request: Request) -> Response {
    let workspace = &console.workspace;
    let base = workspace.base_path();
    let page = one(request.uri().query().unwrap_or_default(), "return_to");
    let page = page.and_then(|page| own_page(&page)).unwrap_or_else(|| "/".to_owned());
    let headers = request.headers();
    let is_opened = !only_looks(request.method(), headers);
    let Some(provider) = workspace.sign_in().provider().filter(|_| is_opened) else {
        return signed_out::page(workspace, StatusCode::OK, &page);
    };
    // An authorization that leads here does not accept the session.
    let request = authorization(&page);
    match workspace.signed_in(headers).await {
        Ok(Some(user)) if request.is_none() && !user.is_due => return redirect(&format!("{base}{page}")),
        Ok(_) => {}
        Err(problem) => return failed(workspace, headers, &problem, &page),
    }
    // Two tabs of a browser share its secret: each finishes its own attempt.
    let browser = workspace.browser(headers).or_else(Browser::new);
    let attempt = browser.and_then(|browser| Some((Attempt::start(&browser, &page, now())?, browser)));
    let Some((attempt, browser)) = attempt else { return failed(workspace, headers, &Problem::internal(), &page) };
    match provider.sign_in_url(&attempt, request.is_some_and(asks_for_sign_in)).await {
        Ok(url) => {
            let cookies = [workspace.set_browser(Some(&browser)), workspace.set_replaced(headers)];
            with_cookies(redirect(url.as_str()), cookies)
        }
        Err(refusal) => failed(workspace, headers, &problem(&refusal), &page),
    }
}

/// Signs the person in whom the provider names.
async fn finish(State(console): State<Arc<Console>>, request: Request) -> Response {
    let workspace = &console.workspace;
    let (query, headers) = (request.uri().query().unwrap_or_default(), request.headers());
    let is_opened = !only_looks(request.method(), headers);
    let Some(provider) = workspace.sign_in().provider().filter(|_| is_opened) else {
        return signed_out::page(workspace, StatusCode::OK, "/");
    };
    let address = address_name(request.extensions().get::<Peer>().copied());
    let attempt = one(query, "state").zip(workspace.browser(headers));
    let Some(attempt) = attempt.and_then(|(state, browser)| Attempt::resume(&browser, &state, now())) else {
        return failed(workspace, headers, &problem(&Refusal::UnknownState), "/");
    };
    let page = own_page(&attempt.page).unwrap_or_else(|| "/".to_owned());
    let answer = Answer { code: one(query, "code"), issuer: issuer(query), error: one(query, "error") };
    let signed_in = async {
        let person = provider.finish(&attempt, &answer, &address, now()).await;
        let person = person.map_err(|refusal| problem(&refusal))?;
        let (user, person) = workspace.admit(&person).await?;
        tracing::info!(request = ?headers.get(REQUEST_ID), user = user.name, subject = person.subject, "signed in");
        workspace.start_session_of(&user.name, person, headers, &page).await
    };
    // The attempt ends with this answer, whatever it is.
    match signed_in.await {
        Ok(secret) => {
            let cookies = [workspace.set_cookie(Some(&secret)), workspace.set_browser(None)];
            with_cookies(once_more(&workspace.base_path(), &page), cookies)
        }
        Err(problem) => with_cookies(failed(workspace, headers, &problem, &page), [workspace.set_browser(None)]),
    }
}

/// Returns the issuer of an answer. Several issuers are as wrong as another one.
fn issuer(query: &str) -> Option<String> {
    let is_given = form_urlencoded::parse(query.as_bytes()).any(|(name, _)| name == "iss");
    is_given.then(|| one(query, "iss").unwrap_or_default())
}

fn now() -> u64 {
    u64::try_from(Workspace::now().seconds()).unwrap_or_default()
}

fn problem(refusal: &Refusal) -> Problem {
    let status = match refusal {
        Refusal::Unavailable(_) | Refusal::Busy => StatusCode::SERVICE_UNAVAILABLE,
        Refusal::Denied(_) => StatusCode::FORBIDDEN,
        _ => StatusCode::BAD_REQUEST,
    };
    let problem = Problem::new(status, refusal.reason(), refusal.message(), refusal.help());
    if status == StatusCode::SERVICE_UNAVAILABLE { problem.with(RETRY_AFTER, "30") } else { problem }
}

/// Answers that a sign-in has failed, with the id of the request, which the log has too.
pub(super) fn failed(workspace: &Workspace, headers: &HeaderMap, problem: &Problem, page: &str) -> Response {
    let id = headers.get(REQUEST_ID).and_then(|id| id.to_str().ok()).unwrap_or_default();
    let message = problem.details().first().map_or("", |detail| &detail.message);
    // Anybody can fail to sign in, as often as the network allows.
    if let Some(left_out) = workspace.sign_in_log().next(problem.reason()) {
        tracing::warn!(request = id, reason = problem.reason(), left_out, "sign-in failed: {message}");
    }
    let base = workspace.base_path();
    let content = html! {
        h1 { "Not signed in" }
        (notice(problem.details()))
        p {
            @if workspace.sign_in().provider().is_some() { a.button.primary href={ (base) (start(page)) } { "Sign in again" } " " }
            a.button href={ (base) "/" } { "Back" }
        }
        p.soft { "Request " code { (safe(id)) } }
    };
    let shell = Shell::new(&base, None, Tab::None, "Not signed in");
    let mut response = respond::html(problem.status(), layout::page(&shell, &content));
    response.headers_mut().extend(problem.headers().iter().cloned());
    response
}

fn with_cookies<const N: usize>(mut response: Response, cookies: [Option<http::HeaderValue>; N]) -> Response {
    for cookie in cookies.into_iter().flatten() {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    response
}
