//! Who can read a source, and what whoever finds a token can do.

use std::io::{self, Write};

use anyhow::bail;
use portcullis::audit::who_can::{Reach, Reader, reach, readers};
use portcullis::audit::witness::Asked;
use portcullis::authorizer::{Clock, SystemClock};
use portcullis::base::Timestamp;
use portcullis::model::{Api, Connection, Expiry, Grant, Operation, Policy, Referers, Token};
use portcullis::name::{CanonicalName, NameBuffer};
use portcullis::query::{NamedSource, NormalForm};
use portcullis::snapshot::Snapshot;
use serde::Serialize;

use super::Format;
use crate::cli::Exit;
use crate::cli::output::{Color, Stdout, counted, printable};
use crate::cli::policy::PolicyArgs;
use crate::cli::table::{Table, relative};

const EXAMPLES: &str = "\
Examples:
  portcullis audit who-can --policy policy.json --connection carto_dw --resource acme.public.stores
  portcullis audit who-can --policy policy.json --token-leaked store-map --format json

Each row is a decision. A referer never authenticates: whoever has a secret can send any.";

/// Tell which tokens can read a source, or what whoever has a token's secret can do
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The connection of the source
    #[arg(long, value_name = "NAME", required_unless_present = "token_leaked")]
    connection: Option<String>,
    #[command(flatten)]
    source: SourceArgs,
    /// Tell instead all that the token of this id can do
    #[arg(long, value_name = "ID", conflicts_with_all = ["connection", "SourceArgs"])]
    token_leaked: Option<String>,
    /// Decide as of this instant, instead of now: RFC 3339, or a date
    #[arg(long, value_name = "INSTANT")]
    now: Option<Timestamp>,
    /// `table` for people; `json` or `csv` for programs
    #[arg(long, value_name = "FORMAT", default_value = "table", hide_possible_values = true)]
    format: Format,
    #[command(flatten)]
    policy: PolicyArgs,
}

#[derive(Debug, clap::Args)]
#[group(multiple = false)]
struct SourceArgs {
    /// Who can read this table, tileset or raster
    #[arg(long, value_name = "NAME")]
    resource: Option<String>,
    /// Who can run this query
    #[arg(long, value_name = "SQL")]
    query: Option<String>,
    /// Who can read this named source
    #[arg(long, value_name = "NAME")]
    named_source: Option<String>,
}

pub(super) fn run(args: &Args, color: Color) -> anyhow::Result<Exit> {
    let Some((policy, snapshot)) = args.policy.model(color)? else { return Ok(Exit::Failure) };
    let now = args.now.unwrap_or_else(|| SystemClock.now());
    let mut out = Stdout::lock();
    if let Some(id) = &args.token_leaked {
        let Some(token) = policy.tokens().iter().find(|token| token.id() == id) else {
            bail!("the policy has no token `{}`", printable(id));
        };
        leaked(&policy, &snapshot, token, now, args.format, color, &mut out)?;
    } else {
        let asked = asked(args, &policy)?;
        let connection = args.connection.as_deref().unwrap_or_default();
        let found = readers(&policy, &snapshot, connection, &asked, now);
        let rows: Vec<ReaderRow<'_>> = found.iter().map(|reader| ReaderRow::of(reader, &policy)).collect();
        match args.format {
            Format::Table => reader_table(&rows, &found, now, color, &mut out)?,
            Format::Json => json(&rows, &mut out)?,
            Format::Csv => reader_csv(&rows, &mut out)?,
        }
    }
    out.flush()?;
    Ok(Exit::Success)
}

