//! How far a catalog is read, and Ctrl-C.

use std::io::{self, IsTerminal};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::output::{grouped, rate};

/// A progress bar with rate and time left, where somebody sees it.
pub(super) struct Progress {
    bar: ProgressBar,
    begun: Instant,
}

impl Progress {
    /// Of an input of `size` bytes, where that is known.
    pub(super) fn new(size: Option<u64>, quiet: bool) -> Self {
        let begun = Instant::now();
        if quiet || !io::stderr().is_terminal() {
            return Self { bar: ProgressBar::hidden(), begun };
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
        Self { bar, begun }
    }

    /// So many bytes are done with.
    pub(super) fn at(&self, bytes: u64) {
        self.bar.set_position(bytes);
    }

    /// So many rows were seen.
    pub(super) fn rows(&self, rows: u64) {
        if rows.is_multiple_of(4096) && !self.bar.is_hidden() {
            let rate = grouped(rate(rows, self.begun.elapsed().as_nanos()));
            self.bar.set_message(format!("{} rows, {rate} a second", grouped(rows)));
        }
    }

    /// Takes the bar away.
    pub(super) fn end(&self) {
        self.bar.finish_and_clear();
    }
}

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Whether the user has interrupted since [`listen_for_interrupts`].
pub(super) fn interrupted() -> bool {
    INTERRUPTED.load(Ordering::Relaxed)
}

/// From now on Ctrl-C sets what [`interrupted`] tells; a second one ends the process.
pub(super) fn listen_for_interrupts() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let (tell, listens) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        runtime.block_on(async {
            let mut first = pin!(tokio::signal::ctrl_c());
            let first = std::future::poll_fn(|context| {
                let polled = first.as_mut().poll(context);
                // Asked once, it listens. Nobody waits for the later ones.
                let _ = tell.send(());
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
