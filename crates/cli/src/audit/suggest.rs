//! The smallest grants that a decision log needed.

use std::fs::File;
use std::io::{self, BufReader, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::ValueEnum;
use portcullis::authorizer::{Clock, SystemClock};
use portcullis::base::Timestamp;
use portcullis::decision::Replay;
use portcullis::model::Policy;
use portcullis_audit::report::SchemaCounts;
use portcullis_audit::suggest::{Needs, SuggestOptions, Suggestion, TokenAdvice, TokenSuggestion};
use portcullis_audit::usage::Lines;

use super::catalog::{self, CatalogArgs};
use crate::Exit;
use crate::output::{Color, Inputs, Painted, Stdout, counted, grouped, printable};
use crate::policy::{PolicyArgs, is_stdin};

const EXAMPLES: &str = "\
Examples:
  portcullis audit suggest --policy policy.json --log decisions.jsonl
  portcullis audit suggest --policy policy.json --log decisions.jsonl --catalog catalog.csv
  portcullis audit suggest --policy policy.json --log decisions.jsonl --format json > narrower.json

Exit codes: 0 suggested, 2 error, or not all of the catalog was read.";

/// Suggest the smallest grants that still allow everything that a decision log allowed
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Decision logs. Each is read twice: the second time to make sure that nothing is lost
    #[arg(long, value_name = "FILE", num_args = 1.., required = true)]
    log: Vec<PathBuf>,
    /// Up to so many names of one schema are granted one by one, more by a pattern
    #[arg(long, value_name = "COUNT", default_value_t = SuggestOptions::default().exact)]
    exact: usize,
    /// Names of up to so many schemas are granted schema by schema
    #[arg(long, value_name = "COUNT", default_value_t = SuggestOptions::default().schemas)]
    schemas: usize,
    /// Leave out tokens that the log does not use; else they stay as they are
    #[arg(long)]
    drop_unused: bool,
    /// `table` for people; `json` for the policy document, with digests for secrets; `csv` for programs
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

/// How many names of the catalog each token may read: as it is, and as suggested.
type Counts = Vec<(u64, u64)>;

pub(super) fn run(args: &Args, color: Color) -> anyhow::Result<Exit> {
    if args.log.iter().any(|path| is_stdin(path)) {
        bail!("a log is read twice, and standard input can be read only once: write it to a file");
    }
    let Some(read) = args.policy.documents(color, false)? else { return Ok(Exit::Failure) };
    let (policy, now) = (read.policy()?, SystemClock.now());
    let snapshot = read.snapshot(&args.policy.compile_options())?;
    let replay = Replay::new(&snapshot);
    let mut needs = Needs::new(policy);
    for path in &args.log {
        let lines =
            needs.read(open(path)?, &replay, now).with_context(|| format!("cannot read `{}`", path.display()))?;
        tell(path, &lines, color)?;
    }
    if needs.is_sampled() {
        note(color, "the log holds only a part of what was allowed: more may be needed than it says")?;
    }
    let options = SuggestOptions { exact: args.exact, schemas: args.schemas, drop_unused: args.drop_unused };
    let suggestion = needs.suggest(&options);
    let confirmed = suggestion.confirm(policy)?;
    let mut replayed = 0;
    for path in &args.log {
        replayed += confirmed.replay(open(path)?, &replay, now)?;
    }
    let (counts, whole) = match &args.catalog.catalog {
        Some(path) => closed_off(path, &args.catalog, policy, confirmed.policy(), &suggestion, now, color)?,
        None => (None, true),
    };
    let mut out = Stdout::lock();
    match args.format {
        Format::Json => writeln!(out, "{}", confirmed.document())?,
        Format::Csv => csv(&suggestion, counts.as_ref(), &mut out)?,
        Format::Table => {
            table(&suggestion, counts.as_ref(), color, &mut out)?;
            summary(&suggestion, counts.as_ref(), replayed, &mut out)?;
        }
    }
    out.flush()?;
    Ok(if whole { Exit::Success } else { Exit::Failure })
}

fn open(path: &Path) -> anyhow::Result<BufReader<File>> {
    Inputs::check_stdout(path)?;
    let file = File::open(path).with_context(|| format!("cannot read `{}`", path.display()))?;
    Ok(BufReader::with_capacity(1 << 16, file))
}

fn tell(path: &Path, lines: &Lines, color: Color) -> anyhow::Result<()> {
    let name = path.display();
    if let Some((number, error)) = &lines.first_broken {
        let broken = counted(lines.broken, "line");
        note(color, &format!("`{name}` has {broken} of no decision log; the first is line {number}: {error}"))?;
    }
    if lines.no_longer > 0 {
        let requests = counted(lines.no_longer, "request");
        note(color, &format!("of `{name}`, allowed then and denied now, so not kept: {requests}"))?;
    }
    if lines.unclear > 0 {
        let requests = counted(lines.unclear, "request");
        note(color, &format!("of `{name}`, not to be decided again, so their tokens keep all grants: {requests}"))?;
    }
    Ok(())
}

fn note(color: Color, text: &str) -> anyhow::Result<()> {
    let mut stderr = io::stderr().lock();
    let label = Painted::bold(color.on(&stderr), "note:");
    Ok(writeln!(stderr, "{label} {text}")?)
}

/// What the catalog says, if it was read to its end; and whether every row of it was.
fn closed_off(
    path: &Path,
    catalog: &CatalogArgs,
    old: &Policy,
    new: &Policy,
    suggestion: &Suggestion,
    now: Timestamp,
    color: Color,
) -> anyhow::Result<(Option<Counts>, bool)> {
    let (mut before, mut after) = (SchemaCounts::new(old, now), SchemaCounts::new(new, now));
    let seen = catalog::each(path, catalog, old, color, |connection, name| {
        before.see(connection, name) & after.see(connection, name)
    })?;
    if seen.stopped {
        return Ok((None, false));
    }
    let (before, after) = (before.by_token(), after.by_token());
    let mut kept = 0..;
    let count = |(number, token): (usize, &TokenSuggestion)| {
        let number_now = if token.advice == TokenAdvice::UnusedDropped { None } else { kept.next() };
        let after = number_now.and_then(|number| after.get(&number)).copied();
        (before.get(&number).copied().unwrap_or(0), after.unwrap_or(0))
    };
    Ok((Some(suggestion.tokens.iter().enumerate().map(count).collect()), seen.whole))
}

fn table(suggestion: &Suggestion, counts: Option<&Counts>, color: Color, out: &mut Stdout) -> anyhow::Result<()> {
    let paint = color.on(&io::stdout());
    for (at, token) in suggestion.tokens.iter().enumerate() {
        let what = match token.advice {
            TokenAdvice::Same | TokenAdvice::UnusedKept => continue,
            TokenAdvice::Narrower => format!("{} allowed", counted(token.allowed, "request")),
            TokenAdvice::UnusedDropped => "never used: left out".to_owned(),
            TokenAdvice::GrantsUnusedKept => "used, but none of its grants was: it stays as it is".to_owned(),
        };
        let closed = match counts.and_then(|counts| counts.get(at)) {
            Some((before, after)) if before > after => {
                format!("; {} of {} closed off", grouped(before - after), counted(*before, "name"))
            }
            _ => String::new(),
        };
        writeln!(out, "{}  {what}{closed}", Painted::bold(paint, printable(&token.id)))?;
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
        "{} narrower, {} as they are, {} never used ({}); {} replayed, none lost",
        counted(of(TokenAdvice::Narrower), "token"),
        grouped(of(TokenAdvice::Same) + of(TokenAdvice::GrantsUnusedKept)),
        grouped(of(TokenAdvice::UnusedKept) + of(TokenAdvice::UnusedDropped)),
        if of(TokenAdvice::UnusedDropped) > 0 { "left out" } else { "kept: `--drop-unused` leaves them out" },
        counted(replayed, "request")
    )?;
    if let Some(counts) = counts {
        let (before, after) = counts.iter().fold((0, 0), |(before, after), count| (before + count.0, after + count.1));
        writeln!(out, "tokens could read {} of the catalog, and can read {}", counted(before, "name"), grouped(after))?;
    }
    Ok(())
}

fn csv(suggestion: &Suggestion, counts: Option<&Counts>, out: &mut Stdout) -> anyhow::Result<()> {
    let mut csv = csv::Writer::from_writer(out);
    csv.write_record(["token", "change", "connection", "source", "requests", "names_before", "names_after"])?;
    for (at, token) in suggestion.tokens.iter().enumerate() {
        let names = counts.and_then(|counts| counts.get(at));
        let names = names.map(|(before, after)| (before.to_string(), after.to_string())).unwrap_or_default();
        let mut row = |change: &str, connection: &str, source: &str, requests: u64| {
            csv.write_record([&token.id, change, connection, source, &requests.to_string(), &names.0, &names.1])
        };
        for removed in &token.removed {
            row("-", &removed.connection, &removed.source, removed.needed)?;
        }
        for grant in &token.grants {
            row(if grant.is_kept { "=" } else { "+" }, &grant.connection, &grant.source, token.allowed)?;
        }
    }
    csv.flush()?;
    Ok(())
}
