//! Reports about the contents and sizes of a snapshot.

use std::collections::BTreeMap;

use super::content_id::ContentId;
use crate::model::GrantKind;
use crate::name::Dialect;
use crate::pattern::PatternClass;

/// The contents and sizes of a snapshot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// The number of tokens, including expired ones.
    pub tokens: usize,
    /// The number of grants of all tokens by kind, as the policy lists them.
    pub grants: BTreeMap<GrantKind, usize>,
    /// The number of distinct grant sets. Tokens with equal lists of grants share one set.
    pub grant_sets: usize,
    /// The number of distinct referer sets.
    pub referer_sets: usize,
    /// The number of distinct pattern shapes: the maximum number of look-ups of a decision.
    pub shapes: usize,
    /// The report of each connection, in the order of the policy.
    pub connections: Vec<ConnectionReport>,
    /// The content id that the loaded file states; `None` if the snapshot was compiled in this process.
    pub content_id: Option<ContentId>,
    /// The size of the token table, in bytes.
    pub token_bytes: usize,
    /// The size of the grant sets, in bytes.
    pub grant_bytes: usize,
    /// The size of names, patterns, queries and ids, in bytes.
    pub text_bytes: usize,
    /// The size of the referer sets, in bytes.
    pub referer_bytes: usize,
    /// The size of the connections' matchers, in bytes.
    pub matcher_bytes: usize,
}

/// The contents of a snapshot for one connection.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConnectionReport {
    /// The name of the connection.
    pub name: Box<str>,
    /// The dialect of the connection.
    pub dialect: Dialect,
    /// The number of grants by kind.
    pub grants: BTreeMap<GrantKind, usize>,
    /// The number of pattern grants by class.
    pub patterns: BTreeMap<PatternClass, usize>,
    /// The number of distinct patterns that hashes cannot distinguish and the connection's matcher finds.
    pub residue: usize,
    /// The name of the strategy that matches these patterns.
    pub strategy: &'static str,
    /// The reason for the strategy, as text.
    pub why: String,
}

impl Report {
    /// Returns the size of the parts of the snapshot that grow with the policy, in bytes.
    pub fn bytes(&self) -> usize {
        self.token_bytes + self.grant_bytes + self.text_bytes + self.referer_bytes + self.matcher_bytes
    }

    /// Returns the number of grants of all kinds.
    pub fn grant_count(&self) -> usize {
        self.grants.values().fold(0, |sum, &count| sum.saturating_add(count))
    }
}
