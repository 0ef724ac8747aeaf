//! Finds the patterns that may cover a name, by the literals of each pattern and their order.
//!
//! Text between two stars may occur anywhere in a segment, after the text that precedes it in the pattern. One pass
//! over the name finds all literals in it and their approximate offsets ([`Occurrences`]). Only patterns whose literals
//! all occur in order are evaluated.
//!
//! A pattern is a sequence of literals: pieces of its text of at most [`LONGEST`] bytes. Each literal has an *offset*:
//! the number of bytes of the pattern up to the end of the literal, without stars. The rarest literal comes first, then
//! the others in their order.
//!
//! All sequences form one tree, in which patterns with equal leading literals share nodes. A search starts only at
//! literals that occur in the name, and skips the subtree of a literal that does not occur at a possible offset.
//!
//! | part | bytes |
//! | --- | --- |
//! | head: bytes of the index of literals, nodes, patterns | 3 × 4 |
//! | the index of literals; those that are the rarest of a pattern come first | |
//! | for each leading literal: its first root node | 4 |
//! | for each node, parents before children: its literal, the first pattern of its subtree, the node after its subtree,
//! its offset | 16 |
//! | for each pattern: the number of its characters that are neither stars nor dots | 2 |
//!
//! Patterns are numbered in the order of the tree. The first patterns of a node are those whose sequence ends there.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::ops::{ControlFlow, Range};

use smallvec::SmallVec;

use super::literal_automaton::{self, LONGEST, Literals, Which};
use crate::name::STAR;
use crate::pattern::literal_characters;

const HEAD: usize = 3;
/// The value for a missing node. An index never has this many nodes.
const NONE: u32 = u32::MAX;
/// The minimum and maximum number of literals of a sequence, if the pattern has that many. Between these limits, a
/// sequence continues while patterns share all its literals.
const SHORTEST: usize = 16;
const DEEPEST: usize = 32;
/// The maximum number of patterns that are returned without searching for more of their literals.
const FEW: usize = 4;

/// An index that borrows its bytes.
///
/// Only the head and the lengths are verified. For bytes that [`build`] did not write, a search may return any patterns
/// within the count of the head.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sequences<'b> {
    literals: Literals<'b>,
    roots: &'b [[u8; 4]],
    nodes: &'b [[[u8; 4]; 4]],
    characters: &'b [[u8; 2]],
}

/// A node of the tree.
#[derive(Debug, Clone, Copy)]
struct Node {
    literal: u32,
    /// The first pattern of this node or its descendants.
    pattern: u32,
    /// The node after all descendants.
    subtree_end: u32,
    offset: u16,
}

impl Node {
    fn read(&[literal, pattern, subtree_end, [low, high, ..]]: &[[u8; 4]; 4]) -> Self {
        Self {
            literal: u32::from_le_bytes(literal),
            pattern: u32::from_le_bytes(pattern),
            subtree_end: u32::from_le_bytes(subtree_end),
            offset: u16::from_le_bytes([low, high]),
        }
    }

    fn write(self) -> [[u8; 4]; 4] {
        let [low, high] = self.offset.to_le_bytes();
        [self.literal.to_le_bytes(), self.pattern.to_le_bytes(), self.subtree_end.to_le_bytes(), [low, high, 0, 0]]
    }
}

/// The first literal of a sequence.
#[derive(Debug, Clone, Copy)]
struct Rarest {
    ends: Ends,
    offset: u16,
}

/// The state of matching a sequence. Each literal is matched as far to the left as possible.
#[derive(Debug, Clone, Copy, Default)]
struct Progress {
    /// The minimum end of the last literal; the next field is its offset.
    end: u32,
    offset: u16,
    /// Whether the rarest literal has been matched. It has if a literal after it has.
    has_rarest: bool,
}

impl Progress {
    /// Matches a further literal with this `offset` and these `ends`; returns `None` if it cannot follow the matched
    /// ones.
    #[inline]
    fn and(self, ends: Ends, offset: u16, rarest: Rarest) -> Option<Self> {
        if self.has_rarest {
            return self.then(ends, offset);
        }
        if rarest.offset <= offset {
            return Self { has_rarest: true, ..self.then(rarest.ends, rarest.offset)? }.then(ends, offset);
        }
        let found = self.then(ends, offset)?;
        found.then(rarest.ends, rarest.offset).map(|_| found)
    }

