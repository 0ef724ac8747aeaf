//! The sidecar: answers gateways over HTTP or gRPC by a policy that may change meanwhile.
//!
//! [`Server`] listens on an address for decisions, one for administration and, for HAProxy, a third. Every protocol reads its requests,
//! has the one [`Authority`] decide them, and writes the responses. [`operations::Operations`] keeps the policy live and
//! reports to operators.
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
pub mod expiry;
mod gate;
mod http;
mod limits;
mod listen;
mod lookup;
pub mod metrics;
pub mod operations;
mod peer;
pub mod policy;
mod protocol;
mod public_url;
pub mod shadow;
pub mod site;
mod socket;
mod spoe;
mod supervision;
pub mod threads;
mod tls;
mod unread;
pub mod usage;
mod watched;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use portcullis::base::system_words;

use axum::Router;
use axum::extract::Request;
use axum::http::{StatusCode, Version};
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use envoy_types::pb::envoy::service::auth::v3::authorization_server::AuthorizationServer;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::{oneshot, watch};
use tonic::service::Routes;
use tonic_health::pb::health_server::{Health, HealthServer};

pub use authority::Authority;
pub use decided::{Decided, Ids, ObservedPreflight, PreflightEnd, Unread};
pub use limits::Limits;
pub use listen::{Address, AddressError};
pub use portcullis_http::answer::{Cors, HttpDecision, Outcome};
pub use public_url::{PublicUrl, PublicUrlError};
pub use tls::{CertificateReloads, CertificateReport, Tls, TlsError};
pub use unread::Seen;

use admin::Admin;
use envoy::Checks;
use gate::Gate;
use http::{Shared, Sites};
use listen::{Bound, Listener};
use portcullis_http::answer::{Responses, failure};
use spoe::Agent;
use tls::Certificates;

/// Options of a server.
#[derive(Debug, Clone)]
pub struct ServerOptions {
    /// The address for decisions, which gateways connect to.
    pub listen: Address,
    /// The address for administration. It exposes policy details: do not make it public.
    pub admin: Address,
    /// The address for HAProxy's Stream Processing Offload Engine.
    pub spoe: Option<Address>,
    /// The permissions of Unix sockets, such as `0o660` for a group.
    pub socket_mode: u32,
    /// TLS of the decision listener and of the listener for HAProxy.
    pub tls: Option<Tls>,
    /// TLS of the admin listener.
    pub admin_tls: Option<Tls>,
    /// The web sites whose preflights are answered, and whose pages may read why a request is denied.
    pub cors: Cors,
    /// The URL at which clients reach the server, for AuthZEN's metadata.
    pub public_url: Option<PublicUrl>,
    /// The host names that programs and operators may use, in addition to those of the loopback addresses. Names are checked
    /// on loopback addresses and, if this list is not empty, on every TCP address; `*` accepts every name.
    pub hosts: Vec<String>,
    /// The resource limits.
    pub limits: Limits,
    /// How long a stopping server waits for open requests.
    pub drain: Duration,
}

impl Default for ServerOptions {
    fn default() -> Self {
        let loopback = |port| Address::Tcp((std::net::Ipv4Addr::LOCALHOST, port).into());
        Self {
            listen: loopback(8181),
            admin: loopback(8182),
            spoe: None,
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

/// Why a server cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The address cannot be bound.
    #[error("cannot listen on {address}: {}", reason(error, option))]
    Address {
        /// The address.
        address: Address,
        /// The option of the command line that sets the address.
        option: &'static str,
        /// The error of the system.
        error: std::io::Error,
    },
    /// Two listeners have the same address.
    #[error(
        "`{first}` and `{second}` are the same address for {purposes}\n\
         help: use another port or another path for one of them"
    )]
    SameAddress {
        /// The address of the first listener.
        first: Address,
        /// The address of the second listener.
        second: Address,
        /// What the two listeners are for.
        purposes: &'static str,
    },
    /// TLS cannot be set up.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The system cannot start a thread.
    #[error("cannot start the thread of the admin listener: {}", system_words(.0))]
    Thread(std::io::Error),
}

fn reason(error: &std::io::Error, option: &str) -> String {
    use std::io::ErrorKind;
    // An error of this crate has its own message.
    match error.kind() {
        _ if error.raw_os_error().is_none() => error.to_string(),
        ErrorKind::AddrInUse => {
            format!(
                "another program uses the address\nhelp: stop that program, or choose another address with `{option}`"
            )
        }
        ErrorKind::AddrNotAvailable => {
            "this machine does not have the address\nhelp: use 0.0.0.0 or [::] to listen on all addresses".to_owned()
        }
        ErrorKind::NotFound => "the folder does not exist\nhelp: create the folder first".to_owned(),
        ErrorKind::PermissionDenied => {
            format!(
                "permission denied\nhelp: choose a port from 1024 on, or a folder that this user may write to, with `{option}`"
            )
        }
        _ => system_words(error),
    }
}

