//! Threads that wait for a disk in place of the keeper: a file system that hangs must not delay a start, reload or shutdown.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::contents::Contents;
use super::files::Timing;
use super::message::{Done, Message};
use super::source::Reader;
use super::start_error::StartError;
use super::state::{StateDir, StateError};
use portcullis::authorizer::{Clock, SystemClock};
use portcullis::base::Timestamp;

/// How long to wait for a check of the state directory at shutdown.
const LAST_CHECK: Duration = Duration::from_secs(1);

/// A task on a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Task {
    /// Checks whether the source has changed.
    Check,
    /// Reads only the changed tokens.
    Changes,
    /// Reads the whole source.
    Read,
}

/// Reads a source on its own thread. After it is dropped, the thread ends with its current task.
pub(super) struct Worker {
    tasks: Sender<Task>,
    thread: JoinHandle<()>,
}

impl Worker {
    /// Starts a worker, which sends the result of each task to `inbox` with the number `worker`.
    ///
    /// # Errors
    ///
    /// If the system cannot start a thread.
    pub(super) fn start(mut reader: Reader, timing: Timing, worker: u64, inbox: Sender<Message>) -> io::Result<Self> {
        let (tasks, waiting) = channel();
        let run = move || {
            for task in waiting {
                let done = catch_unwind(AssertUnwindSafe(|| match task {
                    Task::Check => Done::Checked(reader.changed()),
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

    pub(super) fn submit(&self, task: Task) {
        // The thread ends only after `self` is dropped.
        let _ = self.tasks.send(task);
    }

    /// Waits until the source is closed. Call it only on a worker without a task.
    pub(super) fn close(self) {
        drop(self.tasks);
        let _ = self.thread.join();
    }
}

/// Owns a state directory on its own thread: opens the directory, saves policies into it, and reads the saved policy.
pub(super) struct Saver {
    jobs: Option<Sender<Job>>,
    results: Receiver<Finished>,
    /// The number of outstanding results.
    pending: usize,
    /// When the last job was sent.
    sent: Instant,
    /// Whether the wait for the last result timed out.
    hangs: bool,
    thread: Option<JoinHandle<()>>,
}

enum Job {
    Check,
    Save(Arc<Contents>),
    Read,
}

/// The result of a job.
enum Finished {
    Opened(Result<(), StateError>),
    Checked(Result<bool, String>),
    Saved(Result<(), String>),
    Read(Result<Option<(Contents, Timestamp)>, String>),
    Panicked,
}

impl Saver {
    /// Starts a saver of the contents of `source` and opens the directory at `path` with `open`, for at most `patience`.
    ///
    /// # Errors
    ///
    /// If the directory cannot be opened, if that takes longer, or if the system cannot start a thread.
    pub(super) fn start(
        path: &Path,
        source: String,
        patience: Duration,
        open: impl FnOnce() -> Result<StateDir, StateError> + Send + 'static,
    ) -> Result<Self, StartError> {
        let (jobs, waiting) = channel();
        let (sender, results) = channel();
        let run = move || {
            let state = match catch_unwind(AssertUnwindSafe(open)) {
                Ok(Ok(state)) => state,
                Ok(Err(error)) => return drop(sender.send(Finished::Opened(Err(error)))),
                Err(_) => return drop(sender.send(Finished::Panicked)),
            };
            if sender.send(Finished::Opened(Ok(()))).is_err() {
                return;
            }
            for job in waiting {
                let finished = catch_unwind(AssertUnwindSafe(|| finish(&state, &source, job)));
                if sender.send(finished.unwrap_or(Finished::Panicked)).is_err() {
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new().name("policy state".into()).spawn(run).map_err(StartError::Thread)?;
        let mut saver =
            Self { jobs: Some(jobs), results, pending: 1, sent: Instant::now(), hangs: false, thread: Some(thread) };
        match saver.wait(patience) {
            Some(Finished::Opened(opened)) => opened?,
            Some(_) => {
                let error = io::Error::other("internal error: opening the state directory panicked");
                return Err(StateError::Io { what: "open", path: path.to_owned(), error }.into());
            }
            None => return Err(StateError::Hangs { path: path.to_owned(), patience }.into()),
        }
        Ok(saver)
    }

    /// Saves `contents`, for at most `patience`.
    ///
    /// # Errors
    ///
    /// If they cannot be saved, or if that takes longer.
    pub(super) fn save(&mut self, contents: Arc<Contents>, patience: Duration) -> Result<(), String> {
        match self.request(Job::Save(contents), patience)? {
            Finished::Saved(result) => result,
            _ => Err("internal error: saving panicked".to_owned()),
        }
    }

    /// Reads the saved policy, for at most `patience`.
    ///
    /// # Errors
    ///
    /// If it cannot be read, or if that takes longer.
    pub(super) fn saved(&mut self, patience: Duration) -> Result<Option<(Contents, Timestamp)>, String> {
        match self.request(Job::Read, patience)? {
            Finished::Read(result) => result,
            _ => Err("internal error: reading the saved policy panicked".to_owned()),
        }
    }

    /// Requests a check of the directory, without waiting. Returns the result of the last check, if it has finished.
    ///
    /// # Errors
    ///
    /// If the directory cannot be checked, or the check has not finished after `patience`.
    pub(super) fn check(&mut self, patience: Duration) -> Option<Result<bool, String>> {
        let mut checked = None;
        while let Ok(finished) = self.results.try_recv() {
            self.pending = self.pending.saturating_sub(1);
            if let Finished::Checked(result) = finished {
                checked = Some(result);
            }
        }
        if self.pending == 0 {
            self.hangs = false;
            self.send(Job::Check);
        } else if self.sent.elapsed() >= patience {
            self.hangs = true;
            checked = Some(Err(no_answer(patience)));
        }
        checked
    }

    fn send(&mut self, job: Job) {
        self.sent = Instant::now();
        self.pending += usize::from(self.jobs.as_ref().is_some_and(|jobs| jobs.send(job).is_ok()));
    }

    fn request(&mut self, job: Job, patience: Duration) -> Result<Finished, String> {
        // An earlier attempt that is still running must end first: its contents are older.
        if self.hangs && self.wait(Duration::ZERO).is_none() {
            return Err("the state directory does not answer".to_owned());
        }
        self.send(job);
        self.wait(patience).ok_or_else(|| {
            if self.hangs {
                return no_answer(patience);
            }
            "the thread that saves has ended".to_owned()
        })
    }

    /// Waits for all pending results, at most `patience`, and returns the last one.
    fn wait(&mut self, patience: Duration) -> Option<Finished> {
        let begun = Instant::now();
        let mut last = None;
        while self.pending > 0 {
            match self.results.recv_timeout(patience.saturating_sub(begun.elapsed())) {
                Ok(finished) => {
                    self.pending -= 1;
                    last = Some(finished);
                }
                Err(error) => {
                    self.hangs = error == RecvTimeoutError::Timeout;
                    return None;
                }
            }
        }
        self.hangs = false;
        last
    }
}

fn no_answer(patience: Duration) -> String {
    format!("the state directory has not answered for {} s", patience.as_secs_f32())
}

fn finish(state: &StateDir, source: &str, job: Job) -> Finished {
    let text = |error: StateError| error.to_string();
    match job {
        Job::Check => Finished::Checked(state.is_kept().map_err(text)),
        Job::Save(contents) => Finished::Saved(state.save(source, &contents, SystemClock.now()).map_err(text)),
        Job::Read => Finished::Read(state.saved(source).map_err(text)),
    }
}

impl Drop for Saver {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if !self.hangs {
            self.wait(LAST_CHECK);
        }
        // Joins the thread, so that the directory is unlocked. Does not wait for a thread that hangs.
        if let Some(thread) = self.thread.take().filter(|_| !self.hangs) {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn start_fails_after_patience_when_state_directory_hangs() {
        let patience = Duration::from_millis(50);
        let (release, released) = channel::<()>();
        let hang = move || {
            let _ = released.recv();
            Err(StateError::InUse("state".into()))
        };
        let begun = Instant::now();
        let error = Saver::start(Path::new("state"), "policy.json".into(), patience, hang).err().unwrap();
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
        assert_eq!(
            error.to_string(),
            "the state directory `state` has not answered for 0.05 s: check its file system, or name another directory"
        );
        drop(release);
    }

    #[test]
    fn check_that_hangs_is_reported_and_its_end_is_noticed() {
        let patience = Duration::from_millis(50);
        let (jobs, received) = channel();
        let (finished, results) = channel();
        let sent = Instant::now();
        let mut saver = Saver { jobs: Some(jobs), results, pending: 0, sent, hangs: false, thread: None };
        assert!(saver.check(patience).is_none(), "the check has just started");
        std::thread::sleep(patience);
        let error = saver.check(patience).unwrap().unwrap_err();
        assert_eq!(error, "the state directory has not answered for 0.05 s");
        assert!(saver.check(patience).unwrap().is_err(), "it still hangs");
        assert_eq!(received.try_iter().count(), 1, "no second check is queued");
        finished.send(Finished::Checked(Ok(true))).unwrap();
        assert_eq!(saver.check(patience), Some(Ok(true)));
        assert!(saver.check(Duration::from_mins(1)).is_none(), "the next check runs");
        assert_eq!(received.try_iter().count(), 1);
    }

    #[test]
    fn start_returns_error_when_opening_state_directory_panics() {
        let open = || std::panic::resume_unwind(Box::new(()));
        let error = Saver::start(Path::new("state"), "policy.json".into(), Duration::from_secs(5), open).err().unwrap();
        assert!(error.to_string().contains("internal error"), "{error}");
    }
}
