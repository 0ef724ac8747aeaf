//! The exchange on one connection: requests pass the gate, and the connection is closed when its client does not go on.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderValue, StatusCode, Version};
use axum::response::Response;
use hyper::body::Incoming;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::{self, Builder};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;

use super::bodies::{arriving, leaving};
use super::connection::{Connection, Ending};
use super::gate::Gate;
use super::http::{REQUEST_ID, repeated};
use super::limits::TOO_MANY_HEADERS;
use super::protocol::Protocol;
use super::supervision::{Times, supervise};
use super::watched::Watched;
use portcullis_http::answer::failure;

/// The minimum buffer that HTTP/1 accepts, in bytes.
pub(super) const MIN_BUFFER: usize = 8192;

/// The only answer without an end: changes of the health, over gRPC.
const WATCH: &str = "/grpc.health.v1.Health/Watch";

/// What every connection of a listener is served with.
#[derive(Clone)]
pub(super) struct Serving {
    pub(super) http: Builder<TokioExecutor>,
    pub(super) router: Router,
    pub(super) gate: Gate,
    pub(super) times: Times,
    pub(super) stop: watch::Receiver<bool>,
}

impl Protocol for Serving {
    const REFUSAL: &'static [u8] =
        b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\ncontent-length: 0\r\nretry-after: 1\r\n\r\n";

    /// Answers the requests that come by `stream`, until the client or the server ends the connection.
    async fn exchange<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
        self,
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
        let exchange = pin!(self.http.serve_connection(stream, service));
        let ended =
            supervise(exchange, auto::Connection::graceful_shutdown, &connection, &self.gate, self.times, self.stop)
                .await;
        if let Some(Err(error)) = ended {
            tracing::debug!("a connection ended: {error}");
        }
    }
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
    // HTTP/1 counts headers while it reads them, HTTP/2 only their bytes. The buffer of HTTP/1 cannot be smaller.
    let bytes = if limits.header_bytes < MIN_BUFFER { header_bytes(&request) } else { 0 };
    if let Err(why) = limits.check_headers(request.headers().len(), bytes) {
        return failure(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, TOO_MANY_HEADERS, &why);
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
