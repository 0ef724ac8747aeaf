//! Tokens, each with one owner.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use super::connections::unknown as unknown_connection;
use super::definition::{Draft, DraftGrant, check_storable, compact_document, settle};
use super::error::{Problems, Result, invalid, refused};
use super::lists::{Which, token_with_id};
use super::named_sources::check_granted;
use super::record::{Grant, Token, TrailEntry, Usage};
use super::sizes::check_sizes;
use super::spans::{expiry_meant, span_meant};
use super::storage::{Declarations, Declared, Records, TicketFilter, TokenFilter};
use super::words::{did_you_mean, quoted};
use super::{Actor, Change, Registry, Subject, check_text};
use portcullis::base::{Escaped, Timestamp};
use portcullis::model::{Expiry, SecretDigest};
use portcullis_document::load::Diagnostic;
use portcullis_secret::{self as secret, Secret, SecretKind, short_id};

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

/// A grant of a source, whose kind may be given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypedGrant {
    /// The connection.
    pub connection: String,
    /// The source.
    pub source: String,
    /// The kind, such as `pattern`; `None` reads the source by N6.
    pub kind: Option<String>,
}

impl From<&Grant> for TypedGrant {
    fn from(grant: &Grant) -> Self {
        Self {
            connection: grant.connection.clone(),
            source: grant.source.clone(),
            kind: Some(grant.kind.as_str().to_owned()),
        }
    }
}

/// The text of an expiry that never comes.
pub const NEVER: &str = "never";