/// Bound addresses and loaded certificates. Bind them before the policy is read: a wrong address or file is reported at
/// once, however large the policy is.
#[derive(Debug)]
pub struct Listeners {
    decisions: Bound,
    admin: Bound,
    spoe: Option<Bound>,
    tls: Option<Certificates>,
    admin_tls: Option<Certificates>,
    options: ServerOptions,
}

impl Listeners {
    /// Binds the addresses and loads the certificates. No TCP client can connect yet.
    ///
    /// # Errors
    ///
    /// If an address cannot be bound, or TLS cannot be set up.
    pub fn bind(options: ServerOptions) -> Result<Self, BindError> {
        let ServerOptions { listen, admin, spoe, socket_mode, tls, admin_tls, .. } = &options;
        let pairs = [
            (Some(listen), Some(admin), "decisions and for administration"),
            (Some(listen), spoe.as_ref(), "decisions and for HAProxy"),
            (Some(admin), spoe.as_ref(), "administration and for HAProxy"),
        ];
        for (first, second, purposes) in pairs {
            if let (Some(first), Some(second)) = (first, second)
                && overlap(first, second)
            {
                return Err(BindError::SameAddress { first: first.clone(), second: second.clone(), purposes });
            }
        }
        let load = |tls: &Option<Tls>| tls.clone().map(Certificates::load).transpose();
        let certificates = load(tls)?;
        // Listeners with the same files share their certificates, which are then read once.
        let admin_certificates = if admin_tls == tls { certificates.clone() } else { load(admin_tls)? };
        let bind = |address: &Address, option| {
            let failed = |error| BindError::Address { address: address.clone(), option, error };
            Bound::new(address, *socket_mode).map_err(failed)
        };
        let (decisions, admin) = (bind(listen, "--listen")?, bind(admin, "--admin")?);
        let spoe = spoe.as_ref().map(|spoe| bind(spoe, "--spoe")).transpose()?;
        Ok(Self { decisions, admin, spoe, tls: certificates, admin_tls: admin_certificates, options })
    }

    /// Listens on the addresses.
    ///
    /// # Errors
    ///
    /// If the system refuses to listen, or to start a thread.
    pub async fn server(self, authority: Arc<Authority>) -> Result<Server, BindError> {
        let Self { decisions, admin, spoe, tls, admin_tls, options } = self;
        let ServerOptions { cors, public_url, hosts, limits, drain, .. } = options;
        let operators = Operators::start()?;
        let own_admin_tls = admin_tls.iter().filter(|_| options.admin_tls != options.tls);
        let watched = tls.iter().chain(own_admin_tls).cloned().collect();
        let reloads = CertificateReloads::start(watched).map_err(BindError::Thread)?;
        let certificates = [("decisions", tls.clone()), ("admin", admin_tls.clone())];
        let certificates = certificates.into_iter().filter_map(|(name, tls)| Some((name, tls?))).collect();
        let failed = |option| move |(address, error)| BindError::Address { address, option, error };
        let decisions = decisions.listen(tls.clone()).map_err(failed("--listen"))?;
        let spoe = spoe.map(|spoe| spoe.listen(tls)).transpose().map_err(failed("--spoe"))?;
        let listening = operators.handle.spawn(async move { admin.listen(admin_tls) }).await;
        let admin = listening.map_err(|error| BindError::Thread(error.into()))?.map_err(failed("--admin"))?;
        let own_name = public_url.as_ref().map(PublicUrl::host);
        let sites = Sites::new(decisions.address(), &hosts, own_name, cors.clone());
        let admin_sites = Sites::new(admin.address(), &hosts, None, cors.clone());
        let threads = Handle::current().metrics().num_workers();
        Ok(Server {
            decisions,
            admin,
            spoe,
            operators,
            shared: Arc::new(Shared::new(authority, Responses { cors }, &limits, public_url, threads)),
            sites: Arc::new(sites),
            admin_sites: Arc::new(admin_sites),
            certificates,
            reloads,
            limits,
            drain,
        })
    }
}

/// Whether two listeners cannot have these addresses at once.
fn overlap(one: &Address, other: &Address) -> bool {
    match (one, other) {
        (Address::Tcp(one), Address::Tcp(other)) => {
            let contains = |all: &SocketAddr, one: &SocketAddr| {
                all.ip().is_unspecified() && (all.is_ipv6() || one.is_ipv4()) || all.ip() == one.ip()
            };
            one.port() != 0 && one.port() == other.port() && (contains(one, other) || contains(other, one))
        }
        _ => one == other,
    }
}

