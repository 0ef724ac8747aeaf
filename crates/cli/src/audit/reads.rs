//! The reads of queries and named sources: the option that defines them, and their output.

use std::collections::BTreeSet;
use std::fmt;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::OnceLock;

use anyhow::Context;
use portcullis::base::quoted;
use portcullis::model::{Connection, Grant, GrantSource, Policy, Token};
use portcullis_audit::reads::{Call, Followed, NamedSources, Unfollowed};
use portcullis_registry::{Location, Registry};
use serde::Serialize;

use crate::input;
use crate::output::{Color, Inputs, Painted, Stdout, counted, file_name, grouped, printable};
use crate::policy::PolicyArgs;
use crate::table::Table;

/// The number of grants and rows that are listed one by one.
const LISTED: usize = 3;

#[derive(Debug, Clone, clap::Args)]
pub(super) struct ReadsArgs {
    /// Read the SQL of named sources from this file
    ///
    /// `-` is standard input. JSON Lines. Each line has `name`, `sql` and optionally `connection`; without it the line applies to every connection. A registry
    /// has the SQL of its named sources; documents do not.
    #[arg(long, value_name = "FILE")]
    named_sources: Option<PathBuf>,
    /// The contents of the file, which is read once even if a command compares several policies.
    #[arg(skip)]
    read: OnceLock<NamedSources>,
}

impl ReadsArgs {
    /// Adds the file of the option to `inputs`.
    pub(super) fn add_inputs(&self, inputs: &mut Inputs) {
        inputs.add_all(&self.named_sources);
    }

    /// Returns the SQL of named sources: from the file, or from the registry that `args` name. Notes definitions in the
    /// file that none of `policies` uses.
    pub(super) fn named_sources(
        &self,
        args: &PolicyArgs,
        policies: &[&Policy],
        color: Color,
    ) -> anyhow::Result<NamedSources> {
        if let Some(known) = self.read.get() {
            return Ok(known.clone());
        }
        if let Some(path) = &self.named_sources {
            let text = input::json(path, "--named-sources")?;
            let known = NamedSources::read(text.as_bytes());
            let known = known.with_context(|| format!("cannot read `{}`", path.display()))?;
            note_unused(&file_name(path), &known, policies, color)?;
            return Ok(self.read.get_or_init(|| known).clone());
        }
        let mut known = NamedSources::default();
        if let Some(url) = args.registry()? {
            let location: Location = url.parse()?;
            for source in Registry::open(&location, false)?.named_sources()? {
                known.add(source.name, source.connection, source.query);
            }
        }
        Ok(known)
    }
}

/// Notes the named sources of `file` that no grant of `policies` can use, on standard error.
fn note_unused(file: &str, known: &NamedSources, policies: &[&Policy], color: Color) -> io::Result<()> {
    let mut stderr = io::stderr().lock();
    let label = Painted::bold(color.on(&stderr), "note:");
    if known.is_empty() {
        return writeln!(stderr, "{label} {file} has no named sources");
    }
    let connections: BTreeSet<&str> =
        policies.iter().flat_map(|policy| policy.connections()).map(Connection::name).collect();
    let grants = policies.iter().flat_map(|policy| policy.tokens()).flat_map(Token::grants);
    let granted: BTreeSet<&str> = grants
        .filter_map(|grant| match grant.source() {
            GrantSource::NamedSource(name) => Some(name.as_str()),
            _ => None,
        })
        .collect();
    let (mut elsewhere, mut ungranted) = (Vec::new(), Vec::new());
    for (name, connection) in known.definitions() {
        match connection.filter(|name| !connections.contains(name)) {
            Some(connection) => elsewhere.push(format!("{} on {}", quoted(name), quoted(connection))),
            None if !granted.contains(name) => ungranted.push(quoted(name)),
            None => {}
        }
    }
    for (unused, why) in [(elsewhere, "on other connections than the policy"), (ungranted, "that no grant names")] {
        if unused.is_empty() {
            continue;
        }
        let more = if unused.len() > LISTED { ", …" } else { "" };
        let first: Vec<&str> = unused.iter().take(LISTED).map(String::as_str).collect();
        let count = counted(unused.len() as u64, "named source");
        writeln!(stderr, "{label} {file} has {count} {why}: {}{more}", first.join(", "))?;
    }
    Ok(())
}

/// A query or named source whose reads are unknown, as JSON.
#[derive(Serialize)]
pub(super) struct UnfollowedRow<'p> {
    pub(super) connection: &'p str,
    pub(super) kind: &'static str,
    pub(super) source: String,
    /// The first grants with this source.
    pub(super) granted: Vec<GrantPosition<'p>>,
    pub(super) grants: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<u64>,
    why: String,
}

#[derive(Serialize)]
pub(super) struct GrantPosition<'p> {
    token: &'p str,
    grant: usize,
}

impl<'p> UnfollowedRow<'p> {
    fn of(unfollowed: &Unfollowed<'_>, policy: &'p Policy) -> Option<Self> {
        let connection = policy.connection(unfollowed.connection)?;
        let granted = unfollowed.granted_by.iter().take(LISTED).filter_map(|index| {
            Some(GrantPosition { token: policy.tokens().get(index.token)?.id(), grant: index.grant })
        });
        Some(Self {
            connection: connection.name(),
            kind: unfollowed.source.kind().as_str(),
            source: unfollowed.source.display(connection.dialect()),
            granted: granted.collect(),
            grants: unfollowed.granted_by.len(),
            line: unfollowed.why.at.map(|(line, _)| line),
            column: unfollowed.why.at.map(|(_, column)| column),
            why: unfollowed.why.why.clone(),
        })
    }

