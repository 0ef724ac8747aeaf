//! The widths of the numbers of a set. All numbers are little-endian.

use std::ops::Range;

/// The number of bytes of a residue grant.
pub(super) const RESIDUE: usize = 12;

/// The stored widths of the numbers of a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Form(u8);

/// The width of a count, a connection, a tag or a grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Width {
    One,
    Two,
    Four,
}

/// The flag for texts of four bytes instead of three.
const FAR: u8 = 4;

/// The flag for sets whose blocks have a number of residue grants.
const HAS_RESIDUE: u8 = 8;

impl Form {
    /// Returns the narrowest form for numbers up to `number` and texts up to `text`.
    pub(super) fn for_up_to(number: u32, text: u32) -> Self {
        let number = match number {
            0..=0xff => 0,
            0x100..=0xffff => 1,
            _ => 2,
        };
        Self(number | if text > 0x00ff_ffff { FAR } else { 0 })
    }

    pub(super) fn widest() -> Self {
        Self(2 | FAR)
    }

    pub(super) fn with_residue(self) -> Self {
        Self(self.0 | HAS_RESIDUE)
    }

    #[inline]
    pub(super) fn has_residue(self) -> bool {
        self.0 & HAS_RESIDUE != 0
    }

    pub(super) fn to_byte(self) -> u8 {
        self.0
    }

    #[inline]
    pub(super) fn from_byte(byte: u8) -> Self {
        Self(byte)
    }

    #[inline]
    pub(super) fn width(self) -> Width {
        match self.0 & 3 {
            0 => Width::One,
            1 => Width::Two,
            _ => Width::Four,
        }
    }

    pub(super) fn number(self) -> usize {
        match self.width() {
            Width::One => 1,
            Width::Two => 2,
            Width::Four => 4,
        }
    }

    /// Returns the number of stored bytes of a key: the first half or all of it.
    pub(super) fn key(self) -> usize {
        self.number().max(2)
    }

    #[inline]
    pub(super) fn text(self) -> usize {
        3 + usize::from(self.0 & FAR != 0)
    }

    /// Returns the number of bytes of a block's offset.
    pub(super) fn start(self) -> usize {
        self.number().max(2)
    }

    /// Returns the number of bytes of a connection's directory entry.
    pub(super) fn connection(self) -> usize {
        2 * self.number() + self.start()
    }
}

/// Reads a little-endian number.
#[inline]
pub(super) fn low<const N: usize>(bytes: [u8; N]) -> u32 {
    bytes.iter().rev().fold(0, |number, &byte| number << 8 | u32::from(byte))
}

/// Returns the key with these highest bytes; the other bytes are zero.
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

/// Returns the indexes of `key`, or of its first half if only halves are stored, in the ascending `keys`.
///
/// Scans up to `scan_up_to` keys. In a longer list, the key predicts its index, because keys are evenly distributed.
/// The search then takes a constant number of steps on average.
#[inline]
pub(super) fn find_key<const N: usize>(keys: &[[u8; N]], key: u32, scan_up_to: usize) -> Range<usize> {
    let key = if N < 4 { key & u32::MAX << (32 - 8 * N) } else { key };
    let start = if keys.len() <= scan_up_to {
        keys.iter().position(|&found| high(found) == key).unwrap_or(keys.len())
    } else {
        interpolate(keys, key)
    };
    let same = keys.get(start..).unwrap_or_default().iter().take_while(|&&found| high(found) == key).count();
    start..start + same
}

/// Returns the index of the first key that is not below `key` in the ascending `keys`.
///
/// Starts at the index that evenly distributed keys would have, and searches in doubling steps to either side.
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
    fn interpolation_and_binary_search_agree() {
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
                    let found = find_key(&stored, key, scan_up_to);
                    assert_eq!(found.len(), keys.iter().filter(|&&found| found == key).count());
                }
            }
        }
    }

    #[test]
    fn stored_halves_find_all_keys_with_that_half() {
        let keys = [0x0001_0000_u32, 0x0001_ffff, 0x0002_0000, 0xffff_0001];
        let halves = keys.map(|key| [key.to_le_bytes()[2], key.to_le_bytes()[3]]);
        for (key, expected) in [(0x0001_1234, 0..2), (0x0002_ffff, 2..3), (0xffff_ffff, 3..4), (0x0003_0000, 0..0)] {
            for scan_up_to in [0, 32] {
                let found = find_key(&halves, key, scan_up_to);
                assert!(found == expected || (found.is_empty() && expected.is_empty()), "{key:x}: {found:?}");
            }
        }
    }

    #[test]
    fn form_is_the_narrowest_and_round_trips() {
        for (largest, text, number, text_bytes) in
            [(0, 0, 1, 3), (255, 0x00ff_ffff, 1, 3), (256, 0x0100_0000, 2, 4), (0xffff, 0, 2, 3), (0x1_0000, 0, 4, 3)]
        {
            let form = Form::for_up_to(largest, text);
            assert_eq!((form.number(), form.text()), (number, text_bytes));
            assert_eq!(Form::from_byte(form.to_byte()), form);
        }
    }
}