    #[inline]
    fn then(self, ends: Ends, offset: u16) -> Option<Self> {
        let end = ends.first_end(self.end + u32::from(offset.saturating_sub(self.offset)))?;
        Some(Self { end, offset, ..self })
    }
}

impl<'b> Sequences<'b> {
    /// Reads an index; returns `None` if the head or the length is not valid.
    pub(crate) fn read(bytes: &'b [u8]) -> Option<Self> {
        let (head, rest) = bytes.split_first_chunk::<{ 4 * HEAD }>()?;
        let mut counts = head.as_chunks().0.iter().map(|&count| u32::from_le_bytes(count) as usize);
        let [length, nodes, patterns] = [counts.next()?, counts.next()?, counts.next()?];
        let (index, rest) = rest.split_at_checked(length)?;
        let literals = Literals::read(index)?;
        let (roots, rest) = rest.split_at_checked((literals.leading() as usize).checked_mul(4)?)?;
        let (nodes, characters) = rest.split_at_checked(nodes.checked_mul(16)?)?;
        (characters.len() == patterns.checked_mul(2)?).then_some(Self {
            literals,
            roots: roots.as_chunks().0,
            nodes: nodes.as_chunks().0.as_chunks().0,
            characters: characters.as_chunks().0,
        })
    }

    /// Calls `candidate` once with each pattern of interest that may cover `name`, in no particular order. Every
    /// pattern of interest that covers it is among them.
    ///
    /// `next` returns the first pattern of interest whose number is not below its argument.
    ///
    /// Linear in the bytes of the name and in the nodes that it visits. Does not allocate for names with fewer than
    /// [`INLINE_LITERALS`] literals.
    pub(crate) fn candidates(
        &self,
        name: &[u8],
        mut next: impl FnMut(u32) -> Option<u32>,
        mut candidate: impl FnMut(u32),
    ) {
        let (mut literals, mut slots) = (SmallVec::new(), SmallVec::new());
        let mut occurrences = Occurrences::of(name, &mut literals, &mut slots);
        // Usually the rarest literals leave no or only a few patterns.
        self.literals
            .each_in(Which::Leading, name, occurrences.stretch, |literal, stretch| occurrences.add(literal, stretch));
        if let Some(few) = self.few(&occurrences, &mut next) {
            for pattern in few {
                if next(pattern) == Some(pattern) {
                    candidate(pattern);
                }
            }
            return;
        }
        occurrences.clear(name);
        self.literals
            .each_in(Which::All, name, occurrences.stretch, |literal, stretch| occurrences.add(literal, stretch));
        for occurrence in &*occurrences.literals {
            for (at, root) in self.roots_of(occurrence.literal) {
                self.walk(at, root, &occurrences, &mut next, &mut candidate);
            }
        }
    }

    /// Returns the patterns of interest whose rarest literal occurs; `None` if there are more than [`FEW`].
    fn few(
        &self,
        occurrences: &Occurrences<'_>,
        next: &mut impl FnMut(u32) -> Option<u32>,
    ) -> Option<SmallVec<[u32; FEW]>> {
        let mut few = SmallVec::new();
        for (_, root) in occurrences.literals.iter().flat_map(|occurrence| self.roots_of(occurrence.literal)) {
            let mut patterns = root.pattern..self.first_of(root.subtree_end);
            while let Some(pattern) = next(patterns.start).filter(|pattern| patterns.contains(pattern)) {
                if few.len() == FEW {
                    return None;
                }
                few.push(pattern);
                patterns.start = pattern + 1;
            }
        }
        Some(few)
    }

    /// Returns the root nodes with this literal, one for each offset.
    fn roots_of(&self, literal: u32) -> impl Iterator<Item = (u32, Node)> {
        let mut at = self.roots.get(literal as usize).map_or(NONE, |&root| u32::from_le_bytes(root));
        std::iter::from_fn(move || {
            let node = self.node(at).filter(|node| node.literal == literal)?;
            let root = (at, node);
            at = node.subtree_end.max(at + 1);
            Some(root)
        })
    }

