//! The rotation of a token's secret, and the page that shows a secret.

use axum::response::Response;
use http::StatusCode;
use maud::html;
use portcullis_registry::record::Token;
use portcullis_registry::{Actor, Registry, Which};

use super::parts::path;
use crate::console::copy_once::{self, Kept};
use crate::console::failure::notice;
use crate::console::layout::Tab;
use crate::console::visit::{Shown, Visit};
use crate::console::words::{both_times, safe};
use crate::problem::{Detail, Problem};
use crate::service::Workspace;

/// How long the old secret stays valid, with labels.
const OVERLAPS: [(&str, &str); 4] = [("", "Not at all"), ("1d", "1 day"), ("1w", "1 week"), ("1m", "1 month")];

/// The expirations of the new secret, with labels.
const EXPIRATIONS: [(&str, &str); 6] = [
    ("", "Keep the expiry"),
    ("1d", "1 day"),
    ("1w", "1 week"),
    ("1m", "1 month"),
    ("1y", "1 year"),
    ("never", "No expiration"),
];

/// Asks how to rotate.
pub(super) async fn form(visit: Visit) -> Shown {
    let token = token(&visit).await?;
    let key = copy_once::key()?;
    Ok(rendered(&visit, StatusCode::OK, &token, &key, &[]))
}

/// Replaces the secret.
pub(super) async fn rotate(visit: Visit) -> Shown {
    let id = visit.parameter("id");
    let text = |name: &str| visit.form.filled(name).map(ToOwned::to_owned);
    let (overlap, expiration, version) = (text("overlap"), text("expiration"), visit.form.get("version").to_owned());
    let work = move |change: &mut portcullis_registry::Change<'_>| {
        let versions = [version];
        let which = Which::Id { id: &id, versions: Some(&versions) };
        change.rotate_token(which, overlap.as_deref(), expiration.as_deref())
    };
    let kept = |rotated: &portcullis_registry::Rotated| Kept {
        id: rotated.token.id.clone(),
        secret: Some(rotated.secret.expose().to_owned()),
    };
    match copy_once::change(&visit, &visit.form, work, kept).await {
        Ok(id) => {
            let path = format!("/credentials/tokens/{}/secret", crate::api::segment(&id));
            let key = visit.form.get("key").to_owned();
            Ok(copy_once::with_key(&visit, visit.redirect(&path), &path, &key))
        }
        Err(problem) if problem.status().is_client_error() && problem.status() != StatusCode::NOT_FOUND => {
            let token = token(&visit).await?;
            let details: Vec<Detail> = problem.details().iter().map(in_the_form).collect();
            Ok(rendered(&visit, problem.status(), &token, &copy_once::key()?, &details))
        }
        Err(problem) => Err(problem),
    }
}

/// Returns a problem with the fix that the form offers.
fn in_the_form(detail: &Detail) -> Detail {
    let help = match &*detail.reason {
        "token_expired" => "choose an expiration for the new secret",
        "version_changed" => "this page now shows the token as it is: rotate it again if you still want to",
        _ => return detail.clone(),
    };
    Detail { help: help.to_owned(), ..detail.clone() }
}

async fn token(visit: &Visit) -> Result<Token, Problem> {
    let id = visit.parameter("id");
    visit
        .workspace()
        .read(&visit.identity, move |registry: &mut Registry, actor: &Actor| registry.token_with_id(actor, &id))
        .await
}

fn rendered(visit: &Visit, status: StatusCode, token: &Token, key: &str, problems: &[Detail]) -> Response {
    let now = Workspace::now();
    let back = visit.to(&path(token));
    let is_expired = token.is_expired(now);
    let content = html! {
        p.crumbs { a href=(visit.to("/credentials/tokens")) { "Tokens" } " / " a href=(back) { (safe(&token.name)) } }
        h1 { "Rotate " (safe(&token.name)) }
        @if !problems.is_empty() { (notice(problems)) }
        p.lead { "The token gets a new secret. Its name, APIs, grants and referers stay." }
        form.narrow method="post" action={ (back) "/rotate" } {
            (copy_once::field(key))
            input type="hidden" name="version" value=(token.version());
            fieldset.choices { legend { "The old secret stays valid" }
                div.chips { @for (value, label) in OVERLAPS { label.chip { input type="radio" name="overlap" value=(value) checked[value.is_empty()]; span { (label) } } } }
                p.hint { "Clients can change over while both secrets are valid." }
            }
            div.field {
                label for="expiration" { "Expiration of the new secret" }
                select #expiration name="expiration" {
                    @for (value, label) in EXPIRATIONS { @if !(is_expired && value.is_empty()) { option value=(value) { (label) } } }
                }
                p.hint { "Now: " @match token.expiration_date { Some(end) => { (both_times(end, now)) } None => { "never" } } }
            }
            div.buttons { button.primary { "Rotate" } a.button.quiet href=(back) { "Cancel" } }
        }
    };
    visit.page_with(status, Tab::Credentials, "Rotate token", &content)
}

/// Shows the secret of a token that was created or rotated, once.
pub(super) async fn secret(visit: Visit) -> Shown {
    let token = token(&visit).await?;
    let secret = copy_once::take(&visit, &token.id).await?;
    let content = html! {
        p.crumbs { a href=(visit.to("/credentials/tokens")) { "Tokens" } }
        h1 { (safe(&token.name)) }
        (copy_once::shown(secret.as_deref(), "Secret", &visit.to(&path(&token))))
    };
    Ok(visit.page(Tab::Credentials, "Secret", &content))
}
