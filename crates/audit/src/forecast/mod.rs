//! Finds names that do not exist yet, and would be exposed as soon as somebody creates them.
//!
//! A pattern also covers future names. For each pattern of unexpired tokens, [`forecast`] returns the shortest names
//! that the pattern covers and the catalog lacks. Before a name is returned, the engine decides it for every token with
//! the pattern.
//!
//! **Order of names.** Names in existing schemas come first: the catalog has a name with the same leading segments. Of
//! the existing schemas that a pattern covers, the [`SCHEMAS`] shortest are searched. Shorter names come first, in
//! characters; equally short ones in the order of [`algebra`](portcullis_diff::algebra), the most readable first. A
//! schema that does not exist is used only if no existing schema has a name left, or there is no catalog. Names of the
//! catalog are kept up to [`SLACK`] characters beyond the shortest text of the last segment. Longer names are not
//! returned.
//!
//! All sources (`*`) count as a pattern with one star for each segment that most names of the connection have. Without
//! a catalog, the number of segments is that of a table of the dialect.
//!
//! ```
//! use portcullis_audit::forecast::{Catalog, Options, forecast};
//! use portcullis::Snapshot;
//! use portcullis_document::read_policy;
//!
//! let policy = read_policy(r#"[{"id": "a", "token": "s3cret", "allowed_apis": ["maps"],
//!     "grants": [{"connection_name": "dw", "source": "db.*.raw_*"}]}]"#)?;
//! let snapshot = Snapshot::compile(&policy, &portcullis::Options::default())?;
//! let options = Options::at("2026-11-24".parse()?);
//! let mut catalog = Catalog::new(&policy, &options);
//! for name in ["db.hr.people", "db.hr.raw_", "db.sales.orders"] {
//!     assert!(catalog.see("dw", name));
//! }
//! let found = forecast(&policy, &snapshot, &catalog, &options)?;
//! let names: Vec<&str> = found[0].names.iter().map(|name| name.name.as_str()).collect();
//! assert_eq!(names, ["db.hr.raw_a", "db.hr.raw_b", "db.hr.raw_c"]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod catalog;
mod search;

use std::collections::{BTreeMap, HashMap};

pub use catalog::Catalog;

use super::coverage::{Coverage, Grantees, considered};
use super::who_can::{ways, witness};
use portcullis::base::Timestamp;
use portcullis::model::{Connection, ConnectionId, GrantSource, Policy, Token};
use portcullis::name::{CanonicalName, Dialect, MAX_SEGMENTS, NameBuffer};
use portcullis::pattern::Pattern;
use portcullis::snapshot::Snapshot;
use portcullis_diff::patterns::{Covering, Lookup};
use portcullis_diff::witness::{RequestedSource, Unconfirmed, Witness};
use search::Search;

/// Max existing schemas of a pattern that are searched.
pub const SCHEMAS: usize = 8;

/// Max characters that the last segment of a name may have beyond the shortest text of the pattern's last segment.
pub const SLACK: usize = 2;

/// The selection of patterns, and the number of names.
#[derive(Debug, Clone)]
pub struct Options {
    /// The time at which tokens are expired or not.
    pub now: Timestamp,
    /// The number of names for each pattern, at most [`Options::MOST`].
    pub count: usize,
    /// Restricts the forecast to patterns of this token.
    pub token: Option<String>,
    /// Restricts the forecast to patterns on this connection.
    pub connection: Option<String>,
}

impl Options {
    /// Max names of one pattern.
    pub const MOST: usize = 100;

    /// Selects three names of every pattern, at `now`.
    pub fn at(now: Timestamp) -> Self {
        Self { now, count: 3, token: None, connection: None }
    }
}

/// The forecast for one pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forecast<'p> {
    /// The connection.
    pub connection: ConnectionId,
    /// The pattern, or all sources.
    pub source: &'p GrantSource,
    /// The number of unexpired tokens that are granted the pattern.
    pub tokens: u64,
    /// The first names. There are fewer than requested if no further name is known not to exist.
    pub names: Vec<Future>,
}

/// A name that does not exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Future {
    /// The name, as the dialect writes it.
    pub name: String,
    /// Whether the schema is known to exist. If false, the schema is missing, or is not among the [`SCHEMAS`] shortest.
    pub in_schema: bool,
    /// The number of tokens that would expose the name, by any of their grants.
    pub tokens: u64,
    /// An allowed request for the name.
    pub witness: Witness,
}

/// A granted pattern, and the tokens that have it.
struct Granted<'p> {
    connection: ConnectionId,
    source: &'p GrantSource,
    /// The pattern that represents the source; differs from it for all sources.
    pattern: Pattern,
    tokens: Vec<&'p Token>,
}

/// Finds the names that `catalog` lacks and each pattern of `policy`, compiled to `snapshot`, would expose. In the
/// policy's order.
///
/// Costs a search for each pattern and name, some tens of microseconds, and a decision for each token with the pattern.
///
/// # Errors
///
/// Returns an error if a decision denies a name, which is a bug of this module.
pub fn forecast<'p>(
    policy: &'p Policy,
    snapshot: &Snapshot,
    catalog: &Catalog<'_>,
    options: &Options,
) -> Result<Vec<Forecast<'p>>, Unconfirmed> {
    let coverage = Coverage::new(policy, options.now);
    let grantees = Grantees::by_connection(&coverage, |index, _| u32::try_from(index).ok());
    let mut exposing = Exposing { coverage, grantees, counted: HashMap::new() };
    let granted = granted(policy, options, |connection| catalog.segments(connection));
    granted.into_iter().map(|granted| of(policy, snapshot, catalog, &granted, options, &mut exposing)).collect()
}