/// A server that listens, but does not answer yet.
pub struct Server {
    decisions: Listener,
    admin: Listener,
    spoe: Option<Listener>,
    operators: Operators,
    shared: Arc<Shared>,
    sites: Arc<Sites>,
    admin_sites: Arc<Sites>,
    certificates: Vec<(&'static str, Certificates)>,
    reloads: CertificateReloads,
    limits: Limits,
    drain: Duration,
}

/// The threads of [`Operators`]: one answers, the other explains.
const THREADS_OF_OPERATORS: usize = 2;

/// The admin runtime, with a thread of its own: operators are answered however busy the decision listener is.
#[derive(Debug)]
struct Operators {
    handle: Handle,
    runtime: Option<Runtime>,
}

impl Operators {
    fn start() -> Result<Self, BindError> {
        threads::check(THREADS_OF_OPERATORS + 1).map_err(BindError::Thread)?;
        let mut runtime = Builder::new_multi_thread();
        runtime
            .worker_threads(1)
            // One request is explained at a time.
            .max_blocking_threads(1)
            // Its thread starts now and stays: later the system may have none left.
            .thread_keep_alive(Duration::from_secs(1 << 30))
            .thread_name("admin")
            .enable_all();
        let runtime = threads::build(runtime).map_err(BindError::Thread)?;
        let handle = runtime.handle().clone();
        // Starts the thread for explanations.
        if let Err(error) = threads::start_blocking(&handle) {
            runtime.shutdown_background();
            return Err(BindError::Thread(error));
        }
        Ok(Self { handle, runtime: Some(runtime) })
    }
}

impl Operators {
    /// Ends the remaining tasks. Waits, so that none of them holds the log open any more.
    fn end(mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(Duration::from_secs(1));
        }
    }
}

impl Drop for Operators {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // A task of another runtime may drop it, and must not wait.
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
    /// Binds the addresses, and listens.
    ///
    /// # Errors
    ///
    /// The errors of [`Listeners::bind`] and [`Listeners::server`].
    pub async fn bind(authority: Arc<Authority>, options: ServerOptions) -> Result<Self, BindError> {
        Listeners::bind(options)?.server(authority).await
    }

    /// Returns the handle that reloads the certificates.
    pub fn certificate_reloads(&self) -> CertificateReloads {
        self.reloads.clone()
    }

    /// Returns the address for decisions, with the actual port if any free one was requested.
    pub fn address(&self) -> &Address {
        self.decisions.address()
    }

    /// Returns the address for administration.
    pub fn admin_address(&self) -> &Address {
        self.admin.address()
    }

    /// Returns the address for HAProxy.
    pub fn spoe_address(&self) -> Option<&Address> {
        self.spoe.as_ref().map(Listener::address)
    }

    /// Answers requests until `stop` completes, then drains: accepts no more connections and ends the open ones. Returns when
    /// all open requests are answered, or the time limit for that has passed. A draining server is not ready.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        let Self {
            decisions,
            admin,
            spoe,
            operators,
            shared,
            sites,
            admin_sites,
            certificates,
            reloads,
            limits,
            drain,
        } = self;
        let _reloads = reloads;
        let gate = Gate::new(limits.clone());
        // Operators have a gate of their own, so that they are answered however many gateways connect.
        let own = Gate::new(limits);
        let draining = Arc::new(AtomicBool::new(false));
        let (stopping, stopped) = watch::channel(false);
        let (ending, ended) = watch::channel(false);
        let (health, healthy) = tonic_health::server::health_reporter();
        health.set_serving::<AuthorizationServer<Checks>>().await;
        let answers = router(&shared, sites, healthy);
        let draining_now = Arc::clone(&draining);
        let agent = Agent::new(Arc::clone(&shared), gate.clone(), stopped.clone());
        let state = Admin { shared, gate: gate.clone(), own: own.clone(), certificates, draining: draining_now };
        let admin = operators.handle.spawn(admin.serve(admin::router(state, admin_sites), own, ended));
        let decisions = decisions.serve(answers, gate.clone(), stopped.clone());
        let spoe = async move {
            if let Some(spoe) = spoe {
                spoe.speak(agent, gate, stopped).await;
            }
        };
        // Each in a task of its own, since both accept connections.
        let (decisions, spoe) = (tokio::spawn(decisions), tokio::spawn(spoe));
        let gateways = async { tokio::join!(decisions, spoe) };
        stop.await;
        draining.store(true, Ordering::Relaxed);
        health.set_not_serving::<AuthorizationServer<Checks>>().await;
        let _ = stopping.send(true);
        if tokio::time::timeout(drain, gateways).await.is_err() {
            tracing::warn!("requests were still open after {} s: they are cut off", drain.as_secs());
        }
        // Until now operators could see that the server drains.
        let _ = ending.send(true);
        let _ = tokio::time::timeout(Duration::from_secs(1), admin).await;
        let (done, ended) = oneshot::channel();
        let end = move || {
            operators.end();
            let _ = done.send(());
        };
        // If no thread can be started, the tasks are dropped without a wait.
        if std::thread::Builder::new().spawn(end).is_ok() {
            let _ = ended.await;
        }
    }
}

/// Returns all endpoints for gateways: HTTP, gRPC and its health service on one address.
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
