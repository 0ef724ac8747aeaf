//! The thread that compiles and activates policies: off the path of requests, one reload at a time. It never waits for a
//! disk without a time limit: a worker reads, and a saver saves.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use super::contents::Contents;
use super::message::{Done, Message};
use super::options::LiveOptions;
use super::source::{Reader, Source};
use super::status::{Failure, Origin, Outcome, Status};
use super::watch::Touch;
use super::worker::{Saver, Task, Worker};
use portcullis::authorizer::{Authorizer, Clock, SystemClock};
use portcullis::base::{Escaped, Timestamp};
use portcullis::snapshot::{CompileError, EditError, Editor, Report, Snapshot};
use portcullis_diff::narrow::narrower;
use portcullis_document::load::{self, Input, LoadOptions, load};
use portcullis_registry::Changes;

/// The number of edited tokens after which a policy is compiled as a whole.
const MAX_EDITS: usize = 4_096;

/// The number of errors after which the rest of a policy is not read. The next policy is read again.
const MAX_COUNTED: usize = 5_000_000;

/// The maximum age of unsaved edits, in multiples of [`Timing::fold`](super::Timing::fold).
const MAX_FOLDS: u32 = 6;

/// The maximum number of hung workers that are abandoned. With more, the keeper only waits for one of them to end.
const MAX_HANGING: usize = 3;

/// How long to wait at the end for a running task.
const LAST_TASK: Duration = Duration::from_secs(1);

/// The distance of an instant that is never reached in practice.
const FAR: Duration = Duration::from_secs(1 << 30);

pub(super) struct Keeper {
    source: Source,
    name: String,
    inbox: Sender<Message>,
    worker: Worker,
    /// The number of the current worker, and of the newest one whose result was used.
    number: u64,
    used: u64,
    /// The number of hung workers.
    hanging: usize,
    running: Option<Running>,
    authorizer: Authorizer,
    options: LiveOptions,
    state: Option<Saver>,
    /// The contents that could not be saved yet.
    unsaved: Option<Arc<Contents>>,
    /// Whether the state directory holds a policy, as far as is known.
    is_saved: bool,
    status: Status,
    /// Digests of the active contents; `None` if the policy was edited since.
    active: Option<Vec<[u8; 32]>>,
    /// Edits the active policy, if the source reports single changes.
    editor: Option<Editor>,
    wake: Wake,
}

/// A task that the worker has not finished.
struct Running {
    started: Instant,
    /// When the task counts as stalled; `None` once that was reported.
    stalls: Option<Instant>,
    /// When another worker takes over.
    is_hung: Instant,
    /// The callers that requested a reload before it started.
    waiters: Vec<Sender<Outcome>>,
}

/// Reasons to read the source.
struct Wake {
    /// Whether a reload was requested, and the callers that wait for its end.
    requested: bool,
    waiters: Vec<Sender<Outcome>>,
    /// After a change: the instants when it counts as quiet, and when to stop waiting for that.
    quiet: Option<(Instant, Instant)>,
    poll: Instant,
    /// When an edited policy is compiled and saved as a whole, if no change follows.
    settled: Instant,
    /// When an edited policy is compiled and saved as a whole, whatever follows.
    overdue: Instant,
    /// When to retry a failed save.
    save: Instant,
}

/// Why a source cannot be read as a policy: the first problems, and the number of all problems.
struct Problems {
    first: Vec<String>,
    count: usize,
}

impl From<Vec<String>> for Problems {
    fn from(first: Vec<String>) -> Self {
        Self { count: first.len(), first }
    }
}

struct Compiled {
    snapshot: Snapshot,
    editor: Option<Editor>,
    left_out: usize,
    /// The contents to save, if a state directory is used.
    kept: Option<Contents>,
}

