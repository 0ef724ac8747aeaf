//! What a snapshot is made of.

use std::collections::BTreeMap;

use super::compiled::Compiled;
use super::file::ContentId;
use super::residue::Matcher;
use crate::model::GrantKind;
use crate::name::Dialect;
use crate::pattern::PatternClass;

/// What a snapshot is made of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Tokens, expired ones included.
    pub tokens: usize,
    /// Grants of all tokens by kind, as the policy lists them.
    pub grants: BTreeMap<GrantKind, usize>,
    /// Distinct grant sets: tokens with equal lists share one.
    pub grant_sets: usize,
    /// Distinct referer sets.
    pub referer_sets: usize,
    /// Distinct shapes of patterns: what a decision looks up at most, for one token.
    pub shapes: usize,
    /// By connection, in the policy's order.
    pub connections: Vec<ConnectionReport>,
    /// What the file that the snapshot was loaded from says its contents are; `None` where it was compiled here.
    pub content_id: Option<ContentId>,
    /// Bytes of the token table.
    pub token_bytes: usize,
    /// Bytes of the grant sets.
    pub grant_bytes: usize,
    /// Bytes of names, patterns, queries and ids.
    pub text_bytes: usize,
    /// Bytes of the referer sets.
    pub referer_bytes: usize,
    /// Bytes of the connections' matchers.
    pub matcher_bytes: usize,
}

/// What a snapshot holds for one connection.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConnectionReport {
    /// Its name.
    pub name: Box<str>,
    /// Its dialect.
    pub dialect: Dialect,
    /// Grants by kind.
    pub grants: BTreeMap<GrantKind, usize>,
    /// Pattern grants by class.
    pub patterns: BTreeMap<PatternClass, usize>,
    /// Distinct patterns that the connection's matcher finds, since no hash tells them apart.
    pub residue: usize,
    /// How they are matched.
    pub strategy: &'static str,
    /// Why so.
    pub why: String,
}

impl Report {
    /// The report of `compiled`, whose own one is not asked, with what cannot be seen there.
    pub(super) fn of(
        compiled: &Compiled,
        connections: Vec<ConnectionReport>,
        (grant_sets, referer_sets): (usize, usize),
    ) -> Self {
        let mut grants: BTreeMap<GrantKind, usize> = BTreeMap::new();
        for (&kind, &count) in connections.iter().flat_map(|connection| &connection.grants) {
            let sum = grants.entry(kind).or_default();
            *sum = sum.saturating_add(count);
        }
        Self {
            tokens: compiled.rows().len(),
            grants,
            grant_sets,
            referer_sets,
            shapes: compiled.shapes.len(),
            connections,
            content_id: None,
            token_bytes: compiled.tokens.bytes(),
            grant_bytes: compiled.grants.as_bytes().len(),
            text_bytes: compiled.texts.as_bytes().len(),
            referer_bytes: compiled.referers.as_bytes().len(),
            matcher_bytes: compiled.matchers.iter().map(Matcher::bytes).sum(),
        }
    }

    /// Bytes of the whole snapshot, as far as they grow with the policy.
    pub fn bytes(&self) -> usize {
        self.token_bytes + self.grant_bytes + self.text_bytes + self.referer_bytes + self.matcher_bytes
    }

    /// Grants of all kinds.
    pub fn grant_count(&self) -> usize {
        self.grants.values().fold(0, |sum, &count| sum.saturating_add(count))
    }
}
