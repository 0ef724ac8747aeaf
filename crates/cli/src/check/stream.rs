//! Requests as JSON Lines in, answers as JSON Lines out, in the same order.

use std::io;
use std::path::Path;
use std::time::Instant;

use anyhow::bail;
use portcullis::authorizer::{Clock, SystemClock};
use portcullis::base::Timestamp;
use portcullis::decision::Replay;
use portcullis_http::wire::{ErrorLine, ReplayRequest, Replayed, SkippedLine, WireDecision};

use super::counts::AnswerCounts;
use crate::Exit;
use crate::pump::{Answerer, Pump, write_line};

/// Decides requests.
#[derive(Clone, Copy)]
pub(super) struct Decider<'s> {
    pub(super) replay: &'s Replay<'s>,
    /// The instant of requests without `now`; `None` for the clock.
    pub(super) now: Option<Timestamp>,
}

impl Decider<'_> {
    /// Answers every request of the file at `path`, or of standard input for `-`.
    pub(super) fn run(self, path: &Path, pump: Pump) -> anyhow::Result<Exit> {
        let start = Instant::now();
        let counts = pump.run(path, &self)?;
        if !pump.quiet {
            counts.print_summary(start.elapsed(), &mut io::stderr().lock())?;
        }
        if counts.total() == counts.skipped {
            bail!(
                "no request of `{}` can be decided: the answers state why\nhelp: give the log of this policy",
                path.display()
            );
        }
        Ok(if counts.errors > 0 { Exit::Failure } else { Exit::Success })
    }
}

impl Answerer for Decider<'_> {
    type Counts = AnswerCounts;

    fn answer(&self, number: u64, line: &[u8], out: &mut Vec<u8>, counts: &mut AnswerCounts) {
        let request = match ReplayRequest::read(line) {
            Ok(request) => request,
            Err(error) => return self.error(number, &error.to_string(), out, counts),
        };
        match request.decide(self.replay, self.now.unwrap_or_else(|| SystemClock.now())) {
            Replayed::Decided(decision) => {
                counts.decided(&decision);
                let answer = WireDecision::new(request.id(), &decision).logged(request.logged());
                counts.changed += u64::from(answer.differs_from_log());
                write_line(&answer, out);
            }
            Replayed::Skipped(skipped) => {
                counts.skipped += 1;
                write_line(&SkippedLine { id: request.id(), line: number, skipped }, out);
            }
        }
    }

    fn error(&self, line: u64, error: &str, out: &mut Vec<u8>, counts: &mut AnswerCounts) {
        counts.errors += 1;
        write_line(&ErrorLine { line, error }, out);
    }

    fn add(total: &mut AnswerCounts, more: &AnswerCounts) {
        total.add(more);
    }
}
