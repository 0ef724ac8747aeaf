//! Notices forks: a child process continues with the memory of its parent, but without its threads.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// How a handle distinguishes processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Processes {
    /// By the number of forks that led to them: one load.
    ByForks,
    /// By their ids: a system call for each decision.
    ById,
}

/// One more than the number of forks that led to this process since the first policy was opened.
static FORKS: AtomicU32 = AtomicU32::new(1);

impl Processes {
    /// Starts to count forks, which only the opener of a policy does.
    pub(crate) fn count() -> Self {
        static COUNTED: OnceLock<bool> = OnceLock::new();
        if *COUNTED.get_or_init(count_forks) { Self::ByForks } else { Self::ById }
    }

    /// Returns a number that differs between this process, its parents and its children. Never 0.
    pub(crate) fn current(self) -> u32 {
        match self {
            Self::ByForks => FORKS.load(Relaxed),
            Self::ById => std::process::id(),
        }
    }
}

/// Registers the function that counts. Returns whether it is registered.
#[cfg(unix)]
fn count_forks() -> bool {
    extern "C" fn in_child() {
        FORKS.fetch_add(1, Relaxed);
    }
    // SAFETY: the function may run in a child process: it only adds to an atomic number, and does not panic.
    unsafe { libc::pthread_atfork(None, None, Some(in_child)) == 0 }
}

#[cfg(not(unix))]
fn count_forks() -> bool {
    false
}
