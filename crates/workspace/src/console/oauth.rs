//! The pages of OAuth: sign-in, consent, sign-out, and errors.

use axum::response::{Html, IntoResponse, Response};
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use portcullis::model::GrantKind;
use portcullis_registry::USER_SCOPES;
use portcullis_registry::record::{Client, Grant};

use super::assets::MESSAGE;
use super::layout::{Shell, Tab, page};
use super::words::{grant, safe, short};
use super::{failure, respond};
use crate::identity::Identity;
use crate::problem::Problem;
use crate::service::Workspace;

pub(crate) use super::respond::redirect;

/// The hidden fields of a form that repeats a request.
pub(crate) struct Form<'a> {
    /// The query of the request.
    pub(crate) request: &'a str,
    /// The proof that the form comes from a page for the session.
    pub(crate) token: &'a str,
}

impl Form<'_> {
    fn fields(&self) -> Markup {
        html! {
            input type="hidden" name="request" value=(self.request);
            input type="hidden" name="token" value=(self.token);
        }
    }
}

/// What a client asks for.
pub(crate) struct Asked<'a> {
    pub(crate) client: &'a Client,
    /// The origin that receives the answer.
    pub(crate) origin: &'a str,
    pub(crate) scopes: &'a [String],
    /// Whether any program on the user's machine may receive the answer.
    pub(crate) is_any_program: bool,
}

/// Answers with the page of users who are not signed in. `needs` is the page that needs a sign-in.
pub(crate) fn sign_in(workspace: &Workspace, status: StatusCode, needs: &str) -> Response {
    super::signed_out::page(workspace, status, needs)
}

/// Answers with a page that opens `url`, an address of this workspace, at once.
pub(crate) fn again(url: &str) -> Response {
    let document = html! {
        (DOCTYPE)
        html lang="en" {
            head { meta charset="utf-8"; meta http-equiv="refresh" content={ "0;url=" (url) }; title { "Sign in · Portcullis" } }
            body { p { a href=(url) { "Continue" } } }
        }
    };
    respond::html(StatusCode::OK, document)
}

/// Answers with an error that must not reach the client.
pub(crate) fn error(base: &str, problem: &Problem) -> Response {
    failure::page(base, None, problem)
}

/// Answers with the page that asks the user whether the client may act in the user's name.
pub(crate) fn consent(base: &str, user: &Identity, asked: &Asked<'_>, form: &Form<'_>) -> Response {
    let Asked { client, origin, scopes, is_any_program } = asked;
    let manages: Vec<_> = scopes.iter().filter(|scope| !USER_SCOPES.contains(&scope.as_str())).collect();
    let has = |scope: &str| scopes.iter().any(|held| held == scope);
    let content = html! {
        h1 { "Allow " (safe(&client.title)) "?" }
        p.lead { "The application at " b { (safe(origin)) } " wants to act as " b { (safe(&user.user)) } ". " (safe(&client.title)) " is registered by " (safe(&client.owner)) "." }
        @if *is_any_program {
            div.notice role="note" { p { "The answer goes to a program on this machine. Go on only if you have just started that program." } }
        }
        ul.consent {
            @if has("profile") || has("openid") || has("email") { li { "Know your user name" } }
            @for held in &client.grants { li { (may_read(held)) } }
            @if !client.allowed_apis.is_empty() { li { (if client.allowed_apis.len() == 1 { "Use the API: " } else { "Use the APIs: " }) (safe(&client.allowed_apis.join(", "))) } }
            @for scope in &manages { li { (scope_sentence(scope)) " " span.soft { "(" (safe(scope)) ")" } } }
            @if has("offline_access") { li { "Stay signed in for up to 30 days" } }
        }
        form.narrow method="post" action={ (base) "/oauth/consent" } {
            (form.fields())
            div.buttons {
                button.primary name="decision" value="allow" { "Allow" }
                button.quiet name="decision" value="deny" { "Deny" }
            }
            p.hint { "You can end this at any time: " a href={ (base) "/applications" } target="_blank" rel="noopener" { "applications that you allowed" } "." }
        }
    };
    // A decision, and nothing that leads away from it.
    let shell = Shell { has_navigation: false, ..Shell::new(base, Some(user), Tab::None, "Allow an application") };
    form_page(StatusCode::OK, page(&shell, &content), origin)
}

/// Answers with the page that asks whether to sign out. `origin` is the origin of the page after it, if there is one.
pub(crate) fn sign_out(base: &str, user: &Identity, origin: Option<&str>, form: &Form<'_>) -> Response {
    let content = html! {
        h1 { "Sign out?" }
        p.lead { "You are signed in as " b { (safe(&user.user)) } "." }
        form.narrow method="post" action={ (base) "/oauth/logout" } {
            (form.fields())
            div.buttons { button.primary { "Sign out" } a.button.quiet href={ (base) "/" } { "Stay signed in" } }
        }
    };
    let shell = Shell::new(base, Some(user), Tab::None, "Sign out");
    form_page(StatusCode::OK, page(&shell, &content), origin.unwrap_or_default())
}

/// Answers with the page after a sign-out.
pub(crate) fn signed_out(base: &str) -> Response {
    let content = html! { h1 { "Signed out" } p { a href={ (base) "/" } { "Sign in again" } } };
    let shell = Shell::new(base, None, Tab::None, "Signed out");
    respond::html(StatusCode::OK, page(&shell, &content))
}

/// Answers with a page whose script hands `message`, which is JSON, to the page of `origin` that framed or opened it.
pub(crate) fn message(base: &str, origin: &str, message: &str) -> Response {
    let document = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                title { "Portcullis" }
                link rel="icon" href="data:,";
                script src={ (base) "/assets/" (MESSAGE.name) } defer {}
            }
            body data-origin=(origin) data-message=(message) {}
        }
    };
    // Only this page may be framed, and only by the page that gets the message. It has nothing to click.
    let policy = format!(
        "default-src 'none'; script-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors {origin}"
    );
    with_policy(StatusCode::OK, document, &policy)
}

/// Answers with a page whose form may redirect to `origin`: browsers apply `form-action` to redirects, too.
fn form_page(status: StatusCode, document: Markup, origin: &str) -> Response {
    // A policy cannot name the origin of an IPv6 address. Only a loopback address has plain `http` here.
    let origin = if origin.contains('[') { "http:" } else { origin };
    let form_action = format!("form-action 'self' {origin}");
    with_policy(status, document, &respond::POLICY.replace("form-action 'self'", form_action.trim_end()))
}

fn with_policy(status: StatusCode, document: Markup, policy: &str) -> Response {
    let headers = [(CACHE_CONTROL, "no-store"), (CONTENT_SECURITY_POLICY, policy), (REFERRER_POLICY, "same-origin")];
    let PreEscaped(text) = document;
    (status, headers, Html(text)).into_response()
}

/// Describes what a grant allows to the application.
fn may_read(held: &Grant) -> Markup {
    html! {
        @if held.kind == GrantKind::Pattern {
            "Read tables that match " code { (short(&held.source)) } span.soft { " on " (safe(&held.connection)) }
        } @else { "Use " (grant(held)) }
    }
}

/// Returns what a scope means for the user.
fn scope_sentence(scope: &str) -> String {
    match scope.split_once(':') {
        Some(("read", what)) => format!("See your {}", what.replace('_', " ")),
        Some((_, what)) => format!("Create, change and delete your {}", what.replace('_', " ")),
        None => "See and change the records of other users, as far as your role allows".to_owned(),
    }
}
