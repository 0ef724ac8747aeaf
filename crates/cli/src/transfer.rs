//! Exports the registry as a policy document, and imports documents.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::PathBuf;

use clap::ValueEnum;
use portcullis::base::quoted;
use portcullis_document::load::{Diagnostic, Input, MAX_PROBLEMS};
use portcullis_registry::{LeftOut, RegistryError};
use serde::Serialize;

use super::Exit;
use super::bounds::{MAX_COUNT, count};
use super::carto::{self, Listing, OtherPages};
use super::output::{Color, Format, Painted, Stdout, counted, write_json_text};
use super::policy::{MAX_ERRORS, read_one, render};
use super::registry::{RegistryArgs, invalid, lines, secret, warn};
use super::validate::total_shown;

const EXPORT_EXAMPLES: &str = "\
Examples:
  portcullis export --all-users > policy.json
  portcullis check --policy policy.json --requests requests.jsonl

The document has connections, APIs and tokens, with digests of their secrets. It
has no named sources and no OAuth clients: `portcullis backup` keeps them.";

const IMPORT_EXAMPLES: &str = "\
Examples:
  portcullis import policy.json --all-users
  portcullis export --db sqlite:old.db --all-users |
      portcullis import --db sqlite:new.db --all-users -

  portcullis import --from carto tokens.json

The whole document is imported, or nothing. Equal entries that already exist are
kept; an existing entry that differs is an error. Tokens without an owner become
yours.

`--from carto` reads the answer of CARTO's `GET /v3/tokens`. Fields that cannot
restrict a token, such as `account_id`, are ignored and reported; other unknown
fields are errors. Inactive tokens are left out and reported. 
have dialect `generic`: `portcullis connections update` sets it.";

/// Print the registry as a policy document
///
/// Has only your tokens, unless `--all-users` is given. Standard error reports how many tokens of other users were left
/// out.
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
    /// Set the format of FILE: `policy` or `carto`
    ///
    /// `carto` is a listing of CARTO's Tokens API.
    #[arg(long, value_name = "FORMAT", default_value = "policy", hide_possible_values = true)]
    from: ImportFormat,
    /// Give new secrets to tokens without one; `carto` only
    ///
    /// The new secrets are printed once. Clients must use them instead of the earlier ones.
    #[arg(long)]
    new_secrets: bool,
    /// Show at most this many errors, up to 100
    #[arg(long, value_name = "COUNT", default_value_t = MAX_ERRORS, value_parser = count::<1, MAX_COUNT>)]
    max_errors: usize,
    /// Print `text` or `json`
    #[arg(long, value_name = "FORMAT", default_value = "text", hide_possible_values = true)]
    format: Format,
    #[command(flatten)]
    registry: RegistryArgs,
}

/// The format of an imported file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ImportFormat {
    /// A policy document
    Policy,
    /// A listing of CARTO's Tokens API
    Carto,
}

/// The result of an import, as JSON.
#[derive(Serialize)]
struct ImportedJson {
    tokens: Vec<String>,
    connections: Vec<String>,
    apis: Vec<String>,
    unchanged: usize,
    /// New secrets, by the id of their token.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    secrets: BTreeMap<String, String>,
}

pub(super) fn export(args: &ExportArgs, color: Color) -> anyhow::Result<Exit> {
    let (mut registry, actor) = args.registry.open()?;
    let document = registry.export(&actor)?;
    let LeftOut { tokens, named_sources, clients } = registry.left_out(&actor)?;
    let mut out = Stdout::lock();
    write_json_text(&mut out, &document)?;
    out.flush()?;
    let mut stderr = io::stderr().lock();
    let note = Painted::bold(color.on(&stderr), "note:");
    if tokens > 0 {
        let tokens = counted(tokens, "token");
        writeln!(stderr, "{note} left out {tokens} of other users: `--all-users` includes them")?;
    }
    if named_sources + clients > 0 {
        let sources = counted(named_sources as u64, "named source");
        let clients = counted(clients as u64, "OAuth client");
        writeln!(stderr, "{note} left out {sources} and {clients}: a policy document cannot contain them")?;
    }
    Ok(Exit::Success)
}

pub(super) fn import(args: &ImportArgs, color: Color) -> anyhow::Result<Exit> {
    let mut input = read_one(&args.file, "FILE")?;
    let mut new_secrets = BTreeMap::new();
    if args.from == ImportFormat::Carto {
        let listing = carto::read(input.name(), input.text(), args.new_secrets)?;
        input = Input::generated(input.name(), &*listing.document);
        note_carto(&listing, color)?;
        let exposed = listing.new_secrets.iter().map(|(id, secret)| (id.clone(), secret.expose().to_owned()));
        new_secrets = exposed.collect();
    } else if args.new_secrets {
        return Err(
            invalid("`--new-secrets` is only for `--from carto`", "a policy document has its own secrets").into()
        );
    }
    let imported = match args.registry.add_to(|registry, actor| registry.import(actor, &input))? {
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
            if args.from == ImportFormat::Carto && diagnostics.iter().any(|it| it.code == "unknown_field") {
                let help = Painted::bold(paint, "help:");
                writeln!(stderr, "{help} remove an unknown field from the listing only if it restricts nothing")?;
            }
            return Ok(Exit::Failure);
        }
        other => other?,
    };
    warn(&imported.warnings, color)?;
    // Several secrets may be lost: `trail` has the ids of their tokens.
    let help = || "`portcullis credentials rotate token ID` creates another secret for each of them".to_owned();
    let has_secrets = !new_secrets.is_empty();
    let text = match args.format {
        Format::Json => serde_json::to_string_pretty(&ImportedJson {
            tokens: imported.tokens.into_iter().map(|token| token.id).collect(),
            connections: imported.connections.into_iter().map(|connection| connection.name).collect(),
            apis: imported.apis.into_iter().map(|api| api.name).collect(),
            unchanged: imported.unchanged,
            secrets: new_secrets,
        })?,
        Format::Text => {
            let done = format!(
                "imported {}, {}, {}; {} already existed",
                counted(imported.tokens.len() as u64, "token"),
                counted(imported.connections.len() as u64, "connection"),
                counted(imported.apis.len() as u64, "API"),
                imported.unchanged
            );
            let each = new_secrets.iter().map(|(id, secret)| format!("  {id}  {secret}"));
            std::iter::once(done).chain(each).collect::<Vec<_>>().join("\n")
        }
    };
    if has_secrets { secret(&[&text], help) } else { lines([&*text]) }
}

/// Notes what of a listing is not imported, on standard error.
fn note_carto(listing: &Listing, color: Color) -> io::Result<()> {
    let mut stderr = io::stderr().lock();
    let note = Painted::bold(color.on(&stderr), "note:");
    if !listing.ignored.is_empty() {
        let fields = listing.ignored.iter().map(|(name, count)| format!("{} ({count})", quoted(name)));
        let fields = fields.collect::<Vec<_>>().join(", ");
        writeln!(stderr, "{note} ignored fields that a registry does not have: {fields}")?;
    }
    if !listing.inactive.is_empty() {
        let ids = listing.inactive.iter().map(|id| quoted(id)).collect::<Vec<_>>().join(", ");
        writeln!(stderr, "{note} left out tokens that are not active: {ids}")?;
    }
    match listing.other_pages {
        OtherPages::None => {}
        OtherPages::Tokens(rest) => {
            let rest = counted(rest, "token");
            writeln!(stderr, "{note} other pages of the listing have {rest}: import them, too")?;
        }
        OtherPages::Some => writeln!(stderr, "{note} the listing has other pages: import them, too")?,
    }
    Ok(())
}
