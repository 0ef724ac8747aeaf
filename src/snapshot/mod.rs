//! The immutable snapshot: a policy, compiled for one question.
//!
//! A snapshot is replaced, never edited. Its invariants:
//!
//! 1. It holds no secret, only digests (N11.5).
//! 2. It decides as the policy that it was compiled from; no [`Options`] change a decision.
//! 3. Nothing in it changes after [`Snapshot::compile`]: no interior mutability, nothing kept per thread.

mod compile;
mod grants;
mod literals;
mod options;
mod report;
mod residue;
mod texts;
mod tokens;

pub use compile::CompileError;
pub(crate) use compile::query_key;
pub use options::{Options, ResidueStrategy};
pub use report::{ConnectionReport, Report};

pub(crate) use grants::{Block, Run, Tag};
pub(crate) use residue::Matcher;
pub(crate) use texts::Text;
pub(crate) use tokens::Row;

use std::collections::HashMap;

use crate::model::{Apis, Connection, Policy, Referers, SecretDigest};
use crate::pattern::Shape;
use grants::GrantSets;
use texts::{TextId, Texts};
use tokens::TokenTable;

/// A policy, compiled. `Send + Sync`; share it by reference or behind an [`std::sync::Arc`].
#[derive(Debug, Default)]
pub struct Snapshot {
    tokens: TokenTable,
    grants: GrantSets,
    shapes: Vec<Shape>,
    texts: Texts,
    referers: Vec<Referers>,
    apis: Apis,
    connections: Vec<CompiledConnection>,
    by_name: HashMap<Box<str>, u32, foldhash::fast::FixedState>,
    query_bytes: usize,
    scan_up_to: usize,
    report: Report,
}

/// A connection with what matches the residue of its patterns.
#[derive(Debug)]
pub(crate) struct CompiledConnection {
    pub(crate) connection: Connection,
    pub(crate) matcher: Matcher,
}

impl Snapshot {
    /// Compiles `policy`.
    ///
    /// Linear in the number of tokens and grants and in the bytes of their names, but for sorting each token's grants.
    ///
    /// # Errors
    ///
    /// If the policy outgrows what a snapshot can address (4 GiB of text, 4 GiB of grants, 2³² tokens).
    pub fn compile(policy: &Policy, options: &Options) -> Result<Self, CompileError> {
        compile::compile(policy, options)
    }

    /// What it is made of.
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// How many tokens it knows, expired ones included.
    pub fn token_count(&self) -> usize {
        self.tokens.rows().len()
    }

    /// The APIs that it knows.
    pub fn apis(&self) -> &Apis {
        &self.apis
    }

    /// The connections that it knows.
    pub fn connections(&self) -> impl ExactSizeIterator<Item = &Connection> {
        self.connections.iter().map(|compiled| &compiled.connection)
    }

    #[inline]
    pub(crate) fn token(&self, digest: &SecretDigest) -> Option<(usize, &Row)> {
        self.tokens.find(digest)
    }

    pub(crate) fn rows(&self) -> &[Row] {
        self.tokens.rows()
    }

    pub(crate) fn token_id(&self, row: &Row) -> &str {
        self.texts.get_str(row.id())
    }

    pub(crate) fn referers(&self, row: &Row) -> &Referers {
        static ANY: Referers = Referers::Any;
        row.referers().and_then(|set| self.referers.get(set)).unwrap_or(&ANY)
    }

    /// The connection of that name, with its place.
    #[inline]
    pub(crate) fn connection(&self, name: &str) -> Option<(u32, &CompiledConnection)> {
        let &at = self.by_name.get(name)?;
        self.connections.get(at as usize).map(|connection| (at, connection))
    }

    pub(crate) fn connection_at(&self, at: u32) -> Option<&CompiledConnection> {
        self.connections.get(at as usize)
    }

    /// What the token of `row` may do on a connection; `None` if nothing.
    #[inline]
    pub(crate) fn block(&self, row: &Row, connection: u32) -> Option<Block<'_>> {
        self.grants.block(row.grants(), connection)
    }

    pub(crate) fn blocks(&self, row: &Row) -> impl Iterator<Item = Block<'_>> {
        self.grants.blocks(row.grants())
    }

    pub(crate) fn shape(&self, at: u32) -> Option<&Shape> {
        self.shapes.get(at as usize)
    }

    #[inline]
    pub(crate) fn text(&self, id: TextId) -> Text<'_> {
        self.texts.get(id)
    }

    pub(crate) fn query_bytes(&self) -> usize {
        self.query_bytes
    }

    pub(crate) fn scan_up_to(&self) -> usize {
        self.scan_up_to
    }
}
