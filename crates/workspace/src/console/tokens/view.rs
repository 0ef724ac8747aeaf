//! The page of one token.

use std::sync::Arc;

use axum::response::Response;
use http::{Method, StatusCode};
use maud::{Markup, html};
use portcullis::base::Timestamp;
use portcullis_registry::record::{Role, Token, TrailEntry, Usage};
use portcullis_registry::{Actor, Registry, RegistryError, TrailQuery};

use super::parts::{apis, badges, path, stand_in};
use crate::api::segment;
use crate::console::insight::{Attempt, Insight, Offer, Question, try_it};
use crate::console::layout::Tab;
use crate::console::offered::Offered;
use crate::console::visit::{Shown, Visit};
use crate::console::words::{both_times, counted, grant, safe, time};
use crate::problem::Problem;
use crate::service::Workspace;

/// The number of changes that the page shows.
const CHANGES: usize = 5;

/// Shows a token, and decides a request that the user tries.
pub(super) async fn page(visit: Visit) -> Shown {
    let id = visit.parameter("id");
    let read = move |registry: &mut Registry, actor: &Actor| {
        let token = registry.token_with_id(actor, &id)?;
        let usage = registry.usage_of(&[&*token.id])?.pop();
        let trail =
            registry.trail_page(actor, &TrailQuery { id: Some(&id), limit: CHANGES, ..TrailQuery::default() })?;
        Ok((token, usage, trail))
    };
    let (token, usage, trail) = visit.workspace().read(&visit.identity, read).await?;
    let offered = Offered::read(&visit).await?;
    let attempt = Attempt::read(&visit.form);
    let insight = insight(&visit, token.clone(), &offered, attempt.clone()).await?;
    let is_tried = visit.method == Method::POST;
    let page = Page { token: &token, usage: usage.as_ref(), trail: &trail, now: Workspace::now() };
    Ok(rendered(&visit, &page, &offered, attempt.as_ref(), &insight, is_tried))
}

struct Page<'a> {
    token: &'a Token,
    usage: Option<&'a Usage>,
    trail: &'a [TrailEntry],
    now: Timestamp,
}

fn rendered(
    visit: &Visit,
    page: &Page<'_>,
    offered: &Offered,
    attempt: Option<&Attempt>,
    insight: &Insight,
    is_tried: bool,
) -> Response {
    let Page { token, usage, trail, now } = page;
    let path = visit.to(&path(token));
    let offer = Offer { connections: &offered.connections, apis: &token.allowed_apis, attempt };
    let content = html! {
        p.crumbs { a href=(visit.to("/credentials/tokens")) { "Tokens" } }
        div.heading {
            h1 { (safe(&token.name)) }
            @if visit.identity.role != Role::Auditor { div.actions {
                a.button href={ (path) "/edit" } { "Edit" }
                a.button href={ (path) "/rotate" } { "Rotate" }
                a.button.danger href={ (path) "/delete" } { "Delete" }
            } }
        }
        p.badges { (badges(token, *now)) }
        div.columns {
            div {
                section.card aria-labelledby="access" {
                    h2 #access { "Access" }
                    dl {
                        dt { "Id" } dd { code { (safe(&token.id)) } }
                        dt { "Owner" } dd { (safe(&token.owner)) }
                        dt { "APIs" } dd { (apis(token)) }
                        dt { "Grants" } dd { (grants(token)) }
                        dt { "Referers" } dd { (referers(token)) }
                        dt { "Expires" } dd { @match token.expiration_date { Some(end) => { (both_times(end, *now)) } None => { "Never" } } }
                        dt { "Created" } dd { @match token.created_at { Some(at) => { (both_times(at, *now)) } None => { "Unknown" } } }
                        dt { "Last used" } dd { @match usage { Some(usage) => { (both_times(usage.last_used, *now)) ", " (counted(usage.allowed, "allowed request")) " so far" } None => { "Never, as far as sidecars have reported" } } }
                    }
                }
                form method="post" action={ (path) "#try-it" } data-try[is_tried] {
                    (try_it(&offer, Some("Try"), &insight.decision()))
                }
                section.card aria-labelledby="changes" {
                    h2 #changes { "Changes" }
                    ul.plain { @for entry in *trail { li { (safe(&entry.user)) " · " (entry.action) " · " (time(entry.at, *now)) @if let Some(how) = &entry.how { span.soft { " · " (safe(how)) } } } } }
                    p { a href={ (visit.to("/trail")) "?id=" (segment(&token.id)) } { "All changes of this token" } }
                }
            }
            div { (insight.markup()) }
        }
    };
    visit.page(Tab::Credentials, &token.name, &content)
}

/// Computes what a token reads. The token need not be stored.
pub(super) async fn insight(
    visit: &Visit,
    token: Token,
    offered: &Offered,
    attempt: Option<Attempt>,
) -> Result<Insight, Problem> {
    answered(visit, token, offered, attempt, false).await
}

/// Returns what a token would read that a form proposes.
pub(super) async fn insight_of_new(
    visit: &Visit,
    token: Token,
    offered: &Offered,
    attempt: Option<Attempt>,
) -> Result<Insight, Problem> {
    answered(visit, token, offered, attempt, true).await
}

async fn answered(
    visit: &Visit,
    token: Token,
    offered: &Offered,
    attempt: Option<Attempt>,
    is_new: bool,
) -> Result<Insight, Problem> {
    let id = token.id.clone();
    let token = Token { digest: stand_in(&id), ..token };
    let read =
        move |registry: &mut Registry, _: &Actor| -> Result<String, RegistryError> { registry.document_of(&[token]) };
    let document = visit.workspace().read(&visit.identity, read).await?;
    let question = Question {
        document,
        token: id,
        named_sources: offered.named_sources.clone(),
        connections: offered.connections.clone(),
        workspace: Arc::clone(&visit.console.workspace),
        attempt,
        is_new,
        now: Workspace::now(),
    };
    let answered = visit.workspace().previews().run(move |limit| question.answer(limit)).await;
    answered.unwrap_or_else(|| {
        let message = "too many previews run at this moment";
        Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "preview_busy", message, "try again in a few seconds"))
    })
}

/// Lists the grants in words.
fn grants(token: &Token) -> Markup {
    html! {
        @if token.grants.is_empty() { span.soft { "None" } }
        ul.plain { @for one in &token.grants { li { (grant(one)) } } }
    }
}

fn referers(token: &Token) -> Markup {
    html! {
        @if token.referers.is_empty() { "Every page" }
        ul.plain { @for referer in &token.referers { li { code { (safe(referer)) } } } }
    }
}
