//! The names that patterns would expose once they exist.

use std::io::{self, Write};

use anyhow::bail;
use portcullis::authorizer::{Clock, SystemClock};
use portcullis::base::Timestamp;
use portcullis::model::{Connection, Policy};
use portcullis_audit::forecast::{Catalog, Forecast, Options, forecast};
use serde::Serialize;

use super::Format;
use super::catalog::{self, CatalogArgs};
use super::named;
use crate::Exit;
use crate::bounds::{MAX_COUNT, count};
use crate::output::is_stdin;
use crate::output::{Color, Csv, Stdout, counted, grouped, write_json_lines};
use crate::policy::PolicyArgs;
use crate::table::Table;

const EXAMPLES: &str = "\
Examples:
  portcullis audit forecast --policy policy.json --catalog catalog.csv
  portcullis audit forecast --policy policy.json --catalog catalog.csv \\
      --token store-map --count 5
  portcullis audit forecast --db sqlite:registry.db --format json

Names in existing schemas come first, then short names. Each name was decided
for every token with the pattern. Without a catalog, no name counts as existing.

Exit codes: 0 done; 2 error, or the catalog was not read completely: then some
of the names may exist.";

/// Show names that patterns would expose once they exist
///
/// Lists the shortest such names of each pattern.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct Args {
    /// Show only patterns of this token
    #[arg(long, value_name = "ID")]
    token: Option<String>,
    /// Show only patterns on this connection
    #[arg(long, value_name = "NAME")]
    connection: Option<String>,
    /// Show this many names of each pattern, 1 to 100
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = count::<1, 100>)]
    count: usize,
    /// Leave out tokens that are expired at this instant [default: now]
    ///
    /// A date or an RFC 3339 instant. Example: `--now 2026-11-24`
    #[arg(long, value_name = "INSTANT", value_parser = crate::bounds::instant)]
    now: Option<Timestamp>,
    /// Limit the patterns in tables
    ///
    /// `json` and `csv` have no limit.
    #[arg(long, value_name = "COUNT", default_value_t = 50, value_parser = count::<1, MAX_COUNT>)]
    limit: usize,
    /// Print `table`, `json` or `csv`
    #[arg(long, value_name = "FORMAT", default_value = "table", hide_possible_values = true)]
    format: Format,
    #[command(flatten)]
    catalog: CatalogArgs,
    #[command(flatten)]
    policy: PolicyArgs,
}

pub(super) fn run(args: &Args, color: Color) -> anyhow::Result<Exit> {
    if args.catalog.catalog.as_deref().is_some_and(is_stdin) && args.policy.reads_stdin() {
        bail!("`--policy -` and `--catalog -` both read standard input: name a file for one of them");
    }
    let Some((policy, snapshot)) = args.policy.model(color)? else { return Ok(Exit::Failure) };
    args.token.as_deref().map(|id| named::token(&policy, id)).transpose()?;
    args.connection.as_deref().map(|name| named::connection(&policy, name)).transpose()?;
    let options = Options {
        count: args.count,
        token: args.token.clone(),
        connection: args.connection.clone(),
        ..Options::at(args.now.unwrap_or_else(|| SystemClock.now()))
    };
    let mut known = Catalog::new(&policy, &options);
    let mut complete = true;
    if let Some(path) = &args.catalog.catalog {
        let progress =
            catalog::each(path, &args.catalog, &[&policy], color, |connection, name| known.see(connection, name))?;
        complete = progress.complete;
    }
    let found = forecast(&policy, &snapshot, &known, &options)?;
    let rows: Vec<Row<'_>> = found.iter().map(|forecast| Row::of(forecast, &policy)).collect();
    let mut out = Stdout::lock();
    match args.format {
        Format::Table => table(&rows, args, color, &mut out)?,
        Format::Json => {
            write_json_lines(&mut out, &rows)?;
        }
        Format::Csv => csv(&rows, &mut out)?,
    }
    out.flush()?;
    Ok(if complete { Exit::Success } else { Exit::Failure })
}

#[derive(Serialize)]
struct Row<'p> {
    connection: &'p str,
    pattern: String,
    /// The number of tokens with the pattern.
    tokens: u64,
    names: Vec<NameRow<'p>>,
}

#[derive(Serialize)]
struct NameRow<'p> {
    name: &'p str,
    schema_exists: bool,
    /// The number of tokens that would expose the name through any grant.
    tokens: u64,
    /// A request that would be allowed.
    example: String,
}

impl<'p> Row<'p> {
    fn of(forecast: &'p Forecast<'_>, policy: &'p Policy) -> Self {
        let connection = policy.connection(forecast.connection);
        Self {
            connection: connection.map(Connection::name).unwrap_or_default(),
            pattern: forecast.source.display(connection.map(Connection::dialect).unwrap_or_default()),
            tokens: forecast.tokens,
            names: forecast
                .names
                .iter()
                .map(|future| NameRow {
                    name: &future.name,
                    schema_exists: future.in_schema,
                    tokens: future.tokens,
                    example: future.witness.to_string(),
                })
                .collect(),
        }
    }
}

fn table(rows: &[Row<'_>], args: &Args, color: Color, out: &mut Stdout) -> anyhow::Result<()> {
    if rows.is_empty() {
        writeln!(out, "no patterns: no unexpired token has a grant of one that its APIs use")?;
        return Ok(());
    }
    let mut heading = vec!["PATTERN", "WOULD EXPOSE", "TO TOKENS"];
    if args.catalog.catalog.is_some() {
        heading.push("SCHEMA");
    }
    let mut table = Table::new(&heading);
    for row in rows.iter().take(args.limit) {
        let pattern = format!("{}: {}", row.connection, row.pattern);
        if row.names.is_empty() {
            table.row([pattern.clone(), "no name that certainly does not exist".to_owned(), grouped(row.tokens)]);
        }
        for (index, name) in row.names.iter().enumerate() {
            let first = if index == 0 { pattern.clone() } else { String::new() };
            let schema = if name.schema_exists { "exists" } else { "-" };
            table.row([first, name.name.to_owned(), grouped(name.tokens), schema.to_owned()]);
        }
    }
    table.print(color.on(&io::stdout()), out)?;
    if rows.len() > args.limit {
        writeln!(out, "and {} more patterns: raise `--limit`", grouped((rows.len() - args.limit) as u64))?;
    }
    let names: u64 = rows.iter().map(|row| row.names.len() as u64).sum();
    writeln!(out, "{}, {}, each decided", counted(rows.len() as u64, "pattern"), counted(names, "name"))?;
    Ok(())
}

fn csv(rows: &[Row<'_>], out: &mut Stdout) -> anyhow::Result<()> {
    let mut csv =
        Csv::new(out, ["connection", "pattern", "pattern_tokens", "name", "schema_exists", "tokens", "example"])?;
    for row in rows {
        for name in &row.names {
            let (own, tokens) = (row.tokens.to_string(), name.tokens.to_string());
            let exists = if name.schema_exists { "yes" } else { "no" };
            csv.row([row.connection, &row.pattern, &own, name.name, exists, &tokens, &name.example])?;
        }
    }
    csv.finish()?;
    Ok(())
}
