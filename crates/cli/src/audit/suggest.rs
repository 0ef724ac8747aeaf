//! The smallest grants that allow everything in a decision log.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::ValueEnum;
use portcullis::authorizer::{Clock, SystemClock};
use portcullis::base::Timestamp;
use portcullis::decision::Replay;
use portcullis::model::Policy;
use portcullis_audit::report::SchemaCounts;
use portcullis_audit::suggest::{Needs, SuggestOptions, Suggestion, TokenAdvice, TokenSuggestion};
use portcullis_audit::usage::Lines;

use super::catalog::{self, CatalogArgs};
use super::usage::{note, note_apis};
use crate::Exit;
use crate::bounds::{MAX_COUNT, count};
use crate::input::Spooled;
use crate::output::{Color, Csv, Painted, Stdout, counted, grouped, printable, write_json_text};
use crate::policy::PolicyArgs;

const EXAMPLES: &str = "\
Examples:
  portcullis audit suggest --policy policy.json --log decisions.jsonl
  portcullis audit suggest --policy policy.json --log decisions.jsonl \\
      --catalog catalog.csv
  portcullis audit suggest --policy policy.json --log decisions.jsonl \\
      --format json > narrower.json

Exit codes: 0 done; 2 error, or the catalog was not read completely.";

/// Suggest the smallest grants that a decision log needs
///
/// The suggested policy still allows every request that the log allowed.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct Args {
    /// Read these decision logs; `-` is standard input
    ///
    /// A log may be compressed with gzip or zstd, and in the frames of containers, journald, syslog and log collectors.
    /// Each log is read twice: the second pass replays it against the suggestion, to prove that nothing is lost. Pipes are
    /// copied to a temporary file.
    #[arg(long, value_name = "FILE", num_args = 1.., required = true)]
    log: Vec<PathBuf>,
    /// Grant up to this many names of a schema one by one
    ///
    /// More names of a schema are granted by one pattern.
    #[arg(long, value_name = "COUNT", default_value_t = SuggestOptions::default().exact, value_parser = count::<0, MAX_COUNT>)]
    exact: usize,
    /// Grant up to this many schemas one by one
    ///
    /// Names in more schemas are granted by one pattern.
    #[arg(long, value_name = "COUNT", default_value_t = SuggestOptions::default().schemas, value_parser = count::<0, MAX_COUNT>)]
    schemas: usize,
    /// Leave out tokens that the log does not use
    ///
    /// Without this option they keep their grants.
    #[arg(long)]
    drop_unused: bool,
    /// Print `table`, `json` or `csv`
    ///
    /// `json` is the suggested policy document, with digests of secrets.
    #[arg(long, value_name = "FORMAT", default_value = "table", hide_possible_values = true)]
    format: Format,
    #[command(flatten)]
    catalog: CatalogArgs,
    #[command(flatten)]
    policy: PolicyArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Table,
    Json,
    Csv,
}

/// The number of catalog names that each token can read: now, and as suggested.
type Counts = Vec<(u64, u64)>;

pub(super) fn run(args: &Args, color: Color) -> anyhow::Result<Exit> {
    let Some(read) = args.policy.documents(color, false)? else { return Ok(Exit::Failure) };
    let (policy, now) = (read.policy()?, SystemClock.now());
    let snapshot = read.snapshot(&args.policy.compile_options())?;
    let replay = Replay::new(&snapshot);
    let mut needs = Needs::new(policy);
    let mut logs = Vec::with_capacity(args.log.len());
    for path in &args.log {
        let mut log = Spooled::open(path, "--log")?;
        let lines = needs.read(log.reader()?, &replay, now);
        report(path, &lines.with_context(|| format!("cannot use `{}`", path.display()))?, color)?;
        logs.push(log);
    }
    needs.check()?;
    note_apis(&needs.apis_without_requests(), color)?;
    if needs.is_sampled() {
        note(color, "the log is a sample of the allowed requests: more grants may be needed")?;
    }
    let options = SuggestOptions { exact: args.exact, schemas: args.schemas, drop_unused: args.drop_unused };
    let suggestion = needs.suggest(&options);
    let confirmed = suggestion.confirm(policy)?;
    let mut replayed = 0;
    for log in &mut logs {
        replayed += confirmed.replay(log.reader()?, &replay, now)?;
    }
    let (counts, complete) = match &args.catalog.catalog {
        Some(path) => count_names(path, &args.catalog, policy, confirmed.policy(), &suggestion, now, color)?,
        None => (None, true),
    };
    let mut out = Stdout::lock();
    match args.format {
        Format::Json => {
            write_json_text(&mut out, confirmed.document())?;
            writeln!(out)?;
        }
        Format::Csv => csv(&suggestion, counts.as_ref(), &mut out)?,
        Format::Table => {
            table(&suggestion, counts.as_ref(), color, &mut out)?;
            summary(&suggestion, counts.as_ref(), replayed, &mut out)?;
        }
    }
    out.flush()?;
    Ok(if complete { Exit::Success } else { Exit::Failure })
}

/// Notes the lines of a log that do not count, on standard error.
fn report(path: &Path, lines: &Lines, color: Color) -> anyhow::Result<()> {
    let name = path.display();
    if lines.no_longer > 0 {
        let requests = counted(lines.no_longer, "request");
        note(color, &format!("`{name}` has {requests} that the log allowed and the policy denies: not kept"))?;
    }
    if lines.unclear > 0 {
        let requests = counted(lines.unclear, "request");
        note(color, &format!("`{name}` has {requests} that cannot be replayed: their tokens keep all grants"))?;
    }
    Ok(())
}

