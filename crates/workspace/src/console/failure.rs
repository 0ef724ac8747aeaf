//! Pages for requests that are refused.

use axum::response::Response;
use http::StatusCode;
use maud::{Markup, html};

use super::layout::{self, Shell, Tab};
use super::respond;
use super::words::prose;
use crate::identity::Identity;
use crate::problem::{Detail, Problem};

/// Answers with the problem, as a page.
pub(super) fn page(base: &str, user: Option<&Identity>, problem: &Problem) -> Response {
    let status = problem.status();
    let title = match status {
        StatusCode::NOT_FOUND => "Not found",
        StatusCode::FORBIDDEN => "Not allowed",
        StatusCode::TOO_MANY_REQUESTS => "Too many requests",
        status if status.is_server_error() => "Not available now",
        _ => "Not possible",
    };
    let content = html! {
        h1 { (title) }
        (notice(problem.details()))
        p { a href={ (base) "/credentials/tokens" } { "Back to credentials" } }
    };
    let mut response = respond::html(status, layout::page(&Shell::new(base, user, Tab::None, title), &content));
    response.headers_mut().extend(problem.headers().iter().cloned());
    response
}

/// Shows problems, each with its fix.
pub(super) fn notice(details: &[Detail]) -> Markup {
    html! {
        div.notice.error role="alert" tabindex="-1" data-focus {
            @for detail in details {
                p { (prose(&detail.message)) @if !detail.help.is_empty() { " " span.help { (prose(&detail.help)) } } }
            }
        }
    }
}
