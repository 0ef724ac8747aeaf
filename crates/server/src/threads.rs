//! Threads: whether the system gives as many as a server needs. A runtime panics where it cannot create its own.

use std::fs;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::thread::{Builder, scope, sleep};
use std::time::{Duration, Instant};

/// The maximum time to wait until threads that have ended no longer count against the limit.
const ENDING: Duration = Duration::from_secs(1);

/// Creates `count` threads, all alive at once, and ends them again.
///
/// ```
/// assert!(portcullis_server::threads::check(4).is_ok());
/// ```
///
/// # Errors
///
/// If the system refuses one of them: because of a limit of processes or of memory.
pub fn check(count: usize) -> io::Result<()> {
    let before = running();
    let gate = Mutex::new(());
    let checked = scope(|scope| {
        let _closed = gate.lock();
        let wait = || drop(gate.lock());
        (0..count).try_for_each(|_| Builder::new().spawn_scoped(scope, wait).map(drop))
    });
    // A thread counts until the system has removed it, which is after it was joined.
    let end = Instant::now() + ENDING;
    while running() > before && Instant::now() < end {
        sleep(Duration::from_millis(1));
    }
    checked
}

/// The number of threads of this process; 0 where the system does not report it.
fn running() -> usize {
    fs::read_dir("/proc/self/task").map_or(0, Iterator::count)
}

/// The maximum time in which a runtime starts its threads.
const STARTING: Duration = Duration::from_secs(5);

/// Builds a runtime. Another process may take the threads after [`check`]: then the runtime panics, and may wait
/// indefinitely for the threads that it did start. Such a runtime is abandoned.
///
/// # Errors
///
/// If the system refuses one of its threads.
pub fn build(mut runtime: tokio::runtime::Builder) -> io::Result<tokio::runtime::Runtime> {
    let (sender, results) = channel();
    let start = move || {
        let result = catch_unwind(AssertUnwindSafe(|| runtime.build())).unwrap_or_else(|_| Err(refused()));
        // A runtime that is late has no receiver, and ends here.
        drop(sender.send(result));
    };
    quietly(|| {
        let started = Builder::new().name("start".into()).spawn(start);
        started.and_then(|_| results.recv_timeout(STARTING).unwrap_or_else(|_| Err(refused())))
    })
}

/// Starts a thread for blocking tasks of `runtime`, which keeps the thread.
///
/// # Errors
///
/// If the system refuses the thread. The runtime would panic.
pub(crate) fn start_blocking(runtime: &tokio::runtime::Handle) -> io::Result<()> {
    let start = || drop(runtime.spawn_blocking(|| {}));
    quietly(|| catch_unwind(AssertUnwindSafe(start))).map_err(|_| refused())
}

fn refused() -> io::Error {
    io::Error::other("the system has no more threads")
}

/// Runs `start` without messages of panics: an error replaces them.
fn quietly<T>(start: impl FnOnce() -> T) -> T {
    let hook = take_hook();
    set_hook(Box::new(|_| {}));
    let result = start();
    set_hook(hook);
    result
}

#[cfg(test)]
mod tests {
    use std::panic::{catch_unwind, set_hook, take_hook};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread::current;

    use super::start_blocking;

    #[test]
    fn refused_thread_is_an_error_without_the_message_of_a_panic() {
        let (shown, own) = (Arc::new(AtomicUsize::new(0)), current().id());
        let counter = Arc::clone(&shown);
        let before = take_hook();
        set_hook(Box::new(move |_| {
            counter.fetch_add(usize::from(current().id() == own), Ordering::SeqCst);
        }));
        // No system has a stack of this size.
        let runtime = tokio::runtime::Builder::new_current_thread().thread_stack_size(1 << 60).build().unwrap();
        let refused = start_blocking(runtime.handle());
        let quiet = shown.load(Ordering::SeqCst);
        let _ = catch_unwind(|| panic!("the hook is in place again"));
        set_hook(before);
        // The runtime counts the thread that it could not start, and would wait for it.
        runtime.shutdown_background();
        assert_eq!(refused.unwrap_err().to_string(), "the system has no more threads");
        assert_eq!((quiet, shown.load(Ordering::SeqCst)), (0, 1));
    }
}
