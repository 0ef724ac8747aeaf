//! Who is signed in. A visitor without a session is sent to sign in, and comes back to the page.

use axum::response::Response;
use http::{HeaderMap, Method, StatusCode, Uri};
use maud::html;

use super::layout::{self, Shell, Tab};
use super::respond::{self, redirect};
use super::{failure, signed_out};
use crate::authenticate::{is_cross_site, only_looks};
use crate::identity::Identity;
use crate::service::Workspace;
use crate::sign_in::own_page::{own_page, start};

/// Returns the user who opens a page. Otherwise returns the answer that sends the visitor to sign in, and back to this page.
pub(crate) async fn user_of_page(
    workspace: &Workspace,
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
) -> Result<Identity, Response> {
    let base = workspace.base_path();
    let page = uri.path_and_query().and_then(|page| own_page(page.as_str()));
    match workspace.signed_in(headers).await {
        // Between two pages, the provider is asked whether the person may still sign in.
        Ok(Some(user)) if user.is_due && is_opened(method, headers) && workspace.sign_in().can_ask_provider() => {
            return Err(redirect(&format!("{base}{}", start(page.as_deref().unwrap_or("/")))));
        }
        Ok(Some(user)) => return Ok(user.identity),
        Ok(None) => {}
        Err(problem) => return Err(failure::page(&base, None, &problem)),
    }
    let Some(page) = page.filter(|_| matches!(*method, Method::GET | Method::HEAD)) else {
        return Err(signed_out::page(workspace, StatusCode::UNAUTHORIZED, "/"));
    };
    if is_cross_site(headers) {
        return Err(once_more(&base, &page));
    }
    if workspace.sign_in().provider().is_none() {
        return Err(signed_out::page(workspace, StatusCode::UNAUTHORIZED, &page));
    }
    Err(redirect(&format!("{base}{}", start(&page))))
}

/// Whether the user opens a page in a window: a script of a page, or a frame, cannot be sent to the provider.
fn is_opened(method: &Method, headers: &HeaderMap) -> bool {
    let is = |name: &str, value: &str| headers.get(name).is_some_and(|found| found == value);
    !only_looks(method, headers)
        && *method == Method::GET
        && is("sec-fetch-mode", "navigate")
        && is("sec-fetch-dest", "document")
}

/// Opens `page` from a page of the workspace. The session's cookie is `SameSite=Strict`: a browser that follows a link or a
/// redirect of another site does not send it.
pub(super) fn once_more(base: &str, page: &str) -> Response {
    let url = format!("{base}{page}");
    let content = html! {
        h1 { "One moment" }
        p { a.button.primary href=(url) { "Continue" } }
    };
    let shell = Shell { refresh: Some(&url), ..Shell::new(base, None, Tab::None, "One moment") };
    respond::html(StatusCode::OK, layout::page(&shell, &content))
}
