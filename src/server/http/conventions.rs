//! How gateways ask: one endpoint for each convention, which reads the URL only from where its gateway puts it (W5).

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, Uri, header::ORIGIN};
use axum::response::Response;

use super::Shared;
use super::forwarded::{Received, only, passed_on};
use super::id::told;
use crate::answer::read;
use crate::gateway::HttpRequest;

/// What Envoy is configured to put before the original path.
const ENVOY: &str = "/authz/envoy";

/// Where a gateway tells the client's method and URL.
struct Place {
    method: &'static str,
    target: &'static str,
}

/// nginx `auth_request`, and what is scripted in its way.
const NGINX: Place = Place { method: "x-original-method", target: "x-original-uri" };

/// Caddy `forward_auth`, Traefik `forwardAuth`.
const FORWARDED: Place = Place { method: "x-forwarded-method", target: "x-forwarded-uri" };

pub(super) async fn nginx(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    placed(&shared, &NGINX, request).await
}

pub(super) async fn forwarded(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    placed(&shared, &FORWARDED, request).await
}

/// The original path and query of a check by Envoy.
pub(super) fn behind_envoy(uri: &Uri) -> Option<&str> {
    uri.path_and_query()?.as_str().strip_prefix(ENVOY).filter(|original| original.starts_with('/'))
}

pub(super) async fn envoy(shared: Arc<Shared>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = match read(body, shared.body_bytes).await {
        Ok(body) => body.to_bytes(),
        Err(answer) => return answer,
    };
    shared.authority.operations().room().await;
    // The method is the client's own.
    let target = behind_envoy(&parts.uri).unwrap_or_default();
    answer(&shared, &parts.headers, Ok((parts.method.as_str(), target)), &body)
}

async fn placed(shared: &Shared, place: &Place, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = match read(body, shared.body_bytes).await {
        Ok(body) => body.to_bytes(),
        Err(answer) => return answer,
    };
    shared.authority.operations().room().await;
    let headers = &parts.headers;
    let line = only(headers, place.method).and_then(|method| Ok((method, only(headers, place.target)?)));
    answer(shared, headers, line, &body)
}

fn answer(shared: &Shared, headers: &HeaderMap, line: Result<(&str, &str), String>, body: &[u8]) -> Response {
    let ids = told(headers);
    let verdict = match line {
        Ok((method, target)) => {
            let body = passed_on(headers, body);
            shared.authority.ask(&HttpRequest { method, target, headers: &Received(headers), body }, ids)
        }
        Err(why) => shared.authority.not_understood(why.into(), ids),
    };
    shared.answers.response(&verdict, headers.get(ORIGIN))
}
