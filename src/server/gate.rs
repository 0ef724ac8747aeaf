//! What every request passes first: how many there may be at once, and how long each may take.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::header::{HeaderName, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::Response;

use super::metrics::Load;
use crate::answer::failure;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Lets requests pass. Clones count together.
#[derive(Debug, Clone)]
pub(super) struct Gate {
    counts: Arc<Counts>,
    /// The most requests at once.
    most: u64,
    /// The most headers of one: HTTP/1 counts them while it reads, HTTP/2 only their bytes.
    headers: usize,
    /// How long one may take, its body included.
    time: Duration,
}

#[derive(Debug, Default)]
struct Counts {
    in_flight: AtomicU64,
    shed: AtomicU64,
}

/// One request that has passed. Dropped, it makes room for another.
struct Passed<'g>(&'g AtomicU64);

impl Gate {
    pub(super) fn new(most: u64, headers: usize, time: Duration) -> Self {
        Self { counts: Arc::default(), most, headers, time }
    }

    pub(super) fn load(&self) -> Load {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Load { in_flight: count(&self.counts.in_flight), shed: count(&self.counts.shed) }
    }

    fn enter(&self) -> Option<Passed<'_>> {
        let passed = Passed(&self.counts.in_flight);
        if self.counts.in_flight.fetch_add(1, Ordering::Relaxed) < self.most {
            return Some(passed);
        }
        self.counts.shed.fetch_add(1, Ordering::Relaxed);
        None
    }
}

impl Drop for Passed<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Answers 503 where there are too many requests or one takes too long, 431 where it has too many headers, and repeats
/// `X-Request-ID`.
pub(super) async fn pass(State(gate): State<Gate>, request: Request, next: Next) -> Response {
    let id = request.headers().get(REQUEST_ID).cloned();
    let mut response = match gate.enter() {
        None => busy("overloaded", "too many requests at once: try again"),
        Some(_) if request.headers().len() > gate.headers => failure(
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            "too_many_headers",
            &format!("the request has more than {} headers", gate.headers),
        ),
        Some(_passed) => tokio::time::timeout(gate.time, next.run(request))
            .await
            .unwrap_or_else(|_| busy("timeout", "the request took too long to arrive")),
    };
    if let Some(id) = id {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}

fn busy(reason: &str, error: &str) -> Response {
    let mut response = failure(StatusCode::SERVICE_UNAVAILABLE, reason, error);
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    response
}
