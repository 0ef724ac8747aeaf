//! Reads a catalog row by row.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::mpsc::sync_channel;

use anyhow::{Context, bail};
use portcullis::base::quoted;
use portcullis::model::Policy;
use portcullis::name::Dialect;
use portcullis_audit::catalog::{self, Broken, Row, Skipped};

use super::database::{DatabaseArgs, Databases};
use super::named;
use super::progress::{Progress, interrupted, listen_for_interrupts};
use super::wrapped;
use crate::input::Opened;
use crate::output::{Color, Painted, cannot_read, counted, file_name, printable};

/// The number of unreadable rows that are reported one by one.
const REPORTED_ROWS: usize = 5;

/// The catalog of a command.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Catalog")]
pub(crate) struct CatalogArgs {
    /// Read names from this file; `-` is standard input
    ///
    /// CSV, JSON Lines, a JSON list or Parquet; text may be compressed with gzip or zstd. The columns are `connection` and
    /// `name`, or those of a listing such as `INFORMATION_SCHEMA.TABLES` or `SHOW TABLES`.
    #[arg(long, value_name = "FILE")]
    pub(crate) catalog: Option<PathBuf>,
    /// Use this connection for rows without one
    ///
    /// For a catalog that has no `connection` column.
    #[arg(long, value_name = "NAME")]
    catalog_connection: Option<String>,
    #[command(flatten)]
    database: DatabaseArgs,
    /// Hide the progress bar
    #[arg(short, long)]
    quiet: bool,
}

/// How far a catalog was read.
#[derive(Debug, Clone)]
pub(super) struct CatalogProgress {
    /// The number of rows, including broken ones.
    pub(super) rows: u64,
    /// Whether the user interrupted reading.
    pub(super) interrupted: bool,
    /// Whether the catalog was read to its end and every row held a name.
    pub(super) complete: bool,
    /// The rows that are not tables or views.
    skipped: Skipped,
}

impl CatalogProgress {
    /// Describes the rows that are not tables or views; `None` if there is none.
    pub(super) fn skipped(&self) -> Option<String> {
        let rows = self.skipped.rows();
        let (row, be) = (counted(rows, "row"), if rows == 1 { "is" } else { "are" });
        (rows > 0).then(|| format!("{row} {be} skipped as neither table nor view: {}", self.skipped))
    }
}

/// The error of a row without a connection, if `option` is not given either.
pub(super) fn no_connection(line: u64, option: &str) -> Broken {
    Broken { line, why: format!("no connection: the catalog needs the column `connection`, or `{option}`") }
}

/// Fails if the catalog has no row, or if no row has a connection: `without` equals `rows`.
pub(super) fn require_rows(path: &Path, progress: &CatalogProgress, without: u64, option: &str) -> anyhow::Result<()> {
    let rows = progress.rows;
    if rows == 0 {
        if let Some(skipped) = progress.skipped() {
            bail!("{} has no names: {skipped}\nhelp: give a catalog with at least one table", file_name(path));
        }
        bail!("{} has no names: give a catalog with at least one row", file_name(path));
    }
    if rows == without {
        bail!("{} has no connection in any row: name the connection with `{option} NAME`", file_name(path));
    }
    Ok(())
}

/// Fails if names were read, but none is on one of the `connections` that count. `other` is the connection of the first
/// name.
pub(super) fn require_known<'c>(
    path: &Path,
    known: u64,
    other: Option<&str>,
    connections: impl Iterator<Item = &'c str>,
) -> anyhow::Result<()> {
    let Some(other) = other.filter(|_| known == 0) else { return Ok(()) };
    let mut shown: Vec<String> = connections.take(SHOWN_CONNECTIONS + 1).map(quoted).collect();
    if shown.len() > SHOWN_CONNECTIONS {
        shown.truncate(SHOWN_CONNECTIONS);
        shown.push("…".to_owned());
    }
    if shown.is_empty() {
        bail!(
            "`{}` has no name that counts, because the policy has no connection\nhelp: give a policy with at least one grant",
            path.display()
        );
    }
    bail!(
        "`{}` has no name that counts: expected names on {}, found names on {}",
        path.display(),
        shown.join(", "),
        quoted(other)
    );
}

/// The number of connections that an error lists.
const SHOWN_CONNECTIONS: usize = 5;

const OPTION: &str = "--catalog-connection";

