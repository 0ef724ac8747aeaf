//! The `portcullis` command: arguments, standard streams, exit codes.
#![forbid(unsafe_code)]
#![cfg_attr(
    not(all(feature = "audit", feature = "workspace")),
    allow(dead_code, reason = "only the commands that are left out use some items of the shared modules")
)]

#[cfg(test)]
mod arguments;
#[cfg(feature = "audit")]
mod audit;
#[cfg(feature = "registry")]
mod backup;
mod bench;
mod bounds;
#[cfg(feature = "registry")]
mod carto;
mod check;
mod compile;
#[cfg(feature = "registry")]
mod connections;
#[cfg(feature = "registry")]
mod credentials;
mod digest;
mod environment;
mod excerpt;
#[cfg(feature = "generate")]
mod generate;
mod init;
mod input;
mod inspect;
mod lines;
mod named;
#[cfg(feature = "registry")]
mod named_sources;
mod output;
mod paths;
mod plain;
mod policy;
mod pump;
mod quantity;
mod read;
mod reading;
#[cfg(feature = "registry")]
mod registry;
#[cfg(feature = "scan")]
mod scan;
mod secret_input;
#[cfg(feature = "server")]
mod serve;
#[cfg(test)]
mod shapes;
mod synonyms;
mod table;
#[cfg(feature = "registry")]
mod trail;
#[cfg(feature = "registry")]
mod transfer;
mod validate;
#[cfg(feature = "workspace")]
mod workspace;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue};
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use portcullis::base::Escaped;

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
  portcullis scan --policy policy.json
  portcullis compile --policy policy.json --output policy.pcls
  portcullis serve --policy policy.json
  portcullis read --requests recorded.jsonl
  portcullis connections add carto_dw --dialect bigquery
  portcullis credentials create token --apis maps \\
      --connection carto_dw --source carto.shared.demo

Exit codes: 0 valid, allowed or done; 1 invalid, denied, refused, or an audit with
findings or widened access; 2 error.
Run `portcullis help COMMAND` for the options and examples of a command.";

/// Decide locally whether API access tokens allow requests
///
/// The policy is a set of JSON documents, a compiled file or a registry.
#[derive(Parser)]
#[command(name = "portcullis", version, after_help = EXAMPLES, max_term_width = 80)]
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
    #[cfg(feature = "audit")]
    Audit(audit::Args),
    #[cfg(feature = "scan")]
    Scan(Box<scan::Args>),
    Bench(bench::Args),
    Read(Box<read::Args>),
    #[cfg(feature = "server")]
    Serve(Box<serve::Args>),
    #[cfg(feature = "workspace")]
    Workspace(Box<workspace::Args>),
    #[cfg(feature = "registry")]
    Credentials(credentials::Args),
    #[cfg(feature = "registry")]
    Connections(connections::Args),
    #[cfg(feature = "registry")]
    NamedSources(named_sources::Args),
    #[cfg(feature = "registry")]
    Backup(backup::Args),
    #[cfg(feature = "registry")]
    Export(transfer::ExportArgs),
    #[cfg(feature = "registry")]
    Import(transfer::ImportArgs),
    #[cfg(feature = "registry")]
    Trail(trail::Args),
    #[cfg(feature = "generate")]
    Completions(generate::CompletionsArgs),
    #[cfg(feature = "generate")]
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

/// Returns the command line: its commands, options and the rules of their values.
pub(crate) fn command() -> clap::Command {
    bounds::with_rule(paths::with_rule(Cli::command()))
}

