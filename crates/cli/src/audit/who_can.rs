//! The tokens that can read a source, and everything that a leaked token can do.

use std::collections::HashSet;
use std::io::{self, Write};

use anyhow::bail;
use portcullis::authorizer::{Clock, SystemClock};
use portcullis::base::{Timestamp, quoted};
use portcullis::model::{Api, Connection, Expiry, Grant, GrantKind, Operation, Policy, Referers, Token};
use portcullis::name::{CanonicalName, Name, NameBuffer, undecorated};
use portcullis::query::{NamedSource, NormalForm, looks_like_query};
use portcullis::snapshot::Snapshot;
use portcullis_audit::catalog::project_with_dot;
use portcullis_audit::near_names::{self, Hint, OtherSegments};
use portcullis_audit::near_texts;
use portcullis_audit::reads::{Followed, Unfollowed};
use portcullis_audit::who_can::{Access, Reach, Reader, reach, readers, readers_through};
use portcullis_diff::witness::RequestedSource;
use serde::Serialize;

use super::Format;
use super::named;
use super::reads::{self, ReadsArgs, shortened};
use crate::Exit;
use crate::output::{Color, Csv, Stdout, counted, printable, write_json_lines};
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
with a secret can send any referer. A name with other segments than granted
names have is an error, because its database is not known.

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
    #[arg(long, value_name = "INSTANT", value_parser = crate::bounds::instant)]
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
        let (index, _) = named::token(&policy, id)?;
        let followed = Followed::of(&policy, &args.reads.named_sources(&args.policy, &[&policy], color)?);
        let leak = Leak { policy: &policy, snapshot: &snapshot, followed: &followed, index, now };
        leak.show(args.format, color, &mut out)?;
        out.flush()?;
        return Ok(Exit::Success);
    }
    let connection = named::connection(&policy, args.connection.as_deref().unwrap_or_default())?;
    let source = source_of(&args.source, connection, &policy)?;
    let found = readers(&policy, &snapshot, connection.name(), &source, now);
    let mut rows: Vec<ReaderRow<'_>> = found.iter().map(|reader| ReaderRow::of(reader, &policy, None)).collect();
    let (mut unfollowed, mut hints, mut undecided) = (Vec::new(), Vec::new(), None);
    let followed;
    match &source {
        RequestedSource::Resource(text) => {
            followed = Followed::of(&policy, &args.reads.named_sources(&args.policy, &[&policy], color)?);
            let name = Name::parse(text, connection.dialect())?;
            let through = readers_through(&policy, &snapshot, connection, &name, &followed, now);
            rows.extend(through.iter().map(|reader| ReaderRow::of(reader, &policy, Some(&followed))));
            let is_here = |row: &Unfollowed<'_>| policy.connection(row.connection) == Some(connection);
            unfollowed = reads::unfollowed(&followed, &policy, is_here);
            hints = near_names::hints(&policy, connection, &name, &followed);
            if rows.iter().any(ReaderRow::names_it) {
                // A grant that covers `*` does not show which tokens cover other names of the pattern.
                hints.retain(|hint| matches!(hint, Hint::LiteralStar(_)));
            } else {
                hints.extend(near_texts::resource_as_other_kind(&policy, connection, text));
                undecided = near_names::other_segments(&policy, connection, &name, &followed);
            }
        }
        RequestedSource::NamedSource(name) if !rows.iter().any(ReaderRow::names_it) => {
            let known = args.reads.named_sources(&args.policy, &[&policy], color)?;
            hints = near_texts::named_source_hints(&policy, connection, name, &known);
        }
        RequestedSource::Query(text) if !rows.iter().any(ReaderRow::names_it) => {
            hints = near_texts::query_hints(&policy, connection, text);
        }
        _ => {}
    }
    let near = undecided.as_ref().and_then(|_| {
        let at = hints.iter().position(|hint| matches!(hint, Hint::Near(_)))?;
        Some(hints.remove(at))
    });
    // Rows are certain, although other tokens may be able to read the source, too.
    if undecided.is_none() || !rows.is_empty() {
        match args.format {
            Format::Table => reader_table(&rows, now, color, &mut out)?,
            Format::Json => json(&rows, &mut out)?,
            Format::Csv => reader_csv(&rows, &mut out)?,
        }
        out.flush()?;
    }
    reads::note(&unfollowed, color)?;
    let Some((_, text)) = source.parts() else { return Ok(Exit::Success) };
    named::note(&hints, text, connection.name(), color)?;
    match undecided {
        Some(other) => bail!(cannot_tell(&other, text, connection, near.as_ref())),
        None => Ok(Exit::Success),
    }
}

