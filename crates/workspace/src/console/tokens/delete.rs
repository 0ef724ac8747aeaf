//! The deletion of a token.

use axum::response::Response;
use http::StatusCode;
use maud::html;
use portcullis_registry::record::{Token, Usage};
use portcullis_registry::{Actor, Registry, Which};

use super::parts::{badges, path};
use crate::console::failure::notice;
use crate::console::layout::Tab;
use crate::console::visit::{Shown, Visit};
use crate::console::words::{both_times, grant, safe};
use crate::problem::{Detail, Problem};
use crate::service::Workspace;

/// Asks whether to delete.
pub(super) async fn form(visit: Visit) -> Shown {
    let (token, usage) = read(&visit).await?;
    Ok(rendered(&visit, StatusCode::OK, &token, usage.as_ref(), &[]))
}

/// Deletes the token.
pub(super) async fn delete(visit: Visit) -> Shown {
    let (id, force) = (visit.parameter("id"), visit.form.get("force") == "yes");
    let versions = [visit.form.get("version").to_owned()];
    let deleted = visit.workspace().change(&visit.identity, move |registry, actor| {
        let which = Which::Id { id: &id, versions: Some(&versions) };
        registry.changed(actor, |change| change.delete_token(which, force))
    });
    match deleted.await {
        Ok(_) => Ok(visit.redirect("/credentials/tokens")),
        Err(problem) if matches!(problem.reason(), "token_in_use" | "version_changed") => {
            let (token, usage) = read(&visit).await?;
            let details: Vec<Detail> = problem.details().iter().map(in_the_form).collect();
            Ok(rendered(&visit, problem.status(), &token, usage.as_ref(), &details))
        }
        Err(problem) => Err(problem),
    }
}

/// Returns a problem with the fix that the form offers.
fn in_the_form(detail: &Detail) -> Detail {
    let help = match &*detail.reason {
        "token_in_use" => "it may still be in use: confirm below that it is deleted anyway",
        _ => "this page now shows the token as it is: delete it if you still want to",
    };
    Detail { help: help.to_owned(), ..detail.clone() }
}

async fn read(visit: &Visit) -> Result<(Token, Option<Usage>), Problem> {
    let id = visit.parameter("id");
    let read = move |registry: &mut Registry, actor: &Actor| {
        let token = registry.token_with_id(actor, &id)?;
        let usage = registry.usage_of(&[&*token.id])?.pop();
        Ok((token, usage))
    };
    visit.workspace().read(&visit.identity, read).await
}

fn rendered(visit: &Visit, status: StatusCode, token: &Token, usage: Option<&Usage>, problems: &[Detail]) -> Response {
    /// The registry's guard: seven days, in seconds.
    const GUARD: i64 = 7 * 86_400;
    let now = Workspace::now();
    let back = visit.to(&path(token));
    let is_used = usage.is_some_and(|usage| (now.seconds() - usage.last_used.seconds()).abs() < GUARD);
    let content = html! {
        p.crumbs { a href=(visit.to("/credentials/tokens")) { "Tokens" } " / " a href=(back) { (safe(&token.name)) } }
        h1 { "Delete " (safe(&token.name)) "?" }
        @if !problems.is_empty() { (notice(problems)) }
        p.lead { "The next request with this token is denied. Nothing brings the token back." }
        section.card.narrow {
            p.badges { (badges(token, now)) }
            ul.plain { @for one in &token.grants { li { (grant(one)) } } }
            p { "Last used: " @match usage { Some(usage) => { (both_times(usage.last_used, now)) } None => { "never, as far as sidecars have reported" } } }
        }
        form.narrow method="post" action={ (back) "/delete" } {
            input type="hidden" name="version" value=(token.version());
            @if is_used {
                div.notice.warning {
                    p { b { "The token was used in the last seven days." } " Something may still need it." }
                    label { input type="checkbox" name="force" value="yes" required; " Delete it anyway" }
                }
            }
            div.buttons { button.danger { "Delete token" } a.button.quiet href=(back) { "Keep it" } }
        }
    };
    visit.page_with(status, Tab::Credentials, "Delete token", &content)
}
