//! The entries of one block, the inner loop of a decision. Numbers have `W` bytes and keys have `K` bytes.

use std::ops::Range;

use wide::{u16x8, u32x8};

use super::form::{find_key, low};
use super::{Block, Tag};
use crate::model::GrantKind;
use crate::snapshot::texts::TextId;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Entries<'s, const W: usize, const K: usize> {
    /// For each run, its tag and the index after its last entry.
    runs: &'s [[u8; W]],
    /// The bytes from the runs to the end of all sets.
    bytes: &'s [u8],
    /// The offset of the keys; the next fields are the offsets of texts and grants.
    keys: usize,
    texts: usize,
    grants: usize,
    /// The number of bytes of a text's offset.
    text: usize,
}

/// A run: grants of one kind; patterns of one shape.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Run {
    /// The stored tag.
    tag: u32,
    start: usize,
    end: usize,
}

impl Run {
    #[inline]
    pub(crate) fn tag(self) -> Tag {
        Tag::from_word(self.tag)
    }

    /// Returns the index of the shape if the grants are patterns.
    #[inline]
    pub(crate) fn shape(self) -> Option<usize> {
        self.tag.checked_sub(Tag::Pattern(0).word()).map(|shape| shape as usize)
    }

    /// Returns the number of entries; zero if the end precedes the start in a forged file.
    #[inline]
    fn length(self) -> usize {
        self.end.saturating_sub(self.start)
    }
}

impl<'s, const W: usize, const K: usize> Entries<'s, W, K> {
    #[inline]
    pub(super) fn of(block: Block<'s>) -> Self {
        let (text, keys) = (block.form.text(), block.runs.len());
        let texts = keys + K * block.entries;
        let grants = texts + text * block.entries;
        Self { runs: block.runs.as_chunks().0, bytes: block.bytes, keys, texts, grants, text }
    }

    /// Returns the runs, in the order of their tags.
    #[inline]
    pub(crate) fn runs(&self) -> impl Iterator<Item = Run> {
        let mut start = 0;
        self.runs.as_chunks::<2>().0.iter().map(move |[tag, end]| {
            let run = Run { tag: low(*tag), start, end: low(*end) as usize };
            start = run.end;
            run
        })
    }

    /// Returns the run with this tag.
    #[inline]
    pub(crate) fn run(&self, tag: Tag) -> Option<Run> {
        self.runs().take_while(|run| run.tag() <= tag).find(|run| run.tag() == tag)
    }

