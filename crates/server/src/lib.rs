//! The sidecar: gateways ask over HTTP or gRPC, and are answered by a policy that may change meanwhile.
//!
//! [`Server`] listens, for decisions and for administration apart. Every protocol reads its requests, asks the one
//! [`Authority`], and tells its answer; [`operations::Operations`] keeps the policy live, and tells operators what happens.
//!
//! ```no_run
//! use std::sync::Arc;
//! use portcullis_http::gateway::Reader;
//! use portcullis_server::operations::{Operations, OperationsOptions};
//! use portcullis_server::policy::Source;
//! use portcullis_server::{Authority, Server, ServerOptions};
//!
//! # async fn serve() -> Result<(), Box<dyn std::error::Error>> {
//! let operations = Operations::start(OperationsOptions::new(Source::files(["policy.json"])?))?;
//! let authority = Authority::new(operations, Reader::default());
//! let server = Server::bind(Arc::new(authority), ServerOptions::default()).await?;
//! server.run(async { _ = tokio::signal::ctrl_c().await }).await;
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

mod admin;
mod authority;
mod bodies;
mod connection;
mod decided;
pub mod decision_log;
pub mod descriptors;
mod envoy;
mod exchange;
mod gate;
mod http;
mod listen;
pub mod metrics;
pub mod operations;
pub mod policy;
pub mod shadow;
mod socket;
mod tls;
pub mod usage;
mod watched;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::http::{StatusCode, Uri, Version};
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use envoy_types::pb::envoy::service::auth::v3::authorization_server::AuthorizationServer;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::{oneshot, watch};
use tonic::service::Routes;
use tonic_health::pb::health_server::{Health, HealthServer};

pub use authority::{Authority, Decide, Instant};
pub use decided::{Decided, Ids, PreflightEnd, PreflightSeen};
pub use listen::{Address, AddressError};
pub use portcullis_http::answer::{Cors, HttpDecision, Outcome};
pub use tls::{Tls, TlsError};

use admin::Admin;
use envoy::Checks;
use gate::Gate;
use http::{Shared, Sites};
use listen::Listener;
use portcullis_http::answer::{Responses, failure};

/// How a server serves.
#[derive(Debug, Clone)]
pub struct ServerOptions {
    /// Where gateways ask.
    pub listen: Address,
    /// Where operators ask: it tells of the policy.
    pub admin: Address,
    /// The permissions of Unix sockets, such as `0o660` for a group.
    pub socket_mode: u32,
    /// TLS of the listener for decisions.
    pub tls: Option<Tls>,
    /// TLS of the listener for administration.
    pub admin_tls: Option<Tls>,
    /// The web sites whose preflights are answered, and from which a browser may read why a request is denied.
    pub cors: Cors,
    /// The URL that clients reach the server by, for AuthZEN's metadata.
    pub public_url: Option<String>,
    /// Names by which programs and operators may call the server, beside those of the loopback addresses. Checked on loopback
    /// addresses, and on every TCP address where there are any; `*` stands for every name.
    pub hosts: Vec<String>,
    /// What is too much.
    pub limits: Limits,
    /// How long a server that stops waits for the requests that have begun.
    pub drain: Duration,
}

/// What is too much. More is refused, never allowed.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Bytes of a body.
    pub body_bytes: usize,
    /// Bytes of all headers of a request.
    pub header_bytes: usize,
    /// Headers of a request.
    pub headers: usize,
    /// Connections at once.
    pub connections: usize,
    /// Requests at once.
    pub requests: usize,
    /// Requests of a list, and sources of a request.
    pub batch: usize,
    /// Bytes of bodies in memory: of requests, and of answers that were not read yet.
    pub buffered_bytes: usize,
    /// The same of one connection.
    pub connection_buffered_bytes: usize,
    /// How long each of these may take: a TLS handshake, the headers of a request, its body and the decision, and the reading of
    /// the answer.
    pub request_time: Duration,
    /// How long a connection may be idle between requests.
    pub idle_time: Duration,
}

impl Default for ServerOptions {
    fn default() -> Self {
        let loopback = |port| Address::Tcp((std::net::Ipv4Addr::LOCALHOST, port).into());
        Self {
            listen: loopback(8181),
            admin: loopback(8182),
            socket_mode: 0o600,
            tls: None,
            admin_tls: None,
            cors: Cors::None,
            public_url: None,
            hosts: Vec::new(),
            limits: Limits::default(),
            drain: Duration::from_secs(20),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes: 1 << 20,
            header_bytes: 64 << 10,
            headers: 128,
            connections: 4096,
            requests: 4096,
            batch: 1000,
            buffered_bytes: 256 << 20,
            connection_buffered_bytes: 32 << 20,
            request_time: Duration::from_secs(5),
            idle_time: Duration::from_secs(75),
        }
    }
}

/// Why a server cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The address is not to be had.
    #[error("cannot listen on {address}: {error}")]
    Address {
        /// The address.
        address: Address,
        /// Why not.
        error: std::io::Error,
    },
    /// TLS cannot be set up.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The system gives no thread.
    #[error("cannot start the thread of the admin listener: {0}")]
    Thread(std::io::Error),
}

/// A server that listens, and does not answer yet.
pub struct Server {
    decisions: Listener,
    admin: Listener,
    operators: Operators,
    shared: Arc<Shared>,
    sites: Arc<Sites>,
    admin_sites: Arc<Sites>,
    limits: Limits,
    drain: Duration,
}

/// A thread for operators alone: however busy the listener for decisions is, they are answered.
#[derive(Debug)]
struct Operators {
    handle: Handle,
    runtime: Option<Runtime>,
}

