//! Ends a connection whose client stalls or is idle, or whose server stops.

use std::pin::Pin;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use super::Limits;
use super::connection::{Connection, TICKS};
use super::gate::{Cause, Gate};

/// The time that connections have.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    /// For the start of a request; and for reading an answer.
    pub(super) request: Duration,
    /// Between requests.
    pub(super) idle: Duration,
}

impl Times {
    pub(super) const fn of(limits: &Limits) -> Self {
        Self { request: limits.request_time, idle: limits.idle_time }
    }
}

/// Runs `exchange` to its end; `None` if the connection is closed before. `end` lets the exchange end by itself after the
/// open requests.
pub(super) async fn supervise<X: Future>(
    mut exchange: Pin<&mut X>,
    end: impl Fn(Pin<&mut X>),
    connection: &Connection,
    gate: &Gate,
    times: Times,
    mut stop: watch::Receiver<bool>,
) -> Option<X::Output> {
    let mut ticks = ticks(times.request / TICKS);
    let mut looks = ticks_of_idle(times.idle);
    let (mut unused, mut is_ending) = (0, false);
    let cause = loop {
        tokio::select! {
            ended = exchange.as_mut() => return Some(ended),
            _ = stop.wait_for(|stop| *stop), if !is_ending => {
                is_ending = true;
                end(exchange.as_mut());
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
                        gate.closed(Cause::Idle);
                        end(exchange.as_mut());
                    }
                    // It does not even say goodbye.
                    _ => return None,
                }
            }
        }
    };
    gate.closed(cause);
    tracing::debug!("a connection is closed: {}", cause.as_str());
    None
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
