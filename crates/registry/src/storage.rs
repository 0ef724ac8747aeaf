//! The database interface of the registry: records in transactions. Implementations contain no rules of the registry.

use std::path::Path;
use std::sync::Arc;

use super::error::Result;
use super::page::{TokenPosition, TokenQuery, TrailQuery};
use super::record::{
    Api, Client, ClientKind, Connection, LastChange, NamedSource, Ticket, TicketKind, Token, TrailEntry, Usage, User,
};
use portcullis::base::Timestamp;
use portcullis::model::SecretDigest;

/// The purpose of opening a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// To read an existing database, which may be read-only.
    Read,
    /// To change an existing database.
    Change,
    /// To change a database, which is created if it is missing.
    Create,
}

/// An open database. Used by one thread at a time; several processes may have the same one open.
pub(super) trait Storage: Send {
    /// Starts a read transaction, which sees one revision.
    fn read(&mut self) -> Result<Box<dyn Records + '_>>;

    /// Starts a write transaction: waits for other writers, and makes later ones wait. Dropping it without
    /// [`commit`](Records::commit) rolls it back.
    fn write(&mut self) -> Result<Box<dyn Records + '_>>;

    /// Starts a transaction that only records usage. It may run beside writers.
    fn write_usage(&mut self) -> Result<Box<dyn Records + '_>> {
        self.write()
    }

    /// Returns declarations that were read at some time, to check a token for [`add`](Self::add); `None` if the database does
    /// not support additions.
    fn declarations(&mut self) -> Result<Option<Arc<Declarations>>> {
        Ok(None)
    }

    /// Reads the declarations again at the next call of [`declarations`](Self::declarations).
    fn forget_declarations(&mut self) {}

    /// Adds a token and commits, with fewer waits than a transaction. Returns `false` without effect if the declarations have
    /// changed, or if the token, its name or its answer may exist: a transaction finds out.
    fn add(&mut self, _: &Addition<'_>) -> Result<bool> {
        Ok(false)
    }

    /// Returns a number that differs after another connection has committed a change; cheap.
    fn data_version(&mut self) -> Result<u64>;

    /// Checks that the open files are still those that the path names.
    fn check_files(&self) -> Result<()>;

    /// Whether this process may not change the database.
    fn is_read_only(&self) -> bool;

    /// Writes a copy of the last committed state to the empty file at `path`.
    fn copy_to(&mut self, path: &Path) -> Result<()>;
}

/// What tokens are checked with.
pub(super) trait Declared {
    fn connections(&mut self) -> Result<Vec<Connection>>;
    fn named_sources(&mut self) -> Result<Vec<NamedSource>>;
    fn apis(&mut self) -> Result<Vec<Api>>;
}

/// Declarations in memory.
#[derive(Debug, Clone, Default)]
pub(super) struct Declarations {
    /// A number that every change of declarations increments.
    pub(super) version: u64,
    pub(super) connections: Vec<Connection>,
    pub(super) named_sources: Vec<NamedSource>,
    pub(super) apis: Vec<Api>,
}

impl Declared for &Declarations {
    fn connections(&mut self) -> Result<Vec<Connection>> {
        Ok(self.connections.clone())
    }

    fn named_sources(&mut self) -> Result<Vec<NamedSource>> {
        Ok(self.named_sources.clone())
    }

    fn apis(&mut self) -> Result<Vec<Api>> {
        Ok(self.apis.clone())
    }
}

/// A new token to add without a transaction of several statements.
#[derive(Debug)]
#[cfg_attr(not(feature = "postgres"), expect(dead_code, reason = "a SQLite file adds in transactions only"))]
pub(super) struct Addition<'a> {
    pub(super) token: &'a Token,
    /// The entry for the trail. The database assigns its revision.
    pub(super) entry: NewEntry,
    /// The answer to remember, if any.
    pub(super) answer: Option<Ticket>,
    /// The version of the declarations that the token was checked with.
    pub(super) checked_with: u64,
}

/// An entry to append to the trail. See [`TrailEntry`].
#[derive(Debug)]
pub(super) struct NewEntry {
    pub(super) revision: u64,
    pub(super) at: Timestamp,
    pub(super) user: String,
    pub(super) how: Option<String>,
    pub(super) action: String,
    pub(super) kind: &'static str,
    pub(super) id: String,
    pub(super) owner: Option<String>,
    /// The record before and after the change, as JSON.
    pub(super) before: Option<String>,
    pub(super) after: Option<String>,
}

