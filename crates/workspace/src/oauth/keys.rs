//! The keys of ID tokens, and their publication.
//!
//! A private key exists only in the memory of the process that made it: the registry never contains a secret. The registry has
//! the public keys, so that each process of a workspace answers with all of them. A process makes a key when it first needs
//! one, and another one every 30 days. A public key is published for 60 days after it was made.

use std::sync::Arc;

use portcullis::base::Timestamp;
use portcullis::model::SecretDigest;
use portcullis_registry::record::{Ticket, TicketKind};

use crate::problem::Problem;
use crate::service::Workspace;
use crate::signing::{PrivateKey, PublicKey};

/// How long a private key is used, in seconds.
const USED: i64 = 30 * 86_400;

/// How long a public key is published after its private key was made, in seconds.
const PUBLISHED: i64 = 60 * 86_400;

/// The user of the tickets of public keys: none, because user names are not empty.
const NOBODY: &str = "";

/// Returns the key that signs now. Its public key is published first.
///
/// # Errors
///
/// If no key can be made, or the registry fails.
pub(super) async fn current(workspace: &Workspace) -> Result<Arc<PrivateKey>, Problem> {
    let now = Workspace::now();
    // Others wait for the same key.
    let mut current = workspace.keys().0.lock().await;
    if let Some(key) = current.as_ref().filter(|key| now.seconds() < key.made.seconds().saturating_add(USED)) {
        // A registry that was restored from a copy may not have the public key.
        publish(key, workspace).await?;
        return Ok(Arc::clone(key));
    }
    let made = tokio::task::spawn_blocking(move || PrivateKey::make(now)).await.ok().flatten();
    let key = Arc::new(made.ok_or_else(Problem::internal)?);
    publish(&key, workspace).await?;
    *current = Some(Arc::clone(&key));
    Ok(key)
}

/// Returns the public keys of every process of the workspace.
pub(super) async fn published(workspace: &Workspace) -> Result<Vec<PublicKey>, Problem> {
    let tickets = workspace.look(|registry| registry.tickets(TicketKind::PublicKey, NOBODY, Workspace::now())).await?;
    Ok(tickets.iter().filter_map(|ticket| serde_json::from_slice(&ticket.body).ok()).collect())
}

async fn publish(key: &PrivateKey, workspace: &Workspace) -> Result<(), Problem> {
    let digest = SecretDigest::of(&key.public.kid);
    let known = workspace.look(move |registry| registry.ticket(TicketKind::PublicKey, &digest, Workspace::now()));
    if known.await?.is_some() {
        return Ok(());
    }
    let ticket = Ticket {
        kind: TicketKind::PublicKey,
        digest,
        user: NOBODY.to_owned(),
        client: None,
        family: None,
        token: None,
        expires: Timestamp::from_unix(key.made.seconds().saturating_add(PUBLISHED), 0),
        body: serde_json::to_vec(&key.public).unwrap_or_default(),
    };
    workspace.write(move |registry| registry.put_ticket(&ticket)).await
}
