//! The entries of one block, whose numbers have `W` bytes and whose keys `K`: the inner loop of a decision.

use std::ops::Range;

use wide::u16x8;

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
    pub(crate) tag: Tag,
    start: usize,
    end: usize,
}

impl Run {
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
            let run = Run { tag: Tag::from_word(low(*tag)), start, end: low(*end) as usize };
            start = run.end;
            run
        })
    }

    /// The run of this tag.
    #[inline]
    pub(crate) fn run(&self, tag: Tag) -> Option<Run> {
        self.runs().take_while(|run| run.tag <= tag).find(|run| run.tag == tag)
    }

    /// The places of the entries of `run` with this key, or with its first half where keys are stored by halves.
    #[inline]
    pub(crate) fn find(&self, run: Run, key: u32, scan_up_to: usize) -> Range<usize> {
        let few = K == 2 && run.length() <= scan_up_to.min(LANES);
        let places = if few { self.places_of_few(run, key) } else { None };
        places.unwrap_or_else(|| self.places(run, key, scan_up_to))
    }

    #[inline(never)]
    fn places(&self, run: Run, key: u32, scan_up_to: usize) -> Range<usize> {
        let keys = self.bytes.get(self.keys + run.start * K..self.keys + run.end * K).unwrap_or_default();
        let found = places::<K>(keys.as_chunks().0, key, scan_up_to);
        run.start + found.start..run.start + found.end
    }

    /// The places of a key in a run of at most eight halves, all compared at once.
    #[inline]
    fn places_of_few(&self, run: Run, key: u32) -> Option<Range<usize>> {
        let keys = self.bytes.get(self.keys + run.start * K..)?.first_chunk::<16>()?;
        // Compared as bytes, so their order does not matter.
        let [_, _, third, fourth] = key.to_le_bytes();
        let key = u16x8::splat(u16::from_ne_bytes([third, fourth]));
        let same = bytemuck::cast::<[u8; 16], u16x8>(*keys).simd_eq(key).to_bitmask();
        let same = same & !(u32::MAX << run.length());
        if same == 0 {
            return Some(0..0);
        }
        // Equal keys stand side by side.
        let first = same.trailing_zeros();
        let start = run.start + first as usize;
        Some(start..start + (same >> first).trailing_ones() as usize)
    }

    /// The text and grant of every entry, by kind.
    pub(super) fn each(&self, visit: &mut impl FnMut(GrantKind, Option<TextId>, u32)) {
        for run in self.runs() {
            let entries = (run.start..run.end).map_while(|at| self.entry(at));
            entries.for_each(|(text, grant)| visit(run.tag.kind(), Some(text), grant));
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
