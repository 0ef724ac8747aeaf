//! One connection: the bytes that it holds, and when it is closed because its client has stalled.
//!
//! The hot path only sets marks. A task of the connection counts time in ticks, so that no request reads a clock or arms
//! a timer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering::Relaxed};

use super::gate::{Budget, Cause, OpenConnection};
use super::peer::Peer;

/// The state of a connection.
#[derive(Debug)]
pub(super) struct Connection {
    /// The number of the current tick.
    tick: AtomicU32,
    /// The tick in which the incomplete message started to arrive; or [`NEVER`].
    incomplete_since: AtomicU32,
    /// The tick in which the client stopped taking bytes; or [`NEVER`].
    blocked_since: AtomicU32,
    /// The number of requests in progress and of unread responses.
    active: AtomicUsize,
    /// Whether a request arrived since the last check.
    used: AtomicBool,
    /// The numbers of unread responses, by the tick in which they were made.
    waiting: [AtomicUsize; SLOTS],
    /// The bytes of bodies in memory.
    budget: Budget,
    open: OpenConnection,
    peer: Option<Peer>,
}

const NEVER: u32 = u32::MAX;

/// The number of ticks in the time limit of a request and of its response.
pub(super) const TICKS: u32 = 4;

/// After this number of ticks, the whole time limit has certainly passed.
const TOO_OLD: u32 = TICKS + 1;

/// The number of slots: more than [`TOO_OLD`], the maximum age of a response.
const SLOTS: usize = 8;

impl Connection {
    pub(super) fn new(open: OpenConnection, peer: Option<Peer>) -> Arc<Self> {
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
            peer,
        })
    }

    /// Returns the address of the client, on a listener that reports it.
    pub(super) fn peer(&self) -> Option<Peer> {
        self.peer
    }

    /// Marks that bytes of HTTP/1 arrived: the start of a request, unless a request is in progress.
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

    /// Marks that a request has arrived, except for its body. It is active until the returned guard is dropped.
    pub(super) fn activate(self: &Arc<Self>, is_http2: bool) -> Active {
        self.used.store(true, Relaxed);
        self.active.fetch_add(1, Relaxed);
        if !is_http2 {
            self.is_complete();
        }
        Active(Arc::clone(self))
    }

    /// Takes `bytes` from the budgets of the connection and of its listener; `false` if either has fewer left.
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

    /// Advances to the next tick; returns why the connection must be closed, if it must.
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

    /// Whether no request arrived since the last check.
    pub(super) fn is_unused(&self) -> bool {
        !self.used.swap(false, Relaxed) && self.active.load(Relaxed) == 0
    }
}

/// A request in progress, or an unread response.
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

/// A response that the client has not read yet. Dropped after its last byte was passed to the system.
#[derive(Debug)]
pub(super) struct Waiting {
    active: Active,
    /// The tick in which it was made; `None` for an endless response.
    tick: Option<u32>,
    bytes: usize,
}

/// Whether a response ends by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// The response is complete when it is sent.
    Whole,
    /// The response is a subscription, which lasts as long as its client wants.
    Endless,
}

impl Waiting {
    /// Reserves `bytes` for a response; `None` if the budgets have fewer left.
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
