//! Computes the exposure of a catalog by token and schema.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::fmt;

use foldhash::fast::RandomState;
use smallvec::SmallVec;

use super::data::{Exposed, ExposedSchema, Exposure, Matrix, MatrixRow, Names};
use crate::coverage::{Coverage, Grantees, SourceRef};
use crate::reads::Followed;
use portcullis::base::Timestamp;
use portcullis::model::{Connection, ConnectionId, Policy, Referers, Token};
use portcullis::name::{CanonicalName, Dialect, Name, NameBuffer};
use portcullis_diff::patterns::{Covering, Lookup};

/// Max tokens and schemas in the bar charts.
const BARS: usize = 20;
const ROWS: usize = 30;
const COLUMNS: usize = 16;

/// Counts the names of a catalog by schema and by the sources that cover them. Names are added one by one and not kept.
///
/// Names of one schema that the same patterns cover are counted together; each granted resource is counted separately.
/// Memory grows with the distinct sets of patterns, with grants and with schemas, not with names. The cost of a name
/// does not depend on the number of tokens. The exposure of a token is linear in its grants and in the sets that
/// contain its patterns.
///
/// ```
/// use portcullis_audit::report::{Report, SchemaCounts};
///
/// let policy = portcullis_document::read_policy(r#"[{"id": "a", "token": "s3cret", "allowed_apis": ["maps"],
///     "grants": [{"connection_name": "dw", "source": "db.s.*"}]}]"#)?;
/// let now = "2026-11-24".parse().unwrap();
/// let mut counts = SchemaCounts::new(&policy, now);
/// assert!(counts.see("dw", "db.s.roads") && counts.see("dw", "db.t.roads") && !counts.see("dw", "db..roads"));
/// let exposure = Report::new("policy.json", &policy, now).with_catalog("catalog.csv", &counts).exposure.unwrap();
/// assert_eq!((exposure.names, exposure.exposed, exposure.tokens[0].names), (2, 1, 1));
/// # Ok::<(), portcullis_document::load::LoadError>(())
/// ```
pub struct SchemaCounts<'p> {
    coverage: Coverage<'p>,
    grantees: Vec<Grantees>,
    /// By connection.
    lookups: Vec<Lookup>,
    schemas: Vec<Schema>,
    schema_numbers: HashMap<Box<[u8]>, u32>,
    /// By the number of a set of patterns, its names.
    sets: Vec<Count>,
    /// By connection and number of a granted resource: its names, and the set of patterns that cover it.
    resources: Vec<Vec<Option<(Count, u32)>>>,
    /// The number of queries and named sources whose tables are unknown.
    not_followed: u64,
}

struct Schema {
    shown: String,
    /// The connection, if the policy has it.
    connection: Option<ConnectionId>,
    names: u64,
    /// The number of names that some token exposes itself.
    own: u64,
    /// The number of names that some token exposes itself or through queries.
    any: u64,
    /// By the numbers of covering patterns, the number of the set.
    sets: HashMap<Box<[u32]>, u32, RandomState>,
}

/// A number of names in one schema.
#[derive(Debug, Clone, Copy)]
struct Count {
    schema: u32,
    names: u64,
}

/// The exposure of one token.
#[derive(Debug, Clone, Copy)]
struct Total {
    token: usize,
    own: u64,
    /// The number of names that it exposes itself or through queries.
    any: u64,
}

impl<'p> SchemaCounts<'p> {
    /// Creates empty counts. Tokens that are expired at `now` expose nothing. The tables of queries are not included.
    pub fn new(policy: &'p Policy, now: Timestamp) -> Self {
        Self::of(policy, now, None)
    }

    /// Like [`new`](Self::new), including the tables that queries and named sources read. `followed` must be of the
    /// same policy.
    pub fn following(policy: &'p Policy, now: Timestamp, followed: &'p Followed<'p>) -> Self {
        Self { not_followed: followed.unfollowed().count() as u64, ..Self::of(policy, now, Some(followed)) }
    }

