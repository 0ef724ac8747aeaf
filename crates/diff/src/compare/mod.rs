//! Finds what one policy allows that another denies, token by token.
//!
//! Clients present secrets, so tokens are matched by digest. The permissions of a token are a product of three parts:
//! its expiry, its referers, and its sources under each API. Each part is compared separately and exactly; names are
//! compared by the [algebra](super::algebra). A witness proves each gain: a request that the new policy allows and the
//! old one denies. Both policies decide every witness before it is reported.
//!
//! A request for several sources is allowed if each of them is, so comparing single sources is enough.
//!
//! ```
//! use portcullis_diff::compare::{Gained, Side, diff};
//!
//! let policy = |source: &str| {
//!     portcullis_document::read_policy(format!(
//!         r#"[{{"id": "a", "token": "s3cret", "allowed_apis": ["maps"],
//!              "grants": [{{"connection_name": "dw", "source": "{source}"}}]}}]"#
//!     ))
//! };
//! let (old, new) = (policy("db.sales.raw_*")?, policy("db.*.raw_*")?);
//! let diff = diff(&Side::new(&old)?, &Side::new(&new)?, "2026-11-24".parse()?)?;
//! let [gain] = diff.tokens[0].gains.as_slice() else { panic!() };
//! assert!(matches!(&gain.gained, Gained::Grant { source, .. } if source == "db.*.raw_*"));
//! assert_eq!(
//!     gain.witness.as_ref().unwrap().to_string(),
//!     "token `a`, api `maps`, resource `db.a.raw_` on `dw`, at 2026-11-24T00:00:00Z"
//! );
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod covered;
mod gain;
mod referers;

use std::collections::HashMap;

use foldhash::fast::RandomState;

pub use covered::any as any_source;
pub use gain::{Gain, Gained};
pub use referers::any as any_referer;

use super::witness::Unconfirmed;
use portcullis::base::Timestamp;
use portcullis::model::{Policy, SecretDigest, Token};
use portcullis::snapshot::{CompileError, Options, Snapshot};

/// One of two policies that are compared, with its snapshot, which confirms the witnesses.
#[derive(Debug)]
pub struct Side<'p> {
    policy: &'p Policy,
    snapshot: Snapshot,
}

impl<'p> Side<'p> {
    /// Compiles `policy`.
    ///
    /// # Errors
    ///
    /// Returns an error if the policy exceeds the limits of a snapshot.
    pub fn new(policy: &'p Policy) -> Result<Self, CompileError> {
        Ok(Self { policy, snapshot: Snapshot::compile(policy, &Options::default())? })
    }

    /// Uses the snapshot that `policy` was compiled to, or was read back from.
    pub fn with_snapshot(policy: &'p Policy, snapshot: Snapshot) -> Self {
        Self { policy, snapshot }
    }
}

/// The difference between two policies.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Diff {
    /// The tokens that differ, in the order of the new policy; then the removed tokens.
    pub tokens: Vec<TokenDiff>,
    /// The number of tokens of the new policy that allow the same as before.
    pub unchanged: usize,
}

impl Diff {
    /// Returns the first gain and the id of its token.
    pub fn widening(&self) -> Option<(&str, &Gain)> {
        self.tokens.iter().find_map(|token| Some((token.id.as_str(), token.gains.first()?)))
    }
}

/// The difference between two versions of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenDiff {
    /// The id in the new policy; for a removed token, the id in the old policy.
    pub id: String,
    /// The id in the old policy, if it differs.
    pub was: Option<String>,
    /// Whether the new policy lacks the token.
    pub gone: bool,
    /// What the token gains.
    pub gains: Vec<Gain>,
    /// What the token loses.
    pub losses: Vec<Gain>,
}

impl TokenDiff {
    /// Whether the old policy lacks the token.
    pub fn is_new(&self) -> bool {
        self.gains.iter().any(|gain| gain.gained == Gained::Token)
    }
}

