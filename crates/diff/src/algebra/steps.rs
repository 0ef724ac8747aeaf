//! One pattern, read a character at a time.

use smallvec::SmallVec;

use portcullis::name::STAR;

/// What ends a segment.
pub(super) const END: char = '.';

/// A pattern's characters; a name is one without stars.
pub(super) struct Steps {
    symbols: Vec<char>,
}

/// How far a pattern may have been read, ascending. All places are in one segment: only a dot leads out of one.
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

    /// The character that leads on from a place, if it is a certain one.
    fn literal(&self, place: u16) -> Option<char> {
        self.symbols.get(usize::from(place) + usize::from(self.is_star(place))).copied()
    }

    /// Whether any character but the end of the segment leads on.
    pub(super) fn takes_any(&self, places: &Places) -> bool {
        places.iter().any(|&place| self.is_star(place))
    }

    /// Whether whatever follows is covered, up to the end of the name.
    pub(super) fn takes_the_rest(&self, places: &Places) -> bool {
        places.iter().any(|&place| self.is_star(place) && usize::from(place) + 1 == self.symbols.len())
    }

    /// The characters that lead on where others do not.
    pub(super) fn literals<'a>(&'a self, places: &'a Places) -> impl Iterator<Item = char> + 'a {
        places.iter().filter_map(|&place| self.literal(place))
    }

    /// Whether the pattern may end here.
    pub(super) fn ends(&self, places: &Places) -> bool {
        places.iter().any(|&place| usize::from(place) + usize::from(self.is_star(place)) == self.symbols.len())
    }

    /// Where `read` leads; nowhere, if the pattern does not cover what was read.
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
        // Whatever leads on from before a star leads on from that star.
        if let Some(star) = next.iter().rposition(|&place| self.is_star(place)) {
            next.drain(..star);
        }
        next
    }
}
