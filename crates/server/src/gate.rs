//! The gate that every connection and request of a listener passes: limits of their number, size and duration.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

use super::Limits;
use super::metrics::{Connections, Load};

/// Admits connections and requests. Clones share their counts.
#[derive(Debug, Clone)]
pub(super) struct Gate(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    in_flight: AtomicU64,
    shed: AtomicU64,
    open: AtomicU64,
    refused: AtomicU64,
    not_accepted: AtomicU64,
    idle: AtomicU64,
    incomplete: AtomicU64,
    unread: AtomicU64,
    budget: Budget,
    limits: Limits,
}

/// A limit of the bytes that may be held at once.
#[derive(Debug)]
pub(super) struct Budget {
    limit: usize,
    used: AtomicUsize,
}

/// One admitted request. Dropping it frees its slot.
pub(super) struct Passed<'g>(&'g AtomicU64);

/// One admitted connection. Dropping it frees its slot.
#[derive(Debug)]
pub(super) struct OpenConnection(Gate);

/// Why a connection is closed although its client has not closed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// There was no request.
    Idle,
    /// A request did not arrive.
    Incomplete,
    /// An answer was not read.
    Unread,
}

impl Cause {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Incomplete => "request_incomplete",
            Self::Unread => "answer_unread",
        }
    }
}

impl Budget {
    pub(super) const fn new(limit: usize) -> Self {
        Self { limit, used: AtomicUsize::new(0) }
    }

    /// Takes `bytes`; `false` if fewer are left.
    pub(super) fn take(&self, bytes: usize) -> bool {
        let more = |used: usize| used.checked_add(bytes).filter(|used| *used <= self.limit);
        self.used.fetch_update(Relaxed, Relaxed, more).is_ok()
    }

    pub(super) fn give_back(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Relaxed);
    }
}

impl Gate {
    pub(super) fn new(limits: Limits) -> Self {
        let count = || AtomicU64::new(0);
        Self(Arc::new(Inner {
            in_flight: count(),
            shed: count(),
            open: count(),
            refused: count(),
            not_accepted: count(),
            idle: count(),
            incomplete: count(),
            unread: count(),
            budget: Budget::new(limits.buffered_bytes),
            limits,
        }))
    }

    pub(super) fn budget(&self) -> &Budget {
        &self.0.budget
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.0.limits
    }

    pub(super) fn load(&self) -> Load {
        Load { in_flight: self.0.in_flight.load(Relaxed), shed: self.0.shed.load(Relaxed) }
    }

    pub(super) fn connections(&self) -> Connections {
        let count = |counter: &AtomicU64| counter.load(Relaxed);
        Connections {
            open: count(&self.0.open),
            refused: count(&self.0.refused),
            not_accepted: count(&self.0.not_accepted),
            closed: [
                (Cause::Idle.as_str(), count(&self.0.idle)),
                (Cause::Incomplete.as_str(), count(&self.0.incomplete)),
                (Cause::Unread.as_str(), count(&self.0.unread)),
            ],
            buffered_bytes: self.0.budget.used.load(Relaxed) as u64,
        }
    }

    /// Admits a connection; `None` if there are too many.
    pub(super) fn connect(&self) -> Option<OpenConnection> {
        let limit = u64::try_from(self.0.limits.connections).unwrap_or(u64::MAX);
        let open = OpenConnection(self.clone());
        if self.0.open.fetch_add(1, Relaxed) < limit {
            return Some(open);
        }
        self.0.refused.fetch_add(1, Relaxed);
        None
    }

    /// Counts a connection that the system failed to accept, mostly because too many files are open.
    pub(super) fn not_accepted(&self) {
        self.0.not_accepted.fetch_add(1, Relaxed);
    }

    /// Counts a request that is answered 503 because there is no room for it.
    pub(super) fn shed(&self) {
        self.0.shed.fetch_add(1, Relaxed);
    }

    /// Counts a connection that the server closes.
    pub(super) fn closed(&self, cause: Cause) {
        let counter = match cause {
            Cause::Idle => &self.0.idle,
            Cause::Incomplete => &self.0.incomplete,
            Cause::Unread => &self.0.unread,
        };
        counter.fetch_add(1, Relaxed);
    }

    /// A request for which there is room.
    pub(super) fn enter(&self) -> Option<Passed<'_>> {
        let limit = u64::try_from(self.0.limits.requests).unwrap_or(u64::MAX);
        let passed = Passed(&self.0.in_flight);
        if self.0.in_flight.fetch_add(1, Relaxed) < limit { Some(passed) } else { None }
    }
}

impl OpenConnection {
    pub(super) fn gate(&self) -> &Gate {
        &self.0
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.0.open.fetch_sub(1, Relaxed);
    }
}

impl Drop for Passed<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}
