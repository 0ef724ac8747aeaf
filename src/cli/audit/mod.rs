//! Questions to a policy, offline.

mod catalog;
mod exposure;
mod lint;
mod report;
mod suggest;
mod usage;

use clap::Subcommand;

use super::Exit;
use super::output::Color;

/// Ask what a policy exposes, and what is wrong with it
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Exposure(exposure::Args),
    Lint(lint::Args),
    Suggest(suggest::Args),
    Report(report::Args),
}

pub(super) fn run(args: &Args, color: Color) -> anyhow::Result<Exit> {
    match &args.command {
        Command::Exposure(args) => exposure::run(args, color),
        Command::Lint(args) => lint::run(args, color),
        Command::Suggest(args) => suggest::run(args, color),
        Command::Report(args) => report::run(args, color),
    }
}
