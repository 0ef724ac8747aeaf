//! Usage of tokens, recorded in their registry at intervals.

use std::collections::HashMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use portcullis::authorizer::Usage;
use portcullis_registry::{Location, Registry, Result, record};

/// How long to wait for the last record: the disk may hang, or another process may lock the registry.
const CLOSING: Duration = Duration::from_secs(5);

/// The default interval between records.
pub const EVERY: Duration = Duration::from_secs(10);

/// Records in a registry how often tokens were used, and when last, on its own thread. Dropping it records the rest.
///
/// ```
/// use std::time::Duration;
/// use portcullis::authorizer::{Authorizer, Usage};
/// use portcullis_registry::{Actor, Location, NewToken, Registry};
/// use portcullis_server::usage::UsageRecorder;
/// use portcullis::{Options, Request, Snapshot};
///
/// let folder = tempfile::tempdir()?;
/// let location = Location::file(folder.path().join("registry.db"));
/// let mut registry = Registry::open(&location, true)?;
/// let now = "2026-11-24T12:00:00Z".parse()?;
/// let ana = Actor::new("ana", now)?;
/// let created = registry.create_token(&ana, &NewToken { apis: vec!["lds".into()], ..NewToken::default() })?;
///
/// let usage = Usage::default();
/// let recorder = UsageRecorder::start(location, usage.clone(), Duration::from_secs(10))?;
/// let authorizer = Authorizer::counting(usage);
/// let policy = portcullis_document::read_policy(registry.policy_document()?)?;
/// authorizer.swap(Snapshot::compile(&policy, &Options::default())?);
/// assert!(authorizer.current().decide(&Request::new("lds", "").secret(created.secret.expose()), now).is_allow());
/// drop(recorder);
/// assert_eq!(registry.usage()?[&created.token.id].allowed, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct UsageRecorder {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

struct Recorder {
    location: Location,
    usage: Usage,
    registry: Option<Registry>,
    /// The number of requests of each token that the registry has recorded.
    recorded: HashMap<Box<str>, u64>,
    failing: bool,
}

impl UsageRecorder {
    /// Records `usage` in the registry at `location` at each interval `every`.
    ///
    /// # Errors
    ///
    /// If the system cannot start a thread. A failure to write is logged, and retried at the next interval.
    pub fn start(location: Location, usage: Usage, every: Duration) -> std::io::Result<Self> {
        let (stop, stopped) = channel();
        let recorder = Recorder { location, usage, registry: None, recorded: HashMap::new(), failing: false };
        let thread = std::thread::Builder::new().name("usage".into()).spawn(move || recorder.run(&stopped, every))?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for UsageRecorder {
    fn drop(&mut self) {
        drop(self.stop.take());
        let Some(thread) = self.thread.take() else { return };
        let started = Instant::now();
        while !thread.is_finished() {
            if started.elapsed() >= CLOSING {
                tracing::error!("the registry does not answer: the last usage counts are lost");
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        // A panic of that thread was already reported.
        let _ = thread.join();
    }
}

impl Recorder {
    fn run(mut self, stopped: &Receiver<()>, every: Duration) {
        loop {
            let is_stopped = stopped.recv_timeout(every) != Err(RecvTimeoutError::Timeout);
            match self.record() {
                Ok(()) => self.failing = false,
                Err(error) => {
                    // Open the registry again at the next attempt, whatever the error.
                    self.registry = None;
                    if !std::mem::replace(&mut self.failing, true) {
                        tracing::error!("cannot record usage in the registry: {error}");
                    }
                }
            }
            if is_stopped {
                return;
            }
        }
    }

    fn record(&mut self) -> Result<()> {
        if let Some(Err(error)) = self.registry.as_ref().map(Registry::check_files) {
            tracing::warn!("the registry is opened again to record usage: {error}");
            self.registry = None;
        }
        let recorded = &self.recorded;
        let news: Vec<_> = self
            .usage
            .tokens()
            .filter_map(|(token, usage)| {
                let allowed = usage.allowed - recorded.get(&token).copied().unwrap_or(0).min(usage.allowed);
                let last_used = usage.last_used.filter(|_| allowed > 0)?;
                Some(record::Usage { token: token.into(), allowed, last_used })
            })
            .collect();
        if news.is_empty() {
            return Ok(());
        }
        let registry = match &mut self.registry {
            Some(registry) => registry,
            none => none.insert(Registry::open(&self.location, false)?),
        };
        registry.record_usage(&news)?;
        for usage in news {
            *self.recorded.entry(usage.token.into()).or_default() += usage.allowed;
        }
        Ok(())
    }
}
