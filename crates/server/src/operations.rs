//! The parts of a server beside its decisions: the live policy, the decision log, metrics and the shadow policy.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::decided::{Decided, ObservedPreflight, Unread};
use super::decision_log::{DecisionLog, LogOptions, QueryTexts, Target};
use super::expiry::{self, ExpiryRemover};
use super::metrics::{Format, Listening, Metrics, Scrape};
use super::policy::{LiveOptions, LivePolicy, Report, Source, StartError};
use super::shadow::{Shadow, ShadowReport};
use super::usage::{self, UsageRecorder};
use portcullis::authorizer::{Authorizer, Clock, SystemClock, Usage};
use portcullis::base::{system_words, unwritable_words};
use portcullis::decision::{Decision, Reason};

/// The default number of examples that are kept of each difference.
const EXAMPLES: usize = 10;

/// Options of [`Operations`].
#[derive(Debug, Clone)]
pub struct OperationsOptions {
    /// The source of the policy.
    pub source: Source,
    /// How the policy is kept live.
    pub live: LiveOptions,
    /// The decision log, if any.
    pub log: Option<(Target, LogOptions)>,
    /// The shadow policy, if any.
    pub shadow: Option<Source>,
    /// The number of examples that are kept of each difference of the shadow policy.
    pub shadow_examples: usize,
    /// How long tokens of a registry are kept after they have expired; `None` keeps them.
    pub keep_expired: Option<Duration>,
}

/// Returns why the log cannot be opened.
fn log_words(target: &Target, error: &std::io::Error) -> String {
    match target {
        Target::File(path) => unwritable_words(path, error),
        Target::Stdout => system_words(error),
    }
}

/// Why operations cannot start.
#[derive(Debug, thiserror::Error)]
pub enum OperationsError {
    /// A policy cannot be kept live.
    #[error(transparent)]
    Policy(#[from] StartError),
    /// The decision log cannot be opened.
    #[error("cannot open the decision log{}: {}", named(target), log_words(target, error))]
    Log {
        /// The target of the log.
        target: Target,
        /// The error of the system.
        error: std::io::Error,
    },
    /// The system cannot start a thread.
    #[error("cannot start the thread that records usage: {}", system_words(.0))]
    Usage(std::io::Error),
    /// The system cannot start a thread.
    #[error("cannot start the thread that removes expired tokens: {}", system_words(.0))]
    Expiry(std::io::Error),
}

/// The running parts. Dropping them records the remaining usage in the registry, and writes the log to its end.
///
/// ```
/// use portcullis::{Decision, Request};
/// use portcullis_server::{Decided, Ids};
/// use portcullis_server::metrics::{Format, Listening};
/// use portcullis_server::operations::{Operations, OperationsOptions};
/// use portcullis_server::policy::Source;
///
/// let folder = tempfile::tempdir()?;
/// let file = folder.path().join("policy.json");
/// std::fs::write(&file, r#"[{"id": "a", "token": "s3cret", "allowed_apis": ["lds"]}]"#)?;
/// let operations = Operations::start(OperationsOptions::new(Source::files([&file])?))?;
/// assert!(operations.readiness().ready);
///
/// let (request, now) = (Request::new("lds", "").secret("s3cret"), "2026-11-24T12:00:00Z".parse()?);
/// let started = std::time::Instant::now();
/// let current = operations.authorizer().current();
/// let (token_id, decision) = current.decide_identified(&request, now);
/// operations.observe(&Decided {
///     at: now,
///     evaluated_at: None,
///     ids: Ids::default(),
///     generation: current.number(),
///     token_id,
///     request: Some(&request),
///     decision: &decision,
///     took: started.elapsed(),
/// });
/// let text = operations.metrics(Format::OpenMetrics, Listening::default());
/// assert!(text.contains(r#"decisions_total{api="lds",outcome="allow",reason=""} 1"#));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Operations {
    authorizer: Authorizer,
    live: LivePolicy,
    shadow: Option<(LivePolicy, Shadow)>,
    metrics: Arc<Metrics>,
    /// Dropped to record the remaining usage.
    _usage: Option<UsageRecorder>,
    /// Dropped to stop the removal of expired tokens.
    _expiry: Option<ExpiryRemover>,
    log: Option<DecisionLog>,
}

/// The response of `/readyz`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Readiness {
    /// Whether there is a policy to decide by.
    pub ready: bool,
    /// The policy.
    pub policy: Report,
    /// The shadow policy. Readiness does not depend on it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shadow: Option<Report>,
}

impl OperationsOptions {
    /// Returns options with a policy, and nothing else.
    pub fn new(source: Source) -> Self {
        Self {
            source,
            live: LiveOptions::default(),
            log: None,
            shadow: None,
            shadow_examples: EXAMPLES,
            keep_expired: None,
        }
    }
}

