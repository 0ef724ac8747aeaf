//! OAuth authorizations: what a user lets a single-page application do in the user's name. An authorization starts with a
//! code, and lives on in refresh tokens. Everything that descends from it is one *family*, which is revoked together.

use serde::{Deserialize, Serialize};
use url::Url;

use super::access::{Issued, NewAccess};
use super::consents::allows;
use super::definition::unique;
use super::error::Result;
use super::record::{Client, ClientKind, Ticket, TicketKind, Urls};
use super::scopes::{OFFLINE_ACCESS, held};
use super::storage::TicketFilter;
use super::users::is_enabled;
use super::{Actor, Change, Registry};
use portcullis::base::Timestamp;
use portcullis::model::SecretDigest;
use portcullis_secret::{Secret, SecretKind, short_id};

/// The prefix of the name of a family.
const PREFIX: &str = "au";

/// How long what OAuth issues is valid, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifetimes {
    /// An authorization code.
    pub code: i64,
    /// An access token.
    pub access: i64,
    /// A refresh token that is not used.
    pub idle: i64,
    /// All refresh tokens of one authorization.
    pub absolute: i64,
    /// How long a refresh token that was used still gets its successor: the answer may have been lost.
    pub grace: i64,
    /// All refresh tokens of a user with an account at an OpenID provider, after the sign-in: only the next sign-in shows
    /// whether the provider still admits the person.
    pub confirmed: i64,
}

/// A code to issue.
#[derive(Debug, Clone)]
pub struct NewCode<'a> {
    /// The digest of the code.
    pub digest: SecretDigest,
    /// The id of the client.
    pub client: &'a str,
    /// The user who signed in.
    pub user: &'a str,
    /// The URL that receives the code.
    pub redirect_uri: &'a str,
    /// The S256 challenge of PKCE.
    pub challenge: &'a str,
    /// The scopes.
    pub scopes: &'a [String],
    /// The nonce of the client, for the ID token.
    pub nonce: Option<&'a str>,
    /// When the user signed in.
    pub signed_in: Timestamp,
}

/// A code that a client presents.
#[derive(Debug, Clone)]
pub struct PresentedCode<'a> {
    /// The digest of the code.
    pub digest: SecretDigest,
    /// The id of the client.
    pub client: &'a str,
    /// The URL that received the code.
    pub redirect_uri: &'a str,
    /// The S256 challenge of the presented verifier.
    pub challenge: &'a str,
}

/// A refresh token that a client presents.
#[derive(Debug, Clone)]
pub struct PresentedRefresh<'a> {
    /// The digest of the refresh token.
    pub digest: SecretDigest,
    /// The id of the client.
    pub client: &'a str,
    /// The scopes that the client asks for; `None` for those of the authorization.
    pub scopes: Option<&'a [String]>,
}

/// Keeps the successor of a refresh token so that only a holder of that refresh token reads it.
pub trait Successors {
    /// Returns `successor`, sealed; `None` if that is not possible.
    fn seal(&self, successor: &str) -> Option<Vec<u8>>;
    /// Returns the successor that was sealed.
    fn open(&self, sealed: &[u8]) -> Option<String>;
}

/// What a client gets for a code or a refresh token.
#[derive(Debug)]
pub struct Granted {
    /// The client.
    pub client: Client,
    /// The user.
    pub user: String,
    /// The scopes.
    pub scopes: Vec<String>,
    /// The access token.
    pub access: Issued,
    /// The refresh token, with the scope `offline_access`.
    pub refresh: Option<Secret>,
    /// The nonce of the client.
    pub nonce: Option<String>,
    /// When the user signed in.
    pub signed_in: Timestamp,
}

/// Why a client gets nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotGranted {
    /// The code or refresh token is unknown, expired, revoked, or of another client, or the rest of the request does not fit.
    Invalid,
    /// The code or refresh token was used before: everything that came from it is revoked.
    Reused,
    /// The client asks for a scope that the authorization does not have.
    Scope,
}

/// The content of the ticket of a code. It stays after the code was used, to recognize a second use.
#[derive(Serialize, Deserialize)]
struct Code {
    redirect_uri: String,
    challenge: String,
    scopes: Vec<String>,
    nonce: Option<String>,
    signed_in: i64,
    until: i64,
    is_used: bool,
}

