//! The messages that `portcullis serve` writes to standard error, which container runtimes mix with its decision log.

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::frame::is_time;

/// A message of `--messages json`.
#[derive(Deserialize)]
struct Message<'t> {
    timestamp: &'t str,
    level: &'t str,
    fields: Fields,
}

#[derive(Deserialize)]
struct Fields {
    #[serde(rename = "message")]
    _message: IgnoredAny,
}

/// Whether the line is a message of `portcullis serve`, as text or as JSON.
pub(super) fn is_message(line: &[u8]) -> bool {
    if line.starts_with(b"{") {
        return serde_json::from_slice(line).is_ok_and(|message: Message<'_>| {
            let Message { timestamp, level, fields: Fields { _message: _ } } = message;
            is_time(timestamp.as_bytes()) && is_level(level.as_bytes())
        });
    }
    let plain = without_colors(line);
    let mut words = plain.split(|byte| *byte == b' ').filter(|word| !word.is_empty());
    // A collector may print its own time and level before a decision, which must not be skipped.
    let is_decision = |word: &[u8]| word.starts_with(b"{\"log\":");
    words.next().is_some_and(is_time)
        && words.next().is_some_and(is_level)
        && words.next().is_some_and(|word| !is_decision(word))
}

/// Removes the escape sequences of colors, which the server writes to the terminal of a container.
pub(super) fn without_colors(line: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(line.len());
    let mut parts = line.split(|byte| *byte == b'\x1b');
    plain.extend_from_slice(parts.next().unwrap_or_default());
    for part in parts {
        let rest = part.strip_prefix(b"[").and_then(|code| {
            let digits = code.iter().take_while(|byte| byte.is_ascii_digit() || **byte == b';').count();
            code.get(digits..)?.strip_prefix(b"m")
        });
        plain.extend_from_slice(rest.unwrap_or(part));
    }
    plain
}

fn is_level(text: &[u8]) -> bool {
    matches!(text, b"ERROR" | b"WARN" | b"INFO" | b"DEBUG" | b"TRACE")
}
