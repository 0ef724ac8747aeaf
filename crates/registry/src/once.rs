//! Changes that are made once, however often they are requested.

use super::error::{Result, refused};
use super::record::{Ticket, TicketKind};
use super::tokens::{Created, NewToken};
use super::{Actor, Change, Registry};
use portcullis::base::Timestamp;
use portcullis::model::SecretDigest;

/// A change that is made once.
#[derive(Debug, Clone, Copy)]
pub struct Once {
    /// The digest of the caller and the key.
    pub key: SecretDigest,
    /// The digest of the request: the same key with another request is an error.
    pub request: SecretDigest,
    /// Until when the answer is remembered.
    pub expires: Timestamp,
}

/// The result of a change that is made once.
#[derive(Debug)]
pub enum Answered<T> {
    /// The change was made now.
    Now(T),
    /// The change was made before: the answer that was remembered.
    Before(Vec<u8>),
}

/// The length of the digest of the request, at the start of a remembered answer.
const DIGEST: usize = 32;

impl Registry {
    /// Makes a change by `work`, and remembers its answer, which `seal` returns, in one transaction. If the change was made
    /// before, returns the remembered answer. The answer must not contain a secret in plain text.
    ///
    /// # Errors
    ///
    /// If the key was used with another request, or `work` or `seal` fails: then nothing is changed or remembered.
    pub fn once<T>(
        &mut self,
        actor: &Actor,
        once: &Once,
        work: impl FnOnce(&mut Change<'_>) -> Result<T>,
        seal: impl FnOnce(&T) -> Result<Vec<u8>>,
    ) -> Result<Answered<T>> {
        let mut change = self.change(actor)?;
        if let Some(ticket) = change.records.ticket(TicketKind::Answer, &once.key)?
            && actor.now < ticket.expires
        {
            let answer = answer(&ticket, once)?;
            // The client that made the change may still wait until it is durable. No answer is repeated before that.
            change.records.commit()?;
            return Ok(Answered::Before(answer));
        }
        let made = work(&mut change)?;
        change.put_ticket(&remembered(actor, once, &seal(&made)?))?;
        change.commit()?;
        Ok(Answered::Now(made))
    }

    /// Creates a token as [`create_token`](Self::create_token) does, once: see [`once`](Self::once).
    ///
    /// # Errors
    ///
    /// Those of [`create_token`](Self::create_token) and [`once`](Self::once).
    pub fn create_token_once(
        &mut self,
        actor: &Actor,
        once: &Once,
        new: &NewToken,
        seal: impl Fn(&Created) -> Result<Vec<u8>>,
    ) -> Result<Answered<Created>> {
        let answer = |created: &Created| Ok(Some(remembered(actor, once, &seal(created)?)));
        if let Some(created) = self.add_token(actor, new, answer)? {
            return Ok(Answered::Now(created));
        }
        self.once(actor, once, |change| change.create_token(new), seal)
    }
}

/// Returns the ticket that remembers a sealed answer.
fn remembered(actor: &Actor, once: &Once, sealed: &[u8]) -> Ticket {
    Ticket {
        kind: TicketKind::Answer,
        digest: once.key,
        user: actor.user.clone(),
        client: None,
        family: None,
        token: None,
        expires: once.expires,
        body: [once.request.as_bytes(), sealed].concat(),
    }
}

fn answer(ticket: &Ticket, once: &Once) -> Result<Vec<u8>> {
    match ticket.body.split_at_checked(DIGEST) {
        Some((request, answer)) if request == once.request.as_bytes() => Ok(answer.to_vec()),
        _ => Err(refused(
            "the idempotency key was used for another request, or with other rights",
            "use a new key for each change, and the same key only to repeat it",
        )
        .because("idempotency_key_reused")),
    }
}
