//! The entries of one block, whose numbers have `W` bytes and whose keys `K`: the inner loop of a decision.

use std::ops::Range;

use wide::{u16x8, u32x8};

use super::form::{low, places};
use super::{Block, Tag};
use crate::model::GrantKind;
use crate::snapshot::texts::TextId;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Entries<'s, const W: usize, const K: usize> {
    /// Of each run its tag, and the first entry behind it.
    runs: &'s [[u8; W]],
    /// From the runs on, to the end of all sets.
    bytes: &'s [u8],
    /// Where keys, texts and grants begin.
    keys: usize,
    texts: usize,
    grants: usize,
    /// Bytes of a text's number.
    text: usize,
}

/// Grants of one kind, and for patterns of one shape.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Run {
    /// The tag, as it is stored.
    tag: u32,
    start: usize,
    end: usize,
}

impl Run {
    #[inline]
    pub(crate) fn tag(self) -> Tag {
        Tag::from_word(self.tag)
    }

    /// The place of the shape, where the grants are patterns.
    #[inline]
    pub(crate) fn shape(self) -> Option<usize> {
        self.tag.checked_sub(Tag::Pattern(0).word()).map(|shape| shape as usize)
    }

    /// How many entries it has; none if a forged file has it end before it begins.
    #[inline]
    fn length(self) -> usize {
        self.end.saturating_sub(self.start)
    }
}

impl<'s, const W: usize, const K: usize> Entries<'s, W, K> {
    #[inline]
    pub(super) fn read(block: Block<'s>) -> Option<Self> {
        let (bytes, text) = (block.bytes, block.form.text());
        let keys = 2 * W * block.runs;
        let texts = keys + K * block.entries;
        let grants = texts + text * block.entries;
        Some(Self { runs: bytes.get(..keys)?.as_chunks().0, bytes, keys, texts, grants, text })
    }

    /// The runs, in the order of their tags.
    #[inline]
    pub(crate) fn runs(&self) -> impl Iterator<Item = Run> {
        let mut start = 0;
        self.runs.as_chunks::<2>().0.iter().map(move |[tag, end]| {
            let run = Run { tag: low(*tag), start, end: low(*end) as usize };
            start = run.end;
            run
        })
    }

    /// The run of this tag.
    #[inline]
    pub(crate) fn run(&self, tag: Tag) -> Option<Run> {
        self.runs().take_while(|run| run.tag() <= tag).find(|run| run.tag() == tag)
    }

    /// The places of the entries of `run` with this key, or with its first half where keys are stored by halves.
    #[expect(clippy::inline_always, reason = "the inner loop of a decision: all that it does not need is a call apart")]
    #[inline(always)]
    pub(crate) fn find(&self, run: Run, key: u32, scan_up_to: usize) -> Range<usize> {
        let length = run.length();
        if K == 2
            && length <= scan_up_to.min(LANES)
            && let Some(same) = self.same_of_few(run, key)
        {
            return side_by_side(run.start, same);
        }
        self.places(run, key, scan_up_to)
    }

    #[inline(never)]
    fn places(&self, run: Run, key: u32, scan_up_to: usize) -> Range<usize> {
        if run.length() > scan_up_to.max(LANES)
            && let Some(places) = self.places_of_many(run, key)
        {
            return places;
        }
        let keys = self.bytes.get(self.keys + run.start * K..self.keys + run.end * K).unwrap_or_default();
        let found = places::<K>(keys.as_chunks().0, key, scan_up_to);
        run.start + found.start..run.start + found.end
    }

    /// Which keys of a run of at most eight halves are this one, as bits; all are compared at once.
    #[inline]
    fn same_of_few(&self, run: Run, key: u32) -> Option<u32> {
        let keys = self.bytes.get(self.keys + run.start * K..)?;
        Some(same_of_eight::<K>(keys, stored::<K>(key))? & !(u32::MAX << run.length()))
    }

    /// The places of a key in a run of at least eight, where they are close to where evenly spread keys would stand: in a
    /// long run each that is looked at tells how far away it is, then sixteen are compared at once.
    #[inline]
    fn places_of_many(&self, run: Run, key: u32) -> Option<Range<usize>> {
        let keys = self.bytes.get(self.keys + run.start * K..self.keys + run.end * K)?;
        let (key, count) = (stored::<K>(key), run.length());
        let at = |place: usize| Some(low(*keys.get(place * K..)?.first_chunk::<K>()?));
        // Keys, and how many there are, are below 2^32: their product fits.
        let greatest = i64::try_from(count).ok()? - 1;
        let entries = |distance: i64| (distance * (greatest + 1)) >> (8 * K);
        let mut place = entries(i64::from(key));
        for far in FAR {
            if count > far {
                let found = at(usize::try_from(place).ok()?)?;
                place = (place + entries(i64::from(key) - i64::from(found))).clamp(0, greatest);
            }
        }
        let width = count.min(2 * LANES);
        let last = count - width;
        let start = usize::try_from(place).ok()?.saturating_sub(LANES).min(last);
        // Of fewer than sixteen some are compared twice.
        let second = start + width - LANES;
        let same = same_of_eight::<K>(keys.get(start * K..)?, key)?
            | same_of_eight::<K>(keys.get(second * K..)?, key)? << (width - LANES);
        // Neither before them nor behind them are more, if there is another key at both ends.
        if (start > 0 && at(start)? >= key) || (start < last && at(start + width - 1)? <= key) {
            return None;
        }
        Some(side_by_side(run.start + start, same))
    }