    fn of(policy: &'p Policy, now: Timestamp, followed: Option<&'p Followed<'p>>) -> Self {
        let coverage = Coverage::of(policy, now, followed);
        let grantees = Grantees::by_connection(&coverage, |index, _| u32::try_from(index).ok());
        let resources = coverage.connections().iter().map(|sources| vec![None; sources.resources()]).collect();
        Self {
            lookups: coverage.connections().iter().map(|_| Lookup::default()).collect(),
            coverage,
            grantees,
            schemas: Vec::new(),
            schema_numbers: HashMap::new(),
            sets: Vec::new(),
            resources,
            not_followed: 0,
        }
    }

    /// Adds a name of the catalog, in the dialect of its connection. A malformed name (N2.4) is not counted and returns
    /// false. No token exposes names on a connection that the policy does not have.
    pub fn see(&mut self, connection: &str, name: &str) -> bool {
        let id = self.coverage.connection(connection);
        let dialect = self.dialect(id);
        let mut buffer = NameBuffer::new();
        let Ok(name) = CanonicalName::read(name, dialect, &mut buffer) else { return false };
        let schema = self.schema(connection, id, name.as_bytes());
        self.count(id, schema, name);
        true
    }

    fn dialect(&self, id: Option<ConnectionId>) -> Dialect {
        id.and_then(|id| self.coverage.policy().connection(id)).map(Connection::dialect).unwrap_or_default()
    }

    /// Returns the number of the name's schema: its connection, and all segments but the last.
    fn schema(&mut self, connection: &str, at: Option<ConnectionId>, name: &[u8]) -> u32 {
        let path = memchr::memrchr(b'.', name).and_then(|dot| name.get(..dot)).unwrap_or_default();
        // No path contains the separator, so the connection's name can contain anything.
        let key: Vec<u8> = [connection.as_bytes(), b"\0", path].concat();
        if let Some(&number) = self.schema_numbers.get(key.as_slice()) {
            return number;
        }
        let dialect = self.dialect(at);
        let shown = if path.is_empty() { String::new() } else { Name::of_canonical(path).display(dialect).to_string() };
        let several = self.coverage.policy().connections().len() > 1 || at.is_none() || shown.is_empty();
        let shown = if several { format!("{connection}: {shown}") } else { shown };
        let number = u32::try_from(self.schemas.len()).unwrap_or(u32::MAX);
        self.schemas.push(Schema { shown, connection: at, names: 0, own: 0, any: 0, sets: HashMap::default() });
        self.schema_numbers.insert(key.into(), number);
        number
    }

    /// Counts a name of that connection and schema.
    fn count(&mut self, id: Option<ConnectionId>, number: u32, name: CanonicalName<'_>) {
        let Some(schema) = self.schemas.get_mut(number as usize) else { return };
        schema.names += 1;
        let Some((id, sources)) = id.and_then(|id| Some((id, self.coverage.sources(id)?))) else { return };
        let (grantees, lookup) = (self.grantees.get(id.index()), self.lookups.get_mut(id.index()));
        let (Some(grantees), Some(lookup)) = (grantees, lookup) else { return };
        let mut covering: Covering = sources.kernel().covering_one(name, lookup);
        covering.retain(|source| grantees.is_readable(*source));
        let own = grantees.has_own(&covering);
        schema.own += u64::from(own);
        schema.any += u64::from(own || !covering.is_empty());
        let (resource, patterns) = sources.split(&covering);
        let set = schema.sets.get(patterns).copied().unwrap_or_else(|| {
            let next = u32::try_from(self.sets.len()).unwrap_or(u32::MAX);
            self.sets.push(Count { schema: number, names: 0 });
            schema.sets.insert(patterns.into(), next);
            next
        });
        if let Some(count) = self.sets.get_mut(set as usize) {
            count.names += 1;
        }
        let resources = self.resources.get_mut(id.index());
        if let (Some(resources), Some(&resource)) = (resources, resource.first())
            && let Some(counted) = resources.get_mut(resource as usize)
        {
            counted.get_or_insert((Count { schema: number, names: 0 }, set)).0.names += 1;
        }
    }

