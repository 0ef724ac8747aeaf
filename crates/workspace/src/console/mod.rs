//! The console: pages that the server renders. Lists, creation, edits and deletion need no script.
//!
//! Every page uses [`Workspace`](crate::service::Workspace) alone, as the HTTP API does, so a page shows and changes what
//! the user's role allows. Texts of users are escaped twice: by `maud`, and by [`Escaped`](portcullis::base::Escaped),
//! which shows characters that readers cannot see.

mod applications;
mod assets;
mod catalog;
mod client_access;
mod clients;
mod connection_forms;
mod connections;
mod copy_once;
mod failure;
mod field_errors;
mod form;
mod grant_rows;
mod insight;
mod layout;
mod login;
mod named_sources;
pub(crate) mod oauth;
mod offered;
mod preview;
mod provider_sign_in;
mod report;
mod respond;
mod signed_out;
mod tabs;
mod tokens;
mod trail;
mod users;
mod visit;
pub(crate) mod who;
mod words;

use std::sync::Arc;

use axum::Router;
use axum::routing::get;

use crate::service::Workspace;
use visit::Console;

/// Returns the pages.
pub(crate) fn router(workspace: Arc<Workspace>) -> Router {
    let console = Arc::new(Console { workspace });
    Router::new()
        .route("/assets/{name}", get(assets::get))
        .merge(login::router(&console))
        .merge(provider_sign_in::router(&console))
        .merge(tokens::router(&console))
        .merge(clients::router(&console))
        .merge(applications::router(&console))
        .merge(named_sources::router(&console))
        .merge(connections::router(&console))
        .merge(connection_forms::router(&console))
        .merge(users::router(&console))
        .merge(trail::router(&console))
        .merge(report::router(&console))
}
