//! Connections: add, list, get, update, delete.

use std::io::{self, Write};

use clap::Subcommand;
use portcullis::registry::record::Connection;

use super::Exit;
use super::output::{Color, Format, Stdout};
use super::registry::{Common, invalid, json, lines};
use super::table::Table;

const EXAMPLES: &str = "\
Examples:
  portcullis connections add carto_dw --dialect bigquery
  portcullis connections add operations --dialect postgres --named-sources-only
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
    /// How it writes identifiers
    #[arg(long, value_name = "DIALECT")]
    dialect: Option<String>,
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
            let connection = registry.add_connection(&actor, &add.name, &add.dialect, add.named_sources_only)?;
            say("added", &connection, add.common.format)
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
            if update.dialect.is_none() && update.named_sources_only.is_none() {
                return Err(invalid("nothing to change", "give `--dialect` or `--named-sources-only`").into());
            }
            let (mut registry, actor) = update.common.registry.open()?;
            let connection = registry.update_connection(
                &actor,
                &update.name,
                update.dialect.as_deref(),
                update.named_sources_only,
            )?;
            say("updated", &connection, update.common.format)
        }
        Command::Delete(Named { name, common }) => {
            let (mut registry, actor) = common.registry.open()?;
            say("deleted", &registry.delete_connection(&actor, name)?, common.format)
        }
    }
}

fn say(done: &str, connection: &Connection, format: Format) -> anyhow::Result<Exit> {
    match format {
        Format::Json => json(connection),
        Format::Text => {
            let only = if connection.named_sources_only { ", named sources only" } else { "" };
            lines([&*format!("{done} connection `{}` ({}{only})", connection.name, connection.dialect.as_str())])
        }
    }
}

fn list(connections: &[Connection], color: Color) -> anyhow::Result<Exit> {
    if connections.is_empty() {
        return lines(["no connections; `portcullis connections add NAME --dialect DIALECT` adds one"]);
    }
    let mut table = Table::new(&["NAME", "DIALECT", "QUERIES"]);
    for Connection { name, dialect, named_sources_only } in connections {
        let queries = if *named_sources_only { "denied: named sources only" } else { "accepted" };
        table.row([name.clone(), dialect.as_str().to_owned(), queries.to_owned()]);
    }
    let mut out = Stdout::lock();
    table.print(color.on(&io::stdout()), &mut out)?;
    out.flush()?;
    Ok(Exit::Success)
}
