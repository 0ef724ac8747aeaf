//! Finds the literals of a list that occur in a text, in one pass.
//!
//! This is the automaton of Aho and Corasick ("Efficient string matching: an aid to bibliographic search", 1975),
//! stored as flat little-endian bytes without pointers. It is searched in place, in memory or in a file.
//!
//! A *state* is a prefix of some literal. The state after a byte is the longest prefix that the text read so far ends
//! with. States are numbered by length, then by text. The children of a state are one byte longer and therefore have
//! consecutive numbers, so only the byte that leads to each child is stored.
//!
//! | part | bytes |
//! | --- | --- |
//! | head: the number of states, literals, leading literals, states with a row, and bits of a class | 5 × 4 |
//! | for each byte: its class; bytes that occur in no literal share one class | 256 |
//! | for each literal: the longest other literal that it ends with | 4 |
//! | for each state: first child, fallback, longest literal that it ends with, number of children, byte of the first
//! child, whether it ends with a literal and with a leading literal | 16 |
//! | for each of the shortest states, a row: for each class, the state after such a byte, with fallbacks followed, and
//! whether it ends with a literal and with a leading literal | 4 × classes |
//! | for each state: the byte that leads to it | 1 |

use std::ops::{ControlFlow, Range};

/// The initial state of a search. It always has a row.
const ROOT: u32 = 0;
/// The value for a missing literal. An index never has this many literals.
const NONE: u32 = u32::MAX;
/// Flags in the position of a state: whether the state ends with a literal, and with a leading literal. Positions never
/// use these bits.
const FINDS: u32 = 1 << 31;
const LEADS: u32 = 1 << 30;
const POSITION: u32 = LEADS - 1;
const HEAD: usize = 5;
/// The size limit of all rows: bytes per state, or the minimum that saves fallbacks in a small index.
const ROW_BYTES_A_STATE: usize = 6;
const ROW_BYTES: usize = 4 << 10;
/// The minimum length of a text that is read in four pieces at once.
const PIECES_FROM: usize = 16 * LONGEST;
/// The number of bytes of each piece that are read before the found literals are processed.
const STEPS: usize = 128;

/// The maximum length of a literal, in bytes.
pub(crate) const LONGEST: usize = 8;

/// An index of literals that borrows its bytes.
///
/// Only the head and the length are verified, because reading the whole index would cost more than a search. For bytes
/// that [`build`] did not write, a search may find anything. It still ends after a bounded number of steps for each
/// byte of the text, and reports only ordinals within the count of the head.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Literals<'b> {
    class_of: &'b [u8; 256],
    shorter: &'b [[u8; 4]],
    states: &'b [Record],
    rows: &'b [[u8; 4]],
    labels: &'b [u8],
    leading: u32,
    with_row: u32,
    /// The first position after all rows.
    rows_end: u32,
    class_bits: u32,
}

/// The literals to search for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Which {
    /// The first literals of the list; [`build`] received their number.
    Leading,
    All,
}

impl<'b> Literals<'b> {
    /// Reads an index; returns `None` if the head or the length is not valid.
    #[inline]
    pub(crate) fn read(bytes: &'b [u8]) -> Option<Self> {
        let (head, rest) = words(bytes, HEAD)?;
        let [states, literals, leading, with_row, class_bits] = head.first_chunk::<HEAD>()?.map(u32::from_le_bytes);
        if with_row == 0 || with_row > states || class_bits > 8 {
            return None;
        }
        let (class_of, rest) = rest.split_first_chunk()?;
        let (shorter, rest) = words(rest, literals as usize)?;
        let (records, rest) = words(rest, (states as usize).checked_mul(4)?)?;
        let (rows, labels) = words(rest, (with_row as usize).checked_mul(1 << class_bits)?)?;
        let rows_end = u32::try_from(rows.len()).ok()?;
        if labels.len() != states as usize || rows_end.checked_add(states)? > POSITION {
            return None;
        }
        let states = records.as_chunks().0;
        Some(Self { class_of, shorter, states, rows, labels, leading, with_row, rows_end, class_bits })
    }

    /// Returns the number of leading literals.
    pub(crate) fn leading(&self) -> u32 {
        self.leading
    }

