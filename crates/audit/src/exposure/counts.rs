//! Counts names by the sources that cover them.

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use crate::catalog::Broken;
use crate::coverage::{Coverage, Matches};
use portcullis::model::{Connection, ConnectionId};

/// Max names kept as examples of each set of patterns, and max broken rows that are kept.
pub const EXAMPLES: usize = 3;

/// Names of one connection, concatenated in one text.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    text: String,
    /// For each name, its end in the text and its line.
    names: Vec<(usize, u64)>,
}

impl Batch {
    /// Adds the name on `line` of the catalog; `write` appends the name to the text.
    pub fn push(&mut self, line: u64, write: impl FnOnce(&mut String)) {
        write(&mut self.text);
        self.names.push((self.text.len(), line));
    }

    /// Returns the number of names.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether the batch has no names.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Returns the number of bytes of all names.
    pub fn bytes(&self) -> usize {
        self.text.len()
    }

    fn iter(&self) -> impl Iterator<Item = (&str, u64)> {
        let starts = std::iter::once(0).chain(self.names.iter().map(|(end, _)| *end));
        starts.zip(&self.names).map(|(start, &(end, line))| (self.text.get(start..end).unwrap_or_default(), line))
    }
}

/// The counted names of a catalog, or of a part of one.
#[derive(Default)]
pub struct NameCounts {
    pub(super) connections: Vec<Counts>,
    /// Names on connections that the policy does not have.
    pub(super) unknown: Names,
    pub(super) broken: u64,
    pub(super) first_broken: Vec<Broken>,
    matches: Matches,
}

#[derive(Default)]
pub(super) struct Counts {
    pub(super) names: u64,
    /// By the number of a resource, how often the catalog has its name.
    pub(super) resources: HashMap<u32, u64, RandomState>,
    /// Names by the patterns that cover them. Examples are names that are not a granted resource.
    pub(super) sets: HashMap<Vec<u32>, Names, RandomState>,
}

/// A number of names, and the first of them with their lines.
#[derive(Default)]
pub(super) struct Names {
    pub(super) count: u64,
    pub(super) examples: Vec<(u64, String)>,
}

impl Names {
    fn example(&mut self, line: u64, name: &str) {
        if self.examples.len() < EXAMPLES || self.examples.last().is_some_and(|(last, _)| line < *last) {
            let index = self.examples.partition_point(|(before, _)| *before < line);
            self.examples.insert(index, (line, name.to_owned()));
            self.examples.truncate(EXAMPLES);
        }
    }

    fn add(&mut self, other: Self) {
        self.count += other.count;
        other.examples.into_iter().for_each(|(line, name)| self.example(line, &name));
    }
}

impl NameCounts {
    /// Counts the names of a batch. About linear in the bytes of the batch.
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

    /// Counts a name on a connection that the policy does not have.
    pub fn unknown(&mut self, line: u64, connection: &str, name: &str) {
        self.unknown.count += 1;
        self.unknown.example(line, &format!("{connection}: {name}"));
    }

    /// Counts a row without a valid name.
    pub fn broken(&mut self, broken: Broken) {
        self.broken += 1;
        self.first_broken.push(broken);
        self.first_broken.sort_by_key(|broken| broken.line);
        self.first_broken.truncate(EXAMPLES);
    }

    /// Adds the counts of another part of the catalog, made with the same policy.
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
