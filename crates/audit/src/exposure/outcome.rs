//! Computes the exposure of tokens, sources and connections from counted names.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use smallvec::SmallVec;

use super::counts::{Counts, EXAMPLES, NameCounts, Names};
use crate::catalog::Broken;
use crate::coverage::{Coverage, Sources, considered};
use crate::reads::Followed;
use portcullis::model::{Connection, ConnectionId, GrantKind, GrantSource};
use portcullis::name::{CanonicalName, NameBuffer};
use portcullis_diff::patterns::Lookup;

/// The exposure of the counted names. A name that a catalog has twice counts twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exposure {
    /// The number of names, including names on connections that the policy does not have.
    pub names: u64,
    /// The number of names that some unexpired token exposes itself.
    pub exposed: u64,
    /// The number of further names that unexpired tokens expose only through granted queries and named sources.
    pub through_queries: u64,
    /// The connections, in the policy's order.
    pub connections: Vec<ConnectionExposure>,
    /// The tokens, in the policy's order.
    pub tokens: Vec<TokenExposure>,
    /// The distinct granted resources, patterns, and followed queries and named sources, by connection.
    pub sources: Vec<SourceExposure>,
    /// Tables that queries read and the catalog lacks, on connections of which the catalog has names.
    pub missing: Vec<MissingTable>,
    /// The number of names on connections that the policy does not have.
    pub unknown: u64,
    /// The first of these names, each after its connection.
    pub unknown_examples: Vec<String>,
    /// The number of broken rows.
    pub broken: u64,
    /// The first broken rows.
    pub first_broken: Vec<Broken>,
}

/// A table that queries read and the catalog lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingTable {
    /// The connection.
    pub connection: ConnectionId,
    /// The table, as the dialect writes it.
    pub table: String,
    /// The number of queries and named sources that read the table.
    pub queries: u64,
}

/// The exposure of one connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionExposure {
    /// The number of names.
    pub names: u64,
    /// The number of names that some unexpired token exposes itself.
    pub exposed: u64,
    /// The number of further names that unexpired tokens expose only through queries.
    pub through_queries: u64,
    /// The number of exposed names that only grants of all sources expose.
    pub by_all_only: u64,
    /// Some names that no token exposes, itself or through queries.
    pub unexposed_examples: Vec<String>,
}

/// The exposure of one token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenExposure {
    /// The number of names that the token exposes itself; for an expired token, that it would expose.
    pub names: u64,
    /// The number of further names that it exposes only through queries and named sources; for an expired token, would
    /// expose.
    pub through_queries: u64,
    /// Whether the token is expired and exposes nothing now.
    pub expired: bool,
    /// Some of the names that it exposes itself, by the sources of its first grants.
    pub examples: Vec<String>,
    /// Some of the names that it exposes only through queries.
    pub query_examples: Vec<String>,
    /// For each grant, in order, the number of names that it covers or reads. `None` for queries and named sources that
    /// are not followed, and for grants that no API of the token considers.
    pub grants: Vec<Option<u64>>,
}

/// The exposure of one source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceExposure {
    /// The connection.
    pub connection: ConnectionId,
    /// The resource, pattern, query or named source.
    pub source: GrantSource,
    /// The number of names that it covers or reads.
    pub names: u64,
    /// The number of unexpired tokens that are granted the source.
    pub tokens: u64,
    /// Some of these names.
    pub examples: Vec<String>,
}

