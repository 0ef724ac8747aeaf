//! One look at a text: what stands in it, and where its segments begin.

use wide::u8x16;

use super::scan::Starts;

/// What a text holds.
#[expect(clippy::struct_excessive_bools, reason = "each is a finding of its own")]
#[derive(Debug, Clone, Copy)]
pub(super) struct Look {
    /// How many segments it has, unless there are more than a name may have (N2.4).
    pub(super) segments: Option<usize>,
    /// Whether no segment is empty.
    pub(super) full: bool,
    /// Whether each byte is a dot or may stand in a bare identifier of every dialect; ASCII then.
    pub(super) bare: bool,
    pub(super) upper: bool,
    pub(super) lower: bool,
    pub(super) star: bool,
}

const WIDTH: usize = 16;

/// Looks at `bytes`, sixteen at a time, and notes where segments begin. What letters and stars there are is told only if
/// `LETTERS`.
#[inline]
pub(super) fn look<const LETTERS: bool>(bytes: &[u8], starts: &mut Starts) -> Look {
    let mut seen = ByteClasses { bare: ALL, upper: NONE, lower: NONE, star: NONE };
    let mut found = Segments { segments: Some(0), full: true, next: 0 };
    let mut start = 0;
    let mut rest = bytes;
    // Few names are so long.
    while let Some((stretch, behind)) = rest.split_first_chunk::<STRETCH>() {
        found.push(seen.stretch::<LETTERS>(stretch), start, starts);
        (rest, start) = (behind, start + STRETCH);
    }
    // The end is as good as a dot.
    found.push(seen.stretch::<LETTERS>(rest) | 1 << rest.len(), start, starts);
    Look {
        segments: found.segments,
        full: found.full,
        bare: seen.bare == ALL,
        upper: LETTERS && seen.upper.to_bitmask() != 0,
        lower: LETTERS && seen.lower.to_bitmask() != 0,
        star: LETTERS && seen.star.to_bitmask() != 0,
    }
}

/// Bytes whose dots are the bits of one number.
const STRETCH: usize = 64;

/// What is known of the segments so far.
struct Segments {
    segments: Option<usize>,
    full: bool,
    /// Where the next segment begins.
    next: usize,
}

impl Segments {
    /// Takes in the places behind `start` where segments end.
    #[inline]
    fn push(&mut self, found: u64, start: usize, starts: &mut Starts) {
        let Some(mut count) = self.segments else { return };
        // One that ends where it begins: at the start, or right behind the one before.
        self.full &= found & (found << 1 | u64::from(self.next == start)) == 0;
        let mut rest = found;
        while rest != 0 {
            count += 1;
            let Some(place) = starts.get_mut(count) else {
                self.segments = None;
                return;
            };
            #[expect(clippy::cast_possible_truncation, reason = "a name has at most 4,096 bytes")]
            let behind = (start + rest.trailing_zeros() as usize + 1) as u16;
            *place = behind;
            rest &= rest - 1;
        }
        self.segments = Some(count);
        if found != 0 {
            self.next = start + STRETCH - found.leading_zeros() as usize;
        }
    }
}

const NONE: u8x16 = u8x16::ZERO;
const ALL: u32 = 0xffff;

struct ByteClasses {
    /// As bits, one for each byte of a chunk.
    bare: u32,
    upper: u8x16,
    lower: u8x16,
    star: u8x16,
}

impl ByteClasses {
    /// Takes in at most 64 bytes; the places of their dots, as bits.
    #[inline]
    fn stretch<const LETTERS: bool>(&mut self, bytes: &[u8]) -> u64 {
        let (chunks, rest) = bytes.as_chunks::<WIDTH>();
        let (mut found, mut known) = (0, 0);
        for chunk in chunks {
            found |= u64::from(self.chunk::<LETTERS>(*chunk)) << known;
            known += 16;
        }
        if !rest.is_empty() {
            // The last sixteen bytes, of which some were seen before; of a shorter text all, padded.
            let (chunk, before) = match bytes.last_chunk() {
                Some(last) => (*last, WIDTH - rest.len()),
                None => (padded(rest), 0),
            };
            found |= u64::from(self.chunk::<LETTERS>(chunk) >> before) << known;
        }
        found
    }

    /// Takes in a chunk; the places of its dots, as bits.
    #[inline]
    fn chunk<const LETTERS: bool>(&mut self, chunk: [u8; WIDTH]) -> u32 {
        let bytes = u8x16::from(chunk);
        let is = |byte: u8| bytes.simd_eq(u8x16::splat(byte));
        // Bytes below the first wrap around.
        let within =
            |bytes: u8x16, first: u8, last: u8| (bytes - u8x16::splat(first)).simd_le(u8x16::splat(last - first));
        // Of ASCII letters the case is one bit.
        let letter = within(bytes | u8x16::splat(0x20), b'a', b'z');
        let (dot, star) = (is(b'.'), is(b'*'));
        let others = within(bytes, b'0', b'9') | within(bytes, b'#', b'$') | is(b'_') | is(b'-');
        self.bare &= (letter | others | dot | star).to_bitmask();
        if LETTERS {
            let lower = within(bytes, b'a', b'z');
            self.lower |= lower;
            self.upper |= letter ^ lower;
            self.star |= star;
        }
        dot.to_bitmask()
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

    fn look_at(text: &[u8]) -> (Look, Vec<usize>) {
        let mut starts = Starts::default();
        let found = look::<true>(text, &mut starts);
        let fewer = look::<false>(text, &mut Starts::default());
        assert_eq!((fewer.segments, fewer.full, fewer.bare), (found.segments, found.full, found.bare));
        (found, starts[1..][..found.segments.unwrap_or(0)].iter().map(|&start| usize::from(start) - 1).collect())
    }

    #[test]
    fn each_byte_is_known_wherever_it_stands() {
        for length in [1, 2, 15, 16, 17, 31, 32, 33, 50, 63, 64, 65, 128] {
            for byte in 0..=u8::MAX {
                for at in [0, length / 2, length - 1] {
                    let mut text = vec![b'7'; length];
                    text[at] = byte;
                    let (found, ends) = look_at(&text);
                    let bare = byte.is_ascii_alphanumeric() || b".*_-$#".contains(&byte);
                    assert_eq!(found.bare, bare, "{byte} at {at} of {length}");
                    let cases = (byte.is_ascii_uppercase(), byte.is_ascii_lowercase(), byte == b'*');
                    assert_eq!((found.upper, found.lower, found.star), cases, "{byte} at {at} of {length}");
                    assert_eq!(ends, if byte == b'.' { vec![at, length] } else { vec![length] });
                }
            }
        }
    }

    proptest! {
        #[test]
        fn segments_are_found_wherever_they_end(text in "[a.]{0,80}|(a{0,90}[.]){0,20}a?") {
            let (found, ends) = look_at(text.as_bytes());
            let expected: Vec<usize> = text.match_indices('.').map(|(at, _)| at).chain([text.len()]).collect();
            if expected.len() <= crate::name::MAX_SEGMENTS {
                prop_assert_eq!(ends, expected);
                prop_assert_eq!(found.full, text.split('.').all(|segment| !segment.is_empty()));
            } else {
                prop_assert_eq!(found.segments, None);
            }
        }
    }
}
