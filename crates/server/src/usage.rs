//! What tokens were used for, told to their registry from time to time.

use std::collections::HashMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use portcullis::authorizer::Usage;
use portcullis_registry::{Location, Registry, Result, record};

/// How long the last word to the registry is waited for: its disk may hang, or another process may keep it locked.
const CLOSING: Duration = Duration::from_secs(5);

/// How often a server tells, unless said otherwise.
pub const EVERY: Duration = Duration::from_secs(10);

/// Tells a registry how often tokens were used, and when last; on a thread of its own. Dropped, it tells the rest.
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
    /// How many requests of each token the registry knows of.
    told: HashMap<Box<str>, u64>,
    failing: bool,
}

impl UsageRecorder {
    /// Tells the registry at `location` of `usage`, as often as `every`.
    ///
    /// # Errors
    ///
    /// If the system gives no thread. A registry that cannot be written is logged, and told the next time.
    pub fn start(location: Location, usage: Usage, every: Duration) -> std::io::Result<Self> {
        let (stop, stopped) = channel();
        let recorder = Recorder { location, usage, registry: None, told: HashMap::new(), failing: false };
        let thread = std::thread::Builder::new().name("usage".into()).spawn(move || recorder.run(&stopped, every))?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for UsageRecorder {
    fn drop(&mut self) {
        drop(self.stop.take());
        let Some(thread) = self.thread.take() else { return };
        let begun = Instant::now();
        while !thread.is_finished() {
            if begun.elapsed() >= CLOSING {
                tracing::error!("the registry does not answer: what tokens were last used for is lost");
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        // A panic of that thread was reported when it happened.
        let _ = thread.join();
    }
}

impl Recorder {
    fn run(mut self, stopped: &Receiver<()>, every: Duration) {
        loop {
            let is_stopped = stopped.recv_timeout(every) != Err(RecvTimeoutError::Timeout);
            match self.tell() {
                Ok(()) => self.failing = false,
                Err(error) => {
                    // Whatever is wrong with it, the next time it is opened anew.
                    self.registry = None;
                    if !std::mem::replace(&mut self.failing, true) {
                        tracing::error!("cannot tell the registry what tokens were used for: {error}");
                    }
                }
            }
            if is_stopped {
                return;
            }
        }
    }

    fn tell(&mut self) -> Result<()> {
        if let Some(Err(error)) = self.registry.as_ref().map(Registry::check_files) {
            tracing::warn!("the registry is opened again to record usage: {error}");
            self.registry = None;
        }
        let told = &self.told;
        let news: Vec<_> = self
            .usage
            .tokens()
            .filter_map(|(token, usage)| {
                let allowed = usage.allowed - told.get(&token).copied().unwrap_or(0).min(usage.allowed);
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
            *self.told.entry(usage.token.into()).or_default() += usage.allowed;
        }
        Ok(())
    }
}
