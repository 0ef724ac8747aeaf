//! What of a catalog each token exposes, name by name.

use std::collections::HashMap;
use std::fmt;

use foldhash::fast::RandomState;

use super::data::{Exposed, ExposedSchema, Exposure, Matrix, MatrixRow};
use crate::audit::patterns::PatternIndex;
use crate::base::Timestamp;
use crate::model::{Connection, GrantKinds, GrantSource, Operation, Policy, Referers, Token};
use crate::name::{CanonicalName, Name, NameBuffer};

/// How many tokens and schemas the charts show.
const BARS: usize = 20;
const ROWS: usize = 30;
const COLUMNS: usize = 16;

/// Counts names of a catalog, seen one by one and not kept, by who may read them.
///
/// Names of one schema that the same grants cover count together, so memory grows with those sets and with schemas, not
/// with names; what a name costs does not depend on how many tokens have those grants.
///
/// ```
/// use portcullis::audit::report::{Report, Tally};
///
/// let policy = portcullis::read_policy(r#"[{"id": "a", "token": "s3cret", "allowed_apis": ["maps"],
///     "grants": [{"connection_name": "dw", "source": "db.s.*"}]}]"#)?;
/// let now = "2026-11-24".parse().unwrap();
/// let mut tally = Tally::new(&policy, now);
/// assert!(tally.see("dw", "db.s.roads") && tally.see("dw", "db.t.roads") && !tally.see("dw", "db..roads"));
/// let exposure = Report::new("policy.json", &policy, now).with_catalog("catalog.csv", &tally).exposure.unwrap();
/// assert_eq!((exposure.names, exposure.exposed, exposure.tokens[0].names), (2, 1, 1));
/// # Ok::<(), portcullis::load::LoadError>(())
/// ```
pub struct Tally<'p> {
    policy: &'p Policy,
    now: Timestamp,
    connections: Vec<Grants>,
    numbers: HashMap<&'p str, usize>,
    schemas: Vec<Schema>,
    schema_numbers: HashMap<Box<[u8]>, u32>,
    /// Names of one schema that the same patterns cover: the connection, the schema, the numbers of the patterns.
    sets: HashMap<(u32, u32, Box<[u32]>), u32, RandomState>,
    counts: Vec<Count>,
}

/// So many names of a schema.
#[derive(Debug, Clone, Copy)]
struct Count {
    schema: u32,
    names: u64,
}

/// What is granted on a connection.
#[derive(Default)]
struct Grants {
    patterns: PatternIndex,
    numbers: HashMap<Box<[u8]>, u32, RandomState>,
    resources: HashMap<Box<[u8]>, Resource, RandomState>,
    /// Whether somebody has all sources.
    all: bool,
}

/// A granted resource: how often the catalog has it, and the set of the patterns that cover it.
#[derive(Debug, Clone, Copy, Default)]
struct Resource {
    seen: Option<(Count, u32)>,
}

struct Schema {
    shown: String,
    /// Of those of the policy.
    connection: Option<u32>,
    names: u64,
    exposed: u64,
}

impl<'p> Tally<'p> {
    /// Before any name is seen. Tokens that are expired at `now` expose nothing.
    pub fn new(policy: &'p Policy, now: Timestamp) -> Self {
        let mut connections: Vec<Grants> = policy.connections().iter().map(|_| Grants::default()).collect();
        for token in policy.tokens().iter().filter(|token| !token.expiry().is_expired(now)) {
            let considered = considered(policy, token);
            for grant in token.grants().iter().filter(|grant| considered.contains(grant.source().kind())) {
                let Some(grants) = connections.get_mut(grant.connection().index()) else { continue };
                match grant.source() {
                    GrantSource::Resource(name) => grants.resource(name.as_bytes()),
                    GrantSource::Pattern(pattern) => grants.pattern(pattern.as_bytes()),
                    GrantSource::All => grants.all = true,
                    GrantSource::Query(_) | GrantSource::NamedSource(_) => {}
                }
            }
        }
        let numbers = policy.connections().iter().map(Connection::name).zip(0..).collect();
        Self {
            policy,
            now,
            connections,
            numbers,
            schemas: Vec::new(),
            schema_numbers: HashMap::new(),
            sets: HashMap::default(),
            counts: Vec::new(),
        }
    }