impl Keeper {
    pub(super) fn new(
        source: &Source,
        inbox: Sender<Message>,
        authorizer: Authorizer,
        options: LiveOptions,
        state: Option<Saver>,
        status: Status,
    ) -> io::Result<Self> {
        let name = source.to_string();
        status.with(|report| report.source.clone_from(&name));
        let name = Escaped::whole(&name).to_string();
        let worker = worker(source, &options, 0, &inbox)?;
        let now = Instant::now();
        let wake = Wake {
            requested: false,
            waiters: Vec::new(),
            quiet: None,
            poll: now,
            settled: now,
            overdue: now,
            save: now,
        };
        Ok(Self {
            source: source.clone(),
            name,
            inbox,
            worker,
            number: 0,
            used: 0,
            hanging: 0,
            running: None,
            authorizer,
            options,
            state,
            unsaved: None,
            is_saved: false,
            status,
            active: None,
            editor: None,
            wake,
        })
    }

    /// Reads the source for the first time. If it cannot be read, or does not answer, restores its saved policy.
    pub(super) fn read_first(&mut self, messages: &Receiver<Message>) {
        // With `only_narrow`, nothing may be wider than the saved policy.
        let restored = self.options.only_narrow && self.restore("nothing wider is activated");
        self.start(Task::Read);
        while self.running.as_ref().is_some_and(|running| running.stalls.is_some()) {
            if let Ok(message) = messages.recv_timeout(self.wait()) {
                self.handle(message);
            }
            self.watch_task();
        }
        if !self.status.is_ready() && !restored && !self.restore("the source cannot be read") {
            tracing::warn!(source = %self.name, "no policy was ever saved: every request is denied");
        }
    }

