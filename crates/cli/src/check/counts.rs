//! Counts answers by decision and reason.

use std::io::{self, Write};
use std::time::Duration;

use portcullis::decision::{Decision, Reason};

use crate::output::{counted, grouped, rate};

/// The numbers of answers of each kind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct AnswerCounts {
    pub(super) allowed: u64,
    /// Denials, indexed as [`Reason::ALL`].
    denied: [u64; Reason::ALL.len()],
    pub(super) errors: u64,
    /// Requests of a decision log that lack data for a decision.
    pub(super) skipped: u64,
    /// Decided requests whose logged decision differs.
    pub(super) changed: u64,
}

impl AnswerCounts {
    pub(super) fn decided(&mut self, decision: &Decision<'_>) {
        match decision.reason() {
            None => self.allowed += 1,
            Some(reason) => {
                if let Some(count) = self.denied.get_mut(reason as usize) {
                    *count += 1;
                }
            }
        }
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.allowed += other.allowed;
        self.errors += other.errors;
        self.skipped += other.skipped;
        self.changed += other.changed;
        for (count, more) in self.denied.iter_mut().zip(other.denied) {
            *count += more;
        }
    }

    /// The reasons that occurred, most frequent first.
    pub(super) fn reasons(&self) -> Vec<(Reason, u64)> {
        let mut reasons: Vec<_> = Reason::ALL.into_iter().zip(self.denied).filter(|(_, count)| *count > 0).collect();
        reasons.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        reasons
    }

    fn denials(&self) -> u64 {
        self.denied.iter().sum()
    }

    pub(super) fn total(&self) -> u64 {
        self.allowed + self.denials() + self.errors + self.skipped
    }

    /// Writes the summary as text.
    pub(super) fn print_summary(&self, elapsed: Duration, out: &mut impl Write) -> io::Result<()> {
        writeln!(
            out,
            "{} in {:.2} s ({}/s): {} allowed, {} denied, {}",
            counted(self.total(), "request"),
            elapsed.as_secs_f64(),
            grouped(rate(self.total(), elapsed.as_nanos())),
            grouped(self.allowed),
            grouped(self.denials()),
            counted(self.errors, "error"),
        )?;
        if self.skipped + self.changed > 0 {
            let [changed, skipped] = [self.changed, self.skipped].map(grouped);
            writeln!(out, "compared with the log: {changed} changed, {skipped} skipped")?;
        }
        let reasons: Vec<_> =
            self.reasons().iter().map(|(reason, count)| format!("{reason} {}", grouped(*count))).collect();
        if reasons.is_empty() { Ok(()) } else { writeln!(out, "denied: {}", reasons.join(", ")) }
    }
}
