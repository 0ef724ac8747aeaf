//! How wide the numbers of a set are, and how they are read. All stand with their lowest byte first.

use std::ops::Range;

/// Bytes of one grant of the residue.
pub(super) const RESIDUE: usize = 12;

/// How many bytes the numbers of a set have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Form {
    number: Width,
    /// Whether texts take four bytes instead of three.
    far: bool,
}

/// Bytes of a count, a connection, a tag, a grant.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Width {
    #[default]
    One,
    Two,
    Four,
}

impl Form {
    /// The narrowest form for numbers up to `number` and texts up to `text`.
    pub(super) fn for_up_to(number: u32, text: u32) -> Self {
        let number = match number {
            0..=0xff => Width::One,
            0x100..=0xffff => Width::Two,
            _ => Width::Four,
        };
        Self { number, far: text > 0x00ff_ffff }
    }

    pub(super) fn widest() -> Self {
        Self { number: Width::Four, far: true }
    }

    pub(super) fn to_byte(self) -> u8 {
        self.number as u8 | u8::from(self.far) << 2
    }

    pub(super) fn from_byte(byte: u8) -> Self {
        let number = match byte & 3 {
            0 => Width::One,
            1 => Width::Two,
            _ => Width::Four,
        };
        Self { number, far: byte & 4 != 0 }
    }

    pub(super) fn number(self) -> usize {
        1 << self.number as usize
    }

    /// Bytes of the first half of a key, or of all of it.
    pub(super) fn key(self) -> usize {
        key_width(self.number())
    }

    pub(super) fn text(self) -> usize {
        3 + usize::from(self.far)
    }

    /// Bytes of the place where a block begins.
    pub(super) fn start(self) -> usize {
        start_width(self.number())
    }

    /// Bytes of a connection's numbers before its block.
    pub(super) fn connection(self) -> usize {
        2 * self.number() + self.start()
    }
}

/// Bytes of a key, or of its first half, where numbers have this many.
#[inline]
pub(super) const fn key_width(number: usize) -> usize {
    if number < 2 { 2 } else { number }
}

/// Bytes of the place where a block begins, where numbers have this many.
#[inline]
pub(super) const fn start_width(number: usize) -> usize {
    if number < 2 { 2 } else { number }
}

/// The number of `width` bytes that begins `bytes`, and what stands behind it.
#[inline]
pub(super) fn number(bytes: &[u8], width: usize) -> Option<(u32, &[u8])> {
    fn of<const N: usize>(bytes: &[u8]) -> Option<(u32, &[u8])> {
        bytes.split_first_chunk::<N>().map(|(number, rest)| (low(*number), rest))
    }
    match width {
        1 => of::<1>(bytes),
        2 => of::<2>(bytes),
        3 => of::<3>(bytes),
        _ => of::<4>(bytes),
    }
}

/// The number of these bytes.
#[inline]
fn low<const N: usize>(bytes: [u8; N]) -> u32 {
    bytes.iter().rev().fold(0, |number, &byte| number << 8 | u32::from(byte))
}

/// The key of which these bytes are the first.
#[inline]
fn high<const N: usize>(bytes: [u8; N]) -> u32 {
    low(bytes) << (32 - 8 * N)
}

pub(super) fn words(bytes: [u8; RESIDUE]) -> [u32; 3] {
    let mut words = [0; 3];
    for (word, bytes) in words.iter_mut().zip(bytes.as_chunks::<4>().0) {
        *word = u32::from_le_bytes(*bytes);
    }
    words
}

/// Numbers of one width.
#[derive(Debug, Clone, Copy)]
pub(super) struct Numbers<'s> {
    bytes: &'s [u8],
    width: usize,
}

impl<'s> Numbers<'s> {
    /// The first `count` numbers of `bytes`, and what stands behind them.
    #[inline]
    pub(super) fn split(bytes: &'s [u8], width: usize, count: usize) -> Option<(Self, &'s [u8])> {
        let (bytes, rest) = bytes.split_at_checked(count.checked_mul(width)?)?;
        Some((Self { bytes, width }, rest))
    }

    #[inline]
    pub(super) fn get(self, at: usize) -> Option<u32> {
        number(self.bytes.get(at * self.width..)?, self.width).map(|(number, _)| number)
    }

