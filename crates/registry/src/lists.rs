//! Pages of long lists, and records by id.

use super::error::{RegistryError, Result, refused};
use super::page::{TokenOrder, TokenPage, TokenPosition, TokenQuery, TrailQuery};
use super::record::{Client, Connection, NamedSource, Token, TrailEntry, Usage};
use super::storage::{Records, TicketFilter, TokenFilter, Within};
use super::words::quoted;
use super::{Actor, Registry};

/// The maximum number of records on a page.
const MAX_PAGE: usize = 1_000;

/// The maximum number of tokens of a list that a query reads without an index.
const MAX_READ: usize = 10_000;

/// The length of a text, in characters, from which an index finds it anywhere.
pub(super) const TRIGRAM: usize = 3;

/// A token, named by a user or a program.
#[derive(Debug, Clone, Copy)]
pub enum Which<'a> {
    /// The id or the name, as users write it. An `id:` prefix matches ids only.
    Reference(&'a str),
    /// Exactly this id. Access tokens of OAuth clients do not count. With versions, only if the record has one of them.
    Id {
        /// The id.
        id: &'a str,
        /// The versions that the caller accepts.
        versions: Option<&'a [String]>,
    },
}

impl Registry {
    /// Returns a page of the tokens that the actor may see. Access tokens of OAuth clients are left out. Its cost is bounded,
    /// whatever the number of tokens: see [`TokenPage::next`].
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub fn token_page(&mut self, actor: &Actor, query: &TokenQuery<'_>) -> Result<TokenPage> {
        let mut query = TokenQuery { limit: query.limit.min(MAX_PAGE), ..query.clone() };
        if !actor.all_users {
            if query.owner.is_some_and(|owner| owner != actor.user) {
                return Ok(TokenPage::default());
            }
            query.owner = Some(&actor.user);
        }
        token_page(&mut *self.storage.read()?, &query)
    }

    /// Indexes the searched texts of at most `max` tokens that were added or edited, and returns how many it indexed. A search
    /// also finds the others, but takes longer.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub fn index_texts(&mut self, max: usize) -> Result<usize> {
        let mut records = self.storage.write()?;
        let count = records.index_texts(max)?;
        if count > 0 {
            records.commit()?;
        }
        Ok(count)
    }

    /// Returns the token with exactly this id, if the actor may see it. Access tokens of OAuth clients do not count.
    ///
    /// # Errors
    ///
    /// If there is no such token: the error is the same for a token of another user.
    pub fn token_with_id(&mut self, actor: &Actor, id: &str) -> Result<Token> {
        token_with_id(&mut *self.storage.read()?, actor, id, None)
    }

    /// Returns the usage of those `tokens` that were ever used.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub fn usage_of(&mut self, tokens: &[&str]) -> Result<Vec<Usage>> {
        self.storage.read()?.usage_of(tokens)
    }

    /// Returns the client with exactly this id, if the actor may see it.
    ///
    /// # Errors
    ///
    /// If there is no such client: the error is the same for a client of another user.
    pub fn client_with_id(&mut self, actor: &Actor, id: &str) -> Result<Client> {
        client_with_id(&mut *self.storage.read()?, actor, id, None)
    }

    /// Returns the client with exactly this id, of any owner, to check the secret that it presents.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub fn client_for_login(&mut self, id: &str) -> Result<Option<Client>> {
        self.storage.read()?.client(id)
    }

    /// Returns the connection with exactly this name.
    ///
    /// # Errors
    ///
    /// If there is none, or the database fails.
    pub fn connection_with_name(&mut self, name: &str) -> Result<Connection> {
        let mut connections = self.storage.read()?.connections()?;
        connections.retain(|connection| connection.name == name);
        connections.pop().ok_or_else(|| not_found("connection", name))
    }

    /// Returns the named source with exactly this name.
    ///
    /// # Errors
    ///
    /// If there is none, or the database fails.
    pub fn named_source_with_name(&mut self, name: &str) -> Result<NamedSource> {
        let mut sources = self.storage.read()?.named_sources()?;
        sources.retain(|source| source.name == name);
        sources.pop().ok_or_else(|| not_found("named source", name))
    }

    /// Returns a page of the trail, newest entry first: the entries that the actor may see, as [`trail`](Self::trail).
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub fn trail_page(&mut self, actor: &Actor, query: &TrailQuery<'_>) -> Result<Vec<TrailEntry>> {
        let reader = (!actor.all_users).then_some(&*actor.user);
        let query = TrailQuery { limit: query.limit.min(MAX_PAGE), reader: reader.or(query.reader), ..query.clone() };
        self.storage.read()?.trail_page(&query)
    }
}

