//! Who is granted which names of a connection.

use std::collections::HashMap;

use smallvec::SmallVec;

use super::reads::{Followed, Table};
use portcullis::base::Timestamp;
use portcullis::model::{GrantKinds, GrantSource, Operation, Policy, Token};
use portcullis_diff::patterns::PatternIndex;

/// The sources of one connection that cover a name, ascending.
pub(super) type Covering = SmallVec<[u32; 16]>;

/// The resources and patterns of a connection, each with who is granted it, or a query that reads it.
#[derive(Default)]
pub(super) struct Granted {
    index: PatternIndex,
    numbers: HashMap<Box<[u8]>, usize>,
    /// Who has the source of that number.
    own: Vec<Vec<u32>>,
    /// Who may run a query that reads it.
    through: Vec<Vec<u32>>,
    /// Who has all sources.
    all: Vec<u32>,
}

/// Who may read a name: numbers of tokens, ascending.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Readers {
    /// By their own grants of resources, patterns and all sources.
    pub(super) own: Vec<u32>,
    /// The others, by queries and named sources.
    pub(super) through: Vec<u32>,
}

impl Granted {
    /// By the policy's connections, of the tokens that `number` numbers and that are not expired at `now`: the grants that
    /// some API of the token considers (N8.3).
    pub(super) fn by_connection(
        policy: &Policy,
        now: Timestamp,
        followed: Option<&Followed<'_>>,
        number: impl Fn(usize, &Token) -> Option<u32>,
    ) -> Vec<Self> {
        let mut connections: Vec<Self> = policy.connections().iter().map(|_| Self::default()).collect();
        let lasting = policy.tokens().iter().enumerate().filter(|(_, token)| !token.expiry().is_expired(now));
        for (number, token) in lasting.filter_map(|(at, token)| Some((number(at, token)?, token))) {
            let considered = considered(policy, token);
            for grant in token.grants().iter().filter(|grant| considered.contains(grant.source().kind())) {
                let Some(granted) = connections.get_mut(grant.connection().index()) else { continue };
                match grant.source() {
                    GrantSource::All => granted.all.push(number),
                    source @ (GrantSource::Resource(_) | GrantSource::Pattern(_)) => granted.add(source, number, false),
                    source @ (GrantSource::Query(_) | GrantSource::NamedSource(_)) => {
                        let reads = followed.and_then(|followed| followed.reads(grant.connection(), source));
                        let tables = reads.into_iter().flat_map(|reads| &reads.tables);
                        tables.flat_map(Table::sources).for_each(|table| granted.add(table, number, true));
                    }
                }
            }
        }
        connections
    }

    fn add(&mut self, source: &GrantSource, token: u32, through: bool) {
        let canonical = match source {
            GrantSource::Resource(name) => name.as_bytes(),
            GrantSource::Pattern(pattern) => pattern.as_bytes(),
            _ => return,
        };
        let next = self.own.len();
        let number = *self.numbers.entry(canonical.into()).or_insert(next);
        if number == next {
            self.index.add(canonical);
            self.own.push(Vec::new());
            self.through.push(Vec::new());
        }
        let of = if through { &mut self.through } else { &mut self.own };
        if let Some(tokens) = of.get_mut(number) {
            tokens.push(token);
        }
    }

    /// The sources that cover a name, which is in canonical form.
    pub(super) fn covering(&self, name: &[u8]) -> Covering {
        let mut covering = Covering::new();
        self.index.covering(name, |number| covering.push(u32::try_from(number).unwrap_or(u32::MAX)));
        covering.sort_unstable();
        covering
    }

    /// Who may read the names that just these sources cover. Linear in who is granted them.
    pub(super) fn readers(&self, covering: &[u32]) -> Readers {
        let list = |of: &[Vec<u32>], all: &[u32]| {
            let lists = covering.iter().filter_map(|&number| of.get(number as usize));
            let mut tokens: Vec<u32> = lists.flatten().chain(all).copied().collect();
            tokens.sort_unstable();
            tokens.dedup();
            tokens
        };
        let own = list(&self.own, &self.all);
        let mut through = list(&self.through, &[]);
        through.retain(|token| own.binary_search(token).is_err());
        Readers { own, through }
    }
}

/// The kinds of grant that some API of the token considers.
pub(super) fn considered(policy: &Policy, token: &Token) -> GrantKinds {
    let apis = token.apis().iter().filter_map(|api| policy.apis().get(api));
    let kinds = apis.flat_map(|api| [Operation::Query, Operation::Model].map(|operation| api.considers(operation)));
    GrantKinds::of(&kinds.flat_map(GrantKinds::iter).collect::<Vec<_>>())
}
