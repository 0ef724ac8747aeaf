//! The sources that the grants of a token cover under one API.

use std::collections::{HashMap, HashSet};

use crate::algebra::{Algebra, Names, Proof};
use crate::patterns::PatternIndex;
use crate::witness::RequestedSource;
use portcullis::model::{Connection, Grant, GrantKinds, GrantSource, Policy, Token};
use portcullis::name::Name;
use portcullis::pattern::Pattern;

/// The covered sources of one connection.
pub(super) struct Covered<'p> {
    connection: &'p Connection,
    all: bool,
    names: Vec<Names<'p>>,
    index: PatternIndex,
    queries: HashSet<&'p str>,
    named_sources: HashSet<&'p str>,
}

/// Whether a grant is covered.
pub(super) enum Is {
    Covered,
    /// The grant is not covered, as this source proves.
    Open(RequestedSource),
    Undecided,
}

/// Collects the sources that the considered grants of `token` cover, by connection name.
pub(super) fn covered<'p>(
    policy: &'p Policy,
    token: &'p Token,
    considered: GrantKinds,
) -> HashMap<&'p str, Covered<'p>> {
    let mut by_connection: HashMap<&str, Covered<'_>> = HashMap::new();
    for grant in token.grants().iter().filter(|grant| considered.contains(grant.source().kind())) {
        let Some(connection) = policy.connection(grant.connection()) else { continue };
        by_connection.entry(connection.name()).or_insert_with(|| Covered::new(connection)).add(grant.source());
    }
    by_connection.values_mut().for_each(Covered::index);
    by_connection
}

impl<'p> Covered<'p> {
    fn new(connection: &'p Connection) -> Self {
        Self {
            connection,
            all: false,
            names: Vec::new(),
            index: PatternIndex::default(),
            queries: HashSet::new(),
            named_sources: HashSet::new(),
        }
    }

    fn add(&mut self, source: &'p GrantSource) {
        match source {
            GrantSource::Resource(name) => self.names.push(name.into()),
            GrantSource::Pattern(pattern) => self.names.push(pattern.into()),
            GrantSource::Query(query) => {
                self.queries.insert(query.as_str());
            }
            GrantSource::NamedSource(name) => {
                self.named_sources.insert(name.as_str());
            }
            GrantSource::All => self.all = true,
        }
    }

    fn index(&mut self) {
        self.index = PatternIndex::new((0..).zip(self.names.iter().map(Names::as_bytes)));
    }

    /// Whether every source that `grant` covers on `connection`, which has the same name, is covered.
    pub(super) fn covers(&self, grant: &Grant, connection: &Connection) -> Is {
        let queries_open = self.connection.named_sources_only() && !connection.named_sources_only();
        match grant.source() {
            GrantSource::Resource(name) => self.covers_names(name.into(), name.as_bytes(), connection),
            GrantSource::Pattern(pattern) => self.covers_names(pattern.into(), pattern.as_bytes(), connection),
            GrantSource::Query(query) => {
                let is_covered = (self.all || self.queries.contains(query.as_str())) && !queries_open;
                if is_covered || connection.named_sources_only() {
                    Is::Covered
                } else {
                    Is::Open(RequestedSource::Query(query.as_str().to_owned()))
                }
            }
            GrantSource::NamedSource(name) if self.all || self.named_sources.contains(name.as_str()) => Is::Covered,
            GrantSource::NamedSource(name) => Is::Open(RequestedSource::NamedSource(name.as_str().to_owned())),
            GrantSource::All if !self.all => self.any_name(connection),
            GrantSource::All if queries_open => Is::Open(RequestedSource::Query("SELECT 1".to_owned())),
            GrantSource::All if self.connection.dialect() != connection.dialect() => Is::Undecided,
            GrantSource::All => Is::Covered,
        }
    }

    fn covers_names(&self, names: Names<'_>, canonical: &[u8], connection: &Connection) -> Is {
        // Equal text may be a different name in another dialect.
        if self.connection.dialect() != connection.dialect() {
            return Is::Undecided;
        }
        if self.all || !self.index.covering(canonical).is_empty() {
            return Is::Covered;
        }
        let near: Vec<Names<'_>> = self.names.iter().copied().filter(|other| other.may_overlap(&names)).collect();
        match Algebra::new(connection.dialect()).covered(names, &near) {
            Proof::Holds => Is::Covered,
            Proof::Fails(name) => Is::Open(resource(&name, connection)),
            Proof::Undecided => Is::Undecided,
        }
    }

    /// Returns a name that is not covered; not all sources are granted.
    fn any_name(&self, connection: &Connection) -> Is {
        let (dialect, algebra) = (connection.dialect(), Algebra::new(connection.dialect()));
        if self.connection.dialect() == dialect {
            for text in ["*.*.*", "*.*"] {
                let Ok(pattern) = Pattern::parse(text, dialect) else { continue };
                if let Proof::Fails(name) = algebra.covered(&pattern, &self.names) {
                    return Is::Open(resource(&name, connection));
                }
            }
        }
        // Only a grant of all sources covers a name of one segment.
        Is::Open(RequestedSource::Resource("a".to_owned()))
    }
}

/// Returns a source that `grant` covers on `connection`, if there is one.
pub fn any(grant: &Grant, connection: &Connection) -> Option<RequestedSource> {
    let dialect = connection.dialect();
    match grant.source() {
        GrantSource::Resource(name) => Some(resource(name, connection)),
        GrantSource::Pattern(pattern) => match Algebra::new(dialect).covered(pattern, &[]) {
            Proof::Fails(name) => Some(resource(&name, connection)),
            Proof::Holds | Proof::Undecided => None,
        },
        GrantSource::Query(_) if connection.named_sources_only() => None,
        GrantSource::Query(query) => Some(RequestedSource::Query(query.as_str().to_owned())),
        GrantSource::NamedSource(name) => Some(RequestedSource::NamedSource(name.as_str().to_owned())),
        GrantSource::All => Name::parse("a.a", dialect).ok().map(|name| resource(&name, connection)),
    }
}

fn resource(name: &Name, connection: &Connection) -> RequestedSource {
    RequestedSource::Resource(name.display(connection.dialect()).to_string())
}
