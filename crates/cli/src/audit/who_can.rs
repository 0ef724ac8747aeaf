//! The tokens that can read a source, and everything that a leaked token can do.

use std::collections::HashSet;
use std::io::{self, Write};

use anyhow::bail;
use portcullis::authorizer::{Clock, SystemClock};
use portcullis::base::Timestamp;
use portcullis::model::{Api, Connection, Expiry, Grant, Operation, Policy, Referers, Token};
use portcullis::name::{CanonicalName, Name, NameBuffer};
use portcullis::query::{NamedSource, NormalForm};
use portcullis::snapshot::Snapshot;
use portcullis_audit::reads::Followed;
use portcullis_audit::who_can::{Reach, Reader, reach, readers, readers_through};
use portcullis_diff::witness::RequestedSource;
use serde::Serialize;

use super::Format;
use super::reads::{self, ReadsArgs, shortened};
use crate::Exit;
use crate::output::{Color, Stdout, counted, printable};
use crate::policy::PolicyArgs;
use crate::table::{Table, relative};

const USAGE: &str = "\
portcullis audit who-can --policy <FILE> --connection <NAME>
           --resource <NAME> [OPTIONS]
       portcullis audit who-can --policy <FILE> --token-leaked <ID> [OPTIONS]";

const EXAMPLES: &str = "\
Examples:
  portcullis audit who-can --policy policy.json --connection carto_dw \\
      --resource acme.public.stores
  portcullis audit who-can --policy policy.json --token-leaked store-map \\
      --format json

Each row is a decision of the engine. Tokens that only run a query or named
source that reads the table are marked. Referers do not authenticate: anyone
with a secret can send any referer.

Exit codes: 0 done; 2 error.";

/// Show which tokens can read a source
///
/// With `--token-leaked`, show everything that a token allows.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES, override_usage = USAGE)]
pub(super) struct Args {
    /// Set the connection of the source
    #[arg(long, value_name = "NAME", help_heading = "Source", required_unless_present = "token_leaked")]
    connection: Option<String>,
    #[command(flatten)]
    source: SourceArgs,
    /// Show everything that the token with this id allows
    #[arg(long, value_name = "ID", conflicts_with_all = ["connection", "SourceArgs"])]
    token_leaked: Option<String>,
    /// Decide at this instant [default: now]
    ///
    /// A date or an RFC 3339 instant. Example: `--now 2026-11-24`
    #[arg(long, value_name = "INSTANT")]
    now: Option<Timestamp>,
    /// Print `table`, `json` or `csv`
    #[arg(long, value_name = "FORMAT", default_value = "table", hide_possible_values = true)]
    format: Format,
    #[command(flatten)]
    reads: ReadsArgs,
    #[command(flatten)]
    policy: PolicyArgs,
}

#[derive(Debug, clap::Args)]
#[group(multiple = false)]
struct SourceArgs {
    /// Show who can read this table, tileset or raster
    #[arg(long, value_name = "NAME", help_heading = "Source")]
    resource: Option<String>,
    /// Show who can run this query
    #[arg(long, value_name = "SQL", help_heading = "Source")]
    query: Option<String>,
    /// Show who can read this named source
    #[arg(long, value_name = "NAME", help_heading = "Source")]
    named_source: Option<String>,
}

