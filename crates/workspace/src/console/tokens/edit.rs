//! Edits of a token. An edit that widens access is confirmed, and no edit overwrites another one.

use std::collections::HashSet;

use axum::response::Response;
use http::StatusCode;
use maud::{Markup, html};
use portcullis::model::SecretDigest;
use portcullis_diff::compare::Gain;
use portcullis_registry::record::{Token, TrailEntry};
use portcullis_registry::{Actor, Registry, TrailQuery, Which};

use super::fields::{Draft, ExpirationField, fields};
use super::merge::merged;
use super::parts::path;
use super::view::insight;
use super::widening::{gains, sentences};
use crate::api::within_limit;
use crate::console::field_errors::Errors;
use crate::console::grant_rows;
use crate::console::insight::{Attempt, Insight, Offer, try_it};
use crate::console::layout::Tab;
use crate::console::offered::Offered;
use crate::console::preview::Preview;
use crate::console::respond::json;
use crate::console::visit::{Shown, Visit};
use crate::console::words::{safe, time};
use crate::problem::Problem;
use crate::service::Workspace;

/// Shows the form of a token.
pub(super) async fn form(visit: Visit) -> Shown {
    let token = token(&visit).await?;
    let offered = Offered::read(&visit).await?;
    let insight = insight(&visit, token.clone(), &offered, None).await?;
    let edit = Edit::of(Draft::from(&token), token);
    Ok(rendered(&visit, StatusCode::OK, &Edit { insight: Some(insight), ..edit }, &offered))
}

/// Saves an edit. Shows the form again if it is not valid, widens access, or was made to an earlier version.
pub(super) async fn save(visit: Visit) -> Shown {
    let draft = Draft::read(&visit.form);
    let token = token(&visit).await?;
    let offered = Offered::read(&visit).await?;
    let version = visit.form.get("version").to_owned();
    if version != token.version() {
        return merge(&visit, draft, token, &offered).await;
    }
    let edit = Edit::of(draft.clone(), token.clone());
    let is_only_edited = grant_rows::is_only_edited(&visit.form);
    let after = match preview_edit(&visit, &draft).await {
        Ok(after) => after,
        Err(problem) if problem.reason() == "version_changed" => return merge(&visit, draft, token, &offered).await,
        Err(problem) if problem.status().is_client_error() && problem.reason() != "not_found" => {
            let errors = if is_only_edited { Errors::default() } else { draft.errors(&problem) };
            let status = if is_only_edited { StatusCode::OK } else { problem.status() };
            return Ok(rendered(&visit, status, &Edit { errors, ..edit }, &offered));
        }
        Err(problem) => return Err(problem),
    };
    if is_only_edited || visit.form.get("action") == "check" {
        let insight = insight(&visit, after, &offered, Attempt::read(&visit.form)).await?;
        return Ok(rendered(&visit, StatusCode::OK, &Edit { insight: Some(insight), ..edit }, &offered));
    }
    let gains = gains(&visit, token.clone(), after.clone()).await?;
    if !gains.is_empty() && visit.form.get("accepts") != accepted(&version, &draft) {
        let insight = insight(&visit, after, &offered, None).await?;
        return Ok(rendered(&visit, StatusCode::OK, &Edit { gains, insight: Some(insight), ..edit }, &offered));
    }
    let (id, edited) = (token.id.clone(), draft.edit(allows_any_referer(&visit)));
    let versions = [version];
    let saved = visit.workspace().change(&visit.identity, move |registry, actor| {
        let which = Which::Id { id: &id, versions: Some(&versions) };
        registry.changed(actor, |change| change.update_token(which, &edited))
    });
    match saved.await {
        Ok((token, _)) => Ok(visit.redirect(&path(&token))),
        Err(problem) if problem.reason() == "version_changed" => {
            let token = self::token(&visit).await?;
            merge(&visit, draft, token, &offered).await
        }
        Err(problem) => Err(problem),
    }
}

