//! The thread that reads and compiles: off the path of every request, one reload at a time.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::files::{Timing, Touch};
use super::source::{Reader, Source};
use super::state::{StateDir, StateError};
use super::status::{Failure, Origin, Outcome, Status};
use crate::authorizer::{Authorizer, Clock, SystemClock};
use crate::load::{Input, LoadOptions, load};
use crate::model::SecretDigest;
use crate::snapshot::{Options, Snapshot};

/// How a policy is kept live.
#[derive(Debug, Clone, Default)]
pub struct LiveOptions {
    /// Whether tokens with errors are left out instead of refusing the policy.
    pub skip_invalid: bool,
    /// How to compile.
    pub compile: Options,
    /// Where the last good policy is kept; nowhere unless said.
    pub state_dir: Option<PathBuf>,
    /// How long to wait for what.
    pub timing: Timing,
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

enum Message {
    Touched(Touch),
    /// Reload, changed or not, and tell how that ended.
    Reload(Option<Sender<Outcome>>),
    Stop,
}

impl LivePolicy {
    /// Reads `source` into `authorizer`, and goes on to do so whenever it changes. Returns once it was read for the first
    /// time: then the policy is active, or what was saved of it, or, if neither can be read, none.
    ///
    /// # Errors
    ///
    /// If the state directory cannot be used, or the system gives no thread. A source that cannot be read is no error: see
    /// [`LivePolicy::status`].
    pub fn start(source: &Source, authorizer: Authorizer, options: LiveOptions) -> Result<Self, StartError> {
        let state = options.state_dir.as_ref().map(StateDir::open).transpose()?;
        let (inbox, messages) = channel();
        let teller = inbox.clone();
        let reader = Reader::new(
            source,
            // Nobody listens any more when it stops.
            Arc::new(move |touch| drop(teller.send(Message::Touched(touch)))),
        );
        let status = Status::default();
        status.with(|report| report.source = source.to_string());
        let mut keeper = Keeper {
            name: source.to_string(),
            reader,
            authorizer,
            options,
            state,
            status: status.clone(),
            active: None,
        };
        keeper.attempt();
        if !status.is_ready() {
            keeper.restore();
        }
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

    /// As [`LivePolicy::reload`], and waits until that is done.
    pub fn reload_now(&self) -> Outcome {
        let (done, outcome) = channel();
        let _ = self.inbox.send(Message::Reload(Some(done)));
        outcome.recv().unwrap_or(Outcome::Failed)
    }
}

impl Drop for LivePolicy {
    fn drop(&mut self) {
        let _ = self.inbox.send(Message::Stop);
        if let Some(thread) = self.thread.take() {
            // A panic of that thread was reported when it happened.
            let _ = thread.join();
        }
    }
}

struct Keeper {
    name: String,
    reader: Reader,
    authorizer: Authorizer,
    options: LiveOptions,
    state: Option<StateDir>,
    status: Status,
    /// Digests of the texts that are active.
    active: Option<Vec<SecretDigest>>,
}

impl Keeper {
    fn run(mut self, messages: &Receiver<Message>) {
        while let Some(askers) = self.wait(messages) {
            let outcome = self.attempt();
            for asker in askers {
                let _ = asker.send(outcome);
            }
        }
    }

    /// Waits for a reason to read the source; who wants to know how that ends. `None`: stop.
    fn wait(&mut self, messages: &Receiver<Message>) -> Option<Vec<Sender<Outcome>>> {
        let timing = self.options.timing.clone();
        // A source that cannot be read is not asked more often than it is worth.
        let is_failing = self.status.with(|report| report.failure.is_some());
        let poll = if is_failing { timing.poll } else { self.reader.poll(&timing) };
        // When it will have been quiet for long enough, and when that is waited for no longer.
        let mut quiet: Option<(Instant, Instant)> = None;
        loop {
            let wait = quiet.map_or(poll, |(at, _)| at.saturating_duration_since(Instant::now()));
            match messages.recv_timeout(wait) {
                Ok(Message::Touched(touch)) => {
                    let now = Instant::now();
                    let (_, end) = quiet.unwrap_or((now, now + timing.patience));
                    let pause = if touch == Touch::Writing { timing.writer } else { timing.quiet };
                    quiet = Some(((now + pause).min(end), end));
                }
                Ok(Message::Reload(asker)) => return coalesced(asker, messages),
                Ok(Message::Stop) | Err(RecvTimeoutError::Disconnected) => return None,
                Err(RecvTimeoutError::Timeout) => {
                    quiet = None;
                    if self.reader.changed() {
                        return Some(Vec::new());
                    }
                }
            }
        }
    }

    /// Reads the source and makes it active, if it is a policy.
    fn attempt(&mut self) -> Outcome {
        let begun = Instant::now();
        // Whatever goes wrong in there, the last good policy stays and the next change is read.
        let outcome = catch_unwind(AssertUnwindSafe(|| self.read()));
        let outcome = outcome.unwrap_or_else(|_| Err(vec!["internal error: reading the policy panicked".to_owned()]));
        let outcome = outcome.unwrap_or_else(|problems| {
            self.failed(&problems);
            Outcome::Failed
        });
        self.status.ended(outcome, begun.elapsed());
        outcome
    }

