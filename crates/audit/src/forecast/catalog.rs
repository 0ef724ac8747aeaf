//! Keeps the part of a catalog that a forecast needs: schemas and short names.

use std::collections::{BTreeMap, HashMap};

use super::{Options, SCHEMAS, SLACK, patterns};
use portcullis::model::{Connection, ConnectionId, Policy};
use portcullis::name::{CanonicalName, NameBuffer, STAR};
use portcullis::pattern::Pattern;
use portcullis_diff::patterns::{Lookup, PatternIndex};

/// The existing names that patterns cover, added one by one.
///
/// Keeps the shortest schemas of each pattern, and names whose last segment is nearly as short as the pattern allows.
/// Memory depends mostly on the patterns, not on the catalog.
pub struct Catalog<'p> {
    policy: &'p Policy,
    numbers: HashMap<&'p str, usize>,
    connections: Vec<Known>,
}

/// The kept names of one connection.
#[derive(Default)]
struct Known {
    patterns: PatternIndex,
    near: Lookup,
    by_pattern: HashMap<Box<[u8]>, usize>,
    /// For each pattern, the min characters of its last segment.
    shortest: Vec<usize>,
    /// For each pattern, the kept names that it covers.
    kept: Vec<Kept>,
    /// The leading segments of patterns, all but the last.
    leading: PatternIndex,
    /// For each of `leading`, the patterns with these segments.
    led: Vec<Vec<usize>>,
    /// The number of names by number of segments.
    segments: BTreeMap<usize, u64>,
    /// The schema of the previous name.
    last: Vec<u8>,
}

/// The kept schemas and names that a pattern covers, in canonical form.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// The shortest schemas, each with its length in characters.
    pub(super) schemas: Vec<(usize, Box<[u8]>)>,
    /// The short names.
    pub(super) names: std::collections::BTreeSet<Box<[u8]>>,
}

impl<'p> Catalog<'p> {
    /// Creates an empty catalog for the patterns of `policy` that `options` select.
    pub fn new(policy: &'p Policy, options: &Options) -> Self {
        let mut connections: Vec<Known> = policy.connections().iter().map(|_| Known::default()).collect();
        for (connection, patterns) in patterns(policy, options) {
            if let Some(known) = connections.get_mut(connection) {
                known.index(&patterns);
            }
        }
        let numbers = policy.connections().iter().map(Connection::name).zip(0..).collect();
        Self { policy, numbers, connections }
    }

    /// Adds a name of the catalog, in the dialect of its connection. Returns false if it is malformed (N2.4). Names on
    /// connections that the policy does not have are ignored.
    pub fn see(&mut self, connection: &str, name: &str) -> bool {
        let at = self.numbers.get(connection).copied();
        let dialect = at.and_then(|at| self.policy.connections().get(at)).map(Connection::dialect).unwrap_or_default();
        let mut buffer = NameBuffer::new();
        let Ok(name) = CanonicalName::read(name, dialect, &mut buffer) else { return false };
        if let Some(known) = at.and_then(|at| self.connections.get_mut(at)) {
            known.see(name);
        }
        true
    }

    /// Returns the number of segments that most names of a connection have.
    pub(super) fn segments(&self, connection: ConnectionId) -> Option<usize> {
        let counts = &self.connections.get(connection.index())?.segments;
        counts.iter().max_by_key(|(_, count)| **count).map(|(segments, _)| *segments)
    }

    /// Returns the kept names that a pattern covers.
    pub(super) fn of(&self, connection: ConnectionId, pattern: &Pattern) -> Option<&Kept> {
        let known = self.connections.get(connection.index())?;
        known.kept.get(*known.by_pattern.get(pattern.as_bytes())?)
    }
}

impl Known {
    fn index(&mut self, patterns: &[Pattern]) {
        let mut leads: HashMap<&[u8], u32> = HashMap::new();
        for (number, pattern) in patterns.iter().enumerate() {
            let (lead, last) = split(pattern.as_bytes());
            self.by_pattern.insert(pattern.as_bytes().into(), number);
            self.shortest.push(least(last));
            self.kept.push(Kept::default());
            let next = self.led.len();
            let lead_number = *leads.entry(lead).or_insert(u32::try_from(next).unwrap_or(u32::MAX)) as usize;
            if lead_number == next {
                self.led.push(Vec::new());
            }
            if let Some(led) = self.led.get_mut(lead_number) {
                led.push(number);
            }
        }
        self.patterns = PatternIndex::new((0..).zip(patterns.iter().map(Pattern::as_bytes)));
        self.leading = PatternIndex::new(leads.into_iter().map(|(lead, number)| (number, lead)));
    }

    fn see(&mut self, name: CanonicalName<'_>) {
        *self.segments.entry(name.segment_count()).or_default() += 1;
        let bytes = name.as_bytes();
        let (schema, last) = split(bytes);
        if schema.is_empty() {
            return;
        }
        let Self { patterns, near, shortest, kept, leading, led, .. } = self;
        if self.last != schema {
            self.last = schema.to_vec();
            for lead in leading.covering(schema) {
                for &pattern in led.get(lead as usize).into_iter().flatten() {
                    if let Some(kept) = kept.get_mut(pattern) {
                        kept.schema(schema);
                    }
                }
            }
        }
        let length = characters(last);
        patterns.each_covering(name, near, |number| {
            let number = number as usize;
            if shortest.get(number).is_some_and(|shortest| length <= shortest + SLACK)
                && let Some(kept) = kept.get_mut(number)
                && !kept.names.contains(bytes)
            {
                kept.names.insert(bytes.into());
            }
        });
    }
}

impl Kept {
    fn schema(&mut self, schema: &[u8]) {
        let length = characters(schema);
        let before = |known: &(usize, Box<[u8]>)| (known.0, &*known.1) < (length, schema);
        let at = self.schemas.partition_point(before);
        if at < SCHEMAS && self.schemas.get(at).is_none_or(|(_, known)| &**known != schema) {
            self.schemas.insert(at, (length, schema.into()));
            self.schemas.truncate(SCHEMAS);
        }
    }
}

/// Splits a name or pattern before its last segment.
pub(super) fn split(canonical: &[u8]) -> (&[u8], &[u8]) {
    let dot = memchr::memrchr(b'.', canonical);
    let cut = dot.and_then(|dot| Some((canonical.get(..dot)?, canonical.get(dot + 1..)?)));
    cut.unwrap_or((&[], canonical))
}

/// Returns the min characters of a segment that the pattern's segment covers: its literal characters, and at least one.
pub(super) fn least(segment: &[u8]) -> usize {
    let text = String::from_utf8_lossy(segment);
    text.chars().filter(|&character| character != char::from(STAR)).count().max(1)
}

pub(super) fn characters(canonical: &[u8]) -> usize {
    String::from_utf8_lossy(canonical).chars().count()
}
