//! Sessions of the console, and the links that start them.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue};
use portcullis::base::Timestamp;
use portcullis::model::SecretDigest;
use portcullis_oidc::Browser;
use portcullis_registry::record::{Role, Ticket, TicketKind};
use portcullis_registry::{Actor, Advice, RegistryError, SignedIn};
use portcullis_secret::{Secret, SecretKind};
use serde::{Deserialize, Serialize};

use crate::cookies::cookie;
use crate::identity::{Identity, Via};
use crate::problem::Problem;
use crate::service::Workspace;
use crate::sign_in::own_page::authorization;
use crate::sign_in::{BrowserUser, sign_in_for};

/// How long a login link is valid, in seconds.
const LINK: i64 = 10 * 60;

/// How long a session lasts without a request, in seconds.
const IDLE: i64 = 4 * 3600;

/// How long a session lasts at most, in seconds. Then the user signs in again. After a sign-in at a provider, it is shorter:
/// see [`SignInOptions::session_lifetime`](crate::SignInOptions::session_lifetime).
const SESSION: i64 = 12 * 3600;

/// The content of the ticket of a session.
#[derive(Serialize, Deserialize)]
struct Content {
    /// When the session started, in seconds since 1970.
    started: i64,
    /// The person who has signed in at an OpenID provider.
    person: Option<SignedIn>,
    /// The authorization that the user signed in for, if any.
    #[serde(default)]
    signed_in_for: Option<String>,
}

impl Workspace {
    /// Returns a link that signs `user` in once. While there is no administrator, the user becomes one: anybody who can open the
    /// registry can change all of it.
    ///
    /// # Errors
    ///
    /// If the name is invalid, or the database fails.
    pub async fn login_link(self: &Arc<Self>, user: &str) -> Result<String, Problem> {
        let secret = Secret::mint(SecretKind::Access).map_err(RegistryError::from)?;
        let digest = secret.digest();
        let user = user.to_owned();
        self.write(move |registry| {
            let now = Self::now();
            let actor = Actor::new(&*user, now)?.by("workspace");
            if !registry.users()?.iter().any(|user| user.role == Role::Administrator) {
                registry.set_role(&actor, &user, Role::Administrator)?;
            }
            if registry.user(&user)?.is_some_and(|user| user.is_disabled) {
                let message = format!("the user {} is disabled", portcullis::base::quoted(&user));
                return Err(RegistryError::Refused(Advice::new(message, "give another name with `--user NAME`")));
            }
            registry.put_ticket(&ticket(TicketKind::LoginLink, digest, user, now, LINK))
        })
        .await?;
        Ok(format!("{}/login?link={}", self.url(), secret.expose()))
    }

    /// Returns the user whom a login link signs in, if it is valid.
    pub(crate) async fn user_of_link(&self, link: &str) -> Result<Option<String>, Problem> {
        // A text that is not a secret needs no look into the registry.
        let Some(link) = Secret::read(link) else { return Ok(None) };
        let found = self.look(move |registry| registry.ticket(TicketKind::LoginLink, &link.digest(), Self::now()));
        Ok(found.await?.map(|ticket| ticket.user))
    }

    /// Ends the validity of a login link, and starts a session, which comes back to `page`: returns its secret. `None` if the
    /// link is not valid. The session of the request's cookie ends.
    pub(crate) async fn start_session(
        &self,
        link: &str,
        headers: &HeaderMap,
        page: &str,
    ) -> Result<Option<Secret>, Problem> {
        let link = SecretDigest::of(link);
        let secret = Secret::mint(SecretKind::Access).map_err(RegistryError::from)?;
        let (digest, signed_in_for) = (secret.digest(), authorization(page).map(sign_in_for));
        let replaced = self.replaced(headers);
        let started = self.write(move |registry| {
            let now = Self::now();
            let Some(link) = registry.take_ticket(TicketKind::LoginLink, &link, now)? else { return Ok(false) };
            let content = Content { started: now.seconds(), person: None, signed_in_for };
            registry.put_ticket(&session(digest, link.user, now, IDLE, &content))?;
            for replaced in &replaced {
                registry.take_ticket(TicketKind::Session, replaced, now)?;
            }
            Ok(true)
        });
        Ok(started.await?.then_some(secret))
    }

    /// Starts a session of a user who has signed in at an OpenID provider, which comes back to `page`: returns its secret. The
    /// session of the browser ends.
    pub(crate) async fn start_session_of(
        &self,
        user: &str,
        person: SignedIn,
        headers: &HeaderMap,
        page: &str,
    ) -> Result<Secret, Problem> {
        let secret = Secret::mint(SecretKind::Access).map_err(RegistryError::from)?;
        let (digest, user, now) = (secret.digest(), user.to_owned(), Self::now());
        let signed_in_for = authorization(page).map(sign_in_for);
        let content = Content { started: now.seconds(), person: Some(person), signed_in_for };
        let idle = IDLE.min(self.lifetime_of(&content));
        let replaced = self.replaced(headers);
        let started = self.write(move |registry| {
            registry.put_ticket(&session(digest, user, now, idle, &content))?;
            for replaced in &replaced {
                registry.take_ticket(TicketKind::Session, replaced, now)?;
            }
            Ok(())
        });
        started.await?;
        Ok(secret)
    }

    /// Returns the digests of the sessions that a sign-in of this browser replaces.
    fn replaced(&self, headers: &HeaderMap) -> Vec<SecretDigest> {
        let current = self.cookie(headers).map(|secret| SecretDigest::of(&secret));
        let before = cookie(headers, self.replaced_name()).and_then(|digest| SecretDigest::from_hex(&digest).ok());
        current.into_iter().chain(before).collect()
    }

