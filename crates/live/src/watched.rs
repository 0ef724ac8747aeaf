//! A policy that follows a file: a thread polls it, and swaps each valid version in.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::counters::Counters;
use crate::load::{self, Stamp, Version};
use portcullis::Authorizer;

/// How long a file must stay unchanged after it was read: half of a change is not a policy.
const SETTLE: Duration = Duration::from_millis(20);

/// The error if a reload panicked.
pub const INTERNAL: &str = "the reload failed inside the library";

/// The file of a live policy.
#[derive(Debug, Clone)]
pub struct Watched {
    /// The path of the file.
    pub path: PathBuf,
    /// The stamp of the version that was read when the policy was opened; `None` if none was.
    pub opened: Option<Stamp>,
    /// The interval between two checks.
    pub poll: Duration,
}

/// The state that the threads of one process share.
#[derive(Debug)]
pub struct Shared {
    /// The current snapshot.
    pub authorizer: Authorizer,
    /// The counters of decisions and reloads.
    pub counters: Counters,
    /// The stamp of the version that was last read; `None` before. Held during a reload, so that only one runs.
    last_read: Mutex<Option<Stamp>>,
    error: Mutex<Option<String>>,
    is_stopped: AtomicBool,
}

/// What a report on a policy that follows a file shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// The active generation; 0 without a policy.
    pub generation: u64,
    /// The error of the last reload; `None` if it succeeded.
    pub error: Option<String>,
}

impl Shared {
    /// Shares the policy that `authorizer` holds.
    pub fn new(authorizer: Authorizer) -> Self {
        Self {
            authorizer,
            counters: Counters::new(),
            last_read: Mutex::new(None),
            error: Mutex::new(None),
            is_stopped: AtomicBool::new(false),
        }
    }

    /// Returns the error of the last reload; `None` if it succeeded.
    pub fn error(&self) -> Option<String> {
        locked(&self.error).clone()
    }

    /// Records a failure. The active policy stays.
    pub fn fail(&self, error: String) {
        self.counters.failed.fetch_add(1, Ordering::Relaxed);
        *locked(&self.error) = Some(error);
    }

    /// Returns the active generation and the error of the last reload.
    pub fn state(&self) -> State {
        State { generation: self.authorizer.current().number(), error: self.error() }
    }

    /// Ends the thread of [`Watched::start`] after its current check.
    pub fn stop(&self) {
        self.is_stopped.store(true, Ordering::Release);
    }

    fn is_stopped(&self) -> bool {
        self.is_stopped.load(Ordering::Acquire)
    }

    /// Reads the file again if `must`, or if it has changed. Keeps the active policy if the file is not valid.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, or is not a valid policy.
    pub fn reload(&self, watched: &Watched, must: bool) -> Result<(), String> {
        let mut last_read = locked(&self.last_read);
        let now = load::stamp(&watched.path);
        // A process that could not read the version of its parent has nothing to keep.
        let inherited = watched.opened.as_ref().filter(|_| self.authorizer.current().snapshot().is_some());
        let known = last_read.as_ref().or(inherited);
        if !must && now.is_some() && now.as_ref() == known {
            return Ok(());
        }
        let reloaded = load::read(&watched.path).and_then(|Version { bytes, stamp }| {
            std::thread::sleep(SETTLE);
            // A file that was replaced by renaming was read as a whole: the next check reads the new one.
            if load::stamp(&watched.path).is_some_and(|after| after != stamp && after.is_same_file(&stamp)) {
                return Err(changing(watched));
            }
            // A version that is not valid is not read again.
            *last_read = Some(stamp);
            load::snapshot(&watched.path.display().to_string(), bytes)
        });
        match reloaded {
            Ok(snapshot) => {
                self.authorizer.swap(snapshot);
                self.counters.reloaded.fetch_add(1, Ordering::Relaxed);
                *locked(&self.error) = None;
                Ok(())
            }
            Err(error) => {
                self.fail(error.clone());
                Err(error)
            }
        }
    }
}

fn changing(watched: &Watched) -> String {
    format!("cannot read `{}`: it is being written; help: replace the file by renaming another", watched.path.display())
}

impl Watched {
    /// Whether the file is still the version that was read when the policy was opened.
    pub fn is_unchanged(&self) -> bool {
        self.opened.is_some() && load::stamp(&self.path) == self.opened
    }

    /// Starts the thread that reloads the file. The thread calls `report` with each new state.
    ///
    /// # Errors
    ///
    /// If the system has no resources for a thread.
    pub fn start(&self, shared: &Arc<Shared>, report: impl Fn(&State) + Send + 'static) -> io::Result<JoinHandle<()>> {
        let (watched, shared) = (self.clone(), Arc::clone(shared));
        let mut last = shared.state();
        std::thread::Builder::new().name("pcl-policy".into()).spawn(move || {
            while !shared.is_stopped() {
                // An error is recorded by `reload`.
                let reloaded = catch_unwind(AssertUnwindSafe(|| shared.reload(&watched, false)));
                if reloaded.is_err() {
                    shared.fail(INTERNAL.to_owned());
                }
                let now = shared.state();
                if now != last {
                    report(&now);
                    last = now;
                }
                std::thread::park_timeout(watched.poll);
            }
        })
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
