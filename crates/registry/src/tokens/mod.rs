//! Tokens, each with one owner.

mod edit;
mod expiry;
mod grants;
mod reference;

use std::collections::{HashMap, HashSet};

use crate::connections::unknown as unknown_connection;
use crate::definition::{Draft, DraftGrant, check_storable, compact_document, settle};
use crate::error::{Problems, Result, refused};
use crate::lists::{Which, token_with_id};
use crate::named_sources::check_granted;
use crate::record::{Token, TrailEntry, Usage};
use crate::sizes::check_sizes;
use crate::storage::{Declarations, Declared, TicketFilter};
use crate::words::quoted;
use crate::{Actor, Change, Registry, Subject};
use portcullis::model::SecretDigest;
use portcullis_document::load::Diagnostic;
use portcullis_secret::{Secret, SecretKind, short_id};

use self::edit::{check_expiry, edit_grants, edit_referers};
use self::expiry::expiry;
use self::grants::untyped;
use self::reference::{find, name_is_free, own_name};

pub use self::edit::TokenEdit;
pub use self::expiry::NEVER;
pub(crate) use self::expiry::span;
pub use self::grants::TypedGrant;
pub(crate) use self::grants::typed;
pub(crate) use self::reference::{by_id, explicit, visible};

/// The prefix of every token id. A name has it only if it is the token's own id.
const PREFIX: &str = "tk";

/// The number of seconds after its last use in which a token is deleted only by force: seven days.
const IN_USE: i64 = 7 * 86_400;

/// A token to create.
#[derive(Debug, Clone, Default)]
pub struct NewToken {
    /// The name; the id by default.
    pub name: Option<String>,
    /// The APIs that the token may use (N8).
    pub apis: Vec<String>,
    /// The grants: a connection, and a source as N6 reads it.
    pub grants: Vec<(String, String)>,
    /// Grants whose kind may be given, after `grants`.
    pub typed_grants: Vec<TypedGrant>,
    /// The referers from which it may be used (N7).
    pub referers: Vec<String>,
    /// The expiry: an instant, a date, a span such as `7d` (N9.2), or [`NEVER`], the default.
    pub expiration: Option<String>,
}

/// A token that was created.
#[derive(Debug)]
pub struct Created {
    /// The token.
    pub token: Token,
    /// Its secret. It is stored nowhere else.
    pub secret: Secret,
    /// Warnings about valid but probably unintended texts.
    pub warnings: Vec<Diagnostic>,
}

/// A token with a new secret.
#[derive(Debug)]
pub struct Rotated {
    /// The token.
    pub token: Token,
    /// Its new secret. It is stored nowhere else.
    pub secret: Secret,
    /// The old secret as a separate token, while it remains valid.
    pub old: Option<Token>,
}

