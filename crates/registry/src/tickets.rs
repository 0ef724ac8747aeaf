//! Short-lived records that are found by the digest of a secret: sessions, login links, and what OAuth issues.

use super::error::Result;
use super::record::{Ticket, TicketKind};
use super::storage::{TicketFilter, TokenFilter};
use super::{Actor, Change, Registry};
use portcullis::base::Timestamp;
use portcullis::model::SecretDigest;

impl Registry {
    /// Returns the ticket with this digest that is valid at `now`, if any.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub fn ticket(&mut self, kind: TicketKind, digest: &SecretDigest, now: Timestamp) -> Result<Option<Ticket>> {
        let ticket = self.storage.read()?.ticket(kind, digest)?;
        Ok(ticket.filter(|ticket| now < ticket.expires))
    }

    /// Adds a ticket, or replaces the one with its kind and digest. Tickets are not part of a revision.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub fn put_ticket(&mut self, ticket: &Ticket) -> Result<()> {
        let mut records = self.storage.write()?;
        records.put_ticket(ticket)?;
        records.commit()
    }

    /// Removes the ticket with this digest and returns it, if it is valid at `now`. Of several callers at once, one gets it.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub fn take_ticket(&mut self, kind: TicketKind, digest: &SecretDigest, now: Timestamp) -> Result<Option<Ticket>> {
        let mut records = self.storage.write()?;
        let Some(ticket) = records.ticket(kind, digest)? else { return Ok(None) };
        records.remove_ticket(kind, digest)?;
        records.commit()?;
        Ok(Some(ticket).filter(|ticket| now < ticket.expires))
    }

    /// Extends the ticket with this digest to `expires`, unless it was removed or expires later anyway.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub fn extend_ticket(&mut self, kind: TicketKind, digest: &SecretDigest, expires: Timestamp) -> Result<()> {
        let mut records = self.storage.write()?;
        match records.ticket(kind, digest)? {
            Some(ticket) if ticket.expires < expires => records.put_ticket(&Ticket { expires, ..ticket })?,
            _ => return Ok(()),
        }
        records.commit()
    }

    /// Removes every ticket of this kind of the user.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub fn remove_tickets(&mut self, kind: TicketKind, user: &str) -> Result<()> {
        let mut records = self.storage.write()?;
        for ticket in records.tickets(TicketFilter::User(kind, user))? {
            records.remove_ticket(kind, &ticket.digest)?;
        }
        records.commit()
    }

    /// Removes expired tickets, and deletes at most `max` tokens that expired at `until` or before, access tokens as soon as
    /// they have expired. Returns the number of deleted tokens. The actor is an administrator.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub fn remove_expired(&mut self, actor: &Actor, until: Timestamp, max: usize) -> Result<usize> {
        let mut change = self.change(actor)?;
        let tickets = change.records.tickets(TicketFilter::ExpiredWithToken(actor.now, max))?;
        for ticket in &tickets {
            change.revoke("prune", ticket)?;
        }
        let due = change.records.expired_tokens(until, max.saturating_sub(tickets.len()))?;
        for token in &due {
            change.remove("prune", token)?;
        }
        change.records.remove_expired_tickets(actor.now)?;
        change.has_tickets = true;
        change.commit()?;
        Ok(tickets.len() + due.len())
    }
}

impl Change<'_> {
    /// Adds a ticket, or replaces the one with its kind and digest.
    pub(super) fn put_ticket(&mut self, ticket: &Ticket) -> Result<()> {
        self.has_tickets = true;
        self.records.put_ticket(ticket)
    }

    /// Removes a ticket, and deletes its token.
    pub(super) fn revoke(&mut self, action: &str, ticket: &Ticket) -> Result<()> {
        self.has_tickets = true;
        if let Some(id) = &ticket.token {
            for token in self.records.tokens(TokenFilter::Id(id))? {
                self.remove(action, &token)?;
            }
        }
        self.records.remove_ticket(ticket.kind, &ticket.digest)
    }
}
