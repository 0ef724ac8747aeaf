//! Answers of `/oauth/authorize` to the client. Each names its issuer (RFC 9207), so that a client of several issuers does not
//! mix them up.

use axum::response::Response;
use url::form_urlencoded;

use super::request::{Mode, Target};
use crate::console;
use crate::service::Workspace;

/// Returns the answer with a code.
pub(super) fn success(workspace: &Workspace, target: &Target, code: &str) -> Response {
    reply(workspace, target, &[("code", code)])
}

/// Returns the answer with an error.
pub(super) fn failure(workspace: &Workspace, target: &Target, error: &str, description: &str) -> Response {
    reply(workspace, target, &[("error", error), ("error_description", description)])
}

fn reply(workspace: &Workspace, target: &Target, fields: &[(&str, &str)]) -> Response {
    let issuer = workspace.issuer();
    let state = target.state.as_deref().map(|state| ("state", state));
    let fields: Vec<_> = fields.iter().copied().chain(state).chain([("iss", &*issuer)]).collect();
    match target.mode {
        Mode::Query => console::oauth::redirect(&with_query(&target.redirect_uri, &fields)),
        Mode::WebMessage => {
            let message = serde_json::Value::from_iter(fields);
            console::oauth::message(&workspace.base_path(), &target.origin(), &message.to_string())
        }
    }
}

/// Adds `fields` to the query of `uri`, which has no fragment.
pub(super) fn with_query(uri: &str, fields: &[(&str, &str)]) -> String {
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    if query.is_empty() {
        return uri.to_owned();
    }
    let separator = if uri.contains('?') { '&' } else { '?' };
    format!("{uri}{separator}{query}")
}