impl Registry {
    /// Returns the policy for decisions as a document: every token of every user, by digest.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub fn policy_document(&mut self) -> Result<String> {
        compact_document(&mut *self.storage.read()?)
    }

    /// Returns the tokens that the actor may see, by id.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub fn tokens(&mut self, actor: &Actor) -> Result<Vec<Token>> {
        self.storage.read()?.tokens(visible(actor))
    }

    /// Returns the token with the given id or name. An `id:` prefix matches ids only.
    ///
    /// # Errors
    ///
    /// If the actor may see no match or several, or the database fails.
    pub fn token(&mut self, actor: &Actor, id_or_name: &str) -> Result<Token> {
        find(&mut *self.storage.read()?, actor, id_or_name)
    }

    /// Returns the usage of each token, by id. Tokens that were never used are left out.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub fn usage(&mut self) -> Result<HashMap<String, Usage>> {
        let usage = self.storage.read()?.usage()?;
        Ok(usage.into_iter().map(|usage| (usage.token.clone(), usage)).collect())
    }

    /// Adds a batch of usage counts to the recorded usage, in one transaction. Usage is not a change: the revision and the
    /// trail stay as they are. Deleted tokens are ignored.
    ///
    /// # Errors
    ///
    /// If the database fails; then nothing of the batch is recorded.
    pub fn record_usage(&mut self, batch: &[Usage]) -> Result<()> {
        let mut records = self.storage.write_usage()?;
        records.add_usage(batch)?;
        records.commit()
    }

    /// Creates a token that the actor owns.
    ///
    /// # Errors
    ///
    /// If it breaks a rule (N3, N6 to N9), its name is taken, or a granted connection or named source does not exist.
    pub fn create_token(&mut self, actor: &Actor, new: &NewToken) -> Result<Created> {
        if let Some(created) = self.add_token(actor, new, |_| Ok(None))? {
            return Ok(created);
        }
        self.changed(actor, |change| change.create_token(new))
    }

    /// Checks a token that [`create_token`](Self::create_token) would create, and creates none. Also returns warnings.
    ///
    /// # Errors
    ///
    /// The errors of [`create_token`](Self::create_token).
    pub fn validate_token(&mut self, actor: &Actor, new: &NewToken) -> Result<(Token, Vec<Diagnostic>)> {
        self.look(actor)?.drafted(new, &SecretDigest::of(""))
    }

    /// Returns the token that [`update_token`](Self::update_token) would make, and changes nothing. Also returns warnings.
    ///
    /// # Errors
    ///
    /// The errors of [`update_token`](Self::update_token).
    pub fn preview_edit(
        &mut self,
        actor: &Actor,
        which: Which<'_>,
        edit: &TokenEdit,
    ) -> Result<(Token, Vec<Diagnostic>)> {
        let mut change = self.look(actor)?;
        let before = change.find(which)?;
        change.edited(&before, edit)
    }

    /// Edits a token: the next decision uses the edited token. Also returns warnings about valid but probably unintended
    /// texts.
    ///
    /// # Errors
    ///
    /// If the actor may see no match, or the edited token would break a rule.
    pub fn update_token(
        &mut self,
        actor: &Actor,
        id_or_name: &str,
        edit: &TokenEdit,
    ) -> Result<(Token, Vec<Diagnostic>)> {
        self.changed(actor, |change| change.update_token(Which::Reference(id_or_name), edit))
    }

    /// Replaces the secret of a token. Its rights stay. Its expiry stays unless `expiration` sets another (`never`: none).
    ///
    /// The old secret becomes invalid now, or after `overlap`, a span such as `7d`; until then it is a separate token.
    ///
    /// # Errors
    ///
    /// If the actor may see no match, the token has expired and `expiration` is not set, or `overlap` is not a span.
    pub fn rotate_token(
        &mut self,
        actor: &Actor,
        id_or_name: &str,
        overlap: Option<&str>,
        expiration: Option<&str>,
    ) -> Result<Rotated> {
        self.changed(actor, |change| change.rotate_token(Which::Reference(id_or_name), overlap, expiration))
    }

    /// Returns the tokens that hold earlier secrets of the token `id` until their overlaps end
    /// ([`Registry::rotate_token`]). They outlive the token.
    ///
    /// # Errors
    ///
    /// If the registry cannot be read.
    pub fn earlier_secrets(&mut self, actor: &Actor, id: &str) -> Result<Vec<Token>> {
        let mut records = self.storage.read()?;
        let trail = records.trail()?;
        let by = |action: &str, entry: &TrailEntry| entry.kind == "token" && entry.action == action;
        let rotations: HashSet<u64> =
            trail.iter().filter(|entry| by("rotate", entry) && entry.id == id).map(|entry| entry.revision).collect();
        let left: HashSet<&str> = trail
            .iter()
            .filter(|entry| by("overlap", entry) && rotations.contains(&entry.revision))
            .map(|entry| &*entry.id)
            .collect();
        let mut tokens = records.tokens(visible(actor))?;
        tokens.retain(|token| left.contains(&*token.id) && !token.is_expired(actor.now));
        Ok(tokens)
    }

    /// Deletes a token: the next decision does not know it. One used within the last seven days needs `force`.
    ///
    /// # Errors
    ///
    /// If the actor may see no match, or the token was used within the last seven days and `force` is not set.
    pub fn delete_token(&mut self, actor: &Actor, id_or_name: &str, force: bool) -> Result<Token> {
        self.changed(actor, |change| change.delete_token(Which::Reference(id_or_name), force))
    }

    /// Deletes the expired tokens that the actor may see. With `older_than`, a span such as `30d`, only those that expired
    /// at least that long ago.
    ///
    /// # Errors
    ///
    /// If `older_than` is not a span.
    pub fn prune_tokens(&mut self, actor: &Actor, older_than: Option<&str>) -> Result<Vec<Token>> {
        if let Some(text) = older_than {
            span(text, actor.now, "age")?;
        }
        let mut change = self.change(actor)?;
        let mut tokens = change.records.tokens(visible(actor))?;
        let is_due = |token: &Token| {
            token.expiration_date.is_some_and(|end| {
                let due = older_than.map_or(Ok(end), |text| span(text, end, "age"));
                due.is_ok_and(|due| due <= actor.now)
            })
        };
        tokens.retain(is_due);
        for token in &tokens {
            change.remove("prune", token)?;
        }
        change.commit()?;
        Ok(tokens)
    }
}

