//! References to tokens by id and name, and the names that a user may give.

use portcullis::base::Escaped;
use portcullis_secret as secret;

use crate::error::{Result, invalid, refused};
use crate::record::Token;
use crate::storage::{Records, TokenFilter};
use crate::words::{did_you_mean, quoted};
use crate::{Actor, check_text};

pub(crate) fn visible(actor: &Actor) -> TokenFilter<'_> {
    if actor.all_users { TokenFilter::All } else { TokenFilter::Owner(&actor.user) }
}

pub(super) fn find(records: &mut dyn Records, actor: &Actor, id_or_name: &str) -> Result<Token> {
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
pub(crate) fn by_id(reference: &str) -> Option<&str> {
    reference.strip_prefix("id:")
}

/// Returns a reference that matches the id only, whatever name is equal to it.
pub(crate) fn explicit(id: &str) -> String {
    format!("id:{id}")
}

/// Checks the name that a user gives to the token `id`: it must not look like the id of another token.
pub(super) fn own_name<'n>(name: &'n str, id: &str) -> Result<&'n str> {
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

pub(super) fn name_is_free(records: &mut dyn Records, owner: &str, name: &str, id: &str) -> Result<()> {
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
