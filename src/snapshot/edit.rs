//! The next snapshot, for a change of a few tokens.

use std::collections::HashMap;
use std::sync::Arc;

use super::compile::compile;
use super::compiled::Context;
use super::{CompileError, Compiled, Options, Snapshot};
use crate::model::{Policy, SecretDigest, Token};

type Map<K, V> = HashMap<K, V, foldhash::fast::RandomState>;

/// Makes snapshots of a policy whose tokens come, change and go.
///
/// Each edit gives the next snapshot, which shares with the one before all that did not change: an edit costs what
/// compiling its own tokens does, whatever the number of the others. Snapshots that were given out stay as they are, so
/// decisions under way are not disturbed; [`Authorizer::swap`](crate::Authorizer::swap) makes the new one current.
///
/// Edited tokens stand apart from the others, and finding a token asks for one more look-up as soon as there are any. So
/// when [`Snapshot::edits`] has grown to some thousands, compile the whole policy again, on a thread of its own; then
/// repeat on the new editor what was edited meanwhile on the old one, and go on with the new one.
///
/// Beside the snapshot an editor keeps the id, the digest and the name of each token, so that no two tokens ever share
/// one (N11.4): about 150 bytes a token. It belongs to the one writer; readers never see it.
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
    // INVARIANT: these are of the snapshot's tokens.
    tokens: Map<Box<str>, Known>,
    /// By owner and name, the id.
    names: Map<OwnersName, Box<str>>,
}

/// The owner of a token, empty for none, and the token's name.
type OwnersName = (Box<str>, Box<str>);

/// What an editor keeps of a token.
#[derive(Debug)]
struct Known {
    digest: SecretDigest,
    name: Option<OwnersName>,
}

/// Why an edit is refused. Nothing has changed then.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// A token to be created has an id that another token has.
    #[error("the id `{0}` is taken by another token")]
    IdTaken(Box<str>),
    /// No token has the id of a token to be changed or revoked.
    #[error("no token has the id `{0}`")]
    IdUnknown(Box<str>),
    /// Two tokens would have one secret.
    #[error("the secret of token `{id}` is that of token `{other}`")]
    SecretTaken {
        /// The id of the token to be created or changed.
        id: Box<str>,
        /// The id of the token that has the secret.
        other: Box<str>,
    },
    /// Two tokens of one owner would have one name.
    #[error("token `{id}` has the owner and the name of token `{other}`")]
    NameTaken {
        /// The id of the token to be created or changed.
        id: Box<str>,
        /// The id of the token that has the name.
        other: Box<str>,
    },
    /// The tokens were not read against [`Editor::known`]: its connections, APIs or limits are others.
    #[error("the tokens were read against another policy")]
    OtherPolicy,
    /// The tokens cannot be compiled.
    #[error(transparent)]
    Compile(#[from] CompileError),
}

impl Editor {
    /// Compiles `policy`, to be edited. As [`Snapshot::compile`], and linear in the number of tokens.
    ///
    /// # Errors
    ///
    /// As [`Snapshot::compile`].
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

    /// The snapshot of the tokens as they are now.
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// The connections, APIs and limits of the policy, without its tokens: what tokens are to be read against, by
    /// `portcullis_document::load::tokens`. An edit may add connections to it.
    pub fn known(&self) -> &Policy {
        &self.known
    }

    /// With the tokens of `added`, which are new; the others stay.
    ///
    /// Linear in what is added and in the number of connections.
    ///
    /// # Errors
    ///
    /// If one of them has the id, the secret, or owner and name of another token (N11.4), or was not read against
    /// [`Editor::known`].
    pub fn create(&mut self, added: &Policy) -> Result<Snapshot, EditError> {
        if let Some(token) = added.tokens().iter().find(|token| self.tokens.contains_key(token.id())) {
            return Err(EditError::IdTaken(token.id().into()));
        }
        self.put(added)
    }

    /// With the tokens of `changed` instead of those with the same ids.
    ///
    /// Linear in what is changed and in the number of connections.
    ///
    /// # Errors
    ///
    /// If there is no token of one of the ids, or else as [`Editor::create`].
    pub fn change(&mut self, changed: &Policy) -> Result<Snapshot, EditError> {
        if let Some(token) = changed.tokens().iter().find(|token| !self.tokens.contains_key(token.id())) {
            return Err(EditError::IdUnknown(token.id().into()));
        }
        self.put(changed)
    }

    /// Without the token of this id. Its secret is unknown from now on. Constant, but for the depth of a tree.
    ///
    /// # Errors
    ///
    /// If there is none.
    pub fn revoke(&mut self, id: &str) -> Result<Snapshot, EditError> {
        if !self.tokens.contains_key(id) {
            return Err(EditError::IdUnknown(id.into()));
        }
        let touched = self.forget(id);
        Ok(self.next(touched.into_iter().collect()))
    }

    /// Adds tokens, each instead of the one with its id.
    fn put(&mut self, tokens: &Policy) -> Result<Snapshot, EditError> {
        self.check(tokens)?;
        let context = if tokens.connections().len() == self.known.connections().len() {
            Arc::clone(&self.snapshot.context)
        } else {
            Arc::new(Context::new(tokens))
        };
        let compiled = Arc::new(compile(tokens, Arc::clone(&context), &self.options)?);
        // From here on nothing can fail.
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

    /// The snapshot as it is now, after an edit that touched these digests.
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

    /// Takes the token of this id away, if there is one, and tells its digest.
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
