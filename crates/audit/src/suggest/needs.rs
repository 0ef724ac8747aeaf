//! Records what each grant of a policy was needed for.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::Read;

use super::grant_needs::GrantNeeds;
use super::narrow::narrowed;
use super::{RemovedGrant, SuggestOptions, SuggestedGrant, Suggestion, TokenAdvice, TokenSuggestion};
use crate::log::{self, LogError};
use crate::usage::{Lines, NoUse, add_api, missing_apis};
use portcullis::base::Timestamp;
use portcullis::decision::{Decision, Replay, Request};
use portcullis::model::{Connection, Grant, GrantKind, GrantKinds, GrantSource, Operation, Policy, Token};
use portcullis_http::wire::{ReplayRequest, Replayed};

/// The uses of a policy's grants in decision logs.
///
/// Memory grows with the used grants, and up to a thousand names for each of their schemas.
#[derive(Debug)]
pub struct Needs<'p> {
    policy: &'p Policy,
    numbers: HashMap<&'p str, usize>,
    tokens: HashMap<usize, TokenNeeds>,
    sampled: bool,
    /// Whether a line presents a token of the policy.
    known: bool,
    /// Whether a request of a token of the policy was allowed.
    allowed: bool,
    /// The APIs of all requests.
    apis: BTreeSet<Box<str>>,
}

#[derive(Debug, Default)]
struct TokenNeeds {
    allowed: u64,
    grants: BTreeMap<u32, GrantNeeds>,
}

impl<'p> Needs<'p> {
    /// Creates an empty record for `policy`.
    pub fn new(policy: &'p Policy) -> Self {
        let numbers = policy.tokens().iter().map(Token::id).zip(0..).collect();
        Self {
            policy,
            numbers,
            tokens: HashMap::new(),
            sampled: false,
            known: false,
            allowed: false,
            apis: BTreeSet::new(),
        }
    }

    /// Reads a decision log. Allowed lines are decided again by the snapshot of `replay`, which must be that of the
    /// policy. Lines that are no longer allowed are counted, but need no grant. If a line cannot be decided again, its
    /// token needs all grants.
    ///
    /// # Errors
    ///
    /// Returns an error if reading fails, a line cannot be read, or there is no decision. Do not use the record then.
    pub fn read(&mut self, log: impl Read, replay: &Replay<'_>, now: Timestamp) -> Result<Lines, LogError> {
        let mut lines = Lines::default();
        log::read(log, |_, request| self.line(request, replay, now, &mut lines))?;
        Ok(lines)
    }

    /// Whether a log has only a sample of the allowed requests, so that more grants may be needed.
    pub fn is_sampled(&self) -> bool {
        self.sampled
    }

    /// Checks that the logs show which grants are used.
    ///
    /// # Errors
    ///
    /// Returns an error if no request of a token of the policy was allowed, or none still is: then every grant would look
    /// unused.
    pub fn check(&self) -> Result<(), NoUse> {
        match (self.known, self.allowed) {
            (false, _) => Err(NoUse::OtherTokens),
            (true, false) => Err(NoUse::NothingAllowed),
            (true, true) if self.tokens.values().all(|token| token.allowed == 0) => Err(NoUse::NothingAllowedNow),
            (true, true) => Ok(()),
        }
    }