/// Returns the counts for a catalog, unless it was interrupted, and whether it was read completely.
fn count_names(
    path: &Path,
    catalog: &CatalogArgs,
    old: &Policy,
    new: &Policy,
    suggestion: &Suggestion,
    now: Timestamp,
    color: Color,
) -> anyhow::Result<(Option<Counts>, bool)> {
    let (mut before, mut after) = (SchemaCounts::new(old, now), SchemaCounts::new(new, now));
    let progress = catalog::each(path, catalog, &[old], color, |connection, name| {
        before.see(connection, name) & after.see(connection, name)
    })?;
    if progress.interrupted {
        return Ok((None, false));
    }
    let (before, after) = (before.by_token(), after.by_token());
    let mut kept = 0..;
    let count = |(number, token): (usize, &TokenSuggestion)| {
        let number_now = if token.advice == TokenAdvice::UnusedDropped { None } else { kept.next() };
        let after = number_now.and_then(|number| after.get(&number)).copied();
        (before.get(&number).copied().unwrap_or(0), after.unwrap_or(0))
    };
    Ok((Some(suggestion.tokens.iter().enumerate().map(count).collect()), progress.complete))
}

fn table(suggestion: &Suggestion, counts: Option<&Counts>, color: Color, out: &mut Stdout) -> anyhow::Result<()> {
    let paint = color.on(&io::stdout());
    for (index, token) in suggestion.tokens.iter().enumerate() {
        let what = match token.advice {
            TokenAdvice::Same | TokenAdvice::UnusedKept => continue,
            TokenAdvice::Narrower => format!("{} allowed", counted(token.allowed, "request")),
            TokenAdvice::UnusedDropped => "unused: left out".to_owned(),
            TokenAdvice::GrantsUnusedKept => "used, but not its grants: unchanged".to_owned(),
        };
        let removed_names = match counts.and_then(|counts| counts.get(index)) {
            Some((before, after)) if before > after => {
                format!("; {} of {} no longer readable", grouped(before - after), counted(*before, "name"))
            }
            _ => String::new(),
        };
        writeln!(out, "{}  {what}{removed_names}", Painted::bold(paint, printable(&token.id)))?;
        for removed in &token.removed {
            let why = if removed.needed == 0 {
                "not needed".to_owned()
            } else {
                format!("needed {}", counted(removed.needed, "time"))
            };
            let line = printable(&format!("  - {}: {}", removed.connection, removed.source));
            writeln!(out, "{}  {why}", Painted::red(paint, line))?;
        }
        if token.advice == TokenAdvice::Narrower {
            for grant in &token.grants {
                let sign = if grant.is_kept { ' ' } else { '+' };
                let line = printable(&format!("  {sign} {}: {}", grant.connection, grant.source));
                if grant.is_kept {
                    writeln!(out, "{line}")?;
                } else {
                    writeln!(out, "{}", Painted::green(paint, line))?;
                }
            }
        }
        writeln!(out)?;
    }
    Ok(())
}

fn summary(suggestion: &Suggestion, counts: Option<&Counts>, replayed: u64, out: &mut Stdout) -> anyhow::Result<()> {
    let of = |advice| suggestion.tokens.iter().filter(|token| token.advice == advice).count() as u64;
    writeln!(
        out,
        "{} narrower, {} unchanged, {} unused ({}); {} replayed, none lost",
        counted(of(TokenAdvice::Narrower), "token"),
        grouped(of(TokenAdvice::Same) + of(TokenAdvice::GrantsUnusedKept)),
        grouped(of(TokenAdvice::UnusedKept) + of(TokenAdvice::UnusedDropped)),
        if of(TokenAdvice::UnusedDropped) > 0 { "left out" } else { "kept; `--drop-unused` leaves them out" },
        counted(replayed, "request")
    )?;
    if let Some(counts) = counts {
        let (before, after) = counts.iter().fold((0, 0), |(before, after), count| (before + count.0, after + count.1));
        writeln!(
            out,
            "tokens can read {} of the catalog now, {} as suggested",
            counted(before, "name"),
            grouped(after)
        )?;
    }
    Ok(())
}

fn csv(suggestion: &Suggestion, counts: Option<&Counts>, out: &mut Stdout) -> anyhow::Result<()> {
    let mut csv =
        Csv::new(out, ["token", "change", "connection", "source", "requests", "names_before", "names_after"])?;
    for (index, token) in suggestion.tokens.iter().enumerate() {
        let names = counts.and_then(|counts| counts.get(index));
        let names = names.map(|(before, after)| (before.to_string(), after.to_string())).unwrap_or_default();
        let mut row = |change: &str, connection: &str, source: &str, requests: u64| {
            csv.row([&token.id, change, connection, source, &requests.to_string(), &names.0, &names.1])
        };
        for removed in &token.removed {
            row("-", &removed.connection, &removed.source, removed.needed)?;
        }
        for grant in &token.grants {
            row(if grant.is_kept { "=" } else { "+" }, &grant.connection, &grant.source, token.allowed)?;
        }
    }
    csv.finish()?;
    Ok(())
}
