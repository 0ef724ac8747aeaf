//! A whole policy: connections, APIs, tokens.

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
    /// The place in [`Policy::connections`].
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// A named data warehouse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    pub(crate) name: Box<str>,
    pub(crate) dialect: Dialect,
    pub(crate) named_sources_only: bool,
}

impl Connection {
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
    // INVARIANT: names are distinct; each `ConnectionId` of `tokens` is a place in it.
    pub(crate) connections: Vec<Connection>,
    pub(crate) apis: Apis,
    pub(crate) tokens: Vec<Token>,
    pub(crate) limits: Limits,
}

impl Policy {
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
