//! Audits of a policy, offline.

mod catalog;
mod database;
mod diff;
mod exposure;
mod forecast;
mod lint;
mod named;
mod progress;
mod reads;
mod registry_fix;
mod report;
mod suggest;
mod usage;
mod who_can;
mod wrapped;

#[cfg(feature = "scan")]
pub(super) use catalog::{CatalogArgs, each_name};
use clap::{Subcommand, ValueEnum};

use super::Exit;
use super::output::Color;

const EXAMPLES: &str = "\
Examples:
  portcullis audit lint --policy policy.json
  portcullis audit who-can --policy policy.json --connection carto_dw \\
      --resource acme.public.stores
  portcullis audit exposure --policy policy.json --catalog catalog.csv
  portcullis audit diff main.json branch.json --fail-on-widening";

/// Audit what a policy exposes
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

/// The output format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people.
    Table,
    /// For programs.
    Json,
    /// For spreadsheets.
    Csv,
}

#[derive(Debug, Subcommand)]
enum Command {
    Exposure(exposure::Args),
    WhoCan(who_can::Args),
    Diff(diff::Args),
    Forecast(forecast::Args),
    Lint(lint::Args),
    Suggest(suggest::Args),
    Report(report::Args),
}

pub(super) fn run(args: &Args, color: Color) -> anyhow::Result<Exit> {
    match &args.command {
        Command::Exposure(args) => exposure::run(args, color),
        Command::WhoCan(args) => who_can::run(args, color),
        Command::Diff(args) => diff::run(args, color),
        Command::Forecast(args) => forecast::run(args, color),
        Command::Lint(args) => lint::run(args, color),
        Command::Suggest(args) => suggest::run(args, color),
        Command::Report(args) => report::run(args, color),
    }
}
