//! How old the last good policy is, and how long its source has been failing.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use portcullis::authorizer::{Clock, SystemClock};

/// The instants of the last success and of the first failure after it. Takes no lock, so that a child process may read
/// what its parent left.
#[derive(Debug, Default)]
pub struct Freshness {
    /// Milliseconds since 1970; 0 before the first policy.
    loaded: AtomicU64,
    /// Milliseconds since 1970; 0 while the source does not fail.
    failing: AtomicU64,
}

impl Freshness {
    /// Records that a policy was loaded, which ends a failure.
    pub(crate) fn load(&self) {
        self.loaded.store(now(), Relaxed);
        self.recover();
    }

    /// Records a failure. A failure that continues keeps its start.
    pub(crate) fn fail(&self) {
        let _ = self.failing.compare_exchange(0, now(), Relaxed, Relaxed);
    }

    /// Records that the source is readable again, and that its version is the active one.
    pub(crate) fn recover(&self) {
        self.failing.store(0, Relaxed);
    }

    /// Continues with the age of another policy: the same one, in the parent process.
    pub(crate) fn continue_from(&self, parent: &Self) {
        self.loaded.store(parent.loaded.load(Relaxed), Relaxed);
    }

    /// Returns the time since the last policy was loaded; `None` without one.
    pub fn age(&self) -> Option<Duration> {
        since(&self.loaded)
    }

    /// Returns the time since the source began to fail; `None` while it does not fail.
    pub fn failing_for(&self) -> Option<Duration> {
        since(&self.failing)
    }
}

/// Returns the time since an instant; `None` for 0. A clock that was set back gives no negative time.
fn since(instant: &AtomicU64) -> Option<Duration> {
    let instant = instant.load(Relaxed);
    (instant != 0).then(|| Duration::from_millis(now().saturating_sub(instant)))
}

/// Returns the milliseconds since 1970; at least 1.
fn now() -> u64 {
    let now = SystemClock.now();
    let seconds = u64::try_from(now.seconds()).unwrap_or_default();
    seconds.saturating_mul(1_000).saturating_add(u64::from(now.nanoseconds() / 1_000_000)).max(1)
}