/// Reads the catalog at `path`, or from standard input for `-`, until it ends or the user interrupts.
pub(super) fn read(
    path: &Path,
    quiet: bool,
    mut visit: impl FnMut(Result<Row<'_>, Broken>),
) -> anyhow::Result<CatalogProgress> {
    listen_for_interrupts()?;
    let cannot = || cannot_read(path);
    let opened = Opened::open(path, "--catalog")?;
    let progress = Progress::new(opened.size(), quiet);
    let (mut rows, mut complete) = (0, true);
    let visit = |row: Result<Row<'_>, Broken>| {
        rows += 1;
        complete &= row.is_ok();
        progress.rows(rows);
        visit(row);
        if interrupted() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let read = match opened {
        Opened::File(file, _) | Opened::Stream(file) => catalog::read_file(file, |bytes| progress.bytes(bytes), visit),
        Opened::Stdin(stdin) => catalog::read(stdin.lock(), visit),
    };
    progress.end();
    let skipped = read.with_context(cannot)?;
    let interrupted = interrupted();
    Ok(CatalogProgress { rows, interrupted, complete: complete && !interrupted, skipped })
}

/// Calls `visit` with the connection and name of each row. `visit` returns whether the name is well-formed. Connections
/// that several `policies` have are those of the first.
///
/// Reports the first unreadable rows and their number on standard error. A second thread reads the file.
pub(super) fn each(
    path: &Path,
    args: &CatalogArgs,
    policies: &[&Policy],
    color: Color,
    mut visit: impl FnMut(&str, &str) -> bool,
) -> anyhow::Result<CatalogProgress> {
    let mut dialects: BTreeMap<&str, Dialect> = BTreeMap::new();
    for connection in policies.iter().flat_map(|policy| policy.connections()) {
        dialects.entry(connection.name()).or_insert(connection.dialect());
    }
    let dialects = &dialects;
    let only = args.catalog_connection.as_deref();
    let databases = &Databases::new(&args.database, policies);
    if let (Some(name), Some(policy)) = (only.filter(|name| !dialects.contains_key(name)), policies.first()) {
        named::connection(policy, name)?;
    }
    let (mut known, mut unknown) = (0_u64, None);
    let (mut broken, mut first) = (0_u64, Vec::new());
    let (outcome, unnamed) = std::thread::scope(|scope| {
        let (send, batches) = sync_channel::<Rows>(4);
        let reader = scope.spawn(move || {
            let (mut rows, mut unnamed) = (Rows::default(), 0);
            let progress = read(path, args.quiet, |row| {
                let mut text = String::new();
                let row = row.and_then(|row| {
                    let connection = row.connection.or(only).ok_or_else(|| {
                        unnamed += 1;
                        no_connection(row.line, OPTION)
                    });
                    let connection = connection?;
                    Ok((connection, databases.complete(row, connection, &mut text)?))
                });
                rows.push(row, dialects);
                if rows.is_full() {
                    // Sending fails only if the receiving thread has panicked.
                    let _ = send.send(std::mem::take(&mut rows));
                }
            });
            let _ = send.send(rows);
            (progress, unnamed)
        });
        let mut report = |row: Broken| {
            broken += 1;
            if first.len() < REPORTED_ROWS {
                first.push(row);
            }
        };
        for rows in batches {
            for row in rows.iter() {
                match row {
                    Ok((line, connection, name)) => {
                        let dialect = dialects.get(connection).copied();
                        if dialect.is_some() {
                            known += 1;
                        } else {
                            unknown.get_or_insert_with(|| connection.to_owned());
                        }
                        if !visit(connection, name) {
                            report(Broken::malformed(line, name, dialect.unwrap_or_default()));
                        }
                    }
                    Err(broken) => report(broken.clone()),
                }
            }
        }
        reader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    });
    let file = file_name(path);
    let mut stderr = io::stderr().lock();
    let label = Painted::bold(color.on(&stderr), "note:");
    for Broken { line, why } in &first {
        writeln!(stderr, "{label} {file}, line {line}: {}", printable(why))?;
    }
    if broken > first.len() as u64 {
        writeln!(stderr, "{label} {file}: {} cannot be read in all; the first are above", counted(broken, "row"))?;
    }
    let progress = outcome?;
    if let Some(skipped) = progress.skipped() {
        writeln!(stderr, "{label} {file}: {}", printable(&skipped))?;
    }
    if progress.interrupted {
        writeln!(stderr, "{label} reading {file} was interrupted after {}", counted(progress.rows, "row"))?;
    }
    if !progress.interrupted {
        require_rows(path, &progress, unnamed, OPTION)?;
        if broken == progress.rows {
            let help = wrapped::rows(path).map_or_else(
                || "the rows need the columns `connection` and `name`, or those of a listing".to_owned(),
                |program| format!("its list is a part of the document: `jq -c '{program}' FILE` writes it as rows"),
            );
            bail!("no row of {file} can be read: the first is above\nhelp: {help}");
        }
        require_known(path, known, unknown.as_deref(), dialects.keys().copied())?;
    }
    Ok(CatalogProgress { complete: progress.complete && broken == 0, ..progress })
}

/// Calls `visit` as [`each`] does, if `args` name a catalog. Returns whether the catalog was read completely.
#[cfg(feature = "scan")]
pub(crate) fn each_name(
    args: &CatalogArgs,
    policy: &Policy,
    color: Color,
    visit: impl FnMut(&str, &str) -> bool,
) -> anyhow::Result<bool> {
    let Some(path) = &args.catalog else { return Ok(true) };
    Ok(each(path, args, &[policy], color, visit)?.complete)
}

/// A batch of rows that one thread sends to another.
#[derive(Default)]
struct Rows {
    text: String,
    /// For each row: its line number and the end offsets of connection and name in `text`; or its error.
    rows: Vec<Result<(u64, usize, usize), Broken>>,
}

impl Rows {
    /// Appends a row and its connection.
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

    /// Returns the line number, connection and name of each row.
    fn iter(&self) -> impl Iterator<Item = Result<(u64, &str, &str), &Broken>> {
        let mut start = 0;
        self.rows.iter().map(move |row| {
            let &(line, connection_end, end) = row.as_ref()?;
            let part = |start: usize, end: usize| self.text.get(start..end).unwrap_or_default();
            let parts = (line, part(start, connection_end), part(connection_end, end));
            start = end;
            Ok(parts)
        })
    }
}
