//! The immutable snapshot: a policy compiled for fast decisions.
//!
//! A snapshot is replaced, never modified. Its invariants:
//!
//! 1. A snapshot stores digests of secrets, never a secret (N11.5).
//! 2. A snapshot decides by the policy that it was compiled from. [`Options`] never change a decision.
//! 3. A snapshot does not change after [`Snapshot::compile`]: it has no interior mutability and no per-thread state.
//!
//! [`Editor`] builds the next snapshot after a change of a few tokens, without compiling the unchanged tokens again.

mod compile;
mod compile_error;
mod compiled;
mod connections;
mod content_id;
mod edit;
mod file;
mod grants;
mod known_sources;
mod memory;
mod options;
mod policy;
mod referers;
mod report;
mod residue;
mod texts;
mod tokens;

pub(crate) use compile::query_key;
pub use compile_error::CompileError;
pub use content_id::ContentId;
pub use edit::{EditError, Editor};
#[doc(hidden)]
pub use file::reseal;
pub use file::{FORMAT, MAGIC, ReadError, WriteError};
pub use options::{Options, ResidueStrategy};
pub use policy::RestoreError;
pub use report::{ConnectionReport, Report};

pub(crate) use compiled::{Compiled, TokenRef};
pub(crate) use grants::{Block, Entries, Tag, View};
#[doc(hidden)]
pub use residue::RequiredLiterals;
pub(crate) use texts::Text;
pub(crate) use tokens::{Row, Terms};

use std::sync::Arc;

use crate::model::{Apis, Connection, Policy, SecretDigest};
use compiled::Context;

/// A compiled policy. It is `Send + Sync`: share it by reference or in an [`Arc`]. A clone shares all data.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    base: Arc<Compiled>,
    edits: Edits,
    /// The context of the base. An edit replaces it if a new token names a new connection.
    context: Arc<Context>,
    tokens: usize,
    /// The number of edits since the base was compiled. One editor owns the base, so edits form a single sequence.
    version: u64,
    /// The digests that the last edit may have changed.
    touched: Arc<[SecretDigest]>,
}

/// Edited digests, each with the compilation that now holds its token; `None` means revoked.
type Edits = rpds::HashTrieMapSync<SecretDigest, Option<Arc<Compiled>>, foldhash::fast::RandomState>;

impl Snapshot {
    /// Compiles `policy`.
    ///
    /// Linear in the number of tokens and grants and in the bytes of their names, except for sorting each token's
    /// grants.
    ///
    /// # Errors
    ///
    /// If the policy exceeds the limits of a snapshot: 4 GiB of text, 4 GiB of grants, 2³² tokens.
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

    /// Returns the sizes and contents of the snapshot as it was compiled. Later edits are not included.
    pub fn report(&self) -> &Report {
        &self.base.report
    }

    /// Returns the number of tokens, including expired ones.
    pub fn token_count(&self) -> usize {
        self.tokens
    }

    /// Returns the number of secrets edited since the whole policy was compiled.
    ///
    /// Secrets of created and changed tokens count, and secrets that no token has any more.
    pub fn edits(&self) -> usize {
        self.edits.size()
    }

    /// Returns the APIs of the policy.
    pub fn apis(&self) -> &Apis {
        self.context.apis()
    }

    /// Returns the connections of the policy.
    pub fn connections(&self) -> impl ExactSizeIterator<Item = &Connection> {
        self.context.connections().iter()
    }

    #[inline]
    pub(crate) fn token(&self, digest: &SecretDigest) -> Option<TokenRef<'_>> {
        if self.edits.is_empty() { self.base.find(digest) } else { self.edited_token(digest) }
    }

    #[cold]
    fn edited_token(&self, digest: &SecretDigest) -> Option<TokenRef<'_>> {
        match self.edits.get(digest) {
            Some(edited) => edited.as_ref()?.find(digest),
            None => self.base.find(digest),
        }
    }

    /// Returns every token, including expired ones.
    pub(crate) fn token_refs(&self) -> impl Iterator<Item = TokenRef<'_>> {
        let base = &*self.base;
        let in_base = base.rows().iter().enumerate().map(move |(index, row)| TokenRef { compiled: base, row, index });
        let edited = self.edits.iter().filter_map(|(digest, edited)| edited.as_ref()?.find(digest));
        in_base.filter(|found| self.edits.get(&found.row.digest()).is_none()).chain(edited)
    }

    /// Returns the part that was compiled as a whole.
    pub(crate) fn base(&self) -> &Arc<Compiled> {
        &self.base
    }

    /// Returns the digests whose token may differ from `before`; `None` unless this snapshot is exactly one edit after
    /// `before`.
    pub(crate) fn changed_since(&self, before: &Self) -> Option<&[SecretDigest]> {
        let next = Arc::ptr_eq(&before.base, &self.base) && before.version + 1 == self.version;
        next.then_some(&*self.touched)
    }

    /// Returns the digests of tokens that were created or changed since the base was compiled.
    pub(crate) fn edited(&self) -> impl Iterator<Item = &SecretDigest> {
        self.edits.iter().filter(|(_, edited)| edited.is_some()).map(|(digest, _)| digest)
    }

    /// Returns the compilation that holds the token with this digest, if the token was edited since the base was
    /// compiled.
    pub(crate) fn edited_at(&self, digest: &SecretDigest) -> Option<&Arc<Compiled>> {
        self.edits.get(digest)?.as_ref()
    }
}
