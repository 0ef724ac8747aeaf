//! Classifies and finds bytes, sixteen at a time. Internal: public only for the crates of this workspace.

use wide::u8x16;

const WIDTH: usize = 16;
const ALL: u32 = 0xffff;

/// Sixteen bytes, and whether each belongs to a class: all bits of a byte are set, or none.
#[derive(Debug, Clone, Copy)]
pub struct Lanes(u8x16);

impl Lanes {
    /// The number of bytes.
    pub const COUNT: usize = WIDTH;

    /// Returns the sixteen bytes of `text` from an offset on; `None` if there are fewer.
    #[inline]
    pub fn at(text: &[u8], offset: usize) -> Option<Self> {
        text.get(offset..)?.first_chunk().map(|chunk| Self(u8x16::from(*chunk)))
    }

    /// The bytes that equal `byte`.
    #[inline]
    pub fn equal(self, byte: u8) -> u8x16 {
        self.0.simd_eq(u8x16::splat(byte))
    }

    /// The bytes from `first` to `last`.
    #[inline]
    pub fn within(self, first: u8, last: u8) -> u8x16 {
        // Bytes below `first` wrap around to large values.
        let distance = self.0 - u8x16::splat(first);
        distance.min(u8x16::splat(last - first)).simd_eq(distance)
    }

    /// The digits of a hexadecimal number, in either case.
    #[inline]
    pub fn hexadecimal(self) -> u8x16 {
        Self(self.0 | u8x16::splat(0x20)).within(b'a', b'f') | self.within(b'0', b'9')
    }

    /// The ASCII letters and digits.
    #[inline]
    pub fn alphanumeric(self) -> u8x16 {
        // The case of an ASCII letter is one bit.
        Self(self.0 | u8x16::splat(0x20)).within(b'a', b'z') | self.within(b'0', b'9')
    }
}

/// Returns whether all bytes of `text` belong to `class`.
#[inline]
pub fn all(text: &[u8], class: impl Fn(Lanes) -> u8x16) -> bool {
    let (chunks, rest) = text.as_chunks::<WIDTH>();
    let mut all = !u8x16::ZERO;
    for chunk in chunks {
        all &= class(Lanes(u8x16::from(*chunk)));
    }
    if !rest.is_empty() {
        all &= class(Lanes(u8x16::from(last(text))));
    }
    all.to_bitmask() == ALL
}

/// Returns whether `text` contains `byte`.
#[inline]
pub fn contains(text: &[u8], byte: u8) -> bool {
    !all(text, |lanes| !lanes.equal(byte))
}

/// Returns the last sixteen bytes of a text that is not empty. Of a shorter text, returns each byte at least once.
#[inline]
fn last(text: &[u8]) -> [u8; WIDTH] {
    if let Some(last) = text.last_chunk() {
        *last
    } else if let (Some(first), Some(last)) = (text.first_chunk::<8>(), text.last_chunk::<8>()) {
        bytemuck::cast([*first, *last])
    } else if let (Some(first), Some(last)) = (text.first_chunk::<4>(), text.last_chunk::<4>()) {
        bytemuck::cast([[*first, *last]; 2])
    } else {
        let byte = |at: usize| text.get(at).copied().unwrap_or_default();
        bytemuck::cast([[byte(0), byte(text.len() / 2), byte(text.len().saturating_sub(1)), byte(0)]; 4])
    }
}

/// The offsets of the bytes of `text` that belong to a class, in order.
#[derive(Debug)]
pub struct Offsets<'t, C> {
    text: &'t [u8],
    class: C,
    /// The offset of the first byte that was not classified.
    next: usize,
    /// The offset of the first bit of `found`.
    start: usize,
    /// A bit for each offset that was found and not returned.
    found: u32,
}

impl<'t, C: Fn(Lanes) -> u8x16> Offsets<'t, C> {
    #[inline]
    pub fn new(text: &'t [u8], class: C) -> Self {
        Self { text, class, next: 0, start: 0, found: 0 }
    }
}

