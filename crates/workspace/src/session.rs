//! Sessions of the console, and the links that start them.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue};
use portcullis::base::Timestamp;
use portcullis::model::SecretDigest;
use portcullis_registry::record::{Role, Ticket, TicketKind};
use portcullis_registry::{Actor, RegistryError};
use portcullis_secret::{Secret, SecretKind};

use crate::cookies::cookie;
use crate::identity::{Identity, Via};
use crate::problem::Problem;
use crate::service::Workspace;
use crate::sign_in::SignedIn;

/// How long a login link is valid, in seconds.
const LINK: i64 = 10 * 60;

/// How long a session lasts, in seconds.
const SESSION: i64 = 12 * 3600;

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
            registry.put_ticket(&ticket(TicketKind::Session, digest, link.user, now, SESSION))?;
            Ok(true)
        });
        Ok(started.await?.then_some(secret))
    }

    /// Returns who has the session of the request's cookie, if it is valid.
    pub(crate) async fn session(&self, headers: &HeaderMap) -> Result<Option<Identity>, Problem> {
        Ok(self.signed_in(headers).await?.map(|user| user.identity))
    }

    /// Returns who has the session of the request's cookie, and since when, if it is valid.
    pub(crate) async fn signed_in(&self, headers: &HeaderMap) -> Result<Option<SignedIn>, Problem> {
        let Some(secret) = self.cookie(headers) else { return Ok(None) };
        let digest = SecretDigest::of(&secret);
        self.look(move |registry| {
            let Some(ticket) = registry.ticket(TicketKind::Session, &digest, Self::now())? else { return Ok(None) };
            let role = registry.role(&ticket.user)?;
            let since = Timestamp::from_unix(ticket.expires.seconds().saturating_sub(SESSION), 0);
            Ok(Some(SignedIn::new(Identity { user: ticket.user, role, via: Via::Session }, since, secret)))
        })
        .await
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
