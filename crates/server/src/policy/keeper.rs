//! The thread that compiles and activates: off the path of every request, one reload at a time. It never waits for a disk
//! without a limit: a worker reads, and a saver saves.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use super::contents::Contents;
use super::message::{Done, Message};
use super::options::LiveOptions;
use super::source::{Reader, Source};
use super::state::StateDir;
use super::status::{Failure, Origin, Outcome, Status};
use super::watch::Touch;
use super::worker::{Saver, Task, Worker};
use portcullis::authorizer::{Authorizer, Clock, SystemClock};
use portcullis::base::Timestamp;
use portcullis::snapshot::{CompileError, EditError, Editor, Report, Snapshot};
use portcullis_diff::narrow::narrower;
use portcullis_document::load::{self, Input, LoadOptions, load};
use portcullis_registry::Changes;

/// After as many edited tokens a policy is compiled as a whole.
const MOST_EDITS: usize = 4_096;

/// After this number of errors a policy is not read any further: the next one waits.
const MAX_COUNTED: usize = 5_000_000;

/// The maximum number of workers that hang and are left behind. Then only their end is waited for.
const MAX_HANGING: usize = 3;

/// How long a task that has begun is waited for at the end.
const LAST_TASK: Duration = Duration::from_secs(1);

/// How long an instant without a bound lies ahead.
const FAR: Duration = Duration::from_secs(1 << 30);

pub(super) struct Keeper {
    source: Source,
    name: String,
    inbox: Sender<Message>,
    worker: Worker,
    /// The number of the present worker, and of the newest whose result was used.
    number: u64,
    used: u64,
    /// How many workers hang.
    hanging: usize,
    running: Option<Running>,
    authorizer: Authorizer,
    options: LiveOptions,
    state: Option<(Arc<StateDir>, Saver)>,
    /// What could not be saved yet.
    unsaved: Option<Arc<Contents>>,
    status: Status,
    /// Digests of the contents that are active; `None` where it was edited since.
    active: Option<Vec<[u8; 32]>>,
    /// Edits the active policy, where the source reports single changes.
    editor: Option<Editor>,
    wake: Wake,
}

/// A task that the worker has not finished.
struct Running {
    begun: Instant,
    /// When it counts as stalled; `None` once that was reported.
    stalls: Option<Instant>,
    /// When another worker takes over.
    is_hung: Instant,
    /// Who asked for a reload before it began.
    askers: Vec<Sender<Outcome>>,
}

/// Reasons to read the source.
struct Wake {
    /// Whether a reload was asked for, and who waits for its end.
    asked: bool,
    askers: Vec<Sender<Outcome>>,
    /// After a change: when it will have been quiet for long enough, and when that is waited for no longer.
    quiet: Option<(Instant, Instant)>,
    poll: Instant,
    /// When an edited policy is compiled as a whole.
    settled: Instant,
    /// When to try again to save what could not be saved.
    save: Instant,
}

/// Why a source cannot be read as a policy: the first problems, and the number of all of them.
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
    /// What to save, where anything is saved.
    kept: Option<Contents>,
}

