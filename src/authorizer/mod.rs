//! A handle to the current snapshot. A writer replaces the whole snapshot; readers never wait.
//!
//! ```
//! use portcullis::authorizer::{Authorizer, Clock, SystemClock};
//! use portcullis::decision::{Reason, Request};
//! use portcullis::snapshot::Snapshot;
//!
//! let authorizer = Authorizer::unavailable();
//! let request = Request::new("lds", "").secret("s3cret");
//! let reason = |authorizer: &Authorizer| authorizer.current().decide(&request, SystemClock.now()).reason();
//! assert_eq!(reason(&authorizer), Some(Reason::PolicyUnavailable));
//!
//! let swapped = authorizer.swap(Snapshot::default());
//! assert_eq!(swapped.generation, 1);
//! assert_eq!(reason(&authorizer), Some(Reason::TokenUnknown));
//! ```

mod clock;
mod usage;

use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::{ArcSwap, Guard};

pub use clock::{Clock, SystemClock};
pub use usage::{TokenUsage, Usage};

use crate::base::Timestamp;
use crate::decision::{Decision, Reason, Request, decide, decide_for};
use crate::snapshot::{Snapshot, TokenRef};
use usage::TokenCounters;

/// A handle to the current snapshot. It is cheap to clone, and all clones share the snapshot.
///
/// Reading is lock-free: readers and writers never wait for each other. A replaced snapshot is freed when the last
/// decision that uses it ends. If an edit replaced it, it is freed at the next swap after that.
#[derive(Debug, Clone)]
pub struct Authorizer {
    generation: Arc<ArcSwap<Generation>>,
    retired: Arc<Mutex<Vec<Arc<Generation>>>>,
    usage: Option<Usage>,
}

#[derive(Debug)]
struct Generation {
    number: u64,
    // `None` until the first policy is loaded (N10).
    snapshot: Option<Arc<Snapshot>>,
    // `None` if usage is not counted.
    counters: Option<Arc<TokenCounters>>,
}

/// The result of a swap.
#[derive(Debug)]
pub struct Swapped {
    /// The replaced snapshot, if there was one.
    pub previous: Option<Arc<Snapshot>>,
    /// The number of the new generation: the number of the replaced generation plus one.
    pub generation: u64,
}

/// A loaded generation, for any number of decisions against one snapshot.
///
/// Do not hold it for long or across an `await`: it keeps a replaced snapshot alive.
#[derive(Debug)]
pub struct Current {
    generation: Guard<Arc<Generation>>,
}

impl Authorizer {
    /// Creates an authorizer whose generation 1 is `snapshot`.
    pub fn new(snapshot: Snapshot) -> Self {
        let authorizer = Self::unavailable();
        authorizer.swap(snapshot);
        authorizer
    }

    /// Creates an authorizer without a policy. Every decision is [`Reason::PolicyUnavailable`] until the first swap.
    pub fn unavailable() -> Self {
        Self {
            generation: Arc::new(ArcSwap::from_pointee(Generation::unavailable())),
            retired: Arc::default(),
            usage: None,
        }
    }

    /// Creates an authorizer without a policy that counts in `usage` how each token is used.
    ///
    /// Counting adds a few relaxed atomic additions to a decision, and a pass over all tokens to a swap. If the new
    /// snapshot is the current one plus one edit, the pass covers only the edited tokens (see
    /// [`Editor`](crate::snapshot::Editor)).
    pub fn counting(usage: Usage) -> Self {
        Self { usage: Some(usage), ..Self::unavailable() }
    }

    /// Returns the current generation.
    pub fn current(&self) -> Current {
        Current { generation: self.generation.load() }
    }