    /// Calls `visit` with the ordinal of each literal in `text` and the number of the stretch of 2<sup>`stretch`</sup>
    /// bytes in which it ends.
    ///
    /// Of literals that end at the same offset, the longest comes first, and shorter ones follow only while `visit`
    /// returns `Continue`. There is no other order. Repeated ends of a literal in one stretch may be visited once or
    /// several times.
    ///
    /// Linear in the bytes of the text. Up to [`LONGEST`] literals can end at each byte. Does not allocate.
    #[inline]
    pub(crate) fn each_in(
        &self,
        which: Which,
        text: &[u8],
        stretch: u32,
        visit: impl FnMut(u32, usize) -> ControlFlow<()>,
    ) {
        match which {
            Which::Leading => self.each_of::<LEADS>(text, stretch, visit),
            Which::All => self.each_of::<FINDS>(text, stretch, visit),
        }
    }

    fn each_of<const WHICH: u32>(
        &self,
        text: &[u8],
        stretch: u32,
        mut visit: impl FnMut(u32, usize) -> ControlFlow<()>,
    ) {
        // Each step depends on the previous state, so four pieces of the text are read at once. The pieces overlap, so
        // that no literal is cut.
        let quarter = text.len() / 4;
        let length = quarter + LONGEST + 3;
        let starts = [0, quarter, 2 * quarter, text.len().saturating_sub(length)];
        let pieces = starts.map(|start| text.get(start..start + length));
        let ([Some(a), Some(b), Some(c), Some(d)], true) = (pieces, text.len() >= PIECES_FROM) else {
            let mut state = ROOT;
            for (at, &byte) in text.iter().enumerate() {
                state = self.after(state, byte);
                if state & WHICH != 0 {
                    self.found::<WHICH>(state, at >> stretch, &mut visit);
                }
            }
            return;
        };
        let pieces = a.chunks(STEPS).zip(b.chunks(STEPS)).zip(c.chunks(STEPS)).zip(d.chunks(STEPS));
        let mut recent = [Recent::default(); 4];
        let mut states = [ROOT; 4];
        let mut finds = [([ROOT; 4], 0); STEPS];
        for (part, (((a, b), c), d)) in pieces.enumerate() {
            let count = self.steps::<WHICH>([a, b, c, d], &mut states, &mut finds);
            for &(states, at) in finds.iter().take(count) {
                for ((state, start), recent) in states.into_iter().zip(starts).zip(&mut recent) {
                    let stretch = (start + part * STEPS + at) >> stretch;
                    if state & WHICH != 0 && recent.is_new(state, stretch) {
                        self.found::<WHICH>(state, stretch, &mut visit);
                    }
                }
            }
        }
    }

    /// Reads four pieces of at most [`STEPS`] bytes at once. Records the four states after each byte at which one of
    /// them ends with a requested literal, and returns the number of records.
    #[inline(never)]
    fn steps<const WHICH: u32>(
        &self,
        [a, b, c, d]: [&[u8]; 4],
        states: &mut [u32; 4],
        finds: &mut [([u32; 4], usize); STEPS],
    ) -> usize {
        let [mut of_a, mut of_b, mut of_c, mut of_d] = *states;
        let mut count = 0;
        for (at, (((&a, &b), &c), &d)) in a.iter().zip(b).zip(c).zip(d).enumerate() {
            of_a = self.after(of_a, a);
            of_b = self.after(of_b, b);
            of_c = self.after(of_c, c);
            of_d = self.after(of_d, d);
            if (of_a | of_b | of_c | of_d) & WHICH != 0 {
                if let Some(found) = finds.get_mut(count) {
                    *found = ([of_a, of_b, of_c, of_d], at);
                }
                count += 1;
            }
        }
        *states = [of_a, of_b, of_c, of_d];
        count
    }

    #[inline(never)]
    fn found<const WHICH: u32>(
        &self,
        position: u32,
        stretch: usize,
        visit: &mut impl FnMut(u32, usize) -> ControlFlow<()>,
    ) {
        let mut found = self.state(self.state_at(position & POSITION)).found;
        for _ in 0..LONGEST {
            let Some(&shorter) = self.shorter.get(found as usize) else { break };
            if (WHICH == FINDS || found < self.leading) && visit(found, stretch).is_break() {
                break;
            }
            found = u32::from_le_bytes(shorter);
        }
    }

