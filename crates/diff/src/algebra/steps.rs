//! Matches one pattern against a name, one character at a time.

use smallvec::SmallVec;

use portcullis::name::STAR;

/// The end of a segment.
pub(super) const END: char = '.';

/// The characters of a pattern, or of a name, which has no stars.
pub(super) struct Steps {
    symbols: Vec<char>,
}

/// The possible positions in a pattern, ascending. All are in one segment, because only a dot leaves a segment.
pub(super) type Positions = SmallVec<[u16; 4]>;

impl Steps {
    pub(super) fn new(canonical: &[u8]) -> Self {
        Self { symbols: String::from_utf8_lossy(canonical).chars().collect() }
    }

    pub(super) fn segments(&self) -> usize {
        1 + self.symbols.iter().filter(|&&symbol| symbol == END).count()
    }

    pub(super) fn start() -> Positions {
        SmallVec::from_slice(&[0])
    }

    fn is_star(&self, position: u16) -> bool {
        self.symbols.get(usize::from(position)) == Some(&char::from(STAR))
    }

    /// Returns the literal character after a position, if there is one.
    fn literal(&self, position: u16) -> Option<char> {
        self.symbols.get(usize::from(position) + usize::from(self.is_star(position))).copied()
    }

    /// Whether every character except the end of the segment continues the pattern.
    pub(super) fn takes_any(&self, positions: &Positions) -> bool {
        positions.iter().any(|&position| self.is_star(position))
    }

    /// Whether the pattern covers every rest of the name.
    pub(super) fn takes_the_rest(&self, positions: &Positions) -> bool {
        positions.iter().any(|&position| self.is_star(position) && usize::from(position) + 1 == self.symbols.len())
    }

    /// Returns the literal characters after the positions.
    pub(super) fn literals<'a>(&'a self, positions: &'a Positions) -> impl Iterator<Item = char> + 'a {
        positions.iter().filter_map(|&position| self.literal(position))
    }

    /// Whether the pattern can end at one of the positions.
    pub(super) fn ends(&self, positions: &Positions) -> bool {
        positions
            .iter()
            .any(|&position| usize::from(position) + usize::from(self.is_star(position)) == self.symbols.len())
    }

    /// Returns the positions after `read`; empty if the pattern does not match.
    pub(super) fn step(&self, positions: &Positions, read: char) -> Positions {
        let mut next = Positions::new();
        for &position in positions {
            let is_star = self.is_star(position);
            if is_star && read != END {
                next.push(position);
            }
            if self.literal(position) == Some(read) {
                next.push(position + 1 + u16::from(is_star));
            }
        }
        next.sort_unstable();
        next.dedup();
        // A star also matches whatever positions before it match.
        if let Some(star) = next.iter().rposition(|&position| self.is_star(position)) {
            next.drain(..star);
        }
        next
    }
}
