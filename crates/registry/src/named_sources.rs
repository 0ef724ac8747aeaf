//! Named sources, which all users share. A named source must exist before it is granted.

use super::connections::{find as find_connection, named};
use super::definition::NUL;
use super::error::{Problems, RegistryError, Result, invalid, refused};
use super::lists::check_version;
use super::record::{NamedSource, Token};
use super::sizes::check_query_size;
use super::storage::{Declared, Records, TokenFilter};
use super::words::{did_you_mean, quoted};
use super::{Actor, Change, Registry, Subject};
use portcullis::model::GrantKind;
use portcullis::query::{MAX_QUERY_BYTES, Query};

/// An edit of a named source.
#[derive(Debug, Clone, Default)]
pub struct NamedSourceEdit {
    /// The new SQL.
    pub query: Option<String>,
    /// The new connection; `Some(None)` means every connection.
    pub connection: Option<Option<String>>,
}

impl Registry {
    /// Returns every named source, by name.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub fn named_sources(&mut self) -> Result<Vec<NamedSource>> {
        self.storage.read()?.named_sources()
    }

    /// Returns the named source `name`.
    ///
    /// # Errors
    ///
    /// If it does not exist, or the database fails.
    pub fn named_source(&mut self, name: &str) -> Result<NamedSource> {
        find(&mut *self.storage.read()?, name)
    }

    /// Adds a named source, on one connection or on every connection.
    ///
    /// # Errors
    ///
    /// If the name is taken or breaks N5, the query breaks N4, or the connection does not exist.
    pub fn create_named_source(
        &mut self,
        actor: &Actor,
        name: &str,
        query: &str,
        connection: Option<&str>,
    ) -> Result<NamedSource> {
        self.changed(actor, |change| change.create_named_source(name, query, connection))
    }

    /// Edits a named source. While tokens are granted it, it must remain on their connections.
    ///
    /// # Errors
    ///
    /// If the named source or the connection does not exist, the query breaks N4, or a grant is on another connection.
    pub fn update_named_source(&mut self, actor: &Actor, name: &str, edit: &NamedSourceEdit) -> Result<NamedSource> {
        self.changed(actor, |change| change.update_named_source(name, None, edit))
    }

    /// Deletes a named source that no grant names.
    ///
    /// # Errors
    ///
    /// If the named source does not exist, or a grant names it.
    pub fn delete_named_source(&mut self, actor: &Actor, name: &str) -> Result<NamedSource> {
        self.changed(actor, |change| change.delete_named_source(name, None))
    }
}

impl Change<'_> {
    /// Adds a named source: see [`Registry::create_named_source`].
    ///
    /// # Errors
    ///
    /// Every problem of the named source.
    pub fn create_named_source(&mut self, name: &str, query: &str, connection: Option<&str>) -> Result<NamedSource> {
        let mut problems = Problems::default();
        problems.keep(check_name(name));
        let query = problems.keep(sql(query));
        if self.records.named_sources()?.iter().any(|known| known.name == name) {
            let help = format!("`portcullis named-sources update {name}` changes it");
            let message = format!("named source {} exists already", quoted(name));
            problems.keep::<()>(Err(refused(message, help).because("name_taken")));
        }
        if let Some(connection) = connection {
            problems.keep(find_connection(&mut *self.records, connection));
        }
        let connection = connection.map(ToOwned::to_owned);
        let source = problems.none_or(query.map(|query| NamedSource { name: name.to_owned(), connection, query }))?;
        self.records.put_named_source(&source)?;
        self.note("create", &subject(name), None, Some(&source))?;
        Ok(source)
    }

    /// Edits a named source, if it has one of the `versions`: see [`Registry::update_named_source`].
    ///
    /// # Errors
    ///
    /// If there is no match, its version differs, or the edit breaks a rule.
    pub fn update_named_source(
        &mut self,
        name: &str,
        versions: Option<&[String]>,
        edit: &NamedSourceEdit,
    ) -> Result<NamedSource> {
        let query = edit.query.as_deref().map(sql).transpose()?;
        let before = find(&mut *self.records, name)?;
        check_version(versions, &before.version())?;
        let mut after = before.clone();
        after.query = query.unwrap_or(after.query);
        if let Some(connection) = &edit.connection {
            after.connection.clone_from(connection);
        }
        if after == before {
            return Ok(after);
        }
        if let Some(connection) = &after.connection {
            find_connection(&mut *self.records, connection)?;
            let mut tokens = self.records.tokens(TokenFilter::NamedSource(name))?;
            let elsewhere = |token: &Token| {
                token.grants.iter().any(|grant| {
                    grant.kind == GrantKind::NamedSource && grant.source == name && grant.connection != *connection
                })
            };
            tokens.retain(elsewhere);
            if !tokens.is_empty() {
                let message = format!(
                    "named source {} is granted on another connection by {}",
                    quoted(name),
                    named(&tokens, self.actor)
                );
                return Err(refused(message, "remove these grants first"));
            }
        }
        self.records.put_named_source(&after)?;
        self.note("update", &subject(name), Some(&before), Some(&after))?;
        Ok(after)
    }

    /// Deletes a named source, if it has one of the `versions`: see [`Registry::delete_named_source`].
    ///
    /// # Errors
    ///
    /// If there is no match, its version differs, or a grant names it.
    pub fn delete_named_source(&mut self, name: &str, versions: Option<&[String]>) -> Result<NamedSource> {
        let source = find(&mut *self.records, name)?;
        check_version(versions, &source.version())?;
        let tokens = self.records.tokens(TokenFilter::NamedSource(name))?;
        if !tokens.is_empty() {
            let message = format!("named source {} is granted by {}", quoted(name), named(&tokens, self.actor));
            return Err(refused(message, "remove these grants first, with `portcullis credentials update token`"));
        }
        self.records.remove_named_source(name)?;
        self.note("delete", &subject(name), Some(&source), None)?;
        Ok(source)
    }
}

