//! Percent-encoding (W2).

use std::borrow::Cow;

use super::NotUnderstood;
use portcullis::base::bytes::Offsets;

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
    let bytes = text.as_bytes();
    let mut marks =
        Offsets::new(bytes, |lanes| lanes.equal(b'%') | lanes.equal(if plus == Plus::Space { b'+' } else { b'%' }))
            .peekable();
    if marks.peek().is_none() {
        return Ok(Cow::Borrowed(text));
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut start = 0;
    for at in marks {
        decoded.extend_from_slice(bytes.get(start..at).unwrap_or_default());
        if bytes.get(at) == Some(&b'%') {
            decoded.push(escape(bytes, at)?);
            start = at + 3;
        } else {
            decoded.push(b' ');
            start = at + 1;
        }
    }
    decoded.extend_from_slice(bytes.get(start..).unwrap_or_default());
    String::from_utf8(decoded).map(Cow::Owned).map_err(|_| NotUnderstood::new("percent-encoding that is not UTF-8"))
}

/// Returns the byte that the escape at offset `at` stands for.
#[inline]
pub(super) fn escape(text: &[u8], at: usize) -> Result<u8, NotUnderstood> {
    let Some([_, high, low, ..]) = text.get(at..) else { return Err(broken()) };
    let value = |digit: &u8| DIGITS.get(usize::from(*digit)).copied().unwrap_or(u8::MAX);
    match (value(high), value(low)) {
        (0, 0) => Err(NotUnderstood::new("a NUL character")),
        (high @ 0..16, low @ 0..16) => Ok(high << 4 | low),
        _ => Err(broken()),
    }
}

/// The value of each hexadecimal digit; the maximum for any other byte.
#[expect(clippy::indexing_slicing, reason = "a digit is below 256")]
const DIGITS: [u8; 256] = {
    let mut digits = [u8::MAX; 256];
    let mut value = 0;
    while value < 16 {
        digits[b"0123456789abcdef"[value as usize] as usize] = value;
        digits[b"0123456789ABCDEF"[value as usize] as usize] = value;
        value += 1;
    }
    digits
};

#[cold]
fn broken() -> NotUnderstood {
    NotUnderstood::new("a `%` without two hexadecimal digits after it")
}
