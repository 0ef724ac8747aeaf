//! Percent-encoding (W2).

use std::borrow::Cow;

use super::NotUnderstood;
use super::bytes::Offsets;

/// The meaning of a `+`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Plus {
    /// A plus, as in a path.
    Plus,
    /// A space, as in a form-encoded query.
    Space,
}

/// Decodes `text`; borrows it if nothing is encoded. Rejects an escape without two hexadecimal digits, bytes that are
/// not UTF-8, and a NUL.
pub(super) fn decode(text: &str, plus: Plus) -> Result<Cow<'_, str>, NotUnderstood> {
    let escape_at = match plus {
        Plus::Plus => memchr::memchr(b'%', text.as_bytes()),
        Plus::Space => memchr::memchr2(b'%', b'+', text.as_bytes()),
    };
    if escape_at.is_none() {
        return Ok(Cow::Borrowed(text));
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        decoded.push(match byte {
            b'+' if plus == Plus::Space => b' ',
            b'%' => {
                let (value, after) = escape(after)?;
                rest = after;
                value
            }
            other => other,
        });
    }
    String::from_utf8(decoded).map(Cow::Owned).map_err(|_| NotUnderstood::new("percent-encoding that is not UTF-8"))
}

/// Rejects what [`decode`] rejects; allocates only for letters beyond ASCII.
pub(super) fn check(text: &str) -> Result<(), NotUnderstood> {
    let mut ascii = true;
    for at in Offsets::new(text.as_bytes(), |lanes| lanes.equal(b'%')) {
        let (value, _) = escape(text.as_bytes().get(at + 1..).unwrap_or_default())?;
        ascii &= value.is_ascii();
    }
    if ascii { Ok(()) } else { decode(text, Plus::Plus).map(drop) }
}

/// Returns the byte of the two digits at the start of `text`, and the rest of `text`.
fn escape(text: &[u8]) -> Result<(u8, &[u8]), NotUnderstood> {
    let [high, low, after @ ..] = text else { return Err(broken()) };
    match (digit(*high), digit(*low)) {
        (Some(0), Some(0)) => Err(NotUnderstood::new("a NUL character")),
        (Some(high), Some(low)) => Ok((high << 4 | low, after)),
        _ => Err(broken()),
    }
}

/// Returns the value of a hexadecimal digit.
const fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

fn broken() -> NotUnderstood {
    NotUnderstood::new("a `%` without two hexadecimal digits after it")
}
