//! Finds connections by name.

use std::hash::BuildHasher;

use crate::base::is_same;
use crate::model::Connection;
use crate::pattern::KeyHasher;

/// A hash table from the names of connections to their indexes. Each process uses a different hash function.
#[derive(Debug, Default)]
pub(super) struct ConnectionTable {
    // INVARIANT: the length is a power of two, or zero, and at least three quarters of the slots are empty.
    slots: Vec<Slot>,
    seed: u64,
}

/// A slot of the table.
#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    /// An index plus one; zero if empty.
    number: u32,
    /// The hash of the name. A lookup compares names only if their hashes are equal.
    hash: u32,
}

impl ConnectionTable {
    /// Creates a table of `connections`. If several have the same name, the first is found.
    pub(super) fn new(connections: &[Connection]) -> Self {
        let seed = foldhash::fast::RandomState::default().hash_one(0);
        let size = if connections.is_empty() { 0 } else { (4 * connections.len()).next_power_of_two() };
        let mut table = Self { slots: vec![Slot::default(); size], seed };
        for (connection, number) in connections.iter().zip(1..) {
            let hash = table.hash(connection.name());
            let (mut at, mask) = (hash as usize, size - 1);
            while table.slots.get(at & mask).is_some_and(|slot| slot.number != 0) {
                at += 1;
            }
            if let Some(slot) = table.slots.get_mut(at & mask) {
                *slot = Slot { number, hash };
            }
        }
        table
    }

    #[inline]
    fn hash(&self, name: &str) -> u32 {
        let mut hasher = KeyHasher::seeded(self.seed);
        hasher.write(name.as_bytes());
        hasher.key()
    }

    /// Returns the connection with this name and its index. `connections` must be those that the table was created
    /// from.
    #[inline]
    pub(super) fn find<'c>(&self, connections: &'c [Connection], name: &str) -> Option<(u32, &'c Connection)> {
        let mask = self.slots.len().checked_sub(1)?;
        let hash = self.hash(name);
        let mut at = hash as usize;
        loop {
            let slot = self.slots.get(at & mask)?;
            let index = slot.number.checked_sub(1)?;
            if slot.hash == hash
                && let Some(connection) = connections.get(index as usize)
                && is_same(connection.name().as_bytes(), name.as_bytes())
            {
                return Some((index, connection));
            }
            at += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::Dialect;

    #[test]
    fn connections_are_found_only_by_their_exact_name() {
        for count in [0, 1, 2, 7, 8, 100] {
            let connection = |at| Connection::new(format!("connection_{at}"), Dialect::Generic, false);
            let connections: Vec<Connection> = (0..count).map(connection).collect();
            let table = ConnectionTable::new(&connections);
            for (connection, at) in connections.iter().zip(0..) {
                assert_eq!(table.find(&connections, connection.name()), Some((at, connection)));
            }
            for name in ["", "connection_", "connection_100", "Connection_1"] {
                assert_eq!(table.find(&connections, name), None, "{name} of {count}");
            }
        }
    }
}
