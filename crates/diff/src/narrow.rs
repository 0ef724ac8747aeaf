//! Accepts only narrower policies: a request that is denied now stays denied.

use super::compare::{Gain, Side, first_widening};
use super::witness::Unconfirmed;
use portcullis::authorizer::{Authorizer, Swapped};
use portcullis::base::{Escaped, Timestamp};
use portcullis::snapshot::{RestoreError, Snapshot};

/// The reason why a snapshot is not activated.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum NotNarrower {
    /// The snapshot allows more.
    #[error("wider than the active policy: token `{}` gains {}; {}", Escaped::whole(.token), .gain.gained, shown(.gain))]
    Wider {
        /// The id of the token that gains something.
        token: String,
        /// What the token gains.
        gain: Box<Gain>,
    },
    /// A policy cannot be read back from a snapshot.
    #[error(transparent)]
    Unreadable(#[from] RestoreError),
    /// The comparison contradicts the decision.
    #[error(transparent)]
    Unconfirmed(#[from] Unconfirmed),
}

fn shown(gain: &Gain) -> String {
    match &gain.witness {
        Some(witness) => format!("newly allowed would be {witness}"),
        None => "whether that allows more could not be found out".to_owned(),
    }
}

/// Checks that `next` allows no request, at `since` or later, that `current` denies.
///
/// Costs as much as [`first_widening`], plus reading both policies back: seconds for 100,000 tokens.
///
/// # Errors
///
/// Returns an error that names the first gain; also if it is undecided whether there is one.
pub fn narrower(current: &Snapshot, next: &Snapshot, since: Timestamp) -> Result<(), NotNarrower> {
    let (old, new) = (current.policy()?, next.policy()?);
    let old = Side::with_snapshot(&old, current.clone());
    let new = Side::with_snapshot(&new, next.clone());
    match first_widening(&old, &new, since)? {
        None => Ok(()),
        Some((token, gain)) => Err(NotNarrower::Wider { token, gain: gain.into() }),
    }
}

/// Activates `next` if it allows nothing that the current snapshot denies, or if there is no current snapshot.
///
/// Call this from one thread only: concurrent callers may each compare with the same old snapshot.
///
/// # Errors
///
/// Returns the errors of [`narrower`]; the current snapshot then stays active.
///
/// ```
/// use portcullis_diff::narrow::swap_if_narrower;
/// use portcullis::{Authorizer, Options, Snapshot};
/// use portcullis_document::read_policy;
///
/// let snapshot = |apis: &str| -> Result<Snapshot, Box<dyn std::error::Error>> {
///     let policy = read_policy(format!(r#"[{{"id": "a", "token": "s3cret", "allowed_apis": [{apis}],
///         "grants": [{{"connection_name": "dw", "source": "db.t"}}]}}]"#))?;
///     Ok(Snapshot::compile(&policy, &Options::default())?)
/// };
/// let now = "2026-11-24".parse()?;
/// let authorizer = Authorizer::new(snapshot(r#""maps""#)?);
/// let refused = swap_if_narrower(&authorizer, snapshot(r#""maps", "lds""#)?, now).unwrap_err();
/// assert!(refused.to_string().starts_with("wider than the active policy: token `a` gains API lds"));
/// assert_eq!(authorizer.current().number(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn swap_if_narrower(authorizer: &Authorizer, next: Snapshot, since: Timestamp) -> Result<Swapped, NotNarrower> {
    if let Some(current) = authorizer.current().snapshot() {
        narrower(current, &next, since)?;
    }
    Ok(authorizer.swap(next))
}