    /// Returns the value of the cookie that remembers the session of the browser while it is at the provider: a browser that
    /// comes back from another site does not send the cookie of the session. A digest opens no session. Without a session,
    /// removes the cookie.
    pub(crate) fn set_replaced(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        let digest = self.cookie(headers).map(|secret| SecretDigest::of(&secret).to_hex());
        let (value, age) = digest.map_or((String::new(), 0), |digest| (digest, Browser::LIFETIME));
        let (name, secure) = (self.replaced_name(), if self.is_https() { "; Secure" } else { "" });
        let cookie = format!("{name}={value}; Path=/; Max-Age={age}; HttpOnly; SameSite=Lax{secure}");
        let mut value = HeaderValue::from_str(&cookie).ok()?;
        value.set_sensitive(true);
        Some(value)
    }

    fn replaced_name(&self) -> &'static str {
        if self.is_https() { "__Host-portcullis-replaced" } else { "portcullis-replaced" }
    }

    /// Returns how long a session lasts at most, in seconds.
    fn lifetime_of(&self, content: &Content) -> i64 {
        if content.person.is_some() { self.sign_in().session_lifetime().min(SESSION) } else { SESSION }
    }

    /// Returns who has the session of the request's cookie, if it is valid.
    pub(crate) async fn session(&self, headers: &HeaderMap) -> Result<Option<Identity>, Problem> {
        Ok(self.signed_in(headers).await?.map(|user| user.identity))
    }

    /// Returns who has the session of the request's cookie, and since when, if it is valid.
    pub(crate) async fn signed_in(&self, headers: &HeaderMap) -> Result<Option<BrowserUser>, Problem> {
        let Some(secret) = self.cookie(headers) else { return Ok(None) };
        let digest = SecretDigest::of(&secret);
        let found = self.look(move |registry| {
            let Some(ticket) = registry.ticket(TicketKind::Session, &digest, Self::now())? else { return Ok(None) };
            let Ok(content) = serde_json::from_slice::<Content>(&ticket.body) else { return Ok(None) };
            let user = registry.user(&ticket.user)?;
            if user.as_ref().is_some_and(|user| user.is_disabled) {
                return Ok(None);
            }
            let role = user.map(|user| user.role).unwrap_or_default();
            let (via, person) = (Via::Session, content.person.clone());
            let identity = Identity { user: ticket.user, role, via, person, digest };
            Ok(Some((identity, content, ticket.expires)))
        });
        let Some((identity, content, expires)) = found.await? else { return Ok(None) };
        let (now, started, lifetime) = (Self::now().seconds(), content.started, self.lifetime_of(&content));
        let end = started.saturating_add(lifetime);
        if now >= end {
            return Ok(None);
        }
        let renewed = now.saturating_add(IDLE).min(end);
        // A session in use is renewed, but not at each request.
        if expires.seconds().saturating_sub(now) < IDLE / 2 && renewed > expires.seconds() {
            let renewed = Timestamp::from_unix(renewed, 0);
            self.write(move |registry| registry.extend_ticket(TicketKind::Session, &digest, renewed)).await?;
        }
        Ok(Some(BrowserUser {
            // Before the end, so that no form is lost: the provider is asked between two pages.
            is_due: content.person.is_some() && now.saturating_sub(started) >= lifetime / 2,
            since: Timestamp::from_unix(started, 0),
            signed_in_for: content.signed_in_for,
            identity,
            secret,
        }))
    }

    /// Ends the session of the request's cookie.
    pub(crate) async fn end_session(&self, headers: &HeaderMap) -> Result<(), Problem> {
        let Some(secret) = self.cookie(headers) else { return Ok(()) };
        let digest = SecretDigest::of(&secret);
        self.write(move |registry| registry.take_ticket(TicketKind::Session, &digest, Self::now()).map(drop)).await
    }

    /// Returns the value of the cookie that gives the browser a session, or ends it.
    pub(crate) fn set_cookie(&self, secret: Option<&Secret>) -> Option<HeaderValue> {
        let (value, age) = secret.map_or(("", 0), |secret| (secret.expose(), SESSION));
        let secure = if self.is_https() { "; Secure" } else { "" };
        let cookie =
            format!("{}={value}; Path=/; Max-Age={age}; HttpOnly; SameSite=Strict{secure}", self.cookie_name());
        let mut value = HeaderValue::from_str(&cookie).ok()?;
        value.set_sensitive(true);
        Some(value)
    }

    /// Browsers accept the prefix `__Host-` only over TLS, and then only from this very host.
    fn cookie_name(&self) -> &'static str {
        if self.is_https() { "__Host-portcullis" } else { "portcullis" }
    }

    fn cookie(&self, headers: &HeaderMap) -> Option<String> {
        cookie(headers, self.cookie_name())
    }
}

fn session(digest: SecretDigest, user: String, now: Timestamp, idle: i64, content: &Content) -> Ticket {
    let body = serde_json::to_vec(content).unwrap_or_default();
    Ticket { body, ..ticket(TicketKind::Session, digest, user, now, idle) }
}

fn ticket(kind: TicketKind, digest: SecretDigest, user: String, now: Timestamp, lifetime: i64) -> Ticket {
    Ticket {
        kind,
        digest,
        user,
        client: None,
        family: None,
        token: None,
        expires: Timestamp::from_unix(now.seconds().saturating_add(lifetime), 0),
        body: Vec::new(),
    }
}
