//! Connections, which all users share.

use super::definition::{Draft, settle};
use super::error::{RegistryError, Result, invalid, refused};
use super::lists::check_version;
use super::record::{Client, ClientKind, Connection, Grant, Token};
use super::storage::{Records, TokenFilter};
use super::words::{argument, did_you_mean, quoted};
use super::{Actor, Change, Registry, Subject, check_text};
use portcullis::base::Escaped;
use portcullis::model::{GrantKind, GrantSource, Limits, SourceType};
use portcullis::name::Dialect;

impl Registry {
    /// Returns every connection, by name.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub fn connections(&mut self) -> Result<Vec<Connection>> {
        self.storage.read()?.connections()
    }

    /// Returns the connection `name`.
    ///
    /// # Errors
    ///
    /// If it does not exist, or the database fails.
    pub fn connection(&mut self, name: &str) -> Result<Connection> {
        find(&mut *self.storage.read()?, name)
    }

    /// Adds a connection.
    ///
    /// # Errors
    ///
    /// If the name is taken or invalid, the dialect is unknown, or the dialect does not support `case_sensitive`.
    pub fn add_connection(
        &mut self,
        actor: &Actor,
        name: &str,
        dialect: &str,
        case_sensitive: Option<bool>,
        named_sources_only: bool,
    ) -> Result<Connection> {
        self.changed(actor, |change| change.add_connection(name, dialect, case_sensitive, named_sources_only))
    }

    /// Edits a connection. Its grants must remain valid in its dialect.
    ///
    /// # Errors
    ///
    /// If the connection does not exist, the dialect is unknown or does not support `case_sensitive`, or a grant becomes
    /// invalid.
    pub fn update_connection(
        &mut self,
        actor: &Actor,
        name: &str,
        dialect: Option<&str>,
        case_sensitive: Option<bool>,
        named_sources_only: Option<bool>,
    ) -> Result<UpdatedConnection> {
        let edit = ConnectionEdit { dialect: dialect.map(ToOwned::to_owned), case_sensitive, named_sources_only };
        self.changed(actor, |change| change.update_connection(name, None, &edit))
    }

    /// Deletes a connection that no grant and no named source uses.
    ///
    /// # Errors
    ///
    /// If the connection does not exist, or a grant or named source uses it.
    pub fn delete_connection(&mut self, actor: &Actor, name: &str) -> Result<Connection> {
        self.changed(actor, |change| change.delete_connection(name, None))
    }
}

/// An edit of a connection. `None` changes nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConnectionEdit {
    /// The new dialect.
    pub dialect: Option<String>,
    /// Whether quoted names keep the case of their letters.
    pub case_sensitive: Option<bool>,
    /// Whether queries are denied whatever the grants.
    pub named_sources_only: Option<bool>,
}

