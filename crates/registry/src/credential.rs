//! The session or access token of an actor: each change checks in its own transaction that the actor still has it.

use super::Actor;
use super::error::{Result, refused};
use super::record::{Role, TicketKind};
use super::scopes::held;
use super::storage::Records;
use super::words::quoted;
use portcullis::model::SecretDigest;

/// A session or an access token, and the role that its user had when it was presented.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Credential {
    /// The kind of its ticket.
    pub kind: TicketKind,
    /// The digest of its secret.
    pub digest: SecretDigest,
    /// The role of the user.
    pub role: Role,
}

/// Checks that the actor still has the credential by which it acts, with the same rights. An actor without one, such as a
/// command on the registry's machine, has nothing to lose.
///
/// # Errors
///
/// If the credential has ended, the user is disabled, or the rights have changed.
pub(super) fn check_credential(records: &mut dyn Records, actor: &Actor) -> Result<()> {
    let Some(credential) = &actor.credential else { return Ok(()) };
    let ended = || {
        let help = "sign in again, or request another access token";
        refused("the session or access token has ended", help).because("credential_ended")
    };
    let ticket = records.ticket(credential.kind, &credential.digest)?;
    let ticket = ticket.filter(|ticket| actor.now < ticket.expires && ticket.user == actor.user).ok_or_else(ended)?;
    let user = records.user(&ticket.user)?;
    if user.as_ref().is_some_and(|user| user.is_disabled) {
        return Err(ended());
    }
    let has_role = user.map(|user| user.role).unwrap_or_default() == credential.role;
    let has_scopes = match (&ticket.client, &actor.scopes) {
        (Some(client), Some(scopes)) => {
            let client = records.client(client)?.ok_or_else(ended)?;
            held(scopes, &client).len() == scopes.len()
        }
        _ => true,
    };
    if has_role && has_scopes {
        return Ok(());
    }
    let message = format!("the rights of the user {} have changed", quoted(&actor.user));
    Err(refused(message, "send the request again").because("rights_changed"))
}
