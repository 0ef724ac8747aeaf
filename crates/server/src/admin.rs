//! The admin endpoints. They expose policy details: for operators only.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::extract::State;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::from_fn_with_state;
use axum::response::Response;
use axum::routing::{get, post};
use serde::Serialize;

use super::gate::Gate;
use super::http::{Shared, Sites, check, explain, not_found, wrong_method};
use super::metrics::{Format, Listening};
use super::operations::Readiness;
use super::tls::Certificates;
use portcullis_http::answer::{failure, json};

/// The state of the admin endpoints.
#[derive(Debug, Clone)]
pub(super) struct Admin {
    pub(super) shared: Arc<Shared>,
    /// The gate of the decision listener.
    pub(super) gate: Gate,
    /// The gate of the admin listener.
    pub(super) own: Gate,
    /// The certificates, by the name of their listener.
    pub(super) certificates: Vec<(&'static str, Certificates)>,
    /// Set when the server starts to drain.
    pub(super) draining: Arc<AtomicBool>,
}

#[derive(Serialize)]
struct Ready {
    #[serde(flatten)]
    readiness: Readiness,
    draining: bool,
}

#[derive(Serialize)]
struct SnapshotInfo {
    generation: u64,
    tokens: usize,
    grants: usize,
    bytes: usize,
    connections: Vec<String>,
}

/// One admin endpoint.
#[derive(Serialize)]
struct Endpoint {
    method: &'static str,
    path: &'static str,
    answer: &'static str,
}

/// All admin endpoints.
const ENDPOINTS: [Endpoint; 7] = [
    Endpoint { method: "GET", path: "/", answer: "this list, as text or JSON" },
    Endpoint { method: "GET", path: "/healthz", answer: "200 while the process runs" },
    Endpoint { method: "GET", path: "/readyz", answer: "200 with a policy, 503 without one; the state of the policy" },
    Endpoint { method: "GET", path: "/metrics", answer: "metrics, as OpenMetrics or Prometheus text" },
    Endpoint { method: "GET", path: "/v1/snapshot", answer: "the size and the connections of the active policy" },
    Endpoint { method: "GET", path: "/v1/shadow", answer: "what the shadow policy would change" },
    Endpoint { method: "POST", path: "/v1/explain", answer: "why a request is decided as it is" },
];

#[derive(Serialize)]
struct Index {
    endpoints: &'static [Endpoint],
}

/// Returns all admin endpoints.
pub(super) fn router(admin: Admin, sites: Arc<Sites>) -> Router {
    let shared = Arc::clone(&admin.shared);
    Router::new()
        .route("/", get(index))
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .route("/v1/shadow", get(shadow))
        .route("/v1/snapshot", get(snapshot))
        .with_state(admin)
        .route("/v1/explain", post(explain).with_state(shared))
        .fallback(async || not_found())
        .method_not_allowed_fallback(wrong_method)
        .layer(from_fn_with_state(sites, check))
}

/// Lists the endpoints: as JSON if the client asks for that, otherwise as text.
async fn index(headers: HeaderMap) -> Response {
    let is_json = |accept: &str| accept.to_ascii_lowercase().contains("application/json");
    if accepted(&headers).any(is_json) {
        return json_response(StatusCode::OK, &Index { endpoints: &ENDPOINTS });
    }
    let line = |it: &Endpoint| format!("{:<4} {:<13} {}\n", it.method, it.path, it.answer);
    plain(ENDPOINTS.iter().map(line).collect(), "text/plain; charset=utf-8")
}

fn accepted(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    headers.get_all(ACCEPT).iter().filter_map(|accept| accept.to_str().ok())
}

fn plain(text: String, content_type: &'static str) -> Response {
    let mut response = Response::new(text.into());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

async fn ready(State(admin): State<Admin>) -> Response {
    let draining = admin.draining.load(Ordering::Relaxed);
    let mut readiness = admin.shared.authority.operations().readiness();
    readiness.ready &= !draining;
    let status = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    json_response(status, &Ready { readiness, draining })
}

async fn metrics(State(admin): State<Admin>, headers: HeaderMap) -> Response {
    let format = Format::accepted(accepted(&headers));
    let certificates = admin.certificates.iter().map(|(name, certificates)| (*name, certificates.report()));
    let listening = Listening {
        load: Some(admin.gate.load()),
        connections: vec![("decisions", admin.gate.connections()), ("admin", admin.own.connections())],
        certificates: certificates.collect(),
    };
    plain(admin.shared.authority.operations().metrics(format, listening), format.content_type())
}

async fn shadow(State(admin): State<Admin>) -> Response {
    match admin.shared.authority.operations().shadow() {
        Some(report) => json_response(StatusCode::OK, &report),
        None => {
            failure(StatusCode::NOT_FOUND, "no_shadow_policy", "there is no shadow policy: name one with `--shadow`")
        }
    }
}

async fn snapshot(State(admin): State<Admin>) -> Response {
    let current = admin.shared.authority.operations().authorizer().current();
    let Some(snapshot) = current.snapshot() else {
        return failure(StatusCode::SERVICE_UNAVAILABLE, "policy_unavailable", "there is no policy");
    };
    let report = snapshot.report();
    let info = SnapshotInfo {
        generation: current.number(),
        tokens: snapshot.token_count(),
        grants: report.grant_count(),
        bytes: report.bytes(),
        connections: snapshot.connections().map(|connection| connection.name().to_owned()).collect(),
    };
    json_response(StatusCode::OK, &info)
}

fn json_response(status: StatusCode, answer: &impl Serialize) -> Response {
    match serde_json::to_string(answer) {
        Ok(text) => json(status, text),
        Err(error) => failure(StatusCode::INTERNAL_SERVER_ERROR, "internal", &error.to_string()),
    }
}
