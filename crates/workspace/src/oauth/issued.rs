//! Answers of `POST /oauth/token`, whatever the grant.

use serde::Serialize;

use super::error::OauthError;
use crate::problem::Problem;

/// An access token, as RFC 6749 answers.
#[derive(Serialize)]
pub(super) struct Body<'t> {
    pub(super) access_token: &'t str,
    pub(super) token_type: &'static str,
    pub(super) expires_in: i64,
    pub(super) scope: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) refresh_token: Option<&'t str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) id_token: Option<&'t str>,
}

/// Returns the error of an access token that cannot be issued.
pub(super) fn not_issued(problem: Problem) -> OauthError {
    if problem.status().is_server_error() {
        return OauthError::from(problem);
    }
    if problem.reason() == "user_disabled" {
        return OauthError::new("unauthorized_client", "the owner of the client is disabled", "ask an administrator");
    }
    let message = problem.details().first().map_or_else(String::new, |detail| detail.message.clone());
    let message = format!("the grants of the client are not valid any more: {message}");
    OauthError::new("invalid_grant", message, "correct the grants with `portcullis credentials update`")
}