    /// Returns the APIs of tokens of the policy under which the logs have no request. Grants that only they need look
    /// unused.
    pub fn apis_without_requests(&self) -> Vec<&'p str> {
        missing_apis(self.policy, &self.apis)
    }

    fn line(&mut self, line: &ReplayRequest<'_>, replay: &Replay<'_>, now: Timestamp, lines: &mut Lines) {
        self.sampled |= line.is_sampled();
        let number = line.token_id().and_then(|token| self.numbers.get(token)).copied();
        self.known |= number.is_some();
        add_api(&mut self.apis, line);
        // A preflight has no decision.
        if line.logged().is_none_or(|logged| logged.is_err()) {
            lines.others += 1;
            return;
        }
        self.allowed |= number.is_some();
        let (allow, request) = match (line.decide_grants(replay, now), line.request()) {
            (Replayed::Decided(Decision::Allow(allow)), Some(request)) => (allow, request),
            (Replayed::Skipped(_), _) => {
                lines.unclear += 1;
                self.keep(line.token_id());
                return;
            }
            _ => {
                lines.no_longer += 1;
                // The token was used nevertheless.
                if let Some(number) = number {
                    self.tokens.entry(number).or_default();
                }
                return;
            }
        };
        lines.allowed += 1;
        let Some(&number) = self.numbers.get(allow.token()) else { return };
        let considered = considered(self.policy, &request);
        let needs = self.tokens.entry(number).or_default();
        needs.allowed += 1;
        let grants = self.policy.tokens().get(number).map(Token::grants).unwrap_or_default();
        for (&index, source) in allow.grants().iter().zip(line.sources(replay)) {
            let Some(connection) =
                grants.get(index as usize).and_then(|grant| self.policy.connection(grant.connection()))
            else {
                continue;
            };
            needs.grants.entry(index).or_default().needed(source, connection, considered);
        }
    }

    /// Marks all grants of the token as needed.
    fn keep(&mut self, token: Option<&str>) {
        let Some(&number) = token.and_then(|token| self.numbers.get(token)) else { return };
        let needs = self.tokens.entry(number).or_default();
        needs.allowed += 1;
        let grants = self.policy.tokens().get(number).map(Token::grants).unwrap_or_default();
        for (index, _) in (0..).zip(grants) {
            needs.grants.entry(index).or_default().unclear = true;
        }
    }

    /// Suggests the narrowest grants for the recorded uses, each within a grant of its token.
    pub fn suggest(&self, options: &SuggestOptions) -> Suggestion {
        let tokens = self.policy.tokens().iter().enumerate();
        Suggestion { tokens: tokens.map(|(number, token)| self.token(number, token, options)).collect() }
    }

    fn token(&self, number: usize, token: &Token, options: &SuggestOptions) -> TokenSuggestion {
        let needs = self.tokens.get(&number);
        let mut suggested = TokenSuggestion {
            id: token.id().to_owned(),
            allowed: 0,
            advice: TokenAdvice::Same,
            grants: Vec::new(),
            removed: Vec::new(),
        };
        let all = || token.grants().iter().map(|grant| self.grant(grant, grant.source().clone(), true)).collect();
        let Some(needs) = needs else {
            if options.drop_unused {
                suggested.advice = TokenAdvice::UnusedDropped;
                suggested.removed = token.grants().iter().map(|grant| self.removed(grant, 0)).collect();
            } else {
                suggested.advice = TokenAdvice::UnusedKept;
                suggested.grants = all();
            }
            return suggested;
        };
        suggested.allowed = needs.allowed;
        if needs.grants.is_empty() && !token.grants().is_empty() {
            suggested.advice = TokenAdvice::GrantsUnusedKept;
            suggested.grants = all();
            return suggested;
        }
        for (index, grant) in (0..).zip(token.grants()) {
            let Some(need) = needs.grants.get(&index) else {
                suggested.removed.push(self.removed(grant, 0));
                continue;
            };
            let dialect = self.policy.connection(grant.connection()).map(Connection::dialect).unwrap_or_default();
            let kinds = self.instead_of(token, grant.source().kind());
            let narrower = narrowed(grant.source(), need, kinds, dialect, self.policy.limits(), options);
            let is_kept = narrower.contains(grant.source());
            if !is_kept {
                suggested.removed.push(self.removed(grant, need.count));
            }
            for source in narrower {
                let is_same = source == *grant.source();
                let grant = self.grant(grant, source, is_same);
                let is_there = |other: &SuggestedGrant| other.connection == grant.connection && other.of == grant.of;
                if !suggested.grants.iter().any(is_there) {
                    suggested.grants.push(grant);
                }
            }
        }
        if !suggested.removed.is_empty() {
            suggested.advice = TokenAdvice::Narrower;
        }
        suggested
    }

    /// Returns the kinds of grant that may replace `old`. An API that considers such a kind also considers `old`, so
    /// the token gains no access.
    fn instead_of(&self, token: &Token, old: GrantKind) -> GrantKinds {
        let apis = token.apis().iter().filter_map(|api| self.policy.apis().get(api));
        let contexts =
            apis.flat_map(|api| [Operation::Query, Operation::Model].map(|operation| api.considers(operation)));
        let more: Vec<GrantKind> = contexts.filter(|kinds| !kinds.contains(old)).flat_map(GrantKinds::iter).collect();
        GrantKinds::of(&GrantKind::ALL.into_iter().filter(|kind| !more.contains(kind)).collect::<Vec<_>>())
    }

    fn grant(&self, grant: &Grant, of: GrantSource, is_kept: bool) -> SuggestedGrant {
        let (connection, source) = self.written(grant, &of);
        SuggestedGrant { connection, source, is_kept, of }
    }

    fn removed(&self, grant: &Grant, needed: u64) -> RemovedGrant {
        let (connection, source) = self.written(grant, grant.source());
        RemovedGrant { connection, source, needed }
    }

    fn written(&self, grant: &Grant, source: &GrantSource) -> (String, String) {
        let connection = self.policy.connection(grant.connection());
        let dialect = connection.map(Connection::dialect).unwrap_or_default();
        (connection.map(Connection::name).unwrap_or_default().to_owned(), source.display(dialect))
    }
}

/// Returns the kinds of grant that the request is checked against.
fn considered(policy: &Policy, request: &Request<'_>) -> GrantKinds {
    let api = policy.apis().find(request.api).and_then(|api| policy.apis().get(api));
    api.map_or(GrantKinds::NONE, |api| api.considers(request.operation))
}