/// Parses the arguments, runs the command and reports its error.
pub(crate) fn main() -> ExitCode {
    let parsed = command()
        .try_get_matches_from(bounds::joined(std::env::args_os()))
        .and_then(|matches| Cli::from_arg_matches(&matches));
    let cli = parsed.unwrap_or_else(|error| {
        if let Some(message) = left_out(&error) {
            // There is nowhere left to report that this fails.
            let _ = writeln!(io::stderr(), "error: {message}");
            std::process::exit(i32::from(Exit::Failure as u8));
        }
        let mut error = escaped(without_secret(error));
        let args = std::env::args_os().skip(1).filter_map(|arg| arg.into_string().ok());
        synonyms::suggest(&mut error, &command(), args);
        error.exit()
    });
    let color = cli.color;
    let exit = run(cli).unwrap_or_else(|error| {
        #[cfg(feature = "registry")]
        if let Some(error) = error.downcast_ref() {
            return registry::report(error, color);
        }
        let mut stderr = io::stderr().lock();
        let label = Painted::red(color.on(&stderr), "error:");
        let error = plain::plain(&format!("{error:#}"));
        // A failure to write to standard error cannot be reported.
        let _ = writeln!(stderr, "{label} {}", Escaped::lines(&error));
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
        #[cfg(feature = "audit")]
        Command::Audit(args) => audit::run(&args, cli.color),
        #[cfg(feature = "scan")]
        Command::Scan(args) => scan::run(&args, cli.color),
        Command::Bench(args) => bench::run(&args, cli.color),
        Command::Read(args) => read::run(&args, cli.color),
        #[cfg(feature = "server")]
        Command::Serve(args) => serve::run(&args),
        #[cfg(feature = "workspace")]
        Command::Workspace(args) => workspace::run(&args),
        #[cfg(feature = "registry")]
        Command::Credentials(args) => credentials::run(&args, cli.color),
        #[cfg(feature = "registry")]
        Command::Connections(args) => connections::run(&args, cli.color),
        #[cfg(feature = "registry")]
        Command::NamedSources(args) => named_sources::run(&args, cli.color),
        #[cfg(feature = "registry")]
        Command::Backup(args) => backup::run(&args),
        #[cfg(feature = "registry")]
        Command::Export(args) => transfer::export(&args, cli.color),
        #[cfg(feature = "registry")]
        Command::Import(args) => transfer::import(&args, cli.color),
        #[cfg(feature = "registry")]
        Command::Trail(args) => trail::run(&args, cli.color),
        #[cfg(feature = "generate")]
        Command::Completions(args) => generate::completions(&args),
        #[cfg(feature = "generate")]
        Command::Man(args) => generate::man(&args),
    }
}

/// Escapes the arguments that a usage error repeats: a terminal must not act on them.
fn escaped(mut error: clap::Error) -> clap::Error {
    let safe = |text: &str| Escaped::whole(text).to_string();
    let given: Vec<(ContextKind, ContextValue)> = error
        .context()
        .filter_map(|(kind, value)| match value {
            ContextValue::String(text) => Some((kind, ContextValue::String(safe(text)))),
            ContextValue::Strings(texts) => {
                Some((kind, ContextValue::Strings(texts.iter().map(|text| safe(text)).collect())))
            }
            _ => None,
        })
        .collect();
    for (kind, value) in given {
        error.insert(kind, value);
    }
    error
}

/// Explains that this build leaves out the command that was given.
fn left_out(error: &clap::Error) -> Option<String> {
    const OPTIONAL: [(&str, &str, bool); 13] = [
        ("audit", "audit", cfg!(feature = "audit")),
        ("backup", "registry", cfg!(feature = "registry")),
        ("completions", "generate", cfg!(feature = "generate")),
        ("connections", "registry", cfg!(feature = "registry")),
        ("credentials", "registry", cfg!(feature = "registry")),
        ("export", "registry", cfg!(feature = "registry")),
        ("import", "registry", cfg!(feature = "registry")),
        ("man", "generate", cfg!(feature = "generate")),
        ("named-sources", "registry", cfg!(feature = "registry")),
        ("scan", "scan", cfg!(feature = "scan")),
        ("serve", "server", cfg!(feature = "server")),
        ("trail", "registry", cfg!(feature = "registry")),
        ("workspace", "workspace", cfg!(feature = "workspace")),
    ];
    let Some(ContextValue::String(given)) = error.get(ContextKind::InvalidSubcommand) else { return None };
    let (command, feature, _) = OPTIONAL.iter().find(|(command, _, built)| command == given && !built)?;
    Some(format!("this build does not have the command `{command}`\nhelp: build it with `--features {feature}`"))
}

/// Whether the text has one of our secrets, or a URL with a password.
fn is_secret(text: &str) -> bool {
    portcullis_secret::contains_secret(text) || portcullis_secret::without_passwords(text) != text
}

/// Replaces secrets in a usage error by `…`: a token may be typed in the wrong argument.
fn without_secret(mut error: clap::Error) -> clap::Error {
    for kind in [ContextKind::InvalidSubcommand, ContextKind::InvalidArg, ContextKind::InvalidValue] {
        if matches!(error.get(kind), Some(ContextValue::String(text)) if is_secret(text)) {
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