/// Returns a checked token of `new` with a new secret, and its warnings; `None` if there is any problem.
pub(crate) fn without_problems(actor: &Actor, new: &NewToken, mut declared: &Declarations) -> Result<Option<Created>> {
    let secret = Secret::mint(SecretKind::Token)?;
    let mut problems = Problems::default();
    let draft = proposed(actor, new, &secret.digest(), &mut problems)?;
    let checked = problems.keep(checked(&mut declared, &draft, None));
    let created = problems.none_or(checked).ok();
    Ok(created.map(|(token, warnings)| Created { token, secret, warnings }))
}

impl Change<'_> {
    /// Creates a token that the actor owns: see [`Registry::create_token`].
    ///
    /// # Errors
    ///
    /// Every problem of the token.
    pub fn create_token(&mut self, new: &NewToken) -> Result<Created> {
        let secret = Secret::mint(SecretKind::Token)?;
        let (token, warnings) = self.drafted(new, &secret.digest())?;
        self.put("create", None, &token)?;
        Ok(Created { token, secret, warnings })
    }

    /// Edits a token: see [`Registry::update_token`].
    ///
    /// # Errors
    ///
    /// If there is no match, its version differs, or the edited token would break a rule.
    pub fn update_token(&mut self, which: Which<'_>, edit: &TokenEdit) -> Result<(Token, Vec<Diagnostic>)> {
        let before = self.find(which)?;
        self.check_not_of_client(&before)?;
        let (token, warnings) = self.edited(&before, edit)?;
        if token != before {
            self.put("update", Some(&before), &token)?;
        }
        Ok((token, warnings))
    }

    /// Replaces the secret of a token: see [`Registry::rotate_token`].
    ///
    /// # Errors
    ///
    /// If there is no match, its version differs, or a text is not a span or an expiry.
    pub fn rotate_token(
        &mut self,
        which: Which<'_>,
        overlap: Option<&str>,
        expiration: Option<&str>,
    ) -> Result<Rotated> {
        let now = self.actor.now;
        let mut problems = Problems::default();
        let until = problems.keep(overlap.map(|overlap| span(overlap, now, "overlap")).transpose());
        let expiration = problems.keep(expiration.map(|text| expiry(Some(text), now)).transpose());
        let (until, expiration) = problems.none_or(until.zip(expiration))?;
        let secret = Secret::mint(SecretKind::Token)?;
        let before = self.find(which)?;
        self.check_not_of_client(&before)?;
        let expired = before.is_expired(now);
        let mut token = Token { digest: secret.digest(), ..before.clone() };
        match expiration {
            Some(end) => token.expiration_date = end,
            None if expired => {
                let message = format!("token {} has expired: so would its new secret", quoted(&before.name));
                let help = "set an expiry for the new secret, such as `--expiration-date 30d`";
                return Err(refused(message, help).because("token_expired"));
            }
            None => {}
        }
        self.put("rotate", Some(&before), &token)?;
        let old = match until.filter(|_| !expired) {
            None => None,
            Some(until) => {
                let id = short_id(PREFIX)?;
                let end = before.expiration_date.map_or(until, |end| end.min(until));
                // The recorded use was with the old secret.
                let usage = self.records.usage_of(&[&*before.id])?.pop();
                let old = Token { name: id.clone(), id, expiration_date: Some(end), ..before };
                self.put("overlap", None, &old)?;
                if let Some(usage) = usage {
                    self.records.add_usage(&[Usage { token: old.id.clone(), ..usage }])?;
                }
                Some(old)
            }
        };
        Ok(Rotated { token, secret, old })
    }

    /// Deletes a token: see [`Registry::delete_token`].
    ///
    /// # Errors
    ///
    /// If there is no match, its version differs, or the token was used within the last seven days and `force` is not set.
    pub fn delete_token(&mut self, which: Which<'_>, force: bool) -> Result<Token> {
        let token = self.find(which)?;
        self.check_unused(&token, force)?;
        self.remove("delete", &token)?;
        Ok(token)
    }

    /// Checks that the token is no access token of OAuth: another secret or expiry would outlive what issued it.
    fn check_not_of_client(&mut self, token: &Token) -> Result<()> {
        match self.records.tickets(TicketFilter::Token(&token.id))?.first() {
            None => Ok(()),
            Some(ticket) => {
                let client = quoted(ticket.client.as_deref().unwrap_or_default());
                let message = format!("{} is an access token of the client {client}", quoted(&token.id));
                Err(refused(message, "let the client request another access token, or delete this one"))
            }
        }
    }

    fn find(&mut self, which: Which<'_>) -> Result<Token> {
        match which {
            Which::Reference(id_or_name) => find(&mut *self.records, self.actor, id_or_name),
            Which::Id { id, versions } => token_with_id(&mut *self.records, self.actor, id, versions),
        }
    }

    /// Returns the token that `new` describes, with the secret of `digest`.
    fn drafted(&mut self, new: &NewToken, digest: &SecretDigest) -> Result<(Token, Vec<Diagnostic>)> {
        let mut problems = Problems::default();
        let draft = proposed(self.actor, new, digest, &mut problems)?;
        problems.keep(name_is_free(&mut *self.records, &draft.owner, &draft.name, &draft.id));
        let settled = problems.keep(self.settle(&draft, None));
        problems.none_or(settled)
    }

    /// Returns the token `before` after `edit`.
    fn edited(&mut self, before: &Token, edit: &TokenEdit) -> Result<(Token, Vec<Diagnostic>)> {
        let mut draft = Draft::from(before);
        let mut problems = Problems::default();
        if let Some(name) = &edit.name
            && let Some(own) = problems.keep(own_name(name, &before.id))
        {
            own.clone_into(&mut draft.name);
            if *name != before.name {
                problems.keep(name_is_free(&mut *self.records, &draft.owner, name, &draft.id));
            }
        }
        if let Some(apis) = &edit.apis {
            draft.allowed_apis.clone_from(apis);
        }
        problems.keep(check_expiry(edit, before));
        problems.keep(edit_grants(&mut draft, edit));
        problems.keep(edit_referers(&mut draft, edit));
        let settled = problems.keep(self.settle(&draft, Some(before)));
        problems.none_or(settled)
    }

    /// Reads a draft by the rules of documents. Also checks that granted named sources exist.
    pub(crate) fn settle(&mut self, draft: &Draft, before: Option<&Token>) -> Result<(Token, Vec<Diagnostic>)> {
        checked(&mut *self.records, draft, before)
    }

    pub(crate) fn put(&mut self, action: &str, before: Option<&Token>, token: &Token) -> Result<()> {
        self.records.put_token(token)?;
        self.note(action, &subject(token), before, Some(token))
    }

    /// Refuses to delete a token that was used within the last seven days, unless `force` is set.
    pub(crate) fn check_unused(&mut self, token: &Token, force: bool) -> Result<()> {
        let usage = self.records.usage_of(&[&*token.id])?.pop();
        if let Some(used) = usage.filter(|_| !force).map(|usage| usage.last_used)
            // A recorded use in the far future is wrong: ignore it.
            && (self.actor.now.seconds() - used.seconds()).abs() < IN_USE
        {
            let message = format!("token {} was last used at {used}, within the last 7 days", quoted(&token.name));
            let help = "it may still be in use: `--force` deletes it anyway";
            return Err(refused(message, help).because("token_in_use"));
        }
        Ok(())
    }

    /// Adds many tokens, none of which exists.
    pub(crate) fn add(&mut self, action: &str, tokens: &[Token]) -> Result<()> {
        /// Bounds the memory for the trail entries.
        const AT_ONCE: usize = 1_000;
        // In the order of the primary key: the database appends to its pages instead of searching and splitting them.
        let mut sorted: Vec<_> = tokens.iter().collect();
        sorted.sort_unstable_by(|a, b| a.id.cmp(&b.id));
        self.records.add_tokens(&sorted)?;
        for tokens in tokens.chunks(AT_ONCE) {
            let entries = tokens.iter().map(|token| self.entry(action, &subject(token), None, Some(token)));
            let entries = entries.collect::<Result<Vec<_>>>()?;
            self.records.append(&entries)?;
        }
        Ok(())
    }

    pub(crate) fn remove(&mut self, action: &str, token: &Token) -> Result<()> {
        self.records.remove_token(&token.id)?;
        self.note(action, &subject(token), Some(token), None)
    }
}