/// An edit of a token. The expiry cannot be edited: [`Registry::rotate_token`] creates a secret with a new expiry.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TokenEdit {
    /// The new name.
    pub name: Option<String>,
    /// The new APIs, which replace all current ones.
    pub apis: Option<Vec<String>>,
    /// The new grants, which replace all current ones.
    pub grants: Option<Vec<TypedGrant>>,
    /// Grants to add, whose kind may be given.
    pub add_typed_grants: Vec<TypedGrant>,
    /// Grants to add: a connection, and a source as N6 reads it.
    pub add_grants: Vec<(String, String)>,
    /// Grants to remove: a connection, and the source as written.
    pub remove_grants: Vec<(String, String)>,
    /// The new referers, which replace all current ones.
    pub referers: Option<Vec<String>>,
    /// Referers to add.
    pub add_referers: Vec<String>,
    /// Referers to remove.
    pub remove_referers: Vec<String>,
    /// Whether the edit may remove the last referer, after which the token is usable from anywhere.
    pub any_referer: bool,
    /// The expiry as an instant, which must be the current one: it cannot be edited. `Some(None)` is no expiry.
    pub expiration: Option<Option<String>>,
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
pub(super) fn without_problems(actor: &Actor, new: &NewToken, mut declared: &Declarations) -> Result<Option<Created>> {
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
    pub(super) fn settle(&mut self, draft: &Draft, before: Option<&Token>) -> Result<(Token, Vec<Diagnostic>)> {
        checked(&mut *self.records, draft, before)
    }

    pub(super) fn put(&mut self, action: &str, before: Option<&Token>, token: &Token) -> Result<()> {
        self.records.put_token(token)?;
        self.note(action, &subject(token), before, Some(token))
    }

    /// Refuses to delete a token that was used within the last seven days, unless `force` is set.
    pub(super) fn check_unused(&mut self, token: &Token, force: bool) -> Result<()> {
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
    pub(super) fn add(&mut self, action: &str, tokens: &[Token]) -> Result<()> {
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

    pub(super) fn remove(&mut self, action: &str, token: &Token) -> Result<()> {
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

pub(super) fn subject(token: &Token) -> Subject<'_> {
    Subject { kind: "token", id: &token.id, owner: Some(&token.owner) }
}

pub(super) fn visible(actor: &Actor) -> TokenFilter<'_> {
    if actor.all_users { TokenFilter::All } else { TokenFilter::Owner(&actor.user) }
}

fn find(records: &mut dyn Records, actor: &Actor, id_or_name: &str) -> Result<Token> {
    if secret::contains_secret(id_or_name) {
        return Err(invalid(
            "that is a secret",
            "name the token by its id or its name: do not put secrets in commands",
        ));
    }
    let owner = (!actor.all_users).then_some(&*actor.user);
    // Imported ids may start with `id:`, too.
    let (id, other) = match by_id(id_or_name) {
        Some(id) => (id, TokenFilter::Id(id_or_name)),
        None => (id_or_name, TokenFilter::Name { owner, name: id_or_name }),
    };
    let mut found = records.tokens(TokenFilter::Id(id))?;
    found.retain(|token| actor.may(&token.owner));
    let is_id = !found.is_empty();
    let others = records.tokens(other)?;
    found.extend(others.into_iter().filter(|token| token.id != id && actor.may(&token.owner)));
    if found.len() > 1 {
        let ids = found.iter().map(|token| {
            let explicit = explicit(&token.id);
            let reference = if explicit == id_or_name { &token.id } else { &explicit };
            format!("{} of {}, named {}", quoted(reference), quoted(&token.owner), quoted(&token.name))
        });
        let reference = quoted(id_or_name);
        let message = if by_id(id_or_name).is_some() {
            format!("{reference} means the token with the id {} and is the id of another", quoted(id))
        } else if is_id {
            format!("{reference} is the id of one token and the name of another")
        } else {
            format!("{} tokens have the name {reference}", found.len())
        };
        return Err(refused(message, format!("name one by its id: {}", ids.collect::<Vec<_>>().join("; "))));
    }
    if let Some(token) = found.pop() {
        return Ok(token);
    }
    let known = records.tokens(visible(actor))?;
    let meant = did_you_mean(id_or_name, known.iter().flat_map(|token| [&*token.id, &*token.name]));
    let others = if actor.all_users { "" } else { "; with `--all-users` also those of other users" };
    let help = format!("{meant}`portcullis credentials list tokens` shows them{others}");
    Err(refused(format!("there is no token {}", quoted(id_or_name)), help))
}

/// Returns the id in a reference such as `id:tk_5h3f9w2mzq`, which never matches names.
pub(super) fn by_id(reference: &str) -> Option<&str> {
    reference.strip_prefix("id:")
}

/// Returns a reference that matches the id only, whatever name is equal to it.
pub(super) fn explicit(id: &str) -> String {
    format!("id:{id}")
}

/// Checks the name that a user gives to the token `id`: it must not look like the id of another token.
fn own_name<'n>(name: &'n str, id: &str) -> Result<&'n str> {
    check_text("name", name).map_err(|error| error.because("invalid_name"))?;
    if name.starts_with("tk_") && name != id {
        let help = "token ids have this prefix: choose a name without it";
        return Err(invalid(format!("the name {} starts with `tk_`", quoted(name)), help).because("invalid_name"));
    }
    if by_id(name).is_some() {
        let help = "`id:` before an id means no name: choose a name without this prefix";
        return Err(invalid(format!("the name {} starts with `id:`", quoted(name)), help).because("invalid_name"));
    }
    Ok(name)
}

fn name_is_free(records: &mut dyn Records, owner: &str, name: &str, id: &str) -> Result<()> {
    if records.tokens(TokenFilter::Id(name))?.iter().any(|other| other.id != id) {
        let message = format!("name {} is the id of another token", quoted(name));
        return Err(refused(message, "choose another name").because("name_taken"));
    }
    let taken = records.tokens(TokenFilter::Name { owner: Some(owner), name })?;
    match taken.iter().find(|other| other.id != id) {
        None => Ok(()),
        Some(other) => Err(refused(
            format!("name {} is taken by token {}", quoted(name), Escaped::whole(&other.id)),
            "choose another name, or none",
        )
        .because("name_taken")),
    }
}

fn untyped((connection, source): &(String, String)) -> DraftGrant {
    DraftGrant { connection_name: connection.clone(), source: source.clone(), kind: None }
}

pub(super) fn typed(TypedGrant { connection, source, kind }: &TypedGrant) -> DraftGrant {
    DraftGrant { connection_name: connection.clone(), source: source.clone(), kind: kind.clone().map(Cow::Owned) }
}

