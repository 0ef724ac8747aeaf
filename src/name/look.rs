//! Classifies the bytes of a text and finds its segments, in one pass.

use wide::u8x16;

use super::MAX_SEGMENTS;

/// The start offset of each segment, and after the last one the offset at which another segment would start.
// INVARIANT: the first begins at zero.
pub(super) type Starts = [u16; MAX_SEGMENTS + 1];

/// The properties of a text.
#[expect(clippy::struct_excessive_bools, reason = "the properties are independent")]
#[derive(Debug, Clone, Copy)]
pub(super) struct Look {
    /// The number of segments; `None` if there are more than a name may have (N2.4).
    pub(super) segments: Option<usize>,
    /// Whether all segments are non-empty.
    pub(super) full: bool,
    /// Whether each byte is a dot or is valid in a bare identifier of every dialect. Implies ASCII.
    pub(super) bare: bool,
    pub(super) upper: bool,
    pub(super) lower: bool,
    pub(super) star: bool,
}

const WIDTH: usize = 16;

/// Classifies `bytes`, sixteen at a time, and writes the offsets of segments to `starts`. Reports letters and stars
/// only if `LETTERS` is set.
#[inline]
pub(super) fn look<const LETTERS: bool>(bytes: &[u8], starts: &mut Starts) -> Look {
    look_at_short::<LETTERS>(bytes, starts).unwrap_or_else(|| look_at_rare::<LETTERS>(bytes, starts))
}

/// Classifies a text that fits in one stretch and has only bytes that are valid in a bare identifier; `None` for another
/// text. Recognizes the bytes `#`, `$` and `*` only if `LETTERS` is set. Nearly all names are such texts.
#[inline]
pub(super) fn look_at_short<const LETTERS: bool>(bytes: &[u8], starts: &mut Starts) -> Option<Look> {
    if bytes.len() >= STRETCH {
        return None;
    }
    let mut classes = ByteClasses::<LETTERS>::new();
    let mut segments = Segments::new();
    segments.push(classes.stretch(bytes) | 1 << bytes.len(), 0, starts);
    classes.is_bare().then(|| classes.look(&segments))
}

/// Classifies a text of any length that may have any valid byte.
#[inline(never)]
pub(super) fn look_at_rare<const LETTERS: bool>(bytes: &[u8], starts: &mut Starts) -> Look {
    let mut classes = ByteClasses::<true>::new();
    let mut segments = Segments::new();
    let mut start = 0;
    let mut rest = bytes;
    while let Some((stretch, after)) = rest.split_first_chunk::<STRETCH>() {
        segments.push(classes.stretch(stretch), start, starts);
        (rest, start) = (after, start + STRETCH);
    }
    // The end of the text ends a segment, as a dot does.
    segments.push(classes.stretch(rest) | 1 << rest.len(), start, starts);
    let look = classes.look(&segments);
    if LETTERS { look } else { Look { upper: false, lower: false, star: false, ..look } }
}

/// The number of bytes whose dots fit into one number, as bits.
const STRETCH: usize = 64;

/// The segments found so far.
struct Segments {
    count: Option<usize>,
    full: bool,
    /// The offset of the next segment.
    next: usize,
}

impl Segments {
    #[inline]
    fn new() -> Self {
        Self { count: Some(0), full: true, next: 0 }
    }

    /// Adds the segments that end in the stretch at offset `start`: `dots` has a bit for each end.
    #[inline]
    fn push(&mut self, dots: u64, start: usize, starts: &mut Starts) {
        let Some(mut count) = self.count else { return };
        // A segment is empty if it ends where it starts: at the start of the stretch, or directly after the previous
        // end.
        self.full &= dots & (dots << 1 | u64::from(self.next == start)) == 0;
        let mut rest = dots;
        while rest != 0 {
            count += 1;
            let Some(slot) = starts.get_mut(count) else {
                self.count = None;
                return;
            };
            #[expect(clippy::cast_possible_truncation, reason = "a name has at most 4,096 bytes")]
            let next = (start + rest.trailing_zeros() as usize + 1) as u16;
            *slot = next;
            rest &= rest - 1;
        }
        self.count = Some(count);
        if dots != 0 {
            self.next = start + STRETCH - dots.leading_zeros() as usize;
        }
    }
}

