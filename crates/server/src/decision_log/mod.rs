//! The decision log: one line of JSON for each decision, written off the path of requests, without any secret.
//!
//! A line is a request of `portcullis check --requests`: a log can be replayed against another policy unchanged.
//!
//! ```
//! use std::time::Duration;
//! use portcullis::decision::{Decision, Reason, Request, Source};
//! use portcullis_server::{Decided, Ids};
//! use portcullis_server::decision_log::{DecisionLog, LogOptions, Target};
//!
//! let folder = tempfile::tempdir()?;
//! let file = folder.path().join("decisions.jsonl");
//! let log = DecisionLog::open(&Target::File(file.clone()), LogOptions::default())?;
//! log.record(&Decided {
//!     at: "2026-11-24T12:00:00Z".parse()?,
//!     evaluated_at: None,
//!     ids: Ids { request: Some("r1"), trace: None },
//!     generation: 3,
//!     token_id: Some("store-map"),
//!     request: Some(&Request::new("sql", "dw").secret("s3cret").source(Source::Query("SELECT 1"))),
//!     decision: &Decision::Deny(Reason::SourceNotGranted),
//!     took: Duration::from_nanos(812),
//! });
//! drop(log);
//! assert_eq!(std::fs::read_to_string(file)?, concat!(
//!     r#"{"log":1,"time":"2026-11-24T12:00:00Z","id":"r1","generation":3,"token_id":"store-map","api":"sql","connection":"dw","#,
//!     r#""sources":[{"query_sha256":"e004ebd5b5532a4b85984a62f8ad48a81aa3460c1ca07701f386135d72cdecf5"}],"#,
//!     r#""decision":"deny","reason":"source_not_granted","status":403,"ns":812}"#, "\n",
//! ));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod escaping;
mod line;
mod writer;

use std::io;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use serde::Serialize;
use serde_json::Serializer;

use super::decided::{Decided, ObservedPreflight, Unread};
use escaping::Escaping;
pub(super) use line::Line;
use line::{PreflightLine, UnreadLine};
use portcullis::base::quoted;
use portcullis::decision::Credential;
use writer::{Queue, Sink};

/// How long to wait for the end of a log: its reader may have stopped.
const CLOSING: Duration = Duration::from_secs(5);

/// The target of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// Standard output.
    Stdout,
    /// This file, to which lines are appended. It is created if it does not exist.
    File(PathBuf),
}

/// The policy for lines that do not fit into the queue.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum WhenFull {
    /// The line is dropped and counted: requests never wait for the log.
    #[default]
    Drop,
    /// Requests wait for room before they are decided, as [`DecisionLog::room`] does: no line is lost while the log can be
    /// written.
    Block,
}

/// How queries are logged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum QueryTexts {
    /// As the SHA-256 of their normal form (N4.2).
    #[default]
    Hidden,
    /// As text, which may contain private data.
    Shown,
}

/// A share of items to keep, from 0 to 1.
///
/// ```
/// use portcullis_server::decision_log::Share;
///
/// assert_eq!("0.01".parse::<Share>()?.get(), 0.01);
/// assert!("1.5".parse::<Share>().is_err());
/// # Ok::<(), portcullis_server::decision_log::ShareError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Share(f64);

/// Text that is not a share.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a number from 0 to 1, found {}\nhelp: write `0.01` for one in a hundred", quoted(.0))]
pub struct ShareError(String);

/// Options of a decision log.
#[derive(Debug, Clone)]
pub struct LogOptions {
    /// The policy for a full queue.
    pub when_full: WhenFull,
    /// The maximum size of queued lines, in bytes.
    pub queue_bytes: usize,
    /// The share of allows that are logged. Denials always are.
    pub sample_allows: Share,
    /// How queries are logged.
    pub queries: QueryTexts,
    /// Files that the server reads or replaces. The log is never appended to one of them, whatever its name refers to when
    /// it is reopened.
    pub inputs: Vec<PathBuf>,
}

/// The numbers of lines, by result.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LogCounts {
    /// Lines that were written.
    pub written: u64,
    /// Lines that were dropped because the queue was full.
    pub dropped: u64,
    /// Lines that could not be written.
    pub failed: u64,
    /// Allows that the sample leaves out.
    pub left_out: u64,
}