/// Returns a page of tokens. First reads the list up to a limit: frequent texts are found there. A search then looks for a
/// limited number of candidates in an index. If they are more, the page has what was read, and says so.
fn token_page(records: &mut dyn Records, query: &TokenQuery<'_>) -> Result<TokenPage> {
    if !query.is_filtered() {
        return rows(records, query, Within::Rest);
    }
    if query.search.is_some_and(|search| search.chars().count() < TRIGRAM)
        && query.order == TokenOrder::Name
        && !(TokenQuery { search: None, ..query.clone() }).is_filtered()
    {
        // The list is sorted by what is searched.
        return rows(records, query, Within::Rest);
    }
    let max_read = query.max_read.unwrap_or(MAX_READ).max(1);
    let read = walked(records, query, max_read)?;
    if query.search.is_none() || read.tokens.len() == query.limit || read.next.is_none() {
        return Ok(read);
    }
    match records.candidates(query, max_read.saturating_mul(2))? {
        Some(ids) => rows(records, query, Within::Ids(&ids)),
        None => Ok(read),
    }
}

/// Returns the tokens that match among the next `max` of the list.
fn walked(records: &mut dyn Records, query: &TokenQuery<'_>, max: usize) -> Result<TokenPage> {
    match records.position_after(query, max)? {
        None => rows(records, query, Within::Rest),
        Some(end) => {
            let page = rows(records, query, Within::Until(&end))?;
            Ok(TokenPage { next: page.next.or(Some(end)), ..page })
        }
    }
}

fn rows(records: &mut dyn Records, query: &TokenQuery<'_>, within: Within<'_>) -> Result<TokenPage> {
    // One more shows whether another page follows.
    let mut tokens =
        records.token_page(&TokenQuery { limit: query.limit.saturating_add(1), ..query.clone() }, within)?;
    let has_more = tokens.len() > query.limit;
    tokens.truncate(query.limit);
    let position = |token: &Token| TokenPosition { key: query.order.key(token), id: token.id.clone() };
    Ok(TokenPage { next: tokens.last().filter(|_| has_more).map(position), tokens })
}

pub(super) fn token_with_id(
    records: &mut dyn Records,
    actor: &Actor,
    id: &str,
    versions: Option<&[String]>,
) -> Result<Token> {
    let token = records.tokens(TokenFilter::Id(id))?.pop().filter(|token| actor.may(&token.owner));
    // The error repeats the id only: whether another user has such a token stays unknown.
    let token = token.ok_or_else(|| not_found("token", id))?;
    if !records.tickets(TicketFilter::Token(id))?.is_empty() {
        return Err(not_found("token", id));
    }
    check_version(versions, &token.version())?;
    Ok(token)
}

pub(super) fn client_with_id(
    records: &mut dyn Records,
    actor: &Actor,
    id: &str,
    versions: Option<&[String]>,
) -> Result<Client> {
    let client = records.client(id)?.filter(|client| actor.may(&client.owner));
    let client = client.ok_or_else(|| not_found("client", id))?;
    check_version(versions, &client.version())?;
    Ok(client)
}

/// Returns the error for an id that the actor may not see or that does not exist.
pub(super) fn not_found(kind: &str, id: &str) -> RegistryError {
    refused(format!("there is no {kind} {}", quoted(id)), format!("list the {kind}s that you may see"))
        .because("not_found")
}

/// Checks that a record has one of the versions that the caller accepts, if it names any.
pub(super) fn check_version(accepted: Option<&[String]>, now: &str) -> Result<()> {
    if accepted.is_some_and(|accepted| accepted.iter().all(|version| version != now)) {
        let help = "read it again, and repeat the change if it still applies";
        return Err(refused("it was changed since it was read", help).because("version_changed"));
    }
    Ok(())
}
