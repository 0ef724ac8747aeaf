//! How gateways ask: one endpoint for each convention, which reads the URL only from where its gateway puts it (W5).

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Uri, header::ORIGIN};
use axum::response::Response;

use super::Shared;
use super::forwarded::{Received, check_url, only, passed_on};
use super::id::told;
use portcullis_http::answer::{Cors, Denial, HttpDecision, Outcome, read};
use portcullis_http::gateway::HttpRequest;

/// The `path_prefix` of Envoy's configuration.
const ENVOY: &str = "/authz/envoy";

/// Holds the body of a denial for nginx, whose `auth_request` keeps only headers.
const DENIAL: HeaderName = HeaderName::from_static("x-portcullis-denial");

/// The headers that carry the client's method and URL.
struct Place {
    method: &'static str,
    target: &'static str,
}

/// nginx `auth_request`, and scripts.
const ORIGINAL: Place = Place { method: "x-original-method", target: "x-original-uri" };

/// Caddy `forward_auth`, Traefik `forwardAuth`.
const FORWARDED: Place = Place { method: "x-forwarded-method", target: "x-forwarded-uri" };

/// A gateway that takes any 2xx for yes cannot hand on the answer to a preflight.
pub(super) async fn nginx(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (verdict, mut response) = placed(&shared, &ORIGINAL, &Cors::None, request).await;
    if let Some(denial) = verdict.as_ref().and_then(denial) {
        response.headers_mut().insert(DENIAL, denial);
    }
    response
}

/// A script that takes only 200 for yes, and hands on every other answer.
pub(super) async fn script(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    placed(&shared, &ORIGINAL, &shared.answers.cors, request).await.1
}

/// Gateways that take any 2xx for yes.
pub(super) async fn forwarded(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    placed(&shared, &FORWARDED, &Cors::None, request).await.1
}

/// The original path and query of a check by Envoy.
pub(super) fn behind_envoy(uri: &Uri) -> Option<&str> {
    uri.path_and_query()?.as_str().strip_prefix(ENVOY).filter(|original| original.starts_with('/'))
}

/// Envoy takes only 200 for yes.
pub(super) async fn envoy(shared: Arc<Shared>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = match read(body, shared.body_bytes).await {
        Ok(body) => body.to_bytes(),
        Err(answer) => return answer,
    };
    shared.authority.operations().room().await;
    // The method is the client's own.
    let target = behind_envoy(&parts.uri).unwrap_or_default();
    let line = check_url(&parts.headers, target).map(|()| (parts.method.as_str(), target));
    let verdict = verdict(&shared, &parts.headers, line, &shared.answers.cors, &body);
    shared.answers.response(&verdict, parts.headers.get(ORIGIN))
}

async fn placed(shared: &Shared, place: &Place, cors: &Cors, request: Request) -> (Option<HttpDecision>, Response) {
    let (parts, body) = request.into_parts();
    let body = match read(body, shared.body_bytes).await {
        Ok(body) => body.to_bytes(),
        Err(answer) => return (None, answer),
    };
    shared.authority.operations().room().await;
    let headers = &parts.headers;
    let line = only(headers, place.method).and_then(|method| {
        let target = only(headers, place.target)?;
        check_url(headers, target)?;
        Ok((method, target))
    });
    let verdict = verdict(shared, headers, line, cors, &body);
    let response = shared.answers.response(&verdict, headers.get(ORIGIN));
    (Some(verdict), response)
}

fn verdict(
    shared: &Shared,
    headers: &HeaderMap,
    line: Result<(&str, &str), String>,
    cors: &Cors,
    body: &[u8],
) -> HttpDecision {
    let ids = told(headers);
    match line {
        Ok((method, target)) => {
            let body = passed_on(headers, body);
            shared.authority.ask(&HttpRequest { method, target, headers: &Received(headers), body }, ids, cors)
        }
        Err(why) => shared.authority.not_understood(why.into(), ids),
    }
}

/// The body of a denial as a header's value.
fn denial(verdict: &HttpDecision) -> Option<HeaderValue> {
    match &verdict.outcome {
        Outcome::Deny { reason, error } => HeaderValue::try_from(Denial { error, reason: reason.code() }.json()).ok(),
        Outcome::Allow { .. } | Outcome::Pass | Outcome::Preflight => None,
    }
}
