//! The recorded use of tokens and grants.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::io::Read;

use portcullis::base::Timestamp;
use portcullis::decision::{Decision, Replay};
use portcullis::model::{Api, Policy};
use portcullis_http::wire::{ReplayRequest, Replayed};

use crate::log::{self, LogError};

/// The used tokens and grants, and the time span of the record.
///
/// [`Usage::read`] reads decision logs. It decides each allowed line again by the audited policy, so grants are those
/// of that policy. [`Usage::add_token`] adds the use of one token if its grants are not known.
#[derive(Debug, Clone, Default)]
pub struct Usage {
    tokens: HashMap<Box<str>, TokenUse>,
    from: Option<Timestamp>,
    to: Option<Timestamp>,
    sampled: bool,
    /// The APIs of all requests.
    apis: BTreeSet<Box<str>>,
}

/// The reason why a record does not show which grants are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoUse {
    /// The record is that of another policy, or of requests without known tokens.
    #[error(
        "cannot tell which grants are used: the logs of `--log` use no token of the policy: give the logs of this policy"
    )]
    OtherTokens,
    /// Every request was denied.
    #[error(
        "cannot tell which grants are used: the logs of `--log` have no allowed request of a token of the policy; help: \
         give logs from a time in which requests were allowed"
    )]
    NothingAllowed,
    /// The policy denies every request that was allowed.
    #[error(
        "cannot tell which grants are used: the policy denies every request that the logs of `--log` allowed; help: give \
         logs that were written under this policy"
    )]
    NothingAllowedNow,
}

/// Adds the API of a request to `apis`.
pub(crate) fn add_api(apis: &mut BTreeSet<Box<str>>, line: &ReplayRequest<'_>) {
    if let Some(request) = line.request()
        && !apis.contains(request.api)
    {
        apis.insert(request.api.into());
    }
}

/// Returns the APIs of tokens of `policy` that are not in `found`, by name.
pub(crate) fn missing_apis<'p>(policy: &'p Policy, found: &BTreeSet<Box<str>>) -> Vec<&'p str> {
    let apis = policy.tokens().iter().flat_map(|token| token.apis().iter()).filter_map(|id| policy.apis().get(id));
    let missing: BTreeSet<&str> = apis.map(Api::name).filter(|name| !found.contains(*name)).collect();
    missing.into_iter().collect()
}

/// The use of one token.
#[derive(Debug, Clone, Default)]
pub struct TokenUse {
    allowed: u64,
    /// How many of the allowed requests the policy denies now.
    no_longer: u64,
    denied: u64,
    last: Option<Timestamp>,
    grants: Option<HashSet<u32>>,
    /// Whether some requests of the token cannot be decided again.
    unclear: bool,
}

/// The lines of a log, counted by result.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lines {
    /// Requests that were allowed and still are.
    pub allowed: u64,
    /// Requests that were allowed and no longer are.
    pub no_longer: u64,
    /// Requests that were allowed and cannot be decided again.
    pub unclear: u64,
    /// All other decisions.
    pub others: u64,
}

impl Usage {
    /// Reads a decision log, and decides its lines again by the snapshot of `replay`.
    ///
    /// Memory grows with the tokens and grants, not with the requests.
    ///
    /// # Errors
    ///
    /// Returns an error if reading fails, a line cannot be read, or there is no decision. Do not use the record then.
    pub fn read(&mut self, log: impl Read, replay: &Replay<'_>, now: Timestamp) -> Result<Lines, LogError> {
        let mut lines = Lines::default();
        log::read(log, |_, request| self.line(request, replay, now, &mut lines))?;
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
        add_api(&mut self.apis, request);
        // A request without a logged decision counts by its decision now.
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
                // The token was used nevertheless.
                if let Some(token) = request.token_id() {
                    let used = self.tokens.entry(token.into()).or_default();
                    used.allowed += 1;
                    used.last = used.last.max(Some(at));
                    used.grants.get_or_insert_default();
                    used.no_longer += u64::from(!unclear);
                    used.unclear |= unclear;
                }
            }
            Replayed::Decided(Decision::Deny(_)) | Replayed::Skipped(_) => lines.others += 1,
        }
    }

    /// Adds a number of allowed requests of a token, the last of them at `last`. The used grants are not known.
    pub fn add_token(&mut self, token: &str, allowed: u64, last: Timestamp) {
        self.span(last);
        let used = self.tokens.entry(token.into()).or_default();
        used.allowed += allowed;
        used.last = used.last.max(Some(last));
    }

    /// Sets the time span of the record: tokens without recorded use were not used from `from` to `to`.
    pub fn covers(&mut self, from: Timestamp, to: Timestamp) {
        self.span(from);
        self.span(to);
    }

    fn span(&mut self, at: Timestamp) {
        self.from = Some(self.from.map_or(at, |from| from.min(at)));
        self.to = self.to.max(Some(at));
    }

    /// Checks that the record shows which grants of `policy` are used.
    ///
    /// # Errors
    ///
    /// Returns an error if no request of a token of `policy` was allowed, or none still is: then every grant would look
    /// unused.
    pub fn check(&self, policy: &Policy) -> Result<(), NoUse> {
        let known: Vec<_> = policy.tokens().iter().filter_map(|token| self.token(token.id())).collect();
        match known.as_slice() {
            [] => Err(NoUse::OtherTokens),
            known if known.iter().all(|token| token.allowed == 0) => Err(NoUse::NothingAllowed),
            known if known.iter().all(|token| token.is_denied_now()) => Err(NoUse::NothingAllowedNow),
            _ => Ok(()),
        }
    }

    /// Returns the APIs of tokens of `policy` under which no request is recorded. Grants that only they need look unused.
    pub fn apis_without_requests<'p>(&self, policy: &'p Policy) -> Vec<&'p str> {
        missing_apis(policy, &self.apis)
    }

    /// Returns the use of the token with that id; `None` if it was never presented.
    pub fn token(&self, id: &str) -> Option<&TokenUse> {
        self.tokens.get(id)
    }

    /// Returns the time of the first request, if there is one.
    pub fn from(&self) -> Option<Timestamp> {
        self.from
    }

    /// Returns the time of the last request, if there is one.
    pub fn to(&self) -> Option<Timestamp> {
        self.to
    }

    /// Whether only a sample of the allowed requests is recorded.
    pub fn is_sampled(&self) -> bool {
        self.sampled
    }
}

impl TokenUse {
    /// Returns the number of allowed requests.
    pub fn allowed(&self) -> u64 {
        self.allowed
    }

    /// Returns the number of denied requests.
    pub fn denied(&self) -> u64 {
        self.denied
    }

    /// Returns the time of the last allowed request.
    pub fn last(&self) -> Option<Timestamp> {
        self.last
    }

    /// Whether the policy denies every request of the token that was allowed.
    fn is_denied_now(&self) -> bool {
        self.allowed == self.no_longer
    }

    /// Returns the indexes of the grants that allowed requests; `None` if they are not known.
    pub fn grants(&self) -> Option<&HashSet<u32>> {
        self.grants.as_ref().filter(|_| !self.unclear)
    }
}
