//! The names of a catalog, one after the other.

use std::collections::BTreeMap;
use std::fs::{File, Metadata};
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::mpsc::sync_channel;

use anyhow::{Context, bail};
use portcullis::model::{Connection, Policy};
use portcullis::name::Dialect;
use portcullis_audit::catalog::{self, Broken, Row};

use super::progress::{Progress, interrupted, listen_for_interrupts};
use crate::output::{Color, Inputs, Painted, counted, printable};
use crate::policy::is_stdin;

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
    /// Do not show progress
    #[arg(short, long)]
    quiet: bool,
}

/// How far a catalog was read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    /// How many rows, the broken ones among them.
    pub(super) rows: u64,
    /// Whether the user stopped that before the end.
    pub(super) stopped: bool,
    /// Whether all of it was read, and every row held a name.
    pub(super) whole: bool,
}

/// What is wrong with a row that says no connection, where `option` does not say it either.
pub(super) fn no_connection(line: u64, option: &str) -> Broken {
    Broken { line, why: format!("no connection: the catalog needs the column `connection`, or `{option}`") }
}

/// Fails where that is wrong with all of `rows`.
pub(super) fn some_connection(path: &Path, rows: u64, without: u64, option: &str) -> anyhow::Result<()> {
    if rows > 0 && rows == without {
        bail!("`{}` says no connection: say whose names they are with `{option} NAME`", path.display());
    }
    Ok(())
}

const OPTION: &str = "--catalog-connection";

/// Reads the catalog at `path`, or from standard input for `-`, until it ends or the user interrupts.
pub(super) fn read(path: &Path, quiet: bool, mut see: impl FnMut(Result<Row<'_>, Broken>)) -> anyhow::Result<Seen> {
    listen_for_interrupts()?;
    let cannot = || format!("cannot read `{}`", path.display());
    Inputs::check_stdout(path)?;
    let file = if is_stdin(path) { None } else { Some(File::open(path).with_context(cannot)?) };
    let metadata = file.as_ref().and_then(|file| file.metadata().ok());
    let progress = Progress::new(metadata.filter(Metadata::is_file).map(|metadata| metadata.len()), quiet);
    let (mut rows, mut whole) = (0, true);
    let see = |row: Result<Row<'_>, Broken>| {
        rows += 1;
        whole &= row.is_ok();
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
    let stopped = interrupted();
    Ok(Seen { rows, stopped, whole: whole && !stopped })
}

/// Hands the connection and name of each row of the catalog to `see`, which says whether the name is well-formed. Rows that
/// cannot be read are told, and how many there are. Another thread reads meanwhile.
pub(super) fn each(
    path: &Path,
    args: &CatalogArgs,
    policy: &Policy,
    color: Color,
    mut see: impl FnMut(&str, &str) -> bool,
) -> anyhow::Result<Seen> {
    let dialects: BTreeMap<&str, _> =
        policy.connections().iter().map(|connection| (connection.name(), connection.dialect())).collect();
    let only = args.catalog_connection.as_deref();
    let (mut broken, mut first) = (0_u64, Vec::new());
    let (outcome, unnamed) = std::thread::scope(|scope| {
        let (send, batches) = sync_channel::<Rows>(4);
        let reader = scope.spawn(move || {
            let (mut rows, mut unnamed) = (Rows::default(), 0);
            let seen = read(path, args.quiet, |row| {
                let row = row.and_then(|row| {
                    let connection = row.connection.or(only).ok_or_else(|| {
                        unnamed += 1;
                        no_connection(row.line, OPTION)
                    });
                    Ok((connection?, row))
                });
                rows.push(row, &dialects);
                if rows.is_full() {
                    // Nobody receives only where this thread's parent has panicked.
                    let _ = send.send(std::mem::take(&mut rows));
                }
            });
            let _ = send.send(rows);
            (seen, unnamed)
        });
        let mut tell = |row: Broken| {
            broken += 1;
            if first.len() < TOLD {
                first.push(row);
            }
        };
        for rows in batches {
            for row in rows.iter() {
                match row {
                    Ok((line, connection, name)) if !see(connection, name) => {
                        let of = policy.connections().iter().find(|of| of.name() == connection);
                        let dialect = of.map(Connection::dialect).unwrap_or_default();
                        tell(Broken::malformed(line, name, dialect));
                    }
                    Ok(_) => {}
                    Err(broken) => tell(broken.clone()),
                }
            }
        }
        reader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    });
    let file = path.display();
    let mut stderr = io::stderr().lock();
    let label = Painted::bold(color.on(&stderr), "note:");
    for Broken { line, why } in &first {
        writeln!(stderr, "{label} `{file}`, line {line}: {}", printable(why))?;
    }
    if broken > first.len() as u64 {
        writeln!(stderr, "{label} `{file}`: {} cannot be read, these are the first", counted(broken, "row"))?;
    }
    let seen = outcome?;
    if seen.stopped {
        writeln!(stderr, "{label} reading `{file}` was interrupted after {}", counted(seen.rows, "row"))?;
    }
    some_connection(path, seen.rows, unnamed, OPTION)?;
    Ok(Seen { whole: seen.whole && broken == 0, ..seen })
}

/// Rows on their way from one thread to another.
#[derive(Default)]
struct Rows {
    text: String,
    /// For each row its line and where connection and name end in the text; or why there is none.
    rows: Vec<Result<(u64, usize, usize), Broken>>,
}

impl Rows {
    /// Takes in a row and its connection.
    fn push(&mut self, row: Result<(&str, Row<'_>), Broken>, dialects: &BTreeMap<&str, Dialect>) {
        self.rows.push(row.map(|(connection, row)| {
            self.text.push_str(connection);
            let connection_end = self.text.len();
            row.name.write(dialects.get(connection).copied().unwrap_or_default(), &mut self.text);
            (row.line, connection_end, self.text.len())
        }));
    }

    fn is_full(&self) -> bool {
        self.rows.len() >= 4096 || self.text.len() >= 1 << 20
    }

    /// Line, connection and name of each.
    fn iter(&self) -> impl Iterator<Item = Result<(u64, &str, &str), &Broken>> {
        let mut start = 0;
        self.rows.iter().map(move |row| {
            let &(line, connection_end, end) = row.as_ref()?;
            let part = |start: usize, end: usize| self.text.get(start..end).unwrap_or_default();
            let found = (line, part(start, connection_end), part(connection_end, end));
            start = end;
            Ok(found)
        })
    }
}
