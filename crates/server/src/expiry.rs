//! Removes tokens from a registry some time after they have expired.

use std::hash::{BuildHasher, RandomState};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use portcullis::authorizer::{Clock, SystemClock};
use portcullis::base::Timestamp;
use portcullis_registry::{Actor, Location, Registry, RegistryError, Result};

/// How often expired tokens are removed.
pub const EVERY: Duration = Duration::from_hours(1);

/// The maximum number of tokens that one transaction removes: other writers wait for its end.
const AT_ONCE: usize = 500;

/// The user of the entries in the trail, and how this user acts.
const USER: &str = "portcullis";
const HOW: &str = "serve";

/// Removes expired tokens from a registry, on its own thread. Dropping it ends the thread after the current transaction.
///
/// Several servers may do this on one registry: each token is removed once.
#[derive(Debug)]
pub struct ExpiryRemover {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl ExpiryRemover {
    /// Removes tokens that expired `age` ago or earlier from the registry at `location`, at each interval `every`.
    ///
    /// # Errors
    ///
    /// If the system cannot start a thread. A failure to write is logged, and retried at the next interval.
    pub fn start(location: Location, age: Duration, every: Duration) -> std::io::Result<Self> {
        let (stop, stopped) = channel();
        let remove = move || run(&location, age, every, &stopped);
        let thread = std::thread::Builder::new().name("expiry".into()).spawn(remove)?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for ExpiryRemover {
    fn drop(&mut self) {
        drop(self.stop.take());
        // A thread that waits for the database ends with the process.
        if let Some(thread) = self.thread.take().filter(JoinHandle::is_finished) {
            // A panic of that thread was already reported.
            let _ = thread.join();
        }
    }
}

fn run(location: &Location, age: Duration, every: Duration, stopped: &Receiver<()>) {
    let mut problem = String::new();
    while stopped.recv_timeout(jittered(every)) == Err(RecvTimeoutError::Timeout) {
        let removed = match remove(location, age) {
            Ok(removed) => {
                problem.clear();
                removed
            }
            Err(error) => {
                let error = error.to_string();
                if error != problem {
                    tracing::warn!("expired tokens are not removed from the registry: {error}");
                    problem = error;
                }
                continue;
            }
        };
        if removed > 0 {
            tracing::info!(tokens = removed, "expired tokens were removed from the registry");
        }
    }
}

/// Removes what is due, and returns the number of removed tokens.
fn remove(location: &Location, age: Duration) -> Result<usize> {
    // Without `create`, so that a server never migrates a registry that other versions use.
    let mut registry = Registry::open(location, false)?;
    let mut total = 0;
    loop {
        let now = SystemClock.now();
        let actor = Actor::new(USER, now)?.for_all_users().by(HOW);
        let age = i64::try_from(age.as_secs()).unwrap_or(i64::MAX);
        let until = Timestamp::from_unix(now.seconds().saturating_sub(age), 0);
        let removed = match registry.remove_expired(&actor, until, AT_ONCE) {
            // A server that may only read leaves this to others.
            Err(RegistryError::Storage(_)) if registry.is_read_only() => return Ok(total),
            other => other?,
        };
        total += removed;
        if removed < AT_ONCE {
            return Ok(total);
        }
    }
}

/// Returns `every`, a tenth shorter or longer, so that the servers of a fleet do not write at the same time.
fn jittered(every: Duration) -> Duration {
    let random = u32::try_from(RandomState::new().hash_one(()) % 200).unwrap_or_default();
    every.saturating_mul(900 + random) / 1_000
}
