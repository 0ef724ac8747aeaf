//! The search for a shortest name that some patterns cover and others do not.
//!
//! A state is how far each pattern may have been read: two beginnings of names that lead to the same are one. States are
//! visited by the length of what leads to them, so the first that ends well is reached by a shortest name.

use std::collections::{HashSet, VecDeque};

use foldhash::fast::RandomState;

use super::steps::{END, Places, Steps};
use super::valid::Segment;
use portcullis::name::{Dialect, Name, NameDisplay};

pub(super) enum Found {
    /// There is no such name.
    Nothing,
    Name(Name),
    /// The budget is used up, or only longer names than there can be are left.
    GivenUp,
}

pub(super) struct Search {
    dialect: Dialect,
    inside: Vec<Steps>,
    outside: Vec<Steps>,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct State {
    inside: Vec<Places>,
    /// Those that still cover what was read, by number.
    outside: Vec<(u32, Places)>,
    segment: Segment,
}

/// A state that was reached, by which character from which.
struct Reached {
    before: usize,
    read: char,
}

impl Search {
    /// For a name that all of `inside`, of which there is one at least, and none of `outside` cover.
    pub(super) fn new(dialect: Dialect, inside: &[Vec<u8>], outside: &[Vec<u8>]) -> Self {
        let steps = |patterns: &[Vec<u8>]| patterns.iter().map(|pattern| Steps::new(pattern)).collect::<Vec<_>>();
        let mut search = Self { dialect, inside: steps(inside), outside: steps(outside) };
        // Only patterns with as many segments cover the same name (N3.2).
        let segments = search.inside.first().map_or(0, Steps::segments);
        search.outside.retain(|pattern| pattern.segments() == segments);
        search
    }

    pub(super) fn run(&self, mut steps: u64) -> Found {
        let segments = self.inside.first().map_or(0, Steps::segments);
        if segments == 0 || self.inside.iter().any(|pattern| pattern.segments() != segments) {
            return Found::Nothing;
        }
        let start = State {
            inside: vec![Steps::start(); self.inside.len()],
            outside: (0..).zip(&self.outside).map(|(number, _)| (number, Steps::start())).collect(),
            segment: Segment::first(self.dialect),
        };
        let mut reached = vec![Reached { before: 0, read: END }];
        let mut seen: HashSet<State, RandomState> = HashSet::default();
        let mut waiting = VecDeque::from([(0, start.clone())]);
        seen.insert(start);
        while let Some((at, state)) = waiting.pop_front() {
            let cost = 1 + state.inside.len() + state.outside.len();
            match steps.checked_sub(cost as u64) {
                Some(left) => steps = left,
                None => return Found::GivenUp,
            }
            if self.is_found(&state) {
                return self.name(&reached, at);
            }
            for read in self.characters(&state) {
                let Some(next) = self.next(&state, read).filter(|next| !seen.contains(next)) else { continue };
                reached.push(Reached { before: at, read });
                waiting.push_back((reached.len() - 1, next.clone()));
                seen.insert(next);
            }
        }
        Found::Nothing
    }

    fn is_found(&self, state: &State) -> bool {
        state.segment.can_end()
            && self.inside.iter().zip(&state.inside).all(|(pattern, places)| pattern.ends(places))
            && !self.outside_of(state).any(|(pattern, places)| pattern.ends(places))
    }

    fn outside_of<'s>(&'s self, state: &'s State) -> impl Iterator<Item = (&'s Steps, &'s Places)> {
        state.outside.iter().filter_map(|(number, places)| Some((self.outside.get(*number as usize)?, places)))
    }

    /// The characters by which states differ, the most readable first.
    fn characters(&self, state: &State) -> Vec<char> {
        let inside = || self.inside.iter().zip(&state.inside);
        let certain = inside().find(|(pattern, places)| !pattern.takes_any(places));
        let mut characters: Vec<char> = if let Some((pattern, places)) = certain {
            // Nothing else leads on.
            pattern.literals(places).collect()
        } else {
            let all = inside().chain(self.outside_of(state));
            let mut written: Vec<char> = all.flat_map(|(pattern, places)| pattern.literals(places)).collect();
            // For all characters that are not written here.
            written.extend(readable(self.dialect).find(|character| !written.contains(character)));
            written
        };
        let rank = |character: &char| readable(self.dialect).take(64).position(|other| other == *character);
        characters.sort_unstable_by_key(|character| (rank(character).unwrap_or(usize::MAX), *character));
        characters.dedup();
        characters
    }

    /// Where `read` leads; `None` where no name that is looked for goes on so.
    fn next(&self, state: &State, read: char) -> Option<State> {
        let segment = state.segment.read(read)?;
        let mut inside = Vec::with_capacity(state.inside.len());
        for (pattern, places) in self.inside.iter().zip(&state.inside) {
            inside.push(Some(pattern.step(places, read)).filter(|places| !places.is_empty())?);
        }
        let mut outside = Vec::new();
        for (number, places) in &state.outside {
            let pattern = self.outside.get(*number as usize)?;
            let places = pattern.step(places, read);
            if pattern.takes_the_rest(&places) {
                return None;
            }
            if !places.is_empty() {
                outside.push((*number, places));
            }
        }
        Some(State { inside, outside, segment })
    }

    /// The name that led to a state.
    fn name(&self, reached: &[Reached], mut at: usize) -> Found {
        let mut characters = Vec::new();
        while let Some(step) = reached.get(at).filter(|_| at > 0) {
            characters.push(step.read);
            at = step.before;
        }
        let canonical: String = characters.into_iter().rev().collect();
        let written = NameDisplay { bytes: canonical.as_bytes().into(), dialect: self.dialect }.to_string();
        match Name::parse(&written, self.dialect) {
            Ok(name) if name.as_bytes() == canonical.as_bytes() => Found::Name(name),
            _ => Found::GivenUp,
        }
    }
}

/// Characters that stand bare and unfolded in every name of the dialect, the most readable first; they do not end before
/// any pattern does.
fn readable(dialect: Dialect) -> impl Iterator<Item = char> {
    let fold = dialect.bare_fold();
    let letters = if fold.is_upper() == Some(true) { 'A'..='Z' } else { 'a'..='z' };
    let stays = move |character: &char| character.is_alphabetic() && fold.apply(*character).as_ref() == Ok(character);
    letters.chain('0'..='9').chain(['_']).chain(('\u{e0}'..'\u{2000}').filter(stays))
}
