//! One connection: what it holds, and when it is closed because its client does not go on.
//!
//! The hot path only sets marks. Time is counted in ticks of the connection's own task, so that no request reads a clock or
//! arms a timer.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, watch};
use tokio::time::{MissedTickBehavior, interval};

use super::gate::{Budget, Gate, OpenConnection};
use super::watched::Watched;

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
const TICKS: u32 = 4;

/// In this many ticks the whole time has passed for certain.
const TOO_OLD: u32 = TICKS + 1;

/// More than [`TOO_OLD`]: no answer is older.
const SLOTS: usize = 8;

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

/// The time that connections have.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    /// For the headers of a request; and for reading an answer.
    pub(super) request: Duration,
    /// Between requests.
    pub(super) idle: Duration,
}

/// What every connection of a listener is served with.
#[derive(Clone)]
pub(super) struct Serving {
    pub(super) http: Builder<TokioExecutor>,
    pub(super) router: Router,
    pub(super) gate: Gate,
    pub(super) times: Times,
    pub(super) stop: watch::Receiver<bool>,
    /// Dropped when the connection ends.
    pub(super) _open: mpsc::Sender<Infallible>,
}

impl Connection {
    pub(super) fn new(open: OpenConnection, bytes: usize) -> Arc<Self> {
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
    fn next_tick(&self) -> Option<Cause> {
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
    fn is_unused(&self) -> bool {
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

impl Serving {
    /// Answers the requests that come by `stream`, until the client or the server ends the connection.
    pub(super) async fn exchange<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
        mut self,
        stream: S,
        connection: Arc<Connection>,
    ) {
        let (gate, router) = (self.gate.clone(), TowerToHyperService::new(self.router));
        let served = Arc::clone(&connection);
        let service = service_fn(move |request: Request<Incoming>| {
            let (gate, router, connection) = (gate.clone(), router.clone(), Arc::clone(&served));
            async move { Ok::<_, Infallible>(gate.pass(&connection, request, router).await) }
        });
        let stream = TokioIo::new(Watched::new(stream, Arc::clone(&connection)));
        let mut exchange = pin!(self.http.serve_connection(stream, service));
        let mut ticks = ticks(self.times.request / TICKS);
        let mut looks = ticks_of_idle(self.times.idle);
        let (mut unused, mut is_ending) = (0, false);
        let cause = loop {
            tokio::select! {
                ended = exchange.as_mut() => {
                    if let Err(error) = ended {
                        tracing::debug!("a connection ended: {error}");
                    }
                    return;
                }
                _ = self.stop.wait_for(|stop| *stop), if !is_ending => {
                    is_ending = true;
                    exchange.as_mut().graceful_shutdown();
                }
                _ = ticks.tick() => if let Some(cause) = connection.next_tick() {
                    break cause;
                },
                _ = looks.tick() => {
                    unused = if connection.is_unused() { unused + 1 } else { 0 };
                    match unused {
                        0 | 1 => {}
                        2 if !is_ending => {
                            // A client that is just asking learns by this that it has to ask on another connection.
                            is_ending = true;
                            self.gate.closed(Cause::Idle);
                            exchange.as_mut().graceful_shutdown();
                        }
                        // It does not even say goodbye.
                        _ => return,
                    }
                }
            }
        };
        self.gate.closed(cause);
        tracing::debug!("a connection is closed: {}", cause.as_str());
    }
}

fn ticks_of_idle(idle: Duration) -> tokio::time::Interval {
    ticks(idle / 2)
}

fn ticks(period: Duration) -> tokio::time::Interval {
    let mut ticks = interval(period.clamp(Duration::from_millis(1), Duration::from_hours(1)));
    // After a pause of the whole process nobody is too late.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}
