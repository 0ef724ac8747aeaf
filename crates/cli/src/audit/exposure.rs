//! The names of a catalog that a policy exposes.

mod count;
mod show;

use std::path::PathBuf;

use anyhow::bail;
use portcullis::authorizer::{Clock, SystemClock};
use portcullis_audit::coverage::Coverage;
use portcullis_audit::exposure::Exposure;
use portcullis_audit::reads::Followed;

use super::Format;
use super::database::{DatabaseArgs, Databases};
use super::named;
use super::reads::ReadsArgs;
use crate::Exit;
use crate::bounds::{MAX_COUNT, count};
use crate::output::Color;
use crate::output::is_stdin;
use crate::policy::PolicyArgs;

const EXAMPLES: &str = "\
Examples:
  portcullis audit exposure --policy policy.json --catalog catalog.csv
  portcullis audit exposure --policy policy.pcls --catalog tables.csv.gz \\
      --connection carto_dw
  portcullis audit exposure --policy policy.json --catalog catalog.jsonl \\
      --token tk_1 --format json
  portcullis audit exposure --policy policy.json --catalog catalog.csv \\
      --named-sources sources.jsonl

Names that only queries and named sources read are counted separately, as
exposed through queries. Queries that cannot be parsed are listed with the
reason.

Exit codes: 0 the catalog was read completely; 2 it was not, or another error.";

/// Show which names of a catalog tokens can read
///
/// Counts the exposed names of each token, grant and pattern, and lists names that are not exposed.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct Args {
    /// Read names from this file; `-` is standard input
    ///
    /// CSV, JSON Lines, a JSON list or Parquet; text may be compressed with gzip or zstd. The columns are `connection` and
    /// `name`, or those of a listing such as `INFORMATION_SCHEMA.TABLES` or `SHOW TABLES`.
    #[arg(long, value_name = "FILE")]
    catalog: PathBuf,
    /// Show only this token
    #[arg(long, value_name = "ID")]
    token: Option<String>,
    /// Count only names of this connection
    ///
    /// Rows without a connection count as names of this connection.
    #[arg(long, value_name = "NAME")]
    connection: Option<String>,
    #[command(flatten)]
    database: DatabaseArgs,
    /// Limit the rows of tables
    ///
    /// `json` and `csv` have no limit.
    #[arg(long, value_name = "COUNT", default_value_t = 20, value_parser = count::<1, MAX_COUNT>)]
    limit: usize,
    /// Print `table`, `json` or `csv`
    #[arg(long, value_name = "FORMAT", default_value = "table", hide_possible_values = true)]
    format: Format,
    /// Hide the progress bar
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
    args.token.as_deref().map(|id| named::token(&policy, id)).transpose()?;
    args.connection.as_deref().map(|name| named::connection(&policy, name)).transpose()?;
    let followed = Followed::of(&policy, &args.reads.named_sources(&args.policy, &[&policy], color)?);
    let coverage = Coverage::following(&policy, SystemClock.now(), &followed);
    let databases = Databases::new(&args.database, &[&policy]);
    let counted = count::count(&coverage, &args.catalog, args.connection.as_deref(), &databases, args.quiet)?;
    let exposure = Exposure::new(&coverage, counted.tally);
    show::show(args, &coverage, &exposure, &followed, color)?;
    counted.notes.print(&exposure, color)?;
    Ok(if counted.notes.interrupted || exposure.broken > 0 { Exit::Failure } else { Exit::Success })
}
