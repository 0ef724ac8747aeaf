//! The thread that reads and compiles: off the path of every request, one reload at a time.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use super::files::Touch;
use super::live::{LiveOptions, Message};
use super::source::{Contents, Reader, Source};
use super::state::StateDir;
use super::status::{Failure, Origin, Outcome, Status};
use crate::audit::narrow::narrower;
use crate::authorizer::{Authorizer, Clock, SystemClock};
use crate::load::{self, Input, LoadOptions, load};
use crate::registry::Changes;
use crate::snapshot::{CompileError, EditError, Editor, Report, Snapshot};

/// After as many edited tokens a policy is compiled as a whole.
const MOST_EDITS: usize = 4_096;

/// Why the source is read.
enum Wake {
    /// It has changed.
    Changed,
    /// It was edited, and has stayed the same for a while: time to compile and save the whole.
    Settled,
    /// Somebody wants it, and wants to know how it ends.
    Asked(Vec<Sender<Outcome>>),
}

pub(super) struct Keeper {
    name: String,
    reader: Reader,
    authorizer: Authorizer,
    options: LiveOptions,
    state: Option<StateDir>,
    status: Status,
    /// Digests of the contents that are active; `None` where it was edited since.
    active: Option<Vec<[u8; 32]>>,
    /// Edits the active policy, where the source tells single changes.
    editor: Option<Editor>,
}

impl Keeper {
    pub(super) fn new(
        source: &Source,
        reader: Reader,
        authorizer: Authorizer,
        options: LiveOptions,
        state: Option<StateDir>,
        status: Status,
    ) -> Self {
        let name = source.to_string();
        status.with(|report| report.source.clone_from(&name));
        Self { name, reader, authorizer, options, state, status, active: None, editor: None }
    }

    /// Reads the source for the first time; if that cannot be read, what was saved of it.
    pub(super) fn begin(&mut self) {
        // What was saved is what nothing may be wider than.
        let restored = self.options.only_narrow && self.restore("nothing wider is activated");
        self.attempt();
        if !self.status.is_ready() && !restored && !self.restore("the source cannot be read") {
            tracing::warn!(source = %self.name, "no policy was ever saved: nothing is decided");
        }
    }

    /// Reads the source whenever there is a reason to, until it is to stop.
    pub(super) fn run(mut self, messages: &Receiver<Message>) {
        while let Some(wake) = self.wait(messages) {
            let outcome = match wake {
                Wake::Changed if self.edit() => continue,
                Wake::Changed | Wake::Settled | Wake::Asked(_) => self.attempt(),
            };
            let Wake::Asked(askers) = wake else { continue };
            for asker in askers {
                let _ = asker.send(outcome);
            }
        }
    }

    /// Waits for a reason to read the source. `None`: stop.
    fn wait(&mut self, messages: &Receiver<Message>) -> Option<Wake> {
        let timing = self.options.timing.clone();
        // A source that cannot be read is not asked more often than it is worth.
        let is_failing = self.status.with(|report| report.failure.is_some());
        let poll = if is_failing { timing.poll } else { self.reader.poll(&timing) };
        // When it will have been quiet for long enough, and when that is waited for no longer.
        let mut quiet: Option<(Instant, Instant)> = None;
        let settled = Instant::now() + timing.fold;
        loop {
            let wait = quiet.map_or(poll, |(at, _)| at.saturating_duration_since(Instant::now()));
            match messages.recv_timeout(wait) {
                Ok(Message::Touched(touch)) => {
                    let now = Instant::now();
                    let (_, end) = quiet.unwrap_or((now, now + timing.patience));
                    let pause = if touch == Touch::Writing { timing.writer } else { timing.quiet };
                    quiet = Some(((now + pause).min(end), end));
                }
                Ok(Message::Reload(asker)) => return coalesced(asker, messages).map(Wake::Asked),
                Ok(Message::Stop) | Err(RecvTimeoutError::Disconnected) => return None,
                Err(RecvTimeoutError::Timeout) => {
                    quiet = None;
                    if self.reader.changed() {
                        return Some(Wake::Changed);
                    }
                    if self.is_edited() && Instant::now() >= settled {
                        return Some(Wake::Settled);
                    }
                }
            }
        }
    }

    fn is_edited(&self) -> bool {
        self.editor.as_ref().is_some_and(|editor| editor.snapshot().edits() > 0)
    }