/// The source, which must be one that somebody could read.
fn asked(args: &Args, policy: &Policy) -> anyhow::Result<Asked> {
    let name = args.connection.as_deref().unwrap_or_default();
    let Some(connection) = policy.connections().iter().find(|connection| connection.name() == name) else {
        let known: Vec<_> = policy.connections().iter().map(|connection| format!("`{}`", connection.name())).collect();
        bail!("the policy has no connection `{}`: it has {}", printable(name), known.join(", "));
    };
    let SourceArgs { resource, query, named_source } = &args.source;
    if let Some(text) = resource {
        CanonicalName::read(text, connection.dialect(), &mut NameBuffer::new())
            .map_err(|error| anyhow::anyhow!("`{}` is no name on `{name}`: {error}", printable(text)))?;
        Ok(Asked::Resource(text.clone()))
    } else if let Some(text) = query {
        NormalForm::of(text, policy.limits().query_bytes)?;
        Ok(Asked::Query(text.clone()))
    } else if let Some(text) = named_source {
        NamedSource::parse(text)?;
        Ok(Asked::NamedSource(text.clone()))
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
    /// `null` for any.
    referers: Option<Vec<String>>,
    grants: Vec<GrantRow>,
}

#[derive(Serialize)]
struct GrantRow {
    grant: usize,
    kind: &'static str,
    source: String,
    apis: Vec<String>,
}

impl<'p> ReaderRow<'p> {
    fn of(reader: &Reader<'p>, policy: &Policy) -> Self {
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
        Self { token: token.id(), name: token.name(), owner: token.owner(), expires, referers: referers(token), grants }
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

fn reader_table(
    rows: &[ReaderRow<'_>],
    found: &[Reader<'_>],
    now: Timestamp,
    color: Color,
    out: &mut Stdout,
) -> anyhow::Result<()> {
    let mut table = Table::new(&["TOKEN", "OWNER", "THROUGH", "APIS", "REFERERS", "EXPIRES"]);
    for (row, reader) in rows.iter().zip(found) {
        for grant in &row.grants {
            table.row([
                row.token.to_owned(),
                row.owner.unwrap_or("-").to_owned(),
                grant.source.clone(),
                grant.apis.join(" "),
                referers_cell(row.referers.as_ref()),
                expires_cell(reader.token, now),
            ]);
        }
    }
    if !rows.is_empty() {
        table.print(color.on(&io::stdout()), out)?;
    }
    writeln!(out, "{} can", counted(rows.len() as u64, "token"))?;
    Ok(())
}

fn reader_csv(rows: &[ReaderRow<'_>], out: &mut Stdout) -> anyhow::Result<()> {
    let mut csv = csv::Writer::from_writer(out);
    csv.write_record(["token", "name", "owner", "kind", "source", "apis", "referers", "expires"])?;
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
            ])?;
        }
    }
    csv.flush()?;
    Ok(())
}

fn json(told: &impl Serialize, out: &mut Stdout) -> anyhow::Result<()> {
    serde_json::to_writer_pretty(&mut *out, told)?;
    writeln!(out)?;
    Ok(())
}

/// All that a token can do.
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
    /// A request that it allows.
    example: Option<String>,
}

fn leaked(
    policy: &Policy,
    snapshot: &Snapshot,
    token: &Token,
    now: Timestamp,
    format: Format,
    color: Color,
    out: &mut Stdout,
) -> anyhow::Result<()> {
    let found = reach(policy, snapshot, token, now)?;
    let row = |reach: &Reach<'_>| ReachRow {
        connection: policy.connection(reach.grant.connection()).map(Connection::name).unwrap_or_default(),
        kind: reach.grant.source().kind().as_str(),
        source: source(reach.grant, policy),
        apis: Vec::new(),
        example: reach.witness.as_ref().map(ToString::to_string),
    };
    let rows =
        found.iter().map(|reach| ReachRow { apis: reach.apis.iter().map(|api| api.name()).collect(), ..row(reach) });
    let told = Leaked {
        token: token.id(),
        name: token.name(),
        owner: token.owner(),
        expired: token.expiry().is_expired(now),
        expires: expires(token),
        apis: token.apis().iter().filter_map(|id| policy.apis().get(id)).map(Api::name).collect(),
        referers: referers(token),
        grants: rows.collect(),
    };
    match format {
        Format::Json => json(&told, out),
        Format::Csv => {
            let mut csv = csv::Writer::from_writer(out);
            csv.write_record(["connection", "kind", "source", "apis", "example"])?;
            for row in &told.grants {
                let example = row.example.as_deref().unwrap_or_default();
                csv.write_record([row.connection, row.kind, &row.source, &row.apis.join(" "), example])?;
            }
            csv.flush()?;
            Ok(())
        }
        Format::Table => {
            let end = if told.expired { "expired" } else { "expires" };
            writeln!(out, "token {}: {end} {}", printable(told.token), expires_cell(token, now))?;
            writeln!(out, "APIs: {}", told.apis.join(", "))?;
            let referers = printable(&referers_cell(told.referers.as_ref()));
            let known = if told.referers.is_some() { ", which whoever has the secret can claim" } else { "" };
            writeln!(out, "referers: {referers}{known}")?;
            let mut table = Table::new(&["CONNECTION", "KIND", "SOURCE", "APIS"]);
            for row in &told.grants {
                let apis = if row.apis.is_empty() { "none".to_owned() } else { row.apis.join(" ") };
                table.row([row.connection.to_owned(), row.kind.replace('_', " "), row.source.clone(), apis]);
            }
            if !told.grants.is_empty() {
                table.print(color.on(&io::stdout()), out)?;
            }
            Ok(())
        }
    }
}
