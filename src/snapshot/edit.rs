//! Builds the next snapshot after a change of a few tokens.

use std::collections::HashMap;
use std::sync::Arc;

use super::compile::compile;
use super::compiled::Context;
use super::{CompileError, Compiled, Options, Snapshot};
use crate::base::quoted;
use crate::model::{Policy, SecretDigest, Token};

type Map<K, V> = HashMap<K, V, foldhash::fast::RandomState>;

/// Builds snapshots of a policy whose tokens are created, changed and revoked.
///
/// Each edit returns the next snapshot, which shares all unchanged data with the previous one. An edit costs as much as
/// compiling the edited tokens; the number of unchanged tokens does not matter. Earlier snapshots do not change, so
/// edits do not affect running decisions. [`Authorizer::swap`](crate::Authorizer::swap) makes a new snapshot current.
///
/// Edited tokens are stored apart from the compiled base, and finding a token then takes one more look-up. When
/// [`Snapshot::edits`] reaches a few thousand:
///
/// 1. Compile the whole policy again with a new editor, on a separate thread.
/// 2. Repeat on the new editor the edits that the old editor received in the meantime.
/// 3. Continue with the new editor.
///
/// Besides the snapshot, an editor stores the id, the digest and the name of each token, about 150 bytes per token. It
/// needs them to keep ids, secrets and names unique (N11.4). The editor belongs to one writer; readers never access it.
///
/// # Examples
///
/// ```
/// use portcullis::snapshot::{Editor, Options};
/// use portcullis::{Authorizer, Reason, Request};
/// use portcullis_document::load;
///
/// let policy = load::policy(r#"[{"id": "a", "token": "s3cret-a", "allowed_apis": ["lds"]}]"#)?;
/// let mut editor = Editor::new(&policy, &Options::default())?;
/// let authorizer = Authorizer::new(editor.snapshot().clone());
///
/// let token = load::tokens(r#"{"id": "b", "token": "s3cret-b", "allowed_apis": ["lds"]}"#, editor.known())?;
/// authorizer.swap(editor.create(&token)?);
/// let (request, now) = (Request::new("lds", "").secret("s3cret-b"), "2026-11-22".parse()?);
/// assert!(authorizer.current().decide(&request, now).is_allow());
///
/// authorizer.swap(editor.revoke("b")?);
/// assert_eq!(authorizer.current().decide(&request, now).reason(), Some(Reason::TokenUnknown));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Editor {
    known: Policy,
    options: Options,
    snapshot: Snapshot,
    // INVARIANT: `tokens` and `names` describe the snapshot's tokens.
    tokens: Map<Box<str>, Known>,
    /// The id of each token that has a name, by owner and name.
    names: Map<OwnersName, Box<str>>,
}

/// The owner of a token (empty if it has none) and the token's name.
type OwnersName = (Box<str>, Box<str>);

/// The facts about a token that an editor stores.
#[derive(Debug)]
struct Known {
    digest: SecretDigest,
    name: Option<OwnersName>,
}

/// The error for a rejected edit. The editor is unchanged after an error.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// A token to be created has an id that another token has.
    #[error("the id {} is taken by another token", quoted(.0))]
    IdTaken(Box<str>),
    /// No token has the id of a token to be changed or revoked.
    #[error("no token has the id {}", quoted(.0))]
    IdUnknown(Box<str>),
    /// Two tokens would have one secret.
    #[error("the secret of token {} is that of token {}", quoted(id), quoted(other))]
    SecretTaken {
        /// The id of the token to be created or changed.
        id: Box<str>,
        /// The id of the token that has the secret.
        other: Box<str>,
    },
    /// Two tokens of one owner would have one name.
    #[error("token {} has the owner and the name of token {}", quoted(id), quoted(other))]
    NameTaken {
        /// The id of the token to be created or changed.
        id: Box<str>,
        /// The id of the token that has the name.
        other: Box<str>,
    },
    /// The tokens were read against a policy whose connections, APIs or limits differ from [`Editor::known`].
    #[error("the tokens were read against another policy")]
    OtherPolicy,
    /// The tokens cannot be compiled.
    #[error(transparent)]
    Compile(#[from] CompileError),
}

impl Editor {
    /// Compiles `policy` and creates its editor. Costs as much as [`Snapshot::compile`], plus time linear in the number
    /// of tokens.
    ///
    /// # Errors
    ///
    /// The errors of [`Snapshot::compile`].
    pub fn new(policy: &Policy, options: &Options) -> Result<Self, CompileError> {
        let mut editor = Self {
            known: policy.without_tokens(),
            options: options.clone(),
            snapshot: Snapshot::compile(policy, options)?,
            tokens: Map::with_capacity_and_hasher(policy.tokens().len(), foldhash::fast::RandomState::default()),
            names: Map::default(),
        };
        policy.tokens().iter().for_each(|token| editor.learn(token));
        Ok(editor)
    }

    /// Returns the current snapshot.
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// Returns the connections, APIs and limits of the policy, without its tokens.
    ///
    /// `portcullis_document::load::tokens` reads new tokens against this policy. An edit may add connections to it.
    pub fn known(&self) -> &Policy {
        &self.known
    }