    /// Reads the source whenever there is a reason to, until it receives [`Message::Stop`].
    pub(super) fn run(mut self, messages: &Receiver<Message>) {
        loop {
            match messages.recv_timeout(self.wait()) {
                Ok(Message::Stop) | Err(RecvTimeoutError::Disconnected) => break,
                Ok(message) => self.handle(message),
                Err(RecvTimeoutError::Timeout) => {}
            }
            self.watch_task();
            self.next();
        }
        // Finish the running task, unless it hangs.
        let end = Instant::now() + LAST_TASK;
        while self.running.as_ref().is_some_and(|running| running.stalls.is_some()) {
            match messages.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(Message::Done(number, _)) if number == self.number => self.running = None,
                Ok(_) => {}
                Err(_) => break,
            }
        }
        self.keep_edits();
        self.save_again(LAST_TASK);
        if self.running.is_none() {
            self.worker.close();
        }
    }

    fn handle(&mut self, message: Message) {
        match message {
            Message::Touched(touch) => self.wake.touched(touch, &self.options),
            Message::Reload(waiter) => {
                self.wake.requested = true;
                self.wake.waiters.extend(waiter);
            }
            Message::Done(number, done) => self.done(number, done),
            Message::Stop => {}
        }
    }

    /// Returns how long to wait for the next message.
    fn wait(&self) -> Duration {
        let at = match &self.running {
            Some(running) => running.stalls.unwrap_or(running.is_hung),
            None => self.wake.quiet.map_or(self.wake.poll, |(at, _)| at),
        };
        at.saturating_duration_since(Instant::now()).max(Duration::from_millis(1))
    }

    /// Reports a task that takes too long, and starts another worker.
    fn watch_task(&mut self) {
        let now = Instant::now();
        let Some(running) = &mut self.running else { return };
        if running.stalls.is_some_and(|at| at <= now) {
            running.stalls = None;
            let seconds = running.started.elapsed().as_secs_f32();
            tracing::error!(source = %self.name, "reading the policy has not ended after {seconds:.1} s");
            self.status.with(|report| report.stalled_since = Some(SystemClock.now()));
            self.status.ended(Outcome::Failed, running.started.elapsed());
            notify(running.waiters.drain(..).chain(self.wake.waiters.drain(..)), Outcome::Failed);
        }
        if running.is_hung <= now {
            running.is_hung = after(now, self.options.timing.stall.saturating_mul(3));
            if self.hanging < MAX_HANGING
                && let Ok(worker) = worker(&self.source, &self.options, self.number + 1, &self.inbox)
            {
                // The hung worker ends by itself if its task ever ends.
                self.worker = worker;
                self.number += 1;
                self.hanging += 1;
                self.worker.submit(Task::Read);
            }
        }
    }

    fn start(&mut self, task: Task) {
        let started = Instant::now();
        let stall = self.options.timing.stall;
        let is_hung = after(started, stall.saturating_mul(3));
        // Later callers wait for the next read, which sees later changes.
        let waiters = if task == Task::Read { std::mem::take(&mut self.wake.waiters) } else { Vec::new() };
        if task == Task::Read {
            (self.wake.requested, self.wake.quiet) = (false, None);
        }
        self.running = Some(Running { started, stalls: Some(after(started, stall)), is_hung, waiters });
        self.worker.submit(task);
    }

    /// Starts the next task, if there is a reason for one.
    fn next(&mut self) {
        if self.running.is_some() {
            return;
        }
        let now = Instant::now();
        if self.wake.requested {
            self.start(Task::Read);
        } else if self.wake.quiet.map_or(self.wake.poll, |(at, _)| at) <= now {
            self.wake.quiet = None;
            if self.wake.save <= now {
                if self.unsaved.is_some() {
                    self.save_again(self.options.timing.stall);
                } else {
                    self.check_saved();
                }
            }
            self.start(if self.wake.requested { Task::Read } else { Task::Check });
        }
    }

    fn done(&mut self, number: u64, done: Done) {
        let is_present = number == self.number;
        if !is_present {
            self.hanging = self.hanging.saturating_sub(1);
        }
        // The result of a hung worker is used, unless a later worker was faster.
        if number < self.used {
            return;
        }
        let Some(running) = self.running.take() else { return };
        self.used = number;
        if self.status.with(|report| report.stalled_since.take()).is_some() {
            let seconds = running.started.elapsed().as_secs_f32();
            tracing::info!(source = %self.name, "the policy was read after {seconds:.1} s");
        }
        match done {
            Done::Checked(false) if self.is_edited() && Instant::now() >= self.wake.settled => {
                return self.start(Task::Read);
            }
            Done::Checked(_) if self.is_edited() && Instant::now() >= self.wake.overdue => {
                return self.start(Task::Read);
            }
            Done::Checked(false) => {}
            Done::Checked(true) if self.can_edit() => return self.start(Task::Changes),
            Done::Checked(true) => return self.start(Task::Read),
            Done::Changes(changes) => {
                let was_edited = self.is_edited();
                if !changes.is_some_and(|changes| self.edit(&changes)) {
                    return self.start(Task::Read);
                }
                self.wake.settled = after(Instant::now(), self.options.timing.fold);
                if !was_edited {
                    self.wake.overdue = after(Instant::now(), self.options.timing.fold.saturating_mul(MAX_FOLDS));
                }
            }
            Done::Read(contents) => {
                let outcome = self.attempt(contents, running.started);
                notify(running.waiters, outcome);
                // Most changes during the read are part of what was read.
                if let Some((at, end)) = self.wake.quiet {
                    let quiet = after(Instant::now(), self.options.timing.quiet);
                    self.wake.quiet = Some((at.max(quiet).min(end), end));
                }
                self.wake.settled = after(Instant::now(), self.options.timing.fold);
            }
        }
        // A failing source is polled less often.
        let timing = &self.options.timing;
        let is_failing = self.status.with(|report| report.failure.is_some());
        let often = self.source.location().is_some() && !is_failing;
        self.wake.poll = after(Instant::now(), if often { timing.registry } else { timing.poll });
    }

    fn is_edited(&self) -> bool {
        self.editor.as_ref().is_some_and(|editor| editor.snapshot().edits() > 0)
    }

    /// Whether single changes can be applied. With `only_narrow`, policies are compared as a whole.
    fn can_edit(&self) -> bool {
        let has_room = self.editor.as_ref().is_some_and(|editor| editor.snapshot().edits() < MAX_EDITS);
        has_room && !self.options.only_narrow
    }

    /// Applies the changes of a registry, without reading the rest; returns whether that was possible.
    fn edit(&mut self, changes: &Changes) -> bool {
        let started = Instant::now();
        let Some(mut editor) = self.editor.take() else { return false };
        // If this fails, such as for a secret that moved from one token to another, the whole registry is read instead.
        let applied = catch_unwind(AssertUnwindSafe(|| apply(&mut editor, changes)));
        if !matches!(applied, Ok(Ok(()))) {
            return false;
        }
        let editor = self.editor.insert(editor);
        if changes.gone.is_empty() && changes.tokens.is_empty() {
            return true;
        }
        let snapshot = editor.snapshot().clone();
        self.active = None;
        self.recovered();
        self.activate(snapshot, Origin::Source, SystemClock.now(), 0);
        self.status.ended(Outcome::Loaded, started.elapsed());
        true
    }

    /// Activates the contents, if they are a policy.
    fn attempt(&mut self, contents: Result<Contents, Vec<String>>, started: Instant) -> Outcome {
        // Whatever fails here, the last good policy stays, and the next change is read.
        let outcome = catch_unwind(AssertUnwindSafe(|| self.take(contents?)));
        let outcome =
            outcome.unwrap_or_else(|_| Err(vec!["internal error: compiling the policy panicked".to_owned()].into()));
        let outcome = outcome.unwrap_or_else(|problems| {
            self.failed(&problems);
            Outcome::Failed
        });
        self.status.ended(outcome, started.elapsed());
        outcome
    }

    fn take(&mut self, contents: Contents) -> Result<Outcome, Problems> {
        let digests = contents.digests();
        if self.active.as_ref() == Some(&digests) {
            self.recovered();
            return Ok(Outcome::Unchanged);
        }
        let loaded = self.compile(contents)?;
        if self.options.only_narrow
            && let Some(current) = self.authorizer.current().snapshot()
        {
            narrower(current, &loaded.snapshot, SystemClock.now()).map_err(|wider| vec![wider.to_string()])?;
        }
        self.recovered();
        // Save first: a killed server must restart with the policy that it decided by.
        self.save(loaded.kept);
        self.activate(loaded.snapshot, Origin::Source, SystemClock.now(), loaded.left_out);
        self.active = Some(digests);
        self.editor = loaded.editor;
        Ok(Outcome::Loaded)
    }

    fn compile(&self, contents: Contents) -> Result<Compiled, Problems> {
        match contents {
            Contents::Documents(inputs) => self.compile_documents(&inputs),
            Contents::Compiled(bytes) => {
                let snapshot = Snapshot::from_bytes(&bytes).map_err(|error| vec![error.to_string()])?;
                Ok(Compiled { snapshot, editor: None, left_out: 0, kept: Some(Contents::Compiled(bytes)) })
            }
        }
    }

    fn compile_documents(&self, inputs: &[Input]) -> Result<Compiled, Problems> {
        let options = LoadOptions {
            skip_invalid: self.options.skip_invalid,
            max_errors: self.options.max_errors,
            digested: self.state.is_some(),
            max_counted: MAX_COUNTED,
            ..LoadOptions::default()
        };
        let loaded = load(inputs, &options);
        let count = loaded.count().errors;
        let first: Vec<_> = loaded.errors().map(|error| format!("{error}; {}", error.help)).collect();
        let Some(policy) = &loaded.policy else { return Err(Problems { first, count }) };
        let failed = |error: CompileError| vec![error.to_string()];
        // An edit cannot handle tokens with errors.
        let (snapshot, editor) = if self.source.location().is_some() && loaded.skipped == 0 {
            let editor = Editor::new(policy, &self.options.compile).map_err(failed)?;
            (editor.snapshot().clone(), Some(editor))
        } else {
            (Snapshot::compile(policy, &self.options.compile).map_err(failed)?, None)
        };
        let left_out = Failure::new(SystemClock.now(), &first, count);
        for problem in &left_out.problems {
            tracing::warn!(source = %self.name, "a token is left out: {problem}");
        }
        if count > left_out.problems.len() {
            let shown = left_out.problems.len();
            tracing::warn!(source = %self.name, tokens = loaded.skipped, problems = count, shown, "tokens are left out");
        }
        let left_out = loaded.skipped;
        let kept = loaded.into_digested().map(Contents::Documents);
        Ok(Compiled { snapshot, editor, left_out, kept })
    }

    fn activate(&self, snapshot: Snapshot, origin: Origin, since: Timestamp, left_out: usize) {
        let made_of = Report { tokens: snapshot.token_count(), ..snapshot.report().clone() };
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

    /// Reports a failure once, not at every attempt that ends in the same way.
    fn failed(&self, problems: &Problems) {
        let failure = Failure::new(SystemClock.now(), &problems.first, problems.count);
        let (ended, generation) = self.status.with(|report| {
            if let Some(before) = report.failure.as_mut().filter(|before| before.problems == failure.problems) {
                before.attempts += 1;
                before.count = failure.count;
                return (None, report.generation);
            }
            let attempts = report.failure.replace(failure.clone()).map_or(0, |before| before.attempts);
            (Some(attempts), report.generation)
        });
        let Some(attempts) = ended else { return };
        if attempts > 1 {
            tracing::info!(source = %self.name, attempts, "the policy has different problems now");
        }
        for problem in &failure.problems {
            tracing::error!(source = %self.name, "{problem}");
        }
        let (count, shown) = (failure.count, failure.problems.len());
        let stays = if generation > 0 { ": the last good one stays" } else { "" };
        tracing::error!(source = %self.name, problems = count, shown, generation, "the policy cannot be read{stays}");
    }

    fn recovered(&self) {
        if let Some(Failure { attempts, .. }) = self.status.with(|report| report.failure.take()) {
            tracing::info!(source = %self.name, attempts, "the policy can be read again");
        }
    }

    /// Saves a policy before it becomes active. A failed save is retried later.
    fn save(&mut self, kept: Option<Contents>) {
        if self.state.is_none() {
            return;
        }
        self.is_saved = false;
        self.unsaved = kept.map(Arc::new);
        match self.unsaved {
            Some(_) => self.save_again(self.options.timing.stall),
            None => self.saved(Err("its documents cannot be converted for saving".to_owned())),
        }
    }

    /// Retries a failed save.
    fn save_again(&mut self, patience: Duration) {
        let (Some(contents), Some(disk)) = (&self.unsaved, &mut self.state) else { return };
        let saved = disk.save(Arc::clone(contents), patience);
        self.wake.save = after(Instant::now(), self.options.timing.poll);
        if saved.is_ok() {
            self.unsaved = None;
            self.is_saved = true;
        }
        self.saved(saved);
    }

    /// Keeps the active policy for saving, if it has edits that were not saved.
    fn keep_edits(&mut self) {
        let is_edited = self.authorizer.current().snapshot().is_some_and(|snapshot| snapshot.edits() > 0);
        if self.state.is_none() || !is_edited {
            return;
        }
        match self.active_contents() {
            Ok(contents) => self.unsaved = Some(Arc::new(contents)),
            Err(error) => self.saved(Err(error)),
        }
    }

    /// Returns the active policy in its compiled form: the source may be broken, or may hold a rejected policy.
    fn active_contents(&self) -> Result<Contents, String> {
        let current = self.authorizer.current();
        let snapshot = current.snapshot().ok_or("no policy is active")?;
        let mut bytes = Vec::new();
        let written = if snapshot.edits() > 0 {
            let policy = snapshot.policy().map_err(|error| error.to_string())?;
            let whole = Snapshot::compile(&policy, &self.options.compile).map_err(|error| error.to_string())?;
            whole.write(&mut bytes)
        } else {
            snapshot.write(&mut bytes)
        };
        written.map_err(|error| error.to_string())?;
        Ok(Contents::Compiled(bytes))
    }

    /// Detects a state directory that is missing, or whose saved policy is missing or changed, and saves the active policy
    /// again.
    fn check_saved(&mut self) {
        self.wake.save = after(Instant::now(), self.options.timing.poll);
        if !self.is_saved {
            return;
        }
        let patience = self.options.timing.stall;
        match self.state.as_mut().and_then(|state| state.check(patience)) {
            None => {}
            Some(Ok(true)) => self.saved(Ok(())),
            Some(Ok(false)) => {
                self.is_saved = false;
                let folder = self.options.state_dir.as_ref().map(|folder| folder.display().to_string());
                let folder = folder.unwrap_or_default();
                self.saved(Err(format!("the saved policy in `{folder}` is missing or was changed: it is saved again")));
                match self.active_contents() {
                    Ok(contents) => self.unsaved = Some(Arc::new(contents)),
                    Err(error) => self.saved(Err(error)),
                }
                self.save_again(self.options.timing.stall);
            }
            Some(Err(error)) => self.saved(Err(error)),
        }
    }

    /// Reports whether the policy is saved, if that has changed.
    fn saved(&self, saved: Result<(), String>) {
        let after = saved.err();
        let before = self.status.with(|report| std::mem::replace(&mut report.not_saved, after.clone()));
        match (before, after) {
            (Some(_), None) => tracing::info!(source = %self.name, "the policy is saved again"),
            (before, Some(error)) if before.as_ref() != Some(&error) => {
                tracing::error!(source = %self.name, "the policy is not saved: {error}");
            }
            _ => {}
        }
    }

    /// Activates the saved policy; `false` if none was ever saved.
    fn restore(&mut self, why: &'static str) -> bool {
        let Some(state) = &mut self.state else { return true };
        let restored = match state.saved(self.options.timing.stall) {
            Ok(Some((contents, at))) => self.compile(contents).map(|compiled| (compiled, at)),
            Ok(None) => return false,
            Err(error) => Err(vec![error].into()),
        };
        match restored {
            Ok((compiled, at)) => {
                self.activate(compiled.snapshot, Origin::Saved, at, 0);
                self.is_saved = true;
                tracing::warn!(source = %self.name, saved_at = %at, "the last good policy is active: {why}");
            }
            Err(problems) => {
                for problem in Failure::new(SystemClock.now(), &problems.first, problems.count).problems {
                    tracing::error!(source = %self.name, "the saved policy cannot be read: {problem}");
                }
            }
        }
        true
    }
}

