//! What of a catalog each token and each source exposes.

use std::io::{self, Write};
use std::path::Path;

use anyhow::{Context, bail};
use portcullis::audit::report::{SourceExposure, Tally};
use portcullis::authorizer::{Clock, SystemClock};
use portcullis::base::Timestamp;
use portcullis::model::{GrantKind, Policy, Token};
use serde::Serialize;

use super::Format;
use super::catalog::{self, CatalogArgs};
use crate::cli::Exit;
use crate::cli::output::{Color, Painted, Stdout, counted, grouped};
use crate::cli::policy::{PolicyArgs, is_stdin};
use crate::cli::table::Table;

const EXAMPLES: &str = "\
Examples:
  portcullis audit exposure --policy policy.json --catalog tables.csv
  zcat tables.jsonl.gz | portcullis audit exposure --policy policy.pcls --catalog -
  portcullis audit exposure --policy policy.json --catalog tables.csv --token store-map --format json

A name counts for a token if some API of the token may read it by a resource, a pattern or `*`, now.
Grants of queries and named sources cover no names; how many there are is said.

`Ctrl-C` stops reading the catalog and tells what is known by then.
Exit codes: 0 done, 2 error, or the catalog was not read to its end.";

/// Tell which names of a catalog each token and each pattern exposes, and which none does
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    #[command(flatten)]
    catalog: CatalogArgs,
    /// Of this token alone
    #[arg(long, value_name = "ID")]
    token: Option<String>,
    /// Of this connection alone
    #[arg(long, value_name = "NAME")]
    connection: Option<String>,
    /// Decide as of this instant, instead of now: RFC 3339, or a date
    #[arg(long, value_name = "INSTANT")]
    now: Option<Timestamp>,
    /// How many tokens and sources to show to people; programs are given all
    #[arg(long, value_name = "COUNT", default_value_t = 20)]
    limit: usize,
    /// `table` for people; `json` or `csv` for programs
    #[arg(long, value_name = "FORMAT", default_value = "table", hide_possible_values = true)]
    format: Format,
    #[command(flatten)]
    policy: PolicyArgs,
}

pub(super) fn run(args: &Args, color: Color) -> anyhow::Result<Exit> {
    let Some(path) = args.catalog.catalog.as_deref() else { bail!("the catalog is missing: give `--catalog FILE`") };
    if is_stdin(path) && args.policy.reads_stdin() {
        bail!("`--policy -` and `--catalog -` both read standard input: name a file for one of them");
    }
    let Some((policy, _)) = args.policy.model(color)? else { return Ok(Exit::Failure) };
    let policy = match &args.token {
        Some(id) => policy.only_token(id).with_context(|| format!("the policy has no token `{id}`"))?,
        None => policy,
    };
    if let Some(name) = &args.connection
        && !policy.connections().iter().any(|connection| connection.name() == name)
    {
        bail!("the policy has no connection `{name}`");
    }
    let now = args.now.unwrap_or_else(|| SystemClock.now());
    let mut tally = Tally::new(&policy, now);
    let whole = catalog::each(path, &args.catalog, &policy, color, |connection, name| {
        args.connection.as_ref().is_some_and(|only| only != connection) || tally.see(connection, name)
    });
    let is_whole = whole.is_ok();
    if let Err(error) = whole {
        // What was read is told all the same.
        let mut stderr = io::stderr().lock();
        writeln!(
            stderr,
            "{} {error:#}: what follows is of what was read before",
            Painted::red(color.on(&stderr), "error:")
        )?;
    }
    let told = Told::of(&policy, &tally, args.connection.as_deref(), path, now);
    let mut out = Stdout::lock();
    match args.format {
        Format::Table => table(&told, args.limit, color, &mut out)?,
        Format::Json => {
            serde_json::to_writer_pretty(&mut out, &told)?;
            writeln!(out)?;
        }
        Format::Csv => csv(&told, &mut out)?,
    }
    out.flush()?;
    Ok(if is_whole { Exit::Success } else { Exit::Failure })
}

#[derive(Serialize)]
struct Told<'p> {
    catalog: String,
    names: u64,
    exposed: u64,
    /// The first names that no token exposes.
    unexposed: Vec<NameRow>,
    tokens: Vec<TokenRow<'p>>,
    expired_tokens: usize,
    sources: Vec<SourceRow>,
    /// Grants that cover no names.
    queries: usize,
    named_sources: usize,
}

#[derive(Serialize)]
struct NameRow {
    connection: String,
    name: String,
}

#[derive(Serialize)]
struct TokenRow<'p> {
    token: &'p str,
    names: u64,
    share: f64,
}

#[derive(Serialize)]
struct SourceRow {
    connection: String,
    source: String,
    names: u64,
    share: f64,
    example: Option<String>,
    tokens: u64,
}

