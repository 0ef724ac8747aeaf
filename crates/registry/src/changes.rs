//! Tokens that changed since a given trail entry: readers of a few changes need not read every token.

use super::Registry;
use super::definition::{Draft, write};
use super::error::Result;
use super::record::LastChange;
use super::storage::TokenFilter;

/// Tokens that changed since a given trail entry, in their current form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changes {
    /// The last trail entry read: the start of the next call.
    pub last: LastChange,
    /// The ids of deleted tokens. A token that was created and deleted since is listed, too.
    pub gone: Vec<String>,
    /// Every other changed token, each as a policy document of its own, without connections and APIs.
    pub tokens: Vec<String>,
}

impl Registry {
    /// Returns the last trail entry. Cheap.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub fn last_change(&mut self) -> Result<LastChange> {
        self.storage.read()?.last_change()
    }

    /// Returns the tokens that changed after trail entry `last`. `None` means more than `max` entries, a change of a connection
    /// or API, or a trail without the entry `last`. Cost is linear in the returned changes, whatever the number of unchanged
    /// tokens.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub fn changes_since(&mut self, last: &LastChange, max: usize) -> Result<Option<Changes>> {
        let mut records = self.storage.read()?;
        let mut entries = records.entries_from(last.number, max.saturating_add(2))?;
        if last.number > 0 {
            if entries.first() != Some(last) {
                return Ok(None);
            }
            entries.remove(0);
        }
        let is_of_tokens = |kind: &str| !matches!(kind, "connection" | "api");
        if entries.len() > max || !entries.iter().all(|entry| is_of_tokens(&entry.kind)) {
            return Ok(None);
        }
        let mut changes = Changes { last: last.clone(), gone: Vec::new(), tokens: Vec::new() };
        let mut read = std::collections::BTreeSet::new();
        for entry in entries {
            if entry.kind == "token" && read.insert(entry.id.clone()) {
                match records.tokens(TokenFilter::Id(&entry.id))?.first() {
                    None => changes.gone.push(entry.id.clone()),
                    Some(token) => changes.tokens.push(write(&[], &[], &[Draft::from(token)])?),
                }
            }
            changes.last = entry;
        }
        Ok(Some(changes))
    }
}
