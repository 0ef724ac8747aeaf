//! Which of a list of literals a text holds, found in one pass.
//!
//! The automaton of Aho and Corasick ("Efficient string matching: an aid to bibliographic search", 1975) in flat
//! little-endian bytes that hold no address: they are searched where they lie, in memory or in a file.
//!
//! A *state* stands for the beginning of some literal. The state after a byte is the longest one that the text so far ends
//! with. States are numbered by length, then by text, so the children of a state, which are one byte longer, have
//! consecutive numbers, and of each only the byte that leads to it need be stored.
//!
//! | part | bytes |
//! | --- | --- |
//! | head: how many states, literals, states with a row, and bits of a class | 4 × 4 |
//! | for each byte its class: those that no literal holds share one | 256 |
//! | for each literal the longest other one that it ends with | 4 |
//! | for each state: first child, fallback, longest literal that it ends with; how many children, the first one's byte | 16 |
//! | for each of the shortest states a row: the state after each class of byte, fallbacks followed | 4 × classes |
//! | for each state the byte that leads to it | 1 |

use std::ops::{ControlFlow, Range};

/// The state that every search starts from. It always has a row.
const ROOT: u32 = 0;
/// In place of a literal's ordinal. There are never as many literals.
const NONE: u32 = u32::MAX;
const HEAD: usize = 4;
/// What all rows together may take: so much for each state, or at least so much that a small index needs no fallbacks.
const ROW_BYTES_A_STATE: usize = 6;
const ROW_BYTES: usize = 4 << 10;

/// An index of literals, read where it lies.
///
/// Reading all of it would cost more than a search, so only its head and its length are verified. In bytes that [`build`]
/// did not write, a search may find anything; but it ends after at most two steps for each byte of the text, reports
/// ordinals of literals that the head allows for, and no more occurrences than the text has substrings.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Literals<'b> {
    class_of: &'b [u8; 256],
    shorter: &'b [[u8; 4]],
    states: &'b [Record],
    rows: &'b [[u8; 4]],
    labels: &'b [u8],
    with_row: u32,
    class_bits: u32,
}

impl<'b> Literals<'b> {
    /// Reads an index; `None` where `bytes` cannot be one, by its head and its length.
    #[inline]
    pub(crate) fn read(bytes: &'b [u8]) -> Option<Self> {
        let (head, rest) = words(bytes, HEAD)?;
        let [states, literals, with_row, class_bits] = head.first_chunk::<HEAD>()?.map(u32::from_le_bytes);
        if with_row == 0 || with_row > states || class_bits > 8 {
            return None;
        }
        let (class_of, rest) = rest.split_first_chunk()?;
        let (shorter, rest) = words(rest, literals as usize)?;
        let (records, rest) = words(rest, (states as usize).checked_mul(4)?)?;
        let (rows, labels) = words(rest, (with_row as usize).checked_mul(1 << class_bits)?)?;
        let index = Self { class_of, shorter, states: records.as_chunks().0, rows, labels, with_row, class_bits };
        (labels.len() == states as usize).then_some(index)
    }

    /// Calls `visit` with the ordinal of each occurrence of a literal in `text`, in the order in which they end and the
    /// longest first; stops where `visit` breaks off.
    ///
    /// Linear in the bytes of the text and in the occurrences, of which each byte can end as many as there are literals.
    /// Allocates nothing.
    pub(crate) fn each_in(&self, text: &[u8], mut visit: impl FnMut(u32) -> ControlFlow<()>) {
        let mut state = ROOT;
        // At least the length of what the state stands for.
        let mut length = 0;
        for (&byte, end) in text.iter().zip(1_usize..) {
            state = self.after(state, byte, &mut length);
            length += 1;
            let mut found = self.state(state).found;
            // Each occurrence that ends here starts at a place of its own.
            for _ in 0..end {
                let Some(&shorter) = self.shorter.get(found as usize) else { break };
                if visit(found).is_break() {
                    return;
                }
                found = u32::from_le_bytes(shorter);
            }
        }
    }

