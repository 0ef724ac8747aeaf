//! The metadata of the policy decision point: the URLs of its AuthZEN endpoints.

use std::sync::Arc;

use axum::extract::{Path, Request, State};
use axum::http::header::HOST;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::Serialize;
use url::Host;

use super::{Shared, not_found};
use crate::public_url::PublicUrl;
use portcullis::base::is_browsed_host;
use portcullis_http::answer::{failure, json};

#[derive(Serialize)]
struct Configuration {
    policy_decision_point: String,
    access_evaluation_endpoint: String,
    access_evaluations_endpoint: String,
}

/// Returns the metadata of a server without a path.
pub(super) async fn configuration(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    if let Some(url) = &shared.public_url {
        return metadata(url.as_str());
    }
    match called(&request) {
        Some(host) => metadata(&format!("https://{host}")),
        None => failure(
            StatusCode::BAD_REQUEST,
            "invalid_request",
            "expected one host name: call the server by its name, or set `--public-url`",
        ),
    }
}

/// Returns the metadata of a server whose public URL has this path: AuthZEN puts the path after the well-known name.
pub(super) async fn configuration_of_path(State(shared): State<Arc<Shared>>, Path(path): Path<String>) -> Response {
    let is_own = |url: &&PublicUrl| url.path().strip_prefix('/').is_some_and(|own| own == path.trim_end_matches('/'));
    shared.public_url.as_ref().filter(is_own).map_or_else(not_found, |url| metadata(url.as_str()))
}

fn metadata(base: &str) -> Response {
    let configuration = Configuration {
        access_evaluation_endpoint: format!("{base}/access/v1/evaluation"),
        access_evaluations_endpoint: format!("{base}/access/v1/evaluations"),
        policy_decision_point: base.to_owned(),
    };
    // Three texts always serialize.
    json(StatusCode::OK, serde_json::to_string(&configuration).unwrap_or_default())
}

/// Returns the host and port by which the client called the server: `:authority` of HTTP/2, or `Host`. `None` if they differ,
/// or are not the host and port of a URL.
fn called(request: &Request) -> Option<String> {
    let headers: &HeaderMap = request.headers();
    let hosts = headers.get_all(HOST).iter().map(|host| host.to_str().ok());
    let authority = request.uri().authority().map(|authority| Some(authority.as_str()));
    let mut names = authority.into_iter().chain(hosts);
    let first = names.next()??;
    if names.any(|name| name.is_none_or(|name| !name.eq_ignore_ascii_case(first))) {
        return None;
    }
    let authority: Authority = first.parse().ok()?;
    let port = match authority.port() {
        None => String::new(),
        Some(port) => format!(":{}", Some(port.as_u16()).filter(|port| *port != 0)?),
    };
    let host = Host::parse(authority.host()).ok()?.to_string();
    // Clients read another host from other spellings, or none: an underscore is in no host name of a URL.
    let is_plain = host.eq_ignore_ascii_case(authority.host()) && is_browsed_host(&host) && !host.contains('_');
    (is_plain && format!("{host}{port}").eq_ignore_ascii_case(first)).then(|| format!("{host}{port}"))
}
