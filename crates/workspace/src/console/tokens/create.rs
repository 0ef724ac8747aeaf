//! The wizard that creates a token.

use axum::response::Response;
use http::StatusCode;
use maud::{Markup, html};
use portcullis_registry::record::Token;
use portcullis_registry::{Actor, NewToken, Registry};

use super::fields::{Draft, ExpirationField, fields};
use super::view::insight_of_new;
use crate::api::within_limit;
use crate::console::copy_once::{self, Kept};
use crate::console::field_errors::Errors;
use crate::console::grant_rows;
use crate::console::insight::{Attempt, Insight, Offer, try_it};
use crate::console::layout::Tab;
use crate::console::offered::Offered;
use crate::console::preview::Preview;
use crate::console::respond::json;
use crate::console::visit::{Shown, Visit};
use crate::problem::Problem;
use crate::service::Workspace;

/// Shows an empty form.
pub(super) async fn form(visit: Visit) -> Shown {
    let offered = Offered::read(&visit).await?;
    let draft = Draft::proposed(&offered);
    let key = copy_once::key()?;
    Ok(rendered(&visit, StatusCode::OK, &Filled { draft, key, errors: Errors::default(), insight: None }, &offered))
}

/// Creates the token, or shows the form with its problems.
pub(super) async fn create(visit: Visit) -> Shown {
    let draft = Draft::read(&visit.form);
    let key = visit.form.get("key").to_owned();
    let is_only_edited = grant_rows::is_only_edited(&visit.form);
    if visit.form.get("action") == "check" || is_only_edited {
        let offered = Offered::read(&visit).await?;
        let checked = check(&visit, &draft, &offered).await?;
        let (errors, insight) = match checked {
            Ok(insight) => (Errors::default(), Some(insight)),
            // Fields that are not filled in yet have no error.
            Err(_) if is_only_edited => (Errors::default(), None),
            Err(errors) => (errors, None),
        };
        return Ok(rendered(&visit, StatusCode::OK, &Filled { draft, key, errors, insight }, &offered));
    }
    if draft.name.is_empty() {
        let offered = Offered::read(&visit).await?;
        let mut errors = check(&visit, &draft, &offered).await?.err().unwrap_or_default();
        errors.add("name", NO_NAME);
        let filled = Filled { draft, key, errors, insight: None };
        return Ok(rendered(&visit, StatusCode::BAD_REQUEST, &filled, &offered));
    }
    let new = draft.new_token();
    let created = copy_once::change(
        &visit,
        &visit.form,
        move |change| {
            let created = change.create_token(&new)?;
            within_limit(&created.token)?;
            Ok(created)
        },
        |created| Kept { id: created.token.id.clone(), secret: Some(created.secret.expose().to_owned()) },
    );
    match created.await {
        Ok(id) => {
            let path = format!("/credentials/tokens/{}/secret", crate::api::segment(&id));
            Ok(copy_once::with_key(&visit, visit.redirect(&path), &path, &key))
        }
        Err(problem) if problem.status().is_client_error() && problem.reason() != "read_only" => {
            let errors = draft.errors(&problem);
            let offered = Offered::read(&visit).await?;
            // Only a new key can make another token.
            let key = if problem.reason() == "form_reused" { copy_once::key()? } else { key };
            let filled = Filled { draft, key, errors, insight: None };
            Ok(rendered(&visit, problem.status(), &filled, &offered))
        }
        Err(problem) => Err(problem),
    }
}

const NO_NAME: &str = "Write a name that users recognize.";

/// Answers the script with the problems of the form, and with what its token reads.
pub(super) async fn preview(visit: Visit) -> Shown {
    let offered = Offered::read(&visit).await?;
    let draft = Draft::read(&visit.form);
    let preview = match check(&visit, &draft, &offered).await? {
        Ok(insight) => Preview::valid(&insight),
        Err(errors) => Preview::invalid(&errors),
    };
    Ok(json(&if draft.name.is_empty() { preview.with("name", NO_NAME) } else { preview }))
}

/// Returns what the token reads, or its problems.
async fn check(visit: &Visit, draft: &Draft, offered: &Offered) -> Result<Result<Insight, Errors>, Problem> {
    // The form has its own error for a missing name; the rest is checked with any name.
    let new = NewToken { name: Some(draft.name.clone()).filter(|name| !name.is_empty()), ..draft.new_token() };
    match validated(visit, new).await {
        Ok(token) => Ok(Ok(insight_of_new(visit, token, offered, Attempt::read(&visit.form)).await?)),
        Err(problem) if problem.status().is_client_error() => Ok(Err(draft.errors(&problem))),
        Err(problem) => Err(problem),
    }
}

/// Checks a token as its creation does.
async fn validated(visit: &Visit, new: NewToken) -> Result<Token, Problem> {
    let work = move |registry: &mut Registry, actor: &Actor| {
        let (token, _) = registry.validate_token(actor, &new)?;
        within_limit(&token)?;
        Ok(token)
    };
    visit.workspace().read(&visit.identity, work).await
}

struct Filled {
    draft: Draft,
    key: String,
    errors: Errors,
    insight: Option<Insight>,
}

fn rendered(visit: &Visit, status: StatusCode, filled: &Filled, offered: &Offered) -> Response {
    let Filled { draft, key, errors, insight } = filled;
    let attempt = Attempt::read(&visit.form);
    let offer = Offer { connections: &offered.connections, apis: &offered.apis, attempt: attempt.as_ref() };
    let decision = insight.as_ref().map_or_else(waiting, Insight::decision);
    let content = html! {
        p.crumbs { a href=(visit.to("/credentials/tokens")) { "Tokens" } }
        h1 { "Create token" }
        form.wizard method="post" action=(visit.to("/credentials/tokens/new")) data-preview=(visit.to("/credentials/tokens/new/preview"))
            data-focus-error[!errors.is_empty()] novalidate {
            (copy_once::field(key))
            div.columns {
                div.main {
                    (fields(visit, draft, offered, errors, &ExpirationField::Choice, Workspace::now()))
                    div.buttons {
                        button.primary name="action" value="save" data-save { "Create token" }
                        button name="action" value="check" data-check { "Check" }
                        a.button.quiet href=(visit.to("/credentials/tokens")) { "Cancel" }
                    }
                    p.hint role="status" aria-live="polite" data-status {}
                }
                div.aside {
                    div data-aside { @match insight { Some(insight) => { (insight.markup()) } None => { (nothing()) } } }
                    (try_it(&offer, None, &decision))
                }
            }
        }
    };
    visit.page_with(status, Tab::Credentials, "Create token", &content)
}

fn nothing() -> Markup {
    html! {
        section.card aria-labelledby="reads-now" {
            h2 #reads-now { "Reads now" }
            p.soft { "What this token reads appears here when the form is valid." }
        }
    }
}

fn waiting() -> Markup {
    html! { p.soft { "Fill in the form, then a source to try." } }
}
