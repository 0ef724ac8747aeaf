//! Named sources: list, creation, edits and deletion.

use std::sync::Arc;

use axum::Router;
use axum::response::Response;
use http::StatusCode;
use maud::html;
use portcullis_registry::record::{Connection, NamedSource, Role};
use portcullis_registry::{Actor, NamedSourceEdit, Registry};

use super::failure::notice;
use super::field_errors::Errors;
use super::layout::Tab;
use super::visit::{Console, Shown, Visit, show, submit};
use super::words::{safe, short};
use crate::api::segment;
use crate::problem::{Detail, Problem};

/// The number of named sources on a page.
const PAGE: usize = 50;

pub(super) fn router(console: &Arc<Console>) -> Router {
    Router::new()
        .route("/sources", show(console, list))
        .route("/sources/new", show(console, new).merge(submit(console, create)))
        .route("/sources/{name}/edit", show(console, form).merge(submit(console, save)))
        .route("/sources/{name}/delete", show(console, ask).merge(submit(console, delete)))
}

async fn list(visit: Visit) -> Shown {
    let mut sources = visit.workspace().read(&visit.identity, |registry, _| registry.named_sources()).await?;
    let search = visit.query.get("search").trim().to_lowercase();
    let contains = |text: &str| text.to_lowercase().contains(&search);
    sources.retain(|source| contains(&source.name) || contains(&source.query));
    let after = visit.query.get("after");
    let total = sources.len();
    sources.retain(|source| after.is_empty() || &*source.name > after);
    let has_more = sources.len() > PAGE;
    sources.truncate(PAGE);
    let next = sources.last().filter(|_| has_more).map(|last| {
        let query = visit.query.query_without(&["after"]);
        format!("?{query}{}after={}", if query.is_empty() { "" } else { "&" }, segment(&last.name))
    });
    let may_change = visit.identity.role != Role::Auditor;
    let content = html! {
        div.heading {
            h1 { "Named sources" }
            @if may_change { div.actions { a.button.primary href=(visit.to("/sources/new")) { "Create named source" } } }
        }
        p.lead { "Stored queries. A token with a grant on one runs exactly this SQL, and nothing else." }
        form.filters method="get" role="search" {
            div.field.grow { label for="search" { "Search" } input #search type="search" name="search" value=(visit.query.get("search")) maxlength="200"; }
            button { "Search" }
        }
        @if total == 0 {
            div.empty { h2 { @if search.is_empty() { "No named sources yet" } @else { "No named source matches" } } }
        } @else {
            div.table-wrap { table.list {
                caption.hidden { "Named sources" }
                thead { tr { th scope="col" { "Name" } th scope="col" { "Connection" } th scope="col" { "SQL" } th scope="col" { span.hidden { "Actions" } } } }
                tbody { @for source in &sources { tr {
                    th scope="row" data-label="Name" { b { (safe(&source.name)) } }
                    td data-label="Connection" { @match &source.connection { Some(connection) => { (safe(connection)) } None => { span.soft { "Every connection" } } } }
                    td data-label="SQL" { code { (short(&source.query)) } }
                    td.row-actions { @if may_change {
                        a href={ (visit.to(&path(&source.name))) "/edit" } aria-label={ "Edit " (safe(&source.name)) } { "Edit" } " "
                        a.danger href={ (visit.to(&path(&source.name))) "/delete" } aria-label={ "Delete " (safe(&source.name)) } { "Delete" }
                    } }
                } } }
            } }
            nav.pages aria-label="Pages" { @if let Some(next) = next { a.button.small href=(next) rel="next" { "Next page" } } }
        }
    };
    Ok(visit.page(Tab::NamedSources, "Named sources", &content))
}

fn path(name: &str) -> String {
    format!("/sources/{}", segment(name))
}

/// What the user has filled in.
#[derive(Default)]
struct Draft {
    name: String,
    connection: String,
    query: String,
}

impl Draft {
    fn read(visit: &Visit) -> Self {
        let field = |name: &str| visit.form.get(name).trim().to_owned();
        Self { name: field("name"), connection: field("connection"), query: field("query") }
    }

    fn connection(&self) -> Option<String> {
        Some(self.connection.clone()).filter(|connection| !connection.is_empty())
    }
}

/// The named source that a form edits; `None` for a new one.
type Edited<'a> = Option<(&'a str, String)>;

async fn new(visit: Visit) -> Shown {
    rendered(&visit, StatusCode::OK, &Draft::default(), None, &[]).await
}

async fn create(visit: Visit) -> Shown {
    let draft = Draft::read(&visit);
    let (name, query, connection) = (draft.name.clone(), draft.query.clone(), draft.connection());
    let created = visit.workspace().change(&visit.identity, move |registry, actor| {
        registry.changed(actor, |change| change.create_named_source(&name, &query, connection.as_deref()))
    });
    match created.await {
        Ok(_) => Ok(visit.redirect("/sources")),
        Err(problem) if is_of_the_form(&problem) => {
            rendered(&visit, problem.status(), &draft, None, problem.details()).await
        }
        Err(problem) => Err(problem),
    }
}

async fn stored(visit: &Visit) -> Result<NamedSource, Problem> {
    let name = visit.parameter("name");
    visit.workspace().read(&visit.identity, move |registry, _| registry.named_source_with_name(&name)).await
}

async fn form(visit: Visit) -> Shown {
    let source = stored(&visit).await?;
    let draft = Draft {
        name: source.name.clone(),
        connection: source.connection.clone().unwrap_or_default(),
        query: source.query.clone(),
    };
    rendered(&visit, StatusCode::OK, &draft, Some((&source.name, source.version())), &[]).await
}

