//! Finds the tables that the queries and named sources of a policy read.

use std::collections::HashMap;
use std::io::{self, BufRead};
use std::num::NonZero;
use std::thread;

use foldhash::fast::RandomState;
use serde::Deserialize;

use super::{Reads, Unreadable, on_deep_stack, read, unplaced};
use portcullis::base::quoted;
use portcullis::model::{ConnectionId, GrantSource, Policy, Token};
use portcullis::name::Dialect;
use portcullis_document::definition::{json_message, present};

/// The SQL of named sources. It comes from a registry or a list, because a policy document has only their names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NamedSources(HashMap<String, Vec<Definition>>);

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
struct Definition {
    name: String,
    /// The connection of the named source; `None` means every connection.
    #[serde(default, deserialize_with = "present")]
    connection: Option<String>,
    #[serde(alias = "query")]
    sql: String,
}

/// The reason why a list of named sources cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum NamedSourcesError {
    /// Reading the input fails.
    #[error(transparent)]
    Unreadable(#[from] io::Error),
    /// A line is not a named source.
    #[error("line {line}: {error}; a line is `{{\"name\": …, \"connection\": …, \"sql\": …}}`")]
    Line {
        /// The line, from 1.
        line: usize,
        /// The error in the line.
        error: Box<str>,
    },
    /// A line defines a named source again, for the same connection.
    #[error(
        "line {line}: {} is defined twice: expected one line for each name and connection; remove one",
        quoted(name)
    )]
    Twice {
        /// The second line, from 1.
        line: usize,
        /// The name.
        name: String,
    },
}

impl NamedSources {
    /// Reads JSON Lines with `name`, `sql` and an optional `connection`; without it, the source is on every connection.
    ///
    /// # Errors
    ///
    /// Returns an error if reading `input` fails, or a line has another form.
    ///
    /// ```
    /// use portcullis_audit::reads::NamedSources;
    ///
    /// assert!(NamedSources::read("{\"name\": \"open-orders\", \"sql\": \"SELECT * FROM db.s.orders\"}\n".as_bytes()).is_ok());
    /// assert!(NamedSources::read("{\"name\": \"open-orders\"}".as_bytes()).is_err());
    /// ```
    pub fn read(input: impl BufRead) -> Result<Self, NamedSourcesError> {
        let mut all = Self::default();
        for (line, text) in (1..).zip(input.lines()) {
            let text = text?;
            if text.trim().is_empty() {
                continue;
            }
            if text.trim_start().starts_with('[') {
                return Err(NamedSourcesError::Line { line, error: "expected an object, found a list".into() });
            }
            let Definition { name, connection, sql } = serde_json::from_str(&text)
                .map_err(|error| NamedSourcesError::Line { line, error: json_message(&error) })?;
            if sql.trim().is_empty() {
                return Err(NamedSourcesError::Line { line, error: "`sql` is empty".into() });
            }
            if all.0.get(&name).is_some_and(|known| known.iter().any(|known| known.connection == connection)) {
                return Err(NamedSourcesError::Twice { line, name });
            }
            all.add(name, connection, sql);
        }
        Ok(all)
    }

    /// Adds a named source; without a connection, it is on every connection.
    pub fn add(&mut self, name: String, connection: Option<String>, sql: String) {
        self.0.entry(name.clone()).or_default().push(Definition { name, connection, sql });
    }

    /// Whether no named source is known.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the name and the connection of each definition, by name. No connection means every connection.
    pub fn definitions(&self) -> Vec<(&str, Option<&str>)> {
        let all = self.0.values().flatten();
        let mut all: Vec<_> = all.map(|known| (known.name.as_str(), known.connection.as_deref())).collect();
        all.sort_unstable();
        all
    }

    fn sql(&self, name: &str, connection: &str) -> Option<&str> {
        let of = |own: bool| {
            let is = move |known: &&Definition| known.connection.as_deref() == own.then_some(connection);
            self.0.get(name)?.iter().find(is)
        };
        of(true).or_else(|| of(false)).map(|known| known.sql.as_str())
    }
}

/// The tables that each granted query and named source of a policy reads.
///
/// ```
/// use portcullis_audit::reads::{Followed, NamedSources};
///
/// let policy = portcullis_document::read_policy(
///     r#"[{"id": "a", "token": "s3cret", "allowed_apis": ["sql"], "grants": [
///         {"connection_name": "dw", "source": "SELECT * FROM db.s.roads"},
///         {"connection_name": "dw", "source": "SELECT * FRM db.s.rivers"}]}]"#,
/// )?;
/// let followed = Followed::of(&policy, &NamedSources::default());
/// let grants = policy.tokens()[0].grants();
/// let reads = followed.reads(grants[0].connection(), grants[0].source()).unwrap();
/// assert_eq!(reads.tables.len(), 1);
/// assert_eq!(followed.unfollowed().count(), 1);
/// # Ok::<(), portcullis_document::load::LoadError>(())
/// ```
#[derive(Debug, Default)]
pub struct Followed<'p> {
    /// By connection.
    numbers: Vec<HashMap<&'p GrantSource, usize, RandomState>>,
    outcomes: Vec<Outcome>,
    /// The queries and named sources, in the order of the policy's grants.
    order: Vec<(ConnectionId, &'p GrantSource)>,
    /// For each, the grants that have it.
    granted_by: Vec<Vec<GrantIndex>>,
}

type Outcome = Result<Reads, Unreadable>;

