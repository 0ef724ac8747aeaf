//! What a policy grants, source by source.

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use super::kernel::Kernel;
use crate::reads::{Followed, Reads, Table};
use portcullis::base::Timestamp;
use portcullis::model::{ConnectionId, GrantKinds, GrantSource, Operation, Policy, Token};

/// The distinct sources of each connection of a policy, ready to be asked about names.
pub struct Surface<'p> {
    pub(crate) policy: &'p Policy,
    pub(crate) now: Timestamp,
    pub(crate) connections: Vec<Sources<'p>>,
    pub(crate) followed: Option<&'p Followed<'p>>,
    by_name: HashMap<&'p str, ConnectionId, RandomState>,
}

/// The distinct resources and patterns of a connection, granted or read by queries. A source's number is its place: resources
/// come first.
#[derive(Default)]
pub(crate) struct Sources<'p> {
    pub(crate) list: Vec<&'p GrantSource>,
    pub(crate) numbers: HashMap<&'p GrantSource, u32, RandomState>,
    pub(crate) resources: usize,
    /// Of each, whether somebody is granted it; others are only read.
    pub(crate) granted: Vec<bool>,
    /// The queries and named sources that are followed, each with the numbers of what it reads, the highest first.
    pub(crate) queries: Vec<(&'p GrantSource, Vec<u32>)>,
    pub(crate) query_numbers: HashMap<&'p GrantSource, usize, RandomState>,
    pub(crate) kernel: Kernel,
}

impl<'p> Surface<'p> {
    /// Of `policy`, as it is at `now`; what its queries read is not looked at. About linear in the bytes of its grants.
    pub fn new(policy: &'p Policy, now: Timestamp) -> Self {
        Self::of(policy, now, None)
    }

    /// As [`new`](Self::new), with the tables that queries and named sources read, as `followed` tells of the same policy.
    pub fn following(policy: &'p Policy, now: Timestamp, followed: &'p Followed<'p>) -> Self {
        Self::of(policy, now, Some(followed))
    }

    fn of(policy: &'p Policy, now: Timestamp, followed: Option<&'p Followed<'p>>) -> Self {
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
            let mut ids: Vec<u32> = tables(reads).filter_map(|table| sources.numbers.get(table).copied()).collect();
            ids.sort_unstable_by_key(|id| std::cmp::Reverse(*id));
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

    /// The connection of that name, where the policy knows it.
    pub fn connection(&self, name: &str) -> Option<ConnectionId> {
        self.by_name.get(name).copied()
    }

    /// The policy.
    pub fn policy(&self) -> &'p Policy {
        self.policy
    }

    /// Whether `token` may be used no more.
    pub(crate) fn is_expired(&self, token: &Token) -> bool {
        token.expiry().is_expired(self.now)
    }

    /// The kinds of grant by which some request of `token` is allowed (N8.3).
    pub(crate) fn considered(&self, token: &Token) -> Vec<GrantKinds> {
        let apis = token.apis().iter().filter_map(|api| self.policy.apis().get(api));
        apis.flat_map(|api| [Operation::Query, Operation::Model].map(|operation| api.considers(operation))).collect()
    }
}

/// What stands for the tables of a query in a catalog.
fn tables(reads: &Reads) -> impl Iterator<Item = &GrantSource> {
    reads.tables.iter().flat_map(Table::sources)
}

impl<'p> Sources<'p> {
    /// Adds a resource, or a pattern, whichever is asked for.
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
}