async fn save(visit: Visit) -> Shown {
    let (name, draft) = (visit.parameter("name"), Draft::read(&visit));
    let edit = NamedSourceEdit { query: Some(draft.query.clone()), connection: Some(draft.connection()) };
    let (versions, edited) = ([visit.form.get("version").to_owned()], name.clone());
    let saved = visit.workspace().change(&visit.identity, move |registry, actor| {
        registry.changed(actor, |change| change.update_named_source(&edited, Some(&versions), &edit))
    });
    match saved.await {
        Ok(_) => Ok(visit.redirect("/sources")),
        Err(problem) if problem.reason() == "version_changed" => {
            let source = stored(&visit).await?;
            let message =
                format!("somebody else saved this named source meanwhile: its SQL is `{}`", short(&source.query));
            let help = "nothing of yours is saved yet: check the form, and save it again";
            let detail = Detail::new("", "version_changed", message, help);
            rendered(&visit, problem.status(), &draft, Some((&source.name, source.version())), &[detail]).await
        }
        Err(problem) if is_of_the_form(&problem) => {
            let version = visit.form.get("version").to_owned();
            rendered(&visit, problem.status(), &draft, Some((&name, version)), problem.details()).await
        }
        Err(problem) => Err(problem),
    }
}

/// Whether the form shows the problem, instead of a page of its own.
fn is_of_the_form(problem: &Problem) -> bool {
    let is_other = matches!(problem.reason(), "read_only" | "not_found" | "unknown_named_source");
    problem.status().is_client_error() && !is_other
}

async fn rendered(visit: &Visit, status: StatusCode, draft: &Draft, edited: Edited<'_>, problems: &[Detail]) -> Shown {
    let connections: Vec<Connection> =
        visit.workspace().read(&visit.identity, |registry: &mut Registry, _: &Actor| registry.connections()).await?;
    let mut errors = Errors::default();
    let mut others = Vec::new();
    for detail in problems {
        match detail.pointer.as_str() {
            "/name" | "/query" => {
                errors.add(detail.pointer.trim_start_matches('/'), super::words::sentence(&detail.message));
            }
            _ => others.push(detail.clone()),
        }
    }
    let title = if edited.is_some() { "Edit named source" } else { "Create named source" };
    let action = edited.as_ref().map_or("/sources/new".to_owned(), |(name, _)| format!("{}/edit", path(name)));
    let content = html! {
        p.crumbs { a href=(visit.to("/sources")) { "Named sources" } }
        h1 { (title) }
        @if !others.is_empty() { (notice(&others)) }
        form.narrow.spaced method="post" action=(visit.to(&action)) data-focus-error[!errors.is_empty()] novalidate {
            @match &edited {
                Some((name, version)) => {
                    input type="hidden" name="version" value=(version);
                    p.lead { code { (safe(name)) } }
                }
                None => {
                    div.field {
                        label for="name" { "Name" }
                        input #name name="name" type="text" value=(draft.name) required autocomplete="off" spellcheck="false" aria-describedby="name-hint name-error" aria-invalid=[errors.has("name").then_some("true")];
                        p.hint #name-hint { "3 to 51 lower-case letters, digits, " code { "-" } " and " code { "_" } "." }
                        (errors.slot("name"))
                    }
                }
            }
            div.field {
                label for="connection" { "Connection" }
                select #connection name="connection" {
                    option value="" { "Every connection" }
                    @for connection in &connections { option value=(connection.name) selected[connection.name == draft.connection] { (safe(&connection.name)) } }
                }
            }
            div.field {
                label for="query" { "SQL" }
                textarea #query name="query" rows="6" spellcheck="false" autocapitalize="off" aria-describedby="query-error" aria-invalid=[errors.has("query").then_some("true")] { "\n" (draft.query) }
                (errors.slot("query"))
            }
            div.buttons { button.primary { "Save" } a.button.quiet href=(visit.to("/sources")) { "Cancel" } }
        }
    };
    Ok(visit.page_with(status, Tab::NamedSources, title, &content))
}

async fn ask(visit: Visit) -> Shown {
    let source = stored(&visit).await?;
    Ok(question(&visit, StatusCode::OK, &source, &[]))
}

fn question(visit: &Visit, status: StatusCode, source: &NamedSource, problems: &[Detail]) -> Response {
    let content = html! {
        p.crumbs { a href=(visit.to("/sources")) { "Named sources" } }
        h1 { "Delete " (safe(&source.name)) "?" }
        @if !problems.is_empty() { (notice(problems)) }
        p.lead { "Only a named source that no token is granted can be deleted." }
        section.card.narrow { code { (safe(&source.query)) } }
        form.narrow method="post" action={ (visit.to(&path(&source.name))) "/delete" } {
            input type="hidden" name="version" value=(source.version());
            div.buttons { button.danger { "Delete named source" } a.button.quiet href=(visit.to("/sources")) { "Keep it" } }
        }
    };
    visit.page_with(status, Tab::NamedSources, "Delete named source", &content)
}

async fn delete(visit: Visit) -> Shown {
    let (name, versions) = (visit.parameter("name"), [visit.form.get("version").to_owned()]);
    let deleted = visit.workspace().change(&visit.identity, move |registry, actor| {
        registry.changed(actor, |change| change.delete_named_source(&name, Some(&versions)))
    });
    match deleted.await {
        Ok(_) => Ok(visit.redirect("/sources")),
        Err(problem) if is_of_the_form(&problem) => {
            let source = stored(&visit).await?;
            let fix = |detail: &Detail| Detail { help: "remove these grants first".to_owned(), ..detail.clone() };
            let details: Vec<Detail> = problem.details().iter().map(fix).collect();
            Ok(question(&visit, problem.status(), &source, &details))
        }
        Err(problem) => Err(problem),
    }
}