/// Describes why nobody knows which tokens can read the resource `text`. `near` has granted names that it may mean.
fn cannot_tell(other: &OtherSegments, text: &str, connection: &Connection, near: Option<&Hint>) -> String {
    let OtherSegments { segments, granted, example } = other;
    let missing = granted.first().map_or(0, |fewest| fewest.saturating_sub(*segments)) as u64;
    let granted: Vec<String> = granted.iter().map(ToString::to_string).collect();
    let help = match near {
        Some(Hint::Near(names)) => {
            let names: Vec<String> = names.iter().map(|name| quoted(name)).collect();
            format!("did you mean {}?", names.join(" or "))
        }
        _ if missing == 0 => "write the name with the segments that granted names have".to_owned(),
        _ => {
            let such_as = example.as_ref().map(|name| format!(", such as {}", quoted(name))).unwrap_or_default();
            format!(
                "write the first {} of the name, too{such_as}",
                if missing == 1 { "segment".to_owned() } else { counted(missing, "segment") }
            )
        }
    };
    format!(
        "cannot tell which tokens can read {}: it has {}, and granted names on {} have {}\nhelp: {help}",
        quoted(text),
        counted(*segments as u64, "segment"),
        quoted(connection.name()),
        granted.join(" or ")
    )
}

/// Returns the source of the arguments. Fails if it is malformed, because no token could read it.
fn source_of(args: &SourceArgs, connection: &Connection, policy: &Policy) -> anyhow::Result<RequestedSource> {
    let SourceArgs { resource, query, named_source } = args;
    if let Some(text) = resource {
        if let Some(name) = project_with_dot(text, connection.dialect()) {
            bail!("expected a dot after the project, found a colon in {}\nhelp: write {}", quoted(text), quoted(&name));
        }
        CanonicalName::read(text, connection.dialect(), &mut NameBuffer::new()).map_err(|error| {
            let help = match undecorated(text, connection.dialect()) {
                Some(name) => format!("\nhelp: write {}", quoted(&name)),
                None if looks_like_query(text) => "\nhelp: give a query with `--query`".to_owned(),
                None => String::new(),
            };
            let (name, on) = (quoted(text), quoted(connection.name()));
            anyhow::anyhow!("{name} is not a valid name on {on}: {error}{help}")
        })?;
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
    /// Whether the token reads the table only by running a query or named source.
    through_queries: bool,
    /// Whether no query of the row is known to read the table, but some may: through calls, or because their reads are not
    /// known.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    may_read: bool,
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
    /// The calls of a query or named source that may read more.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    calls: Vec<String>,
    /// Whether the query is not known to read the table, but may.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    may_read: bool,
    #[serde(skip)]
    access: Access,
}

impl GrantRow {
    /// The kind of the grant, with how it gives access.
    fn by(&self) -> String {
        let kind = self.kind.replace('_', " ");
        match self.access {
            Access::Granted => kind,
            Access::Read => format!("{kind}, which reads it"),
            Access::MayRead => format!("{kind}, which may read it"),
        }
    }

    /// The value of the column `through_queries`.
    fn through_queries(&self) -> &'static str {
        match self.access {
            Access::Granted => "no",
            Access::Read => "yes",
            Access::MayRead => "maybe",
        }
    }
}

impl<'p> ReaderRow<'p> {
    /// Whether a grant of the row certainly means the source, unlike all sources and calls.
    fn names_it(&self) -> bool {
        let all = GrantKind::All.as_str();
        self.grants.iter().any(|grant| grant.kind != all && grant.access != Access::MayRead)
    }