/// Checks that an edit keeps the expiry.
fn check_expiry(edit: &TokenEdit, before: &Token) -> Result<()> {
    let is_current =
        |text: &Option<String>| match (text.as_deref().filter(|text| *text != NEVER), before.expiration_date) {
            (None, None) => true,
            (Some(text), Some(end)) => text.parse() == Ok(end),
            _ => false,
        };
    match &edit.expiration {
        Some(expiration) if !is_current(expiration) => {
            let help = "leave the expiry out, or rotate the token: a new secret may have another expiry";
            Err(refused("the expiry of a token cannot be edited", help).because("expiry_is_fixed"))
        }
        _ => Ok(()),
    }
}

fn edit_grants(draft: &mut Draft, edit: &TokenEdit) -> Result<()> {
    if let Some(grants) = &edit.grants {
        draft.grants = grants.iter().map(typed).collect();
    }
    for (connection, source) in &edit.remove_grants {
        let is = |grant: &DraftGrant| grant.connection_name == *connection && grant.source == *source;
        if !draft.grants.iter().any(is) {
            let grants =
                draft.grants.iter().map(|grant| quoted(&format!("{},{}", grant.connection_name, grant.source)));
            let message = format!("the token has no grant {}", quoted(&format!("{connection},{source}")));
            let help = format!("its grants are {}", grants.collect::<Vec<_>>().join(", "));
            return Err(refused(message, help).because("no_such_grant"));
        }
        draft.grants.retain(|grant| !is(grant));
    }
    for added in edit.add_grants.iter().map(untyped).chain(edit.add_typed_grants.iter().map(typed)) {
        let is = |grant: &DraftGrant| {
            grant.connection_name == added.connection_name
                && grant.source == added.source
                && (added.kind.is_none() || grant.kind == added.kind)
        };
        if !draft.grants.iter().any(is) {
            draft.grants.push(added);
        }
    }
    Ok(())
}

fn edit_referers(draft: &mut Draft, edit: &TokenEdit) -> Result<()> {
    let had = !draft.referers.is_empty();
    if let Some(referers) = &edit.referers {
        draft.referers.clone_from(referers);
    }
    for referer in &edit.remove_referers {
        if !draft.referers.contains(referer) {
            let known: Vec<_> = draft.referers.iter().map(|known| quoted(known)).collect();
            let help = if known.is_empty() { "it has none".to_owned() } else { format!("it has {}", known.join(", ")) };
            return Err(refused(format!("the token has no referer {}", quoted(referer)), help));
        }
        draft.referers.retain(|known| known != referer);
    }
    draft.referers.extend(edit.add_referers.iter().cloned());
    if edit.any_referer && edit.referers.is_none() && edit.add_referers.is_empty() {
        draft.referers.clear();
    }
    if had && draft.referers.is_empty() && !edit.any_referer {
        let message = "the token would be usable from any web site: no referer would be left";
        return Err(refused(message, "add another one, or use `--any-referer`").because("referers_removed"));
    }
    Ok(())
}

/// Returns the expiry of a token that is created now (N9.2, N9.3).
fn expiry(text: Option<&str>, now: Timestamp) -> Result<Option<Timestamp>> {
    let Some(text) = text.filter(|text| *text != NEVER) else { return Ok(None) };
    match Expiry::at_creation(text, now) {
        Ok(Expiry::At(end)) => Ok(Some(end)),
        Ok(Expiry::Never) => Ok(None),
        Err(error) => {
            const FORMS: &str = "a span such as `7d`, `2w`, `6m`, `1y`, a date such as `2030-01-01` or an RFC 3339 instant, \
                                 in the future, or `never`";
            let meant = expiry_meant(text, now).map_or_else(String::new, |fix| format!("`{fix}`: "));
            Err(invalid(error.to_string(), format!("write {meant}{FORMS}")).because("invalid_expiry"))
        }
    }
}

/// Returns the instant that is the span `text`, such as `7d`, after `start`.
pub(super) fn span(text: &str, start: Timestamp, what: &str) -> Result<Timestamp> {
    match Expiry::at_creation(text, start) {
        Ok(Expiry::At(end)) if text.parse::<Timestamp>().is_err() => Ok(end),
        _ => {
            let meant = span_meant(text, start).map_or_else(String::new, |fix| format!("`{fix}`: "));
            let help = format!("write {meant}a span such as `7d`, `2w`, `6m` or `1y`");
            Err(invalid(format!("{} is not an {what}", quoted(text)), help).because("invalid_span"))
        }
    }
}