    /// Returns the position of a state, with the flags for the literals that it ends with.
    ///
    /// The position of a state is the index of its row. States without a row have the positions after all rows.
    #[inline]
    fn position(&self, state: u32) -> u32 {
        let position = match state.checked_sub(self.with_row) {
            None => state << self.class_bits,
            Some(after_rows) => after_rows.wrapping_add(self.rows_end),
        };
        position & POSITION | u32::from(self.state(state).finds) << POSITION.trailing_ones()
    }

    /// Returns the state at a position.
    #[inline]
    fn state_at(&self, position: u32) -> u32 {
        match position.checked_sub(self.rows_end) {
            None => position >> self.class_bits,
            Some(after_rows) => after_rows.wrapping_add(self.with_row),
        }
    }

    /// Returns the position that follows `position` after `byte`.
    #[inline]
    fn after(&self, position: u32, byte: u8) -> u32 {
        let position = position & POSITION;
        self.in_row(position, byte).unwrap_or_else(|| self.after_long(position, byte))
    }

    /// Returns the next position from the row of a position; `None` if there is no row.
    #[inline]
    fn in_row(&self, position: u32, byte: u8) -> Option<u32> {
        let class = self.class_of.get(usize::from(byte)).copied().unwrap_or_default();
        // Positions of rows are multiples of the number of classes.
        let entry = self.rows.get(position as usize + usize::from(class));
        entry.map(|&position| u32::from_le_bytes(position))
    }

    #[cold]
    #[inline(never)]
    fn after_long(&self, position: u32, byte: u8) -> u32 {
        let mut state = self.state_at(position);
        // Each fallback is shorter than the state before it.
        for _ in 0..LONGEST {
            let from = self.state(state);
            if let Some(child) = self.child(from, byte) {
                return self.position(child);
            }
            state = from.fallback;
            if let Some(after) = self.in_row(self.position(state) & POSITION, byte) {
                return after;
            }
        }
        ROOT
    }

    #[inline]
    fn child(&self, of: State, byte: u8) -> Option<u32> {
        if of.label == byte && of.children > 0 {
            return Some(of.first);
        }
        if of.children < 2 {
            return None;
        }
        let labels = self.labels.get(of.first as usize..)?.get(..usize::from(of.children))?;
        let at = labels.binary_search(&byte).ok()?;
        of.first.checked_add(u32::try_from(at).ok()?)
    }

    #[inline]
    fn state(&self, at: u32) -> State {
        self.states.get(at as usize).map_or(State::default(), State::read)
    }
}

/// Recently found states with their stretches. Texts with repetitions find the same state many times.
#[derive(Default, Clone, Copy)]
struct Recent([u64; 16]);

impl Recent {
    #[inline]
    fn is_new(&mut self, state: u32, stretch: usize) -> bool {
        let found = u64::from(state) << 32 | (stretch as u64 + 1);
        let Some(last) = self.0.get_mut(state.wrapping_mul(0x9E37_79B1) as usize >> 28) else { return true };
        std::mem::replace(last, found) != found
    }
}

/// Splits `bytes` after the first `count` words.
fn words(bytes: &[u8], count: usize) -> Option<(&[[u8; 4]], &[u8])> {
    let (words, rest) = bytes.split_at_checked(count.checked_mul(4)?)?;
    Some((words.as_chunks().0, rest))
}

/// The stored form of a state.
type Record = [[u8; 4]; 4];

#[derive(Debug, Clone, Copy)]
struct State {
    /// The first child, if there is one. Further children have the next numbers.
    first: u32,
    /// The longest other state that this state ends with.
    fallback: u32,
    /// The longest literal that this state ends with, or [`NONE`].
    found: u32,
    children: u16,
    /// The byte that leads to the first child. Most states have only one child, so a search needs no other memory.
    label: u8,
    /// The flags [`FINDS`] and [`LEADS`], shifted to the lowest bits.
    finds: u8,
}

