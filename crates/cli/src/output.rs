//! Standard output, output files, and the common formats of numbers and colors.

#[cfg(feature = "audit")]
mod csv;
mod inputs;
mod json;
mod target;

use std::fmt::{self, Display};
use std::io::{self, BufWriter, IsTerminal, StdoutLock, Write};
use std::path::Path;

use clap::ValueEnum;
use portcullis::base::Escaped;

#[cfg(feature = "audit")]
pub(crate) use csv::Csv;
pub(crate) use inputs::{Inputs, is_stdin};
#[cfg(feature = "audit")]
pub(crate) use json::write_json_text;
pub(crate) use json::{write_json, write_json_lines};
pub(crate) use target::{OwnFormat, Target};

/// The output format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Format {
    /// For people
    #[default]
    Text,
    /// For programs
    Json,
}

/// The value of `--color`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Color {
    /// On a terminal, unless `NO_COLOR` is set
    #[default]
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

impl Color {
    /// Whether output to `stream` has colors.
    pub(crate) fn on(self, stream: &impl IsTerminal) -> bool {
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::Auto => stream.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
        }
    }
}

/// Text with an optional color.
pub(crate) struct Painted<T> {
    /// The parameter of the escape sequence; `None` for plain text.
    code: Option<&'static str>,
    text: T,
}

impl<T: Display> Painted<T> {
    pub(crate) fn green(on: bool, text: T) -> Self {
        Self { code: on.then_some("1;32"), text }
    }

    pub(crate) fn red(on: bool, text: T) -> Self {
        Self { code: on.then_some("1;31"), text }
    }

    pub(crate) fn bold(on: bool, text: T) -> Self {
        Self { code: on.then_some("1"), text }
    }
}

impl<T: Display> Display for Painted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.code {
            Some(code) => {
                write!(f, "\u{1b}[{code}m")?;
                self.text.fmt(f)?;
                f.write_str("\u{1b}[0m")
            }
            None => self.text.fmt(f),
        }
    }
}

/// Buffered standard output.
///
/// A reader that stops early, such as `head`, is not an error and does not change the exit code. Long runs stop if
/// [`Stdout::is_closed`] is true.
pub(crate) struct Stdout {
    out: BufWriter<StdoutLock<'static>>,
    closed: bool,
}

impl Stdout {
    pub(crate) fn lock() -> Self {
        Self { out: BufWriter::with_capacity(1 << 16, io::stdout().lock()), closed: false }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    /// Replaces the error of a closed pipe by `instead`.
    fn ignore_broken_pipe<T>(&mut self, result: io::Result<T>, instead: T) -> io::Result<T> {
        match result {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.closed = true;
                Ok(instead)
            }
            other => other,
        }
    }
}

impl Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.closed {
            return Ok(bytes.len());
        }
        let written = self.out.write(bytes);
        self.ignore_broken_pipe(written, bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.closed {
            return Ok(());
        }
        let flushed = self.out.flush();
        self.ignore_broken_pipe(flushed, ())
    }
}

/// Prints lines that contain a secret that is stored nowhere else.
///
/// # Errors
///
/// If they were not read to their end: a closed pipe is an error, too.
pub(crate) fn show_once(lines: &[&str]) -> anyhow::Result<()> {
    let mut out = Stdout::lock();
    lines.iter().try_for_each(|line| writeln!(out, "{line}"))?;
    out.flush()?;
    anyhow::ensure!(!out.is_closed(), "standard output is closed");
    Ok(())
}

/// Returns `text` on one line: line breaks and tabs become spaces, and other characters that could move the cursor,
/// reorder the text or be invisible are escaped.
pub(crate) fn printable(text: &str) -> String {
    Escaped::whole(&text.replace(['\n', '\r', '\t'], " ")).to_string()
}

/// Returns the name of a file for a message, in backticks.
pub(crate) fn file_name(path: &Path) -> String {
    format!("`{}`", Escaped::whole(&path.to_string_lossy()))
}

/// Returns the start of the error for a file that cannot be read.
pub(crate) fn cannot_read(path: &Path) -> String {
    format!("cannot read {}", file_name(path))
}

/// Returns the start of the error for a file that cannot be written.
pub(crate) fn cannot_write(path: &Path) -> String {
    format!("cannot write {}", file_name(path))
}

/// Formats a count with thousands separators: `1,234,567`.
pub(crate) fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Formats a count and its noun: `1 request`, `2 requests`.
pub(crate) fn counted(count: u64, noun: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", grouped(count))
}

/// Formats a number of bytes: `512 B`, `1.5 KiB`.
pub(crate) fn bytes(count: usize) -> String {
    let mut size = u32::try_from(count).map_or(f64::from(u32::MAX), f64::from);
    let mut unit = "B";
    for larger in ["KiB", "MiB", "GiB"] {
        if size < 1024.0 {
            break;
        }
        size /= 1024.0;
        unit = larger;
    }
    if unit == "B" { format!("{count} B") } else { format!("{size:.1} {unit}") }
}

/// Formats a duration: `87 ns`, `1.25 µs`, `3.4 ms`.
pub(crate) fn nanoseconds(count: u64) -> String {
    match count {
        0..1_000 => format!("{count} ns"),
        1_000..1_000_000 => format!("{}.{:02} µs", count / 1_000, count % 1_000 / 10),
        1_000_000..1_000_000_000 => format!("{}.{:02} ms", count / 1_000_000, count % 1_000_000 / 10_000),
        _ => format!("{}.{:02} s", count / 1_000_000_000, count % 1_000_000_000 / 10_000_000),
    }
}

/// The rate per second of `count` events in `nanoseconds`.
pub(crate) fn rate(count: u64, nanoseconds: u128) -> u64 {
    u64::try_from(u128::from(count) * 1_000_000_000 / nanoseconds.max(1)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::{bytes, counted, grouped, nanoseconds, rate};

    #[test]
    fn numbers_are_readable() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!((counted(1, "line"), counted(2, "line")), ("1 line".into(), "2 lines".into()));
        assert_eq!((bytes(0), bytes(1536), bytes(3 << 20)), ("0 B".into(), "1.5 KiB".into(), "3.0 MiB".into()));
        assert_eq!((nanoseconds(87), nanoseconds(1_259)), ("87 ns".into(), "1.25 µs".into()));
        assert_eq!((nanoseconds(3_400_000), nanoseconds(2_000_000_000)), ("3.40 ms".into(), "2.00 s".into()));
        assert_eq!((rate(10, 1_000_000_000), rate(10, 0)), (10, 10_000_000_000));
    }
}
