//! Limits of the requests of one caller, as token buckets: a burst, then a steady rate.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// The maximum number of callers that are counted. Of more, those that are idle the longest are forgotten.
const MAX_CALLERS: usize = 100_000;

/// A limit of requests.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Rate {
    /// The number of requests at once.
    pub(crate) burst: f64,
    /// The number of requests per second after a burst.
    pub(crate) per_second: f64,
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    left: f64,
    at: Instant,
}

/// Counts the requests of each caller.
#[derive(Debug)]
pub(crate) struct Rates {
    rate: Rate,
    buckets: Mutex<HashMap<String, Bucket>>,
}

impl Rates {
    pub(crate) fn new(rate: Rate) -> Self {
        Self { rate, buckets: Mutex::new(HashMap::new()) }
    }

    /// Counts a request of `caller`.
    ///
    /// # Errors
    ///
    /// If the caller has sent too many: the seconds after which it may send another.
    pub(crate) fn take(&self, caller: &str) -> Result<(), u64> {
        self.take_many(caller, 1.0)
    }

    /// Counts what `caller` sends as `count` requests, at most as a whole burst.
    ///
    /// # Errors
    ///
    /// As [`take`](Self::take).
    pub(crate) fn take_many(&self, caller: &str, count: f64) -> Result<(), u64> {
        self.take_at(caller, count.min(self.rate.burst), Instant::now())
    }

    fn take_at(&self, caller: &str, count: f64, now: Instant) -> Result<(), u64> {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= MAX_CALLERS && !buckets.contains_key(caller) {
            // A full bucket is the same as none.
            buckets.retain(|_, bucket| self.refilled(*bucket, now) < self.rate.burst);
            if buckets.len() >= MAX_CALLERS {
                buckets.clear();
            }
        }
        let bucket = buckets.entry(caller.to_owned()).or_insert(Bucket { left: self.rate.burst, at: now });
        let left = self.refilled(*bucket, now);
        if left >= count {
            *bucket = Bucket { left: left - count, at: now };
            return Ok(());
        }
        let seconds = ((count - left) / self.rate.per_second).ceil().clamp(1.0, 3600.0);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 1 and 3600")]
        Err(seconds as u64)
    }

    fn refilled(&self, bucket: Bucket, now: Instant) -> f64 {
        let passed = now.saturating_duration_since(bucket.at).as_secs_f64();
        (bucket.left + passed * self.rate.per_second).min(self.rate.burst)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_burst_is_followed_by_the_steady_rate_of_each_caller() {
        let rates = Rates::new(Rate { burst: 3.0, per_second: 0.5 });
        let start = Instant::now();
        let take = |caller: &str, after: u64| rates.take_at(caller, 1.0, start + Duration::from_secs(after));
        assert_eq!([take("a", 0), take("a", 0), take("a", 0), take("a", 0)], [Ok(()), Ok(()), Ok(()), Err(2)]);
        assert_eq!(take("b", 0), Ok(()), "callers are counted separately");
        assert_eq!([take("a", 1), take("a", 2), take("a", 2)], [Err(1), Ok(()), Err(2)]);
        assert_eq!(take("a", 1000), Ok(()), "a bucket is never fuller than the burst");
        assert_eq!([take("a", 1000), take("a", 1000), take("a", 1000)], [Ok(()), Ok(()), Err(2)]);
    }

    #[test]
    fn large_requests_count_by_their_size() {
        let rates = Rates::new(Rate { burst: 100.0, per_second: 10.0 });
        let start = Instant::now();
        let take = |count: f64, after: u64| rates.take_at("a", count, start + Duration::from_secs(after));
        assert_eq!([take(60.0, 0), take(60.0, 0), take(40.0, 0), take(1.0, 0)], [Ok(()), Err(2), Ok(()), Err(1)]);
        assert_eq!([take(60.0, 5), take(60.0, 6)], [Err(1), Ok(())]);
        assert_eq!(rates.take_many("b", 1e9), Ok(()), "more than a burst is a whole burst");
        assert_eq!(rates.take_many("b", 10.0), Err(1));
    }

    #[test]
    fn the_number_of_counted_callers_is_limited() {
        let rates = Rates::new(Rate { burst: 1.0, per_second: 0.001 });
        let start = Instant::now();
        for caller in 0..=MAX_CALLERS {
            rates.take_at(&caller.to_string(), 1.0, start).unwrap();
        }
        assert!(rates.buckets.lock().unwrap().len() <= MAX_CALLERS);
    }
}
