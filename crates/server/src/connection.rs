//! One connection: what it holds, and when it is closed because its client does not go on.
//!
//! The hot path only sets marks. Time is counted in ticks of the connection's own task, so that no request reads a clock or
//! arms a timer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering::Relaxed};

use super::gate::{Budget, Cause, OpenConnection};

/// The state of a connection.
#[derive(Debug)]
pub(super) struct Connection {
    /// The number of the current tick.
    tick: AtomicU32,
    /// The tick in which something started to arrive that is incomplete; or [`NEVER`].
    incomplete_since: AtomicU32,
    /// The tick in which the client stopped taking bytes; or [`NEVER`].
    blocked_since: AtomicU32,
    /// Requests that are being answered, and answers that wait to be read.
    active: AtomicUsize,
    /// Whether there was a request since this was last looked at.
    used: AtomicBool,
    /// Answers that wait to be read, by the tick in which they were made.
    waiting: [AtomicUsize; SLOTS],
    /// Bytes of bodies that are held.
    budget: Budget,
    open: OpenConnection,
}

const NEVER: u32 = u32::MAX;

/// Ticks in the time that a request and its answer have.
pub(super) const TICKS: u32 = 4;

/// In this many ticks the whole time has passed for certain.
const TOO_OLD: u32 = TICKS + 1;

/// More than [`TOO_OLD`]: no answer is older.
const SLOTS: usize = 8;

impl Connection {
    pub(super) fn new(open: OpenConnection) -> Arc<Self> {
        let bytes = open.gate().limits().connection_buffered_bytes;
        Arc::new(Self {
            tick: AtomicU32::new(0),
            incomplete_since: AtomicU32::new(NEVER),
            blocked_since: AtomicU32::new(NEVER),
            active: AtomicUsize::new(0),
            used: AtomicBool::new(true),
            waiting: [const { AtomicUsize::new(0) }; SLOTS],
            budget: Budget::new(bytes),
            open,
        })
    }

    /// Bytes of HTTP/1 came: the start of a request, unless one is being answered.
    pub(super) fn bytes_came(&self) {
        if self.active.load(Relaxed) == 0 {
            self.is_incomplete();
        }
    }

    pub(super) fn is_incomplete(&self) {
        self.mark(&self.incomplete_since);
    }

    pub(super) fn is_complete(&self) {
        self.incomplete_since.store(NEVER, Relaxed);
    }

    pub(super) fn is_blocked(&self) {
        self.mark(&self.blocked_since);
    }

    pub(super) fn is_unblocked(&self) {
        self.blocked_since.store(NEVER, Relaxed);
    }

    fn mark(&self, since: &AtomicU32) {
        if since.load(Relaxed) == NEVER {
            since.store(self.tick.load(Relaxed), Relaxed);
        }
    }

    /// A request has arrived up to its body. It is active until what is returned is dropped.
    pub(super) fn activate(self: &Arc<Self>, is_http2: bool) -> Active {
        self.used.store(true, Relaxed);
        self.active.fetch_add(1, Relaxed);
        if !is_http2 {
            self.is_complete();
        }
        Active(Arc::clone(self))
    }

    /// Takes `bytes` from the budgets of the connection and of its listener; `false` if either has not as many.
    pub(super) fn take(&self, bytes: usize) -> bool {
        if !self.budget.take(bytes) {
            return false;
        }
        let taken = self.open.gate().budget().take(bytes);
        if !taken {
            self.budget.give_back(bytes);
        }
        taken
    }

    pub(super) fn give_back(&self, bytes: usize) {
        self.budget.give_back(bytes);
        self.open.gate().budget().give_back(bytes);
    }

    /// The next tick; whether the client has had too much time.
    pub(super) fn next_tick(&self) -> Option<Cause> {
        let now = self.tick.load(Relaxed).wrapping_add(1) % NEVER;
        self.tick.store(now, Relaxed);
        let age = |since: &AtomicU32| match since.load(Relaxed) {
            NEVER => 0,
            since => now.wrapping_sub(since),
        };
        if age(&self.blocked_since) >= TOO_OLD || self.slot(now.wrapping_sub(TOO_OLD)).load(Relaxed) > 0 {
            Some(Cause::Unread)
        } else if age(&self.incomplete_since) >= TOO_OLD {
            Some(Cause::Incomplete)
        } else {
            None
        }
    }

    fn slot(&self, tick: u32) -> &AtomicUsize {
        let [first, ..] = &self.waiting;
        self.waiting.get(tick as usize % SLOTS).unwrap_or(first)
    }

    /// Whether there was no request since the last look.
    pub(super) fn is_unused(&self) -> bool {
        !self.used.swap(false, Relaxed) && self.active.load(Relaxed) == 0
    }
}

/// A request that is being answered, or an answer that waits.
#[derive(Debug)]
pub(super) struct Active(Arc<Connection>);

impl Active {
    pub(super) fn connection(&self) -> &Arc<Connection> {
        &self.0
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        self.0.used.store(true, Relaxed);
        self.0.active.fetch_sub(1, Relaxed);
    }
}

/// An answer that waits to be read. Dropped when its last byte was handed to the system.
#[derive(Debug)]
pub(super) struct Waiting {
    active: Active,
    /// The tick in which it was made; `None` for an answer without an end.
    tick: Option<u32>,
    bytes: usize,
}

/// Whether an answer ends by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// It is made as a whole.
    Whole,
    /// It is a subscription, which goes on for as long as its client wants.
    Endless,
}

impl Waiting {
    /// An answer of `bytes`; `None` if the budgets have not as many.
    pub(super) fn new(active: Active, bytes: usize, ending: Ending) -> Option<Self> {
        let connection = active.connection();
        if !connection.take(bytes) {
            return None;
        }
        let tick = (ending == Ending::Whole).then(|| connection.tick.load(Relaxed));
        if let Some(tick) = tick {
            connection.slot(tick).fetch_add(1, Relaxed);
        }
        Some(Self { active, tick, bytes })
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let connection = self.active.connection();
        if let Some(tick) = self.tick {
            connection.slot(tick).fetch_sub(1, Relaxed);
        }
        connection.give_back(self.bytes);
    }
}
