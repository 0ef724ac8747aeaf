//! A policy that follows its source: a thread polls it, and swaps each valid version in.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::counters::Counters;
use crate::freshness::Freshness;
use crate::load::{self, Stamp};
use crate::source::{Kind, Source, Version};
use portcullis::{Authorizer, Snapshot};
#[cfg(feature = "registry")]
use portcullis_registry::{Location, WatchedRegistry};

/// How long a file must stay unchanged after it was read: half of a change is not a policy.
const SETTLE: Duration = Duration::from_millis(20);

/// The error if a reload panicked.
pub const INTERNAL: &str = "the reload failed inside the library";

/// The source of a live policy, and how it is followed.
#[derive(Debug, Clone)]
pub struct Watched {
    /// The source.
    pub source: Source,
    /// The version that was read when the policy was opened; `None` if none was.
    opened: Option<Version>,
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
    /// The age of the policy, and of the failure of its source.
    pub freshness: Freshness,
    /// Whether generation 1 is the version that was read when the policy was opened.
    starts_with_opened: bool,
    /// What was last read. Held during a reload, so that only one runs.
    last_read: Mutex<LastRead>,
    error: Mutex<Option<String>>,
    is_stopped: AtomicBool,
}

/// What was last read.
#[derive(Debug, Default)]
struct LastRead {
    /// The stamp of the version of a file; `None` before.
    stamp: Option<Stamp>,
    /// Why this version of the file is not a valid policy; `None` if it is one.
    invalid: Option<String>,
    /// The registry; `None` before.
    #[cfg(feature = "registry")]
    registry: Option<WatchedRegistry>,
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
        let freshness = Freshness::default();
        let starts_with_opened = authorizer.current().snapshot().is_some();
        if starts_with_opened {
            freshness.load();
        }
        Self {
            authorizer,
            counters: Counters::new(),
            freshness,
            starts_with_opened,
            last_read: Mutex::default(),
            error: Mutex::new(None),
            is_stopped: AtomicBool::new(false),
        }
    }

    /// Shares the policy of the parent process; `None` unless it is still the version that was read when the policy was
    /// opened. Takes none of the parent's locks: the thread that holds one may not exist in this process.
    ///
    /// The versions of later policies are not known without a lock: [`Watched::is_unchanged`] says nothing about them.
    pub fn inherited(parent: &Self) -> Option<Self> {
        let current = parent.authorizer.current();
        let snapshot = current.snapshot().filter(|_| parent.starts_with_opened && current.number() == 1)?;
        // Loading the snapshot takes no lock. The authorizer is new: a thread of the parent may have been in the middle of
        // a swap.
        let shared = Self::new(Authorizer::new(snapshot.clone()));
        shared.freshness.continue_from(&parent.freshness);
        Some(shared)
    }

    /// Returns the error of the last reload; `None` if it succeeded.
    pub fn error(&self) -> Option<String> {
        locked(&self.error).clone()
    }

    /// Records a failure. The active policy stays.
    pub fn fail(&self, error: String) {
        self.counters.failed.fetch_add(1, Ordering::Relaxed);
        self.freshness.fail();
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

    /// Reads the source again if `must`, or if it has changed. Keeps the active policy if the source is not valid.
    ///
    /// # Errors
    ///
    /// If the source cannot be read, or is not a valid policy.
    pub fn reload(&self, watched: &Watched, must: bool) -> Result<(), String> {
        let mut last_read = locked(&self.last_read);
        let _check = self.freshness.check(watched.poll);
        // A process that did not start with the version that was opened has nothing to keep.
        let holds_opened = self.starts_with_opened && self.authorizer.current().number() == 1;
        let inherited = watched.opened.as_ref().filter(|_| holds_opened);
        let read = match &watched.source.0 {
            Kind::File(path) => last_read.read_file(path, inherited, must),
            #[cfg(feature = "registry")]
            Kind::Registry(location) => last_read.read_registry(location, inherited, must),
        };
        match read {
            #[cfg(feature = "registry")]
            Ok(Read::Nothing) => Ok(()),
            Ok(Read::Invalid(error)) => {
                *locked(&self.error) = Some(error);
                Ok(())
            }
            Ok(Read::Active) => {
                self.freshness.recover();
                *locked(&self.error) = None;
                Ok(())
            }
            Ok(Read::New(snapshot)) => {
                self.authorizer.swap(*snapshot);
                self.counters.reloaded.fetch_add(1, Ordering::Relaxed);
                self.freshness.load();
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

/// The result of a check of a source.
enum Read {
    /// A new policy.
    New(Box<Snapshot>),
    /// The source is readable, and its version is the active policy.
    Active,
    /// The source is readable, and its version was read before and is not valid: the error is already counted.
    Invalid(String),
    /// The source has not changed, and is not known to be readable and valid.
    #[cfg(feature = "registry")]
    Nothing,
}

impl LastRead {
    /// Reads the policy in the file, unless the file has not changed since it was last read, and `must` is not set.
    fn read_file(&mut self, path: &Path, inherited: Option<&Version>, must: bool) -> Result<Read, String> {
        let now = load::stamp(path);
        let known = match (&self.stamp, inherited) {
            (None, Some(Version::File(stamp))) => Some(stamp),
            (last, _) => last.as_ref(),
        };
        if !must && now.is_some() && now.as_ref() == known {
            return Ok(self.invalid.clone().map_or(Read::Active, Read::Invalid));
        }
        let load::Version { bytes, stamp } = load::read(path)?;
        std::thread::sleep(SETTLE);
        // A file that was replaced by renaming was read as a whole: the next check reads the new one.
        if load::stamp(path).is_some_and(|after| after != stamp && after.is_same_file(&stamp)) {
            return Err(changing(path));
        }
        // A version that is not valid is not read again.
        self.stamp = Some(stamp);
        // Also if compiling it panics.
        self.invalid = Some(INTERNAL.to_owned());
        let read = load::snapshot(&path.display().to_string(), bytes);
        self.invalid = read.as_ref().err().cloned();
        read.map(|snapshot| Read::New(Box::new(snapshot)))
    }

    /// Like [`Self::read_file`], for a registry.
    #[cfg(feature = "registry")]
    fn read_registry(&mut self, location: &Location, inherited: Option<&Version>, must: bool) -> Result<Read, String> {
        let is_first = self.registry.is_none();
        let registry = self.registry.get_or_insert_with(|| WatchedRegistry::new(location.clone()));
        let continues = match inherited {
            Some(Version::Registry(version)) if is_first && !must => registry.continues(version),
            _ => false,
        };
        if continues || (!must && !registry.changed()) {
            return Ok(Read::Nothing);
        }
        crate::source::read_registry(registry).map(|snapshot| Read::New(Box::new(snapshot)))
    }
}

fn changing(path: &Path) -> String {
    format!("cannot read `{}`: it is being written; help: replace the file by renaming another", path.display())
}

impl Watched {
    /// Follows `source` with an interval of `poll` between two checks. Reads nothing.
    pub fn new(source: Source, poll: Duration) -> Self {
        Self { source, opened: None, poll }
    }

    /// Opens a policy, to be followed with an interval of `poll` between two checks. Leaves no file open, and no thread.
    ///
    /// The policy is an error if the source cannot be read, or is not a valid policy.
    pub fn open(source: Source, poll: Duration) -> (Self, Result<Snapshot, String>) {
        let read = match &source.0 {
            Kind::File(path) => load::file(path).map(|(snapshot, stamp)| (snapshot, Some(Version::File(stamp)))),
            #[cfg(feature = "registry")]
            Kind::Registry(location) => {
                let mut registry = WatchedRegistry::new(location.clone());
                let snapshot = crate::source::read_registry(&mut registry);
                snapshot.map(|snapshot| (snapshot, registry.version().map(Version::Registry)))
            }
        };
        let (snapshot, opened) = match read {
            Ok((snapshot, opened)) => (Ok(snapshot), opened),
            Err(error) => (Err(error), None),
        };
        (Self { source, opened, poll }, snapshot)
    }

    /// Whether the source is still the version that was read when the policy was opened.
    pub fn is_unchanged(&self) -> bool {
        match (&self.source.0, &self.opened) {
            (Kind::File(path), Some(Version::File(stamp))) => load::stamp(path).as_ref() == Some(stamp),
            #[cfg(feature = "registry")]
            (Kind::Registry(location), Some(Version::Registry(version))) => {
                WatchedRegistry::new(location.clone()).continues(version)
            }
            _ => false,
        }
    }

    /// Starts the thread that reloads the source. The thread calls `report` with each new state.
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
