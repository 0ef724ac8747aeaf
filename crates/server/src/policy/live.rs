//! A policy that is live: the handle to the thread that keeps it so.

use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::keeper::Keeper;
use super::message::Message;
use super::options::LiveOptions;
use super::source::Source;
use super::state::{StateDir, StateError};
use super::status::{Outcome, Status};
use portcullis::authorizer::Authorizer;

/// How long the end of a reload that has begun is waited for.
const CLOSING: Duration = Duration::from_secs(5);

/// Why a policy cannot be kept live at all.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The state directory is of no use.
    #[error(transparent)]
    State(#[from] StateError),
    /// The system gives no thread.
    #[error("cannot start the thread that reads the policy: {0}")]
    Thread(std::io::Error),
}

/// A policy that is kept at what its source says. Dropped, it stops; the authorizer keeps what it has.
#[derive(Debug)]
pub struct LivePolicy {
    inbox: Sender<Message>,
    status: Status,
    thread: Option<JoinHandle<()>>,
}

impl LivePolicy {
    /// Reads `source` into `authorizer`, and goes on to do so whenever it changes. Returns once it was read for the first
    /// time: then the policy is active, or what was saved of it, or, if neither can be read, none. A source that does not
    /// answer is waited for [`Timing::stall`](super::Timing::stall).
    ///
    /// # Errors
    ///
    /// If the state directory cannot be used, or the system gives no thread. A source that cannot be read is no error: see
    /// [`LivePolicy::status`].
    pub fn start(source: &Source, authorizer: Authorizer, options: LiveOptions) -> Result<Self, StartError> {
        let state = options.state_dir.as_ref().map(StateDir::open).transpose()?;
        let (inbox, messages) = channel();
        let status = Status::default();
        let state = state.map(Arc::new);
        let keeper = Keeper::new(source, inbox.clone(), authorizer, options, state, status.clone());
        let mut keeper = keeper.map_err(StartError::Thread)?;
        keeper.begin(&messages);
        let thread = std::thread::Builder::new().name("policy".into()).spawn(move || keeper.run(&messages));
        Ok(Self { inbox, status, thread: Some(thread.map_err(StartError::Thread)?) })
    }

    /// What became of the reloads.
    pub fn status(&self) -> &Status {
        &self.status
    }

    /// Has the source read again, whether it has changed or not. Returns at once.
    pub fn reload(&self) {
        let _ = self.inbox.send(Message::Reload(None));
    }

    /// As [`LivePolicy::reload`], and waits until that is done. A reload that takes longer than [`Timing::stall`](super::Timing::stall) has failed.
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
        let begun = Instant::now();
        while !thread.is_finished() {
            if begun.elapsed() >= CLOSING {
                tracing::warn!("a reload has not ended: it is left behind");
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        // A panic of that thread was reported when it happened.
        let _ = thread.join();
    }
}
