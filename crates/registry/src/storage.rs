//! What a database has to do for the registry: keep records, in transactions. No rule of the registry lives behind this.

use super::error::Result;
use super::record::{Api, Client, ClientKind, Connection, NamedSource, Token, TrailEntry, Usage};
use portcullis::model::SecretDigest;

/// A database that is open. Used by one thread at a time; several processes may have the same one open.
pub(super) trait Storage: Send {
    /// Begins to read: what is read is one revision.
    fn read(&mut self) -> Result<Box<dyn Records + '_>>;

    /// Begins to write: waits until nobody else does, and keeps others waiting. Dropped without
    /// [`commit`](Records::commit), nothing happened.
    fn write(&mut self) -> Result<Box<dyn Records + '_>>;

    /// A number that is another one when another connection has committed something, usage included; cheap.
    fn data_version(&mut self) -> Result<u64>;

    /// Checks that the files that are open are still those that its path names.
    fn check_files(&self) -> Result<()>;
}

/// Which tokens.
#[derive(Debug, Clone, Copy)]
pub(super) enum Which<'a> {
    All,
    Owner(&'a str),
    Id(&'a str),
    Name { owner: Option<&'a str>, name: &'a str },
    Digest(&'a SecretDigest),
    Connection(&'a str),
    NamedSource(&'a str),
}

/// One transaction. Lists come in the order of their names or ids.
pub(super) trait Records {
    fn revision(&mut self) -> Result<u64>;
    /// Adds one to the revision, and returns it.
    fn next_revision(&mut self) -> Result<u64>;

    fn connections(&mut self) -> Result<Vec<Connection>>;
    /// Adds it, or replaces the one of that name.
    fn put_connection(&mut self, connection: &Connection) -> Result<()>;
    fn remove_connection(&mut self, name: &str) -> Result<()>;

    fn named_sources(&mut self) -> Result<Vec<NamedSource>>;
    fn put_named_source(&mut self, source: &NamedSource) -> Result<()>;
    fn remove_named_source(&mut self, name: &str) -> Result<()>;

    fn apis(&mut self) -> Result<Vec<Api>>;
    fn put_api(&mut self, api: &Api) -> Result<()>;

    fn tokens(&mut self, which: Which<'_>) -> Result<Vec<Token>>;
    /// Adds it, or replaces the one of that id with all of its grants; its usage stays.
    fn put_token(&mut self, token: &Token) -> Result<()>;
    fn remove_token(&mut self, id: &str) -> Result<()>;

    /// Of each token that was ever used.
    fn usage(&mut self) -> Result<Vec<Usage>>;
    /// Adds to the counts and moves the last use forward; what is of unknown tokens is left out.
    fn add_usage(&mut self, usage: &Usage) -> Result<()>;

    fn clients(&mut self, kind: ClientKind) -> Result<Vec<Client>>;
    fn put_client(&mut self, client: &Client) -> Result<()>;
    fn remove_client(&mut self, id: &str) -> Result<()>;

    /// Every entry, oldest first.
    fn trail(&mut self) -> Result<Vec<TrailEntry>>;
    /// The number of the last entry; 0 if there is none.
    fn last_entry(&mut self) -> Result<u64>;
    /// Number, kind and id of the entries behind number `last`, oldest first, `most` at most.
    fn entries_behind(&mut self, last: u64, most: usize) -> Result<Vec<(u64, String, String)>>;
    /// Appends `entry`, whose number is not read.
    fn append(&mut self, entry: &TrailEntry) -> Result<()>;

    fn commit(self: Box<Self>) -> Result<()>;
}
