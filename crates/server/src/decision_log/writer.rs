//! The thread that writes, and its bounded queue.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use super::{Target, WhenFull};
use portcullis::base::{quoted, system_words};
use portcullis_registry::owner_only;

/// How long the writer lets lines gather, so that each wake-up writes many.
const GATHER: Duration = Duration::from_millis(2);

/// The numbers of lines, by result. Each is exact.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) written: AtomicU64,
    pub(super) dropped: AtomicU64,
    pub(super) failed: AtomicU64,
    pub(super) left_out: AtomicU64,
}

/// Lines that wait to be written.
#[derive(Debug)]
pub(super) struct Queue {
    state: Mutex<State>,
    /// Notified when the writer has work.
    work: Condvar,
    /// Notified when there is room again, or the log is closed.
    vacancy: Notify,
    /// Notified when all lines are written.
    written: Condvar,
    bytes: usize,
    full: WhenFull,
    pub(super) counters: Counters,
}

#[derive(Debug, Default)]
struct State {
    lines: Vec<u8>,
    count: u64,
    reopen: bool,
    end: End,
    /// Whether the writer waits for work: only then it must be woken.
    idle: bool,
}

/// The stage of closing a log.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum End {
    /// It is open.
    #[default]
    Open,
    /// It accepts no more lines.
    Closed,
    /// All lines are written.
    Written,
}

impl State {
    /// Whether `more` bytes must wait if the queue may hold `limit`.
    fn is_full(&self, more: usize, limit: usize) -> bool {
        let is_over = if more == 0 { self.lines.len() >= limit } else { self.lines.len() + more > limit };
        self.end == End::Open && !self.lines.is_empty() && is_over
    }
}