    /// The reason, with line and column in the SQL.
    pub(super) fn reason(&self) -> String {
        match self.line.zip(self.column) {
            Some((1, column)) => format!("column {column}: {}", self.why),
            Some((line, column)) => format!("line {line}, column {column}: {}", self.why),
            None => self.why.clone(),
        }
    }

    /// The first grants with this source, and the number of further ones.
    pub(super) fn granted_by(&self) -> String {
        let listed: Vec<String> =
            self.granted.iter().map(|index| format!("{} grants[{}]", index.token, index.grant)).collect();
        let more = self.grants - self.granted.len();
        if more > 0 { format!("{}, and {more} more", listed.join(", ")) } else { listed.join(", ") }
    }
}

/// A call in granted queries that may read more, as JSON. Displayed as `dw: query_to_xml() (2 queries)`.
#[derive(Serialize)]
pub(super) struct CallRow<'p> {
    pub(super) connection: &'p str,
    #[serde(rename = "calls")]
    pub(super) text: &'p str,
    pub(super) queries: u64,
}

impl fmt::Display for CallRow<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} ({})", self.connection, self.text, queries(self.queries))
    }
}

/// Returns the rows of `calls`, by name of their connections.
pub(super) fn calls<'p>(calls: &[Call<'p>], policy: &'p Policy) -> Vec<CallRow<'p>> {
    let row = |call: &Call<'p>| {
        let connection = policy.connection(call.connection)?.name();
        Some(CallRow { connection, text: call.text, queries: call.queries })
    };
    let mut rows: Vec<CallRow<'_>> = calls.iter().filter_map(row).collect();
    rows.sort_by_key(|row| (row.connection, row.text));
    rows
}

/// Returns the sources with unknown reads for which `is_included` is true.
pub(super) fn unfollowed<'p>(
    followed: &Followed<'_>,
    policy: &'p Policy,
    mut is_included: impl FnMut(&Unfollowed<'_>) -> bool,
) -> Vec<UnfollowedRow<'p>> {
    let all = followed.unfollowed().filter(|unfollowed| is_included(unfollowed));
    all.filter_map(|unfollowed| UnfollowedRow::of(&unfollowed, policy)).collect()
}

/// Prints the first `limit` rows as a table.
pub(super) fn table(rows: &[UnfollowedRow<'_>], limit: usize, paint: bool, out: &mut Stdout) -> io::Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let count = rows.len() as u64;
    let noun = if count == 1 { "query or named source has" } else { "queries and named sources have" };
    writeln!(out, "\n{} {noun} unknown reads, which are not counted", grouped(count))?;
    let mut table = Table::new(&["NOT FOLLOWED", "WHY", "GRANTED BY"]);
    for row in rows.iter().take(limit) {
        let source = shortened(&row.source);
        table.row([format!("{}: {source}", row.connection), row.reason(), row.granted_by()]);
    }
    table.print(paint, out)?;
    if rows.len() > limit {
        writeln!(out, "and {} more: raise `--limit`", rows.len() - limit)?;
    }
    Ok(())
}

/// Prints the first rows on standard error: the result may be incomplete without their reads.
pub(super) fn note(rows: &[UnfollowedRow<'_>], color: Color) -> io::Result<()> {
    let mut stderr = io::stderr().lock();
    let label = Painted::bold(color.on(&stderr), "note:");
    for row in rows.iter().take(LISTED) {
        let note = format!("`{}` of {}: {}", shortened(&row.source), row.granted_by(), row.reason());
        writeln!(stderr, "{label} unknown reads: {}", printable(&note))?;
    }
    if rows.len() > LISTED {
        let all = grouped(rows.len() as u64);
        let rest = "queries and named sources have unknown reads; `portcullis audit exposure` lists all";
        writeln!(stderr, "{label} {all} {rest}")?;
    }
    Ok(())
}

/// `1 query`, `2 queries`.
pub(super) fn queries(count: u64) -> String {
    if count == 1 { "1 query".to_owned() } else { format!("{} queries", grouped(count)) }
}

/// A source on one line of at most 72 characters.
pub(super) fn shortened(source: &str) -> String {
    const MAX_CHARS: usize = 72;
    let line = source.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= MAX_CHARS {
        return line;
    }
    line.chars().take(MAX_CHARS - 1).chain(['…']).collect()
}

/// The tables that a grant reads, as its connection writes them. `None` unless it is a query or named source with known
/// reads.
pub(super) fn tables(followed: &Followed<'_>, policy: &Policy, grant: &Grant) -> Option<Vec<String>> {
    if !matches!(grant.source(), GrantSource::Query(_) | GrantSource::NamedSource(_)) {
        return None;
    }
    let dialect = policy.connection(grant.connection()).map(Connection::dialect)?;
    let reads = followed.reads(grant.connection(), grant.source())?;
    Some(reads.tables.iter().map(|table| table.display(dialect)).collect())
}