impl Exposure {
    /// Computes the exposure from names that were counted with the same `coverage`.
    ///
    /// Linear in the grants of all tokens and, for each of their patterns, in the sets of patterns that cover names.
    pub fn new(coverage: &Coverage<'_>, mut counted: NameCounts) -> Self {
        counted.connections.resize_with(coverage.connections().len(), Counts::default);
        let connections = coverage.connections().iter().zip(&counted.connections);
        let mut views: Vec<View<'_>> = connections.map(|(sources, counts)| View::of(sources, counts)).collect();
        let tokens = coverage.policy().tokens().iter().map(|token| {
            let considered = considered(coverage.policy(), token);
            let expired = coverage.is_expired(token);
            views.iter_mut().for_each(View::begin);
            let mut exposure = TokenExposure {
                names: 0,
                through_queries: 0,
                expired,
                examples: Vec::new(),
                query_examples: Vec::new(),
                grants: vec![None; token.grants().len()],
            };
            // Patterns first: a resource that one of them covers is counted with it.
            let mut grants: Vec<_> = token.grants().iter().zip(0_usize..).collect();
            grants.sort_by_key(|(grant, _)| match grant.source().kind() {
                GrantKind::All => 0,
                GrantKind::Pattern => 1,
                _ => 2,
            });
            for (grant, index) in grants {
                let kind = grant.source().kind();
                if !considered.contains(kind) {
                    continue;
                }
                let Some(view) = views.get_mut(grant.connection().index()) else { continue };
                let Some((covered, new)) = view.take(grant.source(), !expired, &mut exposure.examples) else {
                    continue;
                };
                exposure.names += new;
                if let Some(names) = exposure.grants.get_mut(index) {
                    *names = Some(covered);
                }
            }
            exposure.through_queries = views.iter_mut().map(|view| view.through(&mut exposure.query_examples)).sum();
            exposure
        });
        let tokens = tokens.collect();
        let connections: Vec<_> = views.iter_mut().map(View::whole).collect();
        let ids = (0..).map(ConnectionId::new);
        let sources = ids.zip(&views).flat_map(|(connection, view)| view.each(connection)).collect();
        let missing = missing(coverage, &views);
        Self {
            names: counted.unknown.count + connections.iter().map(|connection| connection.names).sum::<u64>(),
            exposed: connections.iter().map(|connection| connection.exposed).sum(),
            through_queries: connections.iter().map(|connection| connection.through_queries).sum(),
            connections,
            tokens,
            sources,
            missing,
            unknown: counted.unknown.count,
            unknown_examples: counted.unknown.examples.iter().map(|(_, name)| name.clone()).collect(),
            broken: counted.broken,
            first_broken: counted.first_broken,
        }
    }
}

/// Returns the tables that queries read and the catalog lacks.
fn missing(coverage: &Coverage<'_>, views: &[View<'_>]) -> Vec<MissingTable> {
    let mut missing: BTreeMap<(ConnectionId, String), u64> = BTreeMap::new();
    for (connection, _, reads) in coverage.followed().into_iter().flat_map(Followed::all) {
        let Some(view) = views.get(connection.index()).filter(|view| view.counts.names > 0) else { continue };
        let dialect = coverage.policy().connection(connection).map(Connection::dialect).unwrap_or_default();
        for table in &reads.tables {
            if !table.sources().iter().filter_map(|source| view.sources.number(source)).any(|id| view.has(id)) {
                *missing.entry((connection, table.display(dialect))).or_default() += 1;
            }
        }
    }
    missing.into_iter().map(|((connection, table), queries)| MissingTable { connection, table, queries }).collect()
}

/// The counts of one connection, by source instead of by set of patterns.
struct View<'t> {
    sources: &'t Sources<'t>,
    counts: &'t Counts,
    /// For each set of patterns, its names and the round in which it was last taken.
    sets: Vec<(&'t Names, u64)>,
    /// For each pattern, the sets that contain it; for a resource, the set of patterns that cover it.
    sets_of: Vec<Vec<u32>>,
    /// For each set, some resources that its patterns cover.
    resources_of: Vec<SmallVec<[u32; EXAMPLES]>>,
    /// For each resource, the round in which it was last taken.
    taken: Vec<u64>,
    /// For each source, the number of unexpired tokens with it, and the round of the last one.
    tokens: Vec<(u64, u64)>,
    /// For each query, the number of names it reads, of unexpired tokens with it, and the round of the last one.
    queries: Vec<(u64, u64, u64)>,
    /// Whether an unexpired token has all sources.
    all: bool,
    round: u64,
    all_taken: bool,
    /// The sources taken in this round: granted ones, and those that queries read.
    direct: Vec<u32>,
    read: Vec<u32>,
}

