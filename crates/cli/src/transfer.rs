//! Exports the registry as a policy document, and imports documents.

use std::io::{self, Write};
use std::path::PathBuf;

use portcullis_document::load::{Diagnostic, MAX_PROBLEMS};
use portcullis_registry::RegistryError;
use serde::Serialize;

use super::Exit;
use super::output::{Color, Format, Painted, Stdout, counted};
use super::policy::{MAX_ERRORS, read_one, render};
use super::registry::{RegistryArgs, json, lines, warn};
use super::validate::total_shown;

const EXPORT_EXAMPLES: &str = "\
Examples:
  portcullis export --all-users > policy.json
  portcullis check --policy policy.json --requests requests.jsonl

The document has connections, APIs and tokens, with digests of their secrets. It
has no named sources and no OAuth clients. To keep everything, copy the file of
the registry.";

const IMPORT_EXAMPLES: &str = "\
Examples:
  portcullis import policy.json --all-users
  portcullis export --db sqlite:old.db --all-users |
      portcullis import --db sqlite:new.db --all-users -

The whole document is imported, or nothing. Equal entries that already exist are
kept; an existing entry that differs is an error. Tokens without an owner become
yours.";

/// Print the registry as a policy document
///
/// Has only your tokens and those without an owner, unless `--all-users` is given.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXPORT_EXAMPLES)]
pub(super) struct ExportArgs {
    #[command(flatten)]
    registry: RegistryArgs,
}

/// Import a policy document into the registry
#[derive(Debug, clap::Args)]
#[command(after_long_help = IMPORT_EXAMPLES)]
pub(super) struct ImportArgs {
    /// Policy document; `-` is standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Show at most this many errors, up to 100
    #[arg(long, value_name = "COUNT", default_value_t = MAX_ERRORS)]
    max_errors: usize,
    /// Print `text` or `json`
    #[arg(long, value_name = "FORMAT", default_value = "text", hide_possible_values = true)]
    format: Format,
    #[command(flatten)]
    registry: RegistryArgs,
}

/// The result of an import, as JSON.
#[derive(Serialize)]
struct ImportedJson {
    tokens: Vec<String>,
    connections: Vec<String>,
    apis: Vec<String>,
    unchanged: usize,
}

pub(super) fn export(args: &ExportArgs, color: Color) -> anyhow::Result<Exit> {
    let (mut registry, actor) = args.registry.open()?;
    let document = registry.export(&actor)?;
    let (sources, clients) = registry.left_out(&actor)?;
    let mut out = Stdout::lock();
    out.write_all(document.as_bytes())?;
    out.flush()?;
    if sources + clients > 0 {
        let (sources, clients) = (counted(sources as u64, "named source"), counted(clients as u64, "OAuth client"));
        let mut stderr = io::stderr().lock();
        let note = Painted::bold(color.on(&stderr), "note:");
        writeln!(stderr, "{note} left out {sources} and {clients}: a policy document cannot contain them")?;
    }
    Ok(Exit::Success)
}

pub(super) fn import(args: &ImportArgs, color: Color) -> anyhow::Result<Exit> {
    let input = read_one(&args.file, "FILE")?;
    let (mut registry, actor) = args.registry.open()?;
    let imported = match registry.import(&actor, &input) {
        Err(RegistryError::Definition(diagnostics)) => {
            let mut text = String::new();
            let mut stderr = io::stderr().lock();
            let paint = color.on(&stderr);
            let shown: Vec<&Diagnostic> = diagnostics.iter().take(args.max_errors).collect();
            render(&[input], &shown, paint, &mut text)?;
            let count = total_shown(diagnostics.len(), "error", shown.len());
            // Diagnostics above the limit are not stored.
            let count = if diagnostics.len() < MAX_PROBLEMS { count } else { format!("at least {count}") };
            let label = Painted::red(paint, "error:");
            writeln!(stderr, "{text}{label} the document has {count}: nothing was imported")?;
            return Ok(Exit::Failure);
        }
        other => other?,
    };
    warn(&imported.warnings, color)?;
    match args.format {
        Format::Json => json(&ImportedJson {
            tokens: imported.tokens.into_iter().map(|token| token.id).collect(),
            connections: imported.connections.into_iter().map(|connection| connection.name).collect(),
            apis: imported.apis.into_iter().map(|api| api.name).collect(),
            unchanged: imported.unchanged,
        }),
        Format::Text => lines([&*format!(
            "imported {}, {}, {}; {} already existed",
            counted(imported.tokens.len() as u64, "token"),
            counted(imported.connections.len() as u64, "connection"),
            counted(imported.apis.len() as u64, "API"),
            imported.unchanged
        )]),
    }
}
