//! The progress bar of a catalog, and Ctrl-C.

use std::io::{self, IsTerminal};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::output::{grouped, rate};

/// A progress bar with rate and remaining time. It is hidden unless standard error is a terminal.
pub(super) struct Progress {
    bar: ProgressBar,
    start: Instant,
}

impl Progress {
    /// Creates the bar of an input of `size` bytes; `None` if the size is unknown.
    pub(super) fn new(size: Option<u64>, quiet: bool) -> Self {
        let start = Instant::now();
        if quiet || !io::stderr().is_terminal() {
            return Self { bar: ProgressBar::hidden(), start };
        }
        let (bar, template) = match size {
            Some(size) => (ProgressBar::new(size), "{bar:32} {percent} %, {msg}, {eta} left"),
            None => (ProgressBar::no_length(), "{spinner} {msg}"),
        };
        bar.set_draw_target(ProgressDrawTarget::stderr_with_hz(5));
        let bar = match ProgressStyle::with_template(template) {
            Ok(style) => bar.with_style(style),
            Err(_) => bar,
        };
        // Until the first rows are counted.
        bar.set_message("reading");
        Self { bar, start }
    }

    /// Shows that this many bytes have been read.
    pub(super) fn bytes(&self, bytes: u64) {
        self.bar.set_position(bytes);
    }

    /// Shows that this many rows have been read.
    pub(super) fn rows(&self, rows: u64) {
        if rows.is_multiple_of(4096) && !self.bar.is_hidden() {
            let rate = grouped(rate(rows, self.start.elapsed().as_nanos()));
            self.bar.set_message(format!("{} rows, {rate} a second", grouped(rows)));
        }
    }

    /// Removes the bar.
    pub(super) fn end(&self) {
        self.bar.finish_and_clear();
    }
}

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Whether the user has pressed Ctrl-C since [`listen_for_interrupts`].
pub(super) fn interrupted() -> bool {
    INTERRUPTED.load(Ordering::Relaxed)
}

/// Handles Ctrl-C from now on: the first makes [`interrupted`] true, the second ends the process.
pub(super) fn listen_for_interrupts() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let (listening, listens) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        runtime.block_on(async {
            let mut first = pin!(tokio::signal::ctrl_c());
            let first = std::future::poll_fn(|context| {
                let polled = first.as_mut().poll(context);
                // The first poll installs the handler. Later messages have no receiver.
                let _ = listening.send(());
                polled
            });
            if first.await.is_ok() && !INTERRUPTED.swap(true, Ordering::Relaxed) {
                let _ = tokio::signal::ctrl_c().await;
            }
            std::process::exit(130);
        });
    });
    Ok(listens.recv()?)
}