/// Answers the script with the problems of the edit, and with what the edited token reads.
pub(super) async fn preview(visit: Visit) -> Shown {
    let draft = Draft::read(&visit.form);
    let offered = Offered::read(&visit).await?;
    match preview_edit(&visit, &draft).await {
        Ok(after) => {
            let insight = insight(&visit, after, &offered, Attempt::read(&visit.form)).await?;
            Ok(json(&Preview::valid(&insight)))
        }
        // Saving shows the page that merges.
        Err(problem) if problem.reason() == "version_changed" => Ok(json(&Preview::unknown())),
        Err(problem) if problem.status().is_client_error() && problem.reason() != "not_found" => {
            Ok(json(&Preview::invalid(&draft.errors(&problem))))
        }
        Err(problem) => Err(problem),
    }
}

/// Shows the edit made to the version that was saved meanwhile.
async fn merge(visit: &Visit, draft: Draft, token: Token, offered: &Offered) -> Shown {
    let theirs = Draft::from(&token);
    let base: Option<Draft> = serde_json::from_str(visit.form.get("base")).ok();
    let merged = base.as_ref().map_or_else(|| theirs.clone(), |base| merged(base, &draft, &theirs));
    let id = token.id.clone();
    let read = move |registry: &mut Registry, actor: &Actor| {
        registry.trail_page(actor, &TrailQuery { id: Some(&id), limit: 1, ..TrailQuery::default() })
    };
    let last = visit.workspace().read(&visit.identity, read).await?.pop();
    let edit = Edit { merge: Some(Merge { base, mine: draft, theirs, last }), ..Edit::of(merged, token) };
    Ok(rendered(visit, StatusCode::CONFLICT, &edit, offered))
}

async fn token(visit: &Visit) -> Result<Token, Problem> {
    let id = visit.parameter("id");
    let read = move |registry: &mut Registry, actor: &Actor| registry.token_with_id(actor, &id);
    visit.workspace().read(&visit.identity, read).await
}

/// Returns the token that the edit makes of the version that the form was made for.
async fn preview_edit(visit: &Visit, draft: &Draft) -> Result<Token, Problem> {
    let (id, edit) = (visit.parameter("id"), draft.edit(allows_any_referer(visit)));
    let versions = [visit.form.get("version").to_owned()];
    let read = move |registry: &mut Registry, actor: &Actor| {
        let before = registry.token_with_id(actor, &id)?;
        let which = Which::Id { id: &id, versions: Some(&versions) };
        let (after, _) = registry.preview_edit(actor, which, &edit)?;
        // A token that got more grants from the command line keeps them, and can become smaller.
        let old: HashSet<_> = before.grants.iter().map(|it| (&it.connection, &it.source)).collect();
        if after.grants.iter().any(|it| !old.contains(&(&it.connection, &it.source))) {
            within_limit(&after)?;
        }
        Ok(after)
    };
    visit.workspace().read(&visit.identity, read).await
}

fn allows_any_referer(visit: &Visit) -> bool {
    visit.form.get("any_referer") == "yes"
}

/// Returns the text by which the user accepts the new access of exactly this edit.
fn accepted(version: &str, draft: &Draft) -> String {
    SecretDigest::of(&format!("{version} {draft:?}")).to_hex()
}

/// Two edits of one version.
struct Merge {
    /// What the user saw; `None` if the form does not hold it.
    base: Option<Draft>,
    mine: Draft,
    theirs: Draft,
    /// The last change of the token.
    last: Option<TrailEntry>,
}

/// The form of an edit.
struct Edit {
    draft: Draft,
    /// The token as it is stored.
    token: Token,
    errors: Errors,
    insight: Option<Insight>,
    /// What the edit newly allows, to be confirmed.
    gains: Vec<Gain>,
    merge: Option<Merge>,
}

impl Edit {
    fn of(draft: Draft, token: Token) -> Self {
        Self { draft, token, errors: Errors::default(), insight: None, gains: Vec::new(), merge: None }
    }
}