impl<'p> Told<'p> {
    fn of(policy: &'p Policy, tally: &Tally<'_>, connection: Option<&str>, path: &Path, now: Timestamp) -> Self {
        let (names, exposed) = tally.names();
        #[expect(clippy::cast_precision_loss, reason = "a share is told to a few digits")]
        let share = |part: u64| if names == 0 { 0.0 } else { part as f64 / names as f64 };
        let by_token = tally.by_token();
        let lasting = policy.tokens().iter().enumerate().filter(|(_, token)| !token.expiry().is_expired(now));
        let mut tokens: Vec<TokenRow<'_>> = lasting
            .map(|(at, token)| (token.id(), by_token.get(&at).copied().unwrap_or(0)))
            .map(|(token, names)| TokenRow { token, names, share: share(names) })
            .collect();
        let expired_tokens = policy.tokens().len() - tokens.len();
        tokens.sort_by_key(|row| std::cmp::Reverse(row.names));
        let of_connection = |source: &SourceExposure| connection.is_none_or(|only| source.connection == only);
        let source = |source: SourceExposure| SourceRow {
            share: share(source.names),
            connection: source.connection,
            source: source.source,
            names: source.names,
            example: source.example,
            tokens: source.tokens,
        };
        let grants = || policy.tokens().iter().flat_map(Token::grants);
        let count = |kind| grants().filter(|grant| grant.source().kind() == kind).count();
        Self {
            catalog: path.display().to_string(),
            names,
            exposed,
            unexposed: tally
                .unexposed()
                .map(|(connection, name)| NameRow { connection: connection.to_owned(), name: name.to_owned() })
                .collect(),
            tokens,
            expired_tokens,
            sources: tally.by_source().into_iter().filter(of_connection).map(source).collect(),
            queries: count(GrantKind::Query),
            named_sources: count(GrantKind::NamedSource),
        }
    }
}

fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

fn table(told: &Told<'_>, limit: usize, color: Color, out: &mut Stdout) -> anyhow::Result<()> {
    let paint = color.on(&io::stdout());
    let left_out = |all: usize, out: &mut Stdout| -> io::Result<()> {
        if all > limit { writeln!(out, "… and {} more", grouped((all - limit) as u64)) } else { Ok(()) }
    };
    let hidden = told.names - told.exposed;
    writeln!(out, "{}: {} exposed, {} not", counted(told.names, "name"), grouped(told.exposed), grouped(hidden))?;
    writeln!(out)?;
    let mut tokens = Table::new(&["TOKEN", "NAMES", "SHARE"]);
    for row in told.tokens.iter().take(limit) {
        tokens.row([row.token.to_owned(), grouped(row.names), percent(row.share)]);
    }
    tokens.print(paint, out)?;
    left_out(told.tokens.len(), out)?;
    writeln!(out)?;
    let mut sources = Table::new(&["SOURCE", "CONNECTION", "NAMES", "SHARE", "TOKENS", "SUCH AS"]);
    for row in told.sources.iter().take(limit) {
        sources.row([
            row.source.clone(),
            row.connection.clone(),
            grouped(row.names),
            percent(row.share),
            grouped(row.tokens),
            row.example.clone().unwrap_or_else(|| "-".to_owned()),
        ]);
    }
    sources.print(paint, out)?;
    left_out(told.sources.len(), out)?;
    if hidden > 0 {
        writeln!(out)?;
        let mut unexposed = Table::new(&["EXPOSED BY NONE", "CONNECTION"]);
        for row in &told.unexposed {
            unexposed.row([row.name.clone(), row.connection.clone()]);
        }
        unexposed.print(paint, out)?;
        if hidden > told.unexposed.len() as u64 {
            writeln!(out, "… and {} more", grouped(hidden - told.unexposed.len() as u64))?;
        }
    }
    let others = [(told.queries, "grant of a query"), (told.named_sources, "grant of a named source")];
    for (count, what) in others.into_iter().filter(|(count, _)| *count > 0) {
        let what = if count == 1 { what.to_owned() } else { what.replacen("grant", "grants", 1) };
        writeln!(out, "not counted: {} {what}", grouped(count as u64))?;
    }
    if told.expired_tokens > 0 {
        writeln!(out, "expired, so they expose nothing: {}", counted(told.expired_tokens as u64, "token"))?;
    }
    Ok(())
}

fn csv(told: &Told<'_>, out: &mut Stdout) -> anyhow::Result<()> {
    let mut csv = csv::Writer::from_writer(out);
    csv.write_record(["what", "connection", "which", "names", "share", "tokens", "example"])?;
    for row in &told.tokens {
        csv.write_record(["token", "", row.token, &row.names.to_string(), &row.share.to_string(), "1", ""])?;
    }
    for row in &told.sources {
        csv.write_record([
            "source",
            &row.connection,
            &row.source,
            &row.names.to_string(),
            &row.share.to_string(),
            &row.tokens.to_string(),
            row.example.as_deref().unwrap_or_default(),
        ])?;
    }
    csv.flush()?;
    Ok(())
}
