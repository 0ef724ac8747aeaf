//! The applications that act for the user: each consent, with a button that ends it.

use std::sync::Arc;

use axum::Router;
use maud::html;
use portcullis_registry::{Actor, Registry};

use super::layout::Tab;
use super::visit::{Console, Shown, Visit, show, submit};
use super::words::{grant, safe, short, time};
use crate::api::segment;
use crate::service::Workspace;

const PATH: &str = "/applications";

pub(super) fn router(console: &Arc<Console>) -> Router {
    Router::new().route(PATH, show(console, list)).route(&format!("{PATH}/{{client}}/end"), submit(console, end))
}

async fn list(visit: Visit) -> Shown {
    let read = |registry: &mut Registry, actor: &Actor| registry.consents(actor);
    let consents = visit.workspace().read(&visit.identity, read).await?;
    let now = Workspace::now();
    let content = html! {
        p.crumbs { a href=(visit.to("/credentials/spa")) { "SPA OAuth clients" } }
        h1 { "Applications that you allowed" }
        @if consents.is_empty() {
            div.empty { h2 { "No applications" } p { "An application that signs you in asks you first, and is listed here then." } }
        } @else {
            div.table-wrap { table.list {
                caption.hidden { "Applications" }
                thead { tr { th scope="col" { "Application" } th scope="col" { "May use" } th scope="col" { "Scopes" } th scope="col" { "Allowed" } th scope="col" { span.hidden { "Actions" } } } }
                tbody { @for consent in &consents { tr {
                    th scope="row" data-label="Application" { b { (short(&consent.client.title)) } div.soft { code { (safe(&consent.client.id)) } } }
                    td data-label="May use" { @if consent.client.grants.is_empty() { span.soft { "No sources" } } @else { ul.plain { @for held in &consent.client.grants { li { (grant(held)) } } } } }
                    td data-label="Scopes" { span.apis { @for scope in &consent.scopes { span.tag { (safe(scope)) } " " } } }
                    td data-label="Allowed" { (time(consent.given, now)) }
                    td.row-actions {
                        form method="post" action={ (visit.to(PATH)) "/" (segment(&consent.client.id)) "/end" } {
                            button.small.danger aria-label={ "End " (safe(&consent.client.title)) } { "End" }
                        }
                    }
                } } }
            } }
            p.hint { "An application that you end loses its tokens at once. It asks you again the next time." }
        }
    };
    Ok(visit.page(Tab::Credentials, "Applications", &content))
}

async fn end(visit: Visit) -> Shown {
    let id = visit.parameter("client");
    let end = move |registry: &mut Registry, actor: &Actor| registry.end_consent(actor, &id);
    visit.workspace().change(&visit.identity, end).await?;
    Ok(visit.redirect(PATH))
}
