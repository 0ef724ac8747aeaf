//! The page of users without a session.

use axum::response::Response;
use http::StatusCode;
use maud::html;

use super::layout::{self, Shell, Tab};
use super::respond;
use super::words::{prose, safe};
use crate::service::Workspace;
use crate::sign_in::own_page::start;

/// Answers with the page of users without a session, from which a sign-in comes back to `page`.
pub(super) fn page(workspace: &Workspace, status: StatusCode, page: &str) -> Response {
    let (base, sign_in) = (workspace.base_path(), workspace.sign_in());
    let content = html! {
        section.hero {
            h1 { "Portcullis workspace" }
            p.lead { "Create, narrow, rotate and delete the credentials that read your warehouse." }
            @if let Some(provider) = sign_in.provider() {
                @if let Some(refusal) = provider.problem() {
                    div.notice.error role="alert" { p { (prose(&refusal.message())) " " span.help { (prose(refusal.help())) } } }
                }
                p { a.button.primary href={ (base) (start(page)) } { "Sign in with " (safe(&provider.issuer().host())) } }
            }
            @if sign_in.accepts_links() {
                p { @if sign_in.provider().is_some() { "Or sign in" } @else { "Sign in" } " with the one-time link that " code { "portcullis workspace" } " prints when it starts." }
                @if page != "/" { p { "Then " a href={ (base) (page) } { "open this page again" } "." } }
            }
        }
    };
    respond::html(status, layout::page(&Shell::new(&base, None, Tab::None, "Sign in"), &content))
}
