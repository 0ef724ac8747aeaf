//! Consents: which single-page application may act for which user, and with which scopes.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use url::Url;

use super::definition::unique;
use super::error::Result;
use super::record::{Client, Ticket, TicketKind};
use super::storage::{Records, TicketFilter};
use super::{Actor, Change, Registry, Subject};
use portcullis::base::Timestamp;
use portcullis::model::SecretDigest;

/// How long a consent is remembered, in seconds.
const REMEMBERED: i64 = 365 * 86_400;

/// What a user lets a client do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consent {
    /// The client.
    pub client: Client,
    /// The scopes.
    pub scopes: Vec<String>,
    /// When the user consented.
    pub given: Timestamp,
}

/// The content of the ticket of a consent.
#[derive(Serialize, Deserialize)]
struct Content {
    scopes: Vec<String>,
    /// Those of `scopes` for which the user is not asked again.
    #[serde(default)]
    remembered: Vec<String>,
    /// The digest of what the client may read, and of where its answers go: the user is asked again when they change.
    reads: String,
    given: i64,
}

/// How long the answer of the user counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asking {
    /// The user is not asked again.
    Once,
    /// The user is asked each time: who gets the answer may differ.
    EachTime,
}

/// A consent in the trail.
#[derive(Serialize)]
struct Noted<'a> {
    client: &'a str,
    scopes: &'a [String],
}

impl Registry {
    /// Whether `user` lets `client`, as it is now, act with all of `scopes` without being asked again.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub fn has_consent(&mut self, user: &str, client: &Client, scopes: &[String], now: Timestamp) -> Result<bool> {
        let Some(ticket) = self.ticket(TicketKind::Consent, &name(user, &client.id), now)? else { return Ok(false) };
        let content: Option<Content> = serde_json::from_slice(&ticket.body).ok();
        let content = content.filter(|content| content.reads == reads(client));
        Ok(content.is_some_and(|content| scopes.iter().all(|scope| content.remembered.contains(scope))))
    }

    /// Records that the actor lets `client` act with `scopes`, in addition to earlier ones.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub fn give_consent(&mut self, actor: &Actor, client: &Client, scopes: &[String], asking: Asking) -> Result<()> {
        // An auditor's consent changes nothing but what the auditor's own applications may do.
        let actor = Actor { is_read_only: false, ..actor.clone() };
        self.changed(&actor, |change| change.give_consent(client, scopes, asking))
    }

    /// Returns the consents of the actor, by client.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub fn consents(&mut self, actor: &Actor) -> Result<Vec<Consent>> {
        let mut records = self.storage.read()?;
        let mut consents = Vec::new();
        for ticket in records.tickets(TicketFilter::User(TicketKind::Consent, &actor.user))? {
            let content = serde_json::from_slice::<Content>(&ticket.body).ok().filter(|_| actor.now < ticket.expires);
            let Some((content, id)) = content.zip(ticket.client) else { continue };
            let Some(client) = records.client(&id)? else { continue };
            let given = Timestamp::from_unix(content.given, 0);
            consents.push(Consent { client, scopes: content.scopes, given });
        }
        consents.sort_by(|a, b| a.client.id.cmp(&b.client.id));
        Ok(consents)
    }

    /// Ends the consent of the actor with the client `id`, and revokes everything that the client has for the actor.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub fn end_consent(&mut self, actor: &Actor, id: &str) -> Result<()> {
        let actor = Actor { is_read_only: false, ..actor.clone() };
        self.changed(&actor, |change| change.end_consent(id))
    }
}

impl Change<'_> {
    fn give_consent(&mut self, client: &Client, scopes: &[String], asking: Asking) -> Result<()> {
        let (user, now) = (self.actor.user.clone(), self.actor.now);
        let digest = name(&user, &client.id);
        let before = self.records.ticket(TicketKind::Consent, &digest)?.filter(|ticket| now < ticket.expires);
        let before: Option<Content> = before.and_then(|ticket| serde_json::from_slice(&ticket.body).ok());
        let reads = reads(client);
        // What the user allowed a client that could do less is not allowed now.
        let before = before.filter(|content| content.reads == reads);
        let (mut all, mut remembered) = before.map(|it| (it.scopes, it.remembered)).unwrap_or_default();
        all.extend(scopes.iter().cloned());
        if asking == Asking::Once {
            remembered.extend(scopes.iter().cloned());
        }
        let content = Content { scopes: unique(all), remembered: unique(remembered), reads, given: now.seconds() };
        let noted = Noted { client: &client.id, scopes: &content.scopes };
        self.note("give", &subject(&client.id, &user), None, Some(&noted))?;
        self.put_ticket(&Ticket {
            kind: TicketKind::Consent,
            digest,
            user,
            client: Some(client.id.clone()),
            family: None,
            token: None,
            expires: Timestamp::from_unix(now.seconds().saturating_add(REMEMBERED), 0),
            body: serde_json::to_vec(&content).unwrap_or_default(),
        })
    }

    fn end_consent(&mut self, id: &str) -> Result<()> {
        let user = self.actor.user.clone();
        let mut scopes = None;
        for ticket in self.records.tickets(TicketFilter::Client(id))? {
            if ticket.user != user {
                continue;
            }
            if ticket.kind == TicketKind::Consent {
                let content: Option<Content> = serde_json::from_slice(&ticket.body).ok();
                scopes = content.map(|content| content.scopes);
            }
            self.revoke("revoke", &ticket)?;
        }
        match scopes {
            Some(scopes) => {
                let noted = Noted { client: id, scopes: &scopes };
                self.note("end", &subject(id, &user), Some(&noted), None)
            }
            None => Ok(()),
        }
    }
}

fn subject<'a>(client: &'a str, user: &'a str) -> Subject<'a> {
    Subject { kind: "consent", id: client, owner: Some(user) }
}

/// Returns the name under which a consent is stored.
fn name(user: &str, client: &str) -> SecretDigest {
    SecretDigest::of(&format!("consent\n{client}\n{user}"))
}

/// Whether `user` lets `client`, as it is now, act with all of `scopes`: a consent that was ended, or that the client has
/// outgrown, lets it do nothing.
pub(super) fn allows(
    records: &mut dyn Records,
    user: &str,
    client: &Client,
    scopes: &[String],
    now: Timestamp,
) -> Result<bool> {
    let ticket = records.ticket(TicketKind::Consent, &name(user, &client.id))?.filter(|ticket| now < ticket.expires);
    let content: Option<Content> = ticket.and_then(|ticket| serde_json::from_slice(&ticket.body).ok());
    let content = content.filter(|content| content.reads == reads(client));
    Ok(content.is_some_and(|content| scopes.iter().all(|scope| content.scopes.contains(scope))))
}

/// Returns a text that differs when the APIs or grants of the client do, or the origins that get its answers.
fn reads(client: &Client) -> String {
    let (apis, grants, urls) = (&client.allowed_apis, &client.grants, &client.urls);
    let answered = urls.callbacks.iter().chain(&urls.web_origins);
    let origins: BTreeSet<String> = answered
        .map(|url| Url::parse(url).map_or_else(|_| url.clone(), |url| url.origin().ascii_serialization()))
        .collect();
    SecretDigest::of(&serde_json::to_string(&(apis, grants, origins)).unwrap_or_default()).to_hex()
}
