//! What holds for any bytes at all.
//!
//! Each module is a fuzz target of `fuzz/`, which is where they are listed and explained. Ordinary tests call the same
//! functions: `regressions` with every committed input, `spellings` and `properties` with what proptest makes up.

pub(crate) mod decisions;
pub(crate) mod documents;
pub(crate) mod names;
mod pairs;
pub(crate) mod patterns;
pub(crate) mod pcls;
pub(crate) mod queries;
pub(crate) mod referers;
pub(crate) mod requests;
pub(crate) mod wire;

use std::borrow::Cow;

/// A property, which panics where it does not hold.
pub(crate) type Property = fn(&[u8]);

/// The targets, by name.
pub(crate) const TARGETS: [(&str, Property); 9] = [
    ("names", names::property),
    ("patterns", patterns::property),
    ("queries", queries::property),
    ("referers", referers::property),
    ("documents", documents::property),
    ("decisions", decisions::property),
    ("wire", wire::property),
    ("pcls", pcls::property),
    ("requests", requests::property),
];

/// What no input is likely to hold by chance.
const SECRET: &str = "hunter2-hunter2";

/// The parts of an input: what stands between the bytes `0x1E`. Those that are missing are empty.
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

/// Up to `most` lines of a part, each to be spent on one thing.
fn lines(part: &[u8], most: usize) -> Vec<Vec<u8>> {
    part.split(|&byte| byte == b'\n').take(most).map(<[u8]>::to_vec).collect()
}

/// `text`, JSON or nearly, with [`SECRET`] put in front of every string that is the value of `key`.
fn with_secret(text: &str, key: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let quoted = format!("\"{key}\"");
    while let Some((before, behind)) = rest.split_once(&quoted) {
        out.push_str(before);
        out.push_str(&quoted);
        rest = behind;
        let value = behind.trim_start().strip_prefix(':').map(str::trim_start);
        if let Some(inside) = value.and_then(|value| value.strip_prefix('"')) {
            out.push_str(&behind[..behind.len() - inside.len()]);
            out.push_str(SECRET);
            rest = inside;
        }
    }
    out.push_str(rest);
    out
}
