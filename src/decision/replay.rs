//! Replays decisions for tokens that are identified by id instead of by secret.

use std::collections::HashMap;
use std::fmt;
use std::sync::OnceLock;

use super::decide::{ignoring_referer, of_token};
use super::{Decision, Reason, Request};
use crate::base::{Timestamp, nearest};
use crate::model::GrantKind;
use crate::query::QueryDigest;
use crate::referer::Rule;
use crate::snapshot::{Snapshot, TokenRef};

/// Decides requests for tokens that are identified by id, without their secret.
///
/// Use it to replay a log. Never use it to decide a client's request.
///
/// The indexes of tokens and queries are built at their first use, in time linear in the size of the snapshot.
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
    tokens: OnceLock<HashMap<&'s str, TokenRef<'s>>>,
    queries: OnceLock<HashMap<QueryDigest, &'s str>>,
}

impl<'s> Replay<'s> {
    /// Creates a replay against `snapshot`.
    pub fn new(snapshot: &'s Snapshot) -> Self {
        Self { snapshot, tokens: OnceLock::new(), queries: OnceLock::new() }
    }

    /// Returns the snapshot.
    pub fn snapshot(&self) -> &'s Snapshot {
        self.snapshot
    }

    /// Decides `request` for the token with this id, as [`decide`](super::decide) does for its secret.
    ///
    /// The credential of the request is ignored. An unknown id is denied with [`Reason::TokenUnknown`].
    pub fn decide(&self, token_id: &str, request: &Request<'_>, now: Timestamp) -> Decision<'s> {
        self.token(token_id).map_or(Decision::Deny(Reason::TokenUnknown), |found| of_token(found, request, now))
    }

    /// Decides like [`Replay::decide`] for a request whose referer is unknown: assumes that the token accepts the
    /// referer.
    pub fn decide_past_referer(&self, token_id: &str, request: &Request<'_>, now: Timestamp) -> Decision<'s> {
        self.token(token_id).map_or(Decision::Deny(Reason::TokenUnknown), |found| ignoring_referer(found, request, now))
    }

    /// Returns the text of the granted query with this digest; `None` if no token has a grant of it.
    pub fn query(&self, digest: &QueryDigest) -> Option<&'s str> {
        self.queries.get_or_init(|| queries(self.snapshot)).get(digest).copied()
    }

    /// Returns whether a referer of the token restricts the path or the query, not only the origin.
    pub fn reads_referer_paths(&self, token_id: &str) -> bool {
        let referers = self.token(token_id).and_then(|found| found.compiled.referers(found.row));
        referers.is_some_and(|set| set.entries().any(|entry| !matches!(entry.rule(), Rule::Site)))
    }

    /// Returns the id of a token that is most like `token_id`; `None` if none is similar.
    pub fn nearest(&self, token_id: &str) -> Option<&'s str> {
        nearest(token_id, self.tokens().keys().copied())
    }

    pub(crate) fn token(&self, token_id: &str) -> Option<TokenRef<'s>> {
        self.tokens().get(token_id).copied()
    }

    fn tokens(&self) -> &HashMap<&'s str, TokenRef<'s>> {
        let tokens = || self.snapshot.token_refs().map(|found| (found.compiled.token_id(found.row), found)).collect();
        self.tokens.get_or_init(tokens)
    }
}

impl fmt::Debug for Replay<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replay").finish_non_exhaustive()
    }
}

/// Returns every granted query by its digest. Grants are stored in normal form.
fn queries(snapshot: &Snapshot) -> HashMap<QueryDigest, &str> {
    let mut queries = HashMap::new();
    for TokenRef { compiled, row, .. } in snapshot.token_refs() {
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
