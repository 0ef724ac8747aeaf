//! Tokens: list, creation, edits, rotation and deletion.

mod create;
mod delete;
mod edit;
mod fields;
mod list;
mod merge;
mod parts;
mod rotate;
mod view;
mod widening;

use std::sync::Arc;

use axum::Router;

use super::visit::{Console, show, submit};

pub(super) fn router(console: &Arc<Console>) -> Router {
    Router::new()
        .route("/credentials/tokens", show(console, list::page))
        .route("/credentials/tokens/new", show(console, create::form).merge(submit(console, create::create)))
        .route("/credentials/tokens/new/preview", submit(console, create::preview))
        .route("/credentials/tokens/{id}", show(console, view::page).merge(submit(console, view::page)))
        .route("/credentials/tokens/{id}/edit", show(console, edit::form).merge(submit(console, edit::save)))
        .route("/credentials/tokens/{id}/edit/preview", submit(console, edit::preview))
        .route("/credentials/tokens/{id}/rotate", show(console, rotate::form).merge(submit(console, rotate::rotate)))
        .route("/credentials/tokens/{id}/delete", show(console, delete::form).merge(submit(console, delete::delete)))
        .route("/credentials/tokens/{id}/secret", show(console, rotate::secret))
}
