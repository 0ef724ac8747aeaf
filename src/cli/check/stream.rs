//! Requests as JSON Lines in, answers as JSON Lines out, in the same order.
//!
//! One thread reads chunks of lines and deals them out to the workers in turn; this thread collects the answers in the
//! same turn. All queues are short, so memory does not grow with the input.

use std::fs::File;
use std::io::{self, IsTerminal, Read, Write};
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::time::Instant;

use anyhow::Context;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use portcullis::authorizer::{Clock, SystemClock};
use portcullis::base::Timestamp;
use portcullis::decision::Replay;
use portcullis::wire::{Answer, ErrorAnswer, ReplayRequest, Replayed, SkippedAnswer};

use super::lines::{Chunk, Chunks};
use super::tally::Tally;
use crate::cli::Exit;
use crate::cli::output::{Stdout, bytes};

/// Chunks that wait before and after each worker.
const QUEUE: usize = 2;

/// What every worker knows.
#[derive(Clone, Copy)]
pub(super) struct Decider<'s> {
    pub(super) replay: &'s Replay<'s>,
    /// The instant of requests that name none; the clock's if there is none here either.
    pub(super) now: Option<Timestamp>,
    /// The most bytes of a line.
    pub(super) max_line: usize,
}

/// The answers to a chunk.
#[derive(Default)]
struct Answers {
    text: Vec<u8>,
    tally: Tally,
    read: u64,
}

impl Decider<'_> {
    /// Answers all of `path`, or of standard input for `-`.
    pub(super) fn run(self, path: &Path, threads: usize, quiet: bool) -> anyhow::Result<Exit> {
        let name = path.display();
        let (input, size): (Box<dyn Read + Send>, _) = if path == Path::new("-") {
            (Box::new(io::stdin()), None)
        } else {
            let file = File::open(path).with_context(|| format!("cannot read the requests `{name}`"))?;
            let size = file.metadata().ok().filter(std::fs::Metadata::is_file).map(|metadata| metadata.len());
            (Box::new(file), size)
        };
        let progress = progress(size, quiet);
        let begun = Instant::now();
        let tally = self.pump(input, threads, &progress);
        progress.finish_and_clear();
        let tally = tally.with_context(|| format!("the answers to `{name}` stop half-way"))?;
        if !quiet {
            tally.summarize(begun.elapsed(), &mut io::stderr().lock())?;
        }
        Ok(if tally.errors > 0 { Exit::Failure } else { Exit::Success })
    }

    fn pump(self, input: impl Read + Send, threads: usize, progress: &ProgressBar) -> anyhow::Result<Tally> {
        std::thread::scope(|scope| {
            let (mut inputs, mut outputs) = (Vec::new(), Vec::new());
            for _ in 0..threads.max(1) {
                let (send_chunk, chunks) = sync_channel(QUEUE);
                let (send_answers, answers) = sync_channel(QUEUE);
                scope.spawn(move || self.work(&chunks, &send_answers));
                inputs.push(send_chunk);
                outputs.push(answers);
            }
            scope.spawn(move || deal(Chunks::new(input, self.max_line), &inputs));
            collect(&outputs, progress)
        })
    }

    fn work(self, chunks: &Receiver<io::Result<Chunk>>, answers: &SyncSender<io::Result<Answers>>) {
        for chunk in chunks {
            if answers.send(chunk.map(|chunk| self.answer(&chunk))).is_err() {
                return;
            }
        }
    }

    fn answer(self, chunk: &Chunk) -> Answers {
        let mut answers = Answers { read: chunk.text.len() as u64, ..Answers::default() };
        let now = self.now.unwrap_or_else(|| SystemClock.now());
        for (number, line) in chunk.lines(self.max_line) {
            match line {
                Some(line) => self.line(number, line, now, &mut answers),
                None => answers.error(number, &format!("a line of more than {}", bytes(self.max_line))),
            }
        }
        answers
    }

    fn line(self, number: u64, line: &[u8], now: Timestamp, answers: &mut Answers) {
        let line = if number == 1 { line.strip_prefix("\u{feff}".as_bytes()).unwrap_or(line) } else { line };
        if line.trim_ascii().is_empty() {
            return answers.error(number, "an empty line is not a request");
        }
        let request = match ReplayRequest::read(line) {
            Ok(request) => request,
            Err(error) => return answers.error(number, &error.to_string()),
        };
        match request.decide(self.replay, now) {
            Replayed::Decided(decision) => {
                answers.tally.decided(&decision);
                let answer = Answer::new(request.id(), &decision).logged(request.logged());
                answers.tally.changed += u64::from(answer.differs_from_log());
                answers.write(&answer);
            }
            Replayed::Skipped(skipped) => {
                answers.tally.skipped += 1;
                answers.write(&SkippedAnswer { id: request.id(), line: number, skipped });
            }
        }
    }
}

impl Answers {
    fn error(&mut self, line: u64, error: &str) {
        self.tally.errors += 1;
        self.write(&ErrorAnswer { line, error });
    }

    fn write(&mut self, answer: &impl serde::Serialize) {
        // Writing to memory does not fail, and neither does serializing an answer.
        let _ = serde_json::to_writer(&mut self.text, answer);
        self.text.push(b'\n');
    }
}

/// Deals the chunks out in turn, until the input ends or nobody wants more.
fn deal(chunks: Chunks<impl Read>, workers: &[SyncSender<io::Result<Chunk>>]) {
    for (chunk, worker) in chunks.zip(workers.iter().cycle()) {
        if worker.send(chunk).is_err() {
            return;
        }
    }
}

/// Writes the answers in turn, until one worker has no more: then none has.
fn collect(outputs: &[Receiver<io::Result<Answers>>], progress: &ProgressBar) -> anyhow::Result<Tally> {
    let mut out = Stdout::lock();
    let mut tally = Tally::default();
    for answers in outputs.iter().cycle() {
        let ready = match answers.try_recv() {
            Err(TryRecvError::Empty) => {
                // Nothing to do but wait: whoever reads gets all there is.
                out.flush().context("cannot write to standard output")?;
                answers.recv().ok()
            }
            other => other.ok(),
        };
        let Some(answers) = ready else { break };
        let answers = answers.context("cannot read on")?;
        out.write_all(&answers.text).context("cannot write to standard output")?;
        tally.add(&answers.tally);
        progress.inc(answers.read);
        if out.is_closed() {
            break;
        }
    }
    out.flush().context("cannot write to standard output")?;
    Ok(tally)
}

/// A progress bar, where somebody sees it and the answers go elsewhere.
fn progress(size: Option<u64>, quiet: bool) -> ProgressBar {
    if quiet || !io::stderr().is_terminal() || io::stdout().is_terminal() {
        return ProgressBar::hidden();
    }
    let (bar, template) = match size {
        Some(size) => (ProgressBar::new(size), "{bar:32} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left"),
        None => (ProgressBar::no_length(), "{spinner} {bytes}, {bytes_per_sec}"),
    };
    bar.set_draw_target(ProgressDrawTarget::stderr_with_hz(5));
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