    fn read(&mut self) -> Result<Outcome, Vec<String>> {
        let inputs = self.reader.read(&self.options.timing)?;
        let digests: Vec<_> = inputs.iter().map(|input| SecretDigest::of(input.text())).collect();
        let is_active = self.active.as_ref() == Some(&digests);
        if is_active && self.status.with(|report| report.not_saved.is_none()) {
            self.recovered();
            return Ok(Outcome::Unchanged);
        }
        let loaded = self.compile(&inputs)?;
        self.recovered();
        if !is_active {
            self.activate(loaded.snapshot, Origin::Source, SystemClock.now(), loaded.left_out);
            self.active = Some(digests);
        }
        self.save(loaded.kept);
        Ok(if is_active { Outcome::Unchanged } else { Outcome::Loaded })
    }

    fn compile(&self, inputs: &[Input]) -> Result<Compiled, Vec<String>> {
        let options = LoadOptions { skip_invalid: self.options.skip_invalid, ..LoadOptions::default() };
        let loaded = load(inputs, &options);
        let told: Vec<_> = loaded.errors().map(|error| format!("{error}; {}", error.help)).collect();
        let Some(policy) = &loaded.policy else { return Err(told) };
        let snapshot = Snapshot::compile(policy, &self.options.compile).map_err(|error| vec![error.to_string()])?;
        for problem in &told {
            tracing::warn!(source = %self.name, "a token is left out: {problem}");
        }
        let kept = self.state.as_ref().and_then(|_| loaded.digested(inputs));
        Ok(Compiled { snapshot, left_out: loaded.skipped, kept })
    }

    fn activate(&self, snapshot: Snapshot, origin: Origin, since: crate::base::Timestamp, left_out: usize) {
        let made_of = snapshot.report().clone();
        let (tokens, bytes) = (made_of.tokens, made_of.bytes());
        let generation = self.authorizer.swap(snapshot).generation;
        self.status.with(|report| {
            report.generation = generation;
            report.origin = Some(origin);
            report.since = Some(since);
            report.left_out = left_out;
            report.snapshot = made_of;
        });
        tracing::info!(source = %self.name, generation, tokens, bytes, "policy active");
    }

    fn failed(&self, problems: &[String]) {
        let failure = Failure::new(SystemClock.now(), problems);
        let (news, generation) = self.status.with(|report| {
            let before = report.failure.as_ref();
            let is_known =
                before.is_some_and(|before| (before.count, &before.problems) == (failure.count, &failure.problems));
            if !is_known {
                report.failure = Some(failure);
            }
            (!is_known, report.generation)
        });
        // Said once, not at every look.
        if !news {
            return;
        }
        for problem in problems {
            tracing::error!(source = %self.name, "{problem}");
        }
        let count = problems.len();
        let stays = if generation > 0 { ": the last good one stays" } else { "" };
        tracing::error!(source = %self.name, problems = count, generation, "the policy cannot be read{stays}");
    }

    fn recovered(&self) {
        if self.status.with(|report| report.failure.take()).is_some() {
            tracing::info!(source = %self.name, "the policy can be read again");
        }
    }

    fn save(&self, kept: Option<Vec<Input>>) {
        let Some(state) = &self.state else { return };
        let saved = match kept {
            Some(documents) => state.save(&self.name, &documents, SystemClock.now()).map_err(|error| error.to_string()),
            None => Err("its documents cannot be written again".to_owned()),
        };
        if let Err(error) = &saved {
            tracing::error!(source = %self.name, "the policy is active, but not saved: {error}");
        }
        self.status.with(|report| report.not_saved = saved.err());
    }

    /// Makes active what was saved.
    fn restore(&mut self) {
        let Some(state) = &self.state else { return };
        let restored = match state.saved(&self.name) {
            Ok(Some((documents, at))) => self.compile(&documents).map(|compiled| (compiled, at)),
            Ok(None) => return tracing::warn!(source = %self.name, "no policy was ever saved: nothing is decided"),
            Err(error) => Err(vec![error.to_string()]),
        };
        match restored {
            Ok((compiled, at)) => {
                self.activate(compiled.snapshot, Origin::Saved, at, 0);
                tracing::warn!(source = %self.name, saved_at = %at, "the last good policy is active: the source cannot be read");
            }
            Err(problems) => {
                for problem in problems {
                    tracing::error!(source = %self.name, "the saved policy cannot be read: {problem}");
                }
            }
        }
    }
}

struct Compiled {
    snapshot: Snapshot,
    left_out: usize,
    /// What to save, where anything is saved.
    kept: Option<Vec<Input>>,
}

/// All who ask now are told how the one reload ends.
fn coalesced(asker: Option<Sender<Outcome>>, messages: &Receiver<Message>) -> Option<Vec<Sender<Outcome>>> {
    let mut askers = Vec::from_iter(asker);
    while let Ok(message) = messages.recv_timeout(Duration::ZERO) {
        match message {
            Message::Reload(asker) => askers.extend(asker),
            Message::Touched(_) => {}
            Message::Stop => return None,
        }
    }
    Some(askers)
}
