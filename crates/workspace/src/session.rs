//! Sessions of the console, and the links that start them.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue};
use portcullis::base::Timestamp;
use portcullis::model::SecretDigest;
use portcullis_registry::record::{Role, Ticket, TicketKind};
use portcullis_registry::{Actor, Advice, RegistryError, SignedIn};
use portcullis_secret::{Secret, SecretKind};
use serde::{Deserialize, Serialize};

use crate::cookies::cookie;
use crate::identity::{Identity, Via};
use crate::problem::Problem;
use crate::service::Workspace;
use crate::sign_in::BrowserUser;

/// How long a login link is valid, in seconds.
const LINK: i64 = 10 * 60;

/// How long a session lasts without a request, in seconds.
const IDLE: i64 = 4 * 3600;

/// How long a session lasts at most, in seconds. Then the user signs in again.
const SESSION: i64 = 12 * 3600;

/// The content of the ticket of a session.
#[derive(Serialize, Deserialize)]
struct Content {
    /// When the session started, in seconds since 1970.
    started: i64,
    /// The person who has signed in at an OpenID provider.
    person: Option<SignedIn>,
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

    /// Ends the validity of a login link, and starts a session: returns its secret. `None` if the link is not valid.
    pub(crate) async fn start_session(&self, link: &str) -> Result<Option<Secret>, Problem> {
        let link = SecretDigest::of(link);
        let secret = Secret::mint(SecretKind::Access).map_err(RegistryError::from)?;
        let digest = secret.digest();
        let started = self.write(move |registry| {
            let now = Self::now();
            let Some(link) = registry.take_ticket(TicketKind::LoginLink, &link, now)? else { return Ok(false) };
            registry.put_ticket(&session(digest, link.user, now, None))?;
            Ok(true)
        });
        Ok(started.await?.then_some(secret))
    }

    /// Starts a session of a user who has signed in at an OpenID provider: returns its secret.
    pub(crate) async fn start_session_of(&self, user: &str, person: SignedIn) -> Result<Secret, Problem> {
        let secret = Secret::mint(SecretKind::Access).map_err(RegistryError::from)?;
        let (digest, user) = (secret.digest(), user.to_owned());
        self.write(move |registry| registry.put_ticket(&session(digest, user, Self::now(), Some(person)))).await?;
        Ok(secret)
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
            let identity = Identity { user: ticket.user, role, via: Via::Session, person: content.person };
            Ok(Some((identity, content.started, ticket.expires)))
        });
        let Some((identity, started, expires)) = found.await? else { return Ok(None) };
        let now = Self::now().seconds();
        let renewed = now.saturating_add(IDLE).min(started.saturating_add(SESSION));
        // A session in use is renewed, but not at each request.
        if expires.seconds().saturating_sub(now) < IDLE / 2 && renewed > expires.seconds() {
            let renewed = Timestamp::from_unix(renewed, 0);
            self.write(move |registry| registry.extend_ticket(TicketKind::Session, &digest, renewed)).await?;
        }
        Ok(Some(BrowserUser::new(identity, Timestamp::from_unix(started, 0), secret)))
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

fn session(digest: SecretDigest, user: String, now: Timestamp, person: Option<SignedIn>) -> Ticket {
    let body = serde_json::to_vec(&Content { started: now.seconds(), person }).unwrap_or_default();
    Ticket { body, ..ticket(TicketKind::Session, digest, user, now, IDLE) }
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
