//! Texts to load, with their names.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use super::foreign::Foreign;
use super::redact::redact;
use portcullis::base::{Escaped, unreadable_words};
use portcullis::snapshot::MAGIC;

/// A text with a name. Its `Debug` shows no text, which may hold secrets.
#[derive(Clone, PartialEq, Eq)]
pub struct Input {
    name: String,
    text: String,
    is_generated: bool,
}

/// A file that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot read `{}`: {reason}", Escaped::whole(file))]
pub struct Unreadable {
    /// The path of the file, or `<stdin>`.
    pub file: String,
    /// The reason.
    pub reason: String,
}

/// Reads every file.
///
/// # Errors
///
/// If a file cannot be read or is not UTF-8: all such files, with reasons.
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

/// Whether the file at `path` starts like a compiled policy. `false` for a file that cannot be read, and for a pipe or a
/// device, whose first bytes could not be read again.
pub fn is_compiled(path: impl AsRef<Path>) -> bool {
    let path = path.as_ref();
    let mut begins = [0; MAGIC.len()];
    std::fs::metadata(path).is_ok_and(|metadata| metadata.is_file())
        && File::open(path).and_then(|mut file| file.read_exact(&mut begins)).is_ok()
        && begins == MAGIC
}

impl Input {
    /// Creates an input from a text.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self { name: name.into(), text: text.into(), is_generated: false }
    }

    /// Creates an input from a text that no user has, such as the tokens of a registry. Diagnostics name its tokens by
    /// their ids, and have no line and column.
    pub fn generated(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self { is_generated: true, ..Self::new(name, text) }
    }

    /// Whether no user has the text.
    pub fn is_generated(&self) -> bool {
        self.is_generated
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

    /// Reads `reader` to its end. `name` is used in messages, such as `<stdin>`.
    ///
    /// # Errors
    ///
    /// If it cannot be read or is not UTF-8.
    pub fn from_reader(name: impl Into<String>, mut reader: impl Read) -> Result<Self, Unreadable> {
        let mut bytes = Vec::new();
        let read = reader.read_to_end(&mut bytes);
        Self::from_bytes(name.into(), read.map(|_| bytes))
    }

    /// Creates an input from the result of reading a file.
    ///
    /// # Errors
    ///
    /// If the bytes could not be read or are not UTF-8.
    pub fn from_bytes(name: String, bytes: io::Result<Vec<u8>>) -> Result<Self, Unreadable> {
        let bytes = match bytes {
            Ok(bytes) => bytes,
            Err(error) => return Err(Unreadable::new(&name, &error)),
        };
        if let Some(foreign) = Foreign::of_document(&bytes) {
            return Err(Unreadable { file: name, reason: format!("expected JSON, {foreign}") });
        }
        match String::from_utf8(bytes) {
            Ok(text) => Ok(Self::new(name, text)),
            Err(error) => {
                let at = error.utf8_error().valid_up_to();
                let reason = format!(
                    "it is not UTF-8 at byte {at}; help: convert it, such as with `iconv -f ISO-8859-1 -t UTF-8`"
                );
                Err(Unreadable { file: name, reason })
            }
        }
    }

    /// Returns the name: a path, or `<stdin>`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns the text to show with diagnostics: of the same length in bytes, with a `*` for each byte that may belong
    /// to a secret. Text that is not JSON is scanned as far as it looks like JSON. Linear in its length.
    ///
    /// Shows only what certainly holds no secret: a secret may also have a misspelt key.
    ///
    /// ```
    /// use portcullis_document::load::Input;
    ///
    /// let input = Input::new("a.json", r#"{"id": "a", "token": "s3cret", "tokn": "s3cret"}"#);
    /// assert_eq!(input.redacted(), r#"{"id": "a", "token": "******", "tokn": "******"}"#);
    /// ```
    pub fn redacted(&self) -> String {
        redact(&self.text)
    }
}

/// The schemes of URLs that are easily given as a path.
const WEB: [&str; 2] = ["https://", "http://"];

/// The schemes of registries that are servers.
const SERVERS: [&str; 2] = ["postgres://", "postgresql://"];

impl Unreadable {
    /// Describes a file that cannot be opened or read. If the name shows what was meant, the reason has a fix.
    ///
    /// A URL is cut after its host, because the rest may hold a secret.
    pub fn new(name: &str, error: &io::Error) -> Self {
        let url = WEB.iter().chain(&SERVERS).find_map(|scheme| Some((scheme, name.strip_prefix(scheme)?)));
        let reason = match (error.kind(), url) {
            (io::ErrorKind::NotFound, _) if SERVERS.iter().any(|scheme| name.starts_with(scheme)) => {
                "it is the URL of a registry; help: name it with `--db`".to_owned()
            }
            (io::ErrorKind::NotFound, Some(_)) => {
                "it is a URL; help: download the file, or pipe it in with `curl` and name `-`".to_owned()
            }
            (io::ErrorKind::NotFound, None) if name.starts_with("sqlite:") => {
                "it is the URL of a registry; help: name it with `--db`".to_owned()
            }
            _ => unreadable_words(Path::new(name), error),
        };
        let Some((scheme, rest)) = url else { return Self { file: name.to_owned(), reason } };
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let host = authority.rsplit('@').next().unwrap_or_default();
        Self { file: format!("{scheme}{host}/…"), reason }
    }
}

impl fmt::Debug for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Input").field("name", &self.name).field("bytes", &self.text.len()).finish_non_exhaustive()
    }
}
