//! Compares two policies by the names of a catalog.

use std::collections::{BTreeSet, HashMap};

use foldhash::fast::RandomState;

use crate::coverage::{Coverage, Grantees, Readers};
use crate::reads::Followed;
use portcullis::base::Timestamp;
use portcullis::model::{Connection, ConnectionId, Grant, Policy, Token};
use portcullis::name::{CanonicalName, Dialect, NameBuffer};
use portcullis_diff::compare::Diff;
use portcullis_diff::patterns::{Covering, Lookup};

/// Max names of each change that are kept as examples.
const EXAMPLES: usize = 10;

/// Counts names of a catalog by the tokens of a [`Diff`] that may read them before and after. Names are not kept.
///
/// Names that the same grants of both policies cover are counted together, so memory grows with the number of such
/// sets.
///
/// ```
/// use portcullis_audit::names_diff::NamesDiff;
/// use portcullis_diff::compare::{Side, diff};
///
/// let policy = |source: &str| portcullis_document::read_policy(format!(r#"[{{"id": "a", "token": "s3cret", "allowed_apis": ["maps"],
///     "grants": [{{"connection_name": "dw", "source": "{source}"}}]}}]"#));
/// let (old, new) = (policy("db.s.*")?, policy("db.*.raw_*")?);
/// let now = "2026-11-24".parse()?;
/// let diff = diff(&Side::new(&old)?, &Side::new(&new)?, now)?;
/// let mut names = NamesDiff::new(&diff, (&old, None), (&new, None), now);
/// for name in ["db.s.roads", "db.t.raw_1", "db.s.raw_2"] {
///     assert!(names.see("dw", name));
/// }
/// let changes = names.changes();
/// assert_eq!((changes[0].gained.count, changes[0].lost.count), (1, 1));
/// assert_eq!(changes[0].gained.examples, ["dw: db.t.raw_1"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct NamesDiff<'p> {
    old: Half<'p>,
    new: Half<'p>,
    tokens: usize,
    /// The number of names so far.
    count: u64,
    /// By connection and covering sources in both policies.
    counts: HashMap<(Key, Key), NameGroup, RandomState>,
}

/// A connection of one policy, and the sources that cover a name. `None` if the policy lacks the connection, or the
/// name is malformed in its dialect.
type Key = Option<(ConnectionId, Covering)>;

/// Names with equal coverage: their number, and the first ones with their order in the catalog.
#[derive(Default)]
struct NameGroup {
    count: u64,
    first: Vec<(u64, String)>,
}

/// The coverage of one of the two policies.
struct Half<'p> {
    coverage: Coverage<'p>,
    grantees: Vec<Grantees>,
    /// By connection.
    lookups: Vec<Lookup>,
    /// By token of the comparison, the calls of its queries, each after its connection.
    calls: HashMap<u32, BTreeSet<String>, RandomState>,
}

/// The change of the names that a token may read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NamesChange {
    /// Names that the token may newly read.
    pub gained: Names,
    /// How many of the gained names it reads only through queries and named sources.
    pub gained_through: u64,
    /// Names that the token may no longer read.
    pub lost: Names,
    /// How many of the lost names it read only through queries and named sources.
    pub lost_through: u64,
    /// Calls of queries that the token may newly run and that may read more names, each after its connection.
    pub gained_calls: Vec<String>,
    /// Calls of queries that the token may no longer run.
    pub lost_calls: Vec<String>,
}

/// A number of names, with examples.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Names {
    /// The number of names.
    pub count: u64,
    /// The first names, each after its connection.
    pub examples: Vec<String>,
}

/// A policy and, to include queries, the tables that its queries read.
pub type Followable<'p> = (&'p Policy, Option<&'p Followed<'p>>);

