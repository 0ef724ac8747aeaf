//! The start page: who is signed in, and where the API is.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::{Html, IntoResponse, Response};
use http::header::CACHE_CONTROL;
use maud::{DOCTYPE, Markup, html};

use crate::identity::Identity;
use crate::problem::Problem;
use crate::service::Workspace;

pub(super) async fn page(State(workspace): State<Arc<Workspace>>, request: Request) -> Result<Response, Problem> {
    let identity = workspace.session(request.headers()).await?;
    let page = Html(written(identity.as_ref()).into_string());
    Ok(([(CACHE_CONTROL, "no-store")], page).into_response())
}

fn written(identity: Option<&Identity>) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "Portcullis workspace" }
            }
            body {
                main {
                    h1 { "Portcullis workspace" }
                    @match identity {
                        Some(identity) => {
                            p { "Signed in as " strong { (identity.user) } ", " (identity.role.as_str()) "." }
                            form method="post" action="logout" { button { "Sign out" } }
                        }
                        None => {
                            p { "Sign in with the one-time link that " code { "portcullis workspace" } " prints." }
                        }
                    }
                    p { "The HTTP API is described in " a href="openapi.json" { "openapi.json" } "." }
                }
            }
        }
    }
}
