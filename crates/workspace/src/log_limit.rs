//! A limit on messages that clients cause at will: some are logged, and the others are counted.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::rates::{Rate, Rates};

/// The messages of one reason: ten at once, then ten a minute.
const RATE: Rate = Rate { burst: 10.0, per_second: 10.0 / 60.0 };

/// Chooses the messages that are logged.
#[derive(Debug)]
pub(crate) struct LogLimit {
    rates: Rates,
    left_out: AtomicU64,
}

impl Default for LogLimit {
    fn default() -> Self {
        Self { rates: Rates::new(RATE), left_out: AtomicU64::new(0) }
    }
}

impl LogLimit {
    /// Returns the number of messages that were left out since the last one, if a message with this reason is logged. `None`
    /// if it is left out.
    pub(crate) fn next(&self, reason: &str) -> Option<u64> {
        if self.rates.take(reason).is_ok() {
            return Some(self.left_out.swap(0, Ordering::Relaxed));
        }
        self.left_out.fetch_add(1, Ordering::Relaxed);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::LogLimit;

    #[test]
    fn messages_of_one_reason_are_counted_after_the_first() {
        let limit = LogLimit::default();
        let logged = (0..100).filter(|_| limit.next("invalid_login_link").is_some()).count();
        assert_eq!(logged, 10);
        assert_eq!(limit.next("not_invited"), Some(90), "another reason is logged, with the number of the others");
        assert_eq!(limit.next("not_invited"), Some(0));
    }
}