    /// Walks the subtree of `root`, whose node is `first`.
    fn walk(
        &self,
        root: u32,
        first: Node,
        occurrences: &Occurrences<'_>,
        next: &mut impl FnMut(u32) -> Option<u32>,
        candidate: &mut impl FnMut(u32),
    ) {
        let Some(ends) = occurrences.ends(first.literal) else { return };
        let rarest = Rarest { ends, offset: first.offset };
        if ends.first_end(u32::from(first.offset)).is_none() {
            return;
        }
        // For each node on the path from the root: the end of its subtree, and its progress.
        let mut path: SmallVec<[(u32, Progress); DEEPEST]> = SmallVec::new();
        let (mut at, mut node) = (root, first);
        // Whether the subtree is known to contain a pattern of interest. An only child inherits this from its parent.
        let mut of_interest = false;
        let end = first.subtree_end.min(self.end().subtree_end);
        while at < end {
            let progress = match path.last() {
                None => Some(Progress::default()),
                Some((_, progress)) => occurrences
                    .ends(node.literal)
                    .and_then(|ends| progress.and(ends, node.offset, rarest))
                    .filter(|_| path.len() < DEEPEST),
            };
            let subtree_end = node.subtree_end.max(at + 1);
            let child = self.node(at + 1).unwrap_or(self.end());
            let own = node.pattern..child.pattern;
            let mut find = |range: Range<u32>| next(range.start).filter(|pattern| range.contains(pattern));
            match progress {
                Some(progress)
                    if of_interest
                        || (at + 1 == subtree_end && !own.is_empty())
                        || find(node.pattern..self.first_of(subtree_end)).is_some() =>
                {
                    of_interest = own.is_empty() && child.subtree_end == subtree_end;
                    let mut from = own.start;
                    while let Some(found) = find(from..own.end) {
                        candidate(found);
                        from = found + 1;
                    }
                    path.push((subtree_end, progress));
                    (at, node) = (at + 1, child);
                }
                _ => {
                    of_interest = false;
                    (at, node) = (subtree_end, self.node(subtree_end).unwrap_or(self.end()));
                }
            }
            while path.last().is_some_and(|&(subtree_end, _)| subtree_end <= at) {
                path.pop();
            }
        }
    }

    /// Returns a virtual node after all nodes.
    fn end(&self) -> Node {
        let all = |count: usize| u32::try_from(count).unwrap_or(NONE);
        Node { literal: NONE, pattern: all(self.characters.len()), subtree_end: all(self.nodes.len()), offset: 0 }
    }

    fn node(&self, at: u32) -> Option<Node> {
        self.nodes.get(at as usize).map(Node::read)
    }

    /// Returns the first pattern of a node, or the number of patterns if there is no such node.
    fn first_of(&self, node: u32) -> u32 {
        self.node(node).unwrap_or(self.end()).pattern
    }

    /// Returns the number of characters of a pattern that are neither stars nor dots between segments.
    pub(crate) fn characters(&self, pattern: u32) -> u16 {
        self.characters.get(pattern as usize).map_or(0, |&characters| u16::from_le_bytes(characters))
    }
}

/// The number of distinct literals of a name that fit on the stack. More need an allocation.
const INLINE_LITERALS: usize = 2048;

/// The literals that occur in a name, with the approximate offsets of their ends.
struct Occurrences<'v> {
    /// The binary logarithm of the length of a stretch. A name is divided into at most 64 stretches; names of up to 64
    /// bytes have stretches of one byte.
    stretch: u32,
    literals: &'v mut SmallVec<[Occurrence; INLINE_LITERALS]>,
    /// An open-addressed hash table with the index of each literal in `literals`.
    slots: &'v mut SmallVec<[u16; 2 * INLINE_LITERALS]>,
}

/// A literal that occurs in a name.
#[derive(Debug, Clone, Copy)]
struct Occurrence {
    literal: u32,
    /// A bit for each stretch in which the literal ends.
    stretches: u64,
}

/// The stretches in which a literal ends.
#[derive(Debug, Clone, Copy)]
struct Ends {
    stretches: u64,
    stretch: u32,
}

impl Ends {
    /// Returns the first possible end of the literal that is not before `at`. The end is exact for names of up to 64
    /// bytes.
    #[inline]
    fn first_end(self, at: u32) -> Option<u32> {
        // Ends start at one.
        let from = at.saturating_sub(1) >> self.stretch;
        let subtree_end = self.stretches & u64::MAX.checked_shl(from)?;
        (subtree_end != 0).then(|| at.max((subtree_end.trailing_zeros() << self.stretch) + 1))
    }
}

