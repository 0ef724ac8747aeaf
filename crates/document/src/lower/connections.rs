//! The connections of a policy while it is built, by name.

use super::Map;
use portcullis::base::is_unsafe;
use portcullis::model::{Connection, ConnectionId};
use portcullis::name::Dialect;

/// Connections with their dialects, unless a declaration is malformed.
#[derive(Debug, Default)]
pub(super) struct Connections {
    list: Vec<Connection>,
    /// The number of declared connections, which are the first ones.
    declared: usize,
    dialects: Vec<Option<Dialect>>,
    by_name: Map<Box<str>, ConnectionId>,
}

impl Connections {
    /// Takes the connections of a policy.
    pub(super) fn of(known: &[Connection]) -> Self {
        let mut connections = Self::default();
        for connection in known {
            connections.add(connection.clone(), Some(connection.dialect()));
        }
        connections
    }

    /// Adds a connection whose name is new.
    pub(super) fn add(&mut self, connection: Connection, dialect: Option<Dialect>) -> ConnectionId {
        let id = ConnectionId::new(u32::try_from(self.list.len()).unwrap_or(u32::MAX));
        self.by_name.insert(connection.name().into(), id);
        self.list.push(connection);
        self.dialects.push(dialect);
        id
    }

    pub(super) fn find(&self, name: &str) -> Option<ConnectionId> {
        self.by_name.get(name).copied()
    }

    pub(super) fn get(&self, id: ConnectionId) -> Option<&Connection> {
        self.list.get(id.index())
    }

    /// Returns the dialect, if it is certain.
    pub(super) fn dialect(&self, id: ConnectionId) -> Option<Dialect> {
        self.dialects.get(id.index()).copied().flatten()
    }

    /// Records that all declarations were added: further connections are only named by grants.
    pub(super) fn end_declarations(&mut self) {
        self.declared = self.list.len();
    }

    pub(super) fn declared(&self) -> &[Connection] {
        self.list.get(..self.declared).unwrap_or_default()
    }

    /// Returns the name of a connection for an example: a declared one, if a message shows it as it is.
    pub(super) fn example(&self) -> &str {
        let is_plain =
            |name: &&str| name.len() <= 40 && !name.chars().any(|found| is_unsafe(found) || "\\\"`".contains(found));
        self.declared().iter().map(Connection::name).find(is_plain).unwrap_or("dw")
    }

    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    /// Keeps the first `count`.
    pub(super) fn truncate(&mut self, count: usize) {
        for connection in self.list.drain(count.min(self.list.len())..) {
            self.by_name.remove(connection.name());
        }
        self.dialects.truncate(count);
    }

    pub(super) fn finish(self) -> Vec<Connection> {
        self.list
    }
}
