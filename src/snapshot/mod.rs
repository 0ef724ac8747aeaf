//! The immutable snapshot: a policy, compiled for one question.
//!
//! A snapshot is replaced, never edited. Its invariants:
//!
//! 1. It holds no secret, only digests (N11.5).
//! 2. It decides as the policy that it was compiled from; no [`Options`] change a decision.
//! 3. Nothing in it changes after [`Snapshot::compile`]: no interior mutability, nothing kept per thread.
//!
//! [`Editor`] makes the next snapshot for the change of a few tokens, without compiling the others again.

mod compile;
mod compiled;
mod connections;
mod edit;
mod fetch;
mod file;
mod grants;
mod literals;
mod options;
mod policy;
mod referers;
mod report;
mod residue;
mod sequences;
mod texts;
mod tokens;

pub use compile::CompileError;
pub(crate) use compile::query_key;
pub use edit::{EditError, Editor};
#[doc(hidden)]
pub use file::reseal;
pub use file::{ContentId, FORMAT, MAGIC, ReadError, WriteError};
pub use options::{Options, ResidueStrategy};
pub use policy::RestoreError;
pub use report::{ConnectionReport, Report};

pub(crate) use compiled::{Compiled, Found};
pub(crate) use grants::{Block, Entries, Tag, View};
#[doc(hidden)]
pub use residue::RequiredLiterals;
pub(crate) use texts::Text;
pub(crate) use tokens::Row;

use std::sync::Arc;

use crate::model::{Apis, Connection, Policy, SecretDigest};
use compiled::Context;

/// A policy, compiled. `Send + Sync`; share it by reference or behind an [`Arc`]. A clone shares all of it.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    base: Arc<Compiled>,
    edits: Edits,
    /// Of the base, unless a token was added that names another connection.
    context: Arc<Context>,
    tokens: usize,
    /// How many edits there were since the base was compiled. Only one editor has that base, so they are all in a row.
    version: u64,
    /// The digests that the last of them may have changed.
    touched: Arc<[SecretDigest]>,
}

/// For each digest that was edited since the base was compiled, what has its token now; `None` if nothing has.
type Edits = rpds::HashTrieMapSync<SecretDigest, Option<Arc<Compiled>>, foldhash::fast::RandomState>;

impl Snapshot {
    /// Compiles `policy`.
    ///
    /// Linear in the number of tokens and grants and in the bytes of their names, but for sorting each token's grants.
    ///
    /// # Errors
    ///
    /// If the policy outgrows what a snapshot can address (4 GiB of text, 4 GiB of grants, 2³² tokens).
    pub fn compile(policy: &Policy, options: &Options) -> Result<Self, CompileError> {
        compile::compile(policy, Arc::new(Context::new(policy)), options).map(Self::of)
    }

    fn of(base: Compiled) -> Self {
        Self {
            context: Arc::clone(&base.context),
            tokens: base.rows().len(),
            base: Arc::new(base),
            edits: Edits::default(),
            version: 0,
            touched: Arc::default(),
        }
    }

    /// What it is made of: what was compiled as a whole, whatever was edited since.
    pub fn report(&self) -> &Report {
        &self.base.report
    }

    /// How many tokens it knows, expired ones included.
    pub fn token_count(&self) -> usize {
        self.tokens
    }

    /// How many secrets were edited since the whole was compiled: those of created and changed tokens, and those that are
    /// no longer any token's.
    pub fn edits(&self) -> usize {
        self.edits.size()
    }

    /// The APIs that it knows.
    pub fn apis(&self) -> &Apis {
        self.context.apis()
    }

    /// The connections that it knows.
    pub fn connections(&self) -> impl ExactSizeIterator<Item = &Connection> {
        self.context.connections().iter()
    }

    #[inline]
    pub(crate) fn token(&self, digest: &SecretDigest) -> Option<Found<'_>> {
        if self.edits.is_empty() { self.base.find(digest) } else { self.edited_token(digest) }
    }

    #[cold]
    fn edited_token(&self, digest: &SecretDigest) -> Option<Found<'_>> {
        match self.edits.get(digest) {
            Some(edited) => edited.as_ref()?.find(digest),
            None => self.base.find(digest),
        }
    }

    /// Every token, expired ones included.
    pub(crate) fn found(&self) -> impl Iterator<Item = Found<'_>> {
        let base = &*self.base;
        let in_base = base.rows().iter().enumerate().map(move |(at, row)| Found { compiled: base, row, at });
        let edited = self.edits.iter().filter_map(|(digest, edited)| edited.as_ref()?.find(digest));
        in_base.filter(|found| self.edits.get(&found.row.digest()).is_none()).chain(edited)
    }

    /// What was compiled as a whole.
    pub(crate) fn base(&self) -> &Arc<Compiled> {
        &self.base
    }

    /// The digests that may have another token, or none, than in `before`, where just one edit lies between.
    pub(crate) fn changed_since(&self, before: &Self) -> Option<&[SecretDigest]> {
        let next = Arc::ptr_eq(&before.base, &self.base) && before.version + 1 == self.version;
        next.then_some(&*self.touched)
    }

    /// The digests of tokens that were edited since the base was compiled.
    pub(crate) fn edited(&self) -> impl Iterator<Item = &SecretDigest> {
        self.edits.iter().filter(|(_, edited)| edited.is_some()).map(|(digest, _)| digest)
    }

    /// What has the token of this digest, if it was edited since the base was compiled.
    pub(crate) fn edited_at(&self, digest: &SecretDigest) -> Option<&Arc<Compiled>> {
        self.edits.get(digest)?.as_ref()
    }
}
