//! The commands for named sources.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Subcommand;
use portcullis_registry::NamedSourceEdit;
use portcullis_registry::record::NamedSource;
use serde::Serialize;

use super::Exit;
use super::bounds::{MAX_COUNT, count};
use super::input;
use super::output::{Color, Format, Stdout, counted};
use super::registry::{Common, answer, hidden, invalid, json, lines};
use super::table::Table;

const EXAMPLES: &str = "\
Examples:
  portcullis named-sources create open-orders --connection warehouse \\
      --sql 'SELECT * FROM orders WHERE open'
  portcullis named-sources create fleet --sql-file fleet.sql
  portcullis named-sources list --search order --page 2
  portcullis credentials create token --apis sql \\
      --connection warehouse --source open-orders";

/// Manage named sources: stored queries that are granted by name
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES, subcommand_required = true, arg_required_else_help = true)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Create a named source
    #[command(
        after_long_help = "Example:\n  portcullis named-sources create fleet --sql-file fleet.sql",
        mut_arg("all_users", hidden)
    )]
    Create(Create),
    /// List named sources
    #[command(
        after_long_help = "Example:\n  portcullis named-sources list --search order --page 2",
        mut_arg("all_users", hidden)
    )]
    List(List),
    /// Show a named source with its SQL
    #[command(after_long_help = "Example:\n  portcullis named-sources get fleet", mut_arg("all_users", hidden))]
    Get(Named),
    /// Change a named source
    #[command(after_long_help = "Example:\n  portcullis named-sources update fleet --connection warehouse")]
    Update(Update),
    /// Delete a named source that no token is granted
    #[command(after_long_help = "Example:\n  portcullis named-sources delete fleet")]
    Delete(Named),
}

#[derive(Debug, clap::Args)]
struct Create {
    /// Name: 3 to 51 lower-case letters, digits, `-` and `_`
    name: String,
    #[command(flatten)]
    sql: Sql,
    /// Limit the source to this connection [default: all]
    #[arg(long, value_name = "NAME")]
    connection: Option<String>,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, clap::Args)]
struct Update {
    /// Name of the source
    name: String,
    #[command(flatten)]
    sql: Sql,
    /// Limit the source to this connection
    #[arg(long, value_name = "NAME", conflicts_with = "every_connection")]
    connection: Option<String>,
    /// Make the source available on every connection
    #[arg(long)]
    every_connection: bool,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, clap::Args)]
struct Sql {
    /// Set the SQL
    #[arg(long = "sql", value_name = "SQL", conflicts_with = "file")]
    text: Option<String>,
    /// Read the SQL from this file; `-` is standard input
    #[arg(long = "sql-file", value_name = "FILE")]
    file: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
struct List {
    /// List only sources with this text in name or SQL
    ///
    /// Upper and lower case are equal.
    #[arg(long, value_name = "TEXT")]
    search: Option<String>,
    /// Show this page
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = count::<1, MAX_COUNT>)]
    page: usize,
    /// Set the number of sources on a page
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = count::<1, MAX_COUNT>)]
    page_size: usize,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, clap::Args)]
struct Named {
    /// Name of the source
    name: String,
    #[command(flatten)]
    common: Common,
}

/// A page of the list, as JSON.
#[derive(Serialize)]
struct Listed<'s> {
    total: usize,
    page: usize,
    page_size: usize,
    named_sources: &'s [NamedSource],
}

pub(super) fn run(args: &Args, color: Color) -> anyhow::Result<Exit> {
    match &args.command {
        Command::Create(create) => {
            let Some(sql) = create.sql.read()? else {
                return Err(invalid("the SQL is missing", "give `--sql` or `--sql-file`").into());
            };
            let source = create.common.registry.add_to(|registry, actor| {
                registry.create_named_source(actor, &create.name, &sql, create.connection.as_deref())
            })??;
            print_change("created", &source, create.common.format)
        }
        Command::List(args) => list(args, color),
        Command::Get(Named { name, common }) => {
            let source = common.registry.open()?.0.named_source(name)?;
            match common.format {
                Format::Json => json(&source),
                Format::Text => lines([
                    &*format!("name        {}", source.name),
                    &format!("connection  {}", connection(&source)),
                    &format!("sql         {}", source.query),
                ]),
            }
        }
        Command::Update(update) => {
            let moved = update.connection.clone().map(Some).or(update.every_connection.then_some(None));
            let edit = NamedSourceEdit { query: update.sql.read()?, connection: moved };
            if edit.query.is_none() && edit.connection.is_none() {
                let help = "give `--sql`, `--sql-file`, `--connection` or `--every-connection`";
                return Err(invalid("nothing to change", help).into());
            }
            let (mut registry, actor) = update.common.registry.open_to_change()?;
            print_change("updated", &registry.update_named_source(&actor, &update.name, &edit)?, update.common.format)
        }
        Command::Delete(Named { name, common }) => {
            let (mut registry, actor) = common.registry.open_to_change()?;
            print_change("deleted", &registry.delete_named_source(&actor, name)?, common.format)
        }
    }
}

impl Sql {
    fn read(&self) -> anyhow::Result<Option<String>> {
        let Some(path) = &self.file else { return Ok(self.text.clone()) };
        input::sql(path, "--sql-file").map(Some)
    }
}

fn list(args: &List, color: Color) -> anyhow::Result<Exit> {
    let mut sources = args.common.registry.open()?.0.named_sources()?;
    if let Some(search) = &args.search {
        let search = search.to_lowercase();
        sources.retain(|source| [&source.name, &source.query].iter().any(|text| text.to_lowercase().contains(&search)));
    }
    let total = sources.len();
    let (page, page_size) = (args.page, args.page_size);
    let shown: Vec<_> = sources.into_iter().skip((page - 1).saturating_mul(page_size)).take(page_size).collect();
    if args.common.format == Format::Json {
        return json(&Listed { total, page, page_size, named_sources: &shown });
    }
    if shown.is_empty() {
        let what = if total == 0 { "no named sources".to_owned() } else { format!("page {page} is empty") };
        return lines([&*format!("{what}; {} in total", counted(total as u64, "named source"))]);
    }
    let mut table = Table::new(&["NAME", "CONNECTION", "SQL"]);
    for source in &shown {
        table.row([source.name.clone(), connection(source).to_owned(), source.query.clone()]);
    }
    let mut out = Stdout::lock();
    table.print(color.on(&io::stdout()), &mut out)?;
    if shown.len() < total {
        writeln!(out, "page {page} of {}, {}", total.div_ceil(page_size), counted(total as u64, "named source"))?;
    }
    out.flush()?;
    Ok(Exit::Success)
}

fn connection(source: &NamedSource) -> &str {
    source.connection.as_deref().unwrap_or("(every)")
}

/// Prints a changed named source.
fn print_change(done: &str, source: &NamedSource, format: Format) -> anyhow::Result<Exit> {
    answer(format, source, || {
        let on = source.connection.as_ref().map_or_else(String::new, |name| format!(" on `{name}`"));
        format!("{done} named source `{}`{on}", source.name)
    })
}
