//! Searches for the shortest names of one pattern that do not exist.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};

use super::SLACK;
use super::catalog::{Kept, characters, least, split};
use portcullis::name::{Dialect, Name};
use portcullis::pattern::Pattern;
use portcullis_diff::algebra::{Algebra, Names, Proof};

pub(super) struct Search<'k> {
    algebra: Algebra,
    pattern: &'k Pattern,
    /// The min characters of the pattern's last segment.
    least: usize,
    kept: Option<&'k Kept>,
    found: BTreeSet<Box<[u8]>>,
}

/// The next candidate, the shortest first: its characters, the number of its schema, and its next name if known.
type Next = Reverse<(usize, usize, Option<Name>)>;

impl<'k> Search<'k> {
    pub(super) fn new(dialect: Dialect, pattern: &'k Pattern, kept: Option<&'k Kept>) -> Self {
        let least = least(split(pattern.as_bytes()).1);
        Self { algebra: Algebra::new(dialect), pattern, least, kept, found: BTreeSet::new() }
    }

    /// Returns the first names, each with whether its schema exists.
    pub(super) fn names(mut self, count: usize) -> Vec<(Name, bool)> {
        let mut names = self.in_schemas(count);
        while names.len() < count {
            let Some(name) = self.next(self.pattern.as_bytes()) else { break };
            self.found.insert(name.as_bytes().into());
            names.push((name, false));
        }
        names
    }

    fn in_schemas(&mut self, count: usize) -> Vec<(Name, bool)> {
        let (_, last) = split(self.pattern.as_bytes());
        let schemas = self.kept.map(|kept| kept.schemas.as_slice()).unwrap_or_default();
        // A lower bound for the length of a name in the schema.
        let start =
            |(number, (length, _)): (usize, &(usize, Box<[u8]>))| Reverse((length + 1 + self.least, number, None));
        let mut waiting: BinaryHeap<Next> = schemas.iter().enumerate().map(start).collect();
        let mut names = Vec::new();
        while let Some(Reverse((_, number, name))) = waiting.pop() {
            if names.len() == count {
                break;
            }
            if let Some(name) = name {
                self.found.insert(name.as_bytes().into());
                names.push((name, true));
            }
            let Some((_, schema)) = schemas.get(number) else { continue };
            let inside = [schema, &b"."[..], last].concat();
            if let Some(next) = self.next(&inside) {
                waiting.push(Reverse((characters(next.as_bytes()), number, Some(next))));
            }
        }
        names
    }

    /// Returns the shortest new name of `inside` that is known not to exist; `inside` is a part of the pattern in
    /// canonical form.
    fn next(&self, inside: &[u8]) -> Option<Name> {
        let inside = Names::of_canonical(inside);
        let known = self.kept.into_iter().flat_map(|kept| &kept.names).chain(&self.found);
        let known: Vec<Names<'_>> =
            known.map(|name| Names::of_canonical(name)).filter(|name| name.may_overlap(&inside)).collect();
        let Proof::Fails(name) = self.algebra.covered(inside, &known) else { return None };
        (characters(split(name.as_bytes()).1) <= self.least + SLACK).then_some(name)
    }
}
