//! Searches for a shortest name that all of some patterns cover, and none of other patterns.
//!
//! A state holds the possible positions in each pattern. Prefixes of names that lead to equal states are explored once.
//! States are visited by the length of their prefix, so the first accepted state belongs to a shortest name.

use std::collections::{HashSet, VecDeque};

use foldhash::fast::RandomState;

use super::steps::{END, Positions, Steps};
use super::valid::Segment;
use portcullis::name::{Dialect, Name, NameDisplay};

pub(super) enum SearchOutcome {
    /// No such name exists.
    Nothing,
    Name(Name),
    /// The budget is used up, or every name that is left exceeds the length limit.
    GivenUp,
}

pub(super) struct Search {
    dialect: Dialect,
    inside: Vec<Steps>,
    outside: Vec<Steps>,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct State {
    inside: Vec<Positions>,
    /// By number, the patterns that still match the prefix.
    outside: Vec<(u32, Positions)>,
    segment: Segment,
}

/// A reached state: the index of the previous one, and the character between them.
struct Reached {
    before: usize,
    read: char,
}

impl Search {
    /// Searches for a name that all of `inside` cover (at least one pattern), and none of `outside`.
    pub(super) fn new(dialect: Dialect, inside: &[Vec<u8>], outside: &[Vec<u8>]) -> Self {
        let steps = |patterns: &[Vec<u8>]| patterns.iter().map(|pattern| Steps::new(pattern)).collect::<Vec<_>>();
        let mut search = Self { dialect, inside: steps(inside), outside: steps(outside) };
        // Only patterns with as many segments cover the same name (N3.2).
        let segments = search.inside.first().map_or(0, Steps::segments);
        search.outside.retain(|pattern| pattern.segments() == segments);
        search
    }

    pub(super) fn run(&self, mut steps: u64) -> SearchOutcome {
        let segments = self.inside.first().map_or(0, Steps::segments);
        if segments == 0 || self.inside.iter().any(|pattern| pattern.segments() != segments) {
            return SearchOutcome::Nothing;
        }
        let start = State {
            inside: vec![Steps::start(); self.inside.len()],
            outside: (0..).zip(&self.outside).map(|(number, _)| (number, Steps::start())).collect(),
            segment: Segment::first(self.dialect),
        };
        let mut reached = vec![Reached { before: 0, read: END }];
        let mut visited: HashSet<State, RandomState> = HashSet::default();
        let mut waiting = VecDeque::from([(0, start.clone())]);
        visited.insert(start);
        while let Some((at, state)) = waiting.pop_front() {
            let cost = 1 + state.inside.len() + state.outside.len();
            match steps.checked_sub(cost as u64) {
                Some(left) => steps = left,
                None => return SearchOutcome::GivenUp,
            }
            if self.is_found(&state) {
                return self.name(&reached, at);
            }
            for read in self.characters(&state) {
                let Some(next) = self.next(&state, read).filter(|next| !visited.contains(next)) else { continue };
                reached.push(Reached { before: at, read });
                waiting.push_back((reached.len() - 1, next.clone()));
                visited.insert(next);
            }
        }
        SearchOutcome::Nothing
    }

    fn is_found(&self, state: &State) -> bool {
        state.segment.can_end()
            && self.inside.iter().zip(&state.inside).all(|(pattern, positions)| pattern.ends(positions))
            && !self.outside_of(state).any(|(pattern, positions)| pattern.ends(positions))
    }

    fn outside_of<'s>(&'s self, state: &'s State) -> impl Iterator<Item = (&'s Steps, &'s Positions)> {
        state.outside.iter().filter_map(|(number, positions)| Some((self.outside.get(*number as usize)?, positions)))
    }

    /// Returns the characters that lead to different states, the most readable first.
    fn characters(&self, state: &State) -> Vec<char> {
        let inside = || self.inside.iter().zip(&state.inside);
        let certain = inside().find(|(pattern, positions)| !pattern.takes_any(positions));
        let mut characters: Vec<char> = if let Some((pattern, positions)) = certain {
            // No other character continues this pattern.
            pattern.literals(positions).collect()
        } else {
            let all = inside().chain(self.outside_of(state));
            let mut written: Vec<char> = all.flat_map(|(pattern, positions)| pattern.literals(positions)).collect();
            // One character represents all that no pattern writes here.
            written.extend(readable(self.dialect).find(|character| !written.contains(character)));
            written
        };
        let rank = |character: &char| readable(self.dialect).take(64).position(|other| other == *character);
        characters.sort_unstable_by_key(|character| (rank(character).unwrap_or(usize::MAX), *character));
        characters.dedup();
        characters
    }

    /// Returns the state after `read`; `None` if no name that is searched for continues like this.
    fn next(&self, state: &State, read: char) -> Option<State> {
        let segment = state.segment.read(read)?;
        let mut inside = Vec::with_capacity(state.inside.len());
        for (pattern, positions) in self.inside.iter().zip(&state.inside) {
            inside.push(Some(pattern.step(positions, read)).filter(|positions| !positions.is_empty())?);
        }
        let mut outside = Vec::new();
        for (number, positions) in &state.outside {
            let pattern = self.outside.get(*number as usize)?;
            let positions = pattern.step(positions, read);
            if pattern.takes_the_rest(&positions) {
                return None;
            }
            if !positions.is_empty() {
                outside.push((*number, positions));
            }
        }
        Some(State { inside, outside, segment })
    }

    /// Returns the name that leads to a state.
    fn name(&self, reached: &[Reached], mut at: usize) -> SearchOutcome {
        let mut characters = Vec::new();
        while let Some(step) = reached.get(at).filter(|_| at > 0) {
            characters.push(step.read);
            at = step.before;
        }
        let canonical: String = characters.into_iter().rev().collect();
        let written = NameDisplay { bytes: canonical.as_bytes().into(), dialect: self.dialect }.to_string();
        match Name::parse(&written, self.dialect) {
            Ok(name) if name.as_bytes() == canonical.as_bytes() => SearchOutcome::Name(name),
            _ => SearchOutcome::GivenUp,
        }
    }
}

/// Yields characters that are valid without quotes and unchanged by folding, the most readable first. There are more of
/// them than a pattern can write.
fn readable(dialect: Dialect) -> impl Iterator<Item = char> {
    let fold = dialect.bare_fold();
    let letters = if fold.is_upper() == Some(true) { 'A'..='Z' } else { 'a'..='z' };
    let stays = move |character: &char| character.is_alphabetic() && fold.apply(*character).as_ref() == Ok(character);
    letters.chain('0'..='9').chain(['_']).chain(('\u{e0}'..'\u{2000}').filter(stays))
}
