//! What follows from a tally, for tokens, sources and connections.

use super::kernel::Matches;
use super::surface::{Sources, Surface};
use super::tally::{Counts, EXAMPLES, Names, Tally};
use crate::audit::catalog::Broken;
use crate::model::{ConnectionId, GrantKind, GrantSource};

/// What a policy exposes of the names that were counted. A name that stands in a catalog twice counts twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exposure {
    /// How many names there are, those on connections that the policy does not know among them.
    pub names: u64,
    /// How many of them some token that is not expired exposes.
    pub exposed: u64,
    /// The policy's connections, in its order.
    pub connections: Vec<ConnectionExposure>,
    /// The policy's tokens, in its order.
    pub tokens: Vec<TokenExposure>,
    /// The distinct resources and patterns that are granted, by connection.
    pub sources: Vec<SourceExposure>,
    /// How many names are on connections that the policy does not know.
    pub unknown: u64,
    /// The first of those, each behind its connection.
    pub unknown_examples: Vec<String>,
    /// How many rows were no name.
    pub broken: u64,
    /// The first of those.
    pub first_broken: Vec<Broken>,
}

/// What is exposed of one connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionExposure {
    /// How many names it has.
    pub names: u64,
    /// How many of them some token that is not expired exposes.
    pub exposed: u64,
    /// How many of those only grants of all sources expose.
    pub by_all_only: u64,
    /// Some that no token exposes.
    pub unexposed_examples: Vec<String>,
}

/// What one token exposes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenExposure {
    /// How many names, were it not expired.
    pub names: u64,
    /// Whether it is expired: it exposes nothing now.
    pub expired: bool,
    /// Some of those names, by the sources of its first grants.
    pub examples: Vec<String>,
    /// For each of its grants, in order, how many names it exposes; `None` for queries and named sources, and where no
    /// API of the token considers the grant.
    pub grants: Vec<Option<u64>>,
}

/// What one source exposes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceExposure {
    /// On which connection.
    pub connection: ConnectionId,
    /// The resource or pattern.
    pub source: GrantSource,
    /// How many names it covers.
    pub names: u64,
    /// How many tokens that are not expired expose those by it.
    pub tokens: u64,
    /// Some of those names.
    pub examples: Vec<String>,
}

impl Exposure {
    /// What follows from `tally`, which was made with `surface`.
    ///
    /// Linear in the grants of all tokens and, for each of their patterns, in the sets of patterns that cover names.
    pub fn new(surface: &Surface<'_>, mut tally: Tally) -> Self {
        tally.connections.resize_with(surface.connections.len(), Counts::default);
        let mut views: Vec<View<'_>> = surface
            .connections
            .iter()
            .zip(&tally.connections)
            .map(|(sources, counts)| View::of(sources, counts))
            .collect();
        let tokens = surface.policy.tokens().iter().map(|token| {
            let considered = surface.considered(token);
            let expired = surface.is_expired(token);
            views.iter_mut().for_each(View::begin);
            let mut exposure = TokenExposure { names: 0, expired, examples: Vec::new(), grants: Vec::new() };
            // Patterns first: a resource that one of them covers is counted with it.
            let places = token.grants().iter().zip(0_usize..);
            exposure.grants.resize(token.grants().len(), None);
            let mut grants: Vec<_> = places.collect();
            grants.sort_by_key(|(grant, _)| match grant.source().kind() {
                GrantKind::All => 0,
                GrantKind::Pattern => 1,
                _ => 2,
            });
            for (grant, place) in grants {
                let kind = grant.source().kind();
                if !considered.iter().any(|kinds| kinds.contains(kind)) {
                    continue;
                }
                let Some(view) = views.get_mut(grant.connection().index()) else { continue };
                let Some((covered, new)) = view.take(grant.source(), !expired, &mut exposure.examples) else {
                    continue;
                };
                exposure.names += new;
                if let Some(names) = exposure.grants.get_mut(place) {
                    *names = Some(covered);
                }
            }
            exposure
        });
        let tokens = tokens.collect();
        let connections: Vec<_> = views.iter_mut().map(View::whole).collect();
        let ids = (0..).map(ConnectionId);
        let sources = ids.zip(&views).flat_map(|(connection, view)| view.each(connection)).collect();
        Self {
            names: tally.unknown.count + connections.iter().map(|connection| connection.names).sum::<u64>(),
            exposed: connections.iter().map(|connection| connection.exposed).sum(),
            connections,
            tokens,
            sources,
            unknown: tally.unknown.count,
            unknown_examples: tally.unknown.examples.iter().map(|(_, name)| name.clone()).collect(),
            broken: tally.broken,
            first_broken: tally.first_broken,
        }
    }
}

