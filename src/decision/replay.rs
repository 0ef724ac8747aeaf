//! Decisions for tokens that are known by id: what was decided once, decided again.

use std::collections::HashMap;
use std::fmt;
use std::sync::OnceLock;

use super::decide::{of_token, past_referer};
use super::{Decision, Reason, Request};
use crate::base::Timestamp;
use crate::model::GrantKind;
use crate::query::QueryDigest;
use crate::referer::Rule;
use crate::snapshot::{Found, Snapshot};

/// A snapshot to decide by for whoever may name a token without presenting its secret: to replay a log, never for a client.
///
/// What it needs to find tokens and queries is made at their first use, linear in the snapshot.
///
/// ```
/// use portcullis::decision::{Reason, Replay, Request};
/// use portcullis::{Options, Snapshot};
///
/// let policy = portcullis_document::read_policy(r#"[{"id": "a", "token": "s3cret", "allowed_apis": ["lds"]}]"#)?;
/// let snapshot = Snapshot::compile(&policy, &Options::default())?;
/// let replay = Replay::new(&snapshot);
/// let now = "2026-11-24".parse()?;
/// assert!(replay.decide("a", &Request::new("lds", ""), now).is_allow());
/// assert_eq!(replay.decide("b", &Request::new("lds", ""), now).reason(), Some(Reason::TokenUnknown));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Replay<'s> {
    snapshot: &'s Snapshot,
    tokens: OnceLock<HashMap<&'s str, Found<'s>>>,
    queries: OnceLock<HashMap<QueryDigest, &'s str>>,
}

impl<'s> Replay<'s> {
    /// By `snapshot`.
    pub fn new(snapshot: &'s Snapshot) -> Self {
        Self { snapshot, tokens: OnceLock::new(), queries: OnceLock::new() }
    }

    /// The snapshot.
    pub fn snapshot(&self) -> &'s Snapshot {
        self.snapshot
    }

    /// Decides `request`, whose credential is not read, for the token of that id, as [`decide`](super::decide) does for
    /// its secret. A token that is not there is [`Reason::TokenUnknown`].
    pub fn decide(&self, token_id: &str, request: &Request<'_>, now: Timestamp) -> Decision<'s> {
        self.token(token_id).map_or(Decision::Deny(Reason::TokenUnknown), |found| of_token(found, request, now))
    }

    /// As [`Replay::decide`], of a request whose referer is not known, and taken for one that the token accepts.
    pub fn decide_past_referer(&self, token_id: &str, request: &Request<'_>, now: Timestamp) -> Decision<'s> {
        self.token(token_id).map_or(Decision::Deny(Reason::TokenUnknown), |found| past_referer(found, request, now))
    }

    /// The text of the granted query of that digest; `None` if it is granted to nobody.
    pub fn query(&self, digest: &QueryDigest) -> Option<&'s str> {
        self.queries.get_or_init(|| queries(self.snapshot)).get(digest).copied()
    }

    /// Whether the token looks at more of a referer than its origin.
    pub fn reads_referer_paths(&self, token_id: &str) -> bool {
        let referers = self.token(token_id).and_then(|found| found.compiled.referers(found.row));
        referers.is_some_and(|set| set.entries().any(|entry| !matches!(entry.rule(), Rule::Site)))
    }

    fn token(&self, token_id: &str) -> Option<Found<'s>> {
        let tokens = || self.snapshot.found().map(|found| (found.compiled.token_id(found.row), found)).collect();
        self.tokens.get_or_init(tokens).get(token_id).copied()
    }
}

impl fmt::Debug for Replay<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replay").finish_non_exhaustive()
    }
}

/// Every granted query by its digest: grants are kept in normal form.
fn queries(snapshot: &Snapshot) -> HashMap<QueryDigest, &str> {
    let mut queries = HashMap::new();
    for Found { compiled, row, .. } in snapshot.found() {
        for block in compiled.blocks(row) {
            block.each(|kind, text, _| {
                let text = text.filter(|_| kind == GrantKind::Query).map(|text| compiled.text(text).own());
                if let Some(text) = text.and_then(|text| std::str::from_utf8(text).ok()) {
                    queries.entry(text).or_insert_with(|| QueryDigest::of_normal(text));
                }
            });
        }
    }
    queries.into_iter().map(|(text, digest)| (digest, text)).collect()
}