impl Change<'_> {
    /// Adds a connection: see [`Registry::add_connection`].
    ///
    /// # Errors
    ///
    /// If the name is taken or invalid, the dialect is unknown, or the dialect does not support `case_sensitive`.
    pub fn add_connection(
        &mut self,
        name: &str,
        dialect: &str,
        case_sensitive: Option<bool>,
        named_sources_only: bool,
    ) -> Result<Connection> {
        check_text("connection's name", name).map_err(|error| error.because("invalid_name"))?;
        if name.contains(',') || name.trim() != name {
            let help =
                "write a name without commas and without spaces around it: grants are written `connection,source`";
            return Err(invalid(format!("{} is not a connection's name", quoted(name)), help).because("invalid_name"));
        }
        let dialect = read_as(self::dialect(dialect)?, case_sensitive)?;
        let connection = Connection { name: name.to_owned(), dialect, named_sources_only };
        if self.records.connections()?.iter().any(|known| known.name == name) {
            let help = format!("`portcullis connections update {}` changes it", argument(name, "NAME"));
            return Err(refused(format!("connection {} exists already", quoted(name)), help).because("name_taken"));
        }
        self.records.put_connection(&connection)?;
        self.note("create", &subject(name), None, Some(&connection))?;
        Ok(connection)
    }

    /// Edits a connection, if it has one of the `versions`: see [`Registry::update_connection`].
    ///
    /// # Errors
    ///
    /// If there is no match, its version differs, or a grant becomes invalid.
    pub fn update_connection(
        &mut self,
        name: &str,
        versions: Option<&[String]>,
        edit: &ConnectionEdit,
    ) -> Result<UpdatedConnection> {
        let dialect = edit.dialect.as_deref().map(dialect).transpose()?;
        let before = find(&mut *self.records, name)?;
        check_version(versions, &before.version())?;
        let after = Connection {
            name: before.name.clone(),
            dialect: read_as(dialect.unwrap_or(before.dialect), edit.case_sensitive)?,
            named_sources_only: edit.named_sources_only.unwrap_or(before.named_sources_only),
        };
        if after == before {
            return Ok(UpdatedConnection { connection: after, grants: Reread::default() });
        }
        self.records.put_connection(&after)?;
        let tokens = self.records.tokens(TokenFilter::Connection(name))?;
        let drafts: Vec<_> = tokens.iter().map(Draft::from).collect();
        let connections = self.records.connections()?;
        match settle(&connections, &mut *self.records, &drafts) {
            Err(RegistryError::Definition(diagnostics)) => {
                let wrong: Vec<_> = diagnostics.iter().map(|diagnostic| diagnostic.message.as_ref()).collect();
                return Err(refused(
                    format!(
                        "grants on {} do not fit dialect `{}`: {}",
                        quoted(name),
                        after.dialect.as_str(),
                        wrong.join("; ")
                    ),
                    format!("change these tokens first: {}", named(&tokens, self.actor)),
                )
                .because("connection_in_use"));
            }
            other => other.map(drop)?,
        }
        self.note("update", &subject(name), Some(&before), Some(&after))?;
        let on_it = tokens.iter().flat_map(|token| &token.grants).filter(|grant| grant.connection == name);
        Ok(UpdatedConnection { grants: Reread::of(on_it, before.dialect, after.dialect), connection: after })
    }

    /// Deletes a connection, if it has one of the `versions`: see [`Registry::delete_connection`].
    ///
    /// # Errors
    ///
    /// If there is no match, its version differs, or a grant or named source uses it.
    pub fn delete_connection(&mut self, name: &str, versions: Option<&[String]>) -> Result<Connection> {
        let connection = find(&mut *self.records, name)?;
        check_version(versions, &connection.version())?;
        let tokens = self.records.tokens(TokenFilter::Connection(name))?;
        if !tokens.is_empty() {
            let help = "remove these grants with `portcullis credentials update token`, or delete the tokens, first";
            let message = format!("connection {} is granted by {}", quoted(name), named(&tokens, self.actor));
            return Err(refused(message, help).because("connection_in_use"));
        }
        let clients = [ClientKind::M2m, ClientKind::Spa].map(|kind| self.records.clients(kind));
        let clients = clients.into_iter().collect::<Result<Vec<_>>>()?.concat();
        let has_it = |client: &&Client| client.grants.iter().any(|grant| grant.connection == name);
        let granted: Vec<_> = clients.iter().filter(has_it).map(|client| quoted(&client.id)).collect();
        if !granted.is_empty() {
            let message = format!("connection {} is granted by clients: {}", quoted(name), granted.join(", "));
            let help = "remove these grants with `portcullis credentials update m2m`, first";
            return Err(refused(message, help).because("connection_in_use"));
        }
        let sources = self.records.named_sources()?;
        let own = sources.iter().filter(|source| source.connection.as_deref() == Some(name));
        let own: Vec<_> = own.map(|source| quoted(&source.name)).collect();
        if !own.is_empty() {
            let message = format!("connection {} has named sources: {}", quoted(name), own.join(", "));
            let help = "delete them, or move them with `portcullis named-sources update`, first";
            return Err(refused(message, help).because("connection_in_use"));
        }
        self.records.remove_connection(name)?;
        self.note("delete", &subject(name), Some(&connection), None)?;
        Ok(connection)
    }
}

