//! The names of a catalog, one after the other.

use std::collections::BTreeMap;
use std::fs::{File, Metadata};
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use anyhow::Context;
use portcullis::audit::catalog::{self, Broken, Row};
use portcullis::model::Policy;

use super::progress::{Progress, interrupted, listen_for_interrupts};
use crate::cli::output::{Color, Painted, counted, printable};
use crate::cli::policy::is_stdin;

/// How many rows are told that cannot be read.
const TOLD: usize = 5;

/// A catalog.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Catalog")]
pub(super) struct CatalogArgs {
    /// The names that exist: CSV, JSON Lines or Parquet, the former plain, gzip or zstd, with `connection` and `name`, or
    /// the columns of `INFORMATION_SCHEMA.TABLES`; `-` for standard input
    #[arg(long, value_name = "FILE")]
    pub(super) catalog: Option<PathBuf>,
    /// The connection of all rows of a catalog that has no such column
    #[arg(long, value_name = "NAME")]
    catalog_connection: Option<String>,
}

/// How far a catalog was read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    /// How many rows, the broken ones among them.
    pub(super) rows: u64,
    /// Whether the user stopped that before the end.
    pub(super) stopped: bool,
}

/// Reads the catalog at `path`, or from standard input for `-`, until it ends or the user interrupts.
pub(super) fn read(path: &Path, quiet: bool, mut see: impl FnMut(Result<Row<'_>, Broken>)) -> anyhow::Result<Seen> {
    listen_for_interrupts()?;
    let cannot = || format!("cannot read `{}`", path.display());
    let file = if is_stdin(path) { None } else { Some(File::open(path).with_context(cannot)?) };
    let metadata = file.as_ref().and_then(|file| file.metadata().ok());
    let progress = Progress::new(metadata.filter(Metadata::is_file).map(|metadata| metadata.len()), quiet);
    let mut rows = 0;
    let see = |row: Result<Row<'_>, Broken>| {
        rows += 1;
        progress.rows(rows);
        see(row);
        if interrupted() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let read = match file {
        Some(file) => catalog::read_file(file, |at| progress.at(at), see),
        None => catalog::read(io::stdin().lock(), see),
    };
    progress.end();
    read.with_context(cannot)?;
    Ok(Seen { rows, stopped: interrupted() })
}

/// Hands the connection and name of each row of the catalog to `see`, which says whether the name is well-formed. Rows that
/// cannot be read are told, and how many there are.
pub(super) fn each(
    path: &Path,
    args: &CatalogArgs,
    policy: &Policy,
    color: Color,
    mut see: impl FnMut(&str, &str) -> bool,
) -> anyhow::Result<Seen> {
    let dialects: BTreeMap<&str, _> =
        policy.connections().iter().map(|connection| (connection.name(), connection.dialect())).collect();
    let (mut broken, mut first, mut text) = (0_u64, Vec::new(), String::new());
    let mut one = |row: Row<'_>| -> Result<(), String> {
        let Some(connection) = row.connection.or(args.catalog_connection.as_deref()) else {
            return Err(
                "no connection: the catalog needs the column `connection`, or `--catalog-connection`".to_owned()
            );
        };
        text.clear();
        row.name.write(dialects.get(connection).copied().unwrap_or_default(), &mut text);
        if see(connection, &text) {
            Ok(())
        } else {
            Err(format!("`{}` is no name on `{connection}`", printable(&text)))
        }
    };
    let outcome = read(path, false, |row| {
        let seen =
            row.map_err(|broken| (broken.line, broken.why)).and_then(|row| one(row).map_err(|why| (row.line, why)));
        if let Err(why) = seen {
            broken += 1;
            if first.len() < TOLD {
                first.push(why);
            }
        }
    });
    let file = path.display();
    let mut stderr = io::stderr().lock();
    let label = Painted::bold(color.on(&stderr), "note:");
    for (line, why) in &first {
        writeln!(stderr, "{label} `{file}`, line {line}: {}", printable(why))?;
    }
    if broken > first.len() as u64 {
        writeln!(stderr, "{label} `{file}`: {} cannot be read, these are the first", counted(broken, "row"))?;
    }
    let seen = outcome?;
    if seen.stopped {
        writeln!(stderr, "{label} reading `{file}` was interrupted after {}", counted(seen.rows, "row"))?;
    }
    Ok(seen)
}