const EMPTY: u16 = u16::MAX;
/// The minimum number of slots.
const SLOTS: usize = 64;

impl<'v> Occurrences<'v> {
    /// Creates an empty set. The caller owns the vectors, because moving them would cost more than a search.
    fn of(
        name: &[u8],
        literals: &'v mut SmallVec<[Occurrence; INLINE_LITERALS]>,
        slots: &'v mut SmallVec<[u16; 2 * INLINE_LITERALS]>,
    ) -> Self {
        let stretch = name.len().div_ceil(64).next_power_of_two().trailing_zeros();
        let mut occurrences = Self { stretch, literals, slots };
        occurrences.clear(name);
        occurrences
    }

    /// Removes all literals.
    fn clear(&mut self, name: &[u8]) {
        self.literals.clear();
        self.empty((name.len() / 4).next_power_of_two());
    }

    /// Creates `slots` empty slots, but at least [`SLOTS`].
    fn empty(&mut self, slots: usize) {
        self.slots.clear();
        while self.slots.len() < slots.max(SLOTS) {
            self.slots.extend_from_slice(&[EMPTY; SLOTS]);
        }
    }

    /// Records that `literal` ends in a stretch. Returns `Break` if that was already recorded.
    #[inline]
    fn add(&mut self, literal: u32, stretch: usize) -> ControlFlow<()> {
        let stretch = 1_u64.checked_shl(u32::try_from(stretch).unwrap_or(64)).unwrap_or(0);
        let slot = self.slot(literal);
        if let Some(Occurrence { stretches, .. }) = self.at(slot).and_then(|at| self.literals.get_mut(at)) {
            if *stretches & stretch != 0 {
                return ControlFlow::Break(());
            }
            *stretches |= stretch;
            return ControlFlow::Continue(());
        }
        if let (Ok(at), Some(slot)) = (u16::try_from(self.literals.len()), self.slots.get_mut(slot)) {
            *slot = at;
            self.literals.push(Occurrence { literal, stretches: stretch });
            if self.literals.len() * 4 > self.slots.len() * 3 {
                self.grow();
            }
        }
        ControlFlow::Continue(())
    }

    #[cold]
    fn grow(&mut self) {
        self.empty(self.slots.len() * 2);
        for at in 0..self.literals.len() {
            let Some(&Occurrence { literal, .. }) = self.literals.get(at) else { return };
            let slot = self.slot(literal);
            if let (Ok(at), Some(slot)) = (u16::try_from(at), self.slots.get_mut(slot)) {
                *slot = at;
            }
        }
    }

    fn ends(&self, literal: u32) -> Option<Ends> {
        let found = self.literals.get(self.at(self.slot(literal))?)?;
        Some(Ends { stretches: found.stretches, stretch: self.stretch })
    }

    #[inline]
    fn at(&self, slot: usize) -> Option<usize> {
        self.slots.get(slot).filter(|&&at| at != EMPTY).map(|&at| usize::from(at))
    }

    /// Returns the slot of `literal`, or the empty slot for it.
    #[inline]
    fn slot(&self, literal: u32) -> usize {
        let last = self.slots.len() - 1;
        let mut slot = (literal.wrapping_mul(0x9E37_79B1) >> 16) as usize & last;
        // At least a quarter of the slots are empty, so the loop ends.
        while let Some(at) = self.at(slot) {
            if self.literals.get(at).is_none_or(|found| found.literal == literal) {
                break;
            }
            slot = (slot + 1) & last;
        }
        slot
    }
}

/// The bytes of an index, and the number of each pattern in the index.
pub(crate) struct Built {
    pub(crate) bytes: Vec<u8>,
    pub(crate) literals: usize,
    pub(crate) numbers: Vec<u32>,
}

