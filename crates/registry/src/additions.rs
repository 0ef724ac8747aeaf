//! New tokens that are added without a transaction of several statements.
//!
//! A token is checked with declarations that were read earlier, and the database adds it only if they have not changed. Whatever
//! fails is done again in a transaction, which finds the reason.

use super::credential::check_credential;
use super::error::Result;
use super::record::Ticket;
use super::storage::Addition;
use super::tokens::{Created, NewToken, subject, without_problems};
use super::{Actor, Registry, noted};

impl Registry {
    /// Adds a token with the answer that `answer` makes of it. `None` without effect if a transaction must do this.
    pub(super) fn add_token(
        &mut self,
        actor: &Actor,
        new: &NewToken,
        answer: impl FnOnce(&Created) -> Result<Option<Ticket>>,
    ) -> Result<Option<Created>> {
        // A transaction refuses the change.
        if actor.is_read_only {
            return Ok(None);
        }
        let Some(declarations) = self.storage.declarations()? else { return Ok(None) };
        // After the declarations: what ends a credential changes their number, and the token is not added then.
        if actor.credential.is_some() {
            check_credential(&mut *self.storage.read()?, actor)?;
        }
        if let Some(created) = without_problems(actor, new, &declarations)? {
            let token = &created.token;
            let addition = Addition {
                entry: noted(actor, 0, "create", &subject(token), None, Some(token)),
                answer: answer(&created)?,
                checked_with: declarations.version,
                token,
            };
            if self.storage.add(&addition)? {
                return Ok(Some(created));
            }
        }
        self.storage.forget_declarations();
        Ok(None)
    }
}
