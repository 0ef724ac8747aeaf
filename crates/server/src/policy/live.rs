//! A live policy: the handle to the thread that keeps it up to date.

use std::path::PathBuf;
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::keeper::Keeper;
use super::message::Message;
use super::options::LiveOptions;
use super::source::Source;
use super::start_error::StartError;
use super::state::{self, StateDir};
use super::status::{Outcome, Status};
use super::worker::Saver;
use portcullis::authorizer::Authorizer;

/// How long to wait for the end of a running reload.
const CLOSING: Duration = Duration::from_secs(5);

/// A policy that follows its source. Dropping it stops that; the authorizer keeps its snapshot.
#[derive(Debug)]
pub struct LivePolicy {
    inbox: Sender<Message>,
    status: Status,
    thread: Option<JoinHandle<()>>,
}

impl LivePolicy {
    /// Reads `source` into `authorizer`, and again whenever it changes. Returns after the first read: then the policy is
    /// active or, if it cannot be read, the saved policy, if any. Waits for a source that does not answer, and for a state
    /// directory, for [`Timing::stall`](super::Timing::stall).
    ///
    /// # Errors
    ///
    /// If the state directory cannot be used, or the system cannot start a thread. A source that cannot be read is not an
    /// error: see [`LivePolicy::status`].
    pub fn start(source: &Source, authorizer: Authorizer, options: LiveOptions) -> Result<Self, StartError> {
        // One that is in use is waited for by itself.
        let patience = options.timing.stall.saturating_add(state::RELEASE);
        let saver = |path: &PathBuf| {
            let folder = path.clone();
            Saver::start(path, source.to_string(), patience, move || StateDir::open(folder))
        };
        let state = options.state_dir.as_ref().map(saver).transpose()?;
        let (inbox, messages) = channel();
        let status = Status::default();
        let keeper = Keeper::new(source, inbox.clone(), authorizer, options, state, status.clone());
        let mut keeper = keeper.map_err(StartError::Thread)?;
        keeper.read_first(&messages);
        let thread = std::thread::Builder::new().name("policy".into()).spawn(move || keeper.run(&messages));
        Ok(Self { inbox, status, thread: Some(thread.map_err(StartError::Thread)?) })
    }

    /// Returns the results of the reloads.
    pub fn status(&self) -> &Status {
        &self.status
    }

    /// Reads the source again, even if it has not changed. Returns at once.
    pub fn reload(&self) {
        let _ = self.inbox.send(Message::Reload(None));
    }

    /// Reloads as [`LivePolicy::reload`] does, and waits for the end. A reload that takes longer than [`Timing::stall`](super::Timing::stall)
    /// has failed.
    pub fn reload_now(&self) -> Outcome {
        let (done, outcome) = channel();
        let _ = self.inbox.send(Message::Reload(Some(done)));
        outcome.recv().unwrap_or(Outcome::Failed)
    }
}

impl Drop for LivePolicy {
    fn drop(&mut self) {
        let _ = self.inbox.send(Message::Stop);
        let Some(thread) = self.thread.take() else { return };
        let started = Instant::now();
        while !thread.is_finished() {
            if started.elapsed() >= CLOSING {
                tracing::warn!("a reload has not ended: its thread is abandoned");
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        // A panic of that thread was already reported.
        let _ = thread.join();
    }
}
