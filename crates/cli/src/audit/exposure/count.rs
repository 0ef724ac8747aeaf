//! A catalog, read by one thread and counted by as many as there are cores.

use std::io::{self, Write};
use std::num::NonZero;
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use portcullis::model::ConnectionId;
use portcullis_audit::catalog::{Broken, Row};
use portcullis_audit::coverage::Surface;
use portcullis_audit::exposure::{Batch, Exposure, Tally};

use super::super::catalog;
use crate::output::{Color, Painted, counted, grouped, rate};

/// Names that are counted together.
const BATCH: usize = 4096;
/// Bytes of names that wait, for all connections together, until all are counted.
const WAITING: usize = 8 << 20;

const OPTION: &str = "--connection";

pub(super) struct Counted {
    pub(super) tally: Tally,
    pub(super) told: Told,
}

/// What people are told beside the answer.
pub(super) struct Told {
    pub(super) stopped: bool,
    other_connections: u64,
    took: Duration,
}

pub(super) fn count(
    surface: &Surface<'_>,
    path: &Path,
    connection: Option<&str>,
    quiet: bool,
) -> anyhow::Result<Counted> {
    let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
    let begun = Instant::now();
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
    let seen = read?;
    tally.add(dealer.tally);
    let told = Told { stopped: seen.stopped, other_connections: dealer.other_connections, took: begun.elapsed() };
    catalog::some_connection(path, seen.rows, dealer.no_connection, OPTION)?;
    Ok(Counted { tally, told })
}

fn work(surface: &Surface<'_>, batches: &Mutex<Receiver<(ConnectionId, Batch)>>) -> Tally {
    let mut tally = Tally::default();
    loop {
        let next = batches.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok((connection, batch)) = next else { return tally };
        tally.see(surface, connection, &batch);
    }
}

/// Puts names of one connection together.
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
            // Nobody receives only where a worker has panicked, which joining it tells.
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

impl Told {
    pub(super) fn summarize(&self, exposure: &Exposure, color: Color) -> io::Result<()> {
        let mut stderr = io::stderr().lock();
        let label = Painted::bold(color.on(&stderr), "note:");
        if exposure.broken > 0 {
            let first: Vec<_> = exposure.first_broken.iter().map(ToString::to_string).collect();
            let first = crate::output::printable(&first.join("; "));
            writeln!(stderr, "{label} {} of the catalog broken: {first}", counted(exposure.broken, "row"))?;
        }
        if self.other_connections > 0 {
            writeln!(stderr, "{label} {} of other connections passed over", counted(self.other_connections, "name"))?;
        }
        if self.stopped {
            writeln!(stderr, "{label} stopped: what is told is of the names that were read until then")?;
        }
        let rate = grouped(rate(exposure.names, self.took.as_nanos()));
        writeln!(
            stderr,
            "{label} {} in {:.1} s, {rate} a second",
            counted(exposure.names, "name"),
            self.took.as_secs_f64()
        )
    }
}