    /// Takes in a name of the catalog, as the connection's dialect writes it. False where it is malformed (N2.4): then it
    /// is not counted. On a connection that the policy does not know, names are exposed to nobody.
    pub fn see(&mut self, connection: &str, name: &str) -> bool {
        let at = self.numbers.get(connection).copied();
        let dialect = at.and_then(|at| self.policy.connections().get(at)).map(Connection::dialect).unwrap_or_default();
        let mut buffer = NameBuffer::new();
        let Ok(name) = CanonicalName::read(name, dialect, &mut buffer) else { return false };
        let name = name.as_bytes();
        let schema = self.schema(connection, at, name);
        let exposed = at.is_some_and(|at| self.count(at, schema, name));
        if let Some(seen) = self.schemas.get_mut(schema as usize) {
            seen.names += 1;
            seen.exposed += u64::from(exposed);
        }
        true
    }

    /// The number of the name's schema: its connection, and all but the last segment.
    fn schema(&mut self, connection: &str, at: Option<usize>, name: &[u8]) -> u32 {
        let path = memchr::memrchr(b'.', name).and_then(|dot| name.get(..dot)).unwrap_or_default();
        // A connection's name may hold anything but is apart by what no path holds.
        let key: Vec<u8> = [connection.as_bytes(), b"\0", path].concat();
        if let Some(&number) = self.schema_numbers.get(key.as_slice()) {
            return number;
        }
        let dialect = at.and_then(|at| self.policy.connections().get(at)).map(Connection::dialect).unwrap_or_default();
        let shown = if path.is_empty() { String::new() } else { Name::of_canonical(path).display(dialect).to_string() };
        let several = self.policy.connections().len() > 1 || at.is_none() || shown.is_empty();
        let shown = if several { format!("{connection}: {shown}") } else { shown };
        let number = u32::try_from(self.schemas.len()).unwrap_or(u32::MAX);
        let connection = at.and_then(|at| u32::try_from(at).ok());
        self.schemas.push(Schema { shown, connection, names: 0, exposed: 0 });
        self.schema_numbers.insert(key.into(), number);
        number
    }

    /// Counts a name of that connection and schema; whether anybody is granted it.
    fn count(&mut self, at: usize, schema: u32, name: &[u8]) -> bool {
        let Some(grants) = self.connections.get_mut(at) else { return false };
        let mut covering: smallvec::SmallVec<[u32; 16]> = smallvec::SmallVec::new();
        grants.patterns.covering(name, |number| covering.push(u32::try_from(number).unwrap_or(u32::MAX)));
        covering.sort_unstable();
        let by_pattern = !covering.is_empty();
        let key = (u32::try_from(at).unwrap_or(u32::MAX), schema, Box::from(covering.as_slice()));
        let next = u32::try_from(self.counts.len()).unwrap_or(u32::MAX);
        let set = *self.sets.entry(key).or_insert(next);
        if set == next {
            self.counts.push(Count { schema, names: 0 });
        }
        if let Some(count) = self.counts.get_mut(set as usize) {
            count.names += 1;
        }
        let resource = grants.resources.get_mut(name);
        let exposed = by_pattern || grants.all || resource.is_some();
        if let Some(resource) = resource {
            resource.seen.get_or_insert((Count { schema, names: 0 }, set)).0.names += 1;
        }
        exposed
    }

    /// How many names each token exposes, by its place in the policy; tokens that expose none are left out.
    pub fn by_token(&self) -> HashMap<usize, u64> {
        self.totals().into_iter().map(|(token, count)| (token as usize, count)).collect()
    }