impl Wake {
    fn touched(&mut self, touch: Touch, options: &LiveOptions) {
        let timing = &options.timing;
        let now = Instant::now();
        let (_, end) = self.quiet.unwrap_or((now, after(now, timing.patience)));
        let pause = if touch == Touch::Writing { timing.writer } else { timing.quiet };
        self.quiet = Some((after(now, pause).min(end), end));
    }
}

/// Reports the outcome of a reload to every waiting caller.
fn notify(waiters: impl IntoIterator<Item = Sender<Outcome>>, outcome: Outcome) {
    for waiter in waiters {
        let _ = waiter.send(outcome);
    }
}

fn worker(source: &Source, options: &LiveOptions, number: u64, inbox: &Sender<Message>) -> io::Result<Worker> {
    let sender = inbox.clone();
    // After the keeper stops, no thread receives this.
    let on_touch = Arc::new(move |touch| drop(sender.send(Message::Touched(touch))));
    let reader = Reader::new(source, options.max_bytes, on_touch);
    Worker::start(reader, options.timing.clone(), number, inbox.clone())
}

/// Returns the instant `wait` after `now`, or a distant one if there is no such instant.
fn after(now: Instant, wait: Duration) -> Instant {
    now.checked_add(wait.min(FAR)).unwrap_or(now)
}

/// Applies the changes to the editor's tokens. Fails if a token needs more than one edit.
fn apply(editor: &mut Editor, changes: &Changes) -> Result<(), String> {
    for id in &changes.gone {
        match editor.revoke(id) {
            // The token was created and deleted between two checks.
            Ok(_) | Err(EditError::IdUnknown(_)) => {}
            Err(error) => return Err(error.to_string()),
        }
    }
    let mut new = Vec::new();
    for document in &changes.tokens {
        let token = load::tokens(document.as_str(), editor.known()).map_err(|error| error.to_string())?;
        match editor.change(&token) {
            Ok(_) => {}
            Err(EditError::IdUnknown(_)) => new.push(document),
            Err(error) => return Err(error.to_string()),
        }
    }
    // Last: the old secret of a rotated token moves to a new token.
    for document in new {
        let token = load::tokens(document.as_str(), editor.known()).map_err(|error| error.to_string())?;
        editor.create(&token).map_err(|error| error.to_string())?;
    }
    Ok(())
}
