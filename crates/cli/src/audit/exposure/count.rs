//! Counts a catalog: one thread reads, one thread for each core counts.

use std::io::{self, Write};
use std::num::NonZero;
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use portcullis::model::ConnectionId;
use portcullis_audit::catalog::{Broken, Row};
use portcullis_audit::exposure::{Batch, Exposure, Surface, Tally};

use super::super::catalog;
use crate::output::{Color, Painted, counted, grouped, rate};

/// The number of names in a batch.
const BATCH: usize = 4096;
/// The limit for the bytes of waiting names of all connections. Above it, all batches are sent.
const WAITING: usize = 8 << 20;

const OPTION: &str = "--connection";

pub(super) struct Counted {
    pub(super) tally: Tally,
    pub(super) notes: CountNotes,
}

/// The facts that are printed on standard error after the result.
pub(super) struct CountNotes {
    pub(super) interrupted: bool,
    /// The number of names on connections that `--connection` excludes.
    other_connections: u64,
    elapsed: Duration,
}

/// Counts the catalog at `path`.
pub(super) fn count(
    surface: &Surface<'_>,
    path: &Path,
    connection: Option<&str>,
    quiet: bool,
) -> anyhow::Result<Counted> {
    let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
    let start = Instant::now();
    let mut dealer = Dealer::new(surface, connection);
    let (read, mut tally) = std::thread::scope(|scope| {
        let (send, batches) = sync_channel(2 * threads);
        let batches = Arc::new(Mutex::new(batches));
        let workers: Vec<_> = (0..threads)
            .map(|_| {
                let batches = Arc::clone(&batches);
                scope.spawn(move || work(surface, &batches))
            })
            .collect();
        let read = catalog::read(path, quiet, |row| dealer.row(row, &send));
        dealer.flush(&send);
        drop(send);
        let mut tally = Tally::default();
        for worker in workers {
            match worker.join() {
                Ok(part) => tally.add(part),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        (read, tally)
    });
    let progress = read?;
    tally.add(dealer.tally);
    let notes = CountNotes {
        interrupted: progress.interrupted,
        other_connections: dealer.other_connections,
        elapsed: start.elapsed(),
    };
    catalog::require_connection(path, progress.rows, dealer.no_connection, OPTION)?;
    Ok(Counted { tally, notes })
}

fn work(surface: &Surface<'_>, batches: &Mutex<Receiver<(ConnectionId, Batch)>>) -> Tally {
    let mut tally = Tally::default();
    loop {
        let next = batches.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok((connection, batch)) = next else { return tally };
        tally.see(surface, connection, &batch);
    }
}

/// Collects the names of each connection into batches.
struct Dealer<'s, 'p> {
    surface: &'s Surface<'p>,
    only: Option<&'s str>,
    waiting: Vec<Batch>,
    bytes: usize,
    tally: Tally,
    no_connection: u64,
    other_connections: u64,
}

impl<'s, 'p> Dealer<'s, 'p> {
    fn new(surface: &'s Surface<'p>, only: Option<&'s str>) -> Self {
        let waiting = surface.policy().connections().iter().map(|_| Batch::default()).collect();
        Self { surface, only, waiting, bytes: 0, tally: Tally::default(), no_connection: 0, other_connections: 0 }
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
            return;
        }
        let known = self.surface.connection(name);
        let connection = known.and_then(|id| self.surface.policy().connection(id)).zip(known);
        let Some((connection, id)) = connection else {
            let mut text = String::new();
            row.name.write(portcullis::name::Dialect::Generic, &mut text);
            return self.tally.unknown(row.line, name, &text);
        };
        let Some(batch) = self.waiting.get_mut(id.index()) else { return };
        let before = batch.bytes();
        batch.push(row.line, |text| row.name.write(connection.dialect(), text));
        self.bytes += batch.bytes() - before;
        if batch.len() >= BATCH {
            self.bytes -= batch.bytes();
            // Sending fails only if a worker has panicked; joining it resumes the panic.
            let _ = send.send((id, std::mem::take(batch)));
        } else if self.bytes > WAITING {
            self.flush(send);
        }
    }

    fn flush(&mut self, send: &SyncSender<(ConnectionId, Batch)>) {
        for (connection, batch) in self.surface.policy().connections().iter().zip(&mut self.waiting) {
            if let (false, Some(id)) = (batch.is_empty(), self.surface.connection(connection.name())) {
                let _ = send.send((id, std::mem::take(batch)));
            }
        }
        self.bytes = 0;
    }
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
