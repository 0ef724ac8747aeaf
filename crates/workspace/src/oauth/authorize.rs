//! `/oauth/authorize`: a user signs in and consents, and a single-page application gets a code.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, Method, StatusCode};
use portcullis::model::SecretDigest;
use portcullis_registry::{Actor, Asking, NewCode, Registry, RegistryError};
use url::form_urlencoded;

use super::redirect::Registered;
use super::reply::{failure, success};
use super::request::{Authorization, MAX_QUERY, Refusal};
use crate::authenticate::{check_same_site, is_cross_site, only_looks};
use crate::console;
use crate::endpoint::body_of;
use crate::problem::Problem;
use crate::seal::key;
use crate::service::Workspace;
use crate::sign_in::BrowserUser;

const PATH: &str = "/oauth/authorize";

/// Answers `GET /oauth/authorize`.
pub(super) async fn get(State(workspace): State<Arc<Workspace>>, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    if only_looks(&parts.method, &parts.headers) {
        return console::oauth::sign_in(&workspace, StatusCode::OK, "/");
    }
    let answer = authorize(&workspace, &parts.headers, parts.uri.query().unwrap_or_default()).await;
    answer.unwrap_or_else(|refusal| refused(&workspace, refusal))
}

/// Answers `POST /oauth/authorize`, which has the parameters in a form: by the same request with GET. The browser sends no
/// cookie of ours with the form of another site.
pub(super) async fn post(State(workspace): State<Arc<Workspace>>, request: Request) -> Response {
    let base = workspace.base_path();
    let form = match body_of(request.into_body()).await {
        Ok(form) if form.len() <= MAX_QUERY => form,
        Ok(_) => {
            let problem = Problem::invalid("request_too_long", "the request is too long", "use a shorter `state`");
            return console::oauth::error(&base, &problem);
        }
        Err(problem) => return console::oauth::error(&base, &problem),
    };
    let pairs = form_urlencoded::parse(&form);
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
    console::oauth::redirect(&format!("{base}{PATH}?{query}"))
}

/// Answers `POST /oauth/consent`: the decision of the user.
pub(super) async fn decide(State(workspace): State<Arc<Workspace>>, request: Request) -> Response {
    decision(&workspace, request).await.unwrap_or_else(|refusal| refused(&workspace, refusal))
}

async fn authorize(workspace: &Arc<Workspace>, headers: &HeaderMap, query: &str) -> Result<Response, Refusal> {
    let authorization = Authorization::read(workspace, query).await?;
    let error = |error, description: &str| Refusal::Client {
        target: authorization.target.clone(),
        error,
        description: description.to_owned(),
    };
    let back = |query: &str| format!("{}{PATH}?{query}", workspace.base_path());
    let asks_nothing = authorization.prompt.nothing;
    let Some(user) = workspace.signed_in(headers).await? else {
        if is_from_another_site(headers) {
            return Ok(console::oauth::again(&back(query)));
        }
        if asks_nothing {
            return Err(error("login_required", "nobody is signed in"));
        }
        return Ok(workspace.ask_to_sign_in(&back(query)));
    };
    workspace.count(&user.identity.account())?;
    if !authorization.accepts(&user, Workspace::now().seconds()) {
        if asks_nothing {
            return Err(error("login_required", "the sign-in is too old"));
        }
        return Ok(workspace.ask_to_sign_in(&back(query)));
    }
    if must_ask(workspace, &authorization, &user).await? {
        if asks_nothing {
            return Err(error("consent_required", "the user has not consented"));
        }
        let form = console::oauth::Form { request: query, token: &consent_token(&user, &authorization, query) };
        let asked = console::oauth::Asked {
            client: &authorization.client,
            origin: &authorization.target.origin(),
            scopes: &authorization.scopes,
            is_any_program: authorization.registered == Registered::WithAnotherPort,
        };
        return Ok(console::oauth::consent(&workspace.base_path(), &user.identity, &asked, &form));
    }
    issue(workspace, &authorization, &user).await
}

/// Returns the proof that a decision is about this request, and about the client as the page has shown it.
fn consent_token(user: &BrowserUser, authorization: &Authorization, query: &str) -> String {
    user.form_token(&format!("{}\n{query}", authorization.client.version()))
}

