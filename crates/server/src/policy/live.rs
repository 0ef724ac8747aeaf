//! A policy that is live: the handle to the thread that keeps it so.

use std::path::PathBuf;
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::files::Timing;
use super::keeper::Keeper;
use super::source::Source;
use super::state::{self, StateDir, StateError};
use super::status::{Outcome, Status};
use super::watch::Touch;
use super::worker::{Done, Saver};
use portcullis::authorizer::Authorizer;
use portcullis::snapshot::Options;

/// The maximum size of a policy's files, unless said otherwise: 256 MiB, about 1,000,000 tokens compiled.
pub const MAX_BYTES: u64 = 256 << 20;

/// How long the end of a reload that has begun is waited for.
const CLOSING: Duration = Duration::from_secs(5);

/// How a policy is kept live.
#[derive(Debug, Clone)]
pub struct LiveOptions {
    /// Whether tokens with errors are left out instead of refusing the policy.
    pub skip_invalid: bool,
    /// Whether a policy that allows what the active one denies is refused, as one that cannot be read is.
    pub only_narrow: bool,
    /// How to compile.
    pub compile: Options,
    /// Where the last good policy is kept; nowhere unless said.
    pub state_dir: Option<PathBuf>,
    /// The maximum size of all files of the policy together, in bytes. Larger files are not read.
    pub max_bytes: u64,
    /// How long to wait for what.
    pub timing: Timing,
}

impl Default for LiveOptions {
    fn default() -> Self {
        Self {
            skip_invalid: false,
            only_narrow: false,
            compile: Options::default(),
            state_dir: None,
            max_bytes: MAX_BYTES,
            timing: Timing::default(),
        }
    }
}

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

pub(super) enum Message {
    Touched(Touch),
    /// The worker of this number has finished its task.
    Done(u64, Done),
    /// Reload, changed or not, and tell how that ended.
    Reload(Option<Sender<Outcome>>),
    Stop,
}

impl LivePolicy {
    /// Reads `source` into `authorizer`, and goes on to do so whenever it changes. Returns once it was read for the first
    /// time: then the policy is active, or what was saved of it, or, if neither can be read, none. A source that does not
    /// answer is waited for [`Timing::stall`], and so is a state directory.
    ///
    /// # Errors
    ///
    /// If the state directory cannot be used, or the system gives no thread. A source that cannot be read is no error: see
    /// [`LivePolicy::status`].
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

    /// As [`LivePolicy::reload`], and waits until that is done. A reload that takes longer than [`Timing::stall`] has failed.
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
