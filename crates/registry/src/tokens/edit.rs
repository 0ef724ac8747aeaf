//! Edits of a token: which texts of its definition they change.

use super::expiry::NEVER;
use super::grants::{TypedGrant, typed, untyped};
use crate::definition::{Draft, DraftGrant};
use crate::error::{Result, refused};
use crate::record::Token;
use crate::words::quoted;

/// An edit of a token. The expiry cannot be edited: a [rotation](crate::Registry::rotate_token) creates a secret with a new expiry.
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

/// Checks that an edit keeps the expiry.
pub(super) fn check_expiry(edit: &TokenEdit, before: &Token) -> Result<()> {
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

pub(super) fn edit_grants(draft: &mut Draft, edit: &TokenEdit) -> Result<()> {
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

pub(super) fn edit_referers(draft: &mut Draft, edit: &TokenEdit) -> Result<()> {
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
