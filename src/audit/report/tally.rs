//! What of a catalog each token exposes, name by name.

use std::collections::HashMap;
use std::fmt;

use foldhash::fast::RandomState;

use super::data::{Exposed, ExposedSchema, Exposure, Matrix, MatrixRow};
use crate::audit::granted::{Granted, Readers};
use crate::audit::reads::Followed;
use crate::base::Timestamp;
use crate::model::{Connection, Policy, Referers};
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
    connections: Vec<Granted>,
    numbers: HashMap<&'p str, usize>,
    schemas: Vec<Schema>,
    schema_numbers: HashMap<Box<[u8]>, u32>,
    /// Sets of grants that cover a name, each as numbers of sources of one connection.
    sets: HashMap<(u32, Box<[u32]>), u32, RandomState>,
    /// How many names of a schema a set covers.
    counts: HashMap<(u32, u32), u64, RandomState>,
    /// How many queries and named sources it is not known of what they read.
    not_followed: u64,
}

struct Schema {
    shown: String,
    names: u64,
}

impl<'p> Tally<'p> {
    /// Before any name is seen. Tokens that are expired at `now` expose nothing. What queries read is not looked at.
    pub fn new(policy: &'p Policy, now: Timestamp) -> Self {
        Self::of(policy, now, None)
    }

    /// As [`new`](Self::new), with what queries and named sources read, as `followed` tells of the same policy.
    pub fn following(policy: &'p Policy, now: Timestamp, followed: &Followed<'_>) -> Self {
        Self { not_followed: followed.unfollowed().count() as u64, ..Self::of(policy, now, Some(followed)) }
    }

    fn of(policy: &'p Policy, now: Timestamp, followed: Option<&Followed<'_>>) -> Self {
        let connections = Granted::by_connection(policy, now, followed, |at, _| u32::try_from(at).ok());
        let numbers = policy.connections().iter().map(Connection::name).zip(0..).collect();
        Self {
            policy,
            connections,
            numbers,
            schemas: Vec::new(),
            schema_numbers: HashMap::new(),
            sets: HashMap::default(),
            counts: HashMap::default(),
            not_followed: 0,
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
        let set = at.and_then(|at| self.set(at, name));
        if let Some(seen) = self.schemas.get_mut(schema as usize) {
            seen.names += 1;
        }
        if let Some(set) = set {
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
        self.schemas.push(Schema { shown, names: 0 });
        self.schema_numbers.insert(key.into(), number);
        number
    }

    /// The number of the set of sources that cover the name.
    fn set(&mut self, at: usize, name: &[u8]) -> Option<u32> {
        let covering = self.connections.get(at)?.covering(name);
        let next = u32::try_from(self.sets.len()).unwrap_or(u32::MAX);
        let key = (u32::try_from(at).unwrap_or(u32::MAX), Box::from(covering.as_slice()));
        Some(*self.sets.entry(key).or_insert(next))
    }

    /// How many names each token exposes itself, by its place in the policy; tokens that expose none are left out.
    pub fn by_token(&self) -> HashMap<usize, u64> {
        let totals = totals(&self.readers(), &self.counts);
        let own = totals.into_iter().filter(|(_, (own, _))| *own > 0);
        own.map(|(token, (own, _))| (token as usize, own)).collect()
    }

    /// Who may read the names of each set.
    fn readers(&self) -> Vec<Readers> {
        let mut readers: Vec<Readers> = vec![Readers::default(); self.sets.len()];
        for ((connection, covering), &set) in &self.sets {
            let granted = self.connections.get(*connection as usize);
            if let (Some(place), Some(granted)) = (readers.get_mut(set as usize), granted) {
                *place = granted.readers(covering);
            }
        }
        readers
    }

    /// What has been seen, for charts.
    pub(super) fn sum(&self) -> (Exposure, Matrix) {
        let readers = self.readers();
        let mut tokens: Vec<(u32, (u64, u64))> = totals(&readers, &self.counts).into_iter().collect();
        tokens.sort_unstable_by_key(|&(token, (own, through))| (std::cmp::Reverse(own + through), token));
        let mut schemas: Vec<(u32, &Schema)> = (0..).zip(&self.schemas).collect();
        schemas.sort_by_key(|(number, schema)| (std::cmp::Reverse(schema.names), *number));
        let matrix = self.matrix(&readers, &tokens, &schemas);
        let mut by_schema: HashMap<u32, (u64, u64)> = HashMap::new();
        for ((schema, set), count) in &self.counts {
            let Some(readers) = readers.get(*set as usize) else { continue };
            let (own, through) = by_schema.entry(*schema).or_default();
            if !readers.own.is_empty() {
                *own += count;
            } else if !readers.through.is_empty() {
                *through += count;
            }
        }
        let exposed = |&(token, (names, through_queries)): &(u32, (u64, u64))| {
            let token = self.policy.tokens().get(token as usize)?;
            let public = *token.referers() != Referers::Any;
            Some(Exposed { token: token.id().to_owned(), names, through_queries, public })
        };
        let schema = |(number, schema): &(u32, &Schema)| {
            let (exposed, through_queries) = by_schema.get(number).copied().unwrap_or_default();
            ExposedSchema { schema: schema.shown.clone(), names: schema.names, exposed, through_queries }
        };
        let exposure = Exposure {
            names: self.schemas.iter().map(|schema| schema.names).sum(),
            exposed: by_schema.values().map(|(own, _)| own).sum(),
            through_queries: by_schema.values().map(|(_, through)| through).sum(),
            not_followed: self.not_followed,
            tokens: tokens.iter().take(BARS).filter_map(exposed).collect(),
            tokens_left_out: tokens.len().saturating_sub(BARS) as u64,
            schemas: schemas.iter().take(BARS).map(schema).collect(),
            schemas_left_out: schemas.len().saturating_sub(BARS) as u64,
        };
        (exposure, matrix)
    }

    fn matrix(&self, readers: &[Readers], tokens: &[(u32, (u64, u64))], schemas: &[(u32, &Schema)]) -> Matrix {
        let column_of: HashMap<u32, usize> =
            schemas.iter().take(COLUMNS).enumerate().map(|(column, (number, _))| (*number, column)).collect();
        let row_of: HashMap<u32, usize> =
            tokens.iter().take(ROWS).enumerate().map(|(row, (token, _))| (*token, row)).collect();
        let mut cells = vec![vec![0; column_of.len()]; row_of.len()];
        for ((schema, set), count) in &self.counts {
            let Some(&column) = column_of.get(schema) else { continue };
            let readers = readers.get(*set as usize).map(|readers| readers.own.iter().chain(&readers.through));
            let rows = readers.into_iter().flatten().filter_map(|token| row_of.get(token));
            for &row in rows {
                if let Some(cell) = cells.get_mut(row).and_then(|row: &mut Vec<u64>| row.get_mut(column)) {
                    *cell += count;
                }
            }
        }
        let row = |(&(token, _), names): (&(u32, (u64, u64)), Vec<u64>)| {
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

/// How many names each token may read itself, and through queries.
fn totals(readers: &[Readers], counts: &HashMap<(u32, u32), u64, RandomState>) -> HashMap<u32, (u64, u64)> {
    let mut by_token: HashMap<u32, (u64, u64)> = HashMap::new();
    for ((_, set), count) in counts {
        let Some(readers) = readers.get(*set as usize) else { continue };
        readers.own.iter().for_each(|&token| by_token.entry(token).or_default().0 += count);
        readers.through.iter().for_each(|&token| by_token.entry(token).or_default().1 += count);
    }
    by_token
}
