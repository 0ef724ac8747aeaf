//! The hash function that finds grants.
//!
//! A key only locates candidates: their text is compared before anything is allowed. Keys are part of the compiled
//! form, so the function is defined here and must not change without a new format.
//!
//! The function is a folded multiplication. A step takes eight bytes of a name, or sixteen bytes of other texts. The
//! state after each step of a name is stored, so the key of any prefix of the name costs one more step.

use smallvec::SmallVec;

use crate::name::MAX_NAME_BYTES;

/// Hashes texts to a key. The key also depends on how the input is split into texts.
#[derive(Debug, Clone, Copy)]
pub struct KeyHasher(u64);

const START: u64 = 0x706f_7274_6375_6c69;
const FIRST: u64 = 0x9e37_79b9_7f4a_7c15;
const SECOND: u64 = 0xd6e8_feb8_6659_fd93;

impl KeyHasher {
    pub(crate) const fn new() -> Self {
        Self(START)
    }

    /// Creates a hasher with unpredictable keys, for data that is not part of a compiled form.
    pub(crate) const fn seeded(seed: u64) -> Self {
        Self(seed)
    }

    /// Hashes `text`, sixteen bytes at a time.
    #[inline]
    pub fn write(&mut self, text: &[u8]) {
        let length = text.len() as u64;
        let mut rest = text;
        while let Some((low, tail)) = rest.split_first_chunk()
            && let Some((high, tail)) = tail.split_first_chunk()
        {
            self.0 = fold(self.0 ^ u64::from_le_bytes(*low) ^ FIRST, u64::from_le_bytes(*high) ^ SECOND);
            rest = tail;
        }
        // Reads the remaining bytes as two overlapping words, so that no byte is copied.
        let (low, high) = if let (Some(low), Some(high)) = (rest.first_chunk::<8>(), rest.last_chunk::<8>()) {
            (u64::from_le_bytes(*low), u64::from_le_bytes(*high))
        } else if let (Some(low), Some(high)) = (rest.first_chunk::<4>(), rest.last_chunk::<4>()) {
            (u64::from(u32::from_le_bytes(*low)), u64::from(u32::from_le_bytes(*high)))
        } else {
            let byte = |at: usize| rest.get(at).copied().map_or(0, u64::from);
            (byte(0) | byte(rest.len() / 2) << 8, byte(rest.len().saturating_sub(1)))
        };
        self.0 = fold(self.0 ^ low ^ FIRST, high ^ SECOND ^ length.rotate_left(56));
    }

    /// Returns the key of everything that was written.
    #[inline]
    pub fn key(self) -> u32 {
        (self.0 >> 32) as u32
    }
}

/// The state of the hash after each eight bytes of a text.
#[derive(Debug)]
pub struct PrefixHashes {
    // INVARIANT: the steps of the last hashed text, up to the step that contains its end.
    near: [Step; NEAR],
    /// The states before each step after the `near` ones.
    far: SmallVec<[u64; MAX_NAME_BYTES / WORD]>,
    /// The bytes after the last whole word.
    tail: u64,
}

/// The state before a step, and the eight bytes of the step.
#[derive(Debug, Clone, Copy)]
struct Step {
    before: u64,
    word: u64,
}

const WORD: usize = 8;
/// The number of steps that nearly every name fits in.
const NEAR: usize = 9;

impl PrefixHashes {
    /// Creates a buffer. Call [`PrefixHashes::hash`] before [`PrefixHashes::of`].
    #[inline]
    #[expect(clippy::new_without_default, reason = "an internal type")]
    pub fn new() -> Self {
        Self { near: [Step { before: 0, word: 0 }; NEAR], far: SmallVec::new(), tail: 0 }
    }

    /// Hashes `text`. Linear in the length of `text`.
    #[inline]
    pub fn hash(&mut self, text: &[u8]) {
        let (words, rest) = text.as_chunks::<WORD>();
        self.tail = match text.last_chunk::<WORD>() {
            _ if rest.is_empty() => 0,
            Some(last) => u64::from_le_bytes(*last) >> (8 * (WORD - rest.len())),
            None => rest.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte)),
        };
        let mut state = START;
        for (step, word) in self.near.iter_mut().zip(words) {
            *step = Step { before: state, word: u64::from_le_bytes(*word) };
            state = step.next_state();
        }
        match self.near.get_mut(words.len()) {
            Some(last) => *last = Step { before: state, word: self.tail },
            None => self.hash_far(words.get(NEAR..).unwrap_or_default(), state),
        }
    }

    /// Hashes the part of a long name after the `near` steps.
    #[cold]
    fn hash_far(&mut self, words: &[[u8; WORD]], state: u64) {
        self.far.clear();
        self.far.push(state);
        self.far.extend(words.iter().scan(state, |state, word| {
            *state = Step { before: *state, word: u64::from_le_bytes(*word) }.next_state();
            Some(*state)
        }));
    }

    /// Returns the hasher after the first `length` bytes of `text`, which must be the last hashed text. Takes one step.
    #[inline]
    pub fn of(&self, text: &[u8], length: usize) -> KeyHasher {
        let (steps, more) = (length / WORD, length % WORD);
        let step = match self.near.get(steps) {
            Some(step) => *step,
            None => self.far(text, steps),
        };
        step.end(more, length)
    }

    #[cold]
    fn far(&self, text: &[u8], step: usize) -> Step {
        let word = text.get(step * WORD..).and_then(<[u8]>::first_chunk);
        Step {
            before: self.far.get(step.wrapping_sub(NEAR)).copied().unwrap_or(START),
            word: word.map_or(self.tail, |word| u64::from_le_bytes(*word)),
        }
    }
}

