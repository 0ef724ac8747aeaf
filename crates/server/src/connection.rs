//! One connection: the bytes that it holds, and when it is closed because its client has stalled.
//!
//! The hot path only sets marks. A task of the connection counts time in ticks, so that no request reads a clock or arms
//! a timer.

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
}

const NEVER: u32 = u32::MAX;

/// The number of ticks in the time limit of a request and of its response.
const TICKS: u32 = 4;

/// After this number of ticks, the whole time limit has certainly passed.
const TOO_OLD: u32 = TICKS + 1;

/// The number of slots: more than [`TOO_OLD`], the maximum age of a response.
const SLOTS: usize = 8;

/// Why the server closes a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// No request arrived.
    Idle,
    /// A request did not arrive completely.
    Incomplete,
    /// A response was not read.
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

/// The time limits of connections.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    /// The limit for the headers of a request, and for reading a response.
    pub(super) request: Duration,
    /// The limit between requests.
    pub(super) idle: Duration,
}

/// The state that all connections of a listener share.
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

    /// Whether no request arrived since the last check.
    fn is_unused(&self) -> bool {
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

impl Serving {
    /// Answers the requests on `stream`, until the client or the server ends the connection.
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
                            // A client that sends a request now learns from this to use another connection.
                            is_ending = true;
                            self.gate.closed(Cause::Idle);
                            exchange.as_mut().graceful_shutdown();
                        }
                        // The client did not react to the shutdown either.
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
    // After a pause of the whole process no client is late.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}