/// The indexes of a grant: of its token in the policy, and of the grant in the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GrantIndex {
    /// The index of the token.
    pub token: usize,
    /// The index of the grant in the token.
    pub grant: usize,
}

/// A query or named source whose tables are unknown.
#[derive(Debug, Clone, Copy)]
pub struct Unfollowed<'f> {
    /// The connection.
    pub connection: ConnectionId,
    /// The query or named source.
    pub source: &'f GrantSource,
    /// The grants that have it; at least one.
    pub granted_by: &'f [GrantIndex],
    /// The reason.
    pub why: &'f Unreadable,
}

impl<'p> Followed<'p> {
    /// Parses each distinct query and named source that `policy` grants, on all cores. Linear in their texts.
    pub fn of(policy: &'p Policy, named: &NamedSources) -> Self {
        let (mut order, mut granted_by) = (Vec::new(), Vec::<Vec<GrantIndex>>::new());
        let mut numbers: Vec<HashMap<&GrantSource, usize, RandomState>> =
            policy.connections().iter().map(|_| HashMap::default()).collect();
        let grants = policy.tokens().iter().map(Token::grants).enumerate();
        let grants =
            grants.flat_map(|(token, grants)| grants.iter().zip((0..).map(move |grant| GrantIndex { token, grant })));
        for (grant, grant_index) in grants {
            if !matches!(grant.source(), GrantSource::Query(_) | GrantSource::NamedSource(_)) {
                continue;
            }
            let Some(numbers) = numbers.get_mut(grant.connection().index()) else { continue };
            let number = *numbers.entry(grant.source()).or_insert_with(|| {
                order.push((grant.connection(), grant.source()));
                granted_by.push(Vec::new());
                granted_by.len() - 1
            });
            if let Some(granted_by) = granted_by.get_mut(number) {
                granted_by.push(grant_index);
            }
        }
        let texts: Vec<_> = order.iter().map(|&(connection, source)| text(policy, named, connection, source)).collect();
        let threads = thread::available_parallelism().map_or(1, NonZero::get);
        let each = texts.len().div_ceil(threads).max(1);
        let read: Vec<Vec<Outcome>> = thread::scope(|scope| {
            let parts: Vec<_> = texts.chunks(each).map(|part| scope.spawn(|| read_all(part))).collect();
            let joined = parts.into_iter().map(thread::ScopedJoinHandle::join);
            joined.map(|part| part.unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
        });
        Self { numbers, outcomes: read.into_iter().flatten().collect(), order, granted_by }
    }

    /// Returns the tables that a source reads. `None` if they are unknown, or it is not a granted query or named
    /// source.
    pub fn reads(&self, connection: ConnectionId, source: &GrantSource) -> Option<&Reads> {
        self.outcome(connection, source)?.as_ref().ok()
    }

    /// Returns the tables that a source reads, or the reason why they are unknown. `None` if it is not a granted query
    /// or named source.
    pub fn outcome(&self, connection: ConnectionId, source: &GrantSource) -> Option<&Result<Reads, Unreadable>> {
        self.outcomes.get(*self.numbers.get(connection.index())?.get(source)?)
    }

    /// Returns the queries and named sources whose tables are known, with the tables.
    pub fn all(&self) -> impl Iterator<Item = (ConnectionId, &'p GrantSource, &Reads)> {
        let all = self.order.iter().zip(&self.outcomes);
        all.filter_map(|(&(connection, source), outcome)| Some((connection, source, outcome.as_ref().ok()?)))
    }

    /// Returns the queries and named sources whose tables are unknown.
    pub fn unfollowed(&self) -> impl Iterator<Item = Unfollowed<'_>> {
        let all = self.order.iter().zip(&self.outcomes).zip(&self.granted_by);
        all.filter_map(|((&(connection, source), outcome), granted_by)| {
            Some(Unfollowed { connection, source, granted_by, why: outcome.as_ref().err()? })
        })
    }
}

/// Returns the SQL of a source, and its dialect.
fn text<'t>(
    policy: &Policy,
    named: &'t NamedSources,
    connection: ConnectionId,
    source: &'t GrantSource,
) -> Result<(&'t str, Dialect), Unreadable> {
    let Some(connection) = policy.connection(connection) else { return Err(unplaced("no such connection".to_owned())) };
    match source {
        GrantSource::Query(_) if connection.named_sources_only() => {
            Err(unplaced("nobody can run it: its connection accepts named sources only".to_owned()))
        }
        GrantSource::Query(query) => Ok((query.as_str(), connection.dialect())),
        GrantSource::NamedSource(name) => match named.sql(name.as_str(), connection.name()) {
            Some(sql) => Ok((sql, connection.dialect())),
            None => Err(unplaced("its SQL is not known, since the policy does not hold it".to_owned())),
        },
        _ => Err(unplaced("it is no query".to_owned())),
    }
}

fn read_all(texts: &[Result<(&str, Dialect), Unreadable>]) -> Vec<Outcome> {
    let longest = texts.iter().flatten().map(|(sql, _)| sql.len()).max().unwrap_or(0);
    let all = || {
        let one =
            |text: &Result<(&str, Dialect), Unreadable>| text.clone().and_then(|(sql, dialect)| read(sql, dialect));
        Ok(texts.iter().map(one).collect())
    };
    on_deep_stack(longest, all).unwrap_or_else(|why| texts.iter().map(|_| Err(why.clone())).collect())
}
