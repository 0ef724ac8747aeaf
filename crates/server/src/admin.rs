//! The admin endpoints. They expose policy details: for operators only.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header::CONTENT_TYPE};
use axum::middleware::from_fn_with_state;
use axum::response::Response;
use axum::routing::{get, post};
use serde::Serialize;

use super::gate::Gate;
use super::http::{Shared, Sites, check, explain, wrong_method};
use super::metrics::CONTENT_TYPE as METRICS;
use super::operations::Readiness;
use portcullis_http::answer::{failure, json};

/// The state of the admin endpoints.
#[derive(Debug, Clone)]
pub(super) struct Admin {
    pub(super) shared: Arc<Shared>,
    /// The gate of the decision listener.
    pub(super) gate: Gate,
    /// The gate of the admin listener.
    pub(super) own: Gate,
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

/// Returns all admin endpoints.
pub(super) fn router(admin: Admin, sites: Arc<Sites>) -> Router {
    let shared = Arc::clone(&admin.shared);
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .route("/v1/shadow", get(shadow))
        .route("/v1/snapshot", get(snapshot))
        .with_state(admin)
        .route("/v1/explain", post(explain).with_state(shared))
        .fallback(nothing)
        .method_not_allowed_fallback(wrong_method)
        .layer(from_fn_with_state(sites, check))
}

async fn nothing() -> Response {
    failure(StatusCode::NOT_FOUND, "not_found", "no endpoint has this path")
}

async fn ready(State(admin): State<Admin>) -> Response {
    let draining = admin.draining.load(Ordering::Relaxed);
    let mut readiness = admin.shared.authority.operations().readiness();
    readiness.ready &= !draining;
    let status = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    json_response(status, &Ready { readiness, draining })
}

async fn metrics(State(admin): State<Admin>) -> Response {
    let connections = [("decisions", admin.gate.connections()), ("admin", admin.own.connections())];
    let text = admin.shared.authority.operations().metrics(Some(admin.gate.load()), &connections);
    let mut response = Response::new(text.into());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(METRICS));
    response
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
