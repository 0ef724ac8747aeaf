//! Removes what programs print before each line of another program: `journalctl`, syslog, Docker Compose, `kubectl logs`
//! and log viewers.
//!
//! Only complete forms are known, so text of clients in a line of another program is never read as a decision.

use std::sync::LazyLock;

use regex::bytes::{Regex, RegexBuilder};

/// The program that printed the prefix of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Printer {
    Journal,
    Compose,
    Kubernetes,
    Viewer,
}

impl Printer {
    /// Returns the help that names the command which prints the decisions without other lines.
    pub(super) fn plain(self) -> &'static str {
        match self {
            Self::Journal => "give the output of `journalctl -t portcullis -o cat`",
            Self::Compose => "give the output of `docker compose logs --no-log-prefix portcullis`",
            Self::Kubernetes => "give the output of `kubectl logs deploy/portcullis -c portcullis`",
            Self::Viewer => "give the messages alone, one in each line",
        }
    }
}

/// A line without its prefix.
pub(super) struct Unprefixed<'t> {
    pub(super) printer: Printer,
    /// The name of the program that wrote the line, if the prefix has it.
    tag: Option<&'t [u8]>,
    pub(super) text: &'t [u8],
}

impl Unprefixed<'_> {
    /// Whether the service manager wrote the line, about the service itself.
    pub(super) fn is_of_manager(&self) -> bool {
        self.tag == Some(b"systemd")
    }

    /// Whether the prefix names a program other than Portcullis. Its text may be that of a client.
    pub(super) fn is_of_another_program(&self) -> bool {
        self.tag.is_some_and(|tag| !is_ours(tag))
    }
}

/// The number of digits of the short id of a container, which Docker gives as the name of the program.
const CONTAINER_ID: usize = 12;

/// Whether the name of a program may be that of Portcullis: `portcullis`, a container or unit with this word, or an id of
/// a container.
pub(super) fn is_ours(program: &[u8]) -> bool {
    let program = program.to_ascii_lowercase();
    let is_id = program.len() >= CONTAINER_ID && program.iter().all(u8::is_ascii_hexdigit);
    is_id || memchr::memmem::find(&program, b"portcullis").is_some()
}

/// An instant: of RFC 3339, with a space instead of its `T`, or with an offset without a colon.
const TIME: &str = r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:\ ?(?:[Zz]|UTC|[+-]\d\d:?\d\d))?";

/// The line after a prefix of words, which another program may have written as well: JSON, or a message of the server.
const STARTED: &str = r"(?:\{|\d{4}-\d\d-\d\d[Tt])";

/// The forms of prefixes, each up to the line. `{time}` is [`TIME`].
const FORMS: [(Printer, &str); 8] = [
    // `Nov 24 12:00:00 host portcullis[812]: `, and the other times of `journalctl -o short-…`.
    (
        Printer::Journal,
        r"(?:[A-Z][a-z]{2}\ [\ \d]\d\ \d\d:\d\d:\d\d(?:\.\d+)?|[A-Z][a-z]{2}\ {time}(?:\ [A-Z]{3,5})?|\d+\.\d+|\[\ *\d+\.\d+\]|{time})\ [\w.:-]+\ (?<tag>[\w./@-]+)(?:\[[\w.-]+\])?:\ ",
    ),
    // RFC 3164.
    (
        Printer::Journal,
        r"<\d{1,3}>(?:[A-Z][a-z]{2}\ [\ \d]\d\ \d\d:\d\d:\d\d|{time})\ (?:[\w.:-]+\ )?(?<tag>[\w./@-]+)(?:\[[\w.-]+\])?:\ ",
    ),
    // RFC 5424.
    (
        Printer::Journal,
        r"<\d{1,3}>1\ (?:{time}|-)\ [\w.:-]+\ (?<tag>[\w./@-]+)\ [\w./@-]+\ [\w./@-]+\ (?:-|(?:\[[^\[\]{}]*\])+)\ (?:\xEF\xBB\xBF)?",
    ),
    // `name-1  | `, with a time after it if the option is given.
    (Printer::Compose, r"[\w.|-]+\ *\|\ (?:{time}\ )?"),
    // `[pod/name/container] `.
    (Printer::Kubernetes, r"\[[\w.-]+(?:/[\w.-]+){1,2}\]\ (?:{time}\ )?"),
    // `logcli`, which prints the time and the labels.
    (Printer::Viewer, r#"{time}\ \{(?:[\w.]+="[^"{}]*"(?:,\ *)?)*\}\ +"#),
    // A time and the name of a stream or process; an event of a server.
    (Printer::Viewer, r"(?:{time}\ [\w./@\[\]-]+:?\ |{time}[\ \t]+|data:\ |\x1e)"),
    // `stern`: a namespace, a pod and a container.
    (Printer::Kubernetes, r"(?:[\w.-]+\ ){1,3}(?:{time}\ )?"),
];

static PATTERNS: LazyLock<Vec<(Printer, Regex)>> = LazyLock::new(|| {
    let compiled = FORMS.into_iter().filter_map(|(printer, form)| {
        let start = if matches!(printer, Printer::Viewer | Printer::Kubernetes) { STARTED } else { "\\S" };
        let pattern = format!("^(?:{})(?<text>{start}.*)$", form.replace("{time}", TIME));
        let compiled =
            RegexBuilder::new(&pattern).unicode(false).ignore_whitespace(false).dot_matches_new_line(true).build();
        Some((printer, compiled.ok()?))
    });
    compiled.collect()
});

/// Returns each reading of `line` without a known prefix.
pub(super) fn readings(line: &[u8]) -> impl Iterator<Item = Unprefixed<'_>> {
    PATTERNS.iter().filter_map(|(printer, pattern)| {
        let found = pattern.captures(line)?;
        let tag = found.name("tag").map(|tag| tag.as_bytes());
        Some(Unprefixed { printer: *printer, tag, text: found.name("text")?.as_bytes() })
    })
}

/// Whether the line is a note of `journalctl` about the journal, such as `-- Boot 0123 --`.
pub(super) fn is_note(line: &[u8]) -> bool {
    line.starts_with(b"-- ") && line.ends_with(b" --")
}

#[cfg(test)]
mod tests {
    use super::{FORMS, PATTERNS};

    #[test]
    fn every_form_compiles() {
        assert_eq!(PATTERNS.len(), FORMS.len());
    }
}
