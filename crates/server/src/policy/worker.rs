//! Threads that wait for a disk in place of the keeper: a file system that hangs must not hold up a reload, or the end.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use super::contents::Contents;
use super::files::Timing;
use super::message::{Done, Message};
use super::source::Reader;
use super::state::StateDir;
use portcullis::authorizer::{Clock, SystemClock};

/// What to do with a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Task {
    /// See whether it has changed.
    Look,
    /// Read the few tokens that have changed.
    Changes,
    /// Read all of it.
    Read,
}

/// Reads a source, on a thread of its own. Dropped, it ends as soon as it has finished its task.
pub(super) struct Worker {
    tasks: Sender<Task>,
    thread: JoinHandle<()>,
}

impl Worker {
    /// Starts a worker; what becomes of each task is sent to `inbox` with the number `worker`.
    ///
    /// # Errors
    ///
    /// If the system gives no thread.
    pub(super) fn start(mut reader: Reader, timing: Timing, worker: u64, inbox: Sender<Message>) -> io::Result<Self> {
        let (tasks, waiting) = channel();
        let run = move || {
            for task in waiting {
                let done = catch_unwind(AssertUnwindSafe(|| match task {
                    Task::Look => Done::Looked(reader.changed()),
                    Task::Changes => Done::Changes(reader.changes()),
                    Task::Read => Done::Read(reader.read(&timing)),
                }));
                let done = done.unwrap_or_else(|_| {
                    Done::Read(Err(vec!["internal error: reading the policy panicked".to_owned()]))
                });
                if inbox.send(Message::Done(worker, done)).is_err() {
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new().name("policy files".into()).spawn(run)?;
        Ok(Self { tasks, thread })
    }

    pub(super) fn ask(&self, task: Task) {
        // Its thread ends only after this does.
        let _ = self.tasks.send(task);
    }

    /// Waits until the source is closed. Only for a worker without a task.
    pub(super) fn close(self) {
        drop(self.tasks);
        let _ = self.thread.join();
    }
}

/// Saves policies, on a thread of its own.
pub(super) struct Saver {
    jobs: Option<Sender<Arc<Contents>>>,
    results: Receiver<Result<(), String>>,
    /// Whether a result is still to come.
    is_busy: bool,
    thread: Option<JoinHandle<()>>,
}

impl Saver {
    /// Saves what `source` holds into `state`.
    ///
    /// # Errors
    ///
    /// If the system gives no thread.
    pub(super) fn start(state: Arc<StateDir>, source: String) -> io::Result<Self> {
        let (jobs, waiting) = channel::<Arc<Contents>>();
        let (tell, results) = channel();
        let run = move || {
            for contents in waiting {
                let save = || state.save(&source, &contents, SystemClock.now()).map_err(|error| error.to_string());
                let saved = catch_unwind(AssertUnwindSafe(save));
                if tell.send(saved.unwrap_or_else(|_| Err("internal error: saving panicked".to_owned()))).is_err() {
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new().name("policy state".into()).spawn(run)?;
        Ok(Self { jobs: Some(jobs), results, is_busy: false, thread: Some(thread) })
    }

    /// Saves `contents`, and waits for that up to `patience`.
    ///
    /// # Errors
    ///
    /// If they cannot be saved, or that takes longer.
    pub(super) fn save(&mut self, contents: Arc<Contents>, patience: Duration) -> Result<(), String> {
        // What an earlier, slow attempt saved is older.
        if self.is_busy && self.results.try_recv().is_err() {
            return Err("the state directory does not answer".to_owned());
        }
        self.is_busy = self.jobs.as_ref().is_some_and(|jobs| jobs.send(contents).is_ok());
        match self.results.recv_timeout(patience) {
            Ok(result) => {
                self.is_busy = false;
                result
            }
            Err(RecvTimeoutError::Timeout) => {
                Err(format!("the state directory has not answered for {} s", patience.as_secs_f32()))
            }
            Err(RecvTimeoutError::Disconnected) => Err("the thread that saves has ended".to_owned()),
        }
    }
}

impl Drop for Saver {
    fn drop(&mut self) {
        drop(self.jobs.take());
        // So that the directory is free again; one that hangs is left behind.
        if let Some(thread) = self.thread.take().filter(|_| !self.is_busy) {
            let _ = thread.join();
        }
    }
}
