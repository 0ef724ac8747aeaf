//! A decision, told check by check, and on a deny what was nearly right.
//!
//! An explanation is for whoever writes the policy or the client: it names grants, referers and connections of the token,
//! so it does not belong in an answer to the client. It never holds a secret, not even where the client wrote its own
//! into a name or a URL.
//!
//! [`explain`] asks [`decide`](crate::decision::decide) first. The outcome of every check follows from the reason of that
//! decision, so the two cannot disagree; what stands beside it says what each check looked at.

mod case;
mod check;
mod edit;
mod json;
mod near;
#[cfg(test)]
mod tests;
mod words;

use std::fmt;

use crate::base::Timestamp;
use crate::decision::{Allow, Decision, Reason, Request, TokenId, decide_for};
use crate::snapshot::Snapshot;
use case::Case;

pub use check::{Check, CheckOutcome};
pub use near::{NearMiss, NearMissKind};

/// Tells how `request` is decided against `snapshot` at the instant `now` (N10).
///
/// [`Explanation::decision`] is what [`decide`](crate::decision::decide) returns for the same arguments.
///
/// Unlike a decision, it allocates, and it reads every grant that the token has on the connection: linear in the length of
/// their texts. At most five near misses are told, and the work of comparing spellings is bounded.
///
/// ```
/// use portcullis::decision::{Request, decide};
/// use portcullis::explain::explain;
/// use portcullis::snapshot::Snapshot;
///
/// let (nothing, now) = (Snapshot::default(), "2026-11-22".parse()?);
/// let request = Request::new("lds", "").secret("s3cret");
/// let explanation = explain(&nothing, &request, now);
/// assert_eq!(explanation.decision(), decide(&nothing, &request, now));
/// assert!(explanation.to_string().starts_with("deny: token_unknown (401)"));
/// # Ok::<(), portcullis::base::InstantError>(())
/// ```
pub fn explain(snapshot: &Snapshot, request: &Request<'_>, now: Timestamp) -> Explanation {
    let (found, decision) = decide_for(snapshot, request, now);
    let compiled = found.map_or(&**snapshot.base(), |found| found.compiled);
    let row = found.map(|found| found.row);
    let case = Case { compiled, tokens: snapshot.token_count(), request, now, decision: &decision, row };
    Explanation {
        token: row.map(|row| compiled.token_id(row).to_owned()),
        checks: check::tell(&case),
        near_misses: near::misses(&case),
        verdict: match decision {
            Decision::Allow(allow) => OwnedDecision::Allow(allow.grants().to_vec()),
            Decision::Deny(reason) => OwnedDecision::Deny(reason),
        },
    }
}

/// A decision with the checks that led to it.
///
/// Displays as text of several lines for people; serializes for programs as one object with `decision` (`allow` or
/// `deny`), `reason`, `status`, `token`, `grants`, `checks` and `near_misses`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    verdict: OwnedDecision,
    token: Option<String>,
    checks: Vec<Check>,
    near_misses: Vec<NearMiss>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum OwnedDecision {
    Allow(Vec<u32>),
    Deny(Reason),
}

impl Explanation {
    /// The decision, as [`decide`](crate::decision::decide) returns it.
    pub fn decision(&self) -> Decision<'_> {
        match &self.verdict {
            OwnedDecision::Allow(grants) => {
                let token = self.token().unwrap_or_default();
                Decision::Allow(Allow { token: TokenId::Read(token), grants: grants.iter().copied().collect() })
            }
            OwnedDecision::Deny(reason) => Decision::Deny(*reason),
        }
    }

    /// The id of the token, where the secret is a known one: on a deny too.
    pub fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// The nine checks of N10, in order.
    pub fn checks(&self) -> &[Check] {
        &self.checks
    }

    /// On a deny, what was nearly right: the nearest first, at most five.
    pub fn near_misses(&self) -> &[NearMiss] {
        &self.near_misses
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.verdict {
            OwnedDecision::Allow(_) => f.write_str("allow")?,
            OwnedDecision::Deny(reason) => write!(f, "deny: {reason} ({})", reason.status())?,
        }
        if let Some(token) = &self.token {
            write!(f, ", token {}", words::quoted(token))?;
        }
        for check in &self.checks {
            write!(f, "\n  {check}")?;
        }
        if !self.near_misses.is_empty() {
            f.write_str("\nnear misses:")?;
        }
        for miss in &self.near_misses {
            write!(f, "\n  - {miss}")?;
        }
        Ok(())
    }
}
