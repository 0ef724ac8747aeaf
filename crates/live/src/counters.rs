//! Counters of decisions and reloads, and their text for Prometheus.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

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

    /// Writes the counters in the text format of Prometheus, with the active generation and the number of panics that the
    /// caller caught. The labels are fixed words, which need no escapes.
    pub fn text(&self, generation: u64, panics: u64) -> String {
        let mut text = String::from("# HELP portcullis_decisions Decisions\n# TYPE portcullis_decisions counter\n");
        let mut line = |name: &str, labels: &str, value: u64| {
            // Writing to memory does not fail.
            let _ = writeln!(text, "portcullis_{name}{labels} {value}");
        };
        line("decisions_total", r#"{outcome="allow",reason=""}"#, self.allowed.load(Relaxed));
        for (reason, counter) in Reason::ALL.iter().zip(&self.denied) {
            let labels = format!(r#"{{outcome="deny",reason="{}"}}"#, reason.code());
            line("decisions_total", &labels, counter.load(Relaxed));
        }
        let rest = [
            ("policy_reloads", "_total", "counter", r#"{outcome="reloaded"}"#, self.reloaded.load(Relaxed)),
            ("policy_reloads", "_total", "counter", r#"{outcome="failed"}"#, self.failed.load(Relaxed)),
            ("panics", "_total", "counter", "", panics),
            ("policy_generation", "", "gauge", "", generation),
        ];
        let mut last = "";
        for (name, suffix, kind, labels, value) in rest {
            if name != last {
                let _ = writeln!(text, "# TYPE portcullis_{name} {kind}");
            }
            let _ = writeln!(text, "portcullis_{name}{suffix}{labels} {value}");
            last = name;
        }
        text
    }
}