    fn tokens(&self) -> impl Iterator<Item = (usize, &'p Token)> + use<'p> {
        self.coverage.policy().tokens().iter().enumerate()
    }

    /// Returns the number of names that each token exposes itself, by its index in the policy. Tokens without names are
    /// left out.
    pub fn by_token(&self) -> HashMap<usize, u64> {
        let mut reader = Reader::of(self);
        let own = self.tokens().map(|(index, token)| (index, reader.names(&self.coverage.own(token))));
        own.filter(|(_, names)| *names > 0).collect()
    }

    /// Returns the policy.
    pub(super) fn policy(&self) -> &'p Policy {
        self.coverage.policy()
    }

    /// Returns the names that each token exposes, by its index in the policy. Tokens without names are left out.
    pub(super) fn names(&self) -> HashMap<usize, Names> {
        let totals = self.totals(&mut Reader::of(self));
        let names = |total: Total| Names { own: total.own, through_queries: total.any - total.own };
        totals.into_iter().map(|total| (total.token, names(total))).collect()
    }

    /// Returns the exposure of each token that exposes names, the largest first.
    fn totals(&self, reader: &mut Reader<'_, '_>) -> Vec<Total> {
        let mut totals: Vec<Total> = Vec::new();
        for (index, token) in self.tokens() {
            let (own_sources, all_sources) = (self.coverage.own(token), self.coverage.own_and_read(token));
            let own = reader.names(&own_sources);
            let any = if all_sources == own_sources { own } else { reader.names(&all_sources) };
            if any > 0 {
                totals.push(Total { token: index, own, any });
            }
        }
        totals.sort_unstable_by_key(|total| (Reverse(total.any), total.token));
        totals
    }

    /// Computes the data of the charts.
    pub(super) fn sum(&self) -> (Exposure, Matrix) {
        let mut reader = Reader::of(self);
        let tokens = self.totals(&mut reader);
        let mut schemas: Vec<(u32, &Schema)> = (0..).zip(&self.schemas).collect();
        schemas.sort_by_key(|(number, schema)| (Reverse(schema.names), *number));
        let matrix = self.matrix(&mut reader, &tokens, &schemas);
        let exposed = |total: &Total| {
            let token = self.coverage.policy().tokens().get(total.token)?;
            let public = *token.referers() != Referers::Any;
            let through_queries = total.any - total.own;
            Some(Exposed { token: token.id().to_owned(), names: total.own, through_queries, public })
        };
        let schema = |(_, schema): &(u32, &Schema)| ExposedSchema {
            schema: schema.shown.clone(),
            names: schema.names,
            exposed: schema.own,
            through_queries: schema.any - schema.own,
        };
        let exposure = Exposure {
            names: self.schemas.iter().map(|schema| schema.names).sum(),
            exposed: self.schemas.iter().map(|schema| schema.own).sum(),
            through_queries: self.schemas.iter().map(|schema| schema.any - schema.own).sum(),
            not_followed: self.not_followed,
            tokens: tokens.iter().take(BARS).filter_map(exposed).collect(),
            tokens_left_out: tokens.len().saturating_sub(BARS) as u64,
            schemas: schemas.iter().take(BARS).map(schema).collect(),
            schemas_left_out: schemas.len().saturating_sub(BARS) as u64,
        };
        (exposure, matrix)
    }