    /// Each two of them.
    #[inline]
    pub(super) fn pairs(mut self) -> impl Iterator<Item = (u32, u32)> + 's {
        std::iter::from_fn(move || {
            let (first, rest) = number(self.bytes, self.width)?;
            let (second, rest) = number(rest, self.width)?;
            self.bytes = rest;
            Some((first, second))
        })
    }

    #[inline]
    pub(super) fn slice(self, places: Range<usize>) -> Option<Self> {
        let bytes = self.bytes.get(places.start * self.width..places.end * self.width)?;
        Some(Self { bytes, width: self.width })
    }

    /// Where `key` stands among these, which are ascending keys or their first halves.
    #[inline]
    pub(super) fn places_of(self, key: u32, scan_up_to: usize) -> Range<usize> {
        match self.width {
            2 => places::<2>(self.bytes.as_chunks().0, key & 0xffff_0000, scan_up_to),
            _ => places::<4>(self.bytes.as_chunks().0, key, scan_up_to),
        }
    }
}

#[inline]
fn places<const N: usize>(keys: &[[u8; N]], key: u32, scan_up_to: usize) -> Range<usize> {
    let start = if keys.len() <= scan_up_to {
        keys.iter().position(|&found| high(found) == key).unwrap_or(keys.len())
    } else {
        interpolate(keys, key)
    };
    let same = keys.get(start..).unwrap_or_default().iter().take_while(|&&found| high(found) == key).count();
    start..start + same
}

/// Where the first key not below `key` stands in `keys`, which ascend: from where it stands if keys are evenly spread,
/// in doubling steps to either side.
fn interpolate<const N: usize>(keys: &[[u8; N]], key: u32) -> usize {
    let expected = usize::try_from((u64::from(key) * keys.len() as u64) >> 32).unwrap_or(0);
    let below = |at: usize| keys.get(at).is_some_and(|&found| high(found) < key);
    let (mut low, mut high_end, mut step) = (expected, expected, 8);
    if below(expected) {
        while below(high_end) {
            low = high_end + 1;
            high_end = (high_end + step).min(keys.len());
            step *= 2;
        }
    } else {
        while low > 0 && !below(low - 1) {
            high_end = low - 1;
            low = low.saturating_sub(step);
            step *= 2;
        }
    }
    low + keys.get(low..high_end).unwrap_or_default().partition_point(|&found| high(found) < key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interpolation_finds_what_a_search_by_halves_finds() {
        let spread: Vec<u32> = (0..1000).map(|n: u32| n.wrapping_mul(4_294_967)).collect();
        let clustered: Vec<u32> = (0..1000).map(|n| if n < 500 { n } else { u32::MAX - 1000 + n }).collect();
        for mut keys in [vec![], vec![7], vec![7; 100], spread, clustered] {
            keys.sort_unstable();
            let stored: Vec<[u8; 4]> = keys.iter().map(|key| key.to_le_bytes()).collect();
            for key in keys.iter().flat_map(|&key| [key.wrapping_sub(1), key, key.wrapping_add(1)]).chain([0, u32::MAX])
            {
                let found = interpolate(&stored, key);
                assert_eq!(found, keys.partition_point(|&found| found < key), "{key} in {keys:?}");
                for scan_up_to in [0, usize::MAX] {
                    let places = places(&stored, key, scan_up_to);
                    assert_eq!(places.len(), keys.iter().filter(|&&found| found == key).count());
                }
            }
        }
    }

    #[test]
    fn halves_of_keys_find_all_that_begin_so() {
        let keys = [0x0001_0000_u32, 0x0001_ffff, 0x0002_0000, 0xffff_0001];
        let bytes: Vec<u8> = keys.iter().flat_map(|key| key.to_le_bytes()[2..].to_vec()).collect();
        let (keys, _) = Numbers::split(&bytes, 2, 4).unwrap();
        for (key, places) in [(0x0001_1234, 0..2), (0x0002_ffff, 2..3), (0xffff_ffff, 3..4), (0x0003_0000, 0..0)] {
            for scan_up_to in [0, 32] {
                let found = keys.places_of(key, scan_up_to);
                assert!(found == places || (found.is_empty() && places.is_empty()), "{key:x}: {found:?}");
            }
        }
    }

    #[test]
    fn a_form_is_as_narrow_as_it_can_be_and_reads_back() {
        for (largest, text, number, text_bytes) in
            [(0, 0, 1, 3), (255, 0x00ff_ffff, 1, 3), (256, 0x0100_0000, 2, 4), (0xffff, 0, 2, 3), (0x1_0000, 0, 4, 3)]
        {
            let form = Form::for_up_to(largest, text);
            assert_eq!((form.number(), form.text()), (number, text_bytes));
            assert_eq!(Form::from_byte(form.to_byte()), form);
        }
    }
}