    fn of(reader: &Reader<'p>, policy: &Policy, followed: Option<&Followed<'p>>) -> Self {
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
                    calls: followed.map(|followed| followed.calls_of(grant).to_vec()).unwrap_or_default(),
                    may_read: way.access == Access::MayRead,
                    access: way.access,
                }),
            }
        }
        let token = reader.token;
        let expires = expires(token);
        let is = |access| reader.ways.iter().all(|way| way.access == access);
        Self {
            token: token.id(),
            name: token.name(),
            owner: token.owner(),
            expires,
            referers: referers(token),
            through_queries: !is(Access::Granted),
            may_read: is(Access::MayRead),
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
    let has_calls = rows.iter().flat_map(|row| &row.grants).any(|grant| !grant.calls.is_empty());
    let heading = ["TOKEN", "OWNER", "BY", "THROUGH", "APIS", "REFERERS", "EXPIRES", "CALLS"];
    let mut table = Table::new(heading.get(..if has_calls { 8 } else { 7 }).unwrap_or_default());
    for row in rows {
        for grant in &row.grants {
            let cells = [
                row.token.to_owned(),
                row.owner.unwrap_or("-").to_owned(),
                grant.by(),
                shortened(&grant.source),
                grant.apis.join(" "),
                referers_cell(row.referers.as_ref()),
                expires_cell(row.of, now),
            ];
            table.row(cells.into_iter().chain(has_calls.then(|| grant.calls.join(", "))));
        }
    }
    if !rows.is_empty() {
        table.print(color.on(&io::stdout()), out)?;
    }
    let mut counted_ids: HashSet<&str> = HashSet::new();
    let mut count = |through: bool, may_read: bool| {
        let rows = rows.iter().filter(|row| (row.through_queries, row.may_read) == (through, may_read));
        rows.filter(|row| counted_ids.insert(row.token)).count() as u64
    };
    let (own, read, may_read) = (count(false, false), count(true, false), count(true, true));
    write!(out, "access: {}", counted(own, "token"))?;
    if read > 0 {
        write!(out, ", and {} only through queries", counted(read, "more token"))?;
    }
    if may_read > 0 {
        write!(out, ", and {} may read it through queries", counted(may_read, "more token"))?;
    }
    writeln!(out)?;
    Ok(())
}

fn reader_csv(rows: &[ReaderRow<'_>], out: &mut Stdout) -> anyhow::Result<()> {
    let heading =
        ["token", "name", "owner", "kind", "source", "apis", "referers", "expires", "through_queries", "calls"];
    let mut csv = Csv::new(out, heading)?;
    for row in rows {
        for grant in &row.grants {
            csv.row([
                row.token,
                row.name.unwrap_or_default(),
                row.owner.unwrap_or_default(),
                grant.kind,
                &grant.source,
                &grant.apis.join(" "),
                &row.referers.as_ref().map(|entries| entries.join(" ")).unwrap_or_default(),
                row.expires.as_deref().unwrap_or_default(),
                grant.through_queries(),
                &grant.calls.join(" "),
            ])?;
        }
    }
    csv.finish()?;
    Ok(())
}

fn json(value: &impl Serialize, out: &mut Stdout) -> anyhow::Result<()> {
    Ok(write_json_lines(out, value)?)
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
    /// The calls of a query or named source that may read more.
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    calls: &'p [String],
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
            calls: self.followed.calls_of(grant),
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
        let mut csv =
            Csv::new(out, ["connection", "kind", "source", "apis", "reads", "not_followed", "example", "calls"])?;
        for row in &self.grants {
            let (reads, why) = (row.reads.as_deref().unwrap_or_default().join(" "), row.not_followed.as_deref());
            let example = row.example.as_deref().unwrap_or_default();
            let (apis, calls) = (row.apis.join(" "), row.calls.join(" "));
            let why = why.unwrap_or_default();
            csv.row([row.connection, row.kind, &row.source, &apis, &reads, why, example, &calls])?;
        }
        csv.finish()?;
        Ok(())
    }

    fn table(&self, expires: &str, color: Color, out: &mut Stdout) -> anyhow::Result<()> {
        let end = if self.expired { "expired" } else { "expires" };
        writeln!(out, "token {}: {end} {expires}", printable(self.token))?;
        writeln!(out, "APIs: {}", printable(&self.apis.join(", ")))?;
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
            let calls = format!("may read more: {}", row.calls.join(", "));
            let reads = match (&row.reads, &row.not_followed) {
                (Some(tables), _) if row.calls.is_empty() && tables.is_empty() => "no table".to_owned(),
                (Some(tables), _) if row.calls.is_empty() => tables.join(", "),
                (Some(tables), _) if tables.is_empty() => calls,
                (Some(tables), _) => format!("{}; {calls}", tables.join(", ")),
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
