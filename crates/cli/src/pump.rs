//! Lines in, lines out, in the same order, on several threads.
//!
//! One thread reads chunks of lines and deals them out to the workers in turn; this thread collects the answers in the
//! same turn. All queues are short, so memory does not grow with the input.

use std::fs::File;
use std::io::{self, IsTerminal, Read, Write};
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};

use anyhow::Context;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::lines::{Chunk, Chunks};
use super::output::{Inputs, Stdout, bytes};

/// Chunks that wait for a worker, and answers that wait to be written.
const QUEUE: usize = 2;

/// What becomes of each line.
pub(super) trait Answerer: Sync {
    /// What is counted.
    type Tally: Default + Send;

    /// Writes the answer to a line, which is not empty, as a line.
    fn answer(&self, number: u64, line: &[u8], out: &mut Vec<u8>, tally: &mut Self::Tally);

    /// Writes what is wrong with a line, as a line.
    fn error(&self, number: u64, error: &str, out: &mut Vec<u8>, tally: &mut Self::Tally);

    /// Adds what was counted of other lines.
    fn add(total: &mut Self::Tally, more: &Self::Tally);
}

/// How lines are read and by how many.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pump {
    pub(super) threads: usize,
    /// The most bytes of a line.
    pub(super) max_line: usize,
    /// Whether no progress is shown.
    pub(super) quiet: bool,
}

/// The answers to one chunk.
struct Answers<T> {
    text: Vec<u8>,
    tally: T,
    /// Bytes of the chunk.
    read: u64,
}

impl Pump {
    /// Answers every line of the file at `path`, or of standard input for `-`, on standard output.
    pub(super) fn run<A: Answerer>(self, path: &Path, answerer: &A) -> anyhow::Result<A::Tally> {
        let name = path.display();
        Inputs::check_stdout(path)?;
        let (input, size): (Box<dyn Read + Send>, _) = if path == Path::new("-") {
            (Box::new(io::stdin()), None)
        } else {
            let file = File::open(path).with_context(|| format!("cannot read the requests `{name}`"))?;
            let size = file.metadata().ok().filter(std::fs::Metadata::is_file).map(|metadata| metadata.len());
            (Box::new(file), size)
        };
        let progress = progress(size, self.quiet);
        let tally = self.pump(input, answerer, &progress);
        progress.finish_and_clear();
        tally.with_context(|| format!("the answers to `{name}` stop half-way"))
    }

    fn pump<A: Answerer>(
        self,
        input: impl Read + Send,
        answerer: &A,
        progress: &ProgressBar,
    ) -> anyhow::Result<A::Tally> {
        std::thread::scope(|scope| {
            let (mut inputs, mut outputs) = (Vec::new(), Vec::new());
            for _ in 0..self.threads.max(1) {
                let (send_chunk, chunks) = sync_channel(QUEUE);
                let (send_answers, answers) = sync_channel(QUEUE);
                scope.spawn(move || self.work(answerer, &chunks, &send_answers));
                inputs.push(send_chunk);
                outputs.push(answers);
            }
            scope.spawn(move || deal(Chunks::new(input, self.max_line), &inputs));
            collect::<A>(&outputs, progress)
        })
    }

    fn work<A: Answerer>(
        self,
        answerer: &A,
        chunks: &Receiver<io::Result<Chunk>>,
        answers: &SyncSender<io::Result<Answers<A::Tally>>>,
    ) {
        for chunk in chunks {
            if answers.send(chunk.map(|chunk| self.answer(answerer, &chunk))).is_err() {
                return;
            }
        }
    }

    fn answer<A: Answerer>(self, answerer: &A, chunk: &Chunk) -> Answers<A::Tally> {
        let (mut text, mut tally) = (Vec::new(), A::Tally::default());
        for (number, line) in chunk.lines(self.max_line) {
            let Some(line) = line else {
                let error = format!("a line of more than {}", bytes(self.max_line));
                answerer.error(number, &error, &mut text, &mut tally);
                continue;
            };
            let line = if number == 1 { line.strip_prefix("\u{feff}".as_bytes()).unwrap_or(line) } else { line };
            if line.trim_ascii().is_empty() {
                answerer.error(number, "an empty line is not a request", &mut text, &mut tally);
            } else {
                answerer.answer(number, line, &mut text, &mut tally);
            }
        }
        Answers { text, tally, read: chunk.text.len() as u64 }
    }
}

/// Writes `answer` as a line.
pub(super) fn write_line(answer: &impl serde::Serialize, out: &mut Vec<u8>) {
    // Writing to memory does not fail, and neither does serializing an answer.
    let _ = serde_json::to_writer(&mut *out, answer);
    out.push(b'\n');
}

/// Hands chunks to the workers in turn.
fn deal(chunks: Chunks<impl Read>, workers: &[SyncSender<io::Result<Chunk>>]) {
    for (chunk, worker) in chunks.zip(workers.iter().cycle()) {
        if worker.send(chunk).is_err() {
            return;
        }
    }
}

/// Writes the answers in turn, until one worker has no more: then none has.
fn collect<A: Answerer>(
    outputs: &[Receiver<io::Result<Answers<A::Tally>>>],
    progress: &ProgressBar,
) -> anyhow::Result<A::Tally> {
    let mut out = Stdout::lock();
    let mut tally = A::Tally::default();
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
        A::add(&mut tally, &answers.tally);
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
