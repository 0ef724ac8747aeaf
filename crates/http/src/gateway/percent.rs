//! Percent-encoding (W2).

use std::borrow::Cow;

use super::NotUnderstood;
use portcullis::base::bytes::{Lanes, Offsets, contains};

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

/// Checks all escapes of `text`, sixteen bytes at a time. Returns whether one of them stands for a byte beyond ASCII.
///
/// # Errors
///
/// As [`escape`], for the first wrong escape.
pub(super) fn check(text: &[u8]) -> Result<bool, NotUnderstood> {
    let Some(last) = text.len().checked_sub(MARGIN) else { return check_each(text) };
    let mut beyond_ascii = false;
    let mut at = 0;
    while let Some(sign) = Lanes::at(text, at) {
        let sign = sign.equal(b'%');
        if sign.to_bitmask() != 0
            && let (Some(high), Some(low)) = (Lanes::at(text, at + 1), Lanes::at(text, at + 2))
        {
            let nul = high.equal(b'0') & low.equal(b'0');
            if (sign & (nul | !high.hexadecimal() | !low.hexadecimal())).to_bitmask() != 0 {
                return check_each(text);
            }
            beyond_ascii |= (sign & !high.within(b'0', b'7')).to_bitmask() != 0;
        }
        if at == last {
            break;
        }
        at = last.min(at + Lanes::COUNT);
    }
    // An escape has three bytes.
    if contains(text.get(last + Lanes::COUNT..).unwrap_or_default(), b'%') { Err(broken()) } else { Ok(beyond_ascii) }
}

/// The bytes that one step of [`check`] reads.
const MARGIN: usize = Lanes::COUNT + 2;

/// Checks one escape after the other: texts that are short, or that have a wrong escape.
fn check_each(text: &[u8]) -> Result<bool, NotUnderstood> {
    memchr::memchr_iter(b'%', text).try_fold(false, |beyond_ascii, at| Ok(beyond_ascii | !escape(text, at)?.is_ascii()))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_checked_alike_at_every_offset() {
        let pieces = [
            "", "%", "%4", "%4g", "%g4", "%00", "%0", "%7f", "%80", "%C3%a9", "%25", "%30", "+", "%%", "a", "%:0",
            "%`1",
        ];
        for length in 0..40 {
            for (one, two) in pieces.iter().flat_map(|one| pieces.map(|two| (one, two))) {
                for at in 0..=length {
                    let text = format!("{}{one}{}{two}", "-".repeat(at), "x".repeat(length - at));
                    assert_eq!(check(text.as_bytes()), check_each(text.as_bytes()), "{text}");
                }
            }
        }
    }
}
