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
//! | head: how many states, literals, leading ones of these, states with a row, and bits of a class | 5 × 4 |
//! | for each byte its class: those that no literal holds share one | 256 |
//! | for each literal the longest other one that it ends with | 4 |
//! | for each state: first child, fallback, longest literal that it ends with; how many children, the first one's byte, and whether it ends with a literal and a leading one | 16 |
//! | for each of the shortest states a row: the state after each class of byte, fallbacks followed, and whether that ends with a literal, and with a leading one | 4 × classes |
//! | for each state the byte that leads to it | 1 |

use std::ops::{ControlFlow, Range};

/// The state that every search starts from. It always has a row.
const ROOT: u32 = 0;
/// In place of a literal's ordinal. There are never as many literals.
const NONE: u32 = u32::MAX;
/// Beside the place of a state: whether it ends with a literal, and whether with a leading one. There are never as many.
const FINDS: u32 = 1 << 31;
const LEADS: u32 = 1 << 30;
const PLACE: u32 = LEADS - 1;
const HEAD: usize = 5;
/// What all rows together may take: so much for each state, or at least so much that a small index needs no fallbacks.
const ROW_BYTES_A_STATE: usize = 6;
const ROW_BYTES: usize = 4 << 10;
/// Shorter texts are read in one piece.
const PIECES_FROM: usize = 16 * LONGEST;
/// So many bytes of each piece are read before what was found is looked at.
const STEPS: usize = 128;

/// The most bytes of a literal.
pub(crate) const LONGEST: usize = 8;

/// An index of literals, read where it lies.
///
/// Reading all of it would cost more than a search, so only its head and its length are verified. In bytes that [`build`]
/// did not write, a search may find anything; but it ends after a bounded number of steps for each byte of the text, and
/// reports ordinals of literals that the head allows for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Literals<'b> {
    class_of: &'b [u8; 256],
    shorter: &'b [[u8; 4]],
    states: &'b [Record],
    rows: &'b [[u8; 4]],
    labels: &'b [u8],
    leading: u32,
    with_row: u32,
    /// The first place behind all rows.
    behind_rows: u32,
    class_bits: u32,
}

/// Which literals are looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Which {
    /// The first ones of the list, as many as [`build`] was told.
    Leading,
    All,
}

