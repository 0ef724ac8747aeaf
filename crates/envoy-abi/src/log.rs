//! Lines in Envoy's log.

use crate::host::host;
use crate::types::ModuleBuffer;

/// The level of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Level {
    /// What happens in normal operation.
    Info = 2,
    /// What an operator should look at.
    Warning = 3,
    /// What prevents the module from deciding.
    Error = 4,
}

/// Writes a line to Envoy's log, or to standard error if Envoy is not known. Any thread may call this function.
pub fn log(level: Level, message: &str) {
    let line = format!("portcullis: {message}");
    match host() {
        // SAFETY: Envoy copies the text, and logs from any thread.
        Some(host) => unsafe { (host.log)(level as u32, ModuleBuffer::of(line.as_bytes())) },
        None => standard_error(&line),
    }
}

#[expect(clippy::print_stderr, reason = "without Envoy's log, an operator reads this line only here")]
fn standard_error(line: &str) {
    eprintln!("{line}");
}
