//! A handle over the current snapshot: readers never wait, a writer replaces the whole.
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
use crate::snapshot::{Found, Snapshot};
use usage::TokenCounters;

/// A cheap-to-clone handle over the current snapshot; all clones see the same one.
///
/// Reading it is lock-free and never waits for a writer, nor a writer for readers. Replaced snapshots are freed when the
/// last decision that uses them is done; what edits replaced, at the next swap after that.
#[derive(Debug, Clone)]
pub struct Authorizer {
    generation: Arc<ArcSwap<Generation>>,
    retired: Arc<Mutex<Vec<Arc<Generation>>>>,
    usage: Option<Usage>,
}

#[derive(Debug)]
struct Generation {
    number: u64,
    // `None` until there was a policy for the first time (N10).
    snapshot: Option<Arc<Snapshot>>,
    // `None` where usage is not counted.
    counters: Option<Arc<TokenCounters>>,
}

/// What a swap did.
#[derive(Debug)]
pub struct Swapped {
    /// The snapshot that was current until now, if there was one.
    pub previous: Option<Arc<Snapshot>>,
    /// The number of the new generation: one more than that of the one before.
    pub generation: u64,
}

/// One generation, loaded: as many decisions as one likes, all against the same snapshot.
///
/// Do not keep it for long, nor across an `await`: it keeps a replaced snapshot alive.
#[derive(Debug)]
pub struct Current {
    generation: Guard<Arc<Generation>>,
}

impl Authorizer {
    /// An authorizer over `snapshot`, which is generation 1.
    pub fn new(snapshot: Snapshot) -> Self {
        let authorizer = Self::unavailable();
        authorizer.swap(snapshot);
        authorizer
    }

    /// An authorizer without a policy: every decision is [`Reason::PolicyUnavailable`] until the first swap.
    pub fn unavailable() -> Self {
        Self {
            generation: Arc::new(ArcSwap::from_pointee(Generation::unavailable())),
            retired: Arc::default(),
            usage: None,
        }
    }

    /// As [`Authorizer::unavailable`], counting in `usage` what each token is used for.
    ///
    /// Counting costs a decision a few relaxed atomic additions, and a swap a pass over all tokens; but only over those
    /// of the edit, where the snapshot is the one before with one edit (see [`Editor`](crate::snapshot::Editor)).
    pub fn counting(usage: Usage) -> Self {
        Self { usage: Some(usage), ..Self::unavailable() }
    }

    /// The current generation.
    pub fn current(&self) -> Current {
        Current { generation: self.generation.load() }
    }

    /// Makes `snapshot` current. Decisions that have begun end on the old one; none sees parts of both.
    pub fn swap(&self, snapshot: Snapshot) -> Swapped {
        let snapshot = Arc::new(snapshot);
        let _swapping = self.usage.as_ref().map(Usage::swapping);
        let counters = self.usage.as_ref().map(|usage| {
            let current = self.generation.load();
            let before = current.snapshot.as_deref().zip(current.counters.as_deref());
            Arc::new(usage.counters(&snapshot, before))
        });
        // Another writer may come between: the number is always that of the generation replaced, plus one.
        let previous = self.generation.rcu(|current| Generation {
            number: current.number + 1,
            snapshot: Some(Arc::clone(&snapshot)),
            counters: counters.clone(),
        });
        let swapped = Swapped { previous: previous.snapshot.clone(), generation: previous.number + 1 };
        self.retire(previous, &snapshot);
        swapped
    }

    /// Keeps a replaced generation until no reader has it, so that what an edit replaced is freed by a writer.
    ///
    /// Not where the whole was replaced: it would be held until the next swap, which may be days away.
    fn retire(&self, replaced: Arc<Generation>, by: &Snapshot) {
        let mut retired = self.retired.lock().unwrap_or_else(PoisonError::into_inner);
        retired.retain(|generation| Arc::strong_count(generation) > 1);
        if replaced.snapshot.as_ref().is_some_and(|snapshot| Arc::ptr_eq(snapshot.base(), by.base())) {
            retired.push(replaced);
        } else {
            retired.clear();
        }
    }

    /// Makes current what `build` returns; if that fails, the last good snapshot stays and the failure is returned.
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
    /// The number of this generation: 0 without a policy, 1 for the first snapshot.
    pub fn number(&self) -> u64 {
        self.generation.number
    }

    /// The snapshot, unless there was never one.
    pub fn snapshot(&self) -> Option<&Snapshot> {
        self.generation.snapshot.as_deref()
    }

    /// Decides as [`decide`] does, or [`Reason::PolicyUnavailable`] without a snapshot.
    #[inline]
    pub fn decide(&self, request: &Request<'_>, now: Timestamp) -> Decision<'_> {
        let Generation { snapshot: Some(snapshot), counters, .. } = &**self.generation else {
            return Decision::Deny(Reason::PolicyUnavailable);
        };
        if counters.is_none() {
            return decide(snapshot, request, now);
        }
        self.decide_found(request, now).1
    }

    /// As [`Current::decide`], with the id of the presented token, where it is known: of denials, too.
    pub fn decide_identified(&self, request: &Request<'_>, now: Timestamp) -> (Option<&str>, Decision<'_>) {
        let (found, decision) = self.decide_found(request, now);
        (found.map(|found| found.compiled.token_id(found.row)), decision)
    }

    /// As [`Current::decide_identified`], for a question that is not a use of the token: nothing is counted.
    pub fn evaluate_identified(&self, request: &Request<'_>, at: Timestamp) -> (Option<&str>, Decision<'_>) {
        let Some(snapshot) = self.snapshot() else { return (None, Decision::Deny(Reason::PolicyUnavailable)) };
        let (found, decision) = decide_for(snapshot, request, at);
        (found.map(|found| found.compiled.token_id(found.row)), decision)
    }

    #[inline]
    fn decide_found(&self, request: &Request<'_>, now: Timestamp) -> (Option<Found<'_>>, Decision<'_>) {
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
