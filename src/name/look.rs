//! One look at a text: what stands in it, and where its segments end.

use wide::u8x16;

use super::dots::Dots;

/// What a text holds.
#[expect(clippy::struct_excessive_bools, reason = "each is a finding of its own")]
#[derive(Debug, Clone, Copy)]
pub(super) struct Look {
    /// Its dots, unless there are more than a name may have (N2.4).
    pub(super) dots: Option<Dots>,
    /// Whether each byte is a dot or may stand in a bare identifier of every dialect; ASCII then.
    pub(super) bare: bool,
    pub(super) upper: bool,
    pub(super) lower: bool,
    pub(super) star: bool,
}

const WIDTH: usize = 16;

/// Looks at `bytes`, sixteen at a time.
#[inline]
pub(super) fn look(bytes: &[u8]) -> Look {
    let (chunks, rest) = bytes.as_chunks::<WIDTH>();
    let (mut dots, mut few_dots) = (Dots::default(), true);
    let mut seen = Seen { bare: u8x16::splat(u8::MAX), upper: NONE, lower: NONE, star: NONE };
    let mut start = 0;
    for chunk in chunks {
        let found = seen.chunk(*chunk);
        few_dots &= dots.push(found, start);
        start += 16;
    }
    if !rest.is_empty() {
        // The last sixteen bytes, of which some were seen before; of a shorter text all, padded.
        let (chunk, before) = match bytes.last_chunk() {
            Some(last) => (*last, WIDTH - rest.len()),
            None => (padded(rest), 0),
        };
        few_dots &= dots.push(seen.chunk(chunk) >> before, start);
    }
    Look {
        dots: few_dots.then_some(dots),
        bare: seen.bare.to_bitmask() == 0xffff,
        upper: seen.upper.to_bitmask() != 0,
        lower: seen.lower.to_bitmask() != 0,
        star: seen.star.to_bitmask() != 0,
    }
}

const NONE: u8x16 = u8x16::ZERO;

struct Seen {
    bare: u8x16,
    upper: u8x16,
    lower: u8x16,
    star: u8x16,
}

impl Seen {
    /// Takes in a chunk; the places of its dots, as bits.
    #[inline]
    fn chunk(&mut self, chunk: [u8; WIDTH]) -> u32 {
        let bytes = u8x16::from(chunk);
        let is = |byte: u8| bytes.simd_eq(u8x16::splat(byte));
        // Bytes below the first wrap around.
        let within = |first: u8, last: u8| (bytes - u8x16::splat(first)).simd_le(u8x16::splat(last - first));
        let (upper, lower, star) = (within(b'A', b'Z'), within(b'a', b'z'), is(b'*'));
        let others = within(b'0', b'9') | within(b'#', b'$') | within(b'-', b'.') | is(b'_') | star;
        self.bare &= upper | lower | others;
        self.upper |= upper;
        self.lower |= lower;
        self.star |= star;
        is(b'.').to_bitmask()
    }
}

/// Padded with digits, which stand for nothing.
fn padded(rest: &[u8]) -> [u8; WIDTH] {
    let mut chunk = [b'0'; WIDTH];
    for (to, from) in chunk.iter_mut().zip(rest) {
        *to = *from;
    }
    chunk
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_byte_is_known_wherever_it_stands() {
        for length in [1, 2, 15, 16, 17, 31, 32, 33, 50] {
            for byte in 0..=u8::MAX {
                for at in [0, length / 2, length - 1] {
                    let mut text = vec![b'7'; length];
                    text[at] = byte;
                    let found = look(&text);
                    let bare = byte.is_ascii_alphanumeric() || b".*_-$#".contains(&byte);
                    assert_eq!(found.bare, bare, "{byte} at {at} of {length}");
                    let cases = (byte.is_ascii_uppercase(), byte.is_ascii_lowercase(), byte == b'*');
                    assert_eq!((found.upper, found.lower, found.star), cases, "{byte} at {at} of {length}");
                    assert_eq!(found.dots.unwrap().segments(), 1 + usize::from(byte == b'.'));
                }
            }
        }
    }

    proptest! {
        #[test]
        fn dots_are_found_wherever_they_stand(text in "[a.]{0,80}") {
            let places: Vec<usize> = text.match_indices('.').map(|(at, _)| at).collect();
            match look(text.as_bytes()).dots {
                Some(dots) => prop_assert_eq!((0..20).map_while(|number| dots.get(number)).collect::<Vec<_>>(), places),
                None => prop_assert!(places.len() >= crate::name::MAX_SEGMENTS),
            }
        }
    }
}
