//! `/oauth/logout`: a single-page application signs the user out (OpenID Connect RP-Initiated Logout).
//!
//! Without an ID token of the user, the user is asked first: any page can open this address. The tokens of applications stay
//! valid: each application revokes its own.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::header::SET_COOKIE;
use http::{HeaderMap, Method, StatusCode};
use portcullis_registry::record::ClientKind;
use url::{Url, form_urlencoded};

use super::authorize::is_from_another_site;
use super::keys::published;
use super::reply::with_query;
use crate::authenticate::{check_same_site, only_looks};
use crate::console;
use crate::endpoint::body_of;
use crate::problem::Problem;
use crate::service::Workspace;
use crate::signing::verified;

/// A valid request to sign out.
struct SignOut {
    /// The page after it.
    next: Option<String>,
    /// The user of the ID token, if the request has a valid one.
    user: Option<String>,
}

/// Answers GET.
pub(super) async fn get(State(workspace): State<Arc<Workspace>>, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    if only_looks(&parts.method, &parts.headers) {
        return console::oauth::sign_in(&workspace, StatusCode::OK, "/");
    }
    let shown = show(&workspace, &parts.headers, parts.uri.query().unwrap_or_default()).await;
    shown.unwrap_or_else(|problem| console::oauth::error(&workspace.base_path(), &problem))
}

/// Answers POST: the form of the page.
pub(super) async fn post(State(workspace): State<Arc<Workspace>>, request: Request) -> Response {
    let ended = submit(&workspace, request).await;
    ended.unwrap_or_else(|problem| console::oauth::error(&workspace.base_path(), &problem))
}

async fn show(workspace: &Arc<Workspace>, headers: &HeaderMap, query: &str) -> Result<Response, Problem> {
    let sign_out = read(workspace, query).await?;
    let base = workspace.base_path();
    let Some(user) = workspace.signed_in(headers).await? else {
        if is_from_another_site(headers) {
            return Ok(console::oauth::again(&format!("{base}/oauth/logout?{query}")));
        }
        return Ok(finished(workspace, &sign_out));
    };
    workspace.count(&user.identity.account())?;
    if sign_out.user.as_ref() == Some(&user.identity.user) {
        return end(workspace, headers, &sign_out).await;
    }
    let form = console::oauth::Form { request: query, token: &user.form_token(query) };
    let origin = sign_out.next.as_deref().and_then(|next| Url::parse(next).ok());
    let origin = origin.map(|url| url.origin().ascii_serialization());
    Ok(console::oauth::sign_out(&base, &user.identity, origin.as_deref(), &form))
}

async fn submit(workspace: &Arc<Workspace>, request: Request) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    check_same_site(workspace, &Method::POST, &parts.headers)?;
    let body = body_of(body).await?;
    let form: Vec<(String, String)> = form_urlencoded::parse(&body).into_owned().collect();
    let field = |name: &str| form.iter().find(|(known, _)| known == name).map_or("", |(_, value)| &**value);
    let query = field("request");
    let sign_out = read(workspace, query).await?;
    let Some(user) = workspace.signed_in(&parts.headers).await? else { return Ok(finished(workspace, &sign_out)) };
    if user.form_token(query) != field("token") {
        let message = "the form does not belong to this session";
        let help = "sign out with the button of the console";
        return Err(Problem::new(StatusCode::FORBIDDEN, "form_foreign", message, help));
    }
    end(workspace, &parts.headers, &sign_out).await
}

async fn end(workspace: &Workspace, headers: &HeaderMap, sign_out: &SignOut) -> Result<Response, Problem> {
    workspace.end_session(headers).await?;
    let mut response = finished(workspace, sign_out);
    if let Some(cookie) = workspace.set_cookie(None) {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    Ok(response)
}

fn finished(workspace: &Workspace, sign_out: &SignOut) -> Response {
    match &sign_out.next {
        Some(next) => console::oauth::redirect(next),
        None => console::oauth::signed_out(&workspace.base_path()),
    }
    .into_response()
}

/// Reads the query of a request.
///
/// # Errors
///
/// If a parameter is not valid. Nothing is redirected then.
async fn read(workspace: &Arc<Workspace>, query: &str) -> Result<SignOut, Problem> {
    let mut parameters: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    parameters.retain(|(_, value)| !value.is_empty());
    let get = |name: &str| -> Result<Option<&str>, Problem> {
        let mut found = parameters.iter().filter(|(known, _)| known == name).map(|(_, value)| &**value);
        let first = found.next();
        if found.next().is_none() {
            return Ok(first);
        }
        let message = format!("the parameter `{name}` is repeated");
        Err(Problem::invalid("duplicate_parameter", message, "write it once"))
    };
    let mut client = get("client_id")?.map(ToOwned::to_owned);
    let mut user = None;
    if let Some(hint) = get("id_token_hint")? {
        let keys = published(workspace).await?;
        // A token of a lost key is a token that nobody can check: the user is asked.
        if let Some(claims) = verified(hint, &keys) {
            let text = |name: &str| claims.get(name).and_then(|claim| claim.as_str()).map(ToOwned::to_owned);
            let audience = text("aud");
            if client.is_some() && client != audience {
                let message = "the ID token belongs to another client";
                return Err(Problem::invalid("client_mismatch", message, "send the `client_id` of the ID token"));
            }
            if text("iss").as_deref() == Some(&*workspace.issuer()) {
                user = text("sub");
            }
            client = audience;
        }
    }
    // `returnTo` is the name that Auth0's libraries use.
    let next = match get("post_logout_redirect_uri")? {
        Some(next) => Some(next),
        None => get("returnTo")?,
    };
    let Some(next) = next else { return Ok(SignOut { next: None, user }) };
    let urls = match client {
        Some(id) => workspace.look(move |registry| registry.client_for_login(&id)).await?,
        None => None,
    };
    let urls = urls.filter(|client| client.kind == ClientKind::Spa).map(|client| client.urls.logout_urls);
    if !urls.is_some_and(|urls| urls.iter().any(|url| url == next)) {
        let message = "the page after the sign-out is not a logout URL of the application";
        let help = "it must be equal to a registered logout URL, byte for byte; the request names the application in `client_id`";
        return Err(Problem::invalid("logout_url_unknown", message, help));
    }
    let state = get("state")?.map(|state| ("state", state));
    Ok(SignOut { next: Some(with_query(next, state.as_slice())), user })
}
