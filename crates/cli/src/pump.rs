//! Answers lines with lines, in the same order, on several threads.
//!
//! One thread reads chunks of lines and sends them to the workers in turn. The calling thread collects the answers in the
//! same order. All queues are short, so memory does not grow with the input.

use std::io::{self, IsTerminal, Read, Write};
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};

use anyhow::{Context, anyhow, bail};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use portcullis_document::load::unpack;

use super::input::Opened;
use super::lines::{Chunk, Chunks};
use super::output::{Stdout, bytes, write_json};

/// The length of each queue: chunks for a worker, and its answers.
const QUEUE: usize = 2;

/// Computes the answer to each line.
pub(super) trait Answerer: Sync {
    /// The counts of the summary.
    type Counts: Default + Send;

    /// Appends the answer to a line to `out`, as a line. The line is not empty.
    fn answer(&self, number: u64, line: &[u8], out: &mut Vec<u8>, counts: &mut Self::Counts);

    /// Appends the error of a line to `out`, as a line.
    fn error(&self, number: u64, error: &str, out: &mut Vec<u8>, counts: &mut Self::Counts);

    /// Adds the counts of other lines.
    fn add(total: &mut Self::Counts, more: &Self::Counts);
}

/// The options of the pump.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pump {
    pub(super) threads: usize,
    /// The maximum length of a line, in bytes.
    pub(super) max_line: usize,
    /// Whether to hide the progress bar.
    pub(super) quiet: bool,
}

/// The answers to one chunk.
struct Answers<T> {
    text: Vec<u8>,
    counts: T,
    /// The size of the chunk, in bytes.
    read: u64,
}

impl Pump {
    /// Answers every line of the file at `path`, or of standard input for `-`, on standard output. The file may be
    /// compressed with gzip or zstd. A file without lines is an error.
    pub(super) fn run<A: Answerer>(self, path: &Path, answerer: &A) -> anyhow::Result<A::Counts> {
        let name = path.display();
        let input = Opened::open(path, "--requests")?;
        let size = input.size();
        let unpacked = unpack(input).with_context(|| format!("cannot read `{name}`"))?;
        if let Some(foreign) = unpacked.foreign {
            bail!("cannot read `{name}`: expected JSON Lines, {foreign}");
        }
        let progress = progress(size.filter(|_| !unpacked.is_compressed()), self.quiet);
        let counts = self.pump(unpacked.text, answerer, &progress);
        progress.finish_and_clear();
        counts.with_context(|| format!("the answers to `{name}` are incomplete"))?.ok_or_else(|| no_request(path))
    }

    fn pump<A: Answerer>(
        self,
        input: impl Read + Send,
        answerer: &A,
        progress: &ProgressBar,
    ) -> anyhow::Result<Option<A::Counts>> {
        std::thread::scope(|scope| {
            let (mut inputs, mut outputs) = (Vec::new(), Vec::new());
            for _ in 0..self.threads.max(1) {
                let (send_chunk, chunks) = sync_channel(QUEUE);
                let (send_answers, answers) = sync_channel(QUEUE);
                scope.spawn(move || self.work(answerer, &chunks, &send_answers));
                inputs.push(send_chunk);
                outputs.push(answers);
            }
            scope.spawn(move || distribute(Chunks::new(input, self.max_line), &inputs));
            collect::<A>(&outputs, progress)
        })
    }

    fn work<A: Answerer>(
        self,
        answerer: &A,
        chunks: &Receiver<io::Result<Chunk>>,
        answers: &SyncSender<io::Result<Answers<A::Counts>>>,
    ) {
        for chunk in chunks {
            if answers.send(chunk.map(|chunk| self.answer(answerer, &chunk))).is_err() {
                return;
            }
        }
    }

    fn answer<A: Answerer>(self, answerer: &A, chunk: &Chunk) -> Answers<A::Counts> {
        let (mut text, mut counts) = (Vec::new(), A::Counts::default());
        for (number, line) in chunk.lines(self.max_line) {
            let Some(line) = line else {
                let error = format!("a line of more than {}", bytes(self.max_line));
                answerer.error(number, &error, &mut text, &mut counts);
                continue;
            };
            let line = if number == 1 { line.strip_prefix("\u{feff}".as_bytes()).unwrap_or(line) } else { line };
            if line.trim_ascii().is_empty() {
                answerer.error(number, "an empty line is not a request", &mut text, &mut counts);
            } else {
                answerer.answer(number, line, &mut text, &mut counts);
            }
        }
        Answers { text, counts, read: chunk.text.len() as u64 }
    }
}

/// The error of a file without requests.
pub(super) fn no_request(path: &Path) -> anyhow::Error {
    anyhow!("cannot read `{}`: it has no request\nhelp: write one JSON object a line", path.display())
}

/// Writes `answer` as a line.
pub(super) fn write_line(answer: &impl serde::Serialize, out: &mut Vec<u8>) {
    // Writing to memory does not fail, and neither does serializing an answer.
    let _ = write_json(&mut *out, answer);
    out.push(b'\n');
}

/// Sends chunks to the workers in turn.
fn distribute(chunks: Chunks<impl Read>, workers: &[SyncSender<io::Result<Chunk>>]) {
    for (chunk, worker) in chunks.zip(workers.iter().cycle()) {
        if worker.send(chunk).is_err() {
            return;
        }
    }
}

/// Writes the answers in turn until a worker has no more. Then the other workers have none either. Returns `None` if there
/// are no answers.
fn collect<A: Answerer>(
    outputs: &[Receiver<io::Result<Answers<A::Counts>>>],
    progress: &ProgressBar,
) -> anyhow::Result<Option<A::Counts>> {
    let mut out = Stdout::lock();
    let mut counts = None;
    for answers in outputs.iter().cycle() {
        let ready = match answers.try_recv() {
            Err(TryRecvError::Empty) => {
                // Before waiting, pass all answers on to the reader.
                out.flush().context("cannot write to standard output")?;
                answers.recv().ok()
            }
            other => other.ok(),
        };
        let Some(answers) = ready else { break };
        let answers = answers.context("cannot read further")?;
        out.write_all(&answers.text).context("cannot write to standard output")?;
        A::add(counts.get_or_insert_default(), &answers.counts);
        progress.inc(answers.read);
        if out.is_closed() {
            break;
        }
    }
    out.flush().context("cannot write to standard output")?;
    Ok(counts)
}

/// A progress bar. It is hidden unless standard error is a terminal and standard output is not.
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