/// A connection after an edit, and the effect of its new dialect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpdatedConnection {
    /// The connection.
    pub connection: Connection,
    /// The grants of names and patterns on it, reinterpreted in the new dialect.
    pub grants: Reread,
}

/// Grants of resources and patterns, reinterpreted in another dialect.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reread {
    /// Grants of resources and patterns, if the dialect changed; otherwise zero.
    pub total: usize,
    /// Grants among them that now cover other names.
    pub changed: usize,
}

impl Reread {
    fn of<'g>(grants: impl Iterator<Item = &'g Grant>, before: Dialect, after: Dialect) -> Self {
        let mut reread = Self::default();
        if before == after {
            return reread;
        }
        for grant in grants.filter(|grant| matches!(grant.kind, GrantKind::Resource | GrantKind::Pattern)) {
            let read = |dialect| {
                GrantSource::typed(Some(&grant.source), SourceType::of(grant.kind), dialect, &Limits::default()).ok()
            };
            reread.total += 1;
            reread.changed += usize::from(read(before) != read(after));
        }
        reread
    }
}

fn subject(name: &str) -> Subject<'_> {
    Subject { kind: "connection", id: name, owner: None }
}

pub(super) fn find(records: &mut dyn Records, name: &str) -> Result<Connection> {
    let mut known = records.connections()?;
    match known.iter().position(|connection| connection.name == name) {
        Some(at) => Ok(known.swap_remove(at)),
        None => Err(unknown(name, &known)),
    }
}

/// Returns the error for a connection that is not among the `known` ones.
pub(super) fn unknown(name: &str, known: &[Connection]) -> RegistryError {
    // No connection has a name of other forms.
    let is_name = !name.contains(',') && name.trim() == name;
    let meant = did_you_mean(name, known.iter().map(|connection| &*connection.name));
    let help = if portcullis_secret::contains_secret(name) {
        "`portcullis connections list` shows them".to_owned()
    } else {
        format!(
            "{meant}`portcullis connections add {}` adds it, and `--dialect` sets its dialect",
            argument(if is_name { name } else { "" }, "NAME")
        )
    };
    refused(format!("there is no connection {}", quoted(name)), help).because("unknown_connection")
}

/// Lists tokens by name and id, in the order of names. Tokens of other users are only counted.
pub(super) fn named(tokens: &[Token], actor: &Actor) -> String {
    let (own, others): (Vec<_>, Vec<_>) = tokens.iter().partition(|token| actor.may(&token.owner));
    let mut names: Vec<_> =
        own.iter().map(|token| format!("{} ({})", quoted(&token.name), Escaped::whole(&token.id))).collect();
    names.sort();
    match others.len() {
        0 => {}
        1 => names.push("1 token of another user".to_owned()),
        count => names.push(format!("{count} tokens of other users")),
    }
    names.join(", ")
}

/// Returns `dialect` with its quoted names read as `case_sensitive` requires (N2.5).
fn read_as(dialect: Dialect, case_sensitive: Option<bool>) -> Result<Dialect> {
    let Some(case_sensitive) = case_sensitive else { return Ok(dialect) };
    dialect.with_case_sensitive(case_sensitive).ok_or_else(|| {
        let message = format!("a connection of dialect `{dialect}` cannot be case-sensitive");
        invalid(message, "leave `--case-sensitive` out: only dialect `redshift` has it").because("not_case_sensitive")
    })
}

fn dialect(text: &str) -> Result<Dialect> {
    text.parse().map_err(|_| {
        let known = Dialect::NAMES;
        let help = format!("{}write one of `{}`", did_you_mean(text, known), known.join("`, `"));
        invalid(format!("unknown dialect {}", quoted(text)), help).because("unknown_dialect")
    })
}
