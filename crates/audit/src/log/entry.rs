//! Reads one line of a log: a decision or a message of the server, in up to three frames.

use portcullis_http::wire::ReplayRequest;

use super::frame::whole_cri;
use super::message::{is_message, without_colors};
use super::prefix::{self, Printer, is_note};
use super::record::{Line, Record};

/// The reason why a line is neither a decision nor a message.
#[derive(Debug)]
pub(super) struct Unread {
    pub(super) why: String,
    /// What to do about the line, if its form shows the program that printed it.
    pub(super) help: Option<&'static str>,
}

impl Unread {
    fn new(why: impl Into<String>, help: Option<&'static str>) -> Self {
        Self { why: why.into(), help }
    }
}

/// Max frames around one line: of a runtime, a collector and a viewer.
const MAX_FRAMES: usize = 3;

/// Calls `each` with the decision or request in `text`, unless it is a message of the server or the service manager.
pub(super) fn read(text: &[u8], each: &mut dyn FnMut(&ReplayRequest<'_>) -> Result<(), Unread>) -> Result<(), Unread> {
    framed(text, MAX_FRAMES, each)
}

fn framed(
    text: &[u8],
    frames: usize,
    each: &mut dyn FnMut(&ReplayRequest<'_>) -> Result<(), Unread>,
) -> Result<(), Unread> {
    let text = text.trim_ascii();
    let error = match ReplayRequest::read(text) {
        Ok(request) => return each(&request),
        Err(_) if text.is_empty() || is_message(text) || is_note(text) => return Ok(()),
        Err(error) => error,
    };
    if frames > 0 {
        let colorless = text.contains(&b'\x1b').then(|| without_colors(text));
        let text = colorless.as_deref().unwrap_or(text);
        if let Some(text) = whole_cri(text) {
            return framed(text, frames - 1, each);
        }
        if let Some(record) = Record::read(text) {
            return of_record(&record, frames - 1, each);
        }
        if !text.starts_with(b"{") {
            return of_prefix(text, frames - 1, each);
        }
    }
    Err(if text.starts_with(b"{") { Unread::new(error.to_string(), json_help(text)) } else { not_json(text) })
}

fn of_record(
    record: &Record<'_>,
    frames: usize,
    each: &mut dyn FnMut(&ReplayRequest<'_>) -> Result<(), Unread>,
) -> Result<(), Unread> {
    if record.is_of_manager() {
        return Ok(());
    }
    let is_foreign = record.is_of_another_program();
    let mut first = None;
    for line in record.lines() {
        let read = match line {
            Line::Text(line) if is_foreign => framed(&line, frames, &mut foreign),
            Line::Text(line) => framed(&line, frames, each),
            Line::LeftOut => {
                return Err(Unread::new(
                    "the record lacks its message, which has more than 4096 bytes",
                    Some("give the output of `journalctl -t portcullis -o json --all`"),
                ));
            }
        };
        match read {
            Ok(()) => return Ok(()),
            Err(unread) => first = first.or(Some(unread)),
        }
    }
    let Unread { why, help } = first.unwrap_or_else(|| Unread::new("expected a message in the record", None));
    Err(Unread { why, help: if record.is_of_journal() { Some(Printer::Journal.plain()) } else { help } })
}

fn of_prefix(
    text: &[u8],
    frames: usize,
    each: &mut dyn FnMut(&ReplayRequest<'_>) -> Result<(), Unread>,
) -> Result<(), Unread> {
    let mut first = None;
    for reading in prefix::readings(text) {
        if reading.is_of_manager() {
            return Ok(());
        }
        let is_foreign = reading.is_of_another_program();
        let read =
            if is_foreign { framed(reading.text, frames, &mut foreign) } else { framed(reading.text, frames, each) };
        match read {
            Ok(()) => return Ok(()),
            Err(Unread { why, .. }) => {
                first.get_or_insert(Unread { why, help: Some(reading.printer.plain()) });
            }
        }
    }
    Err(first.unwrap_or_else(|| not_json(text)))
}

/// Rejects a decision in a line of another program: a client may have sent it.
fn foreign(_: &ReplayRequest<'_>) -> Result<(), Unread> {
    Err(Unread::new("expected a line of `portcullis`, found a line of another program", None))
}

fn not_json(text: &[u8]) -> Unread {
    let help = text.starts_with(b"[").then_some("write one object in each line, as `jq -c '.[]'` does");
    Unread::new("expected a JSON object", help)
}

/// Returns the help for an object that is not a decision: a response with many messages, or an object on several lines.
fn json_help(text: &[u8]) -> Option<&'static str> {
    const KEYS: [(&[u8], &str); 3] = [
        (b"\"events\"", "write the messages alone, as `jq -r '.events[].message'` does"),
        (b"\"logEvents\"", "write the messages alone, as `jq -r '.logEvents[].message'` does"),
        (b"\"result\"", "write the messages alone, as `jq -r '.data.result[].values[][1]'` does"),
    ];
    if text == b"{" {
        return Some("write one object in each line, as `jq -c .` does");
    }
    KEYS.into_iter().find(|(key, _)| memchr::memmem::find(text, key).is_some()).map(|(_, help)| help)
}