    fn matrix(&self, reader: &mut Reader<'_, '_>, tokens: &[Total], schemas: &[(u32, &Schema)]) -> Matrix {
        let column_of: HashMap<u32, usize> =
            schemas.iter().take(COLUMNS).enumerate().map(|(column, (number, _))| (*number, column)).collect();
        let row = |total: &Total| {
            let token = self.coverage.policy().tokens().get(total.token)?;
            let mut names: Vec<u64> = vec![0; column_of.len()];
            reader.each(&self.coverage.own_and_read(token), |count| {
                if let Some(cell) = column_of.get(&count.schema).and_then(|&column| names.get_mut(column)) {
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

impl fmt::Debug for SchemaCounts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SchemaCounts").field("schemas", &self.schemas.len()).finish_non_exhaustive()
    }
}

/// Counts names by source, from counts by set of patterns.
struct Reader<'t, 'p> {
    counts: &'t SchemaCounts<'p>,
    /// By connection and number of a pattern, the sets that contain it.
    sets_of: Vec<Vec<Vec<u32>>>,
    /// By connection, its schemas with their names.
    schemas_of: Vec<Vec<Count>>,
    /// By set, the last round that counted it.
    counted: Vec<u64>,
    round: u64,
}

impl<'t, 'p> Reader<'t, 'p> {
    fn of(counts: &'t SchemaCounts<'p>) -> Self {
        let connections = counts.coverage.connections();
        let mut sets_of: Vec<Vec<Vec<u32>>> =
            connections.iter().map(|sources| vec![Vec::new(); sources.len()]).collect();
        let mut schemas_of = vec![Vec::new(); connections.len()];
        for (number, schema) in (0..).zip(&counts.schemas) {
            let Some(at) = schema.connection.map(ConnectionId::index) else { continue };
            if let Some(schemas) = schemas_of.get_mut(at) {
                schemas.push(Count { schema: number, names: schema.names });
            }
            let Some(sets_of) = sets_of.get_mut(at) else { continue };
            for (patterns, &set) in &schema.sets {
                for &pattern in patterns {
                    if let Some(sets) = sets_of.get_mut(pattern as usize) {
                        sets.push(set);
                    }
                }
            }
        }
        Self { counts, sets_of, schemas_of, counted: vec![0; counts.sets.len()], round: 0 }
    }

    /// Returns the number of names that at least one of the sources covers.
    fn names(&mut self, sources: &[SourceRef]) -> u64 {
        let mut names = 0;
        self.each(sources, |count| names += count.names);
        names
    }

    /// Calls `see` with counts of the names that at least one of the sources covers, each name once. The sources are
    /// sorted and distinct, so a source that covers a resource precedes it.
    fn each(&mut self, sources: &[SourceRef], mut see: impl FnMut(Count)) {
        self.round += 1;
        let mut whole: SmallVec<[ConnectionId; 4]> = SmallVec::new();
        for source in sources {
            match *source {
                SourceRef::All(at) => {
                    whole.push(at);
                    self.schemas_of.get(at.index()).into_iter().flatten().for_each(|count| see(*count));
                }
                SourceRef::Pattern(at, _) | SourceRef::Resource(at, _) if whole.binary_search(&at).is_ok() => {}
                SourceRef::Pattern(at, pattern) => {
                    let sets = self.sets_of.get(at.index()).and_then(|sets_of| sets_of.get(pattern as usize));
                    for &set in sets.into_iter().flatten() {
                        let last = self.counted.get_mut(set as usize);
                        let is_new = last.is_some_and(|last| std::mem::replace(last, self.round) != self.round);
                        if let Some(count) = self.counts.sets.get(set as usize).filter(|_| is_new) {
                            see(*count);
                        }
                    }
                }
                SourceRef::Resource(at, resource) => {
                    let counted =
                        self.counts.resources.get(at.index()).and_then(|counted| counted.get(resource as usize));
                    if let Some(Some((count, set))) = counted
                        && self.counted.get(*set as usize) != Some(&self.round)
                    {
                        see(*count);
                    }
                }
            }
        }
    }
}