impl Queue {
    pub(super) fn new(bytes: usize, full: WhenFull) -> Self {
        Self {
            state: Mutex::default(),
            work: Condvar::new(),
            vacancy: Notify::new(),
            written: Condvar::new(),
            bytes,
            full,
            counters: Counters::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until a line need not wait, or would be dropped.
    pub(super) async fn room(&self) {
        if self.full == WhenFull::Drop {
            return;
        }
        loop {
            let mut vacancy = pin!(self.vacancy.notified());
            // From here on no notification is missed.
            vacancy.as_mut().enable();
            if !self.lock().is_full(0, self.bytes) {
                return;
            }
            vacancy.await;
        }
    }

    /// Appends a line with its line break. If lines are dropped, one larger than the whole queue needs an empty queue.
    pub(super) fn push(&self, line: &[u8]) {
        let mut state = self.lock();
        let is_dropped = self.full == WhenFull::Drop && state.is_full(line.len(), self.bytes);
        if is_dropped || state.end != End::Open {
            self.counters.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        state.lines.extend_from_slice(line);
        state.count += 1;
        self.wake(&mut state);
    }

    pub(super) fn reopen(&self) {
        let mut state = self.lock();
        state.reopen = true;
        self.wake(&mut state);
    }

    /// Accepts no more lines, and waits for the end of the writer; `false` if `patience` is over before.
    pub(super) fn close(&self, patience: Duration) -> bool {
        let mut state = self.lock();
        state.end = End::Closed;
        self.wake(&mut state);
        self.vacancy.notify_waiters();
        let waited = self.written.wait_timeout_while(state, patience, |state| state.end != End::Written);
        waited.unwrap_or_else(PoisonError::into_inner).0.end == End::Written
    }

    fn wake(&self, state: &mut State) {
        if std::mem::take(&mut state.idle) {
            self.work.notify_one();
        }
    }

    /// Writes lines until the queue is closed and empty.
    pub(super) fn write_to(&self, mut sink: Sink) {
        let mut batch = Vec::new();
        loop {
            let mut state = self.lock();
            while state.lines.is_empty() && !state.reopen && state.end == End::Open {
                state.idle = true;
                state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            std::mem::swap(&mut state.lines, &mut batch);
            let count = std::mem::take(&mut state.count);
            let (reopen, closed) = (std::mem::take(&mut state.reopen), state.end != End::Open);
            drop(state);
            self.vacancy.notify_waiters();
            // Lines from before the reopen belong to the old file.
            let lost = sink.write(&batch);
            self.counters.failed.fetch_add(lost, Ordering::Relaxed);
            self.counters.written.fetch_add(count.saturating_sub(lost), Ordering::Relaxed);
            batch.clear();
            // One burst must not keep its memory indefinitely.
            batch.shrink_to(1 << 20);
            if reopen {
                sink.reopen();
            }
            let mut state = self.lock();
            if closed && state.lines.is_empty() {
                state.end = End::Written;
                self.written.notify_all();
                return;
            }
            drop(state);
            if !closed && self.lock().lines.len() < self.bytes / 2 {
                std::thread::sleep(GATHER);
            }
        }
    }
}

/// The destination of lines.
#[derive(Debug)]
pub(super) struct Sink {
    out: Out,
    /// The files that are never appended to.
    inputs: Vec<PathBuf>,
    /// Whether only a part of the last line was written.
    torn: bool,
    /// Whether the last write failed, and was reported.
    failing: bool,
}

#[derive(Debug)]
enum Out {
    Stdout(io::Stdout),
    File(PathBuf, File),
}

impl Sink {
    pub(super) fn open(target: &Target, inputs: Vec<PathBuf>) -> io::Result<Self> {
        let out = match target {
            Target::Stdout => Out::Stdout(io::stdout()),
            Target::File(path) => Out::File(path.clone(), append(path, &inputs, Pipe::Wait)?),
        };
        Ok(Self { out, inputs, torn: false, failing: false })
    }

    /// Reopens the file, after its old name may have become free for a new one.
    fn reopen(&mut self) {
        let Out::File(path, file) = &mut self.out else { return };
        match append(path, &self.inputs, Pipe::Refuse) {
            Ok(opened) => {
                *file = opened;
                self.torn = false;
                tracing::info!(file = %path.display(), "the decision log is open again");
            }
            Err(error) => {
                tracing::error!(file = %path.display(), "cannot reopen the decision log, writing continues in the old file: {}", system_words(&error));
            }
        }
    }

    /// Writes all `lines`; returns how many of them could not be written.
    fn write(&mut self, lines: &[u8]) -> u64 {
        if lines.is_empty() {
            return 0;
        }
        if self.torn && self.write_some(b"\n").is_ok() {
            self.torn = false;
        }
        match self.write_some(lines) {
            Ok(()) => {
                if std::mem::take(&mut self.failing) {
                    tracing::info!("the decision log can be written again");
                }
                0
            }
            Err((written, error)) => {
                if !std::mem::replace(&mut self.failing, true) {
                    tracing::error!("cannot write the decision log, its lines are lost: {}", system_words(&error));
                }
                let (done, left) = lines.split_at_checked(written).unwrap_or((lines, &[]));
                self.torn |= done.last().is_some_and(|byte| *byte != b'\n');
                memchr::memchr_iter(b'\n', left).count() as u64
            }
        }
    }

    /// Writes all bytes; otherwise returns how many were written, and the error.
    fn write_some(&mut self, mut bytes: &[u8]) -> Result<(), (usize, io::Error)> {
        let all = bytes.len();
        let mut writer: Box<dyn Write> = match &mut self.out {
            Out::Stdout(stdout) => Box::new(stdout.lock()),
            Out::File(_, file) => Box::new(file),
        };
        while !bytes.is_empty() {
            match writer.write(bytes) {
                Ok(0) => return Err((all - bytes.len(), io::ErrorKind::WriteZero.into())),
                Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err((all - bytes.len(), error)),
            }
        }
        writer.flush().map_err(|error| (all, error))
    }
}

/// How to open a pipe that no process reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pipe {
    /// Wait for its reader.
    Wait,
    /// Fail: lines wait meanwhile.
    Refuse,
}

/// Opens a file to append to, unless it is one of `inputs` or has the content of another program. A new file has mode 0600, whatever the umask; an existing one
/// keeps its permissions.
fn append(path: &Path, inputs: &[PathBuf], pipe: Pipe) -> io::Result<File> {
    // Before the file is opened: closing the file of a registry would end the locks of this process.
    if let Some(input) = inputs.iter().find(|input| is_same_file(path, input)) {
        let name = quoted(&input.display().to_string());
        return Err(io::Error::other(format!("it is the file {name}, which the server reads or replaces")));
    }
    match owner_only::create_file(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        other => return other,
    }
    check_content(path)?;
    let mut options = OpenOptions::new();
    // The path may be a link to a file that does not exist yet.
    options.create(true).append(true);
    #[cfg(unix)]
    {
        use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
        if pipe == Pipe::Refuse {
            let file = options.custom_flags(OFlags::NONBLOCK.bits().cast_signed()).open(path)?;
            // Later writes wait for room in the pipe.
            fcntl_setfl(&file, fcntl_getfl(&file)? - OFlags::NONBLOCK)?;
            return Ok(file);
        }
    }
    options.open(path)
}

/// Checks that the file at `path` is empty or starts with a line of a decision log. Pipes and devices are not read, nor files
/// that this process may only write.
fn check_content(path: &Path) -> io::Result<()> {
    /// The start of every line.
    const START: &[u8] = b"{\"log\":";
    let Ok(metadata) = std::fs::metadata(path) else { return Ok(()) };
    if !metadata.is_file() {
        return Ok(());
    }
    let mut start = Vec::new();
    match File::open(path) {
        Ok(file) => file.take(START.len() as u64).read_to_end(&mut start)?,
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Ok(()),
        Err(error) => return Err(error),
    };
    // A failed write may have left a part of the first line.
    if START.starts_with(&start) {
        return Ok(());
    }
    Err(io::Error::other(
        "it has content that is not a decision log; help: name a new or empty file, or a decision log",
    ))
}

/// Whether two paths name one regular file: also by a hard link or a symbolic link.
#[cfg(unix)]
fn is_same_file(path: &Path, other: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let id = |path| {
        let found = std::fs::metadata(path).ok().filter(std::fs::Metadata::is_file);
        found.map(|found| (found.dev(), found.ino()))
    };
    id(path).is_some_and(|found| id(other) == Some(found))
}

#[cfg(not(unix))]
fn is_same_file(path: &Path, other: &Path) -> bool {
    let id = |path: &Path| path.canonicalize().ok();
    id(path).is_some_and(|found| id(other) == Some(found))
}
