//! What an edit newly allows, with a request that proves it.

use maud::{Markup, html};
use portcullis::base::Timestamp;
use portcullis_diff::compare::{Gain, Gained, Side, diff};
use portcullis_diff::witness::{RequestedSource, Witness};
use portcullis_document::read_policy;
use portcullis_registry::record::Token;
use portcullis_registry::{Actor, Registry, RegistryError};

use super::parts::stand_in;
use crate::console::visit::Visit;
use crate::console::words::{safe, short};
use crate::problem::Problem;
use crate::service::Workspace;

/// Returns what `after` allows that `before` denies. An expired token allows nothing.
pub(super) async fn gains(visit: &Visit, before: Token, after: Token) -> Result<Vec<Gain>, Problem> {
    let digest = stand_in(&before.id);
    let read = move |registry: &mut Registry, _: &Actor| -> Result<(String, String), RegistryError> {
        let document = |registry: &mut Registry, token: Token| registry.document_of(&[Token { digest, ..token }]);
        Ok((document(registry, before)?, document(registry, after)?))
    };
    let (before, after) = visit.workspace().read(&visit.identity, read).await?;
    let compared = tokio::task::spawn_blocking(move || compared(before, after, Workspace::now()));
    compared.await.map_err(|_| Problem::internal())?
}

fn compared(before: String, after: String, now: Timestamp) -> Result<Vec<Gain>, Problem> {
    let (before, after) = (read_policy(before), read_policy(after));
    let (before, after) = (before.map_err(|_| Problem::internal())?, after.map_err(|_| Problem::internal())?);
    let (old, new) = (Side::new(&before), Side::new(&after));
    let (old, new) = (old.map_err(|_| Problem::internal())?, new.map_err(|_| Problem::internal())?);
    let found = diff(&old, &new, now).map_err(|_| Problem::internal())?;
    Ok(found.tokens.into_iter().flat_map(|token| token.gains).collect())
}

/// Lists what an edit newly allows, each with a witness.
pub(super) fn sentences(gains: &[Gain]) -> Markup {
    html! {
        ul.gains {
            @for gain in gains {
                li {
                    (gained(&gain.gained)) " "
                    @match &gain.witness {
                        Some(witness) => { span.witness { "For example: " (request(witness)) " " b { "was denied and would be allowed." } } }
                        None => { span.witness { "Whether this allows more could not be decided, so it counts as more." } }
                    }
                }
            }
        }
    }
}

fn gained(gained: &Gained) -> Markup {
    html! {
        @match gained {
            Gained::Token => { "The token could be used at all." }
            Gained::Api(api) => { "The token could use the API " code { (safe(api)) } "." }
            Gained::Grant { connection, source, apis, .. } => {
                "The token could reach " code { (short(source)) } " on " b { (safe(connection)) } ", through " (safe(&apis.join(", "))) "."
            }
            Gained::Referer(Some(entry)) => { "Pages of " code { (safe(entry)) } " could use the token." }
            Gained::Referer(None) => { "Every web page, and programs without a referer, could use the token." }
            Gained::Until(_) => { "The token could be used for longer." }
        }
    }
}

fn request(witness: &Witness) -> Markup {
    html! {
        "a request of " code { (safe(&witness.api)) }
        @match &witness.source {
            RequestedSource::Nothing => {}
            RequestedSource::Resource(text) | RequestedSource::Query(text) | RequestedSource::NamedSource(text) => {
                " for " code { (short(text)) } " on " (safe(&witness.connection))
            }
        }
        @if let Some(referer) = &witness.referer { " from " code { (short(referer)) } }
    }
}
