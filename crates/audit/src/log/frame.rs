//! The frames that container runtimes put around each line of a program's output.

use std::borrow::Cow;
use std::collections::HashMap;

use portcullis::base::Timestamp;
use serde::Deserialize;
use serde::de::IgnoredAny;

/// Removes the frames of Docker (`{"log": "…\n", "stream": "stdout"}`) and of CRI (`<time> stdout F …`), and joins the
/// parts of lines that the runtime cut.
#[derive(Debug, Default)]
pub(super) struct Frames {
    /// The parts so far of the line of each stream.
    parts: HashMap<String, Parts>,
}

#[derive(Debug, Default)]
struct Parts {
    text: Vec<u8>,
    /// The number of the line with the first part.
    first: u64,
}

/// One line of Docker's log files.
#[derive(Deserialize)]
struct Docker<'t> {
    #[serde(borrow)]
    log: Cow<'t, str>,
    #[serde(borrow)]
    stream: Cow<'t, str>,
}

/// A line of the program, and the number of the line of the log on which it starts.
pub(super) struct Line<'t> {
    pub(super) number: u64,
    pub(super) text: Cow<'t, [u8]>,
}

/// A line of the program with the line end that the runtime kept, or a part of one.
struct Framed<'t> {
    stream: Cow<'t, str>,
    text: Cow<'t, [u8]>,
    ends: bool,
}

impl Frames {
    /// Returns the line of the program; `None` for a part whose rest follows in another line of the log.
    ///
    /// `text` without a frame is returned unchanged.
    pub(super) fn line<'t>(&mut self, number: u64, text: &'t [u8]) -> Option<Line<'t>> {
        let Some(framed) = docker(text).or_else(|| cri(text)) else {
            return Some(Line { number, text: Cow::Borrowed(text) });
        };
        let Framed { stream, text, ends } = framed;
        let begun = self.parts.remove(&*stream);
        // Collectors that read Docker's files may remove the line end, and join the parts.
        let ends = ends || (begun.is_none() && is_whole(&text));
        if ends && begun.is_none() {
            return Some(Line { number, text });
        }
        let mut parts = begun.unwrap_or(Parts { text: Vec::new(), first: number });
        parts.text.extend_from_slice(&text);
        if ends {
            return Some(Line { number: parts.first, text: Cow::Owned(parts.text) });
        }
        self.parts.insert(stream.into_owned(), parts);
        None
    }

    /// The number of bytes of unfinished lines.
    pub(super) fn pending(&self) -> usize {
        self.parts.values().map(|parts| parts.text.len()).sum()
    }

    /// Returns the first line whose rest is missing, and forgets all unfinished lines.
    pub(super) fn unfinished(&mut self) -> Option<u64> {
        self.parts.drain().map(|(_, parts)| parts.first).min()
    }
}

/// Reads a line of a log file of Docker. Docker cuts long lines: only the last part ends with a line end.
fn docker(text: &[u8]) -> Option<Framed<'_>> {
    if !text.starts_with(b"{") || memchr::memmem::find(text, b"\"stream\"").is_none() {
        return None;
    }
    let Docker { log, stream } = serde_json::from_slice(text).ok()?;
    let ends = log.ends_with('\n');
    let text = match log {
        Cow::Borrowed(log) => Cow::Borrowed(log.as_bytes()),
        Cow::Owned(log) => Cow::Owned(log.into_bytes()),
    };
    Some(Framed { stream, text, ends })
}

/// Reads a line of the Container Runtime Interface: time, stream, tags, text. The first tag is `P` for a part, and `F`
/// for a full line or its last part.
fn cri(text: &[u8]) -> Option<Framed<'_>> {
    let (time, rest) = word(text)?;
    let (stream, rest) = word(rest)?;
    let (tags, text) = word(rest).unwrap_or((rest, b""));
    let ends = match tags.split(|byte| *byte == b':').next()? {
        b"F" => true,
        b"P" => false,
        _ => return None,
    };
    let stream = std::str::from_utf8(stream).ok().filter(|stream| matches!(*stream, "stdout" | "stderr"))?;
    is_time(time).then_some(Framed { stream: Cow::Borrowed(stream), text: Cow::Borrowed(text), ends })
}

/// Returns the text of a full line of the Container Runtime Interface.
pub(super) fn whole_cri(text: &[u8]) -> Option<&[u8]> {
    match cri(text)? {
        Framed { text: Cow::Borrowed(text), ends: true, .. } => Some(text),
        _ => None,
    }
}

/// Whether `text` is complete JSON, not the start of a longer line.
fn is_whole(text: &[u8]) -> bool {
    text.starts_with(b"{") && serde_json::from_slice::<IgnoredAny>(text).is_ok()
}

/// Splits `text` at the first space.
fn word(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = memchr::memchr(b' ', text)?;
    Some((text.get(..end)?, text.get(end + 1..)?))
}

pub(super) fn is_time(text: &[u8]) -> bool {
    std::str::from_utf8(text).is_ok_and(|text| text.contains(['T', 't']) && text.parse::<Timestamp>().is_ok())
}
