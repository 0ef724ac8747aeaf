//! The gate that every connection and request of a listener passes: limits of their number, size and duration.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

use axum::Router;
use axum::extract::Request;
use axum::http::header::{HeaderName, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode, Version};
use axum::response::Response;
use hyper::body::Incoming;
use hyper::service::Service;
use hyper_util::service::TowerToHyperService;

use super::Limits;
use super::bodies::{arriving, leaving};
use super::connection::{Cause, Connection, Ending};
use super::metrics::{Connections, Load};
use portcullis_http::answer::failure;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The only endpoint whose response is endless: changes of the health, over gRPC.
const WATCH: &str = "/grpc.health.v1.Health/Watch";

/// Admits connections and requests. Clones share their counts.
#[derive(Debug, Clone)]
pub(super) struct Gate(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    in_flight: AtomicU64,
    shed: AtomicU64,
    open: AtomicU64,
    refused: AtomicU64,
    not_accepted: AtomicU64,
    idle: AtomicU64,
    incomplete: AtomicU64,
    unread: AtomicU64,
    budget: Budget,
    limits: Limits,
}

/// A limit of the bytes that may be held at once.
#[derive(Debug)]
pub(super) struct Budget {
    limit: usize,
    used: AtomicUsize,
}

/// One admitted request. Dropping it frees its slot.
struct Passed<'g>(&'g AtomicU64);

/// One admitted connection. Dropping it frees its slot.
#[derive(Debug)]
pub(super) struct OpenConnection(Gate);

impl Budget {
    pub(super) const fn new(limit: usize) -> Self {
        Self { limit, used: AtomicUsize::new(0) }
    }

    /// Takes `bytes`; `false` if fewer are left.
    pub(super) fn take(&self, bytes: usize) -> bool {
        let more = |used: usize| used.checked_add(bytes).filter(|used| *used <= self.limit);
        self.used.fetch_update(Relaxed, Relaxed, more).is_ok()
    }

    pub(super) fn give_back(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Relaxed);
    }
}

impl Gate {
    pub(super) fn new(limits: Limits) -> Self {
        let count = || AtomicU64::new(0);
        Self(Arc::new(Inner {
            in_flight: count(),
            shed: count(),
            open: count(),
            refused: count(),
            not_accepted: count(),
            idle: count(),
            incomplete: count(),
            unread: count(),
            budget: Budget::new(limits.buffered_bytes),
            limits,
        }))
    }

    pub(super) fn budget(&self) -> &Budget {
        &self.0.budget
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.0.limits
    }

    pub(super) fn load(&self) -> Load {
        Load { in_flight: self.0.in_flight.load(Relaxed), shed: self.0.shed.load(Relaxed) }
    }

    pub(super) fn connections(&self) -> Connections {
        let count = |counter: &AtomicU64| counter.load(Relaxed);
        Connections {
            open: count(&self.0.open),
            refused: count(&self.0.refused),
            not_accepted: count(&self.0.not_accepted),
            closed: [
                (Cause::Idle.as_str(), count(&self.0.idle)),
                (Cause::Incomplete.as_str(), count(&self.0.incomplete)),
                (Cause::Unread.as_str(), count(&self.0.unread)),
            ],
            buffered_bytes: self.0.budget.used.load(Relaxed) as u64,
        }
    }

    /// Admits a connection; `None` if there are too many.
    pub(super) fn connect(&self) -> Option<Arc<Connection>> {
        let limit = u64::try_from(self.0.limits.connections).unwrap_or(u64::MAX);
        let open = OpenConnection(self.clone());
        if self.0.open.fetch_add(1, Relaxed) < limit {
            return Some(Connection::new(open, self.0.limits.connection_buffered_bytes));
        }
        self.0.refused.fetch_add(1, Relaxed);
        None
    }

    /// Counts a connection that the system failed to accept, mostly because too many files are open.
    pub(super) fn not_accepted(&self) {
        self.0.not_accepted.fetch_add(1, Relaxed);
    }

    /// Counts a connection that the server closes.
    pub(super) fn closed(&self, cause: Cause) {
        let counter = match cause {
            Cause::Idle => &self.0.idle,
            Cause::Incomplete => &self.0.incomplete,
            Cause::Unread => &self.0.unread,
        };
        counter.fetch_add(1, Relaxed);
    }

    fn enter(&self) -> Option<Passed<'_>> {
        let limit = u64::try_from(self.0.limits.requests).unwrap_or(u64::MAX);
        let passed = Passed(&self.0.in_flight);
        if self.0.in_flight.fetch_add(1, Relaxed) < limit { Some(passed) } else { None }
    }

    fn overloaded(&self, error: &str) -> Response {
        self.0.shed.fetch_add(1, Relaxed);
        busy("overloaded", error)
    }

    /// Passes a request to `router`. Answers 503 if there are too many requests, if the request takes too long, or if the
    /// budget has no room for it; 431 if it has too many headers. Repeats `X-Request-ID`.
    pub(super) async fn pass(
        &self,
        connection: &Arc<Connection>,
        request: Request<Incoming>,
        router: TowerToHyperService<Router>,
    ) -> Response {
        let active = connection.activate(request.version() == Version::HTTP_2);
        let id = request.headers().get(REQUEST_ID).cloned();
        let ending = if request.uri().path() == WATCH { Ending::Endless } else { Ending::Whole };
        let mut response = match self.enter() {
            None => self.overloaded("too many requests at once: try again"),
            Some(_passed) => self.answer(connection, request, router).await,
        };
        let repeat = |response: &mut Response| {
            if let Some(id) = &id {
                response.headers_mut().insert(REQUEST_ID, id.clone());
            }
        };
        repeat(&mut response);
        leaving(response, active, ending).unwrap_or_else(|| {
            let mut response = self.overloaded("too many responses are unread: try again");
            repeat(&mut response);
            response
        })
    }

    async fn answer(
        &self,
        connection: &Arc<Connection>,
        request: Request<Incoming>,
        router: TowerToHyperService<Router>,
    ) -> Response {
        let limits = &self.0.limits;
        if request.headers().len() > limits.headers {
            // HTTP/1 counts headers while it reads them, HTTP/2 only their bytes.
            return failure(
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                "too_many_headers",
                &format!("the request has more than {} headers", limits.headers),
            );
        }
        let (parts, body) = request.into_parts();
        let (body, charge) = arriving(body, connection);
        let answered = router.call(Request::from_parts(parts, body));
        match tokio::time::timeout(limits.request_time, answered).await {
            Err(_) => busy("timeout", "the request took too long"),
            Ok(_) if charge.is_some_and(|charge| charge.is_refused()) => {
                self.overloaded("too many bytes of bodies at once: try again")
            }
            Ok(Ok(response)) => response,
            Ok(Err(never)) => match never {},
        }
    }
}

impl OpenConnection {
    pub(super) fn gate(&self) -> &Gate {
        &self.0
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.0.open.fetch_sub(1, Relaxed);
    }
}

impl Drop for Passed<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

fn busy(reason: &str, error: &str) -> Response {
    let mut response = failure(StatusCode::SERVICE_UNAVAILABLE, reason, error);
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    response
}