/// One connection, turned from sets of patterns to patterns.
struct View<'t> {
    sources: &'t Sources<'t>,
    counts: &'t Counts,
    /// Sets of patterns, each with how many names it covers, and when it was last taken.
    sets: Vec<(&'t Names, u64)>,
    /// For each source the sets that it is in; for a resource the set of the patterns that cover it.
    sets_of: Vec<Vec<u32>>,
    /// For each resource the round in which it was last taken.
    taken: Vec<u64>,
    /// For each source how many tokens that are not expired have it, and the round of the last of them.
    tokens: Vec<(u64, u64)>,
    /// Whether one has all sources.
    all: bool,
    round: u64,
    all_taken: bool,
}

impl<'t> View<'t> {
    fn of(sources: &'t Sources<'t>, counts: &'t Counts) -> Self {
        let mut ordered: Vec<_> = counts.sets.iter().collect();
        ordered.sort_unstable_by_key(|(set, _)| *set);
        let mut sets_of = vec![Vec::new(); sources.list.len()];
        for ((set, _), number) in ordered.iter().zip(0_u32..) {
            for &id in *set {
                if let Some(sets) = sets_of.get_mut(id as usize) {
                    sets.push(number);
                }
            }
        }
        for &id in counts.resources.keys() {
            let Some(GrantSource::Resource(name)) = sources.list.get(id as usize) else { continue };
            let mut matches = Matches::default();
            sources.kernel.covering_canonical(name.as_bytes(), &mut matches);
            let patterns: Vec<u32> = matches
                .get(0)
                .unwrap_or_default()
                .iter()
                .copied()
                .filter(|&id| id as usize >= sources.resources)
                .collect();
            let set = ordered.binary_search_by(|(set, _)| (*set).cmp(&patterns)).ok();
            if let (Some(sets), Some(set)) = (sets_of.get_mut(id as usize), set) {
                sets.push(u32::try_from(set).unwrap_or(u32::MAX));
            }
        }
        Self {
            sources,
            counts,
            sets: ordered.into_iter().map(|(_, names)| (names, 0)).collect(),
            sets_of,
            taken: vec![0; sources.resources],
            tokens: vec![(0, 0); sources.list.len()],
            all: false,
            round: 0,
            all_taken: false,
        }
    }

    /// Forgets what was taken.
    fn begin(&mut self) {
        self.round += 1;
        self.all_taken = false;
    }

    /// How many names `source` covers, and how many of them no source covers that was taken before in this round.
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
        let id = *self.sources.numbers.get(source)?;
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

    /// Some names that the source covers.
    fn examples(&self, id: u32) -> Vec<String> {
        if (id as usize) < self.sources.resources {
            let shown = self.counts.resources.contains_key(&id).then(|| self.sources.kernel.shown(id));
            return shown.into_iter().collect();
        }
        let sets = self.sets_of.get(id as usize).map(Vec::as_slice).unwrap_or_default();
        let names = sets.iter().filter_map(|&set| self.sets.get(set as usize));
        names.flat_map(|(names, _)| &names.examples).map(|(_, name)| name.clone()).take(EXAMPLES).collect()
    }

    /// What is exposed of the connection by the tokens that were gone through.
    fn whole(&mut self) -> ConnectionExposure {
        self.begin();
        // Patterns first, as for each token.
        let live: Vec<u32> = (0..).zip(&self.tokens).filter(|(_, tokens)| tokens.0 > 0).map(|(id, _)| id).collect();
        let one_by_one: u64 = live.into_iter().rev().map(|id| self.cover(id).1).sum();
        let names = self.counts.names;
        let unexposed = self.sets.iter().filter(|(_, taken)| !self.all && *taken != self.round);
        let examples = unexposed.flat_map(|(names, _)| &names.examples).map(|(_, name)| name.clone());
        ConnectionExposure {
            names,
            exposed: if self.all { names } else { one_by_one },
            by_all_only: if self.all { names - one_by_one } else { 0 },
            unexposed_examples: examples.take(EXAMPLES).collect(),
        }
    }

    fn each(&self, connection: ConnectionId) -> Vec<SourceExposure> {
        let all = (0..).zip(&self.sources.list).zip(&self.tokens);
        let of = |((id, source), tokens): ((u32, &&GrantSource), &(u64, u64))| {
            let sets = self.sets_of.get(id as usize).map(Vec::as_slice).unwrap_or_default();
            let names = if (id as usize) < self.sources.resources {
                self.counts.resources.get(&id).copied().unwrap_or(0)
            } else {
                sets.iter().filter_map(|&set| self.sets.get(set as usize)).map(|(names, _)| names.count).sum()
            };
            SourceExposure {
                connection,
                source: (*source).clone(),
                names,
                tokens: tokens.0,
                examples: self.examples(id),
            }
        };
        all.map(of).collect()
    }
}