pub(super) fn run(args: &Args, color: Color) -> anyhow::Result<Exit> {
    let Some((policy, snapshot)) = args.policy.model(color)? else { return Ok(Exit::Failure) };
    let now = args.now.unwrap_or_else(|| SystemClock.now());
    let mut out = Stdout::lock();
    if let Some(id) = &args.token_leaked {
        let Some(index) = policy.tokens().iter().position(|token| token.id() == id) else {
            bail!("the policy has no token `{}`", printable(id));
        };
        let followed = Followed::of(&policy, &args.reads.named_sources(&args.policy)?);
        let leak = Leak { policy: &policy, snapshot: &snapshot, followed: &followed, index, now };
        leak.show(args.format, color, &mut out)?;
        out.flush()?;
        return Ok(Exit::Success);
    }
    let source = source_of(args, &policy)?;
    let connection = args.connection.as_deref().unwrap_or_default();
    let found = readers(&policy, &snapshot, connection, &source, now);
    let mut rows: Vec<ReaderRow<'_>> = found.iter().map(|reader| ReaderRow::of(reader, &policy, false)).collect();
    let mut unfollowed = Vec::new();
    let followed;
    if let (RequestedSource::Resource(text), Some(known)) = (&source, find(&policy, connection)) {
        followed = Followed::of(&policy, &args.reads.named_sources(&args.policy)?);
        let name = Name::parse(text, known.dialect())?;
        let through = readers_through(&policy, &snapshot, known, &name, &followed, now);
        rows.extend(through.iter().map(|reader| ReaderRow::of(reader, &policy, true)));
        unfollowed = reads::unfollowed(&followed, &policy, |row| policy.connection(row.connection) == Some(known));
    }
    match args.format {
        Format::Table => reader_table(&rows, now, color, &mut out)?,
        Format::Json => json(&rows, &mut out)?,
        Format::Csv => reader_csv(&rows, &mut out)?,
    }
    out.flush()?;
    reads::note(&unfollowed, color)?;
    Ok(Exit::Success)
}

fn find<'p>(policy: &'p Policy, name: &str) -> Option<&'p Connection> {
    policy.connections().iter().find(|connection| connection.name() == name)
}

/// Returns the source of the arguments. Fails if it is malformed, because no token could read it.
fn source_of(args: &Args, policy: &Policy) -> anyhow::Result<RequestedSource> {
    let name = args.connection.as_deref().unwrap_or_default();
    let Some(connection) = find(policy, name) else {
        let known: Vec<_> = policy.connections().iter().map(|connection| format!("`{}`", connection.name())).collect();
        bail!("the policy has no connection `{}`: it has {}", printable(name), known.join(", "));
    };
    let SourceArgs { resource, query, named_source } = &args.source;
    if let Some(text) = resource {
        CanonicalName::read(text, connection.dialect(), &mut NameBuffer::new())
            .map_err(|error| anyhow::anyhow!("`{}` is not a valid name on `{name}`: {error}", printable(text)))?;
        Ok(RequestedSource::Resource(text.clone()))
    } else if let Some(text) = query {
        NormalForm::of(text, policy.limits().query_bytes)?;
        Ok(RequestedSource::Query(text.clone()))
    } else if let Some(text) = named_source {
        NamedSource::parse(text)?;
        Ok(RequestedSource::NamedSource(text.clone()))
    } else {
        bail!("the source is missing: give `--resource`, `--query` or `--named-source`");
    }
}

/// A token that can read the source through one of its grants.
#[derive(Serialize)]
struct ReaderRow<'p> {
    token: &'p str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'p str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<&'p str>,
    expires: Option<String>,
    /// `null` if any referer is allowed.
    referers: Option<Vec<String>>,
    /// Whether the token reads the table through a query or named source that names it.
    through_queries: bool,
    grants: Vec<GrantRow>,
    #[serde(skip)]
    of: &'p Token,
}

#[derive(Serialize)]
struct GrantRow {
    grant: usize,
    kind: &'static str,
    source: String,
    apis: Vec<String>,
}

impl<'p> ReaderRow<'p> {
    fn of(reader: &Reader<'p>, policy: &Policy, through_queries: bool) -> Self {
        let mut grants: Vec<GrantRow> = Vec::new();
        for way in &reader.ways {
            let Some(grant) = reader.token.grants().get(way.grant) else { continue };
            let api = match way.operation {
                Operation::Query => way.api.name().to_owned(),
                Operation::Model => format!("{} ({})", way.api.name(), way.operation.as_str()),
            };
            match grants.iter_mut().find(|row| row.grant == way.grant) {
                Some(row) if way.operation == Operation::Model && row.apis.iter().any(|api| api == way.api.name()) => {}
                Some(row) => row.apis.push(api),
                None => grants.push(GrantRow {
                    grant: way.grant,
                    kind: grant.source().kind().as_str(),
                    source: source(grant, policy),
                    apis: vec![api],
                }),
            }
        }
        let token = reader.token;
        let expires = expires(token);
        Self {
            token: token.id(),
            name: token.name(),
            owner: token.owner(),
            expires,
            referers: referers(token),
            through_queries,
            grants,
            of: token,
        }
    }
}