/// The content of the ticket of a refresh token. It stays after the token was used, to recognize a second use.
#[derive(Serialize, Deserialize)]
struct Refresh {
    scopes: Vec<String>,
    signed_in: i64,
    /// The end of the authorization.
    end: i64,
    used: Option<Used>,
}

/// The use of a refresh token.
#[derive(Serialize, Deserialize)]
struct Used {
    at: i64,
    /// The sealed successor.
    successor: Vec<u8>,
}

/// A refresh token to issue.
struct NewRefresh<'a> {
    client: &'a Client,
    user: &'a str,
    family: &'a str,
    content: Refresh,
    idle: i64,
}

impl Registry {
    /// Issues a code, if the user lets the client act with the scopes, and neither the user nor the owner of the client is
    /// disabled. The answer is whether one was issued.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub fn issue_code(&mut self, new: &NewCode<'_>, lifetimes: &Lifetimes, now: Timestamp) -> Result<bool> {
        let until = now.seconds().saturating_add(lifetimes.code);
        let content = Code {
            redirect_uri: new.redirect_uri.to_owned(),
            challenge: new.challenge.to_owned(),
            scopes: new.scopes.to_vec(),
            nonce: new.nonce.map(ToOwned::to_owned),
            signed_in: new.signed_in.seconds(),
            until,
            is_used: false,
        };
        let ticket = Ticket {
            kind: TicketKind::Code,
            digest: new.digest,
            user: new.user.to_owned(),
            client: Some(new.client.to_owned()),
            family: Some(short_id(PREFIX)?),
            token: None,
            expires: Timestamp::from_unix(until, 0),
            body: body(&content),
        };
        // In one transaction: the user may end the consent at the same time.
        let mut records = self.storage.write()?;
        let client = records.client(new.client)?.filter(|client| client.kind == ClientKind::Spa);
        let Some(client) = client else { return Ok(false) };
        if !is_enabled(&mut *records, new.user)? || !is_enabled(&mut *records, &client.owner)? {
            return Ok(false);
        }
        if !allows(&mut *records, new.user, &client, new.scopes, now)? {
            return Ok(false);
        }
        records.put_ticket(&ticket)?;
        records.commit()?;
        Ok(true)
    }

    /// Exchanges a code. The first request with a code uses it up, even if the rest of the request does not fit. A second one
    /// revokes everything that came from the first.
    ///
    /// # Errors
    ///
    /// If the grants of the client are not valid any more, or the database fails.
    pub fn redeem_code(
        &mut self,
        presented: &PresentedCode<'_>,
        lifetimes: &Lifetimes,
        now: Timestamp,
    ) -> Result<std::result::Result<Granted, NotGranted>> {
        let ticket = self.storage.read()?.ticket(TicketKind::Code, &presented.digest)?;
        let Some(ticket) = ticket else { return Ok(Err(NotGranted::Invalid)) };
        let actor = Actor::new(ticket.user, now)?.by(format!("client {}", presented.client));
        self.changed(&actor, |change| change.redeem_code(presented, lifetimes))
    }

    /// Exchanges a refresh token for an access token and the next refresh token. Until the end of the grace period, a refresh
    /// token that was used gets the same successor. After that, it revokes its whole family.
    ///
    /// # Errors
    ///
    /// If the grants of the client are not valid any more, or the database fails.
    pub fn refresh(
        &mut self,
        presented: &PresentedRefresh<'_>,
        lifetimes: &Lifetimes,
        successors: &dyn Successors,
        now: Timestamp,
    ) -> Result<std::result::Result<Granted, NotGranted>> {
        let ticket = self.storage.read()?.ticket(TicketKind::RefreshToken, &presented.digest)?;
        let Some(ticket) = ticket else { return Ok(Err(NotGranted::Invalid)) };
        let actor = Actor::new(ticket.user, now)?.by(format!("client {}", presented.client));
        self.changed(&actor, |change| change.refresh(presented, lifetimes, successors))
    }

    /// Revokes the refresh token with this digest, if the client has it, and everything else of its authorization.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub fn revoke_refresh(&mut self, client: &str, digest: &SecretDigest, now: Timestamp) -> Result<()> {
        let ticket = self.storage.read()?.ticket(TicketKind::RefreshToken, digest)?;
        match ticket.filter(|ticket| ticket.client.as_deref() == Some(client)) {
            Some(Ticket { user, family: Some(family), .. }) => {
                let actor = Actor::new(user, now)?.by(format!("client {client}"));
                self.revoke_family(&actor, &family)
            }
            _ => Ok(()),
        }
    }

    /// Returns the valid tickets of this kind and user.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub fn tickets(&mut self, kind: TicketKind, user: &str, now: Timestamp) -> Result<Vec<Ticket>> {
        let mut tickets = self.storage.read()?.tickets(TicketFilter::User(kind, user))?;
        tickets.retain(|ticket| now < ticket.expires);
        Ok(tickets)
    }
}