impl<'t> View<'t> {
    fn of(sources: &'t Sources<'t>, counts: &'t Counts) -> Self {
        let mut ordered: Vec<_> = counts.sets.iter().collect();
        ordered.sort_unstable_by_key(|(set, _)| *set);
        let mut sets_of = vec![Vec::new(); sources.len()];
        for ((set, _), number) in ordered.iter().zip(0_u32..) {
            for &id in *set {
                if let Some(sets) = sets_of.get_mut(id as usize) {
                    sets.push(number);
                }
            }
        }
        let mut resources_of = vec![SmallVec::new(); ordered.len()];
        let mut resources: Vec<u32> = counts.resources.keys().copied().collect();
        resources.sort_unstable();
        let (mut buffer, mut lookup) = (NameBuffer::new(), Lookup::default());
        for id in resources {
            let Some(GrantSource::Resource(name)) = sources.get(id) else { continue };
            let covering = sources.kernel().covering_one(CanonicalName::of(name.as_bytes(), &mut buffer), &mut lookup);
            let (_, patterns) = sources.split(&covering);
            let set = ordered.binary_search_by(|(set, _)| set.as_slice().cmp(patterns)).ok();
            if let (Some(sets), Some(set)) = (sets_of.get_mut(id as usize), set) {
                sets.push(u32::try_from(set).unwrap_or(u32::MAX));
                if let Some(some) = resources_of.get_mut(set).filter(|some| some.len() < EXAMPLES) {
                    some.push(id);
                }
            }
        }
        let mut view = Self {
            sources,
            counts,
            sets: ordered.into_iter().map(|(_, names)| (names, 0)).collect(),
            sets_of,
            resources_of,
            taken: vec![0; sources.resources()],
            tokens: vec![(0, 0); sources.len()],
            queries: Vec::new(),
            all: false,
            round: 0,
            all_taken: false,
            direct: Vec::new(),
            read: Vec::new(),
        };
        view.queries = sources.queries().iter().map(|(_, ids)| (view.union(ids), 0, 0)).collect();
        view
    }

    /// Counts the names that at least one of `ids` covers. The ids are descending, so patterns precede resources.
    fn union(&mut self, ids: &[u32]) -> u64 {
        self.begin();
        ids.iter().map(|&id| self.cover(id).1).sum()
    }

    /// Whether the catalog has a name that the source covers.
    fn has(&self, id: u32) -> bool {
        if self.sources.is_resource(id) {
            self.counts.resources.contains_key(&id)
        } else {
            self.sets_of.get(id as usize).is_some_and(|sets| !sets.is_empty())
        }
    }

    /// Starts a new round, in which nothing is taken.
    fn begin(&mut self) {
        self.round += 1;
        self.all_taken = false;
        self.direct.clear();
        self.read.clear();
    }

    /// Takes `source`. Returns the number of names it covers, and how many of them are new in this round.
    fn take(&mut self, source: &GrantSource, counts: bool, examples: &mut Vec<String>) -> Option<(u64, u64)> {
        if matches!(source, GrantSource::All) {
            self.all |= counts;
            let new = if self.all_taken { 0 } else { self.counts.names };
            self.all_taken = true;
            let names = self.sets.iter().flat_map(|(names, _)| &names.examples).map(|(_, name)| name.clone());
            examples.extend(names.take(EXAMPLES));
            examples.truncate(EXAMPLES);
            return Some((self.counts.names, new));
        }
        if let Some(query) = self.sources.query(source) {
            let (names, tokens, last) = self.queries.get_mut(query)?;
            if std::mem::replace(last, self.round) != self.round {
                *tokens += u64::from(counts);
            }
            self.read.extend_from_slice(self.sources.read_by(source));
            return Some((*names, 0));
        }
        let id = self.sources.number(source)?;
        self.direct.push(id);
        let (tokens, last) = self.tokens.get_mut(id as usize)?;
        if std::mem::replace(last, self.round) != self.round {
            *tokens += u64::from(counts);
        }
        if examples.len() < EXAMPLES {
            for name in self.examples(id) {
                if examples.len() < EXAMPLES && !examples.contains(&name) {
                    examples.push(name);
                }
            }
        }
        let (covered, new) = self.cover(id);
        Some((covered, if self.all_taken { 0 } else { new }))
    }

    fn cover(&mut self, id: u32) -> (u64, u64) {
        let sets = self.sets_of.get(id as usize).map(Vec::as_slice).unwrap_or_default();
        if let Some(taken) = self.taken.get_mut(id as usize) {
            let names = self.counts.resources.get(&id).copied().unwrap_or(0);
            let by_pattern = sets.iter().any(|&set| self.sets.get(set as usize).is_some_and(|set| set.1 == self.round));
            let new = !by_pattern && std::mem::replace(taken, self.round) != self.round;
            return (names, if new { names } else { 0 });
        }
        let (mut covered, mut new) = (0, 0);
        for &set in sets {
            let Some((names, taken)) = self.sets.get_mut(set as usize) else { continue };
            covered += names.count;
            if std::mem::replace(taken, self.round) != self.round {
                new += names.count;
            }
        }
        (covered, new)
    }

