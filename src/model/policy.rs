//! A policy: connections, APIs and tokens.

use std::collections::HashSet;

use super::connection::Connection;
use super::{Apis, ConnectionId, Limits, Token};
use crate::base::quoted;

/// A valid policy. Every id, secret, and name per owner is unique (N11.4), and every grant is on a known connection.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    // INVARIANT: the rules that `Policy::new` checks.
    connections: Vec<Connection>,
    apis: Apis,
    tokens: Vec<Token>,
    limits: Limits,
}

/// The error for parts that do not make a valid policy (N11.4).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// Two connections have the same name.
    #[error("two connections are named {}", quoted(.0))]
    DuplicateConnection(Box<str>),
    /// Two tokens have the same id.
    #[error("two tokens have the id {}", quoted(.0))]
    DuplicateId(Box<str>),
    /// Two tokens have the same secret.
    #[error("token {} has the secret of an earlier token", quoted(.0))]
    DuplicateSecret(Box<str>),
    /// An owner has two tokens with the same name.
    #[error("token {} has the name of an earlier token of its owner", quoted(.0))]
    DuplicateName(Box<str>),
    /// A token has a grant on a connection that the policy does not have.
    #[error("token {} has a grant on an unknown connection", quoted(.0))]
    UnknownConnection(Box<str>),
    /// A token lists an API that the policy does not have.
    #[error("token {} lists an unknown API", quoted(.0))]
    UnknownApi(Box<str>),
}

type Set<T> = HashSet<T, foldhash::fast::RandomState>;

impl Policy {
    /// Creates a policy from its parts. Linear in the number of tokens and grants.
    ///
    /// # Errors
    ///
    /// See [`PolicyError`].
    pub fn new(
        connections: Vec<Connection>,
        apis: Apis,
        tokens: Vec<Token>,
        limits: Limits,
    ) -> Result<Self, PolicyError> {
        let mut names = Set::default();
        if let Some(twice) = connections.iter().find(|connection| !names.insert(connection.name())) {
            return Err(PolicyError::DuplicateConnection(twice.name().into()));
        }
        let set = || HashSet::with_capacity_and_hasher(tokens.len(), foldhash::fast::RandomState::default());
        let (mut ids, mut digests, mut owned) = (set(), set(), Set::default());
        for token in &tokens {
            let id = || Box::from(token.id());
            if !ids.insert(token.id().as_bytes()) {
                return Err(PolicyError::DuplicateId(id()));
            }
            if !digests.insert(token.digest().as_bytes().as_slice()) {
                return Err(PolicyError::DuplicateSecret(id()));
            }
            if token.name().is_some_and(|name| !owned.insert((token.owner(), name))) {
                return Err(PolicyError::DuplicateName(id()));
            }
            if token.grants().iter().any(|grant| grant.connection().index() >= connections.len()) {
                return Err(PolicyError::UnknownConnection(id()));
            }
            if token.apis().iter().any(|api| apis.get(api).is_none()) {
                return Err(PolicyError::UnknownApi(id()));
            }
        }
        Ok(Self { connections, apis, tokens, limits })
    }

    /// Returns the connections: first those that documents declare, then those that only grants name.
    pub fn connections(&self) -> &[Connection] {
        &self.connections
    }

    /// Returns the connection with this id; `None` if the id belongs to another policy.
    pub fn connection(&self, id: ConnectionId) -> Option<&Connection> {
        self.connections.get(id.index())
    }

    /// Returns the APIs.
    pub fn apis(&self) -> &Apis {
        &self.apis
    }

    /// Returns the limits that apply to the texts of the policy and of requests.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Returns a policy with the same connections, APIs and limits, but without tokens. New tokens for this policy are
    /// read against it.
    #[must_use]
    pub fn without_tokens(&self) -> Self {
        Self {
            connections: self.connections.clone(),
            apis: self.apis.clone(),
            tokens: Vec::new(),
            limits: self.limits.clone(),
        }
    }

    /// Returns the tokens, in the order of the documents.
    pub fn tokens(&self) -> &[Token] {
        &self.tokens
    }
}
