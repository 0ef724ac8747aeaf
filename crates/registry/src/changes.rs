//! What has changed since somebody looked last: a change of a few tokens need not read all of them.

use super::Registry;
use super::definition::{Draft, write};
use super::error::Result;
use super::storage::Which;

/// Tokens that were changed since somebody looked last, as they are now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changes {
    /// The number of the trail's last entry: what to ask with the next time.
    pub last: u64,
    /// The ids of those that are gone, or were never seen.
    pub gone: Vec<String>,
    /// The others: of each, a policy document of that token alone, without connections and APIs.
    pub tokens: Vec<String>,
}

impl Registry {
    /// The number of the trail's last entry; 0 before the first. Cheap.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub fn last_change(&mut self) -> Result<u64> {
        self.storage.read()?.last_entry()
    }

    /// The tokens that entries of the trail behind number `last` tell of; `None` if they tell of more than `most` changes,
    /// or of something else that decisions depend on. Linear in what is returned, whatever the number of other tokens.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub fn changes_since(&mut self, last: u64, most: usize) -> Result<Option<Changes>> {
        let mut records = self.storage.read()?;
        let entries = records.entries_behind(last, most + 1)?;
        let is_of_tokens = |kind: &str| !matches!(kind, "connection" | "api");
        if entries.len() > most || !entries.iter().all(|(_, kind, _)| is_of_tokens(kind)) {
            return Ok(None);
        }
        let mut changes = Changes { last, gone: Vec::new(), tokens: Vec::new() };
        let mut seen = std::collections::BTreeSet::new();
        for (number, kind, id) in entries {
            changes.last = number;
            if kind != "token" || !seen.insert(id.clone()) {
                continue;
            }
            match records.tokens(Which::Id(&id))?.first() {
                None => changes.gone.push(id),
                Some(token) => changes.tokens.push(write(&[], &[], &[Draft::from(token)])?),
            }
        }
        Ok(Some(changes))
    }
}
