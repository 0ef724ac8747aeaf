//! Explains a decision check by check and lists near misses of a denied request.
//!
//! An explanation is for the author of the policy or of the client. It names grants, referers and connections of the
//! token, so do not send it to the client. It never contains a secret, even if the client wrote its own secret into a
//! name or a URL: a text that shares eight consecutive letters or digits with the secret is hidden as a whole.
//!
//! [`explain`] calls [`decide`](crate::decision::decide) first and derives the outcome of every check from the reason
//! of that decision. The explanation therefore always agrees with the decision. The details describe the input of each
//! check.

mod case;
mod check;
mod edit;
mod json;
mod near;
mod secret;
#[cfg(test)]
mod tests;
mod words;

use std::fmt;

use crate::base::Timestamp;
use crate::decision::{Allow, Credential, Decision, Reason, Replay, Request, TokenId, decide_for, of_token};
use crate::snapshot::{Snapshot, TokenRef};
use case::{Case, KnownBy};
use secret::Redactor;

pub use check::{Check, CheckOutcome};
pub use near::{NearMiss, NearMissKind};

/// Explains how `request` is decided against `snapshot` at the instant `now` (N10).
///
/// [`Explanation::decision`] is what [`decide`](crate::decision::decide) returns for the same arguments.
///
/// Unlike a decision, an explanation allocates memory. It reads every grant that the token has on the connection, so
/// its cost is linear in the length of their texts. It reports at most five near misses and compares spellings with
/// bounded work.
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
    explanation(snapshot, request, now, found.map(|found| (found, KnownBy::Secret)), &decision)
}

/// Explains how `request` is decided for the token with the id `token_id`, without its secret. The credential of the request
/// is ignored. Returns `None` if no token has this id.
///
/// For the owners of a policy only: an id is not a secret.
///
/// ```
/// use portcullis::decision::{Replay, Request};
/// use portcullis::explain::explain_token;
/// use portcullis::{Options, Snapshot};
///
/// let policy = portcullis_document::read_policy(r#"[{"id": "a", "token": "s3cret", "allowed_apis": ["lds"]}]"#)?;
/// let snapshot = Snapshot::compile(&policy, &Options::default())?;
/// let (replay, now) = (Replay::new(&snapshot), "2026-11-24".parse()?);
/// assert!(explain_token(&replay, "a", &Request::new("lds", ""), now).unwrap().decision().is_allow());
/// assert!(explain_token(&replay, "b", &Request::new("lds", ""), now).is_none());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn explain_token(
    replay: &Replay<'_>,
    token_id: &str,
    request: &Request<'_>,
    now: Timestamp,
) -> Option<Explanation> {
    let found = replay.token(token_id)?;
    let decision = of_token(found, request, now);
    Some(explanation(replay.snapshot(), request, now, Some((found, KnownBy::Id)), &decision))
}

fn explanation<'s>(
    snapshot: &'s Snapshot,
    request: &Request<'_>,
    now: Timestamp,
    found: Option<(TokenRef<'s>, KnownBy)>,
    decision: &Decision<'s>,
) -> Explanation {
    let compiled = found.map_or(&**snapshot.base(), |(found, _)| found.compiled);
    let row = found.map(|(found, _)| found.row);
    let known_by = found.map_or(KnownBy::Secret, |(_, known_by)| known_by);
    let secret = match request.credential {
        Credential::Secret(secret) => Redactor::new(secret),
        Credential::Missing | Credential::Digest(_) => Redactor::default(),
    };
    let tokens = snapshot.token_count();
    let case = Case { compiled, tokens, request, now, decision, row, known_by, secret };
    Explanation {
        token: row.map(|row| compiled.token_id(row).to_owned()),
        shown_token: row.map(|row| case.secret.shown_id(compiled.token_id(row)).to_owned()),
        checks: check::all(&case),
        near_misses: near::misses(&case),
        decision: match decision {
            Decision::Allow(allow) => OwnedDecision::Allow(allow.grants().to_vec()),
            Decision::Deny(reason) => OwnedDecision::Deny(*reason),
        },
    }
}

/// A decision with its checks and near misses.
///
/// Displays as text of several lines for people. Serializes for programs as one object with `decision` (`allow` or
/// `deny`), `reason`, `status`, `token`, `grants`, `checks` and `near_misses`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    decision: OwnedDecision,
    token: Option<String>,
    /// The id, or a fixed text if it may repeat the secret.
    shown_token: Option<String>,
    checks: Vec<Check>,
    near_misses: Vec<NearMiss>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum OwnedDecision {
    Allow(Vec<u32>),
    Deny(Reason),
}

impl Explanation {
    /// Returns the decision, as [`decide`](crate::decision::decide) returns it.
    pub fn decision(&self) -> Decision<'_> {
        match &self.decision {
            OwnedDecision::Allow(grants) => {
                let token = self.token().unwrap_or_default();
                Decision::Allow(Allow { token: TokenId::Read(token), grants: grants.iter().copied().collect() })
            }
            OwnedDecision::Deny(reason) => Decision::Deny(*reason),
        }
    }

    /// Returns the id of the token if its secret is known, also for a denial. The text and JSON of the explanation hide an
    /// id that may repeat the secret.
    pub fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// Returns the nine checks of N10, in order.
    pub fn checks(&self) -> &[Check] {
        &self.checks
    }

    /// Returns the near misses of a denied request: at most five, the nearest first.
    pub fn near_misses(&self) -> &[NearMiss] {
        &self.near_misses
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.decision {
            OwnedDecision::Allow(_) => f.write_str("allow")?,
            OwnedDecision::Deny(reason) => write!(f, "deny: {reason} ({})", reason.status())?,
        }
        if let Some(token) = &self.shown_token {
            write!(f, ", token {}", crate::base::quoted(token))?;
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
