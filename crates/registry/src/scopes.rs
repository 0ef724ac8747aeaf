//! The scopes of OAuth access tokens. A scope only narrows the rights of its user.

use super::error::{Result, invalid};
use super::record::{Client, ClientKind};
use super::words::{did_you_mean, quoted};
use portcullis_secret::contains_secret;

/// Every scope, in the order of answers.
pub const SCOPES: [&str; 11] = [
    "read:tokens",
    WRITE_TOKENS,
    "read:named_sources",
    "write:named_sources",
    "read:connections",
    "write:connections",
    "read:clients",
    "write:clients",
    "read:catalog",
    "read:trail",
    ADMIN,
];

/// The scopes of OpenID Connect, which every single-page application may have.
pub const USER_SCOPES: [&str; 4] = [OPENID, "profile", "email", OFFLINE_ACCESS];

/// The scope for an ID token.
pub const OPENID: &str = "openid";

/// The scope for refresh tokens.
pub const OFFLINE_ACCESS: &str = "offline_access";

/// The scope that adds the records of other users, if the user is an administrator or an auditor.
pub const ADMIN: &str = "admin";

/// The scope for changes of tokens.
pub(super) const WRITE_TOKENS: &str = "write:tokens";

/// Checks a list of scopes: each is known, and none is repeated in the result.
pub(super) fn checked(scopes: &[String]) -> Result<Vec<String>> {
    for scope in scopes {
        if !SCOPES.contains(&&**scope) {
            let help = if contains_secret(scope) { String::new() } else { did_you_mean(scope, SCOPES) };
            let help = format!("{help}write some of `{}`", SCOPES.join("`, `"));
            return Err(invalid(format!("unknown scope {}", quoted(scope)), help).because("invalid_scope"));
        }
    }
    Ok(SCOPES.iter().filter(|known| scopes.iter().any(|scope| scope == *known)).map(ToString::to_string).collect())
}

/// Returns those of `scopes` that the client may have now.
pub(super) fn held(scopes: &[String], client: &Client) -> Vec<String> {
    let current = client.scopes.clone().unwrap_or_else(default_scopes);
    let is_held = |scope: &&String| {
        current.contains(scope) || (client.kind == ClientKind::Spa && USER_SCOPES.contains(&scope.as_str()))
    };
    scopes.iter().filter(is_held).cloned().collect()
}

/// Returns the scopes of a client for which none were chosen: every scope except [`ADMIN`].
pub fn default_scopes() -> Vec<String> {
    SCOPES.iter().filter(|scope| **scope != ADMIN).map(ToString::to_string).collect()
}
