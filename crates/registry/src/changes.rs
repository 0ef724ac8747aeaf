//! Tokens that changed since a given trail entry: readers of a few changes need not read every token.

use super::Registry;
use super::definition::{Draft, write};
use super::error::Result;
use super::storage::TokenFilter;

/// Tokens that changed since a given trail entry, in their current form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changes {
    /// The number of the last trail entry read: the start of the next call.
    pub last: u64,
    /// The ids of deleted tokens. A token that was created and deleted since is listed, too.
    pub gone: Vec<String>,
    /// Every other changed token, each as a policy document of its own, without connections and APIs.
    pub tokens: Vec<String>,
}

impl Registry {
    /// Returns the number of the last trail entry; 0 before the first. Cheap.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub fn last_change(&mut self) -> Result<u64> {
        self.storage.read()?.last_entry()
    }

    /// Returns the tokens that changed after trail entry `last`. `None` means more than `max` entries, or a change of a
    /// connection or API. Cost is linear in the returned changes, whatever the number of unchanged tokens.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub fn changes_since(&mut self, last: u64, max: usize) -> Result<Option<Changes>> {
        let mut records = self.storage.read()?;
        let entries = records.entries_after(last, max + 1)?;
        let is_of_tokens = |kind: &str| !matches!(kind, "connection" | "api");
        if entries.len() > max || !entries.iter().all(|(_, kind, _)| is_of_tokens(kind)) {
            return Ok(None);
        }
        let mut changes = Changes { last, gone: Vec::new(), tokens: Vec::new() };
        let mut read = std::collections::BTreeSet::new();
        for (number, kind, id) in entries {
            changes.last = number;
            if kind != "token" || !read.insert(id.clone()) {
                continue;
            }
            match records.tokens(TokenFilter::Id(&id))?.first() {
                None => changes.gone.push(id),
                Some(token) => changes.tokens.push(write(&[], &[], &[Draft::from(token)])?),
            }
        }
        Ok(Some(changes))
    }
}
