//! Forms that add, change and delete connections. Connections are shared, so only administrators change them.

use std::sync::Arc;

use axum::Router;
use axum::response::Response;
use http::StatusCode;
use maud::{Markup, html};
use portcullis::name::Dialect;
use portcullis_registry::ConnectionEdit;
use portcullis_registry::record::{Connection, Role};

use super::failure::notice;
use super::layout::Tab;
use super::visit::{Console, Shown, Visit, show, submit};
use super::words::safe;
use crate::api::segment;
use crate::problem::{Detail, Problem};

pub(super) fn router(console: &Arc<Console>) -> Router {
    Router::new()
        .route("/connections/new", show(console, new).merge(submit(console, create)))
        .route("/connections/{name}/edit", show(console, form).merge(submit(console, save)))
        .route("/connections/{name}/delete", show(console, ask).merge(submit(console, delete)))
}

/// Whether the user may change connections.
pub(super) fn may_change(visit: &Visit) -> bool {
    visit.identity.role == Role::Administrator
}

/// Returns the path of a connection.
pub(super) fn path(name: &str) -> String {
    format!("/connections/{}", segment(name))
}

fn check_role(visit: &Visit) -> Result<(), Problem> {
    if may_change(visit) {
        return Ok(());
    }
    let message = "only administrators change connections, which all users share";
    Err(Problem::new(StatusCode::FORBIDDEN, "role_needed", message, "ask an administrator"))
}

/// What the user has filled in.
struct Draft {
    name: String,
    dialect: String,
    is_case_sensitive: bool,
    has_named_sources_only: bool,
}

impl Draft {
    fn read(visit: &Visit) -> Self {
        Self {
            name: visit.form.get("name").trim().to_owned(),
            dialect: visit.form.get("dialect").to_owned(),
            is_case_sensitive: visit.form.filled("case_sensitive").is_some(),
            has_named_sources_only: visit.form.filled("named_sources_only").is_some(),
        }
    }

    fn of(connection: &Connection) -> Self {
        Self {
            name: connection.name.clone(),
            dialect: connection.dialect.as_str().to_owned(),
            is_case_sensitive: connection.dialect.is_case_sensitive(),
            has_named_sources_only: connection.named_sources_only,
        }
    }

    /// Whether quoted names keep their case; `None` for a dialect that has no choice, unless the box is checked.
    fn case_sensitive(&self) -> Option<bool> {
        let has_choice =
            self.dialect.parse::<Dialect>().is_ok_and(|dialect| dialect.with_case_sensitive(true).is_some());
        (has_choice || self.is_case_sensitive).then_some(self.is_case_sensitive)
    }
}

async fn new(visit: Visit) -> Shown {
    check_role(&visit)?;
    let draft =
        Draft { name: String::new(), dialect: String::new(), is_case_sensitive: false, has_named_sources_only: false };
    Ok(rendered(&visit, StatusCode::OK, &draft, None, &[]))
}

async fn create(visit: Visit) -> Shown {
    check_role(&visit)?;
    let draft = Draft::read(&visit);
    let (name, dialect) = (draft.name.clone(), draft.dialect.clone());
    let (case_sensitive, named_sources_only) = (draft.case_sensitive(), draft.has_named_sources_only);
    let created = visit.workspace().change(&visit.identity, move |registry, actor| {
        registry.add_connection(actor, &name, &dialect, case_sensitive, named_sources_only)
    });
    match created.await {
        Ok(_) => Ok(visit.redirect("/connections")),
        Err(problem) if is_of_the_form(&problem) => {
            Ok(rendered(&visit, problem.status(), &draft, None, problem.details()))
        }
        Err(problem) => Err(problem),
    }
}

fn is_of_the_form(problem: &Problem) -> bool {
    problem.status().is_client_error() && !matches!(problem.reason(), "read_only" | "not_found" | "unknown_connection")
}

async fn stored(visit: &Visit) -> Result<Connection, Problem> {
    let name = visit.parameter("name");
    visit.workspace().read(&visit.identity, move |registry, _| registry.connection_with_name(&name)).await
}

async fn form(visit: Visit) -> Shown {
    check_role(&visit)?;
    let connection = stored(&visit).await?;
    Ok(rendered(&visit, StatusCode::OK, &Draft::of(&connection), Some(&connection), &[]))
}

