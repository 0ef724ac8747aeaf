//! The result of one compilation: of a whole policy, or of the tokens of one edit.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use super::connections::ConnectionTable;
use super::grants::{Block, GrantSets, Residue};
use super::referers::RefererSets;
use super::report::{ConnectionReport, Report};
use super::residue::Matcher;
use super::texts::{Text, TextId, Texts};
use super::tokens::{Row, Terms, TokenTable};
use crate::base::fetch;
use crate::model::{Apis, Connection, GrantKind, Limits, Policy, SecretDigest};
use crate::pattern::Shape;
use crate::referer::StoredSet;

/// The data that all tokens of a snapshot share.
#[derive(Debug, Default)]
pub(crate) struct Context {
    apis: Apis,
    connections: Vec<Connection>,
    by_name: ConnectionTable,
    query_bytes: usize,
}

/// Compiled tokens. Contains everything that a decision needs after the token was found.
#[derive(Debug, Default)]
pub(crate) struct Compiled {
    pub(super) context: Arc<Context>,
    pub(super) tokens: TokenTable,
    pub(super) grants: GrantSets,
    pub(super) shapes: Vec<Shape>,
    pub(super) texts: Texts,
    pub(super) referers: RefererSets,
    /// The matcher of each connection, up to the last connection that has residue.
    pub(super) matchers: Vec<Matcher>,
    pub(super) scan_up_to: usize,
    pub(super) report: Report,
}

/// A token: its row, and the compilation that holds the row.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TokenRef<'s> {
    pub(crate) compiled: &'s Compiled,
    pub(crate) row: &'s Row,
    /// The index of the row in that compilation.
    pub(crate) index: usize,
}

impl Context {
    pub(super) fn new(policy: &Policy) -> Self {
        Self::of(policy.apis().clone(), policy.connections().to_vec(), policy.limits())
    }

    pub(super) fn of(apis: Apis, connections: Vec<Connection>, limits: &Limits) -> Self {
        Self { by_name: ConnectionTable::new(&connections), apis, connections, query_bytes: limits.query_bytes }
    }

    /// Returns whether all connections have distinct names.
    pub(super) fn has_distinct_names(&self) -> bool {
        let mut known = HashSet::new();
        self.connections.iter().all(|connection| known.insert(connection.name()))
    }

    pub(super) fn apis(&self) -> &Apis {
        &self.apis
    }

    pub(super) fn connections(&self) -> &[Connection] {
        &self.connections
    }
}

impl Compiled {
    /// Creates the report. The arguments are the facts that the compilation does not contain.
    pub(super) fn to_report(
        &self,
        connections: Vec<ConnectionReport>,
        (grant_sets, referer_sets): (usize, usize),
    ) -> Report {
        let mut grants: BTreeMap<GrantKind, usize> = BTreeMap::new();
        for (&kind, &count) in connections.iter().flat_map(|connection| &connection.grants) {
            let sum = grants.entry(kind).or_default();
            *sum = sum.saturating_add(count);
        }
        Report {
            tokens: self.rows().len(),
            grants,
            grant_sets,
            referer_sets,
            shapes: self.shapes.len(),
            connections,
            content_id: None,
            token_bytes: self.tokens.bytes(),
            grant_bytes: self.grants.as_bytes().len(),
            text_bytes: self.texts.as_bytes().len(),
            referer_bytes: self.referers.as_bytes().len(),
            matcher_bytes: self.matchers.iter().map(Matcher::bytes).sum(),
        }
    }

    #[inline]
    pub(crate) fn find(&self, digest: &SecretDigest) -> Option<TokenRef<'_>> {
        // Row, grants, referers and texts are likely cache misses: prefetch them before they are needed.
        let (index, row) = self.tokens.find(digest, |row, grants, referers| {
            // A row may be on two lines.
            if let [first, .., last] = row {
                fetch(first);
                fetch(last);
            }
            self.grants.fetch(grants);
            if let Some(set) = referers {
                self.referers.fetch(set);
            }
        })?;
        self.texts.fetch(row.id());
        Some(TokenRef { compiled: self, row, index })
    }

    pub(crate) fn rows(&self) -> &[Row] {
        self.tokens.rows()
    }

    /// Returns the APIs and the expiry of the token of `row`.
    #[inline]
    pub(crate) fn terms(&self, row: &Row) -> &Terms {
        self.tokens.terms_of(row)
    }

    pub(crate) fn token_id(&self, row: &Row) -> &str {
        self.texts.get_str(row.id())
    }

    /// Returns the referers of the token of `row`; `None` if it accepts any.
    #[inline]
    pub(crate) fn referers(&self, row: &Row) -> Option<StoredSet<'_>> {
        row.referers().map(|set| self.referers.get(set))
    }

    pub(crate) fn apis(&self) -> &Apis {
        &self.context.apis
    }

    /// Returns the connection with this name, and its index.
    #[inline]
    pub(crate) fn connection(&self, name: &str) -> Option<(u32, &Connection)> {
        self.context.by_name.find(&self.context.connections, name)
    }

    #[inline]
    pub(crate) fn connection_at(&self, index: u32) -> Option<&Connection> {
        self.context.connections.get(index as usize)
    }

    /// Returns the grants of the token of `row` on a connection; `None` if it has none.
    #[inline]
    pub(crate) fn block(&self, row: &Row, connection: u32) -> Option<Block<'_>> {
        self.grants.block(row.grants(), connection)
    }

    pub(crate) fn blocks(&self, row: &Row) -> impl Iterator<Item = Block<'_>> {
        self.grants.blocks(row.grants())
    }

    pub(crate) fn shapes(&self) -> &[Shape] {
        &self.shapes
    }

    #[inline]
    pub(crate) fn text(&self, id: TextId) -> Text<'_> {
        self.texts.get(id)
    }

    /// Calls `covers` with the grants of the block's residue that may cover `name`. The most specific grant that covers
    /// it is among them.
    #[inline]
    pub(crate) fn residue(&self, block: Block<'_>, name: &[u8], covers: impl FnMut(Residue) -> bool) {
        if block.has_residue()
            && let Some(matcher) = self.matchers.get(block.connection as usize)
        {
            matcher.candidates(block, name, covers);
        }
    }

    pub(crate) fn query_bytes(&self) -> usize {
        self.context.query_bytes
    }

    pub(crate) fn scan_up_to(&self) -> usize {
        self.scan_up_to
    }
}