fn of<'p>(
    policy: &'p Policy,
    snapshot: &Snapshot,
    catalog: &Catalog<'_>,
    granted: &Granted<'p>,
    options: &Options,
    exposing: &mut Exposing<'_>,
) -> Result<Forecast<'p>, Unconfirmed> {
    let connection = policy.connection(granted.connection);
    let dialect = connection.map(Connection::dialect).unwrap_or_default();
    let known = catalog.of(granted.connection, &granted.pattern);
    let found = Search::new(dialect, &granted.pattern, known).names(options.count.min(Options::MOST));
    let mut names = Vec::new();
    for (name, in_schema) in found {
        let text = name.display(dialect).to_string();
        let mut shown = None;
        for token in &granted.tokens {
            let kind = granted.source.kind();
            let way = ways(policy, token).find(|(api, operation)| api.considers(*operation).contains(kind));
            let (Some((api, operation)), Some(connection)) = (way, connection) else { continue };
            let resource = RequestedSource::Resource(text.clone());
            let witness = witness(token, api, operation, connection.name(), resource, options.now);
            witness.confirm(snapshot, "the pattern would expose it", true)?;
            shown.get_or_insert(witness);
        }
        let Some(witness) = shown else { continue };
        let tokens = exposing.tokens(granted.connection, name.as_bytes());
        names.push(Future { name: text, in_schema, tokens, witness });
    }
    Ok(Forecast { connection: granted.connection, source: granted.source, tokens: granted.tokens.len() as u64, names })
}

/// Returns the distinct selected patterns, in the policy's order. `segments` returns the number of segments that most
/// names of a connection have.
fn granted<'p>(
    policy: &'p Policy,
    options: &Options,
    segments: impl Fn(ConnectionId) -> Option<usize>,
) -> Vec<Granted<'p>> {
    let mut numbers: HashMap<(ConnectionId, &GrantSource), usize> = HashMap::new();
    let mut granted: Vec<Granted<'p>> = Vec::new();
    let is_selected = |token: &&Token| options.token.as_deref().is_none_or(|only| token.id() == only);
    let lasting = policy.tokens().iter().filter(|token| !token.expiry().is_expired(options.now));
    for token in lasting.filter(is_selected) {
        let considered = considered(policy, token);
        for grant in token.grants().iter().filter(|grant| considered.contains(grant.source().kind())) {
            let Some(connection) = policy.connection(grant.connection()) else { continue };
            if options.connection.as_deref().is_some_and(|only| only != connection.name()) {
                continue;
            }
            let pattern = match grant.source() {
                GrantSource::Pattern(pattern) => pattern.clone(),
                GrantSource::All => match all(connection.dialect(), segments(grant.connection())) {
                    Some(pattern) => pattern,
                    None => continue,
                },
                _ => continue,
            };
            let key = (grant.connection(), grant.source());
            let number = *numbers.entry(key).or_insert_with(|| {
                granted.push(Granted {
                    connection: grant.connection(),
                    source: grant.source(),
                    pattern,
                    tokens: Vec::new(),
                });
                granted.len() - 1
            });
            if let Some(granted) = granted.get_mut(number) {
                granted.tokens.push(token);
            }
        }
    }
    granted
}

/// Returns a pattern that covers every table of a connection.
fn all(dialect: Dialect, segments: Option<usize>) -> Option<Pattern> {
    let segments = segments.or(dialect.depth().map(usize::from)).unwrap_or(2).max(2);
    Pattern::parse(&vec!["*"; segments].join("."), dialect).ok()
}

/// Counts the tokens that expose a name; once for all names that the same sources cover.
struct Exposing<'p> {
    coverage: Coverage<'p>,
    grantees: Vec<Grantees>,
    counted: HashMap<(ConnectionId, Covering), u64>,
}

impl Exposing<'_> {
    fn tokens(&mut self, connection: ConnectionId, name: &[u8]) -> u64 {
        let (sources, grantees) = (self.coverage.sources(connection), self.grantees.get(connection.index()));
        let (Some(sources), Some(grantees)) = (sources, grantees) else { return 0 };
        let mut buffer = NameBuffer::new();
        let name = CanonicalName::of(name, &mut buffer);
        let covering = sources.kernel().covering_one(name, &mut Lookup::default());
        let count = || grantees.readers(&covering).own.len() as u64;
        *self.counted.entry((connection, covering.clone())).or_insert_with(count)
    }
}

/// Returns the selected patterns by connection. All sources become one pattern for each number of segments.
fn patterns(policy: &Policy, options: &Options) -> BTreeMap<usize, Vec<Pattern>> {
    let mut by_connection: BTreeMap<usize, Vec<Pattern>> = BTreeMap::new();
    for Granted { connection, source, pattern, .. } in granted(policy, options, |_| None) {
        let patterns = by_connection.entry(connection.index()).or_default();
        let dialect = policy.connection(connection).map(Connection::dialect).unwrap_or_default();
        if *source == GrantSource::All {
            patterns.extend((2..=MAX_SEGMENTS).filter_map(|segments| all(dialect, Some(segments))));
        } else {
            patterns.push(pattern);
        }
    }
    for patterns in by_connection.values_mut() {
        patterns.sort_unstable_by(|one, other| one.as_bytes().cmp(other.as_bytes()));
        patterns.dedup();
    }
    by_connection
}