/// Builds the index of `patterns`, in canonical form. Returns `None` if it would exceed 4 GiB.
///
/// Equal lists give equal bytes. The cost is about linear in the bytes of the patterns, except for sorting them.
pub(crate) fn build(patterns: &[&[u8]]) -> Option<Built> {
    let mut builder = Builder::default();
    let sequences = builder.sequences(patterns);
    let mut order: Vec<(&[Step], u16, u32)> = Vec::with_capacity(patterns.len());
    for ((sequence, pattern), at) in sequences.iter().zip(patterns).zip(0..NONE) {
        let characters = u16::try_from(literal_characters(pattern)).unwrap_or(u16::MAX);
        order.push((builder.steps.get(sequence.clone())?, characters, at));
    }
    // Of equal sequences, the more specific pattern comes first.
    order.sort_unstable_by_key(|&(sequence, characters, at)| (sequence, Reverse(characters), at));
    let mut tree = Tree::default();
    let mut numbers = vec![0; patterns.len()];
    let mut before: &[Step] = &[];
    for (index, &(sequence, _, at)) in order.iter().enumerate() {
        let after = order.get(index + 1).map_or(&[][..], |&(sequence, ..)| sequence);
        let shared = shared_steps(before, sequence);
        let depth = SHORTEST.max(shared + 1).max(shared_steps(sequence, after) + 1).min(DEEPEST).min(sequence.len());
        tree.add(sequence.get(..depth)?, shared, u32::try_from(index).ok()?);
        if let Some(number) = numbers.get_mut(at as usize) {
            *number = u32::try_from(index).ok()?;
        }
        before = sequence;
    }
    tree.close(0);
    let Tree { mut nodes, literals, mut roots, .. } = tree;
    // Literals that are the rarest of some pattern come first.
    let mut lead_first: Vec<u32> = (0..).zip(&roots).map(|(literal, _)| literal).collect();
    lead_first.sort_by_key(|&literal| roots.get(literal as usize).is_none_or(|&root| root == NONE));
    let mut ordinals = vec![0; lead_first.len()];
    let mut texts = Vec::with_capacity(lead_first.len());
    for (&literal, ordinal) in lead_first.iter().zip(0..) {
        *ordinals.get_mut(literal as usize)? = ordinal;
        texts.push(*builder.texts.get(*literals.get(literal as usize)? as usize)?);
    }
    for node in &mut nodes {
        node.literal = *ordinals.get(node.literal as usize)?;
    }
    roots.retain(|&root| root != NONE);
    let index = literal_automaton::build(&texts, u32::try_from(roots.len()).ok()?)?;
    let length = |count: usize| u32::try_from(count).ok().map(u32::to_le_bytes);
    let head = [length(index.len())?, length(nodes.len())?, length(patterns.len())?];
    let nodes: Vec<[[u8; 4]; 4]> = nodes.into_iter().map(Node::write).collect();
    let roots: Vec<[u8; 4]> = roots.into_iter().map(u32::to_le_bytes).collect();
    let characters: Vec<[u8; 2]> = order.iter().map(|(_, characters, _)| characters.to_le_bytes()).collect();
    let parts = [
        head.as_flattened(),
        &index,
        roots.as_flattened(),
        nodes.as_flattened().as_flattened(),
        characters.as_flattened(),
    ];
    let bytes = parts.concat();
    (u32::try_from(bytes.len()).is_ok()).then_some(Built { bytes, literals: literals.len(), numbers })
}

/// Returns the number of leading steps that two sequences share.
fn shared_steps(a: &[Step], b: &[Step]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

/// A literal of a pattern, by its index in [`Builder::texts`], and its offset.
type Step = (u32, u16);

/// The literals of all patterns.
#[derive(Default)]
struct Builder<'p> {
    ids: HashMap<&'p [u8], u32, foldhash::fast::RandomState>,
    texts: Vec<&'p [u8]>,
    /// The number of occurrences of each literal in the patterns.
    counts: Vec<u32>,
    steps: Vec<Step>,
}

