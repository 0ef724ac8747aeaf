//! Finds the bytes of a query that can change its lexical context or its normal form, sixteen at a time.

use wide::u8x16;

use crate::base::bytes::Lanes;

/// The marks of a text, in order. A mark is the offset of a byte that [`next_fold`](super::lex::next_fold) must look at:
///
/// - white space that normal form may replace: any but a single space between other bytes;
/// - a quote, `\`, `#` or `$`;
/// - the first byte of `--`, `/*`, `*/` or `//`.
#[derive(Debug)]
pub(super) struct Marks<'t> {
    text: &'t [u8],
    /// The offset of the first byte that was not classified.
    next: usize,
    /// The offset of the first bit of `found`.
    start: usize,
    /// A bit for each mark that was found and not returned.
    found: u32,
}

impl<'t> Marks<'t> {
    /// Creates the marks of `text` from an offset on.
    pub(super) fn new(text: &'t [u8], from: usize) -> Self {
        Self { text, next: from, start: from, found: 0 }
    }

    /// Returns the next mark at or after `from`; skips earlier ones.
    #[inline]
    pub(super) fn next_from(&mut self, from: usize) -> Option<usize> {
        loop {
            while self.found != 0 {
                let mark = self.start + self.found.trailing_zeros() as usize;
                self.found &= self.found - 1;
                if mark >= from {
                    return Some(mark);
                }
            }
            self.start = self.next.max(from);
            self.next = self.start + Lanes::COUNT;
            self.found = match (Lanes::at(self.text, self.start), Lanes::at(self.text, self.start + 1)) {
                (Some(bytes), Some(following)) => marks(bytes, following).to_bitmask(),
                _ => marks_at_end(self.text.get(self.start..).filter(|rest| !rest.is_empty())?),
            };
        }
    }
}

/// Returns the marks of the last bytes of a text: at most sixteen.
fn marks_at_end(rest: &[u8]) -> u32 {
    // A zero is not a mark, and does not make a mark of the byte before it.
    let padded = padded(rest);
    let lanes = Lanes::at(&padded, 0).zip(Lanes::at(&padded, 1));
    lanes.map_or(0, |(bytes, following)| marks(bytes, following).to_bitmask())
}

/// Returns the last bytes of a text, at most sixteen, with zeros after them.
fn padded(rest: &[u8]) -> [u8; Lanes::COUNT + 1] {
    let mut padded = [0; Lanes::COUNT + 1];
    padded.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
    padded
}

/// Returns whether `text` has white space other than single spaces. Without it, the text is its own normal form,
/// whatever its quotes and comments are.
///
/// Quotes are not looked at: this is several times faster than finding the marks.
pub(super) fn has_wide_space(text: &[u8]) -> bool {
    let is_wide = |text: &[u8], at| {
        Lanes::at(text, at)
            .zip(Lanes::at(text, at + 1))
            .map(|(bytes, following)| (tab(bytes) | bytes.equal(b' ') & following.equal(b' ')).to_bitmask() != 0)
    };
    let mut at = 0;
    while let Some(is_wide) = is_wide(text, at) {
        if is_wide {
            return true;
        }
        at += Lanes::COUNT;
    }
    let rest = padded(text.get(at..).unwrap_or_default());
    is_wide(&rest, 0).unwrap_or(true)
}

/// All white space but the space itself. The vertical tab is not white space.
#[inline]
fn tab(lanes: Lanes) -> u8x16 {
    lanes.within(b'\t', b'\r') & !lanes.equal(b'\x0B')
}

/// The bytes that are marks; each byte of `following` is the one after the byte at its index.
#[inline]
fn marks(bytes: Lanes, following: Lanes) -> u8x16 {
    let always = tab(bytes) | bytes.within(b'"', b'$') | bytes.equal(b'\'') | bytes.equal(b'`') | bytes.equal(b'\\');
    let slash = following.equal(b'/');
    always
        | bytes.equal(b' ') & (following.equal(b' ') | tab(following))
        | bytes.equal(b'-') & following.equal(b'-')
        | bytes.equal(b'*') & slash
        | bytes.equal(b'/') & (slash | following.equal(b'*'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_mark(text: &[u8], at: usize) -> bool {
        let (byte, next) = (text[at], text.get(at + 1).copied());
        let is_tab = |byte: u8| b"\t\n\r\x0C".contains(&byte);
        match byte {
            b' ' => next.is_some_and(|next| next == b' ' || is_tab(next)),
            b'-' => next == Some(b'-'),
            b'*' => next == Some(b'/'),
            b'/' => next == Some(b'/') || next == Some(b'*'),
            b'"' | b'#' | b'$' | b'\'' | b'`' | b'\\' => true,
            _ => is_tab(byte),
        }
    }

    #[test]
    fn each_pair_of_bytes_is_classified_at_every_offset() {
        let bytes: Vec<u8> = b"\t\n\x0B\x0C\r !\"#$%&'()*+,-./0?@[\\]_`az{\x7f\x80\xff".to_vec();
        for length in [1_usize, 2, 15, 16, 17, 18, 31, 32, 33, 34, 50] {
            for at in [0, length / 2, length.saturating_sub(2), length - 1] {
                for (&first, &second) in bytes.iter().flat_map(|first| bytes.iter().map(move |second| (first, second)))
                {
                    let mut text = vec![b'x'; length];
                    text[at] = first;
                    if let Some(after) = text.get_mut(at + 1) {
                        *after = second;
                    }
                    let pairs = text.windows(2).any(|pair| pair == b"  ");
                    let wide = pairs || text.iter().any(|byte| b"\t\n\r\x0C".contains(byte));
                    assert_eq!(has_wide_space(&text), wide, "{text:?}");
                    for from in [0, at, at + 1, length] {
                        let mut marks = Marks::new(&text, from.min(2));
                        let (mut found, mut next) = (Vec::new(), from);
                        while let Some(mark) = marks.next_from(next) {
                            found.push(mark);
                            next = mark + 1;
                        }
                        let expected: Vec<usize> = (from..length).filter(|&at| is_mark(&text, at)).collect();
                        assert_eq!(found, expected, "{text:?} from {from}");
                    }
                }
            }
        }
    }
}
