//! The endpoints of gateways, one for each convention. Each reads the URL only from where its gateway puts it (W5).

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Uri, header::ORIGIN};
use axum::response::Response;

use super::Shared;
use super::forwarded::{ORIGINAL_URL, Received, check_url, only, passed_on, target_of};
use super::id::ids_of;
use crate::unread::{Seen, secrets_of};
use portcullis_http::answer::{Cors, Denial, HttpDecision, Outcome, read};
use portcullis_http::gateway::{Body, HttpRequest};

/// The `path_prefix` of Envoy's configuration.
const ENVOY: &str = "/authz/envoy";

/// The header with the body of a denial, for nginx, whose `auth_request` keeps only headers.
const DENIAL: HeaderName = HeaderName::from_static("x-portcullis-denial");

/// The names of the headers that carry the client's method and URL.
struct LineHeaders {
    method: &'static str,
    target: &'static str,
    /// Reads the path and query of the URL.
    read: fn(&str) -> Option<&str>,
}

/// The headers of nginx `auth_request`, and of scripts.
const ORIGINAL: LineHeaders = LineHeaders { method: "x-original-method", target: "x-original-uri", read: whole };

/// The headers of ingress-nginx with the annotation `auth-url`: an absolute URL. `X-Original-URI` is the client's own.
const INGRESS: LineHeaders = LineHeaders { method: "x-original-method", target: ORIGINAL_URL, read: target_of };

/// The headers of Caddy `forward_auth` and Traefik `forwardAuth`.
const FORWARDED: LineHeaders = LineHeaders { method: "x-forwarded-method", target: "x-forwarded-uri", read: whole };

/// Reads a header that is a path and query already.
#[expect(clippy::unnecessary_wraps, reason = "another header may have none")]
fn whole(target: &str) -> Option<&str> {
    Some(target)
}

/// Answers nginx. A gateway that accepts any 2xx cannot pass on the response to a preflight.
pub(super) async fn nginx(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    with_denial(&shared, &ORIGINAL, request).await
}

/// Answers ingress-nginx, which accepts any 2xx.
pub(super) async fn ingress_nginx(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    with_denial(&shared, &INGRESS, request).await
}

/// Answers with the body of a denial also in a header.
async fn with_denial(shared: &Shared, names: &LineHeaders, request: Request) -> Response {
    let (verdict, mut response) = decide_from(shared, names, &Cors::None, request).await;
    if let Some(denial) = verdict.as_ref().and_then(denial) {
        response.headers_mut().insert(DENIAL, denial);
    }
    response
}

/// Answers a script, which accepts only 200 and passes on every other response.
pub(super) async fn script(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    decide_from(&shared, &ORIGINAL, &shared.answers.cors, request).await.1
}

/// Answers gateways that accept any 2xx.
pub(super) async fn forwarded(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    decide_from(&shared, &FORWARDED, &Cors::None, request).await.1
}

/// Returns the original path and query of a check by Envoy.
pub(super) fn envoy_target(uri: &Uri) -> Option<&str> {
    uri.path_and_query()?.as_str().strip_prefix(ENVOY).filter(|original| original.starts_with('/'))
}

/// Answers Envoy, which accepts only 200.
pub(super) async fn envoy(shared: Arc<Shared>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = match read(body, shared.body_bytes).await {
        Ok(body) => body.to_bytes(),
        Err(answer) => return answer,
    };
    shared.authority.operations().room().await;
    // Envoy sends the client's own method.
    let target = envoy_target(&parts.uri).unwrap_or_default();
    let line = check_url(&parts.headers, target).map(|()| (parts.method.as_str(), target));
    let seen = Seen { method: Some(parts.method.as_str()), target: Some(target), secrets: &[] };
    let verdict = verdict(&shared, &parts.headers, line, &seen, &shared.answers.cors, &body);
    shared.answers.response(&verdict, parts.headers.get(ORIGIN))
}

async fn decide_from(
    shared: &Shared,
    names: &LineHeaders,
    cors: &Cors,
    request: Request,
) -> (Option<HttpDecision>, Response) {
    let (parts, body) = request.into_parts();
    let body = match read(body, shared.body_bytes).await {
        Ok(body) => body.to_bytes(),
        Err(answer) => return (None, answer),
    };
    shared.authority.operations().room().await;
    let headers = &parts.headers;
    let line = only(headers, names.method).and_then(|method| {
        let url = only(headers, names.target)?;
        let target = (names.read)(url).ok_or_else(|| format!("`{}` is not an absolute URL or a path", names.target))?;
        check_url(headers, target)?;
        Ok((method, target))
    });
    let seen = Seen {
        method: only(headers, names.method).ok(),
        target: only(headers, names.target).ok().and_then(names.read),
        secrets: &[],
    };
    let verdict = verdict(shared, headers, line, &seen, cors, &body);
    let response = shared.answers.response(&verdict, headers.get(ORIGIN));
    (Some(verdict), response)
}

fn verdict(
    shared: &Shared,
    headers: &HeaderMap,
    line: Result<(&str, &str), String>,
    seen: &Seen<'_>,
    cors: &Cors,
    body: &[u8],
) -> HttpDecision {
    let ids = ids_of(headers);
    match line {
        Ok((method, target)) => {
            let body = passed_on(headers, body);
            shared.authority.decide_http(&HttpRequest { method, target, headers: &Received(headers), body }, ids, cors)
        }
        Err(why) => {
            let (headers, target) = (Received(headers), seen.target.unwrap_or_default());
            let request = HttpRequest { method: "", target, headers: &headers, body: Body::NotPassedOn };
            let secrets = secrets_of(&request);
            shared.authority.not_understood(why.into(), ids, &Seen { secrets: &secrets, ..*seen })
        }
    }
}

/// Returns the body of a denial as the value of a header.
fn denial(verdict: &HttpDecision) -> Option<HeaderValue> {
    match &verdict.outcome {
        Outcome::Deny { reason, error } => HeaderValue::try_from(Denial { error, reason: reason.code() }.json()).ok(),
        Outcome::Allow { .. } | Outcome::Pass | Outcome::Preflight => None,
    }
}