/// Compares two policies, for requests at `since` or later.
///
/// Linear in the tokens. Tokens with equal definitions are only compared by definition. For the remaining tokens, each
/// new grant is looked up among the old grants; a search runs only if no single old grant covers it.
///
/// # Errors
///
/// Returns an error if a decision contradicts a witness, which is a bug of this module.
pub fn diff(old: &Side<'_>, new: &Side<'_>, since: Timestamp) -> Result<Diff, Unconfirmed> {
    let (before, after) = (Tokens::of(old), Tokens::of(new));
    let same = Same::between(old.policy, new.policy);
    let mut diff = Diff::default();
    for token in new.policy.tokens() {
        let known = before.find(token.digest());
        let renamed = known.filter(|known| known.id() != token.id()).map(|known| known.id().to_owned());
        if known.is_some_and(|known| same.tokens(known, token)) && renamed.is_none() {
            diff.unchanged += 1;
            continue;
        }
        let gains = gain::gains(old, known, new, Some(token), since)?;
        let losses = gain::gains(new, Some(token), old, known, since)?;
        if renamed.is_none() && gains.is_empty() && losses.is_empty() {
            diff.unchanged += 1;
        } else {
            diff.tokens.push(TokenDiff { id: token.id().to_owned(), was: renamed, gone: false, gains, losses });
        }
    }
    for token in old.policy.tokens().iter().filter(|token| after.find(token.digest()).is_none()) {
        let losses = gain::gains(new, None, old, Some(token), since)?;
        // A removed token that allowed nothing, such as an expired one, is not a loss.
        if !losses.is_empty() {
            diff.tokens.push(TokenDiff { id: token.id().to_owned(), was: None, gone: true, gains: Vec::new(), losses });
        }
    }
    Ok(diff)
}

/// Returns the id and the gain of the first token of `new` that allows, at `since` or later, what `old` denies.
///
/// # Errors
///
/// Returns the same errors as [`diff`].
pub fn first_widening(old: &Side<'_>, new: &Side<'_>, since: Timestamp) -> Result<Option<(String, Gain)>, Unconfirmed> {
    let before = Tokens::of(old);
    let same = Same::between(old.policy, new.policy);
    for token in new.policy.tokens() {
        let known = before.find(token.digest());
        if known.is_some_and(|known| same.tokens(known, token)) {
            continue;
        }
        if let Some(gain) = gain::gains(old, known, new, Some(token), since)?.into_iter().next() {
            return Ok(Some((token.id().to_owned(), gain)));
        }
    }
    Ok(None)
}

/// The tokens of a policy, by digest.
struct Tokens<'p>(HashMap<&'p SecretDigest, &'p Token, RandomState>);

impl<'p> Tokens<'p> {
    fn of(side: &Side<'p>) -> Self {
        Self(side.policy.tokens().iter().map(|token| (token.digest(), token)).collect())
    }

    fn find(&self, digest: &SecretDigest) -> Option<&'p Token> {
        self.0.get(digest).copied()
    }
}

/// The parts of two policies, apart from the tokens, that are equal.
struct Same {
    apis: bool,
    /// For each connection of the new policy, whether the old policy has an equal one at the same index.
    connections: Vec<bool>,
}

impl Same {
    fn between(old: &Policy, new: &Policy) -> Self {
        let indexed = new.connections().iter().enumerate();
        Self {
            apis: old.apis() == new.apis(),
            connections: indexed.map(|(index, connection)| old.connections().get(index) == Some(connection)).collect(),
        }
    }

    /// Whether both tokens have equal definitions. Tokens with different definitions may still allow the same.
    fn tokens(&self, old: &Token, new: &Token) -> bool {
        self.apis
            && old.apis() == new.apis()
            && old.expiry() == new.expiry()
            && old.referers() == new.referers()
            && old.grants() == new.grants()
            && new.grants().iter().all(|grant| self.connections.get(grant.connection().index()) == Some(&true))
    }
}
