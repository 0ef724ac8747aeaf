//! Where the segments of a canonical name end.

use super::MAX_SEGMENTS;

/// The places of a name's dots. Ready for a matcher that asks for segments by number.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Dots {
    at: [u16; MAX_SEGMENTS - 1],
    count: u8,
}

impl Dots {
    /// Those of a canonical form.
    #[cfg(feature = "audit")]
    pub(super) fn of(canonical: &[u8]) -> Self {
        let mut dots = Self::default();
        for (place, at) in memchr::memchr_iter(b'.', canonical).zip(&mut dots.at) {
            *at = u16::try_from(place).unwrap_or(u16::MAX);
            dots.count += 1;
        }
        dots
    }

    /// Takes in those behind `start` whose bits are set; false if that is more than a name may have (N2.4).
    #[inline]
    pub(super) fn push(&mut self, mut found: u32, start: u16) -> bool {
        while found != 0 {
            let place = u16::try_from(found.trailing_zeros()).unwrap_or(0);
            let Some(at) = self.at.get_mut(usize::from(self.count)) else { return false };
            *at = start + place;
            self.count += 1;
            found &= found - 1;
        }
        true
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