fn source(grant: &Grant, policy: &Policy) -> String {
    let dialect = policy.connection(grant.connection()).map(Connection::dialect).unwrap_or_default();
    grant.source().display(dialect)
}

fn expires(token: &Token) -> Option<String> {
    match token.expiry() {
        Expiry::Never => None,
        Expiry::At(end) => Some(end.to_string()),
    }
}

fn referers(token: &Token) -> Option<Vec<String>> {
    match token.referers() {
        Referers::Any => None,
        Referers::Only(set) => Some(set.entries().map(|entry| entry.as_str().to_owned()).collect()),
    }
}

fn expires_cell(token: &Token, now: Timestamp) -> String {
    match token.expiry() {
        Expiry::Never => "never".to_owned(),
        Expiry::At(end) => relative(end, now),
    }
}

fn referers_cell(referers: Option<&Vec<String>>) -> String {
    referers.map_or("any".to_owned(), |entries| entries.join(" "))
}

fn reader_table(rows: &[ReaderRow<'_>], now: Timestamp, color: Color, out: &mut Stdout) -> anyhow::Result<()> {
    let mut table = Table::new(&["TOKEN", "OWNER", "BY", "THROUGH", "APIS", "REFERERS", "EXPIRES"]);
    for row in rows {
        for grant in &row.grants {
            let kind = grant.kind.replace('_', " ");
            table.row([
                row.token.to_owned(),
                row.owner.unwrap_or("-").to_owned(),
                if row.through_queries { format!("{kind}, which reads it") } else { kind },
                shortened(&grant.source),
                grant.apis.join(" "),
                referers_cell(row.referers.as_ref()),
                expires_cell(row.of, now),
            ]);
        }
    }
    if !rows.is_empty() {
        table.print(color.on(&io::stdout()), out)?;
    }
    let ids = |through: bool| rows.iter().filter(move |row| row.through_queries == through).map(|row| row.token);
    let own: HashSet<&str> = ids(false).collect();
    let only = ids(true).filter(|id| !own.contains(id)).count() as u64;
    write!(out, "access: {}", counted(own.len() as u64, "token"))?;
    if only > 0 {
        write!(out, ", and {} only through queries", counted(only, "more token"))?;
    }
    writeln!(out)?;
    Ok(())
}

fn reader_csv(rows: &[ReaderRow<'_>], out: &mut Stdout) -> anyhow::Result<()> {
    let mut csv = csv::Writer::from_writer(out);
    csv.write_record(["token", "name", "owner", "kind", "source", "apis", "referers", "expires", "through_queries"])?;
    for row in rows {
        for grant in &row.grants {
            csv.write_record([
                row.token,
                row.name.unwrap_or_default(),
                row.owner.unwrap_or_default(),
                grant.kind,
                &grant.source,
                &grant.apis.join(" "),
                &row.referers.as_ref().map(|entries| entries.join(" ")).unwrap_or_default(),
                row.expires.as_deref().unwrap_or_default(),
                if row.through_queries { "yes" } else { "no" },
            ])?;
        }
    }
    csv.flush()?;
    Ok(())
}

fn json(value: &impl Serialize, out: &mut Stdout) -> anyhow::Result<()> {
    serde_json::to_writer_pretty(&mut *out, value)?;
    writeln!(out)?;
    Ok(())
}

/// Everything that a token allows, as JSON.
#[derive(Serialize)]
struct Leaked<'p> {
    token: &'p str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'p str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<&'p str>,
    expired: bool,
    expires: Option<String>,
    apis: Vec<&'p str>,
    referers: Option<Vec<String>>,
    grants: Vec<ReachRow<'p>>,
}

#[derive(Serialize)]
struct ReachRow<'p> {
    connection: &'p str,
    kind: &'static str,
    source: String,
    apis: Vec<&'p str>,
    /// The tables that a query or named source reads; `None` if that is unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    reads: Option<Vec<String>>,
    /// Why the tables are unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    not_followed: Option<String>,
    /// A request that the grant allows.
    example: Option<String>,
}