impl<'b> Literals<'b> {
    /// Reads an index; `None` where `bytes` cannot be one, by its head and its length.
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
        let behind_rows = u32::try_from(rows.len()).ok()?;
        if labels.len() != states as usize || behind_rows.checked_add(states)? > PLACE {
            return None;
        }
        let states = records.as_chunks().0;
        Some(Self { class_of, shorter, states, rows, labels, leading, with_row, behind_rows, class_bits })
    }

    /// How many of the literals are leading.
    pub(crate) fn leading(&self) -> u32 {
        self.leading
    }

    /// Calls `visit` with the ordinal of each literal that `text` holds and the number of the stretch of 2<sup>`stretch`</sup>
    /// bytes in which it ends: of those that end at one place the longest first, and the shorter ones only as long as `visit`
    /// does not break off. In no order else; what ends in one stretch several times may be visited once or more.
    ///
    /// Linear in the bytes of the text, of which each can end [`LONGEST`] literals. Allocates nothing.
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
        // Each step waits for the state before it, so four pieces of the text are read at once. They overlap by what a
        // literal may be cut by.
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

    /// Reads four pieces of at most [`STEPS`] bytes at once. Keeps the states after each byte of which one ends with such a
    /// literal, and tells how many times that was so.
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
        place: u32,
        stretch: usize,
        visit: &mut impl FnMut(u32, usize) -> ControlFlow<()>,
    ) {
        let mut found = self.state(self.state_at(place & PLACE)).found;
        for _ in 0..LONGEST {
            let Some(&shorter) = self.shorter.get(found as usize) else { break };
            if (WHICH == FINDS || found < self.leading) && visit(found, stretch).is_break() {
                break;
            }
            found = u32::from_le_bytes(shorter);
        }
    }

    /// The place of a state, and which literals it ends with.
    ///
    /// A place is where the row of a state begins; those without a row have the places behind all rows.
    #[inline]
    fn place(&self, state: u32) -> u32 {
        let place = match state.checked_sub(self.with_row) {
            None => state << self.class_bits,
            Some(behind) => behind.wrapping_add(self.behind_rows),
        };
        place & PLACE | u32::from(self.state(state).finds) << PLACE.trailing_ones()
    }

    /// The state at a place.
    #[inline]
    fn state_at(&self, place: u32) -> u32 {
        match place.checked_sub(self.behind_rows) {
            None => place >> self.class_bits,
            Some(behind) => behind.wrapping_add(self.with_row),
        }
    }

    /// The place after the one of `place` and `byte`.
    #[inline]
    fn after(&self, place: u32, byte: u8) -> u32 {
        let place = place & PLACE;
        self.in_row(place, byte).unwrap_or_else(|| self.after_long(place, byte))
    }

    /// Where the row of a place leads; `None` where there is no row.
    #[inline]
    fn in_row(&self, place: u32, byte: u8) -> Option<u32> {
        let class = self.class_of.get(usize::from(byte)).copied().unwrap_or_default();
        // Places in rows are multiples of the number of classes.
        let entry = self.rows.get(place as usize + usize::from(class));
        entry.map(|&place| u32::from_le_bytes(place))
    }

    #[cold]
    #[inline(never)]
    fn after_long(&self, place: u32, byte: u8) -> u32 {
        let mut state = self.state_at(place);
        // Each fallback is shorter than the state before it.
        for _ in 0..LONGEST {
            let from = self.state(state);
            if let Some(child) = self.child(from, byte) {
                return self.place(child);
            }
            state = from.fallback;
            if let Some(after) = self.in_row(self.place(state) & PLACE, byte) {
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

/// States that found something lately, each with the stretch: texts that repeat themselves find the same over and over.
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
    /// [`FINDS`] and [`LEADS`], as far to the right as can be.
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

/// Writes the index of `literals`, which are distinct, not empty and no longer than [`LONGEST`]; the ordinal of each is its
/// place in the list, of which the first ones are `leading`: those can be looked for alone.
///
/// The same list always makes the same bytes. Linear in the bytes of the literals, but for sorting them. The index takes 4
/// bytes for each literal and 23 for each state (at most one more than the literals have bytes), and up to 4.3 KiB besides.
///
/// `None` if that exceeds 4 GiB. An empty or longer literal might never be found, and of equal ones only the first.
pub(crate) fn build(literals: &[&[u8]], leading: u32) -> Option<Vec<u8>> {
    build_within(u32::MAX as usize, literals, leading)
}

fn build_within(most_bytes: usize, literals: &[&[u8]], leading: u32) -> Option<Vec<u8>> {
    let mut sorted: Vec<(&[u8], u32)> = literals.iter().copied().zip(ROOT..NONE).collect();
    if sorted.len() < literals.len() {
        return None;
    }
    sorted.sort_unstable();
    let mut builder = Builder::of(&sorted, leading, most_bytes)?;
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
    leading: u32,
    with_row: u32,
    class_bits: u32,
}

impl Builder {
    /// All states, as yet without fallbacks and rows.
    fn of(sorted: &[(&[u8], u32)], leading: u32, most_bytes: usize) -> Option<Self> {
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
        if (with_row << class_bits) + states.len() > PLACE as usize {
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

    /// Gives each state its fallback and its row, and each literal the next shorter one.
    ///
    /// From the shortest on: what a state falls back to is shorter, and so is done.
    fn link(&mut self) {
        for at in ROOT..u32::try_from(self.states.len()).unwrap_or(NONE) {
            let state = self.search().state(at);
            for child in state.children() {
                let search = self.search();
                let fallback = match at {
                    ROOT => ROOT,
                    _ => search.state_at(search.after(search.place(state.fallback), self.label(child)) & PLACE),
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

    /// Where a state has no child, its row leads where its fallback's does.
    fn write_row(&mut self, at: u32, state: State) {
        let row = |state: u32| (state as usize) << self.class_bits;
        let (start, fallback) = (row(at), row(state.fallback));
        // The root falls back to itself.
        self.rows.copy_within(fallback..row(state.fallback + 1), start);
        for child in state.children() {
            let class = self.class_of.get(usize::from(self.label(child))).copied().unwrap_or_default();
            let after = self.search().place(child);
            if let Some(entry) = self.rows.get_mut(start + usize::from(class)) {
                *entry = after.to_le_bytes();
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
            leading: self.leading,
            with_row: self.with_row,
            behind_rows: self.with_row << self.class_bits,
            class_bits: self.class_bits,
        }
    }

    fn finish(self, most_bytes: usize) -> Option<Vec<u8>> {
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
