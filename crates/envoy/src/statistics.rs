//! Counters in Envoy's statistics.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};

use portcullis::authorizer::{Clock, SystemClock};
use portcullis::decision::Reason;
use portcullis_envoy_abi::{Counter, Definitions, Gauge, Stream, Undefined};
use portcullis_http::answer::Outcome;
use portcullis_live::{Freshness, Shared};

/// The statistics of a filter. None has labels: Envoy then finds a counter by its index.
#[derive(Debug)]
pub(crate) struct Statistics {
    allowed: Counter,
    passed: Counter,
    preflights: Counter,
    denied: Counter,
    /// By the index of the reason in [`Reason::ALL`].
    reasons: Vec<Counter>,
    pub(crate) too_large: Counter,
    pub(crate) shadowed: Counter,
    reloaded: Published,
    failed: Published,
    generation: Gauge,
    last_generation: AtomicU64,
    age: Gauge,
    stale: Gauge,
    /// The second since 1970 of the last `age` and `stale`.
    last_second: AtomicI64,
}

/// A counter of the policy, which Envoy shows.
#[derive(Debug)]
struct Published {
    counter: Counter,
    /// The value that Envoy has.
    value: AtomicU64,
}

impl Statistics {
    /// Defines all statistics.
    pub(crate) fn define(define: &Definitions<'_>) -> Result<Self, Undefined> {
        let published = |name| define.counter(name).map(|counter| Published { counter, value: AtomicU64::new(0) });
        let reason = |reason: &Reason| define.counter(&format!("denied.{}", reason.code()));
        Ok(Self {
            allowed: define.counter("decisions.allow")?,
            passed: define.counter("decisions.pass")?,
            preflights: define.counter("decisions.preflight")?,
            denied: define.counter("decisions.deny")?,
            reasons: Reason::ALL.iter().map(reason).collect::<Result<_, _>>()?,
            too_large: define.counter("denied.body_too_large")?,
            shadowed: define.counter("decisions.shadow_deny")?,
            reloaded: published("policy.reloaded")?,
            failed: published("policy.reload_failed")?,
            generation: define.gauge("policy.generation")?,
            last_generation: AtomicU64::new(0),
            age: define.gauge("policy.age_seconds")?,
            stale: define.gauge("policy.stale_seconds")?,
            last_second: AtomicI64::new(0),
        })
    }

    /// Counts the outcome of a decision.
    pub(crate) fn count(&self, stream: &Stream<'_>, outcome: &Outcome) {
        match outcome {
            Outcome::Allow { .. } => stream.add(self.allowed, 1),
            Outcome::Pass => stream.add(self.passed, 1),
            Outcome::Preflight => stream.add(self.preflights, 1),
            Outcome::Deny { reason, .. } => {
                stream.add(self.denied, 1);
                let index = Reason::ALL.iter().position(|known| known == reason);
                if let Some(counter) = index.and_then(|index| self.reasons.get(index)) {
                    stream.add(*counter, 1);
                }
            }
        }
    }

    /// Counts a body that is too large.
    pub(crate) fn count_too_large(&self, stream: &Stream<'_>) {
        stream.add(self.denied, 1);
        stream.add(self.too_large, 1);
    }

    /// Publishes the counters of the policy. Envoy's functions need a stream, so this happens with the next request.
    pub(crate) fn publish(&self, stream: &Stream<'_>, shared: &Shared, generation: u64) {
        for (published, counter) in
            [(&self.reloaded, &shared.counters.reloaded), (&self.failed, &shared.counters.failed)]
        {
            let now = counter.load(Relaxed);
            // Most requests only read.
            if published.value.load(Relaxed) < now {
                let before = published.value.fetch_max(now, Relaxed);
                stream.add(published.counter, now.saturating_sub(before));
            }
        }
        if self.last_generation.load(Relaxed) != generation {
            self.last_generation.store(generation, Relaxed);
            stream.set(self.generation, generation);
        }
        let second = SystemClock.now().seconds();
        if self.last_second.swap(second, Relaxed) != second {
            let [age, stale] = seconds(&shared.freshness);
            stream.set(self.age, age);
            stream.set(self.stale, stale);
        }
    }
}

/// Returns the age of the active policy and how long its source has been failing, in whole seconds: the values of
/// `portcullis_policy_age_seconds` and `portcullis_policy_stale_seconds` of the other gateways.
fn seconds(freshness: &Freshness) -> [u64; 2] {
    [freshness.age(), freshness.failing_for()].map(|time| time.unwrap_or_default().as_secs())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a helper of tests fails as a test does")]
mod tests {
    use std::time::Duration;

    use super::seconds;
    use crate::policies::open;

    #[test]
    fn a_policy_ages_and_is_stale_while_its_file_is_broken() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("policy.json");
        let write = |text: &str| {
            let new = path.with_extension("new");
            std::fs::write(&new, text).unwrap();
            std::fs::rename(&new, &path).unwrap();
        };
        write("[]");
        let live = open(path.to_str().unwrap(), Duration::from_millis(5)).unwrap();
        let freshness = &live.shared.freshness;
        let [_, stale] = seconds(freshness);
        assert_eq!(stale, 0);
        write("{");
        while seconds(freshness).contains(&0) {
            std::thread::sleep(Duration::from_millis(5));
        }
        let [age, stale] = seconds(freshness);
        assert!(age >= stale && stale >= 1, "{age} {stale}");
        write("[]");
        while seconds(freshness) != [0, 0] {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}
