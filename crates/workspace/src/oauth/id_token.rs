//! ID tokens (OpenID Connect Core, section 2), and the claims about a user.

use portcullis_registry::Granted;
use serde_json::{Map, Value, json};

use super::keys;
use crate::problem::Problem;
use crate::service::Workspace;

/// Returns a signed ID token.
///
/// # Errors
///
/// If there is no key, or the registry fails.
pub(super) async fn issue(workspace: &Workspace, granted: &Granted) -> Result<String, Problem> {
    let now = Workspace::now().seconds();
    let mut token = claims(&granted.user, &granted.scopes);
    let mut set = |name: &str, value: Value| token.insert(name.to_owned(), value);
    set("iss", json!(workspace.issuer()));
    set("aud", json!(granted.client.id));
    set("iat", json!(now));
    set("exp", json!(now.saturating_add(workspace.access_lifetime())));
    set("auth_time", json!(granted.signed_in.seconds()));
    if let Some(nonce) = &granted.nonce {
        set("nonce", json!(nonce));
    }
    let key = keys::current(workspace).await?;
    key.sign(&Value::Object(token)).ok_or_else(Problem::internal)
}

/// Returns what `scopes` let a client know about `user`.
pub(super) fn claims(user: &str, scopes: &[String]) -> Map<String, Value> {
    let has = |scope: &str| scopes.iter().any(|held| held == scope);
    let mut claims = Map::new();
    let mut set = |name: &str| claims.insert(name.to_owned(), json!(user));
    set("sub");
    if has("profile") {
        set("name");
        set("preferred_username");
    }
    if has("email") && is_email(user) {
        set("email");
    }
    claims
}

/// Whether the name of a user is an address.
fn is_email(user: &str) -> bool {
    let parts = user.rsplit_once('@');
    parts.is_some_and(|(name, host)| !name.is_empty() && host.contains('.') && !user.contains(char::is_whitespace))
}

#[cfg(test)]
mod tests {
    use super::claims;

    #[test]
    fn a_scope_adds_its_claims() {
        for (user, scopes, want) in [
            ("ana", &["openid"][..], &["sub"][..]),
            ("ana", &["openid", "profile", "email"], &["name", "preferred_username", "sub"]),
            ("ana@example.com", &["openid", "email"], &["email", "sub"]),
            ("ana@example.com", &["openid", "profile"], &["name", "preferred_username", "sub"]),
            ("ana@host", &["email"], &["sub"]),
            ("a b@example.com", &["email"], &["sub"]),
        ] {
            let scopes: Vec<String> = scopes.iter().map(ToString::to_string).collect();
            let claims = claims(user, &scopes);
            let mut names: Vec<_> = claims.keys().map(String::as_str).collect();
            names.sort_unstable();
            assert_eq!(names, want, "{user} {scopes:?}");
            assert!(claims.values().all(|value| value == user));
        }
    }
}