    /// Adds the tokens of `added` and returns the next snapshot.
    ///
    /// Linear in the size of `added` and in the number of connections.
    ///
    /// # Errors
    ///
    /// - If an added token has the id, the secret, or the owner and name of another token (N11.4).
    /// - If `added` was not read against [`Editor::known`].
    /// - If the tokens cannot be compiled.
    pub fn create(&mut self, added: &Policy) -> Result<Snapshot, EditError> {
        if let Some(token) = added.tokens().iter().find(|token| self.tokens.contains_key(token.id())) {
            return Err(EditError::IdTaken(token.id().into()));
        }
        self.put(added)
    }

    /// Replaces the tokens that have the ids of the tokens in `changed`, and returns the next snapshot.
    ///
    /// Linear in the size of `changed` and in the number of connections.
    ///
    /// # Errors
    ///
    /// If no token has one of the ids, and for the errors of [`Editor::create`].
    pub fn change(&mut self, changed: &Policy) -> Result<Snapshot, EditError> {
        if let Some(token) = changed.tokens().iter().find(|token| !self.tokens.contains_key(token.id())) {
            return Err(EditError::IdUnknown(token.id().into()));
        }
        self.put(changed)
    }

    /// Removes the token with this id and returns the next snapshot, in which the token's secret is unknown.
    ///
    /// Takes constant time, except for the depth of a tree.
    ///
    /// # Errors
    ///
    /// If no token has the id.
    pub fn revoke(&mut self, id: &str) -> Result<Snapshot, EditError> {
        if !self.tokens.contains_key(id) {
            return Err(EditError::IdUnknown(id.into()));
        }
        let touched = self.forget(id);
        Ok(self.next(touched.into_iter().collect()))
    }

    /// Adds tokens. Each replaces the token with the same id, if there is one.
    fn put(&mut self, tokens: &Policy) -> Result<Snapshot, EditError> {
        self.check(tokens)?;
        let context = if tokens.connections().len() == self.known.connections().len() {
            Arc::clone(&self.snapshot.context)
        } else {
            Arc::new(Context::new(tokens))
        };
        let compiled = Arc::new(compile(tokens, Arc::clone(&context), &self.options)?);
        // Nothing can fail after this line.
        if !Arc::ptr_eq(&context, &self.snapshot.context) {
            self.known = tokens.without_tokens();
            self.snapshot.context = context;
        }
        let mut touched: Vec<SecretDigest> =
            tokens.tokens().iter().filter_map(|token| self.forget(token.id())).collect();
        for token in tokens.tokens() {
            self.learn(token);
            self.edit(*token.digest(), Some(&compiled));
            touched.push(*token.digest());
        }
        Ok(self.next(touched))
    }

    /// Returns the next snapshot, after an edit that changed these digests.
    fn next(&mut self, touched: Vec<SecretDigest>) -> Snapshot {
        let snapshot = &mut self.snapshot;
        (snapshot.tokens, snapshot.touched) = (self.tokens.len(), touched.into());
        snapshot.version += 1;
        snapshot.clone()
    }

    fn check(&self, tokens: &Policy) -> Result<(), EditError> {
        let known = &self.known;
        let same = tokens.connections().starts_with(known.connections())
            && (tokens.apis(), tokens.limits()) == (known.apis(), known.limits());
        if !same {
            return Err(EditError::OtherPolicy);
        }
        let edited: std::collections::HashSet<&str> = tokens.tokens().iter().map(Token::id).collect();
        let of_another = |other: &&str| !edited.contains(*other);
        for token in tokens.tokens() {
            let id = token.id().into();
            let has_secret = self.snapshot.token(token.digest()).map(|found| found.compiled.token_id(found.row));
            if let Some(other) = has_secret.filter(of_another) {
                return Err(EditError::SecretTaken { id, other: other.into() });
            }
            let has_name = owners_name(token).and_then(|name| self.names.get(&name)).map(|other| &**other);
            if let Some(other) = has_name.filter(of_another) {
                return Err(EditError::NameTaken { id, other: other.into() });
            }
        }
        Ok(())
    }

    fn learn(&mut self, token: &Token) {
        let name = owners_name(token);
        if let Some(name) = &name {
            self.names.insert(name.clone(), token.id().into());
        }
        self.tokens.insert(token.id().into(), Known { digest: *token.digest(), name });
    }

    /// Removes the token with this id and returns its digest; `None` if there is no such token.
    fn forget(&mut self, id: &str) -> Option<SecretDigest> {
        let Known { digest, name } = self.tokens.remove(id)?;
        if let Some(name) = name {
            self.names.remove(&name);
        }
        self.edit(digest, None);
        Some(digest)
    }

    fn edit(&mut self, digest: SecretDigest, compiled: Option<&Arc<Compiled>>) {
        let Snapshot { base, edits, .. } = &mut self.snapshot;
        if compiled.is_none() && base.find(&digest).is_none() {
            edits.remove_mut(&digest);
        } else {
            edits.insert_mut(digest, compiled.cloned());
        }
    }
}

fn owners_name(token: &Token) -> Option<OwnersName> {
    token.name().map(|name| (token.owner().unwrap_or_default().into(), name.into()))
}