impl<'p> NamesDiff<'p> {
    /// Creates an empty comparison for the tokens of `diff`, which must compare these policies.
    pub fn new(diff: &Diff, old: Followable<'p>, new: Followable<'p>, since: Timestamp) -> Self {
        let numbered = (0_u32..).zip(&diff.tokens);
        let after: HashMap<&str, u32> = numbered
            .clone()
            .filter(|(_, token)| !token.gone)
            .map(|(number, token)| (token.id.as_str(), number))
            .collect();
        let before = numbered.filter(|(_, token)| token.gone || !token.is_new());
        let before: HashMap<&str, u32> =
            before.map(|(number, token)| (token.was.as_deref().unwrap_or(&token.id), number)).collect();
        let half = |(policy, followed): Followable<'p>, numbers: &HashMap<&str, u32>| {
            let coverage = Coverage::of(policy, since, followed);
            let grantees = Grantees::by_connection(&coverage, |_, token: &Token| numbers.get(token.id()).copied());
            let calls = policy.tokens().iter().filter_map(|token| {
                let number = *numbers.get(token.id())?;
                Some((number, calls(&coverage, followed?, token)))
            });
            let calls = calls.filter(|(_, calls)| !calls.is_empty()).collect();
            let lookups = policy.connections().iter().map(|_| Lookup::default()).collect();
            Half { coverage, grantees, lookups, calls }
        };
        Self {
            old: half(old, &before),
            new: half(new, &after),
            tokens: diff.tokens.len(),
            count: 0,
            counts: HashMap::default(),
        }
    }

    /// Adds a name of the catalog, in the dialect of its connection. Returns false if it is malformed (N2.4) in both
    /// policies. No token reads names on a connection that neither policy has.
    pub fn see(&mut self, connection: &str, name: &str) -> bool {
        let (old, new) = (self.old.key(connection, name), self.new.key(connection, name));
        if old.is_err() && new.is_err() {
            return false;
        }
        let group = self.counts.entry((old.unwrap_or(None), new.unwrap_or(None))).or_default();
        group.count += 1;
        if group.first.len() < EXAMPLES {
            group.first.push((self.count, format!("{connection}: {name}")));
        }
        self.count += 1;
        true
    }

    /// Returns the number of names that were added.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Returns the change for each token of the diff, in the order of the diff.
    pub fn changes(&self) -> Vec<NamesChange> {
        let mut changes = vec![Change::default(); self.tokens];
        for ((old, new), group) in &self.counts {
            let (old, new) = (self.old.readers(old), self.new.readers(new));
            for (readers, previous, gains) in [(&new, &old, true), (&old, &new, false)] {
                for (tokens, through) in [(&readers.own, false), (&readers.through, true)] {
                    for token in tokens {
                        let reads = |tokens: &[u32]| tokens.binary_search(token).is_ok();
                        if !reads(&previous.own)
                            && !reads(&previous.through)
                            && let Some(change) = changes.get_mut(*token as usize)
                        {
                            change.add(group, gains, through);
                        }
                    }
                }
            }
        }
        let none = BTreeSet::new();
        let changes = (0_u32..).zip(changes).map(|(token, change)| {
            let [old, new] = [&self.old, &self.new].map(|half| half.calls.get(&token).unwrap_or(&none));
            NamesChange {
                gained_calls: new.difference(old).cloned().collect(),
                lost_calls: old.difference(new).cloned().collect(),
                ..change.into_names_change()
            }
        });
        changes.collect()
    }
}

/// Returns the calls of the queries that `token` may run, each after its connection.
fn calls(coverage: &Coverage<'_>, followed: &Followed<'_>, token: &Token) -> BTreeSet<String> {
    let named = |grant: &Grant| {
        let connection = coverage.policy().connection(grant.connection()).map(Connection::name).unwrap_or_default();
        followed.calls_of(grant).iter().map(|call| format!("{connection}: {call}")).collect::<Vec<_>>()
    };
    coverage.effective_grants(token).flat_map(named).collect()
}

impl Half<'_> {
    fn key(&mut self, connection: &str, name: &str) -> Result<Key, ()> {
        let id = self.coverage.connection(connection);
        let dialect = id.and_then(|id| self.coverage.policy().connection(id)).map(Connection::dialect);
        let mut buffer = NameBuffer::new();
        let name = CanonicalName::read(name, dialect.unwrap_or(Dialect::Generic), &mut buffer).map_err(|_| ())?;
        Ok(id.and_then(|id| Some((id, self.covering(id, name)?))))
    }

    /// Returns the sources that cover the name and that a token of the comparison may read.
    fn covering(&mut self, id: ConnectionId, name: CanonicalName<'_>) -> Option<Covering> {
        let grantees = self.grantees.get(id.index())?;
        let lookup = self.lookups.get_mut(id.index())?;
        let mut covering = self.coverage.sources(id)?.kernel().covering_one(name, lookup);
        covering.retain(|source| grantees.is_readable(*source));
        Some(covering)
    }

    fn readers(&self, key: &Key) -> Readers {
        let grantees = key.as_ref().and_then(|(id, covering)| Some((self.grantees.get(id.index())?, covering)));
        grantees.map(|(grantees, covering)| grantees.readers(covering)).unwrap_or_default()
    }
}

/// A change while it is counted: for gained and lost names, the total, the part through queries, and ordered examples.
#[derive(Default, Clone)]
struct Change {
    gained: (u64, u64, Vec<(u64, String)>),
    lost: (u64, u64, Vec<(u64, String)>),
}

impl Change {
    fn add(&mut self, group: &NameGroup, gains: bool, through: bool) {
        let (count, by_query, first) = if gains { &mut self.gained } else { &mut self.lost };
        *count += group.count;
        *by_query += if through { group.count } else { 0 };
        first.extend(group.first.iter().cloned());
        first.sort_unstable();
        first.truncate(EXAMPLES);
    }

    fn into_names_change(self) -> NamesChange {
        let names = |count, first: Vec<(u64, String)>| Names {
            count,
            examples: first.into_iter().map(|(_, name)| name).collect(),
        };
        NamesChange {
            gained_through: self.gained.1,
            lost_through: self.lost.1,
            gained: names(self.gained.0, self.gained.2),
            lost: names(self.lost.0, self.lost.2),
            ..NamesChange::default()
        }
    }
}
