//! The plain loop: looks up the token and compares its grants one by one. An engineer writes this in an afternoon.

use std::collections::HashMap;

use portcullis::base::Timestamp;
use portcullis::model::{Connection, GrantSource, Policy, Referers, SecretDigest};
use portcullis::name::{Dialect, Name};
use portcullis::referer::{Entry, Referer};

use super::OwnedRequest;

/// The plain loop. Its only index maps digests to tokens.
pub struct Plain<'p> {
    policy: &'p Policy,
    tokens: HashMap<SecretDigest, usize, foldhash::fast::FixedState>,
    /// The referers of each token; `None` for any referer.
    referers: Vec<Option<Vec<Entry>>>,
}

impl<'p> Plain<'p> {
    pub fn new(policy: &'p Policy) -> Self {
        let tokens = policy.tokens().iter().enumerate().map(|(at, token)| (*token.digest(), at)).collect();
        let referers = policy.tokens().iter().map(|token| match token.referers() {
            Referers::Any => None,
            Referers::Only(set) => Some(set.entries().collect()),
        });
        Self { policy, tokens, referers: referers.collect() }
    }

    pub fn allows(&self, digest: &SecretDigest, asked: &OwnedRequest, now: Timestamp) -> bool {
        let Some(&at) = self.tokens.get(digest) else { return false };
        let (Some(token), Some(referers)) = (self.policy.tokens().get(at), self.referers.get(at)) else { return false };
        let Some(api) = self.policy.apis().find(asked.api) else { return false };
        if token.expiry().is_expired(now) || !token.apis().contains(api) {
            return false;
        }
        let is_accepted = referers.as_ref().is_none_or(|entries| {
            let referer = asked.referer.as_deref().and_then(Referer::parse);
            referer.is_some_and(|referer| entries.iter().any(|entry| entry.matches(&referer)))
        });
        let Some(name) = asked.resource.as_deref().and_then(|text| Name::parse(text, Dialect::Generic).ok()) else {
            return false;
        };
        is_accepted
            && token.grants().iter().any(|grant| {
                let connection = self.policy.connection(grant.connection()).map(Connection::name);
                connection == Some(&asked.connection)
                    && match grant.source() {
                        GrantSource::Resource(granted) => *granted == name,
                        GrantSource::Pattern(pattern) => pattern.covers(&name),
                        GrantSource::All => true,
                        GrantSource::Query(_) | GrantSource::NamedSource(_) => false,
                    }
            })
    }
}
