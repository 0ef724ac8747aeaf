//! The sources that a policy grants, by connection.

use std::cmp::Reverse;

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use super::kernel::Kernel;
use crate::reads::{Followed, Reads, Table};
use portcullis::base::Timestamp;
use portcullis::model::{ConnectionId, Grant, GrantKinds, GrantSource, Operation, Policy, Token};

/// The distinct sources of each connection of a policy, ready to look names up.
pub struct Coverage<'p> {
    policy: &'p Policy,
    now: Timestamp,
    connections: Vec<Sources<'p>>,
    followed: Option<&'p Followed<'p>>,
    by_name: HashMap<&'p str, ConnectionId, RandomState>,
}

/// The distinct resources and patterns of one connection that are granted, or that queries read.
///
/// The number of a source is its index in the list. Resources come first, then patterns.
#[derive(Default)]
pub(crate) struct Sources<'p> {
    list: Vec<&'p GrantSource>,
    numbers: HashMap<&'p GrantSource, u32, RandomState>,
    resources: usize,
    /// Whether each source is granted; the remaining ones are only read by queries.
    granted: Vec<bool>,
    /// The followed queries and named sources, each with the numbers of the sources that it reads, descending.
    queries: Vec<(&'p GrantSource, Vec<u32>)>,
    query_numbers: HashMap<&'p GrantSource, usize, RandomState>,
    kernel: Kernel,
}

/// A source of a connection, by its number. A source that may cover more names sorts first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum SourceRef {
    All(ConnectionId),
    Pattern(ConnectionId, u32),
    Resource(ConnectionId, u32),
}

impl<'p> Coverage<'p> {
    /// Collects the sources of `policy`; tokens are expired as of `now`. What queries read is not covered.
    ///
    /// About linear in the bytes of the grants.
    pub fn new(policy: &'p Policy, now: Timestamp) -> Self {
        Self::of(policy, now, None)
    }

    /// Like [`new`](Self::new), plus the tables that queries and named sources read according to `followed`, which must
    /// be of the same policy.
    pub fn following(policy: &'p Policy, now: Timestamp, followed: &'p Followed<'p>) -> Self {
        Self::of(policy, now, Some(followed))
    }

    pub(crate) fn of(policy: &'p Policy, now: Timestamp, followed: Option<&'p Followed<'p>>) -> Self {
        let mut connections: Vec<Sources<'_>> = policy.connections().iter().map(|_| Sources::default()).collect();
        for resources in [true, false] {
            for grant in policy.tokens().iter().flat_map(Token::grants) {
                let Some(sources) = connections.get_mut(grant.connection().index()) else { continue };
                sources.add(grant.source(), resources, true);
            }
            for (connection, _, reads) in followed.into_iter().flat_map(Followed::all) {
                let Some(sources) = connections.get_mut(connection.index()) else { continue };
                tables(reads).for_each(|table| sources.add(table, resources, false));
            }
            if resources {
                for sources in &mut connections {
                    sources.resources = sources.list.len();
                }
            }
        }
        for (connection, source, reads) in followed.into_iter().flat_map(Followed::all) {
            let Some(sources) = connections.get_mut(connection.index()) else { continue };
            let mut ids: Vec<u32> = tables(reads).filter_map(|table| sources.number(table)).collect();
            ids.sort_unstable_by_key(|id| Reverse(*id));
            ids.dedup();
            sources.query_numbers.insert(source, sources.queries.len());
            sources.queries.push((source, ids));
        }
        for (sources, connection) in connections.iter_mut().zip(policy.connections()) {
            sources.kernel = Kernel::new(connection.dialect(), sources.list.iter().copied());
        }
        let by_name = (0..).map(ConnectionId::new).zip(policy.connections()).map(|(id, known)| (known.name(), id));
        Self { policy, now, by_name: by_name.collect(), connections, followed }
    }

    /// Returns the connection of that name, if the policy has one.
    pub fn connection(&self, name: &str) -> Option<ConnectionId> {
        self.by_name.get(name).copied()
    }

