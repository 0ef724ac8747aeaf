//! Connections: data warehouses with a name.

use crate::name::Dialect;

/// The id of a connection: its index in [`Policy::connections`](super::Policy::connections).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub(crate) u32);

impl ConnectionId {
    /// Creates the id of the connection at `index`.
    pub fn new(index: u32) -> Self {
        Self(index)
    }

    /// Returns the index in [`Policy::connections`](super::Policy::connections).
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// A connection: a data warehouse with a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    name: Box<str>,
    dialect: Dialect,
    named_sources_only: bool,
}

impl Connection {
    /// Creates a connection whose identifiers follow `dialect`.
    pub fn new(name: impl Into<Box<str>>, dialect: Dialect, named_sources_only: bool) -> Self {
        Self { name: name.into(), dialect, named_sources_only }
    }

    /// Returns the name that grants and requests use. Names are compared byte for byte.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the dialect of identifiers; `generic` if no document declares the connection.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Returns whether queries on this connection are denied, even if they are granted (N8.7).
    pub fn named_sources_only(&self) -> bool {
        self.named_sources_only
    }
}