    /// The state after `state` and `byte`. Each fallback takes one from `length`, for it leads to a shorter state.
    #[inline]
    fn after(&self, mut state: u32, byte: u8, length: &mut usize) -> u32 {
        while state >= self.with_row {
            let from = self.state(state);
            if let Some(child) = self.child(from, byte) {
                return child;
            }
            state = match length.checked_sub(1) {
                Some(left) => {
                    *length = left;
                    from.fallback
                }
                None => ROOT,
            };
        }
        let class = self.class_of.get(usize::from(byte)).copied().unwrap_or_default();
        let entry = self.rows.get(((state as usize) << self.class_bits) | usize::from(class));
        entry.map_or(ROOT, |&state| u32::from_le_bytes(state))
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

/// The first `count` words, and the bytes behind them.
fn words(bytes: &[u8], count: usize) -> Option<(&[[u8; 4]], &[u8])> {
    let (words, rest) = bytes.split_at_checked(count.checked_mul(4)?)?;
    Some((words.as_chunks().0, rest))
}

/// A state as it is stored.
type Record = [[u8; 4]; 4];

#[derive(Debug, Clone, Copy)]
struct State {
    /// The first child, if there is any; the others follow.
    first: u32,
    /// The longest other state that this one ends with.
    fallback: u32,
    /// The longest literal that this state ends with, or [`NONE`].
    found: u32,
    children: u16,
    /// The byte that leads to the first child. Most states have no other, and are searched without a look elsewhere.
    label: u8,
}

impl Default for State {
    fn default() -> Self {
        Self { first: ROOT, fallback: ROOT, found: NONE, children: 0, label: 0 }
    }
}

impl State {
    #[inline]
    fn read(&[first, fallback, found, [low, high, label, _]]: &Record) -> Self {
        Self {
            first: u32::from_le_bytes(first),
            fallback: u32::from_le_bytes(fallback),
            found: u32::from_le_bytes(found),
            children: u16::from_le_bytes([low, high]),
            label,
        }
    }

    fn children(self) -> Range<u32> {
        self.first..self.first.saturating_add(u32::from(self.children))
    }

    fn write(self) -> Record {
        let [low, high] = self.children.to_le_bytes();
        let [first, fallback, found] = [self.first, self.fallback, self.found].map(u32::to_le_bytes);
        [first, fallback, found, [low, high, self.label, 0]]
    }
}

/// Writes the index of `literals`, which are distinct and not empty; the ordinal of each is its place in the list.
///
/// The same list always makes the same bytes. Linear in the bytes of the literals, but for sorting them. The index takes 4
/// bytes for each literal and 23 for each state (at most one more than the literals have bytes), and up to 4.3 KiB besides.
///
/// `None` if that exceeds 4 GiB. An empty literal would never be found, and of equal ones only the first.
pub(crate) fn build(literals: &[&[u8]]) -> Option<Vec<u8>> {
    build_within(u32::MAX as usize, literals)
}

fn build_within(most_bytes: usize, literals: &[&[u8]]) -> Option<Vec<u8>> {
    let mut sorted: Vec<(&[u8], u32)> = literals.iter().copied().zip(ROOT..NONE).collect();
    if sorted.len() < literals.len() {
        return None;
    }
    sorted.sort_unstable();
    let mut builder = Builder::of(&sorted, most_bytes)?;
    builder.link();
    builder.finish(most_bytes)
}

/// The parts of an index while it is written.
struct Builder {
    class_of: [u8; 256],
    shorter: Vec<[u8; 4]>,
    states: Vec<Record>,
    rows: Vec<[u8; 4]>,
    labels: Vec<u8>,
    with_row: u32,
    class_bits: u32,
}

impl Builder {
    /// All states, as yet without fallbacks and rows.
    fn of(sorted: &[(&[u8], u32)], most_bytes: usize) -> Option<Self> {
        let mut states = Vec::new();
        // No byte leads to the root.
        let mut labels = vec![0];
        // For each state of one length, the literals that begin with it.
        let mut level = vec![sorted];
        for length in 0.. {
            let mut longer = Vec::new();
            for beginning in level {
                let ending = beginning.partition_point(|(literal, _)| literal.len() == length);
                let (ending, going_on) = beginning.split_at(ending);
                let first = labels.len();
                for group in going_on.chunk_by(|(a, _), (b, _)| a.get(length) == b.get(length)) {
                    labels.extend(group.first().and_then(|(literal, _)| literal.get(length)));
                    longer.push(group);
                }
                let state = State {
                    first: u32::try_from(first).ok()?,
                    found: ending.first().filter(|_| length > 0).map_or(NONE, |&(_, ordinal)| ordinal),
                    children: u16::try_from(labels.len() - first).ok()?,
                    label: labels.get(first).copied().unwrap_or_default(),
                    ..State::default()
                };
                states.push(state.write());
                if labels.len() > most_bytes / size_of::<Record>() {
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
        Some(Self {
            class_of,
            shorter: vec![NONE.to_le_bytes(); sorted.len()],
            rows: Vec::with_capacity(with_row << class_bits),
            states,
            labels,
            with_row: u32::try_from(with_row).ok()?,
            class_bits,
        })
    }

    /// Gives each state its fallback and its row, and each literal the next shorter one.
    ///
    /// From the shortest on: what a state falls back to is shorter, and so is done.
    fn link(&mut self) {
        for at in ROOT..u32::try_from(self.states.len()).unwrap_or(NONE) {
            let state = self.search().state(at);
            if at < self.with_row {
                self.add_row(at, state);
            }
            for child in state.children() {
                let search = self.search();
                let fallback = match at {
                    ROOT => ROOT,
                    _ => search.after(state.fallback, self.label(child), &mut { usize::MAX }),
                };
                let found = search.state(fallback).found;
                let mut linked = State { fallback, ..search.state(child) };
                match self.shorter.get_mut(linked.found as usize) {
                    Some(shorter) => *shorter = found.to_le_bytes(),
                    None => linked.found = found,
                }
                if let Some(state) = self.states.get_mut(child as usize) {
                    *state = linked.write();
                }
            }
        }
    }

    /// Where a state has no child, its row leads where its fallback's does.
    fn add_row(&mut self, at: u32, state: State) {
        let start = self.rows.len();
        let classes = 1 << self.class_bits;
        if at == ROOT {
            self.rows.resize(classes, ROOT.to_le_bytes());
        } else {
            let fallback = (state.fallback as usize) << self.class_bits;
            self.rows.extend_from_within(fallback..fallback + classes);
        }
        for child in state.children() {
            let class = self.class_of.get(usize::from(self.label(child))).copied().unwrap_or_default();
            if let Some(entry) = self.rows.get_mut(start + usize::from(class)) {
                *entry = child.to_le_bytes();
            }
        }
    }

    /// The byte that leads to `state`.
    fn label(&self, state: u32) -> u8 {
        self.labels.get(state as usize).copied().unwrap_or_default()
    }

    /// What is written so far, to search in.
    fn search(&self) -> Literals<'_> {
        Literals {
            class_of: &self.class_of,
            shorter: &self.shorter,
            states: &self.states,
            rows: &self.rows,
            labels: &self.labels,
            with_row: self.with_row,
            class_bits: self.class_bits,
        }
    }

    fn finish(self, most_bytes: usize) -> Option<Vec<u8>> {
        let length = |count: usize| u32::try_from(count).ok().map(u32::to_le_bytes);
        let head = [
            length(self.states.len())?,
            length(self.shorter.len())?,
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
        (parts.iter().map(|part| part.len()).sum::<usize>() <= most_bytes).then(|| parts.concat())
    }
}

/// The class of each byte: one for each of `labels`, one for all others together. And the bits that a class takes.
fn classes(labels: &[u8]) -> ([u8; 256], u32) {
    let mut used = [false; 256];
    for &label in labels {
        if let Some(used) = used.get_mut(usize::from(label)) {
            *used = true;
        }
    }
    let distinct = used.iter().filter(|&&used| used).count();
    // Where all 256 are used there are no others.
    let others = u8::try_from(distinct).unwrap_or_default();
    let mut next = 0..=u8::MAX;
    let class_of = used.map(|used| if used { next.next().unwrap_or_default() } else { others });
    (class_of, (distinct + 1).min(256).next_power_of_two().trailing_zeros())
}

#[cfg(test)]
mod tests;