    /// By the place of each token that exposes something, how many names.
    fn totals(&self) -> Vec<(u32, u64)> {
        let mut reader = Reader::of(self);
        let total = |(number, token): (u32, &Token)| {
            let mut names = 0;
            reader.each(token, |count| names += count.names);
            (names > 0).then_some((number, names))
        };
        (0..).zip(self.policy.tokens()).filter_map(total).collect()
    }

    /// What has been seen, for charts.
    pub(super) fn sum(&self) -> (Exposure, Matrix) {
        let mut tokens = self.totals();
        tokens.sort_unstable_by_key(|&(token, count)| (std::cmp::Reverse(count), token));
        let mut schemas: Vec<(u32, &Schema)> = (0..).zip(&self.schemas).collect();
        schemas.sort_by_key(|(number, schema)| (std::cmp::Reverse(schema.names), *number));
        let matrix = self.matrix(&tokens, &schemas);
        let exposed = |&(token, names): &(u32, u64)| {
            let token = self.policy.tokens().get(token as usize)?;
            Some(Exposed { token: token.id().to_owned(), names, public: *token.referers() != Referers::Any })
        };
        let schema = |(_, schema): &(u32, &Schema)| ExposedSchema {
            schema: schema.shown.clone(),
            names: schema.names,
            exposed: schema.exposed,
        };
        let exposure = Exposure {
            names: self.schemas.iter().map(|schema| schema.names).sum(),
            exposed: self.schemas.iter().map(|schema| schema.exposed).sum(),
            tokens: tokens.iter().take(BARS).filter_map(exposed).collect(),
            tokens_left_out: tokens.len().saturating_sub(BARS) as u64,
            schemas: schemas.iter().take(BARS).map(schema).collect(),
            schemas_left_out: schemas.len().saturating_sub(BARS) as u64,
        };
        (exposure, matrix)
    }

    fn matrix(&self, tokens: &[(u32, u64)], schemas: &[(u32, &Schema)]) -> Matrix {
        let column_of: HashMap<u32, usize> =
            schemas.iter().take(COLUMNS).enumerate().map(|(column, (number, _))| (*number, column)).collect();
        let mut reader = Reader::of(self);
        let row = |&(token, _): &(u32, u64)| {
            let token = self.policy.tokens().get(token as usize)?;
            let mut names = vec![0; column_of.len()];
            reader.each(token, |count| {
                if let Some(cell) = column_of.get(&count.schema).and_then(|&column: &usize| names.get_mut(column)) {
                    *cell += count.names;
                }
            });
            Some(MatrixRow { token: token.id().to_owned(), names })
        };
        let rows = tokens.iter().take(ROWS).filter_map(row).collect();
        Matrix {
            schemas: schemas.iter().take(COLUMNS).map(|(_, schema)| (schema.shown.clone(), schema.names)).collect(),
            rows,
            left_out: (tokens.len().saturating_sub(ROWS) as u64, schemas.len().saturating_sub(COLUMNS) as u64),
        }
    }
}

impl fmt::Debug for Tally<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tally").field("schemas", &self.schemas.len()).finish_non_exhaustive()
    }
}

impl Grants {
    fn pattern(&mut self, canonical: &[u8]) {
        if !self.numbers.contains_key(canonical) {
            self.numbers.insert(canonical.into(), u32::try_from(self.numbers.len()).unwrap_or(u32::MAX));
            self.patterns.add(canonical);
        }
    }

    fn resource(&mut self, canonical: &[u8]) {
        if !self.resources.contains_key(canonical) {
            self.resources.insert(canonical.into(), Resource::default());
        }
    }
}

/// A tally, turned from sets of patterns to what each token may read.
struct Reader<'t, 'p> {
    tally: &'t Tally<'p>,
    /// For each connection and pattern the sets that it is in.
    sets_of: Vec<Vec<Vec<u32>>>,
    /// For each connection its schemas.
    schemas_of: Vec<Vec<Count>>,
    /// For each set the last round in which it was counted.
    counted: Vec<u32>,
    round: u32,
}