const NONE: u8x16 = u8x16::ZERO;
const ALL: u32 = 0xffff;

/// The classes of the bytes so far. Only `RARE` ones recognize all bytes that are valid in a bare identifier, and
/// letters and stars.
struct ByteClasses<const RARE: bool> {
    /// Set at each position in a chunk at which all bytes are dots or valid in a bare identifier.
    bare: u8x16,
    upper: u8x16,
    lower: u8x16,
    star: u8x16,
}

impl<const RARE: bool> ByteClasses<RARE> {
    #[inline]
    fn new() -> Self {
        Self { bare: !NONE, upper: NONE, lower: NONE, star: NONE }
    }

    #[inline]
    fn is_bare(&self) -> bool {
        self.bare.to_bitmask() == ALL
    }

    #[inline]
    fn look(&self, segments: &Segments) -> Look {
        Look {
            segments: segments.count,
            full: segments.full,
            bare: self.is_bare(),
            upper: RARE && self.upper.to_bitmask() != 0,
            lower: RARE && self.lower.to_bitmask() != 0,
            star: RARE && self.star.to_bitmask() != 0,
        }
    }

    /// Classifies at most 64 bytes and returns the positions of their dots, as bits.
    #[inline]
    fn stretch(&mut self, bytes: &[u8]) -> u64 {
        let (chunks, rest) = bytes.as_chunks::<WIDTH>();
        let (mut dots, mut done) = (0, 0);
        for chunk in chunks {
            dots |= u64::from(self.chunk(*chunk)) << done;
            done += 16;
        }
        if !rest.is_empty() {
            // Reads the last sixteen bytes, some of them for the second time; a shorter text is padded.
            let (chunk, before) = match bytes.last_chunk() {
                Some(last) => (*last, WIDTH - rest.len()),
                None => (padded(rest), 0),
            };
            dots |= u64::from(self.chunk(chunk) >> before) << done;
        }
        dots
    }

    /// Classifies a chunk and returns the positions of its dots, as bits.
    #[inline]
    fn chunk(&mut self, chunk: [u8; WIDTH]) -> u32 {
        let bytes = u8x16::from(chunk);
        let is = |byte: u8| bytes.simd_eq(u8x16::splat(byte));
        // Bytes below `first` wrap around to large values.
        let within =
            |bytes: u8x16, first: u8, last: u8| (bytes - u8x16::splat(first)).simd_le(u8x16::splat(last - first));
        // The case of an ASCII letter is one bit.
        let letter = within(bytes | u8x16::splat(0x20), b'a', b'z');
        // From `-` to `9`, only `/` is not valid.
        let mut bare = (letter | within(bytes, b'-', b'9') | is(b'_')) & !is(b'/');
        if RARE {
            let (lower, star) = (within(bytes, b'a', b'z'), is(b'*'));
            bare |= star | within(bytes, b'#', b'$');
            self.lower |= lower;
            self.upper |= letter ^ lower;
            self.star |= star;
        }
        self.bare &= bare;
        is(b'.').to_bitmask()
    }
}

/// Pads a text with digits, which change no property.
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
    fn bytes_are_classified_at_every_position() {
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
        fn segments_are_found_at_every_offset(text in "[a.]{0,80}|(a{0,90}[.]){0,20}a?") {
            let (found, ends) = look_at(text.as_bytes());
            let expected: Vec<usize> = text.match_indices('.').map(|(at, _)| at).chain([text.len()]).collect();
            if expected.len() <= MAX_SEGMENTS {
                prop_assert_eq!(ends, expected);
                prop_assert_eq!(found.full, text.split('.').all(|segment| !segment.is_empty()));
            } else {
                prop_assert_eq!(found.segments, None);
            }
        }
    }
}
