//! A whole policy: connections, APIs, tokens.

use std::collections::HashSet;

use super::{Apis, Token};
use crate::name::Dialect;

/// How large single texts may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// The most bytes of a query, as written (N4.4). 1 MiB unless set.
    pub query_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { query_bytes: crate::query::MAX_QUERY_BYTES }
    }
}

/// Which of a policy's connections: its place in [`Policy::connections`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub(crate) u32);

impl ConnectionId {
    /// The id of the connection at `index`.
    pub fn new(index: u32) -> Self {
        Self(index)
    }

    /// The index in [`Policy::connections`].
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// A named data warehouse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    name: Box<str>,
    dialect: Dialect,
    named_sources_only: bool,
}

impl Connection {
    /// A connection that writes identifiers as `dialect` does.
    pub fn new(name: impl Into<Box<str>>, dialect: Dialect, named_sources_only: bool) -> Self {
        Self { name: name.into(), dialect, named_sources_only }
    }

    /// The name that grants and requests write; compared byte for byte.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How it writes identifiers; `generic` where no document declares the connection.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Whether queries on it are denied whatever the grants (N8.7).
    pub fn named_sources_only(&self) -> bool {
        self.named_sources_only
    }
}

/// A valid policy: every id, secret and owner's name is unique (N11.4), every grant is of a known connection.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    // INVARIANT: what `Policy::new` checks.
    connections: Vec<Connection>,
    apis: Apis,
    tokens: Vec<Token>,
    limits: Limits,
}

/// Why parts are not a valid policy (N11.4).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// Two connections have one name.
    #[error("two connections are named `{0}`")]
    DuplicateConnection(Box<str>),
    /// Two tokens have one id.
    #[error("two tokens have the id `{0}`")]
    DuplicateId(Box<str>),
    /// Two tokens have one secret.
    #[error("token `{0}` has the secret of an earlier token")]
    DuplicateSecret(Box<str>),
    /// An owner has two tokens of one name.
    #[error("token `{0}` has the name of an earlier token of its owner")]
    DuplicateName(Box<str>),
    /// A token has a grant on a connection that the policy does not have.
    #[error("token `{0}` has a grant on an unknown connection")]
    UnknownConnection(Box<str>),
    /// A token lists an API that the policy does not have.
    #[error("token `{0}` lists an unknown API")]
    UnknownApi(Box<str>),
}

type Set<T> = HashSet<T, foldhash::fast::RandomState>;

impl Policy {
    /// Makes a policy of its parts. Linear in the number of tokens and grants.
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
            return Err(PolicyError::DuplicateConnection(twice.name.clone()));
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

    /// The connections: those that documents declare, then those that only grants name.
    pub fn connections(&self) -> &[Connection] {
        &self.connections
    }

    /// The connection of that id; `None` if the id is another policy's.
    pub fn connection(&self, id: ConnectionId) -> Option<&Connection> {
        self.connections.get(id.index())
    }

    /// The APIs.
    pub fn apis(&self) -> &Apis {
        &self.apis
    }

    /// The limits that its texts were read under, and requests are.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The same connections, APIs and limits, without any token: what tokens that join this policy are read against.
    #[must_use]
    pub fn without_tokens(&self) -> Self {
        Self {
            connections: self.connections.clone(),
            apis: self.apis.clone(),
            tokens: Vec::new(),
            limits: self.limits.clone(),
        }
    }

    /// The tokens, in the order of the documents.
    pub fn tokens(&self) -> &[Token] {
        &self.tokens
    }
}