/// An open decision log. Dropping it writes the queued lines, then closes it.
#[derive(Debug)]
pub struct DecisionLog {
    queue: Arc<Queue>,
    options: LogOptions,
    /// The number of allows so far.
    allows: AtomicU64,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self {
            when_full: WhenFull::default(),
            queue_bytes: 16 << 20,
            sample_allows: Share::ALL,
            queries: QueryTexts::default(),
            inputs: Vec::new(),
        }
    }
}

impl Share {
    /// The share that keeps everything.
    pub const ALL: Self = Self(1.0);

    /// Returns the share as a number.
    pub const fn get(self) -> f64 {
        self.0
    }

    /// Whether the item with this number is kept: evenly spread, and always the same.
    fn keeps(self, number: u64) -> bool {
        // The finalizer of SplitMix64, so that repetitive traffic is also sampled evenly.
        let mut hash = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
        hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        // 32 bits of the hash suffice, and are exact as a float.
        u32::try_from((hash ^ (hash >> 31)) >> 32).is_ok_and(|high| f64::from(high) < self.0 * f64::from(u32::MAX))
    }
}

impl FromStr for Share {
    type Err = ShareError;

    fn from_str(text: &str) -> Result<Self, ShareError> {
        let share = text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
        share.map(Self).ok_or_else(|| ShareError(text.to_owned()))
    }
}

impl DecisionLog {
    /// Opens a log.
    ///
    /// # Errors
    ///
    /// If its file cannot be opened or is one of the inputs, or if the system cannot start a thread.
    pub fn open(target: &Target, options: LogOptions) -> io::Result<Self> {
        let sink = Sink::open(target, options.inputs.clone())?;
        let queue = Arc::new(Queue::new(options.queue_bytes, options.when_full));
        let writer = Arc::clone(&queue);
        let thread = std::thread::Builder::new().name("log".into()).spawn(move || writer.write_to(sink))?;
        Ok(Self { queue, options, allows: AtomicU64::new(0), thread: Mutex::new(Some(thread)) })
    }

    /// Waits until there is room for a line, if [`WhenFull::Block`] is set; blocks no thread meanwhile. Await it before a
    /// request is decided: concurrent requests may exceed the queue's limit by one line each.
    pub async fn room(&self) {
        self.queue.room().await;
    }

    /// Logs a decision. Costs formatting and copying one line; never waits.
    pub fn record(&self, decided: &Decided<'_>) {
        let share = self.options.sample_allows;
        let is_sampled = decided.decision.is_allow() && share != Share::ALL;
        if is_sampled && !share.keeps(self.allows.fetch_add(1, Ordering::Relaxed)) {
            self.queue.counters.left_out.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let secret = match decided.request.map(|request| request.credential) {
            Some(Credential::Secret(secret)) => Some(secret),
            _ => None,
        };
        let line = Line { decided, queries: self.options.queries, sample: is_sampled.then(|| share.get()) };
        self.write(&line, secret);
    }

    /// Logs a preflight.
    pub fn record_preflight(&self, preflight: &ObservedPreflight<'_>) {
        self.write(&PreflightLine(preflight), None);
    }

    /// Logs a request that was not understood.
    pub fn record_unread(&self, unread: &Unread<'_>) {
        self.write(&UnreadLine(unread), None);
    }

    fn write(&self, line: &impl Serialize, secret: Option<&str>) {
        let mut text = Vec::with_capacity(512);
        // Writing to memory does not fail, and all keys are texts.
        let _ = line.serialize(&mut Serializer::with_formatter(&mut text, Escaping::hiding(secret)));
        text.push(b'\n');
        self.queue.push(&text);
    }

    /// Reopens the file after the queued lines are written: log rotation has renamed it.
    pub fn reopen(&self) {
        self.queue.reopen();
    }

    /// Returns the numbers of lines, by result.
    pub fn counts(&self) -> LogCounts {
        let counters = &self.queue.counters;
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        LogCounts {
            written: count(&counters.written),
            dropped: count(&counters.dropped),
            failed: count(&counters.failed),
            left_out: count(&counters.left_out),
        }
    }

    /// Writes the queued lines, for up to 5 s, then closes the log. Later lines are dropped and counted.
    pub fn close(&self) {
        let Some(thread) = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take() else { return };
        if self.queue.close(CLOSING) {
            // A panic of that thread was already reported.
            let _ = thread.join();
        } else {
            tracing::error!("the decision log cannot be finished: its last lines are lost");
        }
    }
}

impl Drop for DecisionLog {
    fn drop(&mut self) {
        self.close();
    }
}
