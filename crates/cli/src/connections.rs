//! Connections: add, list, get, update, delete.

use std::io::{self, Write};

use clap::Subcommand;
use portcullis::name::Dialect;
use portcullis_registry::Reread;
use portcullis_registry::record::Connection;
use serde::Serialize;

use super::Exit;
use super::output::{Color, Format, Stdout};
use super::registry::{Common, invalid, json, lines};
use super::table::Table;

const EXAMPLES: &str = "\
Examples:
  portcullis connections add carto_dw --dialect bigquery
  portcullis connections add operations --dialect postgres --named-sources-only
  portcullis connections update warehouse --dialect redshift --case-sensitive
  portcullis connections update operations --named-sources-only false
  portcullis connections list --format json";

/// Manage the connections that tokens are granted on
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, subcommand_required = true, arg_required_else_help = true)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Add a connection
    Add(Add),
    /// Show all connections
    List(List),
    /// Show one connection
    Get(Named),
    /// Change a connection: its grants must be well-formed in its dialect still
    Update(Update),
    /// Delete a connection that nothing is granted on
    Delete(Named),
}

#[derive(Debug, clap::Args)]
struct Add {
    /// What grants and requests call it
    name: String,
    /// How it writes identifiers: `generic`, `bigquery`, `snowflake`, `oracle`, `postgres`, `redshift`, `databricks`
    #[arg(long, value_name = "DIALECT", default_value = "generic")]
    dialect: String,
    /// Read quoted names with their letters as written: `redshift` with `enable_case_sensitive_identifier` only
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    case_sensitive: Option<bool>,
    /// Deny queries on it whatever the grants
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = false, default_value = "false", default_missing_value = "true", hide_default_value = true)]
    named_sources_only: bool,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, clap::Args)]
struct List {
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, clap::Args)]
struct Named {
    /// Its name
    name: String,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, clap::Args)]
struct Update {
    /// Its name
    name: String,
    /// How it writes identifiers; reports how many grants on it then cover other names
    #[arg(long, value_name = "DIALECT")]
    dialect: Option<String>,
    /// Whether to read quoted names with their letters as written: `redshift` only
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    case_sensitive: Option<bool>,
    /// Whether to deny queries on it whatever the grants
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    named_sources_only: Option<bool>,
    #[command(flatten)]
    common: Common,
}

pub(super) fn run(args: &Args, color: Color) -> anyhow::Result<Exit> {
    match &args.command {
        Command::Add(add) => {
            let (mut registry, actor) = add.common.registry.open()?;
            let connection =
                registry.add_connection(&actor, &add.name, &add.dialect, add.case_sensitive, add.named_sources_only)?;
            say("added", &connection, "", add.common.format)
        }
        Command::List(List { common }) => {
            let connections = common.registry.open()?.0.connections()?;
            match common.format {
                Format::Json => json(&connections),
                Format::Text => list(&connections, color),
            }
        }
        Command::Get(Named { name, common }) => {
            let connection = common.registry.open()?.0.connection(name)?;
            match common.format {
                Format::Json => json(&connection),
                Format::Text => list(&[connection], color),
            }
        }
        Command::Update(update) => {
            if update.dialect.is_none() && update.case_sensitive.is_none() && update.named_sources_only.is_none() {
                let help = "give `--dialect`, `--case-sensitive` or `--named-sources-only`";
                return Err(invalid("nothing to change", help).into());
            }
            let (mut registry, actor) = update.common.registry.open()?;
            let updated = registry.update_connection(
                &actor,
                &update.name,
                update.dialect.as_deref(),
                update.case_sensitive,
                update.named_sources_only,
            )?;
            let Reread { total, changed } = updated.grants;
            match update.common.format {
                Format::Text if total > 0 => {
                    let effect = format!("; {changed} of its {total} granted names and patterns now cover other names");
                    say("updated", &updated.connection, &effect, Format::Text)
                }
                Format::Json if total > 0 => json(&UpdatedJson {
                    connection: &updated.connection,
                    grants_read_anew: total,
                    grants_changed: changed,
                }),
                format => say("updated", &updated.connection, "", format),
            }
        }
        Command::Delete(Named { name, common }) => {
            let (mut registry, actor) = common.registry.open()?;
            say("deleted", &registry.delete_connection(&actor, name)?, "", common.format)
        }
    }
}

/// A connection whose dialect changed.
#[derive(Serialize)]
struct UpdatedJson<'a> {
    #[serde(flatten)]
    connection: &'a Connection,
    grants_read_anew: usize,
    grants_changed: usize,
}

fn say(done: &str, connection: &Connection, effect: &str, format: Format) -> anyhow::Result<Exit> {
    match format {
        Format::Json => json(connection),
        Format::Text => {
            let only = if connection.named_sources_only { ", named sources only" } else { "" };
            let dialect = shown(connection.dialect);
            lines([&*format!("{done} connection `{}` ({dialect}{only}){effect}", connection.name)])
        }
    }
}

fn shown(dialect: Dialect) -> String {
    let case = if dialect.is_case_sensitive() { ", case-sensitive" } else { "" };
    format!("{dialect}{case}")
}

fn list(connections: &[Connection], color: Color) -> anyhow::Result<Exit> {
    if connections.is_empty() {
        return lines(["no connections; `portcullis connections add NAME --dialect DIALECT` adds one"]);
    }
    let mut table = Table::new(&["NAME", "DIALECT", "QUERIES"]);
    for Connection { name, dialect, named_sources_only } in connections {
        let queries = if *named_sources_only { "denied: named sources only" } else { "accepted" };
        table.row([name.clone(), shown(*dialect), queries.to_owned()]);
    }
    let mut out = Stdout::lock();
    table.print(color.on(&io::stdout()), &mut out)?;
    out.flush()?;
    Ok(Exit::Success)
}