impl<'p> Builder<'p> {
    /// Returns the sequence of each pattern, as a range of `steps`.
    fn sequences(&mut self, patterns: &[&'p [u8]]) -> Vec<Range<usize>> {
        let in_order: Vec<(usize, Range<usize>, usize)> = patterns.iter().map(|pattern| self.read(pattern)).collect();
        // Literals of more than half of the patterns distinguish nothing.
        let common = u32::try_from(patterns.len() / 2).unwrap_or(u32::MAX);
        let mut sequences = Vec::with_capacity(patterns.len());
        for (start, inner, end) in in_order {
            let count = |&(id, _): &Step| self.counts.get(id as usize).copied().unwrap_or(u32::MAX);
            let length = |&(id, _): &Step| self.texts.get(id as usize).map_or(0, |text| text.len());
            let steps = self.steps.get(start..end).unwrap_or_default();
            let rarest = (0..).zip(steps).min_by_key(|(at, step)| (count(step), Reverse(length(step)), *at));
            let Some((rarest, &first)) = rarest else {
                sequences.push(0..0);
                continue;
            };
            let others = (0..)
                .zip(steps)
                .filter(|&(at, step)| at != rarest && (inner.contains(&(start + at)) || count(step) <= common));
            let sequence: SmallVec<[Step; DEEPEST]> =
                std::iter::once(first).chain(others.map(|(_, &step)| step)).take(DEEPEST).collect();
            for (stored, step) in self.steps.iter_mut().skip(start).zip(&sequence) {
                *stored = *step;
            }
            sequences.push(start..start + sequence.len());
        }
        sequences
    }

    /// Appends the literals of a pattern to `steps`, in order. Returns their start, the range of those between stars,
    /// and their end.
    fn read(&mut self, pattern: &'p [u8]) -> (usize, Range<usize>, usize) {
        let start = self.steps.len();
        let (mut inner, mut last) = (start..start, start);
        let mut before = 0;
        for (number, run) in pattern.split(|&byte| byte == STAR).enumerate() {
            last = self.steps.len();
            if number == 1 {
                inner.start = last;
            }
            let pieces = (0..run.len()).step_by(LONGEST).map(|at| match run.get(at..at + LONGEST) {
                Some(piece) => (piece, at + LONGEST),
                None => (run.get(run.len().saturating_sub(LONGEST)..).unwrap_or_default(), run.len()),
            });
            for (text, end) in pieces {
                let id = *self.ids.entry(text).or_insert_with(|| {
                    self.texts.push(text);
                    self.counts.push(0);
                    u32::try_from(self.texts.len() - 1).unwrap_or(NONE)
                });
                if let Some(count) = self.counts.get_mut(id as usize) {
                    *count = count.saturating_add(1);
                }
                self.steps.push((id, u16::try_from(before + end).unwrap_or(u16::MAX)));
            }
            before += run.len();
        }
        inner.end = last.max(inner.start);
        (start, inner, self.steps.len())
    }
}

/// A tree under construction.
#[derive(Default)]
struct Tree {
    nodes: Vec<Node>,
    /// The path from the root to the last node.
    path: Vec<usize>,
    /// The index in [`Builder::texts`] of each literal, by ordinal; the next field is the inverse.
    literals: Vec<u32>,
    ordinals: HashMap<u32, u32, foldhash::fast::RandomState>,
    /// The first root node of each literal, by ordinal.
    roots: Vec<u32>,
}

impl Tree {
    /// Adds a pattern whose sequence shares its first `shared` steps with the previous one.
    fn add(&mut self, sequence: &[Step], shared: usize, pattern: u32) {
        let shared = shared.min(sequence.len());
        self.close(shared);
        for &(id, offset) in sequence.get(self.path.len()..).unwrap_or_default() {
            let literals = &mut self.literals;
            let literal = *self.ordinals.entry(id).or_insert_with(|| {
                literals.push(id);
                u32::try_from(literals.len() - 1).unwrap_or(NONE)
            });
            self.roots.resize(self.literals.len(), NONE);
            let at = self.nodes.len();
            if self.path.is_empty()
                && let (Some(root), Ok(at)) = (self.roots.get_mut(literal as usize), u32::try_from(at))
                && *root == NONE
            {
                *root = at;
            }
            self.path.push(at);
            self.nodes.push(Node { literal, pattern, subtree_end: NONE, offset });
        }
    }

    /// Closes all nodes of the path after the first `depth`.
    fn close(&mut self, depth: usize) {
        let subtree_end = u32::try_from(self.nodes.len()).unwrap_or(NONE);
        for at in self.path.drain(depth.min(self.path.len())..) {
            if let Some(node) = self.nodes.get_mut(at) {
                node.subtree_end = subtree_end;
            }
        }
    }
}

#[cfg(test)]
mod tests;
