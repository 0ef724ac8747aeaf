//! OAuth access tokens. One that may read sources is a short-lived token of the policy, which decides requests as every
//! other token does.

use serde::{Deserialize, Serialize};

use super::definition::Draft;
use super::error::Result;
use super::record::{Client, Role, Ticket, TicketKind, Token};
use super::scopes::held;
use super::storage::TicketFilter;
use super::{Actor, Change, Registry, Subject};
use portcullis::base::Timestamp;
use portcullis::model::SecretDigest;
use portcullis_secret::{Secret, SecretKind, short_id};

/// The prefix of the id of an access token.
const PREFIX: &str = "at";

/// An access token to issue.
#[derive(Debug, Clone)]
pub struct NewAccess<'a> {
    /// The client that receives it, whose APIs and grants it has.
    pub client: &'a Client,
    /// The user whose rights it has.
    pub user: &'a str,
    /// The scopes.
    pub scopes: &'a [String],
    /// The referers from which it may be used; an empty list allows every referer.
    pub referers: &'a [String],
    /// The authorization that it descends from, if any.
    pub family: Option<&'a str>,
    /// The lifetime in seconds.
    pub lifetime: i64,
}

/// An access token that was issued.
#[derive(Debug)]
pub struct Issued {
    /// The secret. It is stored nowhere else.
    pub secret: Secret,
    /// The id in decisions and in the trail.
    pub id: String,
    /// The expiry.
    pub expires: Timestamp,
}

/// A valid access token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// The id in decisions and in the trail.
    pub id: String,
    /// The client that received it.
    pub client: String,
    /// The user whose rights it has.
    pub user: String,
    /// The role of the user.
    pub role: Role,
    /// The scopes.
    pub scopes: Vec<String>,
    /// When it was issued.
    pub issued: Timestamp,
    /// The expiry.
    pub expires: Timestamp,
}

/// The content of the ticket of an access token.
#[derive(Serialize, Deserialize)]
struct Content {
    id: String,
    scopes: Vec<String>,
    issued: i64,
}

/// An access token in the trail.
#[derive(Serialize)]
struct Noted<'a> {
    client: &'a str,
    scopes: &'a [String],
    expires: String,
}

impl Registry {
    /// Issues an access token. With APIs of the client, it is also a token of the policy.
    ///
    /// # Errors
    ///
    /// If the grants of the client are not valid any more, or the database fails.
    pub fn issue_access(&mut self, actor: &Actor, new: &NewAccess<'_>) -> Result<Issued> {
        // An auditor's token changes nothing but itself.
        let actor = Actor { is_read_only: false, ..actor.clone() };
        self.changed(&actor, |change| change.issue_access(new))
    }

    /// Returns the access token with this digest that is valid at `now`, if any. A scope that its client has lost is left out.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub fn access(&mut self, digest: &SecretDigest, now: Timestamp) -> Result<Option<Access>> {
        let mut records = self.storage.read()?;
        let ticket = records.ticket(TicketKind::AccessToken, digest)?.filter(|ticket| now < ticket.expires);
        let Some(ticket) = ticket else { return Ok(None) };
        let content: Option<Content> = serde_json::from_slice(&ticket.body).ok();
        let Some((content, client)) = content.zip(ticket.client) else { return Ok(None) };
        let Some(known) = records.client(&client)? else { return Ok(None) };
        let scopes = held(&content.scopes, &known);
        let user = records.user(&ticket.user)?;
        if user.as_ref().is_some_and(|user| user.is_disabled) {
            return Ok(None);
        }
        let role = user.map(|user| user.role).unwrap_or_default();
        Ok(Some(Access {
            id: content.id,
            client,
            user: ticket.user,
            role,
            scopes,
            issued: Timestamp::from_unix(content.issued, 0),
            expires: ticket.expires,
        }))
    }

    /// Revokes the access token with this digest, if the client has it, in the name of its user. The next decision does not
    /// know it.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub fn revoke_access(&mut self, actor: &Actor, client: &str, digest: &SecretDigest) -> Result<()> {
        let ticket = self.storage.read()?.ticket(TicketKind::AccessToken, digest)?;
        let Some(ticket) = ticket.filter(|ticket| ticket.client.as_deref() == Some(client)) else { return Ok(()) };
        let actor = Actor { is_read_only: false, user: ticket.user.clone(), ..actor.clone() };
        self.changed(&actor, |change| change.revoke("revoke", &ticket))
    }

    /// Revokes everything that descends from one authorization: its access tokens and its other tickets.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub fn revoke_family(&mut self, actor: &Actor, family: &str) -> Result<()> {
        let actor = Actor { is_read_only: false, ..actor.clone() };
        self.changed(&actor, |change| {
            for ticket in change.records.tickets(TicketFilter::Family(family))? {
                change.revoke("revoke", &ticket)?;
            }
            Ok(())
        })
    }
}

impl Change<'_> {
    pub(super) fn issue_access(&mut self, new: &NewAccess<'_>) -> Result<Issued> {
        self.check_enabled(new.user)?;
        self.check_enabled(&new.client.owner)?;
        let secret = Secret::mint(SecretKind::Access)?;
        let id = short_id(PREFIX)?;
        let now = self.actor.now;
        let expires = Timestamp::from_unix(now.seconds().saturating_add(new.lifetime), 0);
        let issued = Issued { secret, id, expires };
        let token = if new.client.allowed_apis.is_empty() { None } else { Some(self.put_access_token(&issued, new)?) };
        if token.is_none() {
            let (client, scopes, expires) = (&*new.client.id, new.scopes, expires.to_string());
            let subject = Subject { kind: "access_token", id: &issued.id, owner: Some(new.user) };
            self.note("issue", &subject, None, Some(&Noted { client, scopes, expires }))?;
        }
        let content = Content { id: issued.id.clone(), scopes: new.scopes.to_vec(), issued: now.seconds() };
        self.put_ticket(&Ticket {
            kind: TicketKind::AccessToken,
            digest: issued.secret.digest(),
            user: new.user.to_owned(),
            client: Some(new.client.id.clone()),
            family: new.family.map(ToOwned::to_owned),
            token: token.map(|token| token.id),
            expires,
            body: serde_json::to_vec(&content).unwrap_or_default(),
        })?;
        Ok(issued)
    }

    /// Adds the token of the policy that decides the requests with an access token.
    fn put_access_token(&mut self, issued: &Issued, new: &NewAccess<'_>) -> Result<Token> {
        let template = Token {
            id: issued.id.clone(),
            name: issued.id.clone(),
            owner: new.user.to_owned(),
            digest: issued.secret.digest(),
            allowed_apis: new.client.allowed_apis.clone(),
            grants: new.client.grants.clone(),
            referers: new.referers.to_vec(),
            expiration_date: Some(issued.expires),
            created_at: Some(self.actor.now),
        };
        let (token, _) = self.settle(&Draft::from(&template), None)?;
        self.put("issue", None, &token)?;
        Ok(token)
    }

    /// Deletes the tokens of a client that OAuth issued.
    pub(super) fn revoke_tickets_of(&mut self, client: &str, action: &str) -> Result<()> {
        for ticket in self.records.tickets(TicketFilter::Client(client))? {
            self.revoke(action, &ticket)?;
        }
        Ok(())
    }
}