impl Default for State {
    fn default() -> Self {
        Self { first: ROOT, fallback: ROOT, found: NONE, children: 0, label: 0, finds: 0 }
    }
}

impl State {
    #[inline]
    fn read(&[first, fallback, found, [low, high, label, finds]]: &Record) -> Self {
        Self {
            first: u32::from_le_bytes(first),
            fallback: u32::from_le_bytes(fallback),
            found: u32::from_le_bytes(found),
            children: u16::from_le_bytes([low, high]),
            label,
            finds: finds & 3,
        }
    }

    fn children(self) -> Range<u32> {
        self.first..self.first.saturating_add(u32::from(self.children))
    }

    fn write(self) -> Record {
        let [low, high] = self.children.to_le_bytes();
        let [first, fallback, found] = [self.first, self.fallback, self.found].map(u32::to_le_bytes);
        [first, fallback, found, [low, high, self.label, self.finds]]
    }
}

/// Builds the index of `literals`.
///
/// The literals must be distinct, non-empty and no longer than [`LONGEST`]. The ordinal of a literal is its index in
/// the list. The first `leading` literals can be searched for alone.
///
/// Equal lists give equal bytes. The cost is linear in the bytes of the literals, except for sorting them. The index
/// takes 4 bytes for each literal, 23 bytes for each state, and up to 4.3 KiB besides. There is at most one state more
/// than the literals have bytes.
///
/// Returns `None` if the index would exceed 4 GiB. An empty or longer literal may never be found, and of equal literals
/// only the first is.
pub(crate) fn build(literals: &[&[u8]], leading: u32) -> Option<Vec<u8>> {
    build_within(u32::MAX as usize, literals, leading)
}

fn build_within(max_bytes: usize, literals: &[&[u8]], leading: u32) -> Option<Vec<u8>> {
    let mut sorted: Vec<(&[u8], u32)> = literals.iter().copied().zip(ROOT..NONE).collect();
    if sorted.len() < literals.len() {
        return None;
    }
    sorted.sort_unstable();
    let mut builder = Builder::of(&sorted, leading, max_bytes)?;
    builder.link();
    builder.finish(max_bytes)
}

/// The parts of an index under construction.
struct Builder {
    class_of: [u8; 256],
    shorter: Vec<[u8; 4]>,
    states: Vec<Record>,
    rows: Vec<[u8; 4]>,
    labels: Vec<u8>,
    leading: u32,
    with_row: u32,
    class_bits: u32,
}

impl Builder {
    /// Creates all states, without fallbacks and rows.
    fn of(sorted: &[(&[u8], u32)], leading: u32, max_bytes: usize) -> Option<Self> {
        let mut states = Vec::new();
        // No byte leads to the root.
        let mut labels = vec![0];
        // For each state of one length, the literals that start with it.
        let mut level = vec![sorted];
        for length in 0.. {
            let mut longer = Vec::new();
            for with_prefix in level {
                let end = with_prefix.partition_point(|(literal, _)| literal.len() == length);
                let (equal, longer_literals) = with_prefix.split_at(end);
                let first = labels.len();
                for group in longer_literals.chunk_by(|(a, _), (b, _)| a.get(length) == b.get(length)) {
                    labels.extend(group.first().and_then(|(literal, _)| literal.get(length)));
                    longer.push(group);
                }
                let state = State {
                    first: u32::try_from(first).ok()?,
                    found: equal.first().filter(|_| length > 0).map_or(NONE, |&(_, ordinal)| ordinal),
                    children: u16::try_from(labels.len() - first).ok()?,
                    label: labels.get(first).copied().unwrap_or_default(),
                    ..State::default()
                };
                states.push(state.write());
                if labels.len() > max_bytes / size_of::<Record>() {
                    return None;
                }
            }
            if longer.is_empty() {
                break;
            }
            level = longer;
        }
        let (class_of, class_bits) = classes(labels.get(1..).unwrap_or_default());
        let row_bytes = (states.len() * ROW_BYTES_A_STATE).max(ROW_BYTES);
        let with_row = (row_bytes / (4 << class_bits)).clamp(1, states.len());
        if (with_row << class_bits) + states.len() > POSITION as usize {
            return None;
        }
        Some(Self {
            class_of,
            shorter: vec![NONE.to_le_bytes(); sorted.len()],
            rows: vec![ROOT.to_le_bytes(); with_row << class_bits],
            states,
            labels,
            leading,
            with_row: u32::try_from(with_row).ok()?,
            class_bits,
        })
    }

