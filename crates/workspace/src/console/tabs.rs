//! The tabs of the credentials.

use maud::{Markup, html};
use portcullis_registry::record::Role;

use super::visit::Visit;

/// A kind of credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Tokens,
    Spa,
    M2m,
}

const KINDS: [(Kind, &str, &str); 3] = [
    (Kind::Tokens, "/credentials/tokens", "API access tokens"),
    (Kind::Spa, "/credentials/spa", "SPA OAuth clients"),
    (Kind::M2m, "/credentials/m2m", "M2M OAuth clients"),
];

/// Returns the heading of a list of credentials, with the button that creates one.
pub(super) fn tabs(visit: &Visit, kind: Kind, create: &str, label: &str) -> Markup {
    html! {
        div.heading {
            h1 { "Credentials" }
            @if visit.identity.role != Role::Auditor {
                div.actions { a.button.primary href=(visit.to(create)) { (label) } }
            }
        }
        nav.tabs aria-label="Kinds of credentials" {
            ul { @for (at, path, label) in KINDS { li { a href=(visit.to(path)) aria-current=[(at == kind).then_some("page")] { (label) } } } }
        }
    }
}
