//! A catalog, read by one thread and counted by as many as there are cores.

use std::fs::File;
use std::io::{self, IsTerminal, Read, Write};
use std::num::NonZero;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use portcullis::audit::catalog::{self, Broken, Row};
use portcullis::audit::exposure::{Batch, Exposure, Surface, Tally};
use portcullis::model::ConnectionId;

use crate::cli::output::{Color, Painted, counted, grouped, rate};
use crate::cli::policy::is_stdin;

/// Names that are counted together.
const BATCH: usize = 4096;
/// Bytes of names that wait, for all connections together, until all are counted.
const WAITING: usize = 8 << 20;

pub(super) struct Counted {
    pub(super) tally: Tally,
    pub(super) told: Told,
}

/// What people are told beside the answer.
pub(super) struct Told {
    pub(super) stopped: bool,
    no_connection: u64,
    other_connections: u64,
    took: Duration,
}

pub(super) fn count(
    surface: &Surface<'_>,
    path: &Path,
    connection: Option<&str>,
    quiet: bool,
) -> anyhow::Result<Counted> {
    let name = path.display();
    let (input, size): (Box<dyn Read>, _) = if is_stdin(path) {
        (Box::new(io::stdin().lock()), None)
    } else {
        let file = File::open(path).with_context(|| format!("cannot read `{name}`"))?;
        let size = file.metadata().ok().filter(std::fs::Metadata::is_file).map(|metadata| metadata.len());
        (Box::new(file), size)
    };
    let bar = progress(size, quiet);
    let stop = on_interrupt();
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
        let read = catalog::read(bar.wrap_read(input), |row| {
            dealer.row(row, &send);
            if stop.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
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
    bar.finish_and_clear();
    read.with_context(|| format!("cannot read `{name}`"))?;
    tally.add(dealer.tally);
    let told = Told {
        stopped: stop.load(Ordering::Relaxed),
        no_connection: dealer.no_connection,
        other_connections: dealer.other_connections,
        took: begun.elapsed(),
    };
    if told.no_connection > 0 && connection.is_none() {
        bail!("`{name}` has no column `connection`: say whose names they are with `--connection NAME`");
    }
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
            return;
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
            let first = crate::cli::output::printable(&first.join("; "));
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

/// Set once the user interrupts; interrupting again ends the command.
fn on_interrupt() -> Arc<AtomicBool> {
    let stop = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&stop);
    std::thread::spawn(move || {
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
        runtime.block_on(async {
            while tokio::signal::ctrl_c().await.is_ok() {
                if told.swap(true, Ordering::Relaxed) {
                    std::process::exit(130);
                }
            }
        });
    });
    stop
}

/// A progress bar, where somebody sees it.
fn progress(size: Option<u64>, quiet: bool) -> ProgressBar {
    if quiet || !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let (bar, template) = match size {
        Some(size) => (ProgressBar::new(size), "{bar:32} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left"),
        None => (ProgressBar::no_length(), "{spinner} {bytes}, {bytes_per_sec}"),
    };
    bar.set_draw_target(ProgressDrawTarget::stderr_with_hz(5));
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