/// A selection of tokens.
#[derive(Debug, Clone, Copy)]
pub(super) enum TokenFilter<'a> {
    All,
    Owner(&'a str),
    Id(&'a str),
    Name {
        owner: Option<&'a str>,
        name: &'a str,
    },
    Connection(&'a str),
    NamedSource(&'a str),
    /// Tokens with the id, the digest, or the owner and name of one of these.
    Like(&'a [Token]),
}

/// The part of a list of tokens that a query reads.
#[derive(Debug, Clone, Copy)]
pub(super) enum Within<'a> {
    /// The rest of the list.
    Rest,
    /// Tokens up to this position, which is included.
    Until(&'a TokenPosition),
    /// Tokens with these ids.
    Ids(&'a [String]),
}

/// A selection of tickets.
#[derive(Debug, Clone, Copy)]
pub(super) enum TicketFilter<'a> {
    /// Tickets of this client.
    Client(&'a str),
    /// Tickets that descend from one authorization.
    Family(&'a str),
    /// Tickets with this token, of which there is at most one.
    Token(&'a str),
    /// Tickets of this kind and user.
    User(TicketKind, &'a str),
    /// Tickets with a token that expired at the instant or before, at most so many.
    ExpiredWithToken(Timestamp, usize),
}

/// One transaction. Lists are sorted by name or id.
pub(super) trait Records: Declared {
    fn revision(&mut self) -> Result<u64>;
    /// Increments the revision, and returns it.
    fn next_revision(&mut self) -> Result<u64>;

    /// Inserts `connection`, or replaces the one with its name.
    fn put_connection(&mut self, connection: &Connection) -> Result<()>;
    fn remove_connection(&mut self, name: &str) -> Result<()>;

    fn put_named_source(&mut self, source: &NamedSource) -> Result<()>;
    fn remove_named_source(&mut self, name: &str) -> Result<()>;

    fn put_api(&mut self, api: &Api) -> Result<()>;

    fn tokens(&mut self, which: TokenFilter<'_>) -> Result<Vec<Token>>;
    /// Returns every token as JSON, as a policy document holds it. Each text has many tokens, separated by commas.
    fn token_documents(&mut self) -> Result<Vec<String>>;
    /// Counts the tokens of all users except `owner`.
    fn count_tokens_except(&mut self, owner: &str) -> Result<u64>;
    /// Inserts `token`, or replaces the one with its id and all grants; recorded usage stays.
    fn put_token(&mut self, token: &Token) -> Result<()>;
    /// Inserts `tokens`. None of them may exist.
    fn add_tokens(&mut self, tokens: &[&Token]) -> Result<()>;
    fn remove_token(&mut self, id: &str) -> Result<()>;
    /// Returns the tokens after the position of `query` that match it, in its order, at most `query.limit`. Leaves out
    /// access tokens of OAuth clients: tokens of a [`Ticket`]. Reads at most the tokens `within`. With ids, the search of the
    /// query is not repeated.
    fn token_page(&mut self, query: &TokenQuery<'_>, within: Within<'_>) -> Result<Vec<Token>>;
    /// Returns the position of the token that is `count` tokens after the position of `query` in its order, whatever its other
    /// filters, if there is one.
    fn position_after(&mut self, query: &TokenQuery<'_>, count: usize) -> Result<Option<TokenPosition>>;
    /// Returns the ids of the tokens that match the search of `query`, from an index. `None` if they are more than `max`, or
    /// if finding them takes too long.
    fn candidates(&mut self, query: &TokenQuery<'_>, max: usize) -> Result<Option<Vec<String>>>;
    /// Adds at most `max` texts that were not indexed yet to the index of [`TokenQuery::search`], and returns how many it added.
    /// A search also finds tokens whose texts are not indexed yet, but takes longer.
    fn index_texts(&mut self, max: usize) -> Result<usize>;
    /// Returns the tokens that expired at `until` or before, access tokens included, at most `max`.
    fn expired_tokens(&mut self, until: Timestamp, max: usize) -> Result<Vec<Token>>;

    /// Returns the usage of each token that was ever used.
    fn usage(&mut self) -> Result<Vec<Usage>>;
    /// Returns the usage of those `tokens` that were ever used.
    fn usage_of(&mut self, tokens: &[&str]) -> Result<Vec<Usage>>;
    /// Adds to the counts and moves the last uses forward. Ignores unknown tokens.
    fn add_usage(&mut self, batch: &[Usage]) -> Result<()>;

    fn clients(&mut self, kind: ClientKind) -> Result<Vec<Client>>;
    fn client(&mut self, id: &str) -> Result<Option<Client>>;
    fn put_client(&mut self, client: &Client) -> Result<()>;
    /// Removes the client and its tickets, but not their tokens.
    fn remove_client(&mut self, id: &str) -> Result<()>;

    fn users(&mut self) -> Result<Vec<User>>;
    /// Returns the names of the users who own a token or a client, sorted.
    fn owners(&mut self) -> Result<Vec<String>>;
    fn user(&mut self, name: &str) -> Result<Option<User>>;
    fn put_user(&mut self, user: &User) -> Result<()>;
    fn remove_user(&mut self, name: &str) -> Result<()>;

    /// Returns the ticket, even if it has expired.
    fn ticket(&mut self, kind: TicketKind, digest: &SecretDigest) -> Result<Option<Ticket>>;
    fn tickets(&mut self, which: TicketFilter<'_>) -> Result<Vec<Ticket>>;
    /// Inserts `ticket`, or replaces the one with its kind and digest.
    fn put_ticket(&mut self, ticket: &Ticket) -> Result<()>;
    fn remove_ticket(&mut self, kind: TicketKind, digest: &SecretDigest) -> Result<()>;
    /// Removes the tickets without a token that expired at `until` or before.
    fn remove_expired_tickets(&mut self, until: Timestamp) -> Result<()>;

    /// Returns every trail entry, oldest first.
    fn trail(&mut self) -> Result<Vec<TrailEntry>>;
    /// Returns the entries before the position of `query` that match it, newest first, at most `query.limit`.
    fn trail_page(&mut self, query: &TrailQuery<'_>) -> Result<Vec<TrailEntry>>;
    /// Returns the last entry.
    fn last_change(&mut self) -> Result<LastChange>;
    /// Returns the entries from number `first`, oldest first, at most `max`.
    fn entries_from(&mut self, first: u64, max: usize) -> Result<Vec<LastChange>>;
    /// Appends `entries`; the database assigns their numbers.
    fn append(&mut self, entries: &[NewEntry]) -> Result<()>;

    fn commit(self: Box<Self>) -> Result<()>;
}
