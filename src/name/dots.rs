//! Where the segments of a canonical name end.

use super::MAX_SEGMENTS;

/// The places of a name's dots. Ready for a matcher that asks for segments by number.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Dots {
    at: [u16; MAX_SEGMENTS - 1],
    count: u8,
}

impl Dots {
    /// The dots of `bytes`; `None` if there are more than a name may have (N2.4).
    ///
    /// Reads eight bytes at a time: most names are too short for a call to a vector routine to pay.
    #[inline]
    pub(crate) fn of(bytes: &[u8]) -> Option<Self> {
        let mut dots = Self::default();
        let (words, rest) = bytes.as_chunks::<8>();
        let mut start = 0;
        for word in words {
            dots.push_all(u64::from_le_bytes(*word), start)?;
            start += 8;
        }
        let mut word = [0; 8];
        for (to, from) in word.iter_mut().zip(rest) {
            *to = *from;
        }
        dots.push_all(u64::from_le_bytes(word), start)?;
        Some(dots)
    }

    #[inline]
    fn push_all(&mut self, word: u64, start: u16) -> Option<()> {
        const LOW: u64 = 0x7f7f_7f7f_7f7f_7f7f;
        let other = word ^ u64::from_le_bytes([b'.'; 8]);
        // The highest bit of each byte that is a dot, and no other.
        let mut found = !(((other & LOW) + LOW) | other | LOW);
        while found != 0 {
            let byte = u16::try_from(found.trailing_zeros() / 8).unwrap_or(0);
            *self.at.get_mut(usize::from(self.count))? = start + byte;
            self.count += 1;
            found &= found - 1;
        }
        Some(())
    }

    /// The place of the dot with this number, counted from zero.
    #[inline]
    pub(crate) fn get(&self, number: usize) -> Option<usize> {
        self.as_slice().get(number).map(|&at| usize::from(at))
    }

    /// How many segments the dots separate.
    #[inline]
    pub(crate) fn segments(&self) -> usize {
        usize::from(self.count) + 1
    }

    /// The first place where a segment of a text of `length` bytes is empty.
    #[inline]
    pub(super) fn empty_segment(&self, length: usize) -> Option<usize> {
        let mut start = 0;
        for &dot in self.as_slice() {
            let dot = usize::from(dot);
            if dot == start {
                return Some(dot);
            }
            start = dot + 1;
        }
        (start == length).then_some(length)
    }

    fn as_slice(&self) -> &[u16] {
        self.at.get(..usize::from(self.count)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dots_are_found_wherever_they_stand() {
        for length in 0..40 {
            for dot in 0..length {
                for other in dot..length {
                    let mut bytes = vec![b'\xae'; length];
                    bytes[dot] = b'.';
                    bytes[other] = b'.';
                    let expected: Vec<usize> = (0..length).filter(|&at| bytes[at] == b'.').collect();
                    let dots = Dots::of(&bytes).unwrap();
                    let found: Vec<usize> = (0..dots.segments() - 1).filter_map(|number| dots.get(number)).collect();
                    assert_eq!(found, expected, "{length} {dot} {other}");
                }
            }
        }
        assert!(Dots::of(&[b'.'; 15]).is_some());
        assert!(Dots::of(&[b'.'; 16]).is_none());
    }
}
