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
    connections: Vec<Grants>,
    numbers: HashMap<&'p str, usize>,
    schemas: Vec<Schema>,
    schema_numbers: HashMap<Box<[u8]>, u32>,
    /// Sets of grants that cover a name, each as numbers of sources of one connection.
    sets: HashMap<(u32, Box<[u32]>), u32, RandomState>,
    /// How many names of a schema a set covers.
    counts: HashMap<(u32, u32), u64, RandomState>,
}

/// What is granted on a connection.
#[derive(Default)]
struct Grants {
    index: PatternIndex,
    /// Who has the source of that number.
    tokens: Vec<Vec<u32>>,
    numbers: HashMap<Box<[u8]>, usize>,
    /// Who has all sources.
    all: Vec<u32>,
}

struct Schema {
    shown: String,
    names: u64,
    exposed: u64,
}

impl<'p> Tally<'p> {
    /// Before any name is seen. Tokens that are expired at `now` expose nothing.
    pub fn new(policy: &'p Policy, now: Timestamp) -> Self {
        let mut connections: Vec<Grants> = policy.connections().iter().map(|_| Grants::default()).collect();
        let lasting = (0..).zip(policy.tokens()).filter(|(_, token)| !token.expiry().is_expired(now));
        for (number, token) in lasting {
            let considered = considered(policy, token);
            for grant in token.grants().iter().filter(|grant| considered.contains(grant.source().kind())) {
                let Some(grants) = connections.get_mut(grant.connection().index()) else { continue };
                match grant.source() {
                    GrantSource::Resource(name) => grants.add(name.as_bytes(), number),
                    GrantSource::Pattern(pattern) => grants.add(pattern.as_bytes(), number),
                    GrantSource::All => grants.all.push(number),
                    GrantSource::Query(_) | GrantSource::NamedSource(_) => {}
                }
            }
        }
        let numbers = policy.connections().iter().map(Connection::name).zip(0..).collect();
        Self {
            policy,
            connections,
            numbers,
            schemas: Vec::new(),
            schema_numbers: HashMap::new(),
            sets: HashMap::default(),
            counts: HashMap::default(),
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
        let set = at.map(|at| self.set(at, name));
        let Some(seen) = self.schemas.get_mut(schema as usize) else { return true };
        seen.names += 1;
        if let Some(Some(set)) = set {
            seen.exposed += 1;
            *self.counts.entry((schema, set)).or_default() += 1;
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
        self.schemas.push(Schema { shown, names: 0, exposed: 0 });
        self.schema_numbers.insert(key.into(), number);
        number
    }

    /// The number of the set of grants that cover the name; `None` if none does.
    fn set(&mut self, at: usize, name: &[u8]) -> Option<u32> {
        let grants = self.connections.get(at)?;
        let mut covering: smallvec::SmallVec<[u32; 16]> = smallvec::SmallVec::new();
        grants.index.covering(name, |number| covering.push(u32::try_from(number).unwrap_or(u32::MAX)));
        if covering.is_empty() && grants.all.is_empty() {
            return None;
        }
        covering.sort_unstable();
        let next = u32::try_from(self.sets.len()).unwrap_or(u32::MAX);
        let key = (u32::try_from(at).unwrap_or(u32::MAX), Box::from(covering.as_slice()));
        Some(*self.sets.entry(key).or_insert(next))
    }

    /// How many names each token exposes, by its place in the policy; tokens that expose none are left out.
    pub fn by_token(&self) -> HashMap<usize, u64> {
        totals(&self.token_sets(), &self.counts).into_iter().map(|(token, count)| (token as usize, count)).collect()
    }

    /// The tokens of each set of grants.
    fn token_sets(&self) -> Vec<Vec<u32>> {
        let mut sets: Vec<Vec<u32>> = vec![Vec::new(); self.sets.len()];
        for ((connection, covering), &set) in &self.sets {
            let Some(grants) = self.connections.get(*connection as usize) else { continue };
            let lists = covering.iter().filter_map(|&number| grants.tokens.get(number as usize));
            let mut tokens: Vec<u32> = lists.flatten().chain(&grants.all).copied().collect();
            tokens.sort_unstable();
            tokens.dedup();
            if let Some(place) = sets.get_mut(set as usize) {
                *place = tokens;
            }
        }
        sets
    }

    /// What has been seen, for charts.
    pub(super) fn sum(&self) -> (Exposure, Matrix) {
        let sets = self.token_sets();
        let mut tokens: Vec<(u32, u64)> = totals(&sets, &self.counts).into_iter().collect();
        tokens.sort_unstable_by_key(|&(token, count)| (std::cmp::Reverse(count), token));
        let mut schemas: Vec<(u32, &Schema)> = (0..).zip(&self.schemas).collect();
        schemas.sort_by_key(|(number, schema)| (std::cmp::Reverse(schema.names), *number));
        let matrix = self.matrix(&sets, &tokens, &schemas);
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

    fn matrix(&self, sets: &[Vec<u32>], tokens: &[(u32, u64)], schemas: &[(u32, &Schema)]) -> Matrix {
        let column_of: HashMap<u32, usize> =
            schemas.iter().take(COLUMNS).enumerate().map(|(column, (number, _))| (*number, column)).collect();
        let row_of: HashMap<u32, usize> =
            tokens.iter().take(ROWS).enumerate().map(|(row, (token, _))| (*token, row)).collect();
        let mut cells = vec![vec![0; column_of.len()]; row_of.len()];
        for ((schema, set), count) in &self.counts {
            let Some(&column) = column_of.get(schema) else { continue };
            let rows = sets.get(*set as usize).into_iter().flatten().filter_map(|token| row_of.get(token));
            for &row in rows {
                if let Some(cell) = cells.get_mut(row).and_then(|row: &mut Vec<u64>| row.get_mut(column)) {
                    *cell += count;
                }
            }
        }
        let row = |(&(token, _), names): (&(u32, u64), Vec<u64>)| {
            Some(MatrixRow { token: self.policy.tokens().get(token as usize)?.id().to_owned(), names })
        };
        Matrix {
            schemas: schemas.iter().take(COLUMNS).map(|(_, schema)| (schema.shown.clone(), schema.names)).collect(),
            rows: tokens.iter().zip(cells).filter_map(row).collect(),
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
    fn add(&mut self, canonical: &[u8], token: u32) {
        let next = self.tokens.len();
        let number = *self.numbers.entry(canonical.into()).or_insert(next);
        if number == next {
            self.index.add(canonical);
            self.tokens.push(Vec::new());
        }
        if let Some(tokens) = self.tokens.get_mut(number) {
            tokens.push(token);
        }
    }
}

/// How many names each token may read.
fn totals(sets: &[Vec<u32>], counts: &HashMap<(u32, u32), u64, RandomState>) -> HashMap<u32, u64> {
    let mut by_token = HashMap::new();
    for ((_, set), count) in counts {
        for &token in sets.get(*set as usize).into_iter().flatten() {
            *by_token.entry(token).or_default() += count;
        }
    }
    by_token
}

/// The kinds of grant that some API of the token considers.
fn considered(policy: &Policy, token: &Token) -> GrantKinds {
    let apis = token.apis().iter().filter_map(|api| policy.apis().get(api));
    let kinds = apis.flat_map(|api| [Operation::Query, Operation::Model].map(|operation| api.considers(operation)));
    GrantKinds::of(&kinds.flat_map(GrantKinds::iter).collect::<Vec<_>>())
}