impl Change<'_> {
    fn redeem_code(
        &mut self,
        presented: &PresentedCode<'_>,
        lifetimes: &Lifetimes,
    ) -> Result<std::result::Result<Granted, NotGranted>> {
        let now = self.actor.now;
        let Some(ticket) = self.records.ticket(TicketKind::Code, &presented.digest)? else {
            return Ok(Err(NotGranted::Invalid));
        };
        let Some((mut code, family)) = content::<Code>(&ticket).zip(ticket.family.clone()) else {
            return Ok(Err(NotGranted::Invalid));
        };
        if code.is_used {
            self.end_family(&family)?;
            return Ok(Err(NotGranted::Reused));
        }
        code.is_used = true;
        // As long as a token that came from the code may be valid.
        let end = now.seconds().saturating_add(lifetimes.absolute);
        self.put_ticket(&Ticket { expires: Timestamp::from_unix(end, 0), body: body(&code), ..ticket.clone() })?;
        let client = self.application(&ticket, presented.client)?;
        let fits = code.redirect_uri == presented.redirect_uri && code.challenge == presented.challenge;
        let Some(client) = client.filter(|_| fits && now.seconds() < code.until) else {
            return Ok(Err(NotGranted::Invalid));
        };
        let scopes = held(&code.scopes, &client);
        if !self.is_allowed(&ticket.user, &client, &scopes, &family)? {
            return Ok(Err(NotGranted::Invalid));
        }
        let access = self.issue_for(&client, &ticket.user, &scopes, &family, lifetimes)?;
        let refresh = if scopes.iter().any(|scope| scope == OFFLINE_ACCESS) {
            let content = Refresh { scopes: scopes.clone(), signed_in: code.signed_in, end, used: None };
            let idle = lifetimes.idle;
            let new = NewRefresh { client: &client, user: &ticket.user, family: &family, content, idle };
            Some(self.issue_refresh(&new)?)
        } else {
            None
        };
        let signed_in = Timestamp::from_unix(code.signed_in, 0);
        Ok(Ok(Granted { client, user: ticket.user, scopes, access, refresh, nonce: code.nonce, signed_in }))
    }

    fn refresh(
        &mut self,
        presented: &PresentedRefresh<'_>,
        lifetimes: &Lifetimes,
        successors: &dyn Successors,
    ) -> Result<std::result::Result<Granted, NotGranted>> {
        let now = self.actor.now;
        let found = self.records.ticket(TicketKind::RefreshToken, &presented.digest)?;
        let Some(ticket) = found.filter(|ticket| now < ticket.expires) else { return Ok(Err(NotGranted::Invalid)) };
        let Some((mut refresh, family)) = content::<Refresh>(&ticket).zip(ticket.family.clone()) else {
            return Ok(Err(NotGranted::Invalid));
        };
        let Some(client) = self.application(&ticket, presented.client)? else { return Ok(Err(NotGranted::Invalid)) };
        let confirmed_until = refresh.signed_in.saturating_add(lifetimes.confirmed);
        if now.seconds() >= confirmed_until && self.has_account(&ticket.user)? {
            self.end_family(&family)?;
            return Ok(Err(NotGranted::Invalid));
        }
        let mut scopes = held(&refresh.scopes, &client);
        if !self.is_allowed(&ticket.user, &client, &scopes, &family)? {
            return Ok(Err(NotGranted::Invalid));
        }
        if let Some(wanted) = presented.scopes {
            if !wanted.iter().all(|scope| refresh.scopes.contains(scope)) {
                return Ok(Err(NotGranted::Scope));
            }
            scopes.retain(|scope| wanted.contains(scope));
        }
        let next = match &refresh.used {
            Some(used) if now.seconds() > used.at.saturating_add(lifetimes.grace) => {
                self.end_family(&family)?;
                return Ok(Err(NotGranted::Reused));
            }
            Some(used) => {
                let successor = successors.open(&used.successor).and_then(|text| Secret::read(&text));
                let Some(successor) = successor else { return Ok(Err(NotGranted::Invalid)) };
                // Of a family that was revoked, nothing is left.
                if self.records.ticket(TicketKind::RefreshToken, &successor.digest())?.is_none() {
                    return Ok(Err(NotGranted::Invalid));
                }
                successor
            }
            None => {
                let content = Refresh { scopes: refresh.scopes.clone(), used: None, ..refresh };
                let idle = lifetimes.idle;
                let new = NewRefresh { client: &client, user: &ticket.user, family: &family, content, idle };
                let successor = self.issue_refresh(&new)?;
                let Some(sealed) = successors.seal(successor.expose()) else { return Ok(Err(NotGranted::Invalid)) };
                refresh.used = Some(Used { at: now.seconds(), successor: sealed });
                let expires = Timestamp::from_unix(refresh.end, 0);
                self.put_ticket(&Ticket { expires, body: body(&refresh), ..ticket.clone() })?;
                successor
            }
        };
        let access = self.issue_for(&client, &ticket.user, &scopes, &family, lifetimes)?;
        let signed_in = Timestamp::from_unix(refresh.signed_in, 0);
        Ok(Ok(Granted { client, user: ticket.user, scopes, access, refresh: Some(next), nonce: None, signed_in }))
    }

    /// Returns the single-page application of a ticket, if it is the one that presents its secret.
    fn application(&mut self, ticket: &Ticket, presented: &str) -> Result<Option<Client>> {
        let Some(id) = ticket.client.as_deref().filter(|id| *id == presented) else { return Ok(None) };
        // Without pages, its access tokens would be valid on every page.
        let has_pages = |client: &Client| client.kind == ClientKind::Spa && !pages(client).is_empty();
        Ok(self.records.client(id)?.filter(has_pages))
    }

    /// Whether the user has signed in at an OpenID provider.
    fn has_account(&mut self, user: &str) -> Result<bool> {
        Ok(self.records.user(user)?.is_some_and(|user| user.subject.is_some()))
    }

    /// Whether the user still lets the client act with `scopes`. If not, the family is revoked.
    fn is_allowed(&mut self, user: &str, client: &Client, scopes: &[String], family: &str) -> Result<bool> {
        if allows(&mut *self.records, user, client, scopes, self.actor.now)? {
            return Ok(true);
        }
        self.end_family(family)?;
        Ok(false)
    }

    fn issue_for(
        &mut self,
        client: &Client,
        user: &str,
        scopes: &[String],
        family: &str,
        lifetimes: &Lifetimes,
    ) -> Result<Issued> {
        let referers = pages(client);
        let (family, lifetime) = (Some(family), lifetimes.access);
        self.issue_access(&NewAccess { client, user, scopes, referers: &referers, family, lifetime })
    }

    fn issue_refresh(&mut self, new: &NewRefresh<'_>) -> Result<Secret> {
        let secret = Secret::mint(SecretKind::Refresh)?;
        let idle = self.actor.now.seconds().saturating_add(new.idle);
        self.put_ticket(&Ticket {
            kind: TicketKind::RefreshToken,
            digest: secret.digest(),
            user: new.user.to_owned(),
            client: Some(new.client.id.clone()),
            family: Some(new.family.to_owned()),
            token: None,
            expires: Timestamp::from_unix(idle.min(new.content.end), 0),
            body: body(&new.content),
        })?;
        Ok(secret)
    }

    /// Revokes the tokens of a family. Its codes stay, to recognize further uses.
    fn end_family(&mut self, family: &str) -> Result<()> {
        for ticket in self.records.tickets(TicketFilter::Family(family))? {
            if ticket.kind != TicketKind::Code {
                self.revoke("revoke", &ticket)?;
            }
        }
        Ok(())
    }
}

/// Returns the referers of the access tokens of a single-page application: its web origins, or else those of its callbacks.
fn pages(client: &Client) -> Vec<String> {
    let Urls { web_origins, callbacks, .. } = &client.urls;
    if !web_origins.is_empty() {
        return web_origins.clone();
    }
    let origins = callbacks.iter().filter_map(|callback| Url::parse(callback).ok());
    unique(origins.map(|url| url.origin().ascii_serialization()))
}

fn body(content: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(content).unwrap_or_default()
}

fn content<'t, T: Deserialize<'t>>(ticket: &'t Ticket) -> Option<T> {
    serde_json::from_slice(&ticket.body).ok()
}
