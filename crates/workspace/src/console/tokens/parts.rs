//! Parts of several pages of tokens.

use maud::{Markup, html};
use portcullis::base::Timestamp;
use portcullis::model::{GrantKind, SecretDigest};
use portcullis_registry::record::Token;

use crate::api::segment;
use crate::console::words::{SOON, safe};

/// Returns the badges of a token.
pub(super) fn badges(token: &Token, now: Timestamp) -> Markup {
    let is_expired = token.is_expired(now);
    let is_soon = token.expiration_date.is_some_and(|end| end.seconds() - now.seconds() < SOON);
    let reads_all = token.grants.iter().any(|grant| grant.kind == GrantKind::All);
    html! {
        @if is_expired { span.badge.error { "Expired" } " " }
        @else if is_soon { span.badge.warning { "Expires soon" } " " }
        @if token.expiration_date.is_none() { span.badge.note { "Never expires" } " " }
        @if reads_all { span.badge.warning { "Every source" } " " }
        @if token.referers.is_empty() { span.badge.note { "Any referer" } }
    }
}

pub(super) fn apis(token: &Token) -> Markup {
    html! { span.apis { @for api in &token.allowed_apis { span.tag { (safe(api)) } " " } } }
}

/// Returns the path of the page of a token.
pub(super) fn path(token: &Token) -> String {
    format!("/credentials/tokens/{}", segment(&token.id))
}

/// Returns a digest for a policy that is only looked at. No secret has it, and a token that was only checked has no secret.
pub(super) fn stand_in(id: &str) -> SecretDigest {
    SecretDigest::of(&format!("not a secret\n{id}"))
}