/// Whether a link or script of another site opened the page. The browser does not send the cookie of the session then; it does
/// when a page of ours opens the same address. A frame never gets the cookie in the page of another site.
pub(super) fn is_from_another_site(headers: &HeaderMap) -> bool {
    let is = |name, value: &str| headers.get(name).is_some_and(|found| found.as_bytes() == value.as_bytes());
    is_cross_site(headers) && is("sec-fetch-mode", "navigate") && is("sec-fetch-dest", "document")
}

async fn must_ask(workspace: &Workspace, authorization: &Authorization, user: &BrowserUser) -> Result<bool, Problem> {
    // Another program may listen on the port this time.
    if authorization.prompt.consent || authorization.registered == Registered::WithAnotherPort {
        return Ok(true);
    }
    let (user, client) = (user.identity.user.clone(), authorization.client.clone());
    let scopes = authorization.scopes.clone();
    let has = workspace.look(move |registry| registry.has_consent(&user, &client, &scopes, Workspace::now()));
    Ok(!has.await?)
}

async fn decision(workspace: &Arc<Workspace>, request: Request) -> Result<Response, Refusal> {
    let (parts, body) = request.into_parts();
    check_same_site(workspace, &Method::POST, &parts.headers)?;
    let body = body_of(body).await?;
    let form: Vec<(String, String)> = form_urlencoded::parse(&body).into_owned().collect();
    let field = |name: &str| form.iter().find(|(known, _)| known == name).map_or("", |(_, value)| &**value);
    let query = field("request");
    let foreign = || {
        let message = "the form does not belong to this session, or the application has changed since it was shown";
        Problem::new(StatusCode::FORBIDDEN, "form_foreign", message, "start the sign-in in the application again")
    };
    let user = workspace.signed_in(&parts.headers).await?.ok_or_else(foreign)?;
    workspace.count(&user.identity.account())?;
    let authorization = Authorization::read(workspace, query).await?;
    if consent_token(&user, &authorization, query) != field("token") {
        return Err(foreign().into());
    }
    if field("decision") != "allow" {
        let (target, description) = (authorization.target, "the user does not consent".to_owned());
        return Err(Refusal::Client { target, error: "access_denied", description });
    }
    if !authorization.accepts(&user, Workspace::now().seconds()) {
        let (target, description) = (authorization.target, "the sign-in is too old".to_owned());
        return Err(Refusal::Client { target, error: "login_required", description });
    }
    let (client, scopes) = (authorization.client.clone(), authorization.scopes.clone());
    let asking = match authorization.registered {
        Registered::Exactly => Asking::Once,
        Registered::WithAnotherPort => Asking::EachTime,
    };
    let give = move |registry: &mut Registry, actor: &Actor| registry.give_consent(actor, &client, &scopes, asking);
    workspace.change(&user.identity, give).await?;
    issue(workspace, &authorization, &user).await
}

async fn issue(workspace: &Workspace, authorization: &Authorization, user: &BrowserUser) -> Result<Response, Refusal> {
    let code = key()?;
    let digest = SecretDigest::of(&code);
    let (user, since, lifetimes) = (user.identity.user.clone(), user.since, workspace.lifetimes());
    let (client, target) = (authorization.client.id.clone(), authorization.target.clone());
    let (scopes, nonce) = (authorization.scopes.clone(), authorization.nonce.clone());
    let challenge = authorization.challenge.clone();
    let issued = workspace.write(move |registry| {
        let new = NewCode {
            digest,
            client: &client,
            user: &user,
            redirect_uri: &target.redirect_uri,
            challenge: &challenge,
            scopes: &scopes,
            nonce: nonce.as_deref(),
            signed_in: since,
        };
        registry.issue_code(&new, &lifetimes, Workspace::now())
    });
    if !issued.await? {
        let (target, description) = (authorization.target.clone(), "the user has not consented".to_owned());
        return Err(Refusal::Client { target, error: "consent_required", description });
    }
    Ok(success(workspace, &authorization.target, &code))
}

fn refused(workspace: &Workspace, refusal: Refusal) -> Response {
    match refusal {
        Refusal::Page(problem) => console::oauth::error(&workspace.base_path(), &problem),
        Refusal::Client { target, error, description } => failure(workspace, &target, error, &description),
    }
    .into_response()
}

impl From<RegistryError> for Refusal {
    fn from(error: RegistryError) -> Self {
        Problem::from(error).into()
    }
}
