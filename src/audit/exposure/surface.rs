//! What a policy grants, source by source.

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use super::kernel::Kernel;
use crate::base::Timestamp;
use crate::model::{ConnectionId, GrantKinds, GrantSource, Operation, Policy, Token};

/// The distinct sources of each connection of a policy, ready to be asked about names.
pub struct Surface<'p> {
    pub(super) policy: &'p Policy,
    pub(super) now: Timestamp,
    pub(super) connections: Vec<Sources<'p>>,
    by_name: HashMap<&'p str, ConnectionId, RandomState>,
}

/// The distinct resources and patterns of a connection. A source's number is its place: resources come first.
#[derive(Default)]
pub(super) struct Sources<'p> {
    pub(super) list: Vec<&'p GrantSource>,
    pub(super) numbers: HashMap<&'p GrantSource, u32, RandomState>,
    pub(super) resources: usize,
    pub(super) kernel: Kernel,
}

impl<'p> Surface<'p> {
    /// Of `policy`, as it is at `now`. About linear in the bytes of its grants.
    pub fn new(policy: &'p Policy, now: Timestamp) -> Self {
        let mut connections: Vec<Sources<'_>> = policy.connections().iter().map(|_| Sources::default()).collect();
        for resources in [true, false] {
            for grant in policy.tokens().iter().flat_map(Token::grants) {
                let Some(sources) = connections.get_mut(grant.connection().index()) else { continue };
                match grant.source() {
                    GrantSource::Resource(_) if resources => sources.add(grant.source()),
                    GrantSource::Pattern(_) if !resources => sources.add(grant.source()),
                    _ => {}
                }
            }
            if resources {
                for sources in &mut connections {
                    sources.resources = sources.list.len();
                }
            }
        }
        for (sources, connection) in connections.iter_mut().zip(policy.connections()) {
            sources.kernel = Kernel::new(connection.dialect(), sources.list.iter().copied());
        }
        let by_name = (0..).map(ConnectionId).zip(policy.connections()).map(|(id, known)| (known.name(), id));
        Self { policy, now, by_name: by_name.collect(), connections }
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
    pub(super) fn is_expired(&self, token: &Token) -> bool {
        token.expiry().is_expired(self.now)
    }

    /// The kinds of grant by which some request of `token` is allowed (N8.3).
    pub(super) fn considered(&self, token: &Token) -> Vec<GrantKinds> {
        let apis = token.apis().iter().filter_map(|api| self.policy.apis().get(api));
        apis.flat_map(|api| [Operation::Query, Operation::Model].map(|operation| api.considers(operation))).collect()
    }
}

impl<'p> Sources<'p> {
    fn add(&mut self, source: &'p GrantSource) {
        let next = u32::try_from(self.list.len()).unwrap_or(u32::MAX);
        let Self { list, numbers, .. } = self;
        numbers.entry(source).or_insert_with(|| {
            list.push(source);
            next
        });
    }
}
