//! The sidecar: gateways ask over HTTP or gRPC, and are answered by a policy that may change meanwhile.
//!
//! [`Server`] listens, for decisions and for administration apart. Every protocol reads its requests, asks the one
//! [`Authority`], and tells its answer; [`operations::Operations`] keeps the policy live, and tells operators what happens.
//!
//! ```no_run
//! use std::sync::Arc;
//! use portcullis::gateway::Reader;
//! use portcullis::server::operations::{Operations, OperationsOptions};
//! use portcullis::server::policy::Source;
//! use portcullis::server::{Authority, Server, ServerOptions};
//!
//! # async fn serve() -> Result<(), Box<dyn std::error::Error>> {
//! let operations = Operations::start(OperationsOptions::new(Source::files(["policy.json"])?))?;
//! let authority = Authority::new(operations, Reader::default());
//! let server = Server::bind(Arc::new(authority), ServerOptions::default()).await?;
//! server.run(async { _ = tokio::signal::ctrl_c().await }).await;
//! # Ok(())
//! # }
//! ```

mod admin;
mod authority;
mod counted;
mod decided;
pub mod decision_log;
pub mod descriptors;
mod envoy;
mod gate;
mod http;
mod listen;
pub mod metrics;
pub mod operations;
pub mod policy;
pub mod shadow;
mod tls;
pub mod usage;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::middleware::from_fn_with_state;
use envoy_types::pb::envoy::service::auth::v3::authorization_server::AuthorizationServer;
use tokio::sync::watch;
use tonic::service::Routes;
use tonic_health::pb::health_server::{Health, HealthServer};

pub use crate::answer::{Cors, Outcome, Verdict};
pub use authority::{Authority, Decide};
pub use decided::{Decided, Ids};
pub use listen::{Address, AddressError};
pub use tls::{Tls, TlsError};

use crate::answer::Answers;
use admin::Admin;
use envoy::Checks;
use gate::Gate;
use http::Shared;
use listen::Listener;

/// How a server serves.
#[derive(Debug, Clone)]
pub struct ServerOptions {
    /// Where gateways ask.
    pub listen: Address,
    /// Where operators ask: it tells of the policy.
    pub admin: Address,
    /// TLS of the listener for decisions.
    pub tls: Option<Tls>,
    /// TLS of the listener for administration.
    pub admin_tls: Option<Tls>,
    /// From which web sites a browser may read why a request is denied.
    pub cors: Cors,
    /// The URL that clients reach the server by, for AuthZEN's metadata.
    pub public_url: Option<String>,
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
    /// How long a request may take, from its headers to its answer; and a TLS handshake.
    pub request_time: Duration,
    /// How long a connection may be idle between requests, and the headers of one may take to arrive.
    pub idle_time: Duration,
}

impl Default for ServerOptions {
    fn default() -> Self {
        let loopback = |port| Address::Tcp((std::net::Ipv4Addr::LOCALHOST, port).into());
        Self {
            listen: loopback(8181),
            admin: loopback(8182),
            tls: None,
            admin_tls: None,
            cors: Cors::None,
            public_url: None,
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
}

/// A server that listens, and does not answer yet.
pub struct Server {
    decisions: Listener,
    admin: Listener,
    shared: Arc<Shared>,
    limits: Limits,
    drain: Duration,
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
        let ServerOptions { listen, admin, tls, admin_tls, cors, public_url, limits, drain } = options;
        let shared = Shared { authority, answers: Answers { cors }, body_bytes: limits.body_bytes, public_url };
        Ok(Self {
            decisions: bind(listen, tls.as_ref()).await?,
            admin: bind(admin, admin_tls.as_ref()).await?,
            shared: Arc::new(shared),
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
        let Self { decisions, admin, shared, limits, drain } = self;
        let requests = u64::try_from(limits.requests).unwrap_or(u64::MAX);
        let gate = Gate::new(requests, limits.headers, limits.request_time);
        let draining = Arc::new(AtomicBool::new(false));
        let (stopping, stopped) = watch::channel(false);
        let (ending, ended) = watch::channel(false);
        let (health, healthy) = tonic_health::server::health_reporter();
        health.set_serving::<AuthorizationServer<Checks>>().await;
        let answers = router(&shared, healthy, gate.clone());
        let state = Admin { shared, gate: gate.clone(), draining: Arc::clone(&draining) };
        // Operators are answered although gateways are many: by a gate of their own.
        let own = Gate::new(requests, limits.headers, limits.request_time);
        let operators = admin::router(state).layer(from_fn_with_state(own, gate::pass));
        let admin = tokio::spawn(admin.serve(operators, limits.clone(), ended));
        let decisions = tokio::spawn(decisions.serve(answers, limits, stopped));
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
    }
}

async fn bind(address: Address, tls: Option<&Tls>) -> Result<Listener, BindError> {
    let tls = tls.map(Tls::acceptor).transpose()?;
    Listener::bind(&address, tls).await.map_err(|error| BindError::Address { address, error })
}

/// Everything that gateways ask: HTTP, gRPC and its health on one address.
fn router(shared: &Arc<Shared>, health: HealthServer<impl Health>, gate: Gate) -> Router {
    let grpc = Routes::new(envoy::service(Arc::clone(shared))).add_service(health);
    let grpc = grpc.into_axum_router().reset_fallback();
    http::router(Arc::clone(shared)).merge(grpc).layer(from_fn_with_state(gate, gate::pass))
}
