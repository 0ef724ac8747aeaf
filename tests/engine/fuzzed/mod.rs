//! Properties that hold for all inputs.
//!
//! Each module is a fuzz target. `fuzz/README.md` lists and explains the targets. Ordinary tests call these functions
//! too:
//! `regressions` with every committed input, and `spellings` and `properties` with generated input.

pub(crate) mod decisions;
pub(crate) mod documents;
pub(crate) mod names;
mod pairs;
pub(crate) mod patterns;
pub(crate) mod pcls;
pub(crate) mod queries;
pub(crate) mod referers;
pub(crate) mod requests;
pub(crate) mod spop;
pub(crate) mod wire;

use std::borrow::Cow;

/// A property of an input. It panics if it does not hold.
pub(crate) type Property = fn(&[u8]);

/// The targets, by name.
pub(crate) const TARGETS: [(&str, Property); 10] = [
    ("names", names::property),
    ("patterns", patterns::property),
    ("queries", queries::property),
    ("referers", referers::property),
    ("documents", documents::property),
    ("decisions", decisions::property),
    ("wire", wire::property),
    ("pcls", pcls::property),
    ("requests", requests::property),
    ("spop", spop::property),
];

/// A secret that inputs do not contain by chance.
const SECRET: &str = "hunter2-hunter2";

/// The parts of an input, separated by bytes `0x1E`. Missing parts are empty.
struct Parts<'b> {
    rest: Option<&'b [u8]>,
}

impl<'b> Parts<'b> {
    fn of(input: &'b [u8]) -> Self {
        Self { rest: Some(input) }
    }

    fn bytes(&mut self) -> &'b [u8] {
        let Some(rest) = self.rest else { return &[] };
        let mut halves = rest.splitn(2, |&byte| byte == 0x1E);
        let part = halves.next().unwrap_or_default();
        self.rest = halves.next();
        part
    }

    fn text(&mut self) -> Cow<'b, str> {
        String::from_utf8_lossy(self.bytes())
    }

    /// Whether there is another part.
    fn more(&self) -> bool {
        self.rest.is_some()
    }
}

/// Splits a part into at most `max` lines, each with the choices for one generated value.
fn lines(part: &[u8], max: usize) -> Vec<Vec<u8>> {
    part.split(|&byte| byte == b'\n').take(max).map(<[u8]>::to_vec).collect()
}

/// Returns `text`, which is JSON or nearly JSON, with [`SECRET`] inserted at the start of every string value of `key`.
fn with_secret(text: &str, key: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let quoted = format!("\"{key}\"");
    while let Some((before, after)) = rest.split_once(&quoted) {
        out.push_str(before);
        out.push_str(&quoted);
        rest = after;
        let value = after.trim_start().strip_prefix(':').map(str::trim_start);
        if let Some(inside) = value.and_then(|value| value.strip_prefix('"')) {
            out.push_str(&after[..after.len() - inside.len()]);
            out.push_str(SECRET);
            rest = inside;
        }
    }
    out.push_str(rest);
    out
}