impl Operators {
    fn start() -> Result<Self, BindError> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            // One request is explained at a time.
            .max_blocking_threads(1)
            // Its thread starts now and stays: later there may be none to be had.
            .thread_keep_alive(Duration::from_secs(1 << 30))
            .thread_name("admin")
            .enable_all()
            .build();
        let runtime = runtime.map_err(BindError::Thread)?;
        drop(runtime.spawn_blocking(|| {}));
        Ok(Self { handle: runtime.handle().clone(), runtime: Some(runtime) })
    }
}

impl Operators {
    /// Ends what is left. Waits, so that nothing of it holds the log open any more.
    fn end(mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(Duration::from_secs(1));
        }
    }
}

impl Drop for Operators {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // It may be dropped by a task of another runtime, which must not wait.
            runtime.shutdown_background();
        }
    }
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (listen, admin) = (self.address(), self.admin_address());
        f.debug_struct("Server").field("listen", listen).field("admin", admin).finish_non_exhaustive()
    }
}

impl Server {
    /// Listens on both addresses.
    ///
    /// # Errors
    ///
    /// If an address is not to be had, or TLS cannot be set up.
    pub async fn bind(authority: Arc<Authority>, options: ServerOptions) -> Result<Self, BindError> {
        let ServerOptions { listen, admin, socket_mode, tls, admin_tls, cors, public_url, hosts, limits, drain } =
            options;
        let operators = Operators::start()?;
        let decisions = bind(listen, socket_mode, tls).await?;
        let bound = operators.handle.spawn(bind(admin, socket_mode, admin_tls)).await;
        let admin = bound.map_err(|error| BindError::Thread(error.into()))??;
        let own_name = public_url.as_deref().and_then(|url| url.parse::<Uri>().ok());
        let own_name = own_name.as_ref().and_then(Uri::host);
        let sites = Sites::new(decisions.address(), &hosts, own_name, cors.clone());
        let admin_sites = Sites::new(admin.address(), &hosts, None, cors.clone());
        let threads = Handle::current().metrics().num_workers();
        Ok(Self {
            decisions,
            admin,
            operators,
            shared: Arc::new(Shared::new(authority, Responses { cors }, &limits, public_url, threads)),
            sites: Arc::new(sites),
            admin_sites: Arc::new(admin_sites),
            limits,
            drain,
        })
    }

    /// Where gateways ask: with the port that was found where any was asked for.
    pub fn address(&self) -> &Address {
        self.decisions.address()
    }

    /// Where operators ask.
    pub fn admin_address(&self) -> &Address {
        self.admin.address()
    }

    /// Answers until `stop` is done; then takes no more connections, ends those that it has, and returns when all requests
    /// that have begun are answered, or the time for that is over. Meanwhile it is not ready.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        let Self { decisions, admin, operators, shared, sites, admin_sites, limits, drain } = self;
        let gate = Gate::new(limits.clone());
        // Operators are answered although gateways are many: by a gate of their own.
        let own = Gate::new(limits);
        let draining = Arc::new(AtomicBool::new(false));
        let (stopping, stopped) = watch::channel(false);
        let (ending, ended) = watch::channel(false);
        let (health, healthy) = tonic_health::server::health_reporter();
        health.set_serving::<AuthorizationServer<Checks>>().await;
        let answers = router(&shared, sites, healthy);
        let state = Admin { shared, gate: gate.clone(), own: own.clone(), draining: Arc::clone(&draining) };
        let admin = operators.handle.spawn(admin.serve(admin::router(state, admin_sites), own, ended));
        let decisions = tokio::spawn(decisions.serve(answers, gate, stopped));
        stop.await;
        draining.store(true, Ordering::Relaxed);
        health.set_not_serving::<AuthorizationServer<Checks>>().await;
        let _ = stopping.send(true);
        if tokio::time::timeout(drain, decisions).await.is_err() {
            tracing::warn!("requests were still open after {} s: they are cut off", drain.as_secs());
        }
        // Until now operators could see that it drains.
        let _ = ending.send(true);
        let _ = tokio::time::timeout(Duration::from_secs(1), admin).await;
        let (done, ended) = oneshot::channel();
        let end = move || {
            operators.end();
            let _ = done.send(());
        };
        // Where no thread can be had, they are dropped, and not waited for.
        if std::thread::Builder::new().spawn(end).is_ok() {
            let _ = ended.await;
        }
    }
}

async fn bind(address: Address, mode: u32, tls: Option<Tls>) -> Result<Listener, BindError> {
    let tls = tls.as_ref().map(Tls::acceptor).transpose()?;
    Listener::bind(&address, mode, tls).await.map_err(|error| BindError::Address { address, error })
}

/// Everything that gateways ask: HTTP, gRPC and its health on one address.
fn router(shared: &Arc<Shared>, sites: Arc<Sites>, health: HealthServer<impl Health>) -> Router {
    let grpc = Routes::new(envoy::service(Arc::clone(shared))).add_service(health);
    let grpc = grpc.into_axum_router().reset_fallback().layer(from_fn(only_http2));
    http::router(Arc::clone(shared), sites).merge(grpc)
}

/// Answers gRPC over HTTP/2 only. A web page cannot speak HTTP/2 to a listener without TLS.
async fn only_http2(request: Request, next: Next) -> Response {
    if request.version() == Version::HTTP_2 {
        return next.run(request).await;
    }
    failure(StatusCode::HTTP_VERSION_NOT_SUPPORTED, "http2_required", "gRPC needs HTTP/2")
}