async fn save(visit: Visit) -> Shown {
    check_role(&visit)?;
    let (connection, draft) = (stored(&visit).await?, Draft::read(&visit));
    let edit = ConnectionEdit {
        dialect: Some(draft.dialect.clone()),
        case_sensitive: draft.case_sensitive(),
        named_sources_only: Some(draft.has_named_sources_only),
    };
    let (name, versions) = (connection.name.clone(), [visit.form.get("version").to_owned()]);
    let saved = visit.workspace().change(&visit.identity, move |registry, actor| {
        registry.changed(actor, |change| change.update_connection(&name, Some(&versions), &edit))
    });
    match saved.await {
        Ok(_) => Ok(visit.redirect("/connections")),
        Err(problem) if problem.reason() == "version_changed" => {
            let message = "somebody else changed this connection meanwhile, and nothing of yours is saved";
            let help = "the form now shows the connection as it is: make your change again";
            let problems = [Detail::new("", "version_changed", message, help)];
            Ok(rendered(&visit, problem.status(), &Draft::of(&connection), Some(&connection), &problems))
        }
        Err(problem) if is_of_the_form(&problem) => {
            Ok(rendered(&visit, problem.status(), &draft, Some(&connection), problem.details()))
        }
        Err(problem) => Err(problem),
    }
}

fn rendered(
    visit: &Visit,
    status: StatusCode,
    draft: &Draft,
    edited: Option<&Connection>,
    problems: &[Detail],
) -> Response {
    let title = if edited.is_some() { "Edit connection" } else { "Add connection" };
    let action = edited.map_or("/connections/new".to_owned(), |connection| format!("{}/edit", path(&connection.name)));
    let content = html! {
        (crumbs(visit))
        h1 { (title) }
        @if !problems.is_empty() { (notice(problems)) }
        form.narrow.spaced method="post" action=(visit.to(&action)) novalidate {
            @match edited {
                Some(connection) => {
                    input type="hidden" name="version" value=(connection.version());
                    p.lead { code { (safe(&connection.name)) } }
                }
                None => {
                    div.field {
                        label for="name" { "Name" }
                        input #name name="name" type="text" value=(draft.name) required maxlength="255" autocomplete="off" spellcheck="false" aria-describedby="name-hint" placeholder="carto_dw";
                        p.hint #name-hint { "The name that grants use. It cannot be changed later." }
                    }
                }
            }
            div.field {
                label for="dialect" { "Dialect" }
                select #dialect name="dialect" {
                    @for dialect in Dialect::NAMES { option value=(dialect) selected[*dialect == *draft.dialect] { (dialect) } }
                }
                @if edited.is_some() { p.hint { "Every grant on the connection must fit the dialect. In another dialect, a pattern may cover other names." } }
            }
            fieldset.choices { legend { "Rules" }
                div.chips {
                    label.chip { input type="checkbox" name="named_sources_only" value="yes" checked[draft.has_named_sources_only]; span { "Named sources only" } }
                    label.chip { input type="checkbox" name="case_sensitive" value="yes" checked[draft.is_case_sensitive]; span { "Case-sensitive" } }
                }
                p.hint { "Named sources only: queries are denied, whatever the grants. Case-sensitive: quoted names keep their case; only " code { "redshift" } " has this choice." }
            }
            div.buttons { button.primary { @if edited.is_some() { "Save" } @else { "Add connection" } } a.button.quiet href=(visit.to("/connections")) { "Cancel" } }
        }
    };
    visit.page_with(status, Tab::Connections, title, &content)
}

fn crumbs(visit: &Visit) -> Markup {
    html! { p.crumbs { a href=(visit.to("/connections")) { "Connections" } } }
}

async fn ask(visit: Visit) -> Shown {
    check_role(&visit)?;
    let connection = stored(&visit).await?;
    Ok(question(&visit, StatusCode::OK, &connection, &[]))
}

fn question(visit: &Visit, status: StatusCode, connection: &Connection, problems: &[Detail]) -> Response {
    let content = html! {
        (crumbs(visit))
        h1 { "Delete " (safe(&connection.name)) "?" }
        @if !problems.is_empty() { (notice(problems)) }
        p.lead { "A connection is deleted only if no grant and no named source uses it." }
        form.narrow method="post" action={ (visit.to(&path(&connection.name))) "/delete" } {
            input type="hidden" name="version" value=(connection.version());
            div.buttons { button.danger { "Delete connection" } a.button.quiet href=(visit.to("/connections")) { "Keep it" } }
        }
    };
    visit.page_with(status, Tab::Connections, "Delete connection", &content)
}

async fn delete(visit: Visit) -> Shown {
    check_role(&visit)?;
    let (name, versions) = (visit.parameter("name"), [visit.form.get("version").to_owned()]);
    let deleted = visit.workspace().change(&visit.identity, move |registry, actor| {
        registry.connection_with_name(&name)?;
        registry.changed(actor, |change| change.delete_connection(&name, Some(&versions)))
    });
    match deleted.await {
        Ok(_) => Ok(visit.redirect("/connections")),
        Err(problem) if is_of_the_form(&problem) => {
            let connection = stored(&visit).await?;
            Ok(question(&visit, problem.status(), &connection, problem.details()))
        }
        Err(problem) => Err(problem),
    }
}
