//! The policy of a few tokens, to show what they allow before they are stored.

use super::Registry;
use super::definition::{Draft, write};
use super::error::Result;
use super::record::Token;

impl Registry {
    /// Returns a policy document with everything that the registry declares, and with `tokens` alone. They need not be stored.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub fn document_of(&mut self, tokens: &[Token]) -> Result<String> {
        let mut records = self.storage.read()?;
        let drafts: Vec<_> = tokens.iter().map(Draft::from).collect();
        write(&records.connections()?, &records.apis()?, &drafts)
    }
}