impl<C: Fn(Lanes) -> u8x16> Iterator for Offsets<'_, C> {
    type Item = usize;

    #[inline]
    fn next(&mut self) -> Option<usize> {
        while self.found == 0 {
            let rest = self.text.get(self.next..)?;
            self.start = self.next;
            if let Some(chunk) = rest.first_chunk::<WIDTH>() {
                self.found = (self.class)(Lanes(u8x16::from(*chunk))).to_bitmask();
                self.next += WIDTH;
            } else if rest.is_empty() {
                return None;
            } else {
                // Reads the last sixteen bytes, some of them for the second time; a shorter text is padded.
                let (chunk, before) = match self.text.last_chunk::<WIDTH>() {
                    Some(last) => (*last, WIDTH - rest.len()),
                    None => (padded(rest), 0),
                };
                let valid = (1 << rest.len()) - 1;
                self.found = (self.class)(Lanes(u8x16::from(chunk))).to_bitmask() >> before & valid;
                self.next = self.text.len();
            }
        }
        let offset = self.start + self.found.trailing_zeros() as usize;
        self.found &= self.found - 1;
        Some(offset)
    }
}

fn padded(rest: &[u8]) -> [u8; WIDTH] {
    let mut chunk = [0; WIDTH];
    for (to, from) in chunk.iter_mut().zip(rest) {
        *to = *from;
    }
    chunk
}

/// Returns whether `name` equals `lower`, a name in lower case, in any case. Both must consist of ASCII letters, digits
/// and `-`, in which one bit makes a letter lower case and changes no other character.
#[inline]
pub fn is_same_name(name: &[u8], lower: &[u8]) -> bool {
    if name.len() != lower.len() {
        return false;
    }
    let word = |text: Option<&[u8; 8]>| text.map_or(0, |word| u64::from_le_bytes(*word));
    let half = |text: Option<&[u8; 4]>| text.map_or(0, |half| u32::from_le_bytes(*half));
    let (lower_word, lower_half) = (0x2020_2020_2020_2020, 0x2020_2020);
    if name.len() >= 8 {
        let (words, wanted) = (name.as_chunks::<8>().0, lower.as_chunks::<8>().0);
        word(name.last_chunk()) | lower_word == word(lower.last_chunk())
            && words.iter().zip(wanted).all(|(one, other)| word(Some(one)) | lower_word == word(Some(other)))
    } else if name.len() >= 4 {
        half(name.first_chunk()) | lower_half == half(lower.first_chunk())
            && half(name.last_chunk()) | lower_half == half(lower.last_chunk())
    } else {
        name.eq_ignore_ascii_case(lower)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_byte_counts_in_texts_of_any_length() {
        for length in 0..70 {
            let text = vec![b'a'; length];
            assert!(all(&text, Lanes::alphanumeric), "{length}");
            assert!(!contains(&text, b'-'), "{length}");
            assert_eq!(Offsets::new(&text, |lanes| lanes.equal(0)).next(), None, "{length}");
            for at in 0..length {
                let mut other = text.clone();
                other[at] = b'-';
                assert!(!all(&other, Lanes::alphanumeric), "{at} of {length}");
                assert!(contains(&other, b'-'), "{at} of {length}");
                assert_eq!(Offsets::new(&other, |lanes| lanes.equal(b'-')).collect::<Vec<_>>(), [at], "{length}");
                assert!(!is_same_name(&other, &text) && is_same_name(&other.to_ascii_uppercase(), &other), "{at}");
            }
            let offsets: Vec<usize> = Offsets::new(&text, |lanes| lanes.within(b'a', b'b')).collect();
            assert_eq!(offsets, (0..length).collect::<Vec<_>>());
        }
    }

    #[test]
    fn classes_agree_with_the_standard_library() {
        for byte in 0..=u8::MAX {
            assert_eq!(all(&[byte], Lanes::alphanumeric), byte.is_ascii_alphanumeric(), "{byte}");
            assert_eq!(all(&[byte], Lanes::hexadecimal), byte.is_ascii_hexdigit(), "{byte}");
            assert_eq!(all(&[byte], |lanes| lanes.within(b'!', b'~')), byte.is_ascii_graphic(), "{byte}");
        }
    }
}
