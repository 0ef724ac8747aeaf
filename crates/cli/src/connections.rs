//! The commands for connections.

use clap::Subcommand;
use portcullis::name::Dialect;
use portcullis_document::load::UnreachableConnection;
use portcullis_registry::Reread;
use portcullis_registry::record::Connection;
use serde::Serialize;

use super::Exit;
use super::output::{Color, Format};
use super::registry::{Common, answer, hidden, invalid, json, lines, print_table, warn_of};
use super::table::Table;

const EXAMPLES: &str = "\
Examples:
  portcullis connections add carto_dw --dialect bigquery
  portcullis connections add operations --dialect postgres --named-sources-only
  portcullis connections update warehouse --dialect redshift --case-sensitive
  portcullis connections update operations --named-sources-only false
  portcullis connections list --format json";

/// Manage connections
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES, subcommand_required = true, arg_required_else_help = true)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Add a connection
    #[command(
        after_long_help = "Example:\n  portcullis connections add carto_dw --dialect bigquery",
        mut_arg("all_users", hidden)
    )]
    Add(Add),
    /// List connections
    #[command(after_long_help = "Example:\n  portcullis connections list --format json", mut_arg("all_users", hidden))]
    List(List),
    /// Show a connection
    #[command(after_long_help = "Example:\n  portcullis connections get carto_dw", mut_arg("all_users", hidden))]
    Get(Named),
    /// Change a connection
    ///
    /// Fails if a grant on the connection is malformed in the new dialect.
    #[command(after_long_help = "Example:\n  portcullis connections update operations --named-sources-only false")]
    Update(Update),
    /// Delete a connection that has no grants
    #[command(after_long_help = "Example:\n  portcullis connections delete carto_dw")]
    Delete(Named),
}

#[derive(Debug, clap::Args)]
struct Add {
    /// Name in grants and requests
    name: String,
    /// Set the SQL dialect, such as `bigquery`
    ///
    /// One of `generic`, `bigquery`, `snowflake`, `oracle`, `postgres`, `redshift`, `databricks`.
    #[arg(long, value_name = "DIALECT", default_value = "generic")]
    dialect: String,
    /// Keep the case of quoted names; `redshift` only [default: false]
    ///
    /// For clusters with `enable_case_sensitive_identifier`.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    case_sensitive: Option<bool>,
    /// Deny queries on the connection, even granted ones [default: false]
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
    /// Name of the connection
    name: String,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, clap::Args)]
struct Update {
    /// Name of the connection
    name: String,
    /// Set the SQL dialect, such as `bigquery`
    ///
    /// Prints how many grants then cover other names.
    #[arg(long, value_name = "DIALECT")]
    dialect: Option<String>,
    /// Keep the case of quoted names; `redshift` only
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    case_sensitive: Option<bool>,
    /// Deny queries on the connection, even granted ones
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    named_sources_only: Option<bool>,
    #[command(flatten)]
    common: Common,
}

pub(super) fn run(args: &Args, color: Color) -> anyhow::Result<Exit> {
    match &args.command {
        Command::Add(add) => {
            let Add { name, dialect, case_sensitive, named_sources_only, common } = add;
            let connection = common.registry.add_to(|registry, actor| {
                registry.add_connection(actor, name, dialect, *case_sensitive, *named_sources_only)
            })??;
            if let Some(warning) = UnreachableConnection::of(name) {
                warn_of(&warning.message, warning.help, color)?;
            }
            print_change("added", &connection, "", add.common.format)
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
            let (mut registry, actor) = update.common.registry.open_to_change()?;
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
                    let effect = format!("; {changed} of {total} granted names and patterns now cover other names");
                    print_change("updated", &updated.connection, &effect, Format::Text)
                }
                Format::Json if total > 0 => json(&UpdatedJson {
                    connection: &updated.connection,
                    grants_read_anew: total,
                    grants_changed: changed,
                }),
                format => print_change("updated", &updated.connection, "", format),
            }
        }
        Command::Delete(Named { name, common }) => {
            let (mut registry, actor) = common.registry.open_to_change()?;
            print_change("deleted", &registry.delete_connection(&actor, name)?, "", common.format)
        }
    }
}

/// An updated connection whose grants were parsed again, as JSON.
#[derive(Serialize)]
struct UpdatedJson<'a> {
    #[serde(flatten)]
    connection: &'a Connection,
    grants_read_anew: usize,
    grants_changed: usize,
}

/// Prints a changed connection.
fn print_change(done: &str, connection: &Connection, effect: &str, format: Format) -> anyhow::Result<Exit> {
    answer(format, connection, || {
        let only = if connection.named_sources_only { ", named sources only" } else { "" };
        format!("{done} connection `{}` ({}{only}){effect}", connection.name, shown(connection.dialect))
    })
}

fn shown(dialect: Dialect) -> String {
    let case = if dialect.is_case_sensitive() { ", case-sensitive" } else { "" };
    format!("{dialect}{case}")
}

fn list(connections: &[Connection], color: Color) -> anyhow::Result<Exit> {
    if connections.is_empty() {
        return lines(["no connections; add one with `portcullis connections add NAME --dialect DIALECT`"]);
    }
    let mut table = Table::new(&["NAME", "DIALECT", "QUERIES"]);
    for Connection { name, dialect, named_sources_only } in connections {
        let queries = if *named_sources_only { "denied: named sources only" } else { "accepted" };
        table.row([name.clone(), shown(*dialect), queries.to_owned()]);
    }
    print_table(&table, color)
}
