//! Credentials whose secret was found where it must not be.

use std::collections::HashSet;

use portcullis::model::SecretDigest;

use crate::error::refused;
use crate::record::{Client, ClientKind, Token};
use crate::storage::TokenFilter;
use crate::{Actor, Registry, Result};

/// A credential whose secret has leaked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Leaked {
    /// A token.
    Token(Token),
    /// A client of a machine.
    Client(Client),
}

impl Registry {
    /// Returns the ids of all tokens that hold the earlier secret of a rotated token ([`Registry::rotate_token`]).
    ///
    /// # Errors
    ///
    /// If the registry cannot be read.
    pub fn overlaps(&mut self) -> Result<HashSet<String>> {
        let trail = self.storage.read()?.trail()?;
        let overlaps = trail.into_iter().filter(|entry| entry.kind == "token" && entry.action == "overlap");
        Ok(overlaps.map(|entry| entry.id).collect())
    }

    /// Returns the machine clients that have one of these digests, of all owners.
    ///
    /// # Errors
    ///
    /// If the registry cannot be read.
    pub fn clients_with(&mut self, digests: &HashSet<SecretDigest>) -> Result<Vec<Client>> {
        let mut clients = self.storage.read()?.clients(ClientKind::M2m)?;
        clients.retain(|client| client.digests().any(|digest| digests.contains(digest)));
        Ok(clients)
    }

    /// Deletes the credential whose secret has this digest, of any owner. The trail names the action `scan`.
    ///
    /// A token that was used within the last seven days needs `force`.
    ///
    /// # Errors
    ///
    /// If no credential has the digest, or the token was used within the last seven days and `force` is not set.
    pub fn delete_leaked(&mut self, actor: &Actor, digest: &SecretDigest, force: bool) -> Result<Leaked> {
        let mut change = self.change(actor)?;
        let token = change.records.tokens(TokenFilter::All)?.into_iter().find(|token| token.digest == *digest);
        if let Some(token) = token {
            change.check_unused(&token, force)?;
            change.remove("scan", &token)?;
            change.commit()?;
            return Ok(Leaked::Token(token));
        }
        let clients = change.records.clients(ClientKind::M2m)?;
        let Some(client) = clients.into_iter().find(|client| client.digests().any(|known| known == digest)) else {
            let help = "it was deleted or rotated in the meantime: scan again";
            return Err(refused("no credential has this secret", help));
        };
        change.remove_client("scan", &client)?;
        change.commit()?;
        Ok(Leaked::Client(client))
    }
}
