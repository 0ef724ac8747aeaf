//! Who is signed in. A visitor without a session is sent to sign in, and comes back to the page.

use axum::response::Response;
use http::{HeaderMap, Method, StatusCode, Uri};
use maud::html;

use super::layout::{self, Shell, Tab};
use super::respond::{self, redirect};
use super::{failure, signed_out};
use crate::identity::Identity;
use crate::service::Workspace;
use crate::sign_in::own_page::{own_page, start};

/// Returns who is signed in. Otherwise returns the answer that sends the visitor to sign in, and back to this page.
pub(crate) async fn signed_in(
    workspace: &Workspace,
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
) -> Result<Identity, Response> {
    let base = workspace.base_path();
    match workspace.session(headers).await {
        Ok(Some(identity)) => return Ok(identity),
        Ok(None) => {}
        Err(problem) => return Err(failure::page(&base, None, &problem)),
    }
    let page = uri.path_and_query().and_then(|page| own_page(page.as_str()));
    let Some(page) = page.filter(|_| matches!(*method, Method::GET | Method::HEAD)) else {
        return Err(signed_out::page(workspace, StatusCode::UNAUTHORIZED, "/"));
    };
    if headers.get("sec-fetch-site").is_some_and(|site| site == "cross-site") {
        return Err(once_more(&base, &page));
    }
    if workspace.sign_in().provider().is_none() {
        return Err(signed_out::page(workspace, StatusCode::UNAUTHORIZED, &page));
    }
    Err(redirect(&format!("{base}{}", start(&page))))
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
