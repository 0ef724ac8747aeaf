//! Names counted by what covers them.

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use crate::catalog::Broken;
use crate::coverage::{Coverage, Matches};
use portcullis::model::{Connection, ConnectionId};

/// How many names are kept as examples of each set of patterns, and how many broken rows are told of one by one.
pub const EXAMPLES: usize = 3;

/// Names of one connection, one after the other in one text.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    text: String,
    /// The end of each name in the text, and its line.
    names: Vec<(usize, u64)>,
}

impl Batch {
    /// Adds the name that `write` appends to the text, from this line of the catalog.
    pub fn push(&mut self, line: u64, write: impl FnOnce(&mut String)) {
        write(&mut self.text);
        self.names.push((self.text.len(), line));
    }

    /// How many names it holds.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// How many bytes of names it holds.
    pub fn bytes(&self) -> usize {
        self.text.len()
    }

    fn iter(&self) -> impl Iterator<Item = (&str, u64)> {
        let starts = std::iter::once(0).chain(self.names.iter().map(|(end, _)| *end));
        starts.zip(&self.names).map(|(start, &(end, line))| (self.text.get(start..end).unwrap_or_default(), line))
    }
}

/// The names of a catalog, or of a part of it, counted.
#[derive(Default)]
pub struct NameCounts {
    pub(super) connections: Vec<Counts>,
    /// On connections that the policy does not know.
    pub(super) unknown: Names,
    pub(super) broken: u64,
    pub(super) first_broken: Vec<Broken>,
    matches: Matches,
}

#[derive(Default)]
pub(super) struct Counts {
    pub(super) names: u64,
    /// By the number of a resource, how many names are it.
    pub(super) resources: HashMap<u32, u64, RandomState>,
    /// Names by the patterns that cover them; examples are of those that are no granted resource.
    pub(super) sets: HashMap<Vec<u32>, Names, RandomState>,
}

/// So many names, and the first of them with their lines.
#[derive(Default)]
pub(super) struct Names {
    pub(super) count: u64,
    pub(super) examples: Vec<(u64, String)>,
}

impl Names {
    fn example(&mut self, line: u64, name: &str) {
        if self.examples.len() < EXAMPLES || self.examples.last().is_some_and(|(last, _)| line < *last) {
            let at = self.examples.partition_point(|(before, _)| *before < line);
            self.examples.insert(at, (line, name.to_owned()));
            self.examples.truncate(EXAMPLES);
        }
    }

    fn add(&mut self, other: Self) {
        self.count += other.count;
        other.examples.into_iter().for_each(|(line, name)| self.example(line, &name));
    }
}

impl NameCounts {
    /// Counts the names of a batch. About linear in its bytes.
    pub fn see(&mut self, coverage: &Coverage<'_>, connection: ConnectionId, batch: &Batch) {
        let Some(sources) = coverage.sources(connection) else { return };
        self.connections.resize_with(coverage.connections().len(), Counts::default);
        let mut matches = std::mem::take(&mut self.matches);
        sources.kernel().covering(batch.iter().map(|(name, _)| name), &mut matches);
        for ((name, line), at) in batch.iter().zip(0..) {
            let Some(ids) = matches.get(at) else {
                let connection = coverage.policy().connection(connection);
                let dialect = connection.map(Connection::dialect).unwrap_or_default();
                self.broken(Broken::malformed(line, name, dialect));
                continue;
            };
            let Some(counts) = self.connections.get_mut(connection.index()) else { continue };
            counts.names += 1;
            let (resources, patterns) = sources.split(ids);
            let set = counts.sets.entry_ref(patterns).or_default();
            set.count += 1;
            match resources {
                [] => set.example(line, name),
                _ => resources.iter().for_each(|&id| *counts.resources.entry(id).or_default() += 1),
            }
        }
        self.matches = matches;
    }

    /// Counts a name on a connection that the policy does not know.
    pub fn unknown(&mut self, line: u64, connection: &str, name: &str) {
        self.unknown.count += 1;
        self.unknown.example(line, &format!("{connection}: {name}"));
    }

    /// Counts a row that holds no name.
    pub fn broken(&mut self, broken: Broken) {
        self.broken += 1;
        self.first_broken.push(broken);
        self.first_broken.sort_by_key(|broken| broken.line);
        self.first_broken.truncate(EXAMPLES);
    }

    /// Adds what another tally of the same policy counted.
    pub fn add(&mut self, other: Self) {
        self.connections.resize_with(self.connections.len().max(other.connections.len()), Counts::default);
        for (counts, other) in self.connections.iter_mut().zip(other.connections) {
            counts.names += other.names;
            other.resources.into_iter().for_each(|(id, count)| *counts.resources.entry(id).or_default() += count);
            other.sets.into_iter().for_each(|(set, names)| counts.sets.entry(set).or_default().add(names));
        }
        self.unknown.add(other.unknown);
        let broken = self.broken + other.broken;
        other.first_broken.into_iter().for_each(|broken| self.broken(broken));
        self.broken = broken;
    }
}
