//! Lists what granted queries call: functions, procedures and statements that may read more than the named tables.

use std::collections::BTreeMap;

use super::Followed;
use portcullis::model::{ConnectionId, Grant, GrantSource};

/// A call of granted queries and named sources that may read more than the tables that they name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call<'f> {
    /// The connection of the queries.
    pub connection: ConnectionId,
    /// The call, such as `query_to_xml()` or `EXECUTE IMMEDIATE`.
    pub text: &'f str,
    /// The number of distinct queries and named sources with this call.
    pub queries: u64,
}

impl Followed<'_> {
    /// Returns the distinct calls of the queries for which `is_included` is true, by connection and text.
    pub fn calls(&self, mut is_included: impl FnMut(ConnectionId, &GrantSource) -> bool) -> Vec<Call<'_>> {
        let mut calls: BTreeMap<(usize, &str), Call<'_>> = BTreeMap::new();
        for (connection, source, reads) in self.all() {
            if reads.beyond.is_empty() || !is_included(connection, source) {
                continue;
            }
            for text in &reads.beyond {
                let call = Call { connection, text, queries: 0 };
                calls.entry((connection.index(), text)).or_insert(call).queries += 1;
            }
        }
        calls.into_values().collect()
    }

    /// Returns the calls of one grant; none if it is not a query or named source with known reads.
    pub fn calls_of(&self, grant: &Grant) -> &[String] {
        self.reads(grant.connection(), grant.source()).map(|reads| reads.beyond.as_slice()).unwrap_or_default()
    }
}
