//! The tokens that may read the names that a source covers.

use super::policy::{Coverage, Sources};
use portcullis::model::{GrantSource, Token};

/// For each source of one connection, the tokens that are granted it, or a query that reads it.
#[derive(Default)]
pub(crate) struct Grantees {
    /// By the number of a source, the tokens that are granted the source.
    own: Vec<Vec<u32>>,
    /// By the number of a source, the tokens that are granted a query that reads the source.
    through: Vec<Vec<u32>>,
    /// The tokens that are granted all sources.
    all: Vec<u32>,
}

/// The tokens that may read a name, by number, ascending.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Readers {
    /// Tokens with a grant of a resource, a pattern or all sources that covers the name.
    pub(crate) own: Vec<u32>,
    /// The remaining tokens, which read the name only through queries and named sources.
    pub(crate) through: Vec<u32>,
}

impl Grantees {
    /// Collects the grantees of each connection of a policy, from grants that allow some request now.
    ///
    /// `number` maps a token and its index in the policy to the number to use; tokens without a number are left out.
    pub(crate) fn by_connection(coverage: &Coverage<'_>, number: impl Fn(usize, &Token) -> Option<u32>) -> Vec<Self> {
        let mut connections: Vec<Self> = coverage.connections().iter().map(Self::of).collect();
        for (index, token) in coverage.policy().tokens().iter().enumerate() {
            let Some(number) = number(index, token) else { continue };
            for grant in coverage.effective_grants(token) {
                let id = grant.connection();
                let (Some(sources), Some(grantees)) = (coverage.sources(id), connections.get_mut(id.index())) else {
                    continue;
                };
                if *grant.source() == GrantSource::All {
                    grantees.all.push(number);
                } else if let Some(list) =
                    sources.number(grant.source()).and_then(|id| grantees.own.get_mut(id as usize))
                {
                    list.push(number);
                }
                for &read in sources.read_by(grant.source()) {
                    if let Some(list) = grantees.through.get_mut(read as usize) {
                        list.push(number);
                    }
                }
            }
        }
        connections
    }

    fn of(sources: &Sources<'_>) -> Self {
        let empty = vec![Vec::new(); sources.len()];
        Self { own: empty.clone(), through: empty, all: Vec::new() }
    }

    /// Whether a token has a grant that covers names which `covering`, the numbers of sources, cover.
    pub(crate) fn has_own(&self, covering: &[u32]) -> bool {
        !self.all.is_empty() || covering.iter().any(|&id| self.own.get(id as usize).is_some_and(|own| !own.is_empty()))
    }

    /// Whether a token is granted the source, or a query that reads it.
    pub(crate) fn is_readable(&self, id: u32) -> bool {
        [&self.own, &self.through].into_iter().any(|lists| lists.get(id as usize).is_some_and(|list| !list.is_empty()))
    }

    /// Returns the tokens that may read the names which exactly the sources `covering` cover. Linear in their grantees.
    pub(crate) fn readers(&self, covering: &[u32]) -> Readers {
        let list = |lists: &[Vec<u32>], all: &[u32]| {
            let lists = covering.iter().filter_map(|&id| lists.get(id as usize));
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