    /// Sets the fallback and the row of each state, and the next shorter literal of each literal.
    ///
    /// Processes the shortest states first: the fallback of a state is shorter, so it is already complete.
    fn link(&mut self) {
        for at in ROOT..u32::try_from(self.states.len()).unwrap_or(NONE) {
            let state = self.search().state(at);
            for child in state.children() {
                let search = self.search();
                let fallback = match at {
                    ROOT => ROOT,
                    _ => search.state_at(search.after(search.position(state.fallback), self.label(child)) & POSITION),
                };
                let State { found, mut finds, .. } = search.state(fallback);
                let mut linked = State { fallback, ..search.state(child) };
                match self.shorter.get_mut(linked.found as usize) {
                    Some(shorter) => {
                        *shorter = found.to_le_bytes();
                        finds |= if linked.found < self.leading { 3 } else { 2 };
                    }
                    None => linked.found = found,
                }
                linked.finds = finds;
                if let Some(state) = self.states.get_mut(child as usize) {
                    *state = linked.write();
                }
            }
            if at < self.with_row {
                self.write_row(at, state);
            }
        }
    }

    /// Writes the row of a state. For bytes without a child, the row of the fallback applies.
    fn write_row(&mut self, at: u32, state: State) {
        let row = |state: u32| (state as usize) << self.class_bits;
        let (start, fallback) = (row(at), row(state.fallback));
        // The root falls back to itself.
        self.rows.copy_within(fallback..row(state.fallback + 1), start);
        for child in state.children() {
            let class = self.class_of.get(usize::from(self.label(child))).copied().unwrap_or_default();
            let after = self.search().position(child);
            if let Some(entry) = self.rows.get_mut(start + usize::from(class)) {
                *entry = after.to_le_bytes();
            }
        }
    }

    /// Returns the byte that leads to `state`.
    fn label(&self, state: u32) -> u8 {
        self.labels.get(state as usize).copied().unwrap_or_default()
    }

    /// Returns the index that is written so far, for searches.
    fn search(&self) -> Literals<'_> {
        Literals {
            class_of: &self.class_of,
            shorter: &self.shorter,
            states: &self.states,
            rows: &self.rows,
            labels: &self.labels,
            leading: self.leading,
            with_row: self.with_row,
            rows_end: self.with_row << self.class_bits,
            class_bits: self.class_bits,
        }
    }

    fn finish(self, max_bytes: usize) -> Option<Vec<u8>> {
        let length = |count: usize| u32::try_from(count).ok().map(u32::to_le_bytes);
        let head = [
            length(self.states.len())?,
            length(self.shorter.len())?,
            self.leading.to_le_bytes(),
            self.with_row.to_le_bytes(),
            self.class_bits.to_le_bytes(),
        ];
        let parts = [
            head.as_flattened(),
            &self.class_of,
            self.shorter.as_flattened(),
            self.states.as_flattened().as_flattened(),
            self.rows.as_flattened(),
            &self.labels,
        ];
        (parts.iter().map(|part| part.len()).sum::<usize>() <= max_bytes).then(|| parts.concat())
    }
}

/// Returns the class of each byte, and the number of bits of a class. Each of `labels` has its own class; all other
/// bytes share one.
fn classes(labels: &[u8]) -> ([u8; 256], u32) {
    let mut used = [false; 256];
    for &label in labels {
        if let Some(used) = used.get_mut(usize::from(label)) {
            *used = true;
        }
    }
    let distinct = used.iter().filter(|&&used| used).count();
    // If all 256 bytes are used, there are no other bytes.
    let others = u8::try_from(distinct).unwrap_or_default();
    let mut next = 0..=u8::MAX;
    let class_of = used.map(|used| if used { next.next().unwrap_or_default() } else { others });
    (class_of, (distinct + 1).min(256).next_power_of_two().trailing_zeros())
}

#[cfg(test)]
mod tests;