    /// Makes `snapshot` current. Running decisions finish on the old snapshot. No decision sees parts of both.
    pub fn swap(&self, snapshot: Snapshot) -> Swapped {
        let snapshot = Arc::new(snapshot);
        let _swapping = self.usage.as_ref().map(Usage::swapping);
        let counters = self.usage.as_ref().map(|usage| {
            let current = self.generation.load();
            let before = current.snapshot.as_deref().zip(current.counters.as_deref());
            Arc::new(usage.counters(&snapshot, before))
        });
        // Another writer may swap concurrently: the number is always that of the replaced generation plus one.
        let previous = self.generation.rcu(|current| Generation {
            number: current.number + 1,
            snapshot: Some(Arc::clone(&snapshot)),
            counters: counters.clone(),
        });
        let swapped = Swapped { previous: previous.snapshot.clone(), generation: previous.number + 1 };
        self.retire(previous, &snapshot);
        swapped
    }

    /// Keeps a generation that an edit replaced until no reader holds it, so that a writer frees it, not a reader.
    ///
    /// Does not keep a generation whose base was replaced: it would stay in memory until the next swap, perhaps for
    /// days.
    fn retire(&self, replaced: Arc<Generation>, by: &Snapshot) {
        let mut retired = self.retired.lock().unwrap_or_else(PoisonError::into_inner);
        retired.retain(|generation| Arc::strong_count(generation) > 1);
        if replaced.snapshot.as_ref().is_some_and(|snapshot| Arc::ptr_eq(snapshot.base(), by.base())) {
            retired.push(replaced);
        } else {
            retired.clear();
        }
    }

    /// Makes the snapshot that `build` returns current. If `build` fails, the current snapshot stays and the error is
    /// returned.
    ///
    /// # Errors
    ///
    /// The error of `build`.
    pub fn reload<E>(&self, build: impl FnOnce() -> Result<Snapshot, E>) -> Result<Swapped, E> {
        build().map(|snapshot| self.swap(snapshot))
    }
}

impl Generation {
    fn unavailable() -> Self {
        Self { number: 0, snapshot: None, counters: None }
    }
}

impl Current {
    /// Returns the number of this generation: 0 without a policy, 1 for the first snapshot.
    pub fn number(&self) -> u64 {
        self.generation.number
    }

    /// Returns the snapshot; `None` if no policy has been loaded.
    pub fn snapshot(&self) -> Option<&Snapshot> {
        self.generation.snapshot.as_deref()
    }

    /// Decides like [`decide`], or denies with [`Reason::PolicyUnavailable`] without a snapshot.
    #[inline]
    pub fn decide(&self, request: &Request<'_>, now: Timestamp) -> Decision<'_> {
        let Generation { snapshot: Some(snapshot), counters, .. } = &**self.generation else {
            return Decision::Deny(Reason::PolicyUnavailable);
        };
        if counters.is_none() {
            return decide(snapshot, request, now);
        }
        self.decide_and_count(request, now).1
    }

    /// Decides like [`Current::decide`], and returns the id of the presented token if it is known, also for denials.
    pub fn decide_identified(&self, request: &Request<'_>, now: Timestamp) -> (Option<&str>, Decision<'_>) {
        let (found, decision) = self.decide_and_count(request, now);
        (found.map(|found| found.compiled.token_id(found.row)), decision)
    }

    /// Decides like [`Current::decide_identified`], but does not count the request as a use of the token.
    pub fn evaluate_identified(&self, request: &Request<'_>, at: Timestamp) -> (Option<&str>, Decision<'_>) {
        let Some(snapshot) = self.snapshot() else { return (None, Decision::Deny(Reason::PolicyUnavailable)) };
        let (found, decision) = decide_for(snapshot, request, at);
        (found.map(|found| found.compiled.token_id(found.row)), decision)
    }

    #[inline]
    fn decide_and_count(&self, request: &Request<'_>, now: Timestamp) -> (Option<TokenRef<'_>>, Decision<'_>) {
        let Generation { snapshot: Some(snapshot), counters, .. } = &**self.generation else {
            return (None, Decision::Deny(Reason::PolicyUnavailable));
        };
        let (found, decision) = decide_for(snapshot, request, now);
        let counters = counters.as_ref().zip(found).and_then(|(counters, found)| counters.of(snapshot, found));
        if let Some(counters) = counters {
            counters.record(&decision, now);
        }
        (found, decision)
    }
}