impl<'t, 'p> Reader<'t, 'p> {
    fn of(tally: &'t Tally<'p>) -> Self {
        let mut sets_of: Vec<Vec<Vec<u32>>> =
            tally.connections.iter().map(|grants| vec![Vec::new(); grants.numbers.len()]).collect();
        for ((connection, _, patterns), &set) in &tally.sets {
            let Some(sets_of) = sets_of.get_mut(*connection as usize) else { continue };
            for &pattern in patterns {
                if let Some(sets) = sets_of.get_mut(pattern as usize) {
                    sets.push(set);
                }
            }
        }
        let mut schemas_of = vec![Vec::new(); tally.connections.len()];
        for (schema, number) in tally.schemas.iter().zip(0..) {
            if let Some(schemas) = schema.connection.and_then(|at| schemas_of.get_mut(at as usize)) {
                schemas.push(Count { schema: number, names: schema.names });
            }
        }
        Self { tally, sets_of, schemas_of, counted: vec![0; tally.counts.len()], round: 0 }
    }

    /// Hands what `token` may read to `see`, each name in one count.
    ///
    /// Linear in its grants and, for each of its patterns, in the sets of patterns that cover names.
    fn each(&mut self, token: &Token, mut see: impl FnMut(Count)) {
        let Self { tally, sets_of, schemas_of, counted, round } = self;
        if token.expiry().is_expired(tally.now) {
            return;
        }
        *round += 1;
        let considered = considered(tally.policy, token);
        let grants = || token.grants().iter().filter(|grant| considered.contains(grant.source().kind()));
        // All sources first, then patterns, then resources: what one of the former covers is counted with it.
        let mut all: smallvec::SmallVec<[usize; 4]> = smallvec::SmallVec::new();
        for grant in grants().filter(|grant| matches!(grant.source(), GrantSource::All)) {
            let at = grant.connection().index();
            if !all.contains(&at) {
                all.push(at);
                schemas_of.get(at).into_iter().flatten().for_each(|count| see(*count));
            }
        }
        let one_by_one = || grants().filter(|grant| !all.contains(&grant.connection().index()));
        for grant in one_by_one() {
            let (at, GrantSource::Pattern(pattern)) = (grant.connection().index(), grant.source()) else { continue };
            let number = tally.connections.get(at).and_then(|grants| grants.numbers.get(pattern.as_bytes()));
            let sets = number.and_then(|&number| sets_of.get(at)?.get(number as usize));
            for &set in sets.into_iter().flatten() {
                let (Some(count), Some(last)) = (tally.counts.get(set as usize), counted.get_mut(set as usize)) else {
                    continue;
                };
                if std::mem::replace(last, *round) != *round {
                    see(*count);
                }
            }
        }
        let mut resources: Vec<(usize, &[u8], Count)> = Vec::new();
        for grant in one_by_one() {
            let (at, GrantSource::Resource(name)) = (grant.connection().index(), grant.source()) else { continue };
            let resource = tally.connections.get(at).and_then(|grants| grants.resources.get(name.as_bytes()));
            if let Some((count, set)) = resource.and_then(|resource| resource.seen)
                && counted.get(set as usize) != Some(round)
            {
                resources.push((at, name.as_bytes(), count));
            }
        }
        // A resource may be granted twice.
        resources.sort_unstable_by_key(|&(at, name, _)| (at, name));
        resources.dedup_by_key(|&mut (at, name, _)| (at, name));
        for (.., count) in resources {
            see(count);
        }
    }
}

/// The kinds of grant that some API of the token considers.
fn considered(policy: &Policy, token: &Token) -> GrantKinds {
    let apis = token.apis().iter().filter_map(|api| policy.apis().get(api));
    let kinds = apis.flat_map(|api| [Operation::Query, Operation::Model].map(|operation| api.considers(operation)));
    GrantKinds::of(&kinds.flat_map(GrantKinds::iter).collect::<Vec<_>>())
}
