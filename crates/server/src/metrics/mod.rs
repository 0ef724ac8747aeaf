//! Metrics for Prometheus, as `OpenMetrics` or in the older text format of Prometheus.
//!
//! Counters of requests are kept here, in atomics; all other values are read at each scrape. No label names a token.
//!
//! ```
//! use std::{sync::Arc, time::Duration};
//! use portcullis::decision::{Decision, Reason, Request};
//! use portcullis_server::{Decided, Ids};
//! use portcullis_server::metrics::{Format, Metrics, Scrape};
//!
//! let now = "2026-11-24T12:00:00Z".parse()?;
//! let metrics = Arc::new(Metrics::new());
//! metrics.record(&Decided {
//!     at: now,
//!     evaluated_at: None,
//!     ids: Ids::default(),
//!     generation: 1,
//!     token_id: None,
//!     request: Some(&Request::new("maps", "dw")),
//!     decision: &Decision::Deny(Reason::TokenMissing),
//!     took: Duration::from_nanos(300),
//! });
//! let text = metrics.text(Format::OpenMetrics, Scrape::at(now));
//! assert!(text.contains(r#"portcullis_decisions_total{api="maps",outcome="deny",reason="token_missing"} 1"#));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod counters;
mod exposition;
mod format;
mod prometheus;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;

use super::decided::{Decided, PreflightEnd};
use super::decision_log::LogCounts;
use super::policy::Report;
use super::tls::CertificateReport;
use counters::Counters;
use exposition::Exposition;
pub use format::Format;
use portcullis::base::Timestamp;

/// The counters of requests.
#[derive(Debug)]
pub struct Metrics {
    counters: Counters,
    /// Preflights, in the order of [`PreflightEnd::ALL`].
    preflights: [AtomicU64; PreflightEnd::ALL.len()],
}

/// The values that are read at each scrape. Parts that a server does not have are left out.
#[derive(Debug, Clone)]
pub struct Scrape {
    /// The time of the scrape.
    pub now: Timestamp,
    /// The policy.
    pub policy: Report,
    /// The shadow policy, and the number of requests by difference.
    pub shadow: Option<(Report, Vec<(&'static str, u64)>)>,
    /// The decision log.
    pub log: Option<LogCounts>,
    /// The listeners.
    pub listening: Listening,
}

/// The values of the listeners.
#[derive(Debug, Clone, Default)]
pub struct Listening {
    /// The load.
    pub load: Option<Load>,
    /// The connections, by the name of their listener.
    pub connections: Vec<(&'static str, Connections)>,
    /// The certificates, by the name of their listener.
    pub certificates: Vec<(&'static str, CertificateReport)>,
}

/// The load of the decision listener.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Load {
    /// The number of requests in progress.
    pub in_flight: u64,
    /// The number of requests refused because there were too many, or too many bytes of them.
    pub shed: u64,
}

/// The connections of a listener.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Connections {
    /// The number of open connections.
    pub open: u64,
    /// The number of connections refused because there were too many.
    pub refused: u64,
    /// The number of times that accepting a connection failed, mostly because too many files were open.
    pub not_accepted: u64,
    /// The numbers of connections that the server closed, by cause.
    pub closed: [(&'static str, u64); 3],
    /// The bytes of bodies in memory.
    pub buffered_bytes: u64,
}

impl Scrape {
    /// Creates the scrape of a server without a policy.
    pub fn at(now: Timestamp) -> Self {
        Self { now, policy: Report::default(), shadow: None, log: None, listening: Listening::default() }
    }
}

impl Metrics {
    /// Creates counters that are zero.
    pub fn new() -> Self {
        Self { counters: Counters::new(), preflights: Default::default() }
    }

    /// Counts a decision: three relaxed additions that few other threads contend for, no lock. Allocates once for each API
    /// that a policy declares.
    pub fn record(&self, decided: &Decided<'_>) {
        self.counters.record(decided);
    }

    /// Counts a preflight.
    pub fn record_preflight(&self, end: PreflightEnd) {
        if let Some(count) = self.preflights.get(end as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Returns all metrics in this format.
    pub fn text(self: &Arc<Self>, format: Format, scrape: Scrape) -> String {
        let mut registry = Registry::with_prefix("portcullis");
        registry.register_collector(Box::new(Exposition { metrics: Arc::clone(self), scrape }));
        let mut text = String::new();
        // Writing to memory does not fail.
        let _ = encode(&mut text, &registry);
        match format {
            Format::OpenMetrics => text,
            Format::Prometheus => prometheus::converted(&text),
        }
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}
