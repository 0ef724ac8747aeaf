//! The `portcullis` command: arguments, standard streams, exit codes.
#![forbid(unsafe_code)]

mod audit;
mod bench;
mod bounds;
mod check;
mod compile;
mod connections;
mod credentials;
mod digest;
mod excerpt;
mod generate;
mod init;
mod inspect;
mod lines;
mod named_sources;
mod output;
mod policy;
mod pump;
mod read;
mod reading;
mod registry;
mod serve;
mod table;
mod trail;
mod transfer;
mod validate;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue};
use clap::{Parser, Subcommand};
use portcullis_registry::secret;

use output::{Color, Painted};

const EXAMPLES: &str = "\
Examples:
  portcullis init policy.json
  portcullis validate policy.json
  portcullis check --policy policy.json --token-env TOKEN \\
      --api maps --connection carto_dw --resource carto.shared.demo
  portcullis check --policy policy.json --requests requests.jsonl
  portcullis inspect --policy policy.json
  portcullis audit lint --policy policy.json
  portcullis compile --policy policy.json --output policy.pcls
  portcullis serve --policy policy.json
  portcullis read --requests recorded.jsonl
  portcullis connections add carto_dw --dialect bigquery
  portcullis credentials create token --apis maps \\
      --connection carto_dw --source carto.shared.demo

Exit codes: 0 valid, allowed or done; 1 invalid, denied or refused; 2 error.
Run `portcullis help COMMAND` for the options and examples of a command.";

/// Decide locally whether API access tokens allow requests
///
/// The policy is a set of JSON documents, a compiled file or a registry.
#[derive(Parser)]
#[command(name = "portcullis", version, after_help = EXAMPLES, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Color the output
    ///
    /// `auto`, `always` or `never`. `auto` prints colors on a terminal, unless `NO_COLOR` is set.
    #[arg(
        long,
        global = true,
        value_name = "WHEN",
        default_value = "auto",
        hide_possible_values = true,
        display_order = 1000
    )]
    color: Color,
}

#[derive(Subcommand)]
enum Command {
    Init(init::Args),
    Digest(digest::Args),
    Validate(validate::Args),
    Check(check::Args),
    Compile(compile::Args),
    Inspect(inspect::Args),
    Audit(audit::Args),
    Bench(bench::Args),
    Read(Box<read::Args>),
    Serve(Box<serve::Args>),
    Credentials(credentials::Args),
    Connections(connections::Args),
    NamedSources(named_sources::Args),
    Export(transfer::ExportArgs),
    Import(transfer::ImportArgs),
    Trail(trail::Args),
    Completions(generate::CompletionsArgs),
    Man(generate::ManArgs),
}

/// The exit code of a command that ran to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Exit {
    /// Valid, allowed, or done.
    Success = 0,
    /// Invalid, denied, or refused.
    No = 1,
    /// Part of the input could not be processed.
    Failure = 2,
}

/// Parses the arguments, runs the command and reports its error.
pub(crate) fn main() -> ExitCode {
    let cli = Cli::try_parse().unwrap_or_else(|error| without_secret(error).exit());
    let color = cli.color;
    let exit = run(cli).unwrap_or_else(|error| {
        if let Some(error) = error.downcast_ref() {
            return registry::report(error, color);
        }
        let mut stderr = io::stderr().lock();
        let label = Painted::red(color.on(&stderr), "error:");
        // A failure to write to standard error cannot be reported.
        let _ = writeln!(stderr, "{label} {error:#}");
        Exit::Failure
    });
    ExitCode::from(exit as u8)
}

fn run(cli: Cli) -> anyhow::Result<Exit> {
    match cli.command {
        Command::Init(args) => init::run(&args, cli.color),
        Command::Digest(args) => digest::run(&args),
        Command::Validate(args) => validate::run(&args, cli.color),
        Command::Check(args) => check::run(&args, cli.color),
        Command::Compile(args) => compile::run(&args, cli.color),
        Command::Inspect(args) => inspect::run(&args, cli.color),
        Command::Audit(args) => audit::run(&args, cli.color),
        Command::Bench(args) => bench::run(&args, cli.color),
        Command::Read(args) => read::run(&args, cli.color),
        Command::Serve(args) => serve::run(&args),
        Command::Credentials(args) => credentials::run(&args, cli.color),
        Command::Connections(args) => connections::run(&args, cli.color),
        Command::NamedSources(args) => named_sources::run(&args, cli.color),
        Command::Export(args) => transfer::export(&args, cli.color),
        Command::Import(args) => transfer::import(&args, cli.color),
        Command::Trail(args) => trail::run(&args, cli.color),
        Command::Completions(args) => generate::completions(&args),
        Command::Man(args) => generate::man(&args),
    }
}

/// Replaces secrets in a usage error by `…`: a token may be typed in the wrong argument.
fn without_secret(mut error: clap::Error) -> clap::Error {
    for kind in [ContextKind::InvalidSubcommand, ContextKind::InvalidArg, ContextKind::InvalidValue] {
        if matches!(error.get(kind), Some(ContextValue::String(text)) if secret::recognise(text).is_some()) {
            error.insert(kind, ContextValue::String("…".to_owned()));
        }
    }
    if !std::env::args_os().any(|arg| arg.to_string_lossy().starts_with("--token")) {
        return error;
    }
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => text.clone(),
        _ => String::new(),
    };
    let argument = text(ContextKind::InvalidArg);
    let mut hidden = vec![ContextKind::InvalidSubcommand];
    if argument.starts_with("--token") {
        hidden.push(ContextKind::InvalidValue);
    } else if !argument.starts_with('-') {
        hidden.push(ContextKind::InvalidArg);
    }
    for kind in hidden {
        if error.get(kind).is_some() {
            error.insert(kind, ContextValue::String("…".to_owned()));
        }
    }
    error
}
