//! Names that do not exist yet, and would be exposed the day somebody makes them.
//!
//! A pattern grants what it covers, and what it will cover: [`forecast`] tells, for each pattern of tokens that are not
//! expired, the shortest names that it covers and the catalog does not have. Each of them has been decided by the engine for
//! every token with that pattern before it is told.
//!
//! **Which names.** Of a pattern's names that the catalog does not have, those in schemas that exist come first: where all but
//! the last segment of the name is the beginning of some name of the catalog. Of several such schemas that the pattern covers the
//! [`SCHEMAS`] shortest are looked at. Then the shorter name comes first, in characters, and of equally short ones the more readable, as
//! [`algebra`](portcullis_diff::algebra) says. Only where no schema that exists has a name left, or no catalog is given, the
//! schema is one that does not exist, either. That a name does not exist is known up to [`SLACK`] characters
//! beyond the shortest text of its last segment: longer names are not kept, and not told.
//!
//! All sources (`*`) count as a pattern of as many stars as most names of the connection have segments; without a catalog, as
//! a table of the dialect has.
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

/// How many existing schemas of a pattern are looked at.
pub const SCHEMAS: usize = 8;

/// How many characters more than the shortest text of its last segment a name may have.
pub const SLACK: usize = 2;

/// What is asked.
#[derive(Debug, Clone)]
pub struct Options {
    /// As of when tokens are expired.
    pub now: Timestamp,
    /// How many names of each pattern, at most [`Options::MOST`].
    pub count: usize,
    /// Only patterns of this token.
    pub token: Option<String>,
    /// Only patterns on this connection.
    pub connection: Option<String>,
}

impl Options {
    /// The most names of one pattern.
    pub const MOST: usize = 100;

    /// Three names of every pattern.
    pub fn at(now: Timestamp) -> Self {
        Self { now, count: 3, token: None, connection: None }
    }
}

/// What a pattern would expose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forecast<'p> {
    /// The connection.
    pub connection: ConnectionId,
    /// The pattern, or all sources.
    pub source: &'p GrantSource,
    /// How many tokens that are not expired have it.
    pub tokens: u64,
    /// The first names; fewer than were asked for where there are no more, or none that is known not to exist.
    pub names: Vec<Future>,
}

/// A name that does not exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Future {
    /// As the dialect writes it.
    pub name: String,
    /// Whether its schema is known to exist. Else it does not, or the pattern covers more than [`SCHEMAS`] that do.
    pub in_schema: bool,
    /// How many tokens would expose it, by whatever grant.
    pub tokens: u64,
    /// A request for it that is allowed.
    pub witness: Witness,
}

/// A pattern, and who has it.
struct Asker<'p> {
    connection: ConnectionId,
    source: &'p GrantSource,
    /// The patterns that stand for it: one, but for all sources.
    pattern: Pattern,
    tokens: Vec<&'p Token>,
}

/// What patterns of `policy`, compiled to `snapshot`, would expose of what `catalog` does not have, in the order of the policy.
///
/// For each pattern and name a search, some tens of microseconds, and a decision for each token that has the pattern.
///
/// # Errors
///
/// If a decision does not confirm a name, which is a mistake of this module.
pub fn forecast<'p>(
    policy: &'p Policy,
    snapshot: &Snapshot,
    catalog: &Catalog<'_>,
    options: &Options,
) -> Result<Vec<Forecast<'p>>, Unconfirmed> {
    let coverage = Coverage::new(policy, options.now);
    let grantees = Grantees::by_connection(&coverage, |index, _| u32::try_from(index).ok());
    let mut exposing = Exposing { coverage, grantees, counted: HashMap::new() };
    let askers = askers(policy, options, |connection| catalog.segments(connection));
    askers.into_iter().map(|asker| of(policy, snapshot, catalog, &asker, options, &mut exposing)).collect()
}

fn of<'p>(
    policy: &'p Policy,
    snapshot: &Snapshot,
    catalog: &Catalog<'_>,
    asker: &Asker<'p>,
    options: &Options,
    exposing: &mut Exposing<'_>,
) -> Result<Forecast<'p>, Unconfirmed> {
    let connection = policy.connection(asker.connection);
    let dialect = connection.map(Connection::dialect).unwrap_or_default();
    let known = catalog.of(asker.connection, &asker.pattern);
    let found = Search::new(dialect, &asker.pattern, known).names(options.count.min(Options::MOST));
    let mut names = Vec::new();
    for (name, in_schema) in found {
        let text = name.display(dialect).to_string();
        let mut shown = None;
        for token in &asker.tokens {
            let kind = asker.source.kind();
            let way = ways(policy, token).find(|(api, operation)| api.considers(*operation).contains(kind));
            let (Some((api, operation)), Some(connection)) = (way, connection) else { continue };
            let resource = RequestedSource::Resource(text.clone());
            let witness = witness(token, api, operation, connection.name(), resource, options.now);
            witness.confirm(snapshot, "the pattern would expose it", true)?;
            shown.get_or_insert(witness);
        }
        let Some(witness) = shown else { continue };
        let tokens = exposing.tokens(asker.connection, name.as_bytes());
        names.push(Future { name: text, in_schema, tokens, witness });
    }
    Ok(Forecast { connection: asker.connection, source: asker.source, tokens: asker.tokens.len() as u64, names })
}

/// The distinct patterns that are asked about, in the order in which the policy grants them. `segments` says how many segments most names of a
/// connection have.
fn askers<'p>(
    policy: &'p Policy,
    options: &Options,
    segments: impl Fn(ConnectionId) -> Option<usize>,
) -> Vec<Asker<'p>> {
    let mut numbers: HashMap<(ConnectionId, &GrantSource), usize> = HashMap::new();
    let mut askers: Vec<Asker<'p>> = Vec::new();
    let is_asked = |token: &&Token| options.token.as_deref().is_none_or(|only| token.id() == only);
    let lasting = policy.tokens().iter().filter(|token| !token.expiry().is_expired(options.now));
    for token in lasting.filter(is_asked) {
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
                askers.push(Asker {
                    connection: grant.connection(),
                    source: grant.source(),
                    pattern,
                    tokens: Vec::new(),
                });
                askers.len() - 1
            });
            if let Some(asker) = askers.get_mut(number) {
                asker.tokens.push(token);
            }
        }
    }
    askers
}

/// Every table of a connection, as a pattern.
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

/// By connection, the patterns that are asked about. All sources may stand for patterns of any number of segments.
fn patterns(policy: &Policy, options: &Options) -> BTreeMap<usize, Vec<Pattern>> {
    let mut by_connection: BTreeMap<usize, Vec<Pattern>> = BTreeMap::new();
    for Asker { connection, source, pattern, .. } in askers(policy, options, |_| None) {
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
