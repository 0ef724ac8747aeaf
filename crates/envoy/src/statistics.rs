//! Counters in Envoy's statistics.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use portcullis::decision::Reason;
use portcullis_envoy_abi::{Counter, Definitions, Gauge, Stream, Undefined};
use portcullis_http::answer::Outcome;
use portcullis_live::Shared;

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
    }
}
