//! Finds out who sends a request: an OAuth access token, or the session of the console.

use http::header::{AUTHORIZATION, HOST, ORIGIN};
use http::{HeaderMap, Method, StatusCode};
use portcullis::model::SecretDigest;
use portcullis_secret::{SecretKind, recognise};

use crate::identity::{Identity, Via};
use crate::problem::Problem;
use crate::service::Workspace;

const HELP: &str = "send `Authorization: Bearer …` with an access token of `POST /oauth/token`";

/// Returns the caller of a request.
///
/// # Errors
///
/// If there is none, or its credentials are not valid.
pub(crate) async fn caller(workspace: &Workspace, method: &Method, headers: &HeaderMap) -> Result<Identity, Problem> {
    if let Some(secret) = bearer(headers)? {
        return by_secret(workspace, secret).await;
    }
    let identity = workspace.session(headers).await?.ok_or_else(unauthenticated)?;
    check_same_site(workspace, method, headers)?;
    Ok(identity)
}

/// Returns the caller of a request that needs an access token, whatever session the browser has.
///
/// # Errors
///
/// If there is none, or it is not valid.
pub(crate) async fn by_access_token(workspace: &Workspace, headers: &HeaderMap) -> Result<Identity, Problem> {
    by_secret(workspace, bearer(headers)?.ok_or_else(unauthenticated)?).await
}

fn unauthenticated() -> Problem {
    Problem::unauthorized("unauthenticated", "the request has no credentials", HELP)
}

/// Returns the secret of the `Authorization` header, if the request has one.
pub(crate) fn bearer(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let malformed =
        || Problem::unauthorized("invalid_token", "the `Authorization` header is not `Bearer` and a token", HELP);
    if values.next().is_some() {
        return Err(malformed());
    }
    let text = value.to_str().map_err(|_| malformed())?;
    let (scheme, secret) = text.split_once(' ').ok_or_else(malformed)?;
    let secret = secret.trim_matches(' ');
    if !scheme.eq_ignore_ascii_case("bearer") || secret.is_empty() || secret.contains(' ') {
        return Err(malformed());
    }
    Ok(Some(secret))
}

async fn by_secret(workspace: &Workspace, secret: &str) -> Result<Identity, Problem> {
    if recognise(secret) == Some(SecretKind::Token) {
        let message = "an API access token reads data, but manages no credentials";
        return Err(Problem::unauthorized("invalid_token", message, HELP));
    }
    let digest = SecretDigest::of(secret);
    let access = workspace.look(move |registry| registry.access(&digest, Workspace::now())).await?;
    let access = access.ok_or_else(|| {
        Problem::unauthorized("invalid_token", "the access token is unknown, expired or revoked", HELP)
    })?;
    let via = Via::Client { id: access.client, access: access.id, scopes: access.scopes };
    Ok(Identity { user: access.user, role: access.role, via, person: None, digest })
}

/// Whether a request only looks at a page: of a program that previews a link, or of a browser that fetches a page before the
/// user opens it. It signs nobody in, and uses nothing up.
pub(crate) fn only_looks(method: &Method, headers: &HeaderMap) -> bool {
    let has =
        |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).is_some_and(|it| it.contains("prefetch"));
    *method == Method::HEAD || has("sec-purpose") || has("purpose")
}

/// Whether a page of another site opens this one. The browser sends no cookie of the session then.
pub(crate) fn is_cross_site(headers: &HeaderMap) -> bool {
    headers.get("sec-fetch-site").is_some_and(|site| site == "cross-site")
}

/// Checks that a change in a session comes from a page of the workspace: a browser adds the cookie to requests of every page.
pub(crate) fn check_same_site(workspace: &Workspace, method: &Method, headers: &HeaderMap) -> Result<(), Problem> {
    if matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS) {
        return Ok(());
    }
    let one = |name| {
        let mut values = headers.get_all(name).iter();
        values.next().filter(|_| values.next().is_none()).and_then(|value| value.to_str().ok())
    };
    let origin = one(ORIGIN);
    let own = url::Url::parse(workspace.url()).ok().map(|url| url.origin().ascii_serialization());
    // Without a public URL the browser names the host that the listener accepted.
    let named = one(HOST).and_then(|host| {
        let scheme = if workspace.is_https() { "https" } else { "http" };
        url::Url::parse(&format!("{scheme}://{host}")).ok().map(|url| url.origin().ascii_serialization())
    });
    if origin.is_some() && (origin == own.as_deref() || origin == named.as_deref()) {
        return Ok(());
    }
    let help = "make the change on a page of the workspace";
    Err(Problem::new(StatusCode::FORBIDDEN, "cross_site", "the request does not come from the workspace", help))
}