/// Returns the token that `new` describes, before it is checked. Keeps the problems of its expiry and its name.
fn proposed(actor: &Actor, new: &NewToken, digest: &SecretDigest, problems: &mut Problems) -> Result<Draft> {
    let id = short_id(PREFIX)?;
    let expiry = problems.keep(expiry(new.expiration.as_deref(), actor.now));
    let name = new.name.as_ref().and_then(|name| problems.keep(own_name(name, &id)));
    Ok(Draft {
        name: name.unwrap_or(&id).to_owned(),
        owner: actor.user.clone(),
        token_sha256: digest.to_hex(),
        allowed_apis: new.apis.clone(),
        grants: new.grants.iter().map(untyped).chain(new.typed_grants.iter().map(typed)).collect(),
        referers: new.referers.clone(),
        expiration_date: expiry.flatten().map(|end| end.to_string()),
        created_at: Some(actor.now.to_string()),
        id,
    })
}

/// Reads a draft by the rules of documents, with the declarations of `declared`. Also checks that granted named sources exist.
fn checked(declared: &mut dyn Declared, draft: &Draft, before: Option<&Token>) -> Result<(Token, Vec<Diagnostic>)> {
    let mut problems = Problems::default();
    let connections = declared.connections()?;
    let mut unknown = Vec::new();
    for DraftGrant { connection_name, .. } in &draft.grants {
        let is_known = connections.iter().any(|connection| connection.name == *connection_name);
        if !is_known && !unknown.contains(&connection_name) {
            unknown.push(connection_name);
            problems.keep::<()>(Err(unknown_connection(connection_name, &connections)));
        }
    }
    problems.keep(check_storable(draft));
    problems.keep(check_sizes(draft, before));
    let settled = problems.keep(settle(&connections, declared, std::slice::from_ref(draft)));
    let settled = settled.and_then(|(mut tokens, warnings)| Some((tokens.pop()?, warnings)));
    if let Some((token, _)) = &settled {
        problems.keep(check_granted(declared, token, before));
    }
    problems.none_or(settled)
}

pub(crate) fn subject(token: &Token) -> Subject<'_> {
    Subject { kind: "token", id: &token.id, owner: Some(&token.owner) }
}