    /// Returns the indexes of the entries of `run` with this key, or with its first half if only halves of keys are
    /// stored.
    #[expect(
        clippy::inline_always,
        reason = "the inner loop of a decision: the rarely used code is a separate function"
    )]
    #[inline(always)]
    pub(crate) fn find(&self, run: Run, key: u32, scan_up_to: usize) -> Range<usize> {
        // A run of a forged file that ends before its start is searched, and has no keys.
        let length = run.end.wrapping_sub(run.start);
        if K == 2
            && length <= scan_up_to.min(LANES)
            && let Some(same) = self.same_of_few(run, key)
        {
            return adjacent(run.start, same);
        }
        self.search(run, key, scan_up_to)
    }

    #[inline(never)]
    fn search(&self, run: Run, key: u32, scan_up_to: usize) -> Range<usize> {
        if run.length() > scan_up_to.max(LANES)
            && let Some(indexes) = self.search_long_run(run, key)
        {
            return indexes;
        }
        let keys = self.bytes.get(self.keys + run.start * K..self.keys + run.end * K).unwrap_or_default();
        let found = find_key::<K>(keys.as_chunks().0, key, scan_up_to);
        run.start + found.start..run.start + found.end
    }

    /// Compares `key` with all keys of a run of at most eight halves at once. Returns a bit for each equal key.
    #[inline]
    fn same_of_few(&self, run: Run, key: u32) -> Option<u32> {
        let keys = self.bytes.get(self.keys + run.start * K..)?;
        Some(same_of_eight::<K>(keys, stored::<K>(key))? & !(u32::MAX << (run.end - run.start)))
    }

    /// Finds the indexes of a key in a run of at least eight keys.
    ///
    /// Keys are evenly distributed, so `key` predicts its index. In a long run, one or two keys correct the prediction.
    /// Then sixteen keys are compared at once. Returns `None` if equal keys may be outside these sixteen.
    #[inline]
    fn search_long_run(&self, run: Run, key: u32) -> Option<Range<usize>> {
        let keys = self.bytes.get(self.keys + run.start * K..self.keys + run.end * K)?;
        let (key, count) = (stored::<K>(key), run.length());
        let at = |index: usize| Some(low(*keys.get(index * K..)?.first_chunk::<K>()?));
        // Keys and their count are below 2^32, so the product fits.
        let greatest = i64::try_from(count).ok()? - 1;
        let entries = |distance: i64| (distance * (greatest + 1)) >> (8 * K);
        let mut predicted = entries(i64::from(key));
        for far in FAR {
            if count > far {
                let found = at(usize::try_from(predicted).ok()?)?;
                predicted = (predicted + entries(i64::from(key) - i64::from(found))).clamp(0, greatest);
            }
        }
        let width = count.min(2 * LANES);
        let last = count - width;
        let start = usize::try_from(predicted).ok()?.saturating_sub(LANES).min(last);
        // If there are fewer than sixteen keys, some are compared twice.
        let second = start + width - LANES;
        let same = same_of_eight::<K>(keys.get(start * K..)?, key)?
            | same_of_eight::<K>(keys.get(second * K..)?, key)? << (width - LANES);
        // A different key at both ends ensures that there are no equal keys before or after the sixteen.
        if (start > 0 && at(start)? >= key) || (start < last && at(start + width - 1)? <= key) {
            return None;
        }
        Some(adjacent(run.start + start, same))
    }

    /// Calls `visit` with the kind, text and grant of every entry.
    pub(super) fn each(&self, visit: &mut impl FnMut(GrantKind, Option<TextId>, u32)) {
        for run in self.runs() {
            let entries = (run.start..run.end).map_while(|at| self.entry(at));
            entries.for_each(|(text, grant)| visit(run.tag().kind(), Some(text), grant));
        }
    }

    /// Returns the text and grant of the entry at this index.
    #[inline]
    pub(crate) fn entry(&self, index: usize) -> Option<(TextId, u32)> {
        let grant = self.bytes.get(self.grants + index * W..)?.first_chunk::<W>()?;
        // Grants follow the texts, so there are always four bytes.
        let text = self.bytes.get(self.texts + index * self.text..)?.first_chunk()?;
        let text = u32::from_le_bytes(*text);
        Some((if self.text == 3 { text & 0x00ff_ffff } else { text }, low(*grant)))
    }
}

/// The number of keys that are compared at once.
const LANES: usize = 8;

/// The run lengths above which a further key corrects the prediction.
const FAR: [usize; 2] = [64, 1024];

/// Returns the indexes of equal keys, counted from `start`. Equal keys are adjacent.
#[inline]
fn adjacent(start: usize, same: u32) -> Range<usize> {
    if same == 0 {
        return start..start;
    }
    let first = same.trailing_zeros();
    let start = start + first as usize;
    start..start + (same >> first).trailing_ones() as usize
}

/// Returns the stored part of a key, as a number.
#[inline]
fn stored<const K: usize>(key: u32) -> u32 {
    if K == 2 { key >> 16 } else { key }
}

/// Returns a bit for each of the first eight keys that equals `key`.
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

    /// Finds `key` among `keys`, which are stored with other keys before and after them.
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
            length in prop_oneof![8 => 0..40_usize, 4 => 40..300_usize, 1 => 1000..3000_usize],
            seed: u64,
            // Masks for evenly distributed keys, clustered keys, and equal keys.
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
