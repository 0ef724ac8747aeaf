//! Only narrower policies: nothing that is denied now is allowed next.

use super::compare::{Gain, Side, first_widening};
use super::witness::Unconfirmed;
use portcullis::authorizer::{Authorizer, Swapped};
use portcullis::base::{Escaped, Timestamp};
use portcullis::snapshot::{RestoreError, Snapshot};

/// Why a snapshot is not activated.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum NotNarrower {
    /// It allows more.
    #[error("wider than the active policy: token `{}` gains {}; {}", Escaped::whole(.token), .gain.gained, shown(.gain))]
    Wider {
        /// The token that may do more.
        token: String,
        /// What it may do.
        gain: Box<Gain>,
    },
    /// A snapshot cannot be read back.
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

/// Makes sure that `next` allows no request, at `since` or later, that `current` denies.
///
/// Costs as [`first_widening`], and reads both policies back: seconds, for a hundred thousand tokens.
///
/// # Errors
///
/// If it allows one, which the error tells; or that cannot be found out.
pub fn narrower(current: &Snapshot, next: &Snapshot, since: Timestamp) -> Result<(), NotNarrower> {
    let (old, new) = (current.policy()?, next.policy()?);
    let old = Side::with_snapshot(&old, current.clone());
    let new = Side::with_snapshot(&new, next.clone());
    match first_widening(&old, &new, since)? {
        None => Ok(()),
        Some((token, gain)) => Err(NotNarrower::Wider { token, gain: gain.into() }),
    }
}

/// Swaps `next` in, if it allows nothing that the current snapshot denies; where there is none yet, in any case.
///
/// Two callers at once may each find theirs narrower than what was there before either: let one thread swap.
///
/// # Errors
///
/// As [`narrower`]; the current snapshot then stays.
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
