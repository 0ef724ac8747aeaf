//! The exchange on one connection: requests pass the gate, and the connection is closed when its client does not go on.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderValue, StatusCode, Version};
use axum::response::Response;
use hyper::body::Incoming;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, watch};
use tokio::time::{MissedTickBehavior, interval};

use super::bodies::{arriving, leaving};
use super::connection::{Connection, Ending, TICKS};
use super::gate::{Cause, Gate};
use super::http::{REQUEST_ID, repeated};
use super::watched::Watched;
use portcullis_http::answer::failure;

/// The minimum buffer that HTTP/1 accepts, in bytes.
pub(super) const MIN_BUFFER: usize = 8192;

/// The only answer without an end: changes of the health, over gRPC.
const WATCH: &str = "/grpc.health.v1.Health/Watch";

/// The time that connections have.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    /// For the headers of a request; and for reading an answer.
    pub(super) request: Duration,
    /// Between requests.
    pub(super) idle: Duration,
}

/// What every connection of a listener is served with.
#[derive(Clone)]
pub(super) struct Serving {
    pub(super) http: Builder<TokioExecutor>,
    pub(super) router: Router,
    pub(super) gate: Gate,
    pub(super) times: Times,
    pub(super) stop: watch::Receiver<bool>,
    /// Dropped when the connection ends.
    pub(super) _open: mpsc::Sender<Infallible>,
}

impl Serving {
    /// Answers the requests that come by `stream`, until the client or the server ends the connection.
    pub(super) async fn exchange<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
        mut self,
        stream: S,
        connection: Arc<Connection>,
    ) {
        let (gate, router) = (self.gate.clone(), TowerToHyperService::new(self.router));
        let served = Arc::clone(&connection);
        let service = service_fn(move |request: Request<Incoming>| {
            let (gate, router, connection) = (gate.clone(), router.clone(), Arc::clone(&served));
            async move { Ok::<_, Infallible>(pass(&gate, &connection, request, router).await) }
        });
        let stream = TokioIo::new(Watched::new(stream, Arc::clone(&connection)));
        let mut exchange = pin!(self.http.serve_connection(stream, service));
        let mut ticks = ticks(self.times.request / TICKS);
        let mut looks = ticks_of_idle(self.times.idle);
        let (mut unused, mut is_ending) = (0, false);
        let cause = loop {
            tokio::select! {
                ended = exchange.as_mut() => {
                    if let Err(error) = ended {
                        tracing::debug!("a connection ended: {error}");
                    }
                    return;
                }
                _ = self.stop.wait_for(|stop| *stop), if !is_ending => {
                    is_ending = true;
                    exchange.as_mut().graceful_shutdown();
                }
                _ = ticks.tick() => if let Some(cause) = connection.next_tick() {
                    break cause;
                },
                _ = looks.tick() => {
                    unused = if connection.is_unused() { unused + 1 } else { 0 };
                    match unused {
                        0 | 1 => {}
                        2 if !is_ending => {
                            // A client that is just asking learns by this that it has to ask on another connection.
                            is_ending = true;
                            self.gate.closed(Cause::Idle);
                            exchange.as_mut().graceful_shutdown();
                        }
                        // It does not even say goodbye.
                        _ => return,
                    }
                }
            }
        };
        self.gate.closed(cause);
        tracing::debug!("a connection is closed: {}", cause.as_str());
    }
}

fn ticks_of_idle(idle: Duration) -> tokio::time::Interval {
    ticks(idle / 2)
}

fn ticks(period: Duration) -> tokio::time::Interval {
    let mut ticks = interval(period.clamp(Duration::from_millis(1), Duration::from_hours(1)));
    // After a pause of the whole process nobody is too late.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

/// Answers 503 where there are too many requests, one takes too long or there is no room for it, 431 where it has too many
/// headers, and repeats `X-Request-ID`.
async fn pass(
    gate: &Gate,
    connection: &Arc<Connection>,
    request: Request<Incoming>,
    router: TowerToHyperService<Router>,
) -> Response {
    let active = connection.activate(request.version() == Version::HTTP_2);
    let id = repeated(request.headers()).cloned();
    let ending = if request.uri().path() == WATCH { Ending::Endless } else { Ending::Whole };
    let mut response = match gate.enter() {
        None => overloaded(gate, "too many requests at once: try again"),
        Some(_passed) => answer(gate, connection, request, router).await,
    };
    let repeat = |response: &mut Response| {
        if let Some(id) = &id {
            response.headers_mut().insert(REQUEST_ID, id.clone());
        }
    };
    repeat(&mut response);
    leaving(response, active, ending).unwrap_or_else(|| {
        let mut response = overloaded(gate, "too many answers wait to be read: try again");
        repeat(&mut response);
        response
    })
}

async fn answer(
    gate: &Gate,
    connection: &Arc<Connection>,
    request: Request<Incoming>,
    router: TowerToHyperService<Router>,
) -> Response {
    let limits = gate.limits();
    let too_many = |what: String| failure(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "too_many_headers", &what);
    if request.headers().len() > limits.headers {
        // HTTP/1 counts headers while it reads them, HTTP/2 only their bytes.
        return too_many(format!("the request has more than {} headers", limits.headers));
    }
    // The buffer of HTTP/1 cannot be smaller.
    if limits.header_bytes < MIN_BUFFER && header_bytes(&request) > limits.header_bytes {
        return too_many(format!("the headers of the request have more than {} bytes", limits.header_bytes));
    }
    let (mut parts, body) = request.into_parts();
    if let Some(peer) = connection.peer() {
        parts.extensions.insert(peer);
    }
    let (body, charge) = arriving(body, connection);
    let answered = router.call(Request::from_parts(parts, body));
    match tokio::time::timeout(limits.request_time, answered).await {
        Err(_) => busy("timeout", "the request took too long"),
        Ok(_) if charge.is_some_and(|charge| charge.is_refused()) => {
            overloaded(gate, "too many bytes of bodies at once: try again")
        }
        Ok(Ok(response)) => response,
        Ok(Err(never)) => match never {},
    }
}

/// Returns the size of the target and the headers of a request.
fn header_bytes(request: &Request<Incoming>) -> usize {
    let target = request.uri().path_and_query().map_or(0, |target| target.as_str().len());
    let headers = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len());
    target + headers.sum::<usize>()
}

fn overloaded(gate: &Gate, error: &str) -> Response {
    gate.shed();
    busy("overloaded", error)
}

fn busy(reason: &str, error: &str) -> Response {
    let mut response = failure(StatusCode::SERVICE_UNAVAILABLE, reason, error);
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    response
}
