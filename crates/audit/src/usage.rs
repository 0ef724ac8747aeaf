//! What tokens were used for, as far as anybody wrote it down.

use std::collections::{HashMap, HashSet};
use std::io::{self, BufRead};

use portcullis::base::Timestamp;
use portcullis::decision::{Decision, Replay};
use portcullis_http::wire::{ReplayRequest, Replayed, WireError};

/// Which tokens and grants were used, and over what time.
///
/// Read from decision logs by [`Usage::read`]: each line that was allowed is decided again by the policy that is asked
/// about, so that grants are those of that policy. Or told token by token, by [`Usage::tell`], where no more is known.
#[derive(Debug, Clone, Default)]
pub struct Usage {
    tokens: HashMap<Box<str>, TokenUse>,
    from: Option<Timestamp>,
    to: Option<Timestamp>,
    sampled: bool,
}

/// How one token was used.
#[derive(Debug, Clone, Default)]
pub struct TokenUse {
    allowed: u64,
    denied: u64,
    last: Option<Timestamp>,
    grants: Option<HashSet<u32>>,
    /// Whether some of its requests cannot be decided again.
    unclear: bool,
}

/// What became of the lines of a log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lines {
    /// Requests that were allowed, and still are.
    pub allowed: u64,
    /// Requests that were allowed, and no longer are.
    pub no_longer: u64,
    /// Requests that were allowed, and cannot be decided again.
    pub unclear: u64,
    /// All others that were understood.
    pub others: u64,
    /// Lines that are no lines of a log: how many, and the first with its number and why.
    pub broken: u64,
    /// The first of them.
    pub first_broken: Option<(u64, WireError)>,
}

impl Usage {
    /// Takes in a decision log, decided again by the snapshot of `replay`.
    ///
    /// Takes memory for tokens and grants, not for requests.
    ///
    /// # Errors
    ///
    /// If it cannot be read. A broken line is counted.
    pub fn read(&mut self, log: impl BufRead, replay: &Replay<'_>, now: Timestamp) -> io::Result<Lines> {
        let mut lines = Lines::default();
        each_line(log, |number, line| match ReplayRequest::read(line) {
            Ok(request) => self.line(&request, replay, now, &mut lines),
            Err(error) => {
                lines.broken += 1;
                lines.first_broken.get_or_insert((number, error));
            }
        })?;
        Ok(lines)
    }

    fn line(&mut self, request: &ReplayRequest<'_>, replay: &Replay<'_>, now: Timestamp, lines: &mut Lines) {
        if !request.is_use() {
            lines.others += 1;
            return;
        }
        let at = request.at().unwrap_or(now);
        self.span(at);
        self.sampled |= request.is_sampled();
        // A request without an outcome, of no log, counts as what it would be.
        if request.logged().is_some_and(|logged| logged.is_err()) {
            lines.others += 1;
            if let Some(token) = request.token_id() {
                self.tokens.entry(token.into()).or_default().denied += 1;
            }
            return;
        }
        match request.decide_grants(replay, now) {
            Replayed::Decided(Decision::Allow(allow)) => {
                lines.allowed += 1;
                let used = self.tokens.entry(allow.token().into()).or_default();
                used.allowed += 1;
                used.last = used.last.max(Some(at));
                used.grants.get_or_insert_default().extend(allow.grants());
            }
            replayed @ (Replayed::Decided(Decision::Deny(_)) | Replayed::Skipped(_)) if request.logged().is_some() => {
                let unclear = matches!(replayed, Replayed::Skipped(_));
                *if unclear { &mut lines.unclear } else { &mut lines.no_longer } += 1;
                // The token was used all the same.
                if let Some(token) = request.token_id() {
                    let used = self.tokens.entry(token.into()).or_default();
                    used.allowed += 1;
                    used.last = used.last.max(Some(at));
                    used.grants.get_or_insert_default();
                    used.unclear |= unclear;
                }
            }
            Replayed::Decided(Decision::Deny(_)) | Replayed::Skipped(_) => lines.others += 1,
        }
    }

    /// Takes in that a token was allowed so many requests, the last of them at `last`; its grants are not known.
    pub fn tell(&mut self, token: &str, allowed: u64, last: Timestamp) {
        self.span(last);
        let used = self.tokens.entry(token.into()).or_default();
        used.allowed += allowed;
        used.last = used.last.max(Some(last));
    }

    /// Says that what is not known to be used was not used from `from` to `to`.
    pub fn covers(&mut self, from: Timestamp, to: Timestamp) {
        self.span(from);
        self.span(to);
    }

    fn span(&mut self, at: Timestamp) {
        self.from = Some(self.from.map_or(at, |from| from.min(at)));
        self.to = self.to.max(Some(at));
    }

    /// How the token of that id was used; `None` if it was never presented.
    pub fn token(&self, id: &str) -> Option<&TokenUse> {
        self.tokens.get(id)
    }

    /// When the first request was decided; `None` if there was none.
    pub fn from(&self) -> Option<Timestamp> {
        self.from
    }

    /// When the last request was decided.
    pub fn to(&self) -> Option<Timestamp> {
        self.to
    }

    /// Whether only a part of the allowed requests is recorded.
    pub fn is_sampled(&self) -> bool {
        self.sampled
    }
}

impl TokenUse {
    /// How many requests it was allowed.
    pub fn allowed(&self) -> u64 {
        self.allowed
    }

    /// How many requests it was denied.
    pub fn denied(&self) -> u64 {
        self.denied
    }

    /// When it was last allowed one.
    pub fn last(&self) -> Option<Timestamp> {
        self.last
    }

    /// The places of the grants that allowed them; `None` if that is not known.
    pub fn grants(&self) -> Option<&HashSet<u32>> {
        self.grants.as_ref().filter(|_| !self.unclear)
    }
}

/// Hands each line that is not blank to `each`, with its number from 1.
pub(super) fn each_line(mut log: impl BufRead, mut each: impl FnMut(u64, &[u8])) -> io::Result<()> {
    let (mut line, mut number) = (Vec::new(), 0);
    while {
        line.clear();
        log.read_until(b'\n', &mut line)? > 0
    } {
        number += 1;
        if !line.trim_ascii().is_empty() {
            each(number, &line);
        }
    }
    Ok(())
}
