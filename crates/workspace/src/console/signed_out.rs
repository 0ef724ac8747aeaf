//! The page of users without a session.

use axum::response::Response;
use http::StatusCode;
use maud::html;

use super::layout::{self, Shell, Tab};
use super::respond;

/// Answers with the page of users without a session.
pub(super) fn page(base: &str, status: StatusCode) -> Response {
    page_with(base, status, None)
}

/// Answers with the page of users without a session, who return to `back` after the sign-in.
pub(super) fn page_with(base: &str, status: StatusCode, back: Option<&str>) -> Response {
    let content = html! {
        section.hero {
            h1 { "Portcullis workspace" }
            p.lead { "Create, narrow, rotate and delete the credentials that read your warehouse." }
            p { "Sign in with the one-time link that " code { "portcullis workspace" } " prints when it starts." }
            @if let Some(back) = back {
                p { "Open the link in this browser. You then return to the application." }
                p { a href=(back) { "Go on, if you are signed in" } }
            }
        }
    };
    let shell = Shell { base, user: None, tab: Tab::None, title: "Sign in" };
    respond::html(status, layout::page(&shell, &content))
}