/// A token whose secret has leaked.
struct Leak<'l> {
    policy: &'l Policy,
    snapshot: &'l Snapshot,
    followed: &'l Followed<'l>,
    /// The index of the token in the policy.
    index: usize,
    now: Timestamp,
}

impl<'l> Leak<'l> {
    fn row(&self, reach: &Reach<'l>) -> ReachRow<'l> {
        let grant = reach.grant;
        let why = self.followed.outcome(grant.connection(), grant.source()).and_then(|outcome| outcome.as_ref().err());
        ReachRow {
            connection: self.policy.connection(grant.connection()).map(Connection::name).unwrap_or_default(),
            kind: grant.source().kind().as_str(),
            source: source(grant, self.policy),
            apis: reach.apis.iter().map(|api| api.name()).collect(),
            reads: reads::tables(self.followed, self.policy, grant),
            not_followed: why.map(ToString::to_string),
            example: reach.witness.as_ref().map(ToString::to_string),
        }
    }

    fn show(&self, format: Format, color: Color, out: &mut Stdout) -> anyhow::Result<()> {
        let Some(token) = self.policy.tokens().get(self.index) else { return Ok(()) };
        let found = reach(self.policy, self.snapshot, token, self.now)?;
        let leaked = Leaked {
            token: token.id(),
            name: token.name(),
            owner: token.owner(),
            expired: token.expiry().is_expired(self.now),
            expires: expires(token),
            apis: token.apis().iter().filter_map(|id| self.policy.apis().get(id)).map(Api::name).collect(),
            referers: referers(token),
            grants: found.iter().map(|reach| self.row(reach)).collect(),
        };
        match format {
            Format::Json => json(&leaked, out),
            Format::Csv => leaked.csv(out),
            Format::Table => leaked.table(&expires_cell(token, self.now), color, out),
        }
    }
}

impl Leaked<'_> {
    fn csv(&self, out: &mut Stdout) -> anyhow::Result<()> {
        let mut csv = csv::Writer::from_writer(out);
        csv.write_record(["connection", "kind", "source", "apis", "reads", "not_followed", "example"])?;
        for row in &self.grants {
            let (reads, why) = (row.reads.as_deref().unwrap_or_default().join(" "), row.not_followed.as_deref());
            let example = row.example.as_deref().unwrap_or_default();
            let apis = row.apis.join(" ");
            csv.write_record([row.connection, row.kind, &row.source, &apis, &reads, why.unwrap_or_default(), example])?;
        }
        csv.flush()?;
        Ok(())
    }

    fn table(&self, expires: &str, color: Color, out: &mut Stdout) -> anyhow::Result<()> {
        let end = if self.expired { "expired" } else { "expires" };
        writeln!(out, "token {}: {end} {expires}", printable(self.token))?;
        writeln!(out, "APIs: {}", self.apis.join(", "))?;
        let referers = printable(&referers_cell(self.referers.as_ref()));
        let known = if self.referers.is_some() { " (anyone with the secret can send them)" } else { "" };
        writeln!(out, "referers: {referers}{known}")?;
        if self.grants.is_empty() {
            return Ok(());
        }
        let queries = self.grants.iter().any(|row| row.reads.is_some() || row.not_followed.is_some());
        let heading = ["CONNECTION", "KIND", "SOURCE", "APIS", "READS"];
        let mut table = Table::new(heading.get(..if queries { 5 } else { 4 }).unwrap_or_default());
        for row in &self.grants {
            let apis = if row.apis.is_empty() { "none".to_owned() } else { row.apis.join(" ") };
            let reads = match (&row.reads, &row.not_followed) {
                (Some(tables), _) if tables.is_empty() => "no table".to_owned(),
                (Some(tables), _) => tables.join(", "),
                (None, Some(why)) => format!("unknown: {why}"),
                (None, None) => String::new(),
            };
            let kind = row.kind.replace('_', " ");
            table.row([row.connection.to_owned(), kind, shortened(&row.source), apis, reads]);
        }
        table.print(color.on(&io::stdout()), out)?;
        Ok(())
    }
}
