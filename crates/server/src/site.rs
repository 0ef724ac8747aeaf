//! A listener of its own for endpoints that another crate routes, with the limits, the TLS and the checks of host names of
//! the sidecar's listeners.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::middleware::from_fn_with_state;
use tokio::sync::watch;

use super::gate::Gate;
use super::http::{Hosts, check_host};
use super::listen::{Bound, Listener};
pub use super::peer::Peer;
use super::tls::{CertificateReloads, Certificates};
use super::{Address, BindError, Limits, Tls};

/// Options of a site.
#[derive(Debug, Clone)]
pub struct SiteOptions {
    /// The address.
    pub listen: Address,
    /// The permissions of a Unix socket, such as `0o660` for a group.
    pub socket_mode: u32,
    /// TLS of the listener.
    pub tls: Option<Tls>,
    /// The host names that clients may use, in addition to those of the loopback addresses. Names are checked on loopback
    /// addresses and, if this list is not empty, on every TCP address; `*` accepts every name.
    pub hosts: Vec<String>,
    /// The host of the URL at which clients reach the site, which they may use, too.
    pub own_name: Option<String>,
    /// The resource limits.
    pub limits: Limits,
    /// How long a stopping site waits for open requests.
    pub drain: Duration,
}

/// A bound address and loaded certificates. No TCP client can connect yet.
#[derive(Debug)]
pub struct BoundSite {
    bound: Bound,
    tls: Option<Certificates>,
    options: SiteOptions,
}

/// A site that listens, but does not answer yet.
pub struct Site {
    listener: Listener,
    hosts: Arc<Hosts>,
    reloads: CertificateReloads,
    limits: Limits,
    drain: Duration,
}

/// The option that sets the address of a site.
const LISTEN: &str = "--listen";

impl BoundSite {
    /// Binds the address and loads the certificates.
    ///
    /// # Errors
    ///
    /// If the address cannot be bound, or TLS cannot be set up.
    pub fn new(options: SiteOptions) -> Result<Self, BindError> {
        let tls = options.tls.clone().map(Certificates::load).transpose()?;
        let bound = Bound::new(&options.listen, options.socket_mode).map_err(|error| BindError::Address {
            address: options.listen.clone(),
            option: LISTEN,
            error,
        })?;
        Ok(Self { bound, tls, options })
    }

    /// Listens, on the runtime that calls this.
    ///
    /// # Errors
    ///
    /// If the system refuses to listen, or to start a thread.
    pub fn listen(self) -> Result<Site, BindError> {
        let Self { bound, tls, options } = self;
        let reloads = CertificateReloads::start(tls.iter().cloned().collect()).map_err(BindError::Thread)?;
        let listener =
            bound.listen(tls).map_err(|(address, error)| BindError::Address { address, option: LISTEN, error })?;
        let hosts = Hosts::new(listener.address(), &options.hosts, options.own_name.as_deref());
        Ok(Site { listener, hosts: Arc::new(hosts), reloads, limits: options.limits, drain: options.drain })
    }
}

impl Site {
    /// Returns the address, with the actual port if any free one was requested.
    pub fn address(&self) -> &Address {
        self.listener.address()
    }

    /// Returns the handle that reloads the certificates.
    pub fn certificate_reloads(&self) -> CertificateReloads {
        self.reloads.clone()
    }

    /// Answers requests by `router` until `stop` completes, then drains: accepts no more connections and ends the open ones.
    /// Returns when all open requests are answered, or the time limit for that has passed.
    pub async fn run(self, router: Router, stop: impl Future<Output = ()>) {
        let Self { listener, hosts, reloads, limits, drain } = self;
        let _reloads = reloads;
        let router = router.layer(from_fn_with_state(hosts, check_host));
        let (stopping, stopped) = watch::channel(false);
        let serving = tokio::spawn(listener.with_peers().serve(router, Gate::new(limits), stopped));
        stop.await;
        let _ = stopping.send(true);
        if tokio::time::timeout(drain, serving).await.is_err() {
            tracing::warn!("requests were still open after {} s: they are cut off", drain.as_secs());
        }
    }
}

impl std::fmt::Debug for Site {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Site").field("listen", self.address()).finish_non_exhaustive()
    }
}