    /// The text and grant of every entry, by kind.
    pub(super) fn each(&self, visit: &mut impl FnMut(GrantKind, Option<TextId>, u32)) {
        for run in self.runs() {
            let entries = (run.start..run.end).map_while(|at| self.entry(at));
            entries.for_each(|(text, grant)| visit(run.tag().kind(), Some(text), grant));
        }
    }

    /// The text and grant of the entry at this place.
    #[inline]
    pub(crate) fn entry(&self, at: usize) -> Option<(TextId, u32)> {
        let grant = self.bytes.get(self.grants + at * W..)?.first_chunk::<W>()?;
        // Grants stand behind the texts, so there are always four bytes.
        let text = self.bytes.get(self.texts + at * self.text..)?.first_chunk()?;
        let text = u32::from_le_bytes(*text);
        Some((if self.text == 3 { text & 0x00ff_ffff } else { text }, low(*grant)))
    }
}

/// Keys that are compared at once.
const LANES: usize = 8;

/// In a run that is longer, another key is looked at before sixteen are compared.
const FAR: [usize; 2] = [64, 1024];

/// The places of the keys that are the same, counted from `start`: they stand side by side.
#[inline]
fn side_by_side(start: usize, same: u32) -> Range<usize> {
    let first = same.trailing_zeros();
    let start = start + first as usize;
    start..start + same.checked_shr(first).unwrap_or(0).trailing_ones() as usize
}

/// What is stored of a key, as a number.
#[inline]
fn stored<const K: usize>(key: u32) -> u32 {
    if K == 2 { key >> 16 } else { key }
}

/// Which of the first eight keys are this one, as bits.
#[inline]
fn same_of_eight<const K: usize>(keys: &[u8], key: u32) -> Option<u32> {
    // Compared as bytes, so their order does not matter.
    let [first, second, ..] = key.to_le_bytes();
    Some(if K == 2 {
        let keys: [u8; 2 * LANES] = *keys.first_chunk()?;
        bytemuck::cast::<_, u16x8>(keys).simd_eq(u16x8::splat(u16::from_ne_bytes([first, second]))).to_bitmask()
    } else {
        let keys: [u8; 4 * LANES] = *keys.first_chunk()?;
        bytemuck::cast::<_, u32x8>(keys).simd_eq(u32x8::splat(u32::from_ne_bytes(key.to_le_bytes()))).to_bitmask()
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Places of `key` among `keys`, which are stored with others before and behind them.
    fn found<const K: usize>(keys: &[u32], key: u32, scan_up_to: usize) -> Range<usize> {
        let all = [[0; 3].as_slice(), keys, &[u32::MAX; 3]].concat();
        let mut bytes: Vec<u8> = all.iter().flat_map(|key| key.to_le_bytes()[4 - K..].to_vec()).collect();
        bytes.extend([0; 16]);
        let entries = Entries::<1, K> { runs: &[], bytes: &bytes, keys: 0, texts: 0, grants: 0, text: 3 };
        entries.find(Run { tag: 0, start: 3, end: 3 + keys.len() }, key, scan_up_to)
    }

    fn expected<const K: usize>(keys: &[u32], key: u32) -> Range<usize> {
        let stored = |key: u32| key >> (32 - 8 * K);
        let is = |found: &u32| stored(*found) == stored(key);
        let start = keys.iter().position(is).unwrap_or(0) + 3;
        start..start + keys.iter().filter(|found| is(found)).count()
    }

    proptest! {
        #[test]
        fn keys_are_found_in_runs_of_any_length(
            length in prop_oneof![0..40_usize, 40..300_usize, 1000..3000_usize],
            seed: u64,
            // Of evenly spread keys, of such as crowd, and of such as are the same.
            mask in prop::sample::select(vec![u32::MAX, 0x000f_ffff, 0xff00_0000, 0xffff_0000, 0xf000_0003]),
        ) {
            let mut hasher = crate::pattern::KeyHasher::seeded(seed);
            let mut random = || {
                hasher.write(b"another");
                hasher.key()
            };
            let mut keys: Vec<u32> = (0..length).map(|_| random() & mask).collect();
            keys.sort_unstable();
            let some = (0..8).map(|at| keys.get(at * length / 8).copied().unwrap_or(0));
            for key in some.chain([0, u32::MAX]).flat_map(|key| [key.wrapping_sub(1), key, key.wrapping_add(1)]) {
                for scan_up_to in [0, 8, usize::MAX] {
                    for (found, expected) in [
                        (found::<2>(&keys, key, scan_up_to), expected::<2>(&keys, key)),
                        (found::<4>(&keys, key, scan_up_to), expected::<4>(&keys, key)),
                    ] {
                        prop_assert!(found == expected || (found.is_empty() && expected.is_empty()), "{key:x}: {found:?}");
                    }
                }
            }
        }
    }
}
