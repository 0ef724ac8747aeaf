//! Formats text of a policy for messages.

use std::fmt::Write;

use super::characters::is_hidden;

/// Returns user text in backticks, with invisible characters escaped.
pub(super) fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('`');
    for character in text.chars() {
        if character.is_control() || is_hidden(character) {
            let _ = write!(quoted, "\\u{{{:x}}}", u32::from(character));
        } else {
            quoted.push(character);
        }
    }
    quoted.push('`');
    quoted
}

/// Returns a string as JSON.
pub(super) fn json(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Returns a count and its noun: `1 token`, `2 tokens`.
pub(super) fn counted(count: u64, noun: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{plural}")
}
