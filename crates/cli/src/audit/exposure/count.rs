//! Counts a catalog: one thread reads, one thread for each core counts.

use std::convert::Infallible;
use std::io::{self, Write};
use std::num::NonZero;
use std::path::Path;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::{Duration, Instant};

use portcullis::model::{Connection, ConnectionId};
use portcullis_audit::catalog::{Broken, Row};
use portcullis_audit::coverage::Coverage;
use portcullis_audit::exposure::{self, Batch, Batcher, Exposure, NameCounts};

use super::super::catalog;
use super::super::database::Databases;
use crate::output::{Color, Painted, counted, grouped, rate};

const OPTION: &str = "--connection";

pub(super) struct Counted {
    pub(super) tally: NameCounts,
    pub(super) notes: CountNotes,
}

/// The facts that are printed on standard error after the result.
pub(super) struct CountNotes {
    pub(super) interrupted: bool,
    /// The number of names on connections that `--connection` excludes.
    other_connections: u64,
    /// The rows that are not tables or views.
    skipped: Option<String>,
    elapsed: Duration,
}

/// Counts the catalog at `path`.
pub(super) fn count(
    coverage: &Coverage<'_>,
    path: &Path,
    connection: Option<&str>,
    databases: &Databases<'_>,
    quiet: bool,
) -> anyhow::Result<Counted> {
    let threads = std::thread::available_parallelism().unwrap_or(NonZero::<usize>::MIN);
    let start = Instant::now();
    let mut dealer = Dealer::new(coverage, connection, databases);
    let (read, mut tally) = std::thread::scope(|scope| {
        let (send, batches) = sync_channel(2 * threads.get());
        let dealer = &mut dealer;
        let reader = scope.spawn(move || {
            let read = catalog::read(path, quiet, |row| dealer.row(row, &send));
            dealer.flush(&send);
            read
        });
        let Ok(tally) = exposure::count(coverage, batches.into_iter().map(Ok::<_, Infallible>), threads);
        (reader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)), tally)
    });
    let progress = read?;
    tally.add(dealer.tally);
    let notes = CountNotes {
        interrupted: progress.interrupted,
        other_connections: dealer.other_connections,
        skipped: progress.skipped(),
        elapsed: start.elapsed(),
    };
    if !progress.interrupted {
        catalog::require_rows(path, &progress, dealer.no_connection, OPTION)?;
        let all = coverage.policy().connections().iter().map(Connection::name);
        let counting = all.filter(|name| connection.is_none_or(|only| only == *name));
        catalog::require_known(path, dealer.known, dealer.other.as_deref(), counting)?;
    }
    Ok(Counted { tally, notes })
}

/// Collects the names of each connection into batches, and sends them.
struct Dealer<'s, 'p> {
    coverage: &'s Coverage<'p>,
    only: Option<&'s str>,
    databases: &'s Databases<'s>,
    batcher: Batcher<'s, 'p>,
    tally: NameCounts,
    no_connection: u64,
    other_connections: u64,
    /// The number of names on connections that count, and the first connection that does not.
    known: u64,
    other: Option<String>,
}

impl<'s, 'p> Dealer<'s, 'p> {
    fn new(coverage: &'s Coverage<'p>, only: Option<&'s str>, databases: &'s Databases<'s>) -> Self {
        let (batcher, tally) = (Batcher::new(coverage), NameCounts::default());
        Self {
            coverage,
            only,
            databases,
            batcher,
            tally,
            no_connection: 0,
            other_connections: 0,
            known: 0,
            other: None,
        }
    }

    fn row(&mut self, row: Result<Row<'_>, Broken>, send: &SyncSender<(ConnectionId, Batch)>) {
        let row = match row {
            Ok(row) => row,
            Err(broken) => return self.tally.broken(broken),
        };
        let Some(name) = row.connection.or(self.only) else {
            self.no_connection += 1;
            return self.tally.broken(catalog::no_connection(row.line, OPTION));
        };
        if self.only.is_some_and(|only| only != name) {
            self.other_connections += 1;
            self.other.get_or_insert_with(|| name.to_owned());
            return;
        }
        let mut text = String::new();
        let row = match self.databases.complete(row, name, &mut text) {
            Ok(row) => row,
            Err(broken) => return self.tally.broken(broken),
        };
        let Some(connection) = self.coverage.connection(name) else {
            self.other.get_or_insert_with(|| name.to_owned());
            let mut text = String::new();
            row.name.write(portcullis::name::Dialect::Generic, &mut text);
            return self.tally.unknown(row.line, name, &text);
        };
        self.known += 1;
        self.batcher.add(connection, row.line, &row.name, to(send));
    }

    fn flush(&mut self, send: &SyncSender<(ConnectionId, Batch)>) {
        self.batcher.flush(to(send));
    }
}

/// Sends batches. Sending fails only after a counting thread has panicked, which `count` passes on.
fn to(send: &SyncSender<(ConnectionId, Batch)>) -> impl FnMut(ConnectionId, Batch) {
    |connection, batch| drop(send.send((connection, batch)))
}

impl CountNotes {
    /// Prints the notes on standard error.
    pub(super) fn print(&self, exposure: &Exposure, color: Color) -> io::Result<()> {
        let mut stderr = io::stderr().lock();
        let label = Painted::bold(color.on(&stderr), "note:");
        if exposure.broken > 0 {
            let first: Vec<_> = exposure.first_broken.iter().map(ToString::to_string).collect();
            let first = crate::output::printable(&first.join("; "));
            writeln!(stderr, "{label} {} cannot be read: {first}", counted(exposure.broken, "catalog row"))?;
        }
        if self.other_connections > 0 {
            writeln!(stderr, "{label} {} of other connections skipped", counted(self.other_connections, "name"))?;
        }
        if let Some(skipped) = &self.skipped {
            writeln!(stderr, "{label} {}", crate::output::printable(skipped))?;
        }
        if self.interrupted {
            writeln!(stderr, "{label} interrupted: the results cover only the names read so far")?;
        }
        let rate = grouped(rate(exposure.names, self.elapsed.as_nanos()));
        writeln!(
            stderr,
            "{label} {} in {:.1} s, {rate} a second",
            counted(exposure.names, "name"),
            self.elapsed.as_secs_f64()
        )
    }
}