    /// Returns the policy.
    pub fn policy(&self) -> &'p Policy {
        self.policy
    }

    pub(crate) fn followed(&self) -> Option<&'p Followed<'p>> {
        self.followed
    }

    /// Returns the sources of every connection, in the policy's order.
    pub(crate) fn connections(&self) -> &[Sources<'p>] {
        &self.connections
    }

    /// Returns the sources of one connection.
    pub(crate) fn sources(&self, connection: ConnectionId) -> Option<&Sources<'p>> {
        self.connections.get(connection.index())
    }

    /// Whether `token` is expired.
    pub(crate) fn is_expired(&self, token: &Token) -> bool {
        token.expiry().is_expired(self.now)
    }

    /// Returns the grants of `token` that allow some request now: none of an expired token, and only kinds that one of
    /// the token's APIs considers (N8.3).
    pub(crate) fn effective_grants<'t>(&self, token: &'t Token) -> impl Iterator<Item = &'t Grant> {
        let kinds = if self.is_expired(token) { GrantKinds::NONE } else { considered(self.policy, token) };
        token.grants().iter().filter(move |grant| kinds.contains(grant.source().kind()))
    }

    /// Returns the sources that `token` is granted now; sorted, each once.
    pub(crate) fn own(&self, token: &Token) -> Vec<SourceRef> {
        let of = |grant: &Grant| match grant.source() {
            GrantSource::All => Some(SourceRef::All(grant.connection())),
            source => {
                let sources = self.sources(grant.connection())?;
                Some(sources.reference(grant.connection(), sources.number(source)?))
            }
        };
        sorted(self.effective_grants(token).filter_map(of).collect())
    }

    /// Returns the sources that `token` is granted now, and those that its queries and named sources read; sorted, each
    /// once.
    pub(crate) fn own_and_read(&self, token: &Token) -> Vec<SourceRef> {
        let mut all = self.own(token);
        for grant in self.effective_grants(token) {
            let Some(sources) = self.sources(grant.connection()) else { continue };
            let read = sources.read_by(grant.source()).iter();
            all.extend(read.map(|&id| sources.reference(grant.connection(), id)));
        }
        sorted(all)
    }
}

fn sorted(mut sources: Vec<SourceRef>) -> Vec<SourceRef> {
    sources.sort_unstable();
    sources.dedup();
    sources
}

/// Returns the sources that cover the names of a query's tables.
fn tables(reads: &Reads) -> impl Iterator<Item = &GrantSource> {
    reads.tables.iter().flat_map(Table::sources)
}

/// Returns the kinds of grant that some API of the token considers (N8.3).
pub(crate) fn considered(policy: &Policy, token: &Token) -> GrantKinds {
    let apis = token.apis().iter().filter_map(|api| policy.apis().get(api));
    let kinds = apis.flat_map(|api| [Operation::Query, Operation::Model].map(|operation| api.considers(operation)));
    GrantKinds::of(&kinds.flat_map(GrantKinds::iter).collect::<Vec<_>>())
}

impl<'p> Sources<'p> {
    /// Adds `source` if it is a resource, or else a pattern, as `resource` says.
    fn add(&mut self, source: &'p GrantSource, resource: bool, granted: bool) {
        match source {
            GrantSource::Resource(_) if resource => {}
            GrantSource::Pattern(_) if !resource => {}
            _ => return,
        }
        let next = u32::try_from(self.list.len()).unwrap_or(u32::MAX);
        let Self { list, numbers, granted: by_grant, .. } = self;
        numbers.entry(source).or_insert_with(|| {
            list.push(source);
            by_grant.push(granted);
            next
        });
    }

    /// Returns the number of resources and patterns.
    pub(crate) fn len(&self) -> usize {
        self.list.len()
    }

    /// Returns how many of the sources are resources: those with the lowest numbers.
    pub(crate) fn resources(&self) -> usize {
        self.resources
    }

    /// Whether the source with that number is a resource.
    pub(crate) fn is_resource(&self, id: u32) -> bool {
        (id as usize) < self.resources
    }

    pub(crate) fn get(&self, id: u32) -> Option<&'p GrantSource> {
        self.list.get(id as usize).copied()
    }

    /// Returns the resources and patterns that are granted, each with its number.
    pub(crate) fn granted(&self) -> impl Iterator<Item = (u32, &'p GrantSource)> {
        (0..).zip(&self.list).zip(&self.granted).filter(|(_, granted)| **granted).map(|((id, source), _)| (id, *source))
    }

    /// Returns the number of a resource or pattern.
    pub(crate) fn number(&self, source: &GrantSource) -> Option<u32> {
        self.numbers.get(source).copied()
    }

    fn reference(&self, connection: ConnectionId, id: u32) -> SourceRef {
        if self.is_resource(id) { SourceRef::Resource(connection, id) } else { SourceRef::Pattern(connection, id) }
    }

    /// Returns the followed queries and named sources, each with the numbers of the sources that it reads, descending.
    pub(crate) fn queries(&self) -> &[(&'p GrantSource, Vec<u32>)] {
        &self.queries
    }

    /// Returns the index of a query or named source in [`queries`](Self::queries), if it is followed.
    pub(crate) fn query(&self, source: &GrantSource) -> Option<usize> {
        self.query_numbers.get(source).copied()
    }

    /// Returns the numbers of the sources that a query or named source reads.
    pub(crate) fn read_by(&self, source: &GrantSource) -> &[u32] {
        let query = self.query(source).and_then(|query| self.queries.get(query));
        query.map(|(_, ids)| ids.as_slice()).unwrap_or_default()
    }

    pub(crate) fn kernel(&self) -> &Kernel {
        &self.kernel
    }

    /// Splits the ascending numbers of sources into resources and patterns.
    pub(crate) fn split<'i>(&self, ids: &'i [u32]) -> (&'i [u32], &'i [u32]) {
        let resources = ids.partition_point(|&id| self.is_resource(id));
        ids.split_at_checked(resources).unwrap_or_default()
    }
}