impl Step {
    #[inline]
    fn next_state(self) -> u64 {
        fold(self.before ^ self.word, FIRST)
    }

    /// Returns the hasher of a text that ends after `more` bytes of this step and has `length` bytes.
    #[inline]
    fn end(self, more: usize, length: usize) -> KeyHasher {
        KeyHasher(fold(self.before ^ self.word & !(u64::MAX << (8 * more)), SECOND ^ length as u64))
    }
}

/// Hashes all of `text` like [`PrefixHashes::of`].
pub(crate) fn prefix_hasher(text: &[u8]) -> KeyHasher {
    let (words, rest) = text.as_chunks::<WORD>();
    let before = words.iter().fold(START, |before, word| Step { before, word: u64::from_le_bytes(*word) }.next_state());
    let word = rest.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte));
    Step { before, word }.end(rest.len(), text.len())
}

/// Multiplies `a` and `b` and folds the halves of the product into one.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "both halves of the product are folded into one")]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product ^ (product >> 64)) as u64
}

/// Returns the key of one text.
#[inline]
pub(crate) fn text_key(text: &[u8]) -> u32 {
    let mut hasher = KeyHasher::new();
    hasher.write(text);
    hasher.key()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_never_change() {
        // They are part of the compiled form.
        let long = "x".repeat(100);
        let texts = ["", "a", "ab", "abc", "abcd", "abcdefg", "abcdefgh", "abcdefghijklmno", "abcdefghijklmnop", &long];
        let keys = texts.map(|text| text_key(text.as_bytes()));
        assert_eq!(keys, KEYS);
    }

    #[rustfmt::skip]
    const KEYS: [u32; 10] = [
        3_821_128_064, 2_325_075_485, 554_591_191, 3_539_437_392, 1_918_740_532,
        2_258_626_132, 3_259_785_583, 2_452_756_051, 3_621_519_374, 1_029_806_657,
    ];

    #[test]
    fn keys_of_prefixes_never_change() {
        let mut hashes = PrefixHashes::new();
        let text = "warehouse_01.roads_02.raw_buildings_017".repeat(4);
        hashes.hash(text.as_bytes());
        let keys = [0, 1, 7, 8, 13, 39, 64, 100, 156].map(|length| hashes.of(text.as_bytes(), length).key());
        assert_eq!(keys, PREFIX_KEYS);
    }

    #[rustfmt::skip]
    const PREFIX_KEYS: [u32; 9] = [
        3_207_744_272, 620_518_830, 1_817_986_287, 2_222_932_326, 2_817_171_730,
        351_163_867, 1_289_762_410, 202_239_133, 2_723_053_274,
    ];

    #[test]
    fn prefix_has_the_same_key_in_every_text() {
        let long: Vec<u8> = (0..200_u8).collect();
        let (mut whole, mut part) = (PrefixHashes::new(), PrefixHashes::new());
        whole.hash(&long);
        let mut keys = std::collections::HashSet::new();
        for length in 0..=long.len() {
            part.hash(&long[..length]);
            let key = whole.of(&long, length).key();
            assert_eq!(part.of(&long[..length], length).key(), key, "{length}");
            assert_eq!(prefix_hasher(&long[..length]).key(), key, "{length}");
            assert!(keys.insert(key), "{length}");
            for at in 0..length {
                let mut other = long[..length].to_vec();
                other[at] ^= 1;
                part.hash(&other);
                assert_ne!(part.of(&other, length).key(), key, "byte {at} of {length}");
            }
        }
    }

    #[test]
    fn key_depends_on_every_byte_and_the_length() {
        for length in 0..70 {
            let text: Vec<u8> = (0..length).collect();
            let key = text_key(&text);
            for at in 0..text.len() {
                let mut other = text.clone();
                other[at] ^= 1;
                assert_ne!(text_key(&other), key, "byte {at} of {length}");
            }
            let longer = [&text[..], &[0]].concat();
            assert_ne!(text_key(&longer), key, "{length} bytes and one more");
        }
    }

    #[test]
    fn keys_are_evenly_distributed() {
        let mut hashes = PrefixHashes::new();
        let mut of_prefix = |text: &[u8]| {
            hashes.hash(text);
            hashes.of(text, text.len() - 1).key()
        };
        for key in [&mut of_prefix as &mut dyn FnMut(&[u8]) -> u32, &mut text_key] {
            let mut buckets = [0_u32; 64];
            for at in 0..64_000 {
                buckets[key(format!("schema_{at:05}.").as_bytes()) as usize >> 26] += 1;
            }
            assert!(buckets.iter().all(|count| (800..1200).contains(count)), "{buckets:?}");
        }
    }
}