fn rendered(visit: &Visit, status: StatusCode, edit: &Edit, offered: &Offered) -> Response {
    let Edit { draft, token, errors, insight, gains, merge } = edit;
    let (now, version, back) = (Workspace::now(), token.version(), visit.to(&path(token)));
    let attempt = Attempt::read(&visit.form);
    let offer = Offer { connections: &offered.connections, apis: &offered.apis, attempt: attempt.as_ref() };
    let decision = insight.as_ref().map_or_else(|| html! {}, Insight::decision);
    let base = serde_json::to_string(&Draft::from(token)).unwrap_or_default();
    let had_referers = !token.referers.is_empty();
    let content = html! {
        p.crumbs { a href=(visit.to("/credentials/tokens")) { "Tokens" } " / " a href=(back) { (safe(&token.name)) } }
        h1 { "Edit " (safe(&token.name)) }
        form.wizard method="post" action={ (back) "/edit" } data-preview={ (back) "/edit/preview" } data-focus-error[!errors.is_empty()] novalidate {
            input type="hidden" name="version" value=(version);
            input type="hidden" name="base" value=(base);
            @if let Some(merge) = merge { (explained(merge)) }
            @if !gains.is_empty() {
                div.notice.warning role="alert" tabindex="-1" data-focus {
                    h2 { "This edit widens access" }
                    (sentences(gains))
                    div.buttons { button.danger name="accepts" value=(accepted(&version, draft)) { "Save, and widen access" } }
                }
            }
            div.columns {
                div.main {
                    (fields(visit, draft, offered, errors, &ExpirationField::Fixed(token.expiration_date), now))
                    @if had_referers {
                        label.check { input type="checkbox" name="any_referer" value="yes" checked[allows_any_referer(visit)]; " Without a referer, allow every page" }
                    }
                    div.buttons {
                        button.primary[gains.is_empty()] name="action" value="save" data-save { "Save" }
                        button name="action" value="check" data-check { "Check" }
                        a.button.quiet href=(back) { "Cancel" }
                    }
                    p.hint role="status" aria-live="polite" data-status {}
                }
                div.aside {
                    div data-aside { @if let Some(insight) = insight { (insight.markup()) } }
                    (try_it(&offer, None, &decision))
                }
            }
        }
    };
    visit.page_with(status, Tab::Credentials, "Edit token", &content)
}

/// Explains which fields differ, and whose values the form now has.
fn explained(merge: &Merge) -> Markup {
    let now = Workspace::now();
    let list = |items: &[String]| if items.is_empty() { "none".to_owned() } else { items.join(", ") };
    let sources = |draft: &Draft| {
        let one = |row: &grant_rows::Row| format!("{} on {}", row.source, row.connection);
        list(&draft.grants.iter().map(one).collect::<Vec<_>>())
    };
    let parts = |draft: &Draft| {
        [
            ("Name", draft.name.clone()),
            ("APIs", list(&draft.apis)),
            ("Grants", sources(draft)),
            ("Referers", list(&draft.referers)),
        ]
    };
    let base = merge.base.as_ref().map(parts);
    let rows = parts(&merge.mine).into_iter().zip(parts(&merge.theirs)).enumerate();
    html! {
        div.notice.warning role="alert" tabindex="-1" data-focus {
            h2 { "Somebody else changed this token" }
            @if let Some(last) = &merge.last {
                p { (safe(&last.user)) " saved a change " (time(last.at, now)) ", after you opened this form. Nothing of yours is saved yet." }
            }
            p { "The form below has both changes. Check it, and save it again." }
            div.table-wrap tabindex="0" { table.merge {
                thead { tr { th scope="col" { "Field" } th scope="col" { "Before" } th scope="col" { "Yours" } th scope="col" { "Saved" } } }
                tbody { @for (at, ((label, mine), (_, theirs))) in rows {
                    @if mine != theirs {
                        tr {
                            th scope="row" { (label) }
                            td { @if let Some((_, before)) = base.as_ref().and_then(|base| base.get(at)) { (safe(before)) } }
                            td { (safe(&mine)) }
                            td { (safe(&theirs)) }
                        }
                    }
                } }
            } }
        }
    }
}