fn check_name(name: &str) -> Result<()> {
    portcullis::query::NamedSource::parse(name).map(drop).map_err(|_| {
        let help = "write 3 to 51 lower-case letters, digits, `-` and `_`, the first a letter or digit, the last neither \
                    `-` nor `_`";
        invalid(format!("{} is not a named source", quoted(name)), help).because("invalid_name")
    })
}

fn subject(name: &str) -> Subject<'_> {
    Subject { kind: "named_source", id: name, owner: None }
}

fn find(records: &mut dyn Records, name: &str) -> Result<NamedSource> {
    let mut known = records.named_sources()?;
    match known.iter().position(|source| source.name == name) {
        Some(at) => Ok(known.swap_remove(at)),
        None => Err(unknown(name, &known)),
    }
}

fn unknown(name: &str, known: &[NamedSource]) -> RegistryError {
    let meant = did_you_mean(name, known.iter().map(|source| &*source.name));
    let help = format!("{meant}`portcullis named-sources list` shows them, `create` makes one");
    refused(format!("there is no named source {}", quoted(name)), help).because("unknown_named_source")
}

/// Checks that each new grant of a named source in `token` names one that exists on the grant's connection.
pub(super) fn check_granted(declared: &mut dyn Declared, token: &Token, before: Option<&Token>) -> Result<()> {
    let is_new = |grant: &&super::record::Grant| before.is_none_or(|before| !before.grants.contains(grant));
    let mut granted =
        token.grants.iter().filter(|grant| grant.kind == GrantKind::NamedSource).filter(is_new).peekable();
    if granted.peek().is_none() {
        return Ok(());
    }
    let known = declared.named_sources()?;
    for grant in granted {
        let Some(source) = known.iter().find(|source| source.name == grant.source) else {
            return Err(unknown(&grant.source, &known));
        };
        if let Some(connection) = source.connection.as_deref().filter(|connection| *connection != grant.connection) {
            let (name, connection_name) = (quoted(&source.name), quoted(&grant.connection));
            let help = format!("it is on connection {}: grant it there", quoted(connection));
            return Err(refused(format!("connection {connection_name} has no named source {name}"), help));
        }
    }
    Ok(())
}

/// Returns the query as written, if it is valid (N4) and not too long.
fn sql(text: &str) -> Result<String> {
    check_query_size(text)?;
    let refused = match Query::parse(text, MAX_QUERY_BYTES) {
        Ok(_) if text.contains('\0') => invalid(NUL, "remove the character"),
        Ok(_) => return Ok(text.to_owned()),
        Err(error) => invalid(error.to_string(), "write the SQL of the named source"),
    };
    Err(refused.because("invalid_query"))
}
