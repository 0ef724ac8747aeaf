//! How old the last good policy is, and how long its source has been failing.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use portcullis::authorizer::{Clock, SystemClock};

/// How long a check may take if the interval between two checks is longer.
const MAX_CHECK: Duration = Duration::from_secs(10);

/// The instants of the last success, of the first failure after it, and of the check that runs. Takes no lock, so that a child process may read
/// what its parent left.
#[derive(Debug, Default)]
pub struct Freshness {
    /// Milliseconds since 1970; 0 before the first policy.
    loaded: AtomicU64,
    /// Milliseconds since 1970; 0 while the source does not fail.
    failing: AtomicU64,
    /// When the check that runs started, in milliseconds since 1970; 0 while none runs.
    checking: AtomicU64,
    /// How long that check may take, in milliseconds.
    max_check: AtomicU64,
}

/// A check of the source, which ends when this is dropped, also by a panic.
#[derive(Debug)]
pub(crate) struct Check<'a>(&'a Freshness);

impl Freshness {
    /// Records that a policy was loaded, which ends a failure.
    pub(crate) fn load(&self) {
        self.loaded.store(now(), Relaxed);
        self.recover();
    }

    /// Records the start of a check. If it takes longer than `interval`, the source fails since that start: a read that
    /// hangs returns no error.
    pub(crate) fn check(&self, interval: Duration) -> Check<'_> {
        let max = interval.min(MAX_CHECK).as_millis();
        self.max_check.store(u64::try_from(max).unwrap_or(u64::MAX), Relaxed);
        self.checking.store(now(), Relaxed);
        Check(self)
    }

    /// Records a failure, which started with its check. A failure that continues keeps its start.
    pub(crate) fn fail(&self) {
        let start = match self.checking.load(Relaxed) {
            0 => now(),
            start => start,
        };
        let _ = self.failing.compare_exchange(0, start, Relaxed, Relaxed);
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

    /// Returns the time since the source began to fail or, if that is longer, for which its check hangs; `None` while
    /// neither is so.
    pub fn failing_for(&self) -> Option<Duration> {
        let max_check = Duration::from_millis(self.max_check.load(Relaxed));
        let hanging = since(&self.checking).filter(|running| *running > max_check);
        since(&self.failing).max(hanging)
    }
}

impl Drop for Check<'_> {
    fn drop(&mut self) {
        self.0.checking.store(0, Relaxed);
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

#[cfg(test)]
mod tests {
    use super::{Freshness, MAX_CHECK};
    use std::sync::atomic::Ordering::Relaxed;
    use std::time::Duration;

    /// Moves the start of the check that runs into the past.
    fn lasts(freshness: &Freshness, time: Duration) {
        let time = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        freshness.checking.fetch_sub(time, Relaxed);
    }

    fn seconds(freshness: &Freshness) -> Option<u64> {
        freshness.failing_for().map(|time| time.as_secs())
    }

    #[test]
    fn check_that_hangs_is_a_failure_since_its_start() {
        let (interval, minute) = (Duration::from_secs(5), Duration::from_mins(1));
        let freshness = Freshness::default();
        let check = freshness.check(interval);
        lasts(&freshness, Duration::from_secs(3));
        assert_eq!(seconds(&freshness), None, "shorter than the interval");
        lasts(&freshness, minute);
        assert_eq!(seconds(&freshness), Some(63));
        // The check that hung returns an error in the end: the failure does not start again.
        freshness.fail();
        drop(check);
        assert_eq!(seconds(&freshness), Some(63));
        // A later check that hangs is a part of the failure.
        let check = freshness.check(interval);
        lasts(&freshness, Duration::from_secs(20));
        assert_eq!(seconds(&freshness), Some(63));
        freshness.load();
        drop(check);
        assert_eq!(seconds(&freshness), None);
    }

    #[test]
    fn check_that_hangs_is_noticed_with_a_long_interval() {
        let freshness = Freshness::default();
        let _check = freshness.check(Duration::from_hours(1));
        assert_eq!(seconds(&freshness), None);
        lasts(&freshness, MAX_CHECK + Duration::from_secs(1));
        assert_eq!(seconds(&freshness), Some(11));
    }
}
