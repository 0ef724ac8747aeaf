//! What changes between two policies, by the names of a catalog.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use crate::coverage::{Coverage, Grantees, Readers};
use crate::reads::Followed;
use portcullis::base::Timestamp;
use portcullis::model::{Connection, ConnectionId, Policy, Token};
use portcullis::name::{CanonicalName, Dialect, NameBuffer};
use portcullis_diff::compare::Diff;
use portcullis_diff::patterns::{Covering, Lookup};

/// How many names of each change are kept as examples.
const EXAMPLES: usize = 10;

/// Counts the names of a catalog, seen one by one and not kept, by which tokens of a [`Diff`] may read them before and after.
///
/// Names that the same grants of both policies cover count together, so memory grows with those sets, not with names.
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
    seen: u64,
    /// By connection and sets of both halves.
    counts: HashMap<(Key, Key), NameGroup, RandomState>,
}

/// A connection of a half, and the sources that cover a name; none if the half has no such connection, or the name is
/// malformed there.
type Key = Option<(ConnectionId, Covering)>;

/// So many names, the first of them with the order in which they came.
#[derive(Default)]
struct NameGroup {
    count: u64,
    first: Vec<(u64, String)>,
}

/// One of the two policies.
struct Half<'p> {
    coverage: Coverage<'p>,
    grantees: Vec<Grantees>,
    /// By connection.
    lookups: Vec<Lookup>,
}

/// How a token's names change.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NamesChange {
    /// What it may newly read.
    pub gained: Names,
    /// What of that only by queries and named sources.
    pub gained_through: u64,
    /// What it may no longer read.
    pub lost: Names,
    /// What of that it could only by queries and named sources.
    pub lost_through: u64,
}

/// Names, and some of them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Names {
    /// How many.
    pub count: u64,
    /// The first of them, each behind its connection.
    pub examples: Vec<String>,
}

/// A policy, and what its queries read, if that is asked about.
pub type Followable<'p> = (&'p Policy, Option<&'p Followed<'p>>);

impl<'p> NamesDiff<'p> {
    /// Before any name is seen, for the tokens of `diff`, which is of these policies.
    pub fn new(diff: &Diff, old: Followable<'p>, new: Followable<'p>, since: Timestamp) -> Self {
        let places = (0_u32..).zip(&diff.tokens);
        let after: HashMap<&str, u32> =
            places.clone().filter(|(_, token)| !token.gone).map(|(at, token)| (token.id.as_str(), at)).collect();
        let before = places.filter(|(_, token)| token.gone || !token.is_new());
        let before: HashMap<&str, u32> =
            before.map(|(at, token)| (token.was.as_deref().unwrap_or(&token.id), at)).collect();
        let half = |(policy, followed): Followable<'p>, numbers: &HashMap<&str, u32>| {
            let coverage = Coverage::of(policy, since, followed);
            let grantees = Grantees::by_connection(&coverage, |_, token: &Token| numbers.get(token.id()).copied());
            Half { coverage, grantees, lookups: policy.connections().iter().map(|_| Lookup::default()).collect() }
        };
        Self {
            old: half(old, &before),
            new: half(new, &after),
            tokens: diff.tokens.len(),
            seen: 0,
            counts: HashMap::default(),
        }
    }

    /// Takes in a name of the catalog, as the connection's dialect writes it. False where it is malformed (N2.4) in both
    /// policies. On a connection that neither knows, names are exposed to nobody.
    pub fn see(&mut self, connection: &str, name: &str) -> bool {
        let (old, new) = (self.old.key(connection, name), self.new.key(connection, name));
        if old.is_err() && new.is_err() {
            return false;
        }
        let seen = self.counts.entry((old.unwrap_or(None), new.unwrap_or(None))).or_default();
        seen.count += 1;
        if seen.first.len() < EXAMPLES {
            seen.first.push((self.seen, format!("{connection}: {name}")));
        }
        self.seen += 1;
        true
    }

    /// How many names were seen.
    pub fn seen(&self) -> u64 {
        self.seen
    }

    /// How the names of each token of the diff change, in its order.
    pub fn changes(&self) -> Vec<NamesChange> {
        let mut changes = vec![Change::default(); self.tokens];
        for ((old, new), seen) in &self.counts {
            let (old, new) = (self.old.readers(old), self.new.readers(new));
            for (readers, others, gains) in [(&new, &old, true), (&old, &new, false)] {
                for (tokens, through) in [(&readers.own, false), (&readers.through, true)] {
                    for token in tokens {
                        let reads = |tokens: &[u32]| tokens.binary_search(token).is_ok();
                        if !reads(&others.own)
                            && !reads(&others.through)
                            && let Some(change) = changes.get_mut(*token as usize)
                        {
                            change.add(seen, gains, through);
                        }
                    }
                }
            }
        }
        changes.into_iter().map(Change::into_names_change).collect()
    }
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

/// As it is counted: examples with the order in which they came.
#[derive(Default, Clone)]
struct Change {
    gained: (u64, u64, Vec<(u64, String)>),
    lost: (u64, u64, Vec<(u64, String)>),
}

impl Change {
    fn add(&mut self, seen: &NameGroup, gains: bool, through: bool) {
        let (count, by_query, first) = if gains { &mut self.gained } else { &mut self.lost };
        *count += seen.count;
        *by_query += if through { seen.count } else { 0 };
        first.extend(seen.first.iter().cloned());
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
        }
    }
}
