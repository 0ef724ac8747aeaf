//! The hash by which grants are found.
//!
//! A key only says where to look: what is found there is compared before anything is allowed. Keys are part of the
//! compiled form, so the function is written out here and never changes by the way. It is a folded multiplication, sixteen
//! bytes a step; what it has come to behind each segment of a name is kept, so that all shapes share that work.

/// Takes in text and gives a key. Two sequences of texts are told apart by how they are cut, too.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KeyHasher(u64);

const FIRST: u64 = 0x9e37_79b9_7f4a_7c15;
const SECOND: u64 = 0xd6e8_feb8_6659_fd93;

impl KeyHasher {
    pub(crate) const fn new() -> Self {
        Self(0x706f_7274_6375_6c69)
    }

    /// Takes in `text`, sixteen bytes at a time.
    #[inline]
    pub(crate) fn write(&mut self, text: &[u8]) {
        let length = text.len() as u64;
        let mut rest = text;
        while let Some((low, behind)) = rest.split_first_chunk()
            && let Some((high, behind)) = behind.split_first_chunk()
        {
            self.0 = fold(self.0 ^ u64::from_le_bytes(*low) ^ FIRST, u64::from_le_bytes(*high) ^ SECOND);
            rest = behind;
        }
        // What is left is read as two words that overlap, so that no byte is copied.
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

    /// The key of all that was written.
    #[inline]
    pub(crate) fn key(self) -> u32 {
        (fold(self.0, FIRST) >> 32) as u32
    }
}

/// The product of both, its halves folded into one.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "both halves of the product are folded into one")]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product ^ (product >> 64)) as u64
}

/// The key of one text.
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
        2_863_785_203, 2_400_249_842, 2_741_232_984, 923_109_916, 1_624_241_744,
        3_487_271_654, 1_803_480_946, 597_750_431, 1_588_520_819, 2_563_398_072,
    ];

    #[test]
    fn every_byte_and_the_length_count() {
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
    fn keys_are_evenly_spread() {
        let mut buckets = [0_u32; 64];
        for at in 0..64_000 {
            buckets[text_key(format!("schema_{at:05}.").as_bytes()) as usize >> 26] += 1;
        }
        assert!(buckets.iter().all(|count| (800..1200).contains(count)), "{buckets:?}");
    }
}
