//! Texts to load, and where they come from.

use std::fmt;
use std::io::{self, Read};
use std::path::Path;

/// A text with a name. Its `Debug` shows no text, which may hold secrets.
#[derive(Clone, PartialEq, Eq)]
pub struct Input {
    name: String,
    text: String,
}

/// A file that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot read `{}`: {reason}", file.escape_debug())]
pub struct Unreadable {
    /// The file, or `<stdin>`.
    pub file: String,
    /// Why.
    pub reason: String,
}

/// Reads every file, or says of each that cannot be read why.
///
/// # Errors
///
/// If any file cannot be read or is not UTF-8.
pub fn read_files<P: AsRef<Path>>(paths: &[P]) -> Result<Vec<Input>, Vec<Unreadable>> {
    let mut inputs = Vec::with_capacity(paths.len());
    let mut unreadable = Vec::new();
    for path in paths {
        match Input::from_path(path) {
            Ok(input) => inputs.push(input),
            Err(error) => unreadable.push(error),
        }
    }
    if unreadable.is_empty() { Ok(inputs) } else { Err(unreadable) }
}

impl Input {
    /// A text that is there already.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self { name: name.into(), text: text.into() }
    }

    /// Reads a file.
    ///
    /// # Errors
    ///
    /// If it cannot be read or is not UTF-8.
    pub fn from_path(path: impl AsRef<Path>) -> Result<Self, Unreadable> {
        let path = path.as_ref();
        Self::from_bytes(path.display().to_string(), std::fs::read(path))
    }

    /// Reads `reader` to its end; `name` is what to call it, such as `<stdin>`.
    ///
    /// # Errors
    ///
    /// If it cannot be read or is not UTF-8.
    pub fn from_reader(name: impl Into<String>, mut reader: impl Read) -> Result<Self, Unreadable> {
        let mut bytes = Vec::new();
        let read = reader.read_to_end(&mut bytes);
        Self::from_bytes(name.into(), read.map(|_| bytes))
    }

    fn from_bytes(name: String, bytes: io::Result<Vec<u8>>) -> Result<Self, Unreadable> {
        let bytes = match bytes {
            Ok(bytes) => bytes,
            Err(error) => return Err(Unreadable { file: name, reason: error.to_string() }),
        };
        match String::from_utf8(bytes) {
            Ok(text) => Ok(Self { name, text }),
            Err(error) => {
                let at = error.utf8_error().valid_up_to();
                Err(Unreadable { file: name, reason: format!("it is not UTF-8 at byte {at}") })
            }
        }
    }

    /// What to call it: a file, or `<stdin>`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The text to show beside diagnostics: with a `*` for each byte of the values under a key that is, or is near, `token`
    /// or `token_sha256`, and everything else at its place. Text that is no JSON is read as far as it looks like some.
    ///
    /// ```
    /// use portcullis::load::Input;
    ///
    /// let input = Input::new("a.json", r#"{"id": "a", "token": "s\"cret", "tokn": ["x", 12]}"#);
    /// assert_eq!(input.redacted(), r#"{"id": "a", "token": "*******", "tokn": ["*", **]}"#);
    /// ```
    pub fn redacted(&self) -> String {
        let mut out = String::with_capacity(self.text.len());
        let mut rest = self.text.as_str();
        while let Some((before, string, after)) = next_string(rest) {
            out.push_str(before);
            out.push_str(string);
            rest = after;
            let value = after.trim_ascii_start();
            if !is_secret_key(string) || !value.starts_with(':') {
                continue;
            }
            let begin = value.trim_start_matches(|c: char| c == ':' || c.is_ascii_whitespace());
            out.push_str(after.get(..after.len() - begin.len()).unwrap_or_default());
            let end = value_length(begin);
            let (hidden, after) = begin.split_at_checked(end).unwrap_or((begin, ""));
            mask(hidden, &mut out);
            rest = after;
        }
        out.push_str(rest);
        out
    }
}

impl fmt::Debug for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Input").field("name", &self.name).field("bytes", &self.text.len()).finish_non_exhaustive()
    }
}

/// What stands before the next string of `text`, the string with its quotes, and what follows.
fn next_string(text: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = text.split_at_checked(memchr::memchr(b'"', text.as_bytes())?)?;
    let (string, after) = rest.split_at_checked(string_length(rest))?;
    Some((before, string, after))
}

/// The length of the string that `text` begins with, quotes included; all of `text` where it does not end.
fn string_length(text: &str) -> usize {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// The length of the value that `text` begins with: all of a list or an object.
fn value_length(text: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(byte) = text.as_bytes().get(at) {
        match byte {
            b'"' => at += text.get(at..).map_or(1, string_length),
            b'[' | b'{' => {
                depth += 1;
                at += 1;
            }
            b',' | b']' | b'}' if depth == 0 => return at,
            b']' | b'}' => {
                depth -= 1;
                at += 1;
            }
            _ => at += 1,
        }
    }
    text.len()
}

/// Whether a key is one of a secret, or is easily written for one. What it hides too much is only not shown.
fn is_secret_key(string: &str) -> bool {
    let Ok(key) = serde_json::from_str::<String>(string) else { return true };
    let key = key.to_lowercase();
    key != "tokens" && ["tok", "secret", "sha", "password"].iter().any(|part| key.contains(part))
}

/// Masks what `value` holds, but not its brackets, commas, quotes and white space.
fn mask(value: &str, out: &mut String) {
    let mut rest = value;
    while let Some(byte) = rest.bytes().next() {
        let length = if byte == b'"' { string_length(rest) } else { 1 };
        match byte {
            b'"' => {
                out.push('"');
                let inside = length.saturating_sub(2);
                out.extend(std::iter::repeat_n('*', inside));
                if length > 1 {
                    out.push(if rest.as_bytes().get(length - 1) == Some(&b'"') { '"' } else { '*' });
                }
            }
            b'[' | b']' | b'{' | b'}' | b',' | b':' => out.push(char::from(byte)),
            _ if byte.is_ascii_whitespace() => out.push(char::from(byte)),
            _ => out.push('*'),
        }
        // A character of several bytes is masked byte by byte.
        if let Some(after) = rest.get(length..) {
            rest = after;
        } else {
            let width = rest.chars().next().map_or(1, char::len_utf8);
            out.extend(std::iter::repeat_n('*', width - 1));
            rest = rest.get(width..).unwrap_or_default();
        }
    }
}
