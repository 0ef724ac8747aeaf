//! Reads decision logs, as a stream.
//!
//! A log is JSON Lines, plain or compressed with gzip or zstd. Lines may be in the frames of container runtimes, log
//! collectors and the programs that print logs. The messages of `portcullis serve` may be between them. A log with any
//! other line is an error, and so is a log without a decision: what it lacks would look like grants that nobody uses.

mod entry;
mod frame;
mod message;
mod prefix;
mod record;

use std::fmt;
use std::io::{self, BufRead, BufReader, Read};

use portcullis_document::load::{Foreign, Unpacked, unpack};
use portcullis_http::wire::ReplayRequest;

use entry::Unread;
use frame::{Frames, Line};

/// The help for lines whose form is not known.
const PLAIN: &str = "give the log of `portcullis serve --log`, without other lines";

/// Max bytes of one line.
pub const MAX_LINE_BYTES: usize = 8 << 20;

/// The reason why a log cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// Reading fails.
    #[error("after line {line}: {error}")]
    Unreadable {
        /// The last line that was read.
        line: u64,
        /// The I/O error.
        error: io::Error,
    },
    /// The file is not text.
    #[error("expected a decision log, {0}")]
    Foreign(Foreign),
    /// Some lines are neither decisions nor messages of the server.
    #[error("{broken} of its lines cannot be read as decisions; the first is line {line}: {why}; help: {help}")]
    Lines {
        /// The number of these lines.
        broken: u64,
        /// The number of the first one, from 1.
        line: u64,
        /// The reason why the first one cannot be read.
        why: String,
        /// The command that writes only decisions.
        help: &'static str,
    },
    /// There is no decision.
    #[error("it has no decision; help: give the log of `portcullis serve --log`, or leave the file out")]
    Empty,
}

/// The lines that cannot be read.
#[derive(Default)]
struct Broken {
    count: u64,
    first: Option<(u64, Unread)>,
}

impl Broken {
    fn add(&mut self, line: u64, why: impl fmt::Display) {
        self.add_unread(line, Unread { why: why.to_string(), help: None });
    }

    fn add_unread(&mut self, line: u64, unread: Unread) {
        self.count += 1;
        self.first.get_or_insert((line, unread));
    }
}

/// Calls `each` with every decision and request of the log `input`, and the number of its line, from 1.
///
/// # Errors
///
/// Returns an error if reading fails, a line is something else, or there is no decision. `each` may have been called
/// before.
pub(crate) fn read(input: impl Read, mut each: impl FnMut(u64, &ReplayRequest<'_>)) -> Result<(), LogError> {
    let Unpacked { text, foreign } = unpack(input).map_err(|error| LogError::Unreadable { line: 0, error })?;
    if let Some(foreign) = foreign {
        return Err(LogError::Foreign(foreign));
    }
    let (mut frames, mut broken, mut decisions) = (Frames::default(), Broken::default(), 0_u64);
    each_line(text, |number, line| {
        let Some(line) = line else { return broken.add(number, too_long()) };
        let Some(Line { number, text }) = frames.line(number, line) else {
            if frames.pending() > MAX_LINE_BYTES
                && let Some(first) = frames.unfinished()
            {
                broken.add(first, too_long());
            }
            return;
        };
        let read = entry::read(&text, &mut |request| {
            if request.is_decision() && request.logged().is_none() {
                let why = "expected a decision, found a request without one".to_owned();
                return Err(Unread { why, help: None });
            }
            decisions += u64::from(request.is_decision());
            each(number, request);
            Ok(())
        });
        if let Err(unread) = read {
            broken.add_unread(number, unread);
        }
    })?;
    if let Some(first) = frames.unfinished() {
        broken.add(first, "the rest of the line is missing");
    }
    match broken {
        Broken { count: broken, first: Some((line, Unread { why, help })) } => {
            Err(LogError::Lines { broken, line, why, help: help.unwrap_or(PLAIN) })
        }
        _ if decisions == 0 => Err(LogError::Empty),
        _ => Ok(()),
    }
}

fn too_long() -> String {
    format!("more than {MAX_LINE_BYTES} bytes")
}

/// Calls `each` with every line, without its line end, and its number from 1; with `None` for a line that is too long. A
/// byte order mark at the start is skipped.
fn each_line(input: impl Read, mut each: impl FnMut(u64, Option<&[u8]>)) -> Result<(), LogError> {
    let mut input = BufReader::with_capacity(1 << 17, input);
    let mut text = Vec::new();
    for line in 1.. {
        let unreadable = |error| LogError::Unreadable { line: line - 1, error };
        text.clear();
        let limit = MAX_LINE_BYTES as u64 + 1;
        if input.by_ref().take(limit).read_until(b'\n', &mut text).map_err(unreadable)? == 0 {
            break;
        }
        if text.last() != Some(&b'\n') && text.len() > MAX_LINE_BYTES {
            input.skip_until(b'\n').map_err(unreadable)?;
            each(line, None);
            continue;
        }
        let whole = text.strip_suffix(b"\n").unwrap_or(&text);
        let whole = whole.strip_suffix(b"\r").unwrap_or(whole);
        let mark = "\u{feff}".as_bytes();
        each(line, Some(if line == 1 { whole.strip_prefix(mark).unwrap_or(whole) } else { whole }));
    }
    Ok(())
}
