//! A request for a page, by a user with a session.

use std::collections::HashMap;
use std::sync::Arc;

use axum::RequestExt;
use axum::body::HttpBody;
use axum::extract::{RawPathParams, Request};
use axum::response::Response;
use axum::routing::{MethodRouter, get, post};
use http::{HeaderMap, Method, StatusCode};
use maud::Markup;

use super::failure;
use super::form::Form;
use super::layout::{Shell, Tab, page};
use super::respond::{html, redirect};
use super::who::user_of_page;
use crate::authenticate::check_same_site;
use crate::endpoint::body_of;
use crate::identity::Identity;
use crate::problem::Problem;
use crate::service::Workspace;

/// What every page needs.
pub(super) struct Console {
    pub(super) workspace: Arc<Workspace>,
}

/// A request of a user.
pub(super) struct Visit {
    pub(super) console: Arc<Console>,
    pub(super) identity: Identity,
    pub(super) method: Method,
    pub(super) headers: HeaderMap,
    /// The fields of the query.
    pub(super) query: Form,
    /// The fields of the body.
    pub(super) form: Form,
    parameters: HashMap<String, String>,
}

/// The result of a page.
pub(super) type Shown = Result<Response, Problem>;

impl Visit {
    /// Returns a parameter of the path.
    pub(super) fn parameter(&self, name: &str) -> String {
        self.parameters.get(name).cloned().unwrap_or_default()
    }

    pub(super) fn workspace(&self) -> &Workspace {
        &self.console.workspace
    }

    /// Returns the URL of a path of the workspace, which starts with `/`.
    pub(super) fn to(&self, path: &str) -> String {
        format!("{}{path}", self.workspace().base_path())
    }

    /// Answers with a page.
    pub(super) fn page(&self, tab: Tab, title: &str, content: &Markup) -> Response {
        self.page_with(StatusCode::OK, tab, title, content)
    }

    /// Answers with a page and a status.
    pub(super) fn page_with(&self, status: StatusCode, tab: Tab, title: &str, content: &Markup) -> Response {
        let base = self.workspace().base_path();
        let shell = Shell::new(&base, Some(&self.identity), tab, title);
        html(status, page(&shell, content))
    }

    /// Answers with the page at `path`.
    pub(super) fn redirect(&self, path: &str) -> Response {
        redirect(&self.to(path))
    }
}

/// Routes GET to `handler`.
pub(super) fn show<F, A>(console: &Arc<Console>, handler: F) -> MethodRouter
where
    F: Fn(Visit) -> A + Clone + Send + Sync + 'static,
    A: Future<Output = Shown> + Send + 'static,
{
    let console = Arc::clone(console);
    get(move |request: Request| answer(Arc::clone(&console), request, handler.clone()))
}

/// Routes POST to `handler`.
pub(super) fn submit<F, A>(console: &Arc<Console>, handler: F) -> MethodRouter
where
    F: Fn(Visit) -> A + Clone + Send + Sync + 'static,
    A: Future<Output = Shown> + Send + 'static,
{
    let console = Arc::clone(console);
    post(move |request: Request| answer(Arc::clone(&console), request, handler.clone()))
}

async fn answer<A: Future<Output = Shown>>(
    console: Arc<Console>,
    request: Request,
    handler: impl FnOnce(Visit) -> A,
) -> Response {
    let workspace = Arc::clone(&console.workspace);
    let base = workspace.base_path();
    let found = user_of_page(&workspace, request.method(), request.uri(), request.headers());
    let mut user = match found.await {
        Ok(identity) => identity,
        Err(response) => return response,
    };
    let (has_body, uri) = (!request.body().is_end_stream(), request.uri().clone());
    let read = read(console, user.clone(), request).await;
    let shown = match read {
        Ok(mut visit) => {
            // The user may have lost the session or rights while the body arrived.
            if has_body {
                match user_of_page(&workspace, &visit.method, &uri, &visit.headers).await {
                    Ok(identity) => user = identity,
                    Err(response) => return response,
                }
                visit.identity = user.clone();
            }
            handler(visit).await
        }
        Err(problem) => Err(problem),
    };
    shown.unwrap_or_else(|problem| failure::page(&base, Some(&user), &problem))
}

async fn read(console: Arc<Console>, identity: Identity, mut request: Request) -> Result<Visit, Problem> {
    check_same_site(&console.workspace, request.method(), request.headers())?;
    console.workspace.count(&identity.account())?;
    let parameters = request
        .extract_parts::<RawPathParams>()
        .await
        .map_err(|_| Problem::invalid("invalid_path", "the path is not valid UTF-8", "open the page from the list"))?;
    let parameters = parameters.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let query = Form::read(request.uri().query().unwrap_or_default().as_bytes());
    let (parts, body) = request.into_parts();
    let body = body_of(body).await?;
    // The preview of a form of tokens writes nothing.
    if !["/new/preview", "/edit/preview"].iter().any(|end| parts.uri.path().ends_with(end)) {
        console.workspace.count_bytes(&identity, body.len())?;
    }
    let form = Form::read(&body);
    Ok(Visit { console, identity, method: parts.method, headers: parts.headers, query, form, parameters })
}