impl Keeper {
    pub(super) fn new(
        source: &Source,
        inbox: Sender<Message>,
        authorizer: Authorizer,
        options: LiveOptions,
        state: Option<Arc<StateDir>>,
        status: Status,
    ) -> io::Result<Self> {
        let name = source.to_string();
        status.with(|report| report.source.clone_from(&name));
        let worker = worker(source, &options, 0, &inbox)?;
        let saver = |state: Arc<StateDir>| Saver::start(Arc::clone(&state), name.clone()).map(|saver| (state, saver));
        let state = state.map(saver).transpose()?;
        let now = Instant::now();
        let wake = Wake { asked: false, askers: Vec::new(), quiet: None, poll: now, settled: now, save: now };
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
            status,
            active: None,
            editor: None,
            wake,
        })
    }

    /// Reads the source for the first time; if it cannot be read, or does not answer, what was saved of it.
    pub(super) fn begin(&mut self, messages: &Receiver<Message>) {
        // What was saved is what nothing may be wider than.
        let restored = self.options.only_narrow && self.restore("nothing wider is activated");
        self.start(Task::Read);
        while self.running.as_ref().is_some_and(|running| running.stalls.is_some()) {
            if let Ok(message) = messages.recv_timeout(self.wait()) {
                self.hear(message);
            }
            self.watch_task();
        }
        if !self.status.is_ready() && !restored && !self.restore("the source cannot be read") {
            tracing::warn!(source = %self.name, "no policy was ever saved: nothing is decided");
        }
    }

    /// Reads the source whenever there is a reason to, until it is to stop.
    pub(super) fn run(mut self, messages: &Receiver<Message>) {
        loop {
            match messages.recv_timeout(self.wait()) {
                Ok(Message::Stop) | Err(RecvTimeoutError::Disconnected) => break,
                Ok(message) => self.hear(message),
                Err(RecvTimeoutError::Timeout) => {}
            }
            self.watch_task();
            self.next();
        }
        // What was asked for before it ended is done, unless it hangs.
        let end = Instant::now() + LAST_TASK;
        while self.running.as_ref().is_some_and(|running| running.stalls.is_some()) {
            match messages.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(Message::Done(number, _)) if number == self.number => self.running = None,
                Ok(_) => {}
                Err(_) => break,
            }
        }
        self.save_again(LAST_TASK);
        if self.running.is_none() {
            self.worker.close();
        }
    }

    fn hear(&mut self, message: Message) {
        match message {
            Message::Touched(touch) => self.wake.touched(touch, &self.options),
            Message::Reload(asker) => {
                self.wake.asked = true;
                self.wake.askers.extend(asker);
            }
            Message::Done(number, done) => self.done(number, done),
            Message::Stop => {}
        }
    }

    /// How long nothing is to be done unless a message comes.
    fn wait(&self) -> Duration {
        let at = match &self.running {
            Some(running) => running.stalls.unwrap_or(running.is_hung),
            None => self.wake.quiet.map_or(self.wake.poll, |(at, _)| at),
        };
        at.saturating_duration_since(Instant::now()).max(Duration::from_millis(1))
    }

    /// Reports a task that takes too long, and has another worker try.
    fn watch_task(&mut self) {
        let now = Instant::now();
        let Some(running) = &mut self.running else { return };
        if running.stalls.is_some_and(|at| at <= now) {
            running.stalls = None;
            let seconds = running.begun.elapsed().as_secs_f32();
            tracing::error!(source = %self.name, "the policy has been read for {seconds:.1} s without an end");
            self.status.with(|report| report.stalled_since = Some(SystemClock.now()));
            self.status.ended(Outcome::Failed, running.begun.elapsed());
            answer(running.askers.drain(..).chain(self.wake.askers.drain(..)), Outcome::Failed);
        }
        if running.is_hung <= now {
            running.is_hung = after(now, self.options.timing.stall.saturating_mul(3));
            if self.hanging < MAX_HANGING
                && let Ok(worker) = worker(&self.source, &self.options, self.number + 1, &self.inbox)
            {
                // The old one ends by itself, if it ever goes on.
                self.worker = worker;
                self.number += 1;
                self.hanging += 1;
                self.worker.ask(Task::Read);
            }
        }
    }

    fn start(&mut self, task: Task) {
        let begun = Instant::now();
        let stall = self.options.timing.stall;
        let is_hung = after(begun, stall.saturating_mul(3));
        // Who asks later wants what is there then.
        let askers = if task == Task::Read { std::mem::take(&mut self.wake.askers) } else { Vec::new() };
        if task == Task::Read {
            (self.wake.asked, self.wake.quiet) = (false, None);
        }
        self.running = Some(Running { begun, stalls: Some(after(begun, stall)), is_hung, askers });
        self.worker.ask(task);
    }

    /// Begins the next task, if there is a reason for one.
    fn next(&mut self) {
        if self.running.is_some() {
            return;
        }
        let now = Instant::now();
        if self.wake.asked {
            self.start(Task::Read);
        } else if self.wake.quiet.map_or(self.wake.poll, |(at, _)| at) <= now {
            self.wake.quiet = None;
            if self.unsaved.is_some() && self.wake.save <= now {
                self.save_again(self.options.timing.stall);
            }
            self.start(Task::Look);
        }
    }

    fn done(&mut self, number: u64, done: Done) {
        let is_present = number == self.number;
        if !is_present {
            self.hanging = self.hanging.saturating_sub(1);
        }
        // What a worker that hung has read is used, unless a later one was faster.
        if number < self.used {
            return;
        }
        let Some(running) = self.running.take() else { return };
        self.used = number;
        if self.status.with(|report| report.stalled_since.take()).is_some() {
            let seconds = running.begun.elapsed().as_secs_f32();
            tracing::info!(source = %self.name, "the policy was read after {seconds:.1} s");
        }
        match done {
            Done::Looked(false) if self.is_edited() && Instant::now() >= self.wake.settled => {
                return self.start(Task::Read);
            }
            Done::Looked(false) => {}
            Done::Looked(true) if self.can_edit() => return self.start(Task::Changes),
            Done::Looked(true) => return self.start(Task::Read),
            Done::Changes(changes) => {
                if !changes.is_some_and(|changes| self.edit(&changes)) {
                    return self.start(Task::Read);
                }
                self.wake.settled = after(Instant::now(), self.options.timing.fold);
            }
            Done::Read(contents) => {
                let outcome = self.attempt(contents, running.begun);
                answer(running.askers, outcome);
                // Most of what happened meanwhile is the change that was read.
                if let Some((at, end)) = self.wake.quiet {
                    let quiet = after(Instant::now(), self.options.timing.quiet);
                    self.wake.quiet = Some((at.max(quiet).min(end), end));
                }
                self.wake.settled = after(Instant::now(), self.options.timing.fold);
            }
        }
        // A source that cannot be read is not asked more often than it is worth.
        let timing = &self.options.timing;
        let is_failing = self.status.with(|report| report.failure.is_some());
        let often = self.source.location().is_some() && !is_failing;
        self.wake.poll = after(Instant::now(), if often { timing.registry } else { timing.poll });
    }

    fn is_edited(&self) -> bool {
        self.editor.as_ref().is_some_and(|editor| editor.snapshot().edits() > 0)
    }

    /// Whether single changes can be made. What `only_narrow` allows next is compared as a whole.
    fn can_edit(&self) -> bool {
        let has_room = self.editor.as_ref().is_some_and(|editor| editor.snapshot().edits() < MOST_EDITS);
        has_room && !self.options.only_narrow
    }

    /// Makes active what has changed of a registry, without reading the rest; whether that was possible.
    fn edit(&mut self, changes: &Changes) -> bool {
        let begun = Instant::now();
        let Some(mut editor) = self.editor.take() else { return false };
        // Where it fails, such as for a secret that has gone from one token to another, all of it is read instead.
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
        self.status.ended(Outcome::Loaded, begun.elapsed());
        true
    }

    /// Makes what was read active, if it is a policy.
    fn attempt(&mut self, contents: Result<Contents, Vec<String>>, begun: Instant) -> Outcome {
        // Whatever goes wrong in there, the last good policy stays and the next change is read.
        let outcome = catch_unwind(AssertUnwindSafe(|| self.take(contents?)));
        let outcome =
            outcome.unwrap_or_else(|_| Err(vec!["internal error: compiling the policy panicked".to_owned()].into()));
        let outcome = outcome.unwrap_or_else(|problems| {
            self.failed(&problems);
            Outcome::Failed
        });
        self.status.ended(outcome, begun.elapsed());
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
        // First: what has decided once is what a killed server decides by again.
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
        let options =
            LoadOptions { skip_invalid: self.options.skip_invalid, max_counted: MAX_COUNTED, ..LoadOptions::default() };
        let loaded = load(inputs, &options);
        let count = loaded.count().errors;
        let first: Vec<_> = loaded.errors().map(|error| format!("{error}; {}", error.help)).collect();
        let Some(policy) = &loaded.policy else { return Err(Problems { first, count }) };
        let failed = |error: CompileError| vec![error.to_string()];
        // What would become of tokens with errors is not for an edit to tell.
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
        let kept = self.state.as_ref().and_then(|_| loaded.digested(inputs)).map(Contents::Documents);
        Ok(Compiled { snapshot, editor, left_out: loaded.skipped, kept })
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

    /// Reports a failure: once, not at every attempt that ends in the same way.
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
            tracing::info!(source = %self.name, attempts, "the policy fails in another way");
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

    /// Saves a policy before it becomes active. What cannot be saved is saved when it can be.
    fn save(&mut self, kept: Option<Contents>) {
        if self.state.is_none() {
            return;
        }
        self.unsaved = kept.map(Arc::new);
        match self.unsaved {
            Some(_) => self.save_again(self.options.timing.stall),
            None => self.saved(Err("its documents cannot be written again".to_owned())),
        }
    }

    /// Tries again to save what could not be saved.
    fn save_again(&mut self, patience: Duration) {
        let (Some(contents), Some((_, disk))) = (&self.unsaved, &mut self.state) else { return };
        let saved = disk.save(Arc::clone(contents), patience);
        self.wake.save = after(Instant::now(), self.options.timing.poll);
        if saved.is_ok() {
            self.unsaved = None;
        }
        self.saved(saved);
    }

    /// Reports whether the policy is saved, if that is news.
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

    /// Makes active what was saved; `false` if nothing ever was.
    fn restore(&mut self, why: &'static str) -> bool {
        let Some((state, _)) = &self.state else { return true };
        let restored = match state.saved(&self.name) {
            Ok(Some((contents, at))) => self.compile(contents).map(|compiled| (compiled, at)),
            Ok(None) => return false,
            Err(error) => Err(vec![error.to_string()].into()),
        };
        match restored {
            Ok((compiled, at)) => {
                self.activate(compiled.snapshot, Origin::Saved, at, 0);
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

/// Everybody who waits learns how the one reload ended.
fn answer(askers: impl IntoIterator<Item = Sender<Outcome>>, outcome: Outcome) {
    for asker in askers {
        let _ = asker.send(outcome);
    }
}

fn worker(source: &Source, options: &LiveOptions, number: u64, inbox: &Sender<Message>) -> io::Result<Worker> {
    let teller = inbox.clone();
    // When it stops, nobody listens any more.
    let tell = Arc::new(move |touch| drop(teller.send(Message::Touched(touch))));
    let reader = Reader::new(source, options.max_bytes, tell);
    Worker::start(reader, options.timing.clone(), number, inbox.clone())
}

/// The instant `wait` after `now`; a distant one where there is no such instant.
fn after(now: Instant, wait: Duration) -> Instant {
    now.checked_add(wait.min(FAR)).unwrap_or(now)
}

/// Makes of the editor's tokens what they are now; fails where that takes more than one look at each.
fn apply(editor: &mut Editor, changes: &Changes) -> Result<(), String> {
    for id in &changes.gone {
        match editor.revoke(id) {
            // It came and went between two looks.
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
    // Last: a rotated token's old secret is that of a new token.
    for document in new {
        let token = load::tokens(document.as_str(), editor.known()).map_err(|error| error.to_string())?;
        editor.create(&token).map_err(|error| error.to_string())?;
    }
    Ok(())
}
