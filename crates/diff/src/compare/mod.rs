//! What one policy allows that another does not, token by token.
//!
//! A client presents a secret, so tokens are compared by the digests of theirs. What a token allows is a product: until when,
//! from which referers, and which sources under which APIs. The three are compared apart, each exactly (names by the
//! [algebra](super::algebra)), and each gain is shown by a request that the new policy allows and the old one denies. Every
//! such request is decided by both before it is told.
//!
//! A request for several sources is allowed where each of them is, so that single sources tell all.
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

/// One of two policies that are compared: as it is written, and compiled, to confirm what is said of it.
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
    /// If it outgrows a snapshot.
    pub fn new(policy: &'p Policy) -> Result<Self, CompileError> {
        Ok(Self { policy, snapshot: Snapshot::compile(policy, &Options::default())? })
    }

    /// With the snapshot that `policy` was compiled to, or read back from.
    pub fn with_snapshot(policy: &'p Policy, snapshot: Snapshot) -> Self {
        Self { policy, snapshot }
    }
}

/// How two policies differ.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Diff {
    /// The tokens that are not the same, in the order of the new policy, then those that are gone.
    pub tokens: Vec<TokenDiff>,
    /// How many tokens of the new policy allow the same as before.
    pub unchanged: usize,
}

impl Diff {
    /// The first gain, and the token's id.
    pub fn widening(&self) -> Option<(&str, &Gain)> {
        self.tokens.iter().find_map(|token| Some((token.id.as_str(), token.gains.first()?)))
    }
}

/// How a token differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenDiff {
    /// Its id in the new policy; of one that is gone, in the old.
    pub id: String,
    /// Its id in the old policy, where that is another.
    pub was: Option<String>,
    /// Whether the new policy has no such token.
    pub gone: bool,
    /// What it may newly do.
    pub gains: Vec<Gain>,
    /// What it may no longer do.
    pub losses: Vec<Gain>,
}

impl TokenDiff {
    /// Whether the old policy had no such token.
    pub fn is_new(&self) -> bool {
        self.gains.iter().any(|gain| gain.gained == Gained::Token)
    }
}

/// How `new` differs from `old`, for requests at `since` or later.
///
/// Linear in the tokens; tokens that are written the same are told by comparing what is written. Of the others each new
/// grant is looked up among the old ones, and only where no single one covers it a search is made.
///
/// # Errors
///
/// If a decision does not confirm what was found, which is a mistake of this module.
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
        // One that allowed nothing any more, such as an expired one, is no loss.
        if !losses.is_empty() {
            diff.tokens.push(TokenDiff { id: token.id().to_owned(), was: None, gone: true, gains: Vec::new(), losses });
        }
    }
    Ok(diff)
}

/// The first token of `new` that allows, at `since` or later, what `old` does not, with what that is.
///
/// # Errors
///
/// As [`diff`].
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

/// A policy's tokens by digest.
struct Tokens<'p>(HashMap<&'p SecretDigest, &'p Token, RandomState>);

impl<'p> Tokens<'p> {
    fn of(side: &Side<'p>) -> Self {
        Self(side.policy.tokens().iter().map(|token| (token.digest(), token)).collect())
    }

    fn find(&self, digest: &SecretDigest) -> Option<&'p Token> {
        self.0.get(digest).copied()
    }
}

/// What of two policies is the same but for their tokens.
struct Same {
    apis: bool,
    /// Whether each connection of the new policy is the same one, at the same place, in the old.
    connections: Vec<bool>,
}

impl Same {
    fn between(old: &Policy, new: &Policy) -> Self {
        let places = new.connections().iter().enumerate();
        Self {
            apis: old.apis() == new.apis(),
            connections: places.map(|(at, connection)| old.connections().get(at) == Some(connection)).collect(),
        }
    }

    /// Whether both tokens say the same. They may allow the same and not say so.
    fn tokens(&self, old: &Token, new: &Token) -> bool {
        self.apis
            && old.apis() == new.apis()
            && old.expiry() == new.expiry()
            && old.referers() == new.referers()
            && old.grants() == new.grants()
            && new.grants().iter().all(|grant| self.connections.get(grant.connection().index()) == Some(&true))
    }
}
