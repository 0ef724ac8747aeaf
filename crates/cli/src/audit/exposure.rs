//! What a policy exposes of a catalog.

mod count;
mod show;

use std::path::PathBuf;

use anyhow::bail;
use portcullis::authorizer::{Clock, SystemClock};
use portcullis_audit::coverage::Coverage;
use portcullis_audit::exposure::Exposure;
use portcullis_audit::reads::Followed;

use super::Format;
use super::reads::ReadsArgs;
use crate::Exit;
use crate::output::Color;
use crate::policy::{PolicyArgs, is_stdin};

const EXAMPLES: &str = "\
Examples:
  portcullis audit exposure --policy policy.json --catalog catalog.csv
  portcullis audit exposure --policy policy.pcls --catalog tables.csv.gz --connection carto_dw
  portcullis audit exposure --policy policy.json --catalog catalog.jsonl --token tk_1 --format json
  portcullis audit exposure --policy policy.json --catalog catalog.csv --named-sources sources.jsonl

What queries and named sources read counts apart, as exposed through queries. One that cannot be
parsed is listed with the reason.

Exit codes: 0 all of the catalog was read, 2 stopped, or rows were broken, or an error.";

/// Tell which names of a catalog each token, grant and pattern exposes, and which none does
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The names that exist: CSV, JSON Lines or Parquet, the former plain, gzip or zstd; `-` for standard input. Columns:
    /// `connection` and `name`, or `table_catalog`, `table_schema` and `table_name`
    #[arg(long, value_name = "FILE")]
    catalog: PathBuf,
    /// Only this token
    #[arg(long, value_name = "ID")]
    token: Option<String>,
    /// The connection of names that come without one; of others, only names of this connection count
    #[arg(long, value_name = "NAME")]
    connection: Option<String>,
    /// How many tokens and sources to show to people; programs are given all
    #[arg(long, value_name = "COUNT", default_value_t = 20)]
    limit: usize,
    /// `table` for people; `json` or `csv` for programs
    #[arg(long, value_name = "FORMAT", default_value = "table", hide_possible_values = true)]
    format: Format,
    /// Do not show progress
    #[arg(short, long)]
    quiet: bool,
    #[command(flatten)]
    reads: ReadsArgs,
    #[command(flatten)]
    policy: PolicyArgs,
}

pub(super) fn run(args: &Args, color: Color) -> anyhow::Result<Exit> {
    if is_stdin(&args.catalog) && args.policy.reads_stdin() {
        bail!("`--policy -` and `--catalog -` both read standard input: name a file for one of them");
    }
    let Some(snapshot) = args.policy.snapshot(color)? else { return Ok(Exit::Failure) };
    let policy = snapshot.policy()?;
    drop(snapshot);
    if let Some(id) = &args.token
        && !policy.tokens().iter().any(|token| token.id() == id)
    {
        bail!("the policy has no token `{id}`");
    }
    if let Some(name) = &args.connection
        && !policy.connections().iter().any(|connection| connection.name() == name)
    {
        bail!("the policy has no connection `{name}`");
    }
    let followed = Followed::of(&policy, &args.reads.named_sources(&args.policy)?);
    let coverage = Coverage::following(&policy, SystemClock.now(), &followed);
    let counted = count::count(&coverage, &args.catalog, args.connection.as_deref(), args.quiet)?;
    let exposure = Exposure::new(&coverage, counted.tally);
    show::show(args, &coverage, &exposure, &followed, color)?;
    counted.told.summarize(&exposure, color)?;
    Ok(if counted.told.stopped || exposure.broken > 0 { Exit::Failure } else { Exit::Success })
}