    /// Counts the names that only queries cover in this round, and adds examples of them. Ends the round.
    fn through(&mut self, examples: &mut Vec<String>) -> u64 {
        if self.read.is_empty() || self.all_taken {
            return 0;
        }
        let (mut direct, mut read) = (std::mem::take(&mut self.direct), std::mem::take(&mut self.read));
        for ids in [&mut direct, &mut read] {
            ids.sort_unstable_by_key(|id| Reverse(*id));
            ids.dedup();
        }
        let own = self.union(&direct);
        for &id in &read {
            for name in self.new_examples(id) {
                if examples.len() < EXAMPLES && !examples.contains(&name) {
                    examples.push(name);
                }
            }
        }
        read.extend(direct);
        read.sort_unstable_by_key(|id| Reverse(*id));
        read.dedup();
        self.union(&read) - own
    }

    /// Returns some names that the source covers.
    fn examples(&self, id: u32) -> Vec<String> {
        self.examples_of(id, false)
    }

    /// Returns some names that the source covers and no source taken in this round.
    fn new_examples(&self, id: u32) -> Vec<String> {
        self.examples_of(id, true)
    }

    fn examples_of(&self, id: u32, new: bool) -> Vec<String> {
        let is_taken = |set: u32| new && self.sets.get(set as usize).is_some_and(|set| set.1 == self.round);
        let mut sets = self.sets_of.get(id as usize).into_iter().flatten().copied().filter(|&set| !is_taken(set));
        if self.sources.is_resource(id) {
            // The set of patterns that cover the resource.
            let left = sets.next().is_some() && !(new && self.taken.get(id as usize) == Some(&self.round));
            return left.then(|| self.sources.kernel().shown(id)).into_iter().collect();
        }
        sets.flat_map(|set| self.examples_in(set, new)).take(EXAMPLES).collect()
    }

    /// Returns some names that a set covers; with `new`, without resources that were taken in this round.
    fn examples_in(&self, set: u32, new: bool) -> impl Iterator<Item = String> {
        let names = self.sets.get(set as usize).into_iter().flat_map(|(names, _)| &names.examples);
        let resources = self.resources_of.get(set as usize).into_iter().flatten();
        let is_taken = move |id: u32| new && self.taken.get(id as usize) == Some(&self.round);
        let resources = resources.filter(move |&&id| !is_taken(id)).map(|&id| self.sources.kernel().shown(id));
        names.map(|(_, name)| name.clone()).chain(resources)
    }

    /// Computes the exposure of the connection by all tokens that were processed.
    fn whole(&mut self) -> ConnectionExposure {
        let live = (0..).zip(&self.tokens).filter(|(_, tokens)| tokens.0 > 0).map(|(id, _)| id);
        let mut live: Vec<u32> = live.collect();
        live.reverse();
        let direct = self.union(&live);
        let read = self.sources.queries().iter().zip(&self.queries).filter(|(_, (_, tokens, _))| *tokens > 0);
        live.extend(read.flat_map(|((_, ids), _)| ids));
        live.sort_unstable_by_key(|id| Reverse(*id));
        live.dedup();
        let total = self.union(&live);
        let names = self.counts.names;
        let untaken = (0..).zip(&self.sets).filter(|(_, (_, taken))| !self.all && *taken != self.round);
        let examples = untaken.flat_map(|(set, _)| self.examples_in(set, true));
        ConnectionExposure {
            names,
            exposed: if self.all { names } else { direct },
            through_queries: if self.all { 0 } else { total - direct },
            by_all_only: if self.all { names - direct } else { 0 },
            unexposed_examples: examples.take(EXAMPLES).collect(),
        }
    }

    fn each(&self, connection: ConnectionId) -> Vec<SourceExposure> {
        let of = |(id, source): (u32, &GrantSource)| {
            let sets = self.sets_of.get(id as usize).map(Vec::as_slice).unwrap_or_default();
            let names = if self.sources.is_resource(id) {
                self.counts.resources.get(&id).copied().unwrap_or(0)
            } else {
                sets.iter().filter_map(|&set| self.sets.get(set as usize)).map(|(names, _)| names.count).sum()
            };
            SourceExposure {
                connection,
                source: source.clone(),
                names,
                tokens: self.tokens.get(id as usize).map_or(0, |(tokens, _)| *tokens),
                examples: self.examples(id),
            }
        };
        let queries = self.sources.queries().iter().zip(&self.queries).map(|((source, ids), &(names, tokens, _))| {
            let mut examples: Vec<String> = Vec::new();
            for name in ids.iter().flat_map(|&id| self.examples(id)) {
                if examples.len() < EXAMPLES && !examples.contains(&name) {
                    examples.push(name);
                }
            }
            SourceExposure { connection, source: (*source).clone(), names, tokens, examples }
        });
        self.sources.granted().map(of).chain(queries).collect()
    }
}
