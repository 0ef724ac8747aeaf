//! What each token is granted, as numbers of patterns and resources.

use std::borrow::Cow;
use std::collections::HashMap;

use foldhash::fast::RandomState;
use smallvec::SmallVec;

use crate::granted::considered;
use crate::reads::{Followed, Table};
use portcullis::base::Timestamp;
use portcullis::model::{ConnectionId, GrantSource, Policy};
use portcullis_diff::patterns::PatternIndex;

/// What covers names of a connection, by its number there. What may cover more names is ordered first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Source {
    All(ConnectionId),
    Pattern(ConnectionId, u32),
    Resource(ConnectionId, u32),
}

/// The grants of a policy that expose names.
pub(super) struct Grants {
    pub(super) connections: Vec<Sources>,
    /// By the place of the token.
    tokens: Vec<Granted>,
    /// By the number of a query or named source, what covers the tables that it reads.
    queries: Vec<Vec<Source>>,
}

/// What one token is granted.
#[derive(Default)]
struct Granted {
    /// Resources, patterns and all sources, each once, in order.
    own: Vec<Source>,
    /// Queries and named sources.
    queries: Vec<u32>,
}

/// What is granted on one connection, or read by a query that is.
#[derive(Default)]
pub(super) struct Sources {
    index: PatternIndex,
    patterns: Numbers,
    resources: Numbers,
    /// Whether a token has all sources.
    all: bool,
}

/// Patterns, or resources, numbered as they are added.
#[derive(Default)]
struct Numbers {
    of: HashMap<Box<[u8]>, u32, RandomState>,
    /// By number, whether a token is granted it, not only a query that reads it.
    own: Vec<bool>,
}

/// What covers one name.
pub(super) struct Covered {
    /// The numbers of the patterns, ascending.
    pub(super) patterns: SmallVec<[u32; 16]>,
    /// The number of the resource.
    pub(super) resource: Option<u32>,
    /// Whether some token is granted it itself.
    pub(super) own: bool,
    /// Whether some token is granted it, itself or through a query.
    pub(super) any: bool,
}

impl Grants {
    /// Of the tokens that are not expired at `now`, the grants that some API of the token considers (N8.3).
    pub(super) fn of(policy: &Policy, now: Timestamp, followed: Option<&Followed<'_>>) -> Self {
        let mut connections: Vec<Sources> = policy.connections().iter().map(|_| Sources::default()).collect();
        let mut queries: Vec<Vec<Source>> = Vec::new();
        let mut numbers: HashMap<(ConnectionId, &GrantSource), u32, RandomState> = HashMap::default();
        let mut tokens = Vec::with_capacity(policy.tokens().len());
        for token in policy.tokens() {
            let mut granted = Granted::default();
            let considered = considered(policy, token);
            let lasting = token.grants().iter().filter(|_| !token.expiry().is_expired(now));
            for grant in lasting.filter(|grant| considered.contains(grant.source().kind())) {
                let (at, source) = (grant.connection(), grant.source());
                let Some(sources) = connections.get_mut(at.index()) else { continue };
                if let GrantSource::Query(_) | GrantSource::NamedSource(_) = source {
                    let Some(reads) = followed.and_then(|followed| followed.reads(at, source)) else { continue };
                    granted.queries.push(*numbers.entry((at, source)).or_insert_with(|| {
                        let tables = reads.tables.iter().flat_map(Table::sources);
                        queries.push(tables.filter_map(|table| sources.add(at, table, false)).collect());
                        number(queries.len() - 1)
                    }));
                } else {
                    granted.own.extend(sources.add(at, source, true));
                }
            }
            in_order(&mut granted.own);
            tokens.push(granted);
        }
        Self { connections, tokens, queries }
    }

    /// How many tokens there are, expired ones among them.
    pub(super) fn tokens(&self) -> usize {
        self.tokens.len()
    }

    /// What the token is granted itself, each source once, in order.
    pub(super) fn own(&self, token: usize) -> &[Source] {
        self.tokens.get(token).map(|granted| granted.own.as_slice()).unwrap_or_default()
    }

    /// What the token is granted itself or through queries, each source once, in order.
    pub(super) fn any(&self, token: usize) -> Cow<'_, [Source]> {
        let queries = self.tokens.get(token).map(|granted| granted.queries.as_slice()).unwrap_or_default();
        let own = self.own(token);
        if queries.is_empty() {
            return Cow::Borrowed(own);
        }
        let read = queries.iter().filter_map(|&query| self.queries.get(query as usize)).flatten();
        let mut any: Vec<Source> = own.iter().chain(read).copied().collect();
        in_order(&mut any);
        Cow::Owned(any)
    }
}

fn in_order(sources: &mut Vec<Source>) {
    sources.sort_unstable();
    sources.dedup();
}

impl Sources {
    /// How many patterns there are.
    pub(super) fn patterns(&self) -> usize {
        self.patterns.own.len()
    }

    /// How many resources there are.
    pub(super) fn resources(&self) -> usize {
        self.resources.own.len()
    }

    fn add(&mut self, at: ConnectionId, source: &GrantSource, own: bool) -> Option<Source> {
        match source {
            GrantSource::All => {
                self.all |= own;
                Some(Source::All(at))
            }
            GrantSource::Pattern(pattern) => {
                let (number, new) = self.patterns.add(pattern.as_bytes(), own);
                if new {
                    self.index.add(pattern.as_bytes());
                }
                Some(Source::Pattern(at, number))
            }
            GrantSource::Resource(name) => Some(Source::Resource(at, self.resources.add(name.as_bytes(), own).0)),
            GrantSource::Query(_) | GrantSource::NamedSource(_) => None,
        }
    }

    /// What covers a name, which is in canonical form.
    pub(super) fn covering(&self, name: &[u8]) -> Covered {
        let mut patterns = SmallVec::new();
        self.index.covering(name, |at| patterns.push(number(at)));
        patterns.sort_unstable();
        let resource = self.resources.of.get(name).copied();
        let own = self.all
            || patterns.iter().any(|&number| self.patterns.is_own(number))
            || resource.is_some_and(|number| self.resources.is_own(number));
        let any = own || !patterns.is_empty() || resource.is_some();
        Covered { patterns, resource, own, any }
    }
}

impl Numbers {
    /// The number, and whether it is new.
    fn add(&mut self, canonical: &[u8], own: bool) -> (u32, bool) {
        let known = self.of.get(canonical).copied();
        let at = known.unwrap_or_else(|| {
            let next = number(self.own.len());
            self.of.insert(canonical.into(), next);
            self.own.push(false);
            next
        });
        if let Some(is_own) = self.own.get_mut(at as usize) {
            *is_own |= own;
        }
        (at, known.is_none())
    }

    fn is_own(&self, number: u32) -> bool {
        self.own.get(number as usize).is_some_and(|own| *own)
    }
}

fn number(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}
