//! Checks suggestions before they are used.

use std::io::Read;

use super::{Suggestion, TokenAdvice};
use crate::log::{self, LogError};
use portcullis::base::Timestamp;
use portcullis::decision::{Decision, Replay};
use portcullis::model::{Grant, GrantSource, Operation, Policy, Token};
use portcullis::snapshot::{Options, Snapshot};
use portcullis_diff::algebra::{Algebra, Names};
use portcullis_document::load;
use portcullis_http::wire::Replayed;

/// The reason why a suggestion must not be used: a bug, or a log that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SuggestError {
    /// The suggestion is not a valid policy, or one of its grants is not within the grants of its token.
    #[error("{0}: this is a bug; help: do not use the suggestion")]
    Wider(String),
    /// The suggestion denies a request that the policy allows.
    #[error(
        "line {line} is allowed for token `{token}`, but the suggestion denies it: this is a bug; help: do not use the suggestion"
    )]
    Lost {
        /// The line of the log.
        line: u64,
        /// The id of the token.
        token: String,
    },
    /// The log cannot be read again.
    #[error("cannot read the log again: {0}")]
    Log(#[from] LogError),
}

/// A suggestion whose grants are within those of its policy.
#[derive(Debug)]
pub struct Confirmed {
    document: String,
    policy: Policy,
    snapshot: Snapshot,
}

impl Suggestion {
    /// Reads the suggested document, and checks that each grant is within the grants of the same token of `policy`,
    /// under every API that considers it. Also checks that every other field of the token is unchanged.
    ///
    /// # Errors
    ///
    /// Returns an error if a check fails, which is a bug.
    pub fn confirm(&self, policy: &Policy) -> Result<Confirmed, SuggestError> {
        let document = self.document(policy);
        let suggested = load::policy(document.clone()).map_err(|error| SuggestError::Wider(error.to_string()))?;
        let kept = policy.tokens().iter().zip(&self.tokens);
        let kept: Vec<&Token> =
            kept.filter(|(_, token)| token.advice != TokenAdvice::UnusedDropped).map(|(token, _)| token).collect();
        if kept.len() != suggested.tokens().len() {
            return Err(SuggestError::Wider("a token is lost".to_owned()));
        }
        for (old, new) in kept.into_iter().zip(suggested.tokens()) {
            let is_same = old.id() == new.id()
                && old.digest() == new.digest()
                && old.apis() == new.apis()
                && old.referers() == new.referers()
                && old.expiry() == new.expiry();
            if !is_same {
                return Err(SuggestError::Wider(format!("token `{}` is another one", old.id())));
            }
            if let Some(wider) = new.grants().iter().find(|grant| !is_within(policy, old, &suggested, grant)) {
                let id = old.id();
                return Err(SuggestError::Wider(format!("`{:?}` is within no grant of token `{id}`", wider.source())));
            }
        }
        let snapshot = Snapshot::compile(&suggested, &Options::default());
        let snapshot = snapshot.map_err(|error| SuggestError::Wider(error.to_string()))?;
        Ok(Confirmed { document, policy: suggested, snapshot })
    }
}

impl Confirmed {
    /// Returns the policy document, with digests instead of secrets.
    pub fn document(&self) -> &str {
        &self.document
    }

    /// Returns the suggested policy.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Decides the allowed lines of `log` again. The suggestion must allow each of them that `old`, the current policy,
    /// still allows. Returns the number of these lines.
    ///
    /// # Errors
    ///
    /// Returns an error if the suggestion denies a line, which is a bug, or if reading the log fails.
    pub fn replay(&self, log: impl Read, old: &Replay<'_>, now: Timestamp) -> Result<u64, SuggestError> {
        let new = Replay::new(&self.snapshot);
        let (mut count, mut lost) = (0, None);
        log::read(log, |number, request| {
            if lost.is_some() || request.logged().is_some_and(|logged| logged.is_err()) {
                return;
            }
            if let Replayed::Decided(Decision::Allow(allow)) = request.decide_grants(old, now) {
                count += 1;
                if !matches!(request.decide_grants(&new, now), Replayed::Decided(Decision::Allow(_))) {
                    lost = Some((number, allow.token().to_owned()));
                }
            }
        })?;
        lost.map_or(Ok(count), |(line, token)| Err(SuggestError::Lost { line, token }))
    }
}

/// Whether the token's grants cover everything that `grant` covers, under every API that considers `grant`.
fn is_within(policy: &Policy, token: &Token, suggested: &Policy, grant: &Grant) -> bool {
    let Some(connection) = suggested.connection(grant.connection()) else { return false };
    let is_here = |old: &&Grant| policy.connection(old.connection()).is_some_and(|on| on.name() == connection.name());
    let old: Vec<&GrantSource> = token.grants().iter().filter(is_here).map(Grant::source).collect();
    let apis = token.apis().iter().filter_map(|api| policy.apis().get(api));
    let contexts = apis.flat_map(|api| [Operation::Query, Operation::Model].map(|operation| api.considers(operation)));
    let mut contexts = contexts.filter(|kinds| kinds.contains(grant.source().kind())).peekable();
    let algebra = Algebra::new(connection.dialect());
    // A grant that no API considers gives no access; it must be unchanged.
    contexts.peek().map_or_else(|| old.contains(&grant.source()), |_| true)
        && contexts.all(|kinds| {
            let considered: Vec<&GrantSource> = old.iter().copied().filter(|old| kinds.contains(old.kind())).collect();
            cover(algebra, &considered, grant.source())
        })
}

fn cover(algebra: Algebra, old: &[&GrantSource], new: &GrantSource) -> bool {
    fn names(source: &GrantSource) -> Option<Names<'_>> {
        match source {
            GrantSource::Pattern(pattern) => Some(Names::from(pattern)),
            GrantSource::Resource(name) => Some(Names::from(name)),
            GrantSource::Query(_) | GrantSource::NamedSource(_) | GrantSource::All => None,
        }
    }
    let whole: Vec<Names<'_>> = old.iter().copied().filter_map(names).collect();
    old.iter().any(|old| **old == GrantSource::All || *old == new)
        || names(new).is_some_and(|part| algebra.covered(part, &whole).holds())
}
