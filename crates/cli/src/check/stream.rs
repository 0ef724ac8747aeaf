//! Requests as JSON Lines in, answers as JSON Lines out, in the same order.

use std::io;
use std::path::Path;
use std::time::Instant;

use portcullis::authorizer::{Clock, SystemClock};
use portcullis::base::Timestamp;
use portcullis::decision::Replay;
use portcullis_http::wire::{ErrorLine, ReplayRequest, Replayed, SkippedLine, WireDecision};

use super::tally::Tally;
use crate::Exit;
use crate::pump::{Answerer, Pump, write_line};

/// Decides requests.
#[derive(Clone, Copy)]
pub(super) struct Decider<'s> {
    pub(super) replay: &'s Replay<'s>,
    /// When requests are made that do not say so; `None` for when each is decided.
    pub(super) now: Option<Timestamp>,
}

impl Decider<'_> {
    /// Answers every request of the file at `path`, or of standard input for `-`.
    pub(super) fn run(self, path: &Path, pump: Pump) -> anyhow::Result<Exit> {
        let begun = Instant::now();
        let tally = pump.run(path, &self)?;
        if !pump.quiet {
            tally.summarize(begun.elapsed(), &mut io::stderr().lock())?;
        }
        Ok(if tally.errors > 0 { Exit::Failure } else { Exit::Success })
    }
}

impl Answerer for Decider<'_> {
    type Tally = Tally;

    fn answer(&self, number: u64, line: &[u8], out: &mut Vec<u8>, tally: &mut Tally) {
        let request = match ReplayRequest::read(line) {
            Ok(request) => request,
            Err(error) => return self.error(number, &error.to_string(), out, tally),
        };
        match request.decide(self.replay, self.now.unwrap_or_else(|| SystemClock.now())) {
            Replayed::Decided(decision) => {
                tally.decided(&decision);
                let answer = WireDecision::new(request.id(), &decision).logged(request.logged());
                tally.changed += u64::from(answer.differs_from_log());
                write_line(&answer, out);
            }
            Replayed::Skipped(skipped) => {
                tally.skipped += 1;
                write_line(&SkippedLine { id: request.id(), line: number, skipped }, out);
            }
        }
    }

    fn error(&self, line: u64, error: &str, out: &mut Vec<u8>, tally: &mut Tally) {
        tally.errors += 1;
        write_line(&ErrorLine { line, error }, out);
    }

    fn add(total: &mut Tally, more: &Tally) {
        total.add(more);
    }
}
