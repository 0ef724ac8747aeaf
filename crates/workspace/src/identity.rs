//! Who calls, and with which rights.

use portcullis::base::Timestamp;
use portcullis::model::SecretDigest;
use portcullis_registry::record::{Role, TicketKind};
use portcullis_registry::{ADMIN, Actor, Credential, RegistryError, SignedIn};

use crate::problem::Problem;
use http::StatusCode;
use http::header::WWW_AUTHENTICATE;

/// A caller of the workspace: a user in the console, or an OAuth client in the name of a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The user whose rights the caller has at most.
    pub user: String,
    /// The role of the user.
    pub role: Role,
    /// How the user calls.
    pub via: Via,
    /// The person who has signed in at an OpenID provider; `None` for a login link or a client.
    pub person: Option<SignedIn>,
    /// The digest of the secret of the session or access token.
    pub digest: SecretDigest,
}

/// How a user calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Via {
    /// In the console: every right of the role.
    Session,
    /// By an access token: the rights of its scopes.
    Client {
        /// The id of the client.
        id: String,
        /// The id of the access token.
        access: String,
        /// The scopes.
        scopes: Vec<String>,
    },
}

impl Identity {
    /// Whether the caller has the scope.
    pub fn has(&self, scope: &str) -> bool {
        match &self.via {
            Via::Session => true,
            Via::Client { scopes, .. } => scopes.iter().any(|held| held == scope),
        }
    }

    /// Checks that the caller has the scope.
    ///
    /// # Errors
    ///
    /// If it does not.
    pub fn require(&self, scope: &str) -> Result<(), Problem> {
        if self.has(scope) {
            return Ok(());
        }
        let challenge = format!("Bearer realm=\"portcullis\", error=\"insufficient_scope\", scope=\"{scope}\"");
        let message = format!("the access token does not have the scope `{scope}`");
        let help = format!("request an access token with `scope={scope}`, which the client must be allowed to have");
        Err(Problem::new(StatusCode::FORBIDDEN, "insufficient_scope", message, help).with(WWW_AUTHENTICATE, &challenge))
    }

    /// Returns the actor for changes of the registry at `now`. Each change checks the credential of the caller again. Without the scope [`ADMIN`], a client sees only the records of
    /// its user.
    ///
    /// # Errors
    ///
    /// If the name of the user is invalid.
    pub fn actor(&self, now: Timestamp) -> Result<Actor, RegistryError> {
        let actor = Actor::new(&*self.user, now)?;
        let kind = match &self.via {
            Via::Session => TicketKind::Session,
            Via::Client { .. } => TicketKind::AccessToken,
        };
        let credential = Credential { kind, digest: self.digest, role: self.role };
        let actor = actor.with_role(self.role).with_credential(credential);
        let actor = match &self.via {
            Via::Session => actor.by(match &self.person {
                None => "console".to_owned(),
                Some(person) => format!("console, {person}"),
            }),
            Via::Client { id, access, scopes } => {
                actor.with_scopes(scopes).by(format!("client {id}, access token {access}"))
            }
        };
        Ok(if self.has(ADMIN) { actor } else { actor.for_own_records() })
    }

    /// Returns what the caller may do: the role of the user, and the scopes of an access token.
    pub(crate) fn rights(&self) -> (Role, Option<Vec<&str>>) {
        let scopes = match &self.via {
            Via::Session => None,
            Via::Client { scopes, .. } => Some(scopes),
        };
        let sorted = scopes.map(|scopes| {
            let mut scopes: Vec<&str> = scopes.iter().map(String::as_str).collect();
            scopes.sort_unstable();
            scopes
        });
        (self.role, sorted)
    }

    /// Returns the name under which requests of the caller are counted and remembered. Users of one application have names of
    /// their own: none uses up the rate of another, or gets an answer that is remembered for another.
    pub(crate) fn account(&self) -> String {
        match &self.via {
            Via::Session => format!("session {}", self.user),
            Via::Client { id, .. } => format!("client {id} {}", self.user),
        }
    }
}