    /// Makes active what has changed of a registry, without reading the rest; whether that was possible.
    fn edit(&mut self) -> bool {
        let begun = Instant::now();
        // What is allowed next is compared as a whole.
        if self.options.only_narrow {
            return false;
        }
        let Some(mut editor) = self.editor.take().filter(|editor| editor.snapshot().edits() < MOST_EDITS) else {
            return false;
        };
        let Some(changes) = self.reader.changes() else { return false };
        // Where it fails, such as for a secret that has gone from one token to another, all of it is read instead.
        let applied = catch_unwind(AssertUnwindSafe(|| apply(&mut editor, &changes)));
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
        let contents = self.reader.read(&self.options.timing)?;
        let digests = contents.digests();
        let is_active = self.active.as_ref() == Some(&digests);
        if is_active && self.status.with(|report| report.not_saved.is_none()) {
            self.recovered();
            return Ok(Outcome::Unchanged);
        }
        let loaded = self.compile(contents)?;
        if self.options.only_narrow
            && !is_active
            && let Some(current) = self.authorizer.current().snapshot()
        {
            narrower(current, &loaded.snapshot, SystemClock.now()).map_err(|wider| vec![wider.to_string()])?;
        }
        self.recovered();
        // First: what has decided once is what a killed server decides by again.
        self.save(loaded.kept);
        if !is_active {
            self.activate(loaded.snapshot, Origin::Source, SystemClock.now(), loaded.left_out);
            self.active = Some(digests);
            self.editor = loaded.editor;
        }
        Ok(if is_active { Outcome::Unchanged } else { Outcome::Loaded })
    }

    fn compile(&self, contents: Contents) -> Result<Compiled, Vec<String>> {
        match contents {
            Contents::Documents(inputs) => self.compile_documents(&inputs),
            Contents::Compiled(bytes) => {
                let snapshot = Snapshot::from_bytes(&bytes).map_err(|error| vec![error.to_string()])?;
                Ok(Compiled { snapshot, editor: None, left_out: 0, kept: Some(Contents::Compiled(bytes)) })
            }
        }
    }

    fn compile_documents(&self, inputs: &[Input]) -> Result<Compiled, Vec<String>> {
        let options = LoadOptions { skip_invalid: self.options.skip_invalid, ..LoadOptions::default() };
        let loaded = load(inputs, &options);
        let told: Vec<_> = loaded.errors().map(|error| format!("{error}; {}", error.help)).collect();
        let Some(policy) = &loaded.policy else { return Err(told) };
        let failed = |error: CompileError| vec![error.to_string()];
        // What would become of tokens with errors is not for an edit to tell.
        let (snapshot, editor) = if self.reader.tells_changes() && loaded.skipped == 0 {
            let editor = Editor::new(policy, &self.options.compile).map_err(failed)?;
            (editor.snapshot().clone(), Some(editor))
        } else {
            (Snapshot::compile(policy, &self.options.compile).map_err(failed)?, None)
        };
        for problem in &told {
            tracing::warn!(source = %self.name, "a token is left out: {problem}");
        }
        let kept = self.state.as_ref().and_then(|_| loaded.digested(inputs)).map(Contents::Documents);
        Ok(Compiled { snapshot, editor, left_out: loaded.skipped, kept })
    }

    fn activate(&self, snapshot: Snapshot, origin: Origin, since: crate::base::Timestamp, left_out: usize) {
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

    fn save(&self, kept: Option<Contents>) {
        let Some(state) = &self.state else { return };
        let saved = match kept {
            Some(contents) => state.save(&self.name, &contents, SystemClock.now()).map_err(|error| error.to_string()),
            None => Err("its documents cannot be written again".to_owned()),
        };
        if let Err(error) = &saved {
            tracing::error!(source = %self.name, "the policy is not saved: {error}");
        }
        self.status.with(|report| report.not_saved = saved.err());
    }

    /// Makes active what was saved; `false` if nothing ever was.
    fn restore(&mut self, why: &'static str) -> bool {
        let Some(state) = &self.state else { return true };
        let restored = match state.saved(&self.name) {
            Ok(Some((contents, at))) => self.compile(contents).map(|compiled| (compiled, at)),
            Ok(None) => return false,
            Err(error) => Err(vec![error.to_string()]),
        };
        match restored {
            Ok((compiled, at)) => {
                self.activate(compiled.snapshot, Origin::Saved, at, 0);
                tracing::warn!(source = %self.name, saved_at = %at, "the last good policy is active: {why}");
            }
            Err(problems) => {
                for problem in problems {
                    tracing::error!(source = %self.name, "the saved policy cannot be read: {problem}");
                }
            }
        }
        true
    }
}

struct Compiled {
    snapshot: Snapshot,
    editor: Option<Editor>,
    left_out: usize,
    /// What to save, where anything is saved.
    kept: Option<Contents>,
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
