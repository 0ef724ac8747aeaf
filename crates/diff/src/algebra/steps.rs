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
pub(super) type Places = SmallVec<[u16; 4]>;

impl Steps {
    pub(super) fn new(canonical: &[u8]) -> Self {
        Self { symbols: String::from_utf8_lossy(canonical).chars().collect() }
    }

    pub(super) fn segments(&self) -> usize {
        1 + self.symbols.iter().filter(|&&symbol| symbol == END).count()
    }

    pub(super) fn start() -> Places {
        SmallVec::from_slice(&[0])
    }

    fn is_star(&self, place: u16) -> bool {
        self.symbols.get(usize::from(place)) == Some(&char::from(STAR))
    }

    /// Returns the literal character after a position, if there is one.
    fn literal(&self, place: u16) -> Option<char> {
        self.symbols.get(usize::from(place) + usize::from(self.is_star(place))).copied()
    }

    /// Whether every character except the end of the segment continues the pattern.
    pub(super) fn takes_any(&self, places: &Places) -> bool {
        places.iter().any(|&place| self.is_star(place))
    }

    /// Whether the pattern covers every rest of the name.
    pub(super) fn takes_the_rest(&self, places: &Places) -> bool {
        places.iter().any(|&place| self.is_star(place) && usize::from(place) + 1 == self.symbols.len())
    }

    /// Returns the literal characters after the positions.
    pub(super) fn literals<'a>(&'a self, places: &'a Places) -> impl Iterator<Item = char> + 'a {
        places.iter().filter_map(|&place| self.literal(place))
    }

    /// Whether the pattern can end at one of the positions.
    pub(super) fn ends(&self, places: &Places) -> bool {
        places.iter().any(|&place| usize::from(place) + usize::from(self.is_star(place)) == self.symbols.len())
    }

    /// Returns the positions after `read`; empty if the pattern does not match.
    pub(super) fn step(&self, places: &Places, read: char) -> Places {
        let mut next = Places::new();
        for &place in places {
            let is_star = self.is_star(place);
            if is_star && read != END {
                next.push(place);
            }
            if self.literal(place) == Some(read) {
                next.push(place + 1 + u16::from(is_star));
            }
        }
        next.sort_unstable();
        next.dedup();
        // A star also matches whatever positions before it match.
        if let Some(star) = next.iter().rposition(|&place| self.is_star(place)) {
            next.drain(..star);
        }
        next
    }
}
