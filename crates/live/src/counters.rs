//! Counters of decisions and reloads, and their text for Prometheus.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::freshness::Freshness;
use portcullis::decision::Reason;

/// The counters of one policy in one process.
#[derive(Debug)]
pub struct Counters {
    allowed: AtomicU64,
    /// By the index of the reason in [`Reason::ALL`].
    denied: [AtomicU64; Reason::ALL.len()],
    /// Reloads that succeeded.
    pub reloaded: AtomicU64,
    /// Reloads that failed.
    pub failed: AtomicU64,
}

impl Counters {
    /// Creates counters that are zero.
    #[allow(clippy::new_without_default, reason = "counters of nothing have no use")]
    pub fn new() -> Self {
        Self {
            allowed: AtomicU64::new(0),
            denied: [const { AtomicU64::new(0) }; Reason::ALL.len()],
            reloaded: AtomicU64::new(0),
            failed: AtomicU64::new(0),
        }
    }

    /// Counts a decision: an allow, or a denial for `reason`.
    pub fn count(&self, reason: Option<Reason>) {
        let counter = match reason {
            None => Some(&self.allowed),
            Some(reason) => Reason::ALL.iter().position(|known| *known == reason).and_then(|at| self.denied.get(at)),
        };
        if let Some(counter) = counter {
            counter.fetch_add(1, Relaxed);
        }
    }

    /// Writes the counters in the text format of Prometheus, with the active generation, its age and the number of panics
    /// that the caller caught. The labels are fixed words, which need no escapes.
    pub fn text(&self, generation: u64, freshness: &Freshness, panics: u64) -> String {
        let denied = Reason::ALL.iter().zip(&self.denied).map(|(reason, counter)| {
            (format!(r#"{{outcome="deny",reason="{}"}}"#, reason.code()), counter.load(Relaxed))
        });
        let allowed = (r#"{outcome="allow",reason=""}"#.to_owned(), self.allowed.load(Relaxed));
        let reloads = [
            (r#"{outcome="reloaded"}"#.to_owned(), self.reloaded.load(Relaxed)),
            (r#"{outcome="failed"}"#.to_owned(), self.failed.load(Relaxed)),
        ];
        let single = |value| vec![(String::new(), value)];
        let seconds = |time: Option<Duration>| single(time.unwrap_or_default().as_secs());
        let families = [
            (
                "decisions_total",
                "counter",
                "Decisions, by outcome and reason",
                [allowed].into_iter().chain(denied).collect(),
            ),
            ("policy_reloads_total", "counter", "Reloads of the policy, by outcome", reloads.to_vec()),
            ("panics_total", "counter", "Panics of the library that were caught", single(panics)),
            ("policy_generation", "gauge", "Active generation of the policy; 0 without a policy", single(generation)),
            ("policy_age_seconds", "gauge", "Time since the policy became active", seconds(freshness.age())),
            (
                "policy_stale_seconds",
                "gauge",
                "How long the source has not been a readable and valid policy; 0 while it is",
                seconds(freshness.failing_for()),
            ),
        ];
        let mut text = String::new();
        for (name, kind, help, samples) in families {
            // Writing to memory does not fail.
            let _ = writeln!(text, "# HELP portcullis_{name} {help}\n# TYPE portcullis_{name} {kind}");
            for (labels, value) in samples {
                let _ = writeln!(text, "portcullis_{name}{labels} {value}");
            }
        }
        text
    }
}
