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
        self.take_at(caller, Instant::now())
    }

    /// Checks without counting whether `caller` may send a request.
    ///
    /// # Errors
    ///
    /// As [`take`](Self::take).
    pub(crate) fn check(&self, caller: &str) -> Result<(), u64> {
        let buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        buckets.get(caller).map_or(Ok(()), |bucket| self.left(*bucket, Instant::now()).map(drop))
    }

    fn take_at(&self, caller: &str, now: Instant) -> Result<(), u64> {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= MAX_CALLERS && !buckets.contains_key(caller) {
            // A full bucket is the same as none.
            buckets.retain(|_, bucket| self.refilled(*bucket, now) < self.rate.burst);
            if buckets.len() >= MAX_CALLERS {
                buckets.clear();
            }
        }
        let bucket = buckets.entry(caller.to_owned()).or_insert(Bucket { left: self.rate.burst, at: now });
        let left = self.left(*bucket, now)?;
        *bucket = Bucket { left: left - 1.0, at: now };
        Ok(())
    }

    fn refilled(&self, bucket: Bucket, now: Instant) -> f64 {
        let passed = now.saturating_duration_since(bucket.at).as_secs_f64();
        (bucket.left + passed * self.rate.per_second).min(self.rate.burst)
    }

    fn left(&self, bucket: Bucket, now: Instant) -> Result<f64, u64> {
        let left = self.refilled(bucket, now);
        if left >= 1.0 {
            return Ok(left);
        }
        let seconds = ((1.0 - left) / self.rate.per_second).ceil().clamp(1.0, 3600.0);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 1 and 3600")]
        Err(seconds as u64)
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
        let take = |caller: &str, after: u64| rates.take_at(caller, start + Duration::from_secs(after));
        assert_eq!([take("a", 0), take("a", 0), take("a", 0), take("a", 0)], [Ok(()), Ok(()), Ok(()), Err(2)]);
        assert_eq!(take("b", 0), Ok(()), "callers are counted separately");
        assert_eq!([take("a", 1), take("a", 2), take("a", 2)], [Err(1), Ok(()), Err(2)]);
        assert_eq!(take("a", 1000), Ok(()), "a bucket is never fuller than the burst");
        assert_eq!([take("a", 1000), take("a", 1000), take("a", 1000)], [Ok(()), Ok(()), Err(2)]);
    }

    #[test]
    fn the_number_of_counted_callers_is_limited() {
        let rates = Rates::new(Rate { burst: 1.0, per_second: 0.001 });
        let start = Instant::now();
        for caller in 0..=MAX_CALLERS {
            rates.take_at(&caller.to_string(), start).unwrap();
        }
        assert!(rates.buckets.lock().unwrap().len() <= MAX_CALLERS);
    }
}