impl Operations {
    /// Opens the log, and reads the policies for the first time. If the source is a registry, the usage of its tokens is
    /// recorded there, and its expired tokens are removed.
    ///
    /// # Errors
    ///
    /// If the log or the state directory cannot be used. A policy that cannot be read is not an error: see
    /// [`Operations::readiness`].
    pub fn start(options: OperationsOptions) -> Result<Self, OperationsError> {
        let OperationsOptions { source, live, log, shadow, shadow_examples, keep_expired } = options;
        let queries = log.as_ref().map_or(QueryTexts::Hidden, |(_, options)| options.queries);
        let log = log.map(|(target, options)| {
            DecisionLog::open(&target, options).map_err(|error| OperationsError::Log { target, error })
        });
        let log = log.transpose()?;
        let (authorizer, usage) = match source.location() {
            None => (Authorizer::unavailable(), None),
            Some(location) => {
                let usage = Usage::default();
                let recorder = UsageRecorder::start(location.clone(), usage.clone(), usage::EVERY);
                (Authorizer::counting(usage), Some(recorder.map_err(OperationsError::Usage)?))
            }
        };
        // Only the policy that decides is saved.
        let shadow_options = LiveOptions { state_dir: None, only_narrow: false, ..live.clone() };
        // First: a wrong state directory is reported before any policy is read.
        let live = LivePolicy::start(&source, authorizer.clone(), live)?;
        let shadow = shadow.map(|source| -> Result<_, OperationsError> {
            let authorizer = Authorizer::unavailable();
            let shadow = Shadow::new(authorizer.clone(), shadow_examples, queries);
            Ok((LivePolicy::start(&source, authorizer, shadow_options)?, shadow))
        });
        let shadow = shadow.transpose()?;
        let expiry = source.location().zip(keep_expired).map(|(location, age)| {
            ExpiryRemover::start(location.clone(), age, expiry::EVERY).map_err(OperationsError::Expiry)
        });
        let expiry = expiry.transpose()?;
        Ok(Self { authorizer, live, shadow, metrics: Arc::new(Metrics::new()), _usage: usage, _expiry: expiry, log })
    }

    /// Returns the authorizer that decides requests.
    pub fn authorizer(&self) -> &Authorizer {
        &self.authorizer
    }

    /// Waits until the decision log has room, if [`WhenFull::Block`](super::decision_log::WhenFull::Block) is set. Await it
    /// before a request is decided.
    pub async fn room(&self) {
        if let Some(log) = &self.log {
            log.room().await;
        }
    }

    /// Observes a decided request: counts it, logs it, and has the shadow policy decide it as well.
    pub fn observe(&self, decided: &Decided<'_>) {
        self.metrics.record(decided);
        if let Some(log) = &self.log {
            log.record(decided);
        }
        if let Some((_, shadow)) = &self.shadow {
            shadow.record(decided);
        }
    }

    /// Observes a request that was not understood: counts it, and logs it. No policy decides it, nor does the shadow policy.
    pub fn observe_unread(&self, unread: &Unread<'_>) {
        let Unread { at, ids, generation, why, method, path, token_id } = *unread;
        tracing::debug!(why, method, path, token_id, "a request is not understood");
        self.metrics.record(&Decided {
            at,
            evaluated_at: None,
            ids,
            generation,
            token_id,
            request: None,
            decision: &Decision::Deny(Reason::RequestNotUnderstood),
            took: Duration::ZERO,
        });
        if let Some(log) = &self.log {
            log.record_unread(unread);
        }
    }

    /// Counts a preflight, and logs it.
    pub fn observe_preflight(&self, preflight: &ObservedPreflight<'_>) {
        self.metrics.record_preflight(preflight.end);
        if let Some(log) = &self.log {
            log.record_preflight(preflight);
        }
    }

    /// Reloads the policies and reopens the log, as `SIGHUP` does. Returns at once.
    pub fn reload(&self) {
        self.live.reload();
        if let Some((live, _)) = &self.shadow {
            live.reload();
        }
        if let Some(log) = &self.log {
            log.reopen();
        }
    }

    /// Writes the decision log to its end and closes it, as dropping does. For callers that may not hold the last reference.
    pub fn close(&self) {
        if let Some(log) = &self.log {
            log.close();
        }
    }

    /// Reports whether there is a policy to decide by, and the state of the policies.
    pub fn readiness(&self) -> Readiness {
        let policy = self.live.status().report();
        let shadow = self.shadow.as_ref().map(|(live, _)| live.status().report());
        Readiness { ready: policy.generation > 0, policy, shadow }
    }

    /// Returns all metrics, with those of the listeners.
    pub fn metrics(&self, format: Format, listening: Listening) -> String {
        let Readiness { policy, shadow, .. } = self.readiness();
        let counts = self.shadow.as_ref().map(|(_, shadow)| shadow.counts().collect());
        let log = self.log.as_ref().map(DecisionLog::counts);
        let scrape = Scrape { now: SystemClock.now(), policy, shadow: shadow.zip(counts), log, listening };
        self.metrics.text(format, scrape)
    }

    /// Reports the effect of the shadow policy; `None` if there is none.
    pub fn shadow(&self) -> Option<ShadowReport> {
        self.shadow.as_ref().map(|(_, shadow)| shadow.report())
    }
}

fn named(target: &Target) -> String {
    match target {
        Target::Stdout => String::new(),
        Target::File(path) => format!(" `{}`", path.display()),
    }
}
