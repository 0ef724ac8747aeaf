//! The connections, and the source picker over their catalog.

use std::sync::Arc;

use axum::Router;
use maud::{Markup, html};
use serde::Serialize;

use super::catalog::{Branch, Names};
use super::connection_forms::{may_change, path};
use super::layout::Tab;
use super::respond::json;
use super::visit::{Console, Shown, Visit, show};
use super::words::{counted, grouped, safe, short};
use crate::catalog::Catalog;
use crate::problem::Problem;
use crate::service::Workspace;
use portcullis_registry::record::Connection;
use url::form_urlencoded;

/// The number of names and steps that a page shows.
const SHOWN: usize = 100;

pub(super) fn router(console: &Arc<Console>) -> Router {
    Router::new()
        .route("/connections", show(console, page))
        .route("/catalog", show(console, picker))
        .route("/catalog/search", show(console, search))
}

async fn known(visit: &Visit) -> Result<Vec<Connection>, Problem> {
    visit.workspace().read(&visit.identity, |registry, _| registry.connections()).await
}

/// Returns the names of a connection; `None` if the registry does not have it.
fn names<'v>(catalog: &'v Catalog, connections: &'v [Connection], name: &str) -> Option<Names<'v>> {
    let connection = connections.iter().find(|connection| connection.name == name)?;
    Some(Names::new(catalog, &connection.name, connection.dialect))
}

/// Returns why the names of the catalog may not be those that exist.
pub(super) fn doubt(workspace: &Workspace) -> Option<String> {
    let since = workspace.catalog_failing_since()?;
    let known = if workspace.catalog().is_empty() {
        "Which names exist is unknown."
    } else {
        "The names are those that were read before."
    };
    Some(format!("The catalog cannot be read since {since}. {known} The log of the workspace has the reason."))
}

/// Renders the doubt, if there is one.
fn notice(workspace: &Workspace) -> Markup {
    html! { @if let Some(doubt) = doubt(workspace) { p.notice.warning role="status" { (doubt) } } }
}

/// Lists the connections.
async fn page(visit: Visit) -> Shown {
    let connections = known(&visit).await?;
    let (catalog, may_change) = (visit.workspace().catalog(), may_change(&visit));
    let is_unknown = catalog.is_empty() && visit.workspace().catalog_failing_since().is_some();
    let count = |connection: &Connection| (!catalog.is_empty()).then(|| catalog.range(&connection.name).len() as u64);
    let is_known = |name: &&String| connections.iter().any(|connection| connection.name == **name);
    let unknown: Vec<&String> = catalog.connections().iter().filter(|name| !is_known(name)).collect();
    let content = html! {
        div.heading {
            h1 { "Connections" }
            @if may_change { div.actions { a.button.primary href=(visit.to("/connections/new")) { "Add connection" } } }
        }
        p.lead { "The warehouses on which tokens have grants. All users share them, and administrators change them." }
        (notice(visit.workspace()))
        @if connections.is_empty() {
            div.empty { h2 { "No connections yet" } p { code { "portcullis connections add carto_dw --dialect bigquery" } } }
        } @else {
            div.table-wrap { table.list {
                caption.hidden { "Connections" }
                thead { tr { th scope="col" { "Name" } th scope="col" { "Dialect" } th scope="col" { "Queries" } th scope="col" { "Catalog" } @if may_change { th scope="col" { span.hidden { "Actions" } } } } }
                tbody { @for connection in &connections { tr {
                    th scope="row" data-label="Name" { b { (safe(&connection.name)) } }
                    td data-label="Dialect" { (connection.dialect.as_str()) @if connection.dialect.is_case_sensitive() { span.soft { ", case-sensitive" } } }
                    td data-label="Queries" { @if connection.named_sources_only { "Named sources only" } @else { "As granted" } }
                    td data-label="Catalog" { @match count(connection) {
                        Some(0) => { span.soft { "No names" } }
                        Some(count) => { a href={ (visit.to("/catalog")) "?connection=" (crate::api::segment(&connection.name)) } { (counted(count, "name")) } }
                        None if is_unknown => { span.soft { "Unknown" } }
                        None => { span.soft { "Not given" } }
                    } }
                    @if may_change { td.row-actions {
                        a href={ (visit.to(&path(&connection.name))) "/edit" } aria-label={ "Edit " (safe(&connection.name)) } { "Edit" } " "
                        a.danger href={ (visit.to(&path(&connection.name))) "/delete" } aria-label={ "Delete " (safe(&connection.name)) } { "Delete" }
                    } }
                } } }
            } }
        }
        @for name in unknown { p.soft { "The catalog also has " (counted(catalog.range(name).len() as u64, "name")) " on " code { (short(name)) } ", which is not a connection of the registry." } }
    };
    Ok(visit.page(Tab::Connections, "Connections", &content))
}

/// What the user looks for in the catalog.
struct Wanted {
    connection: String,
    text: String,
    path: String,
    after: Option<String>,
}

impl Wanted {
    fn read(visit: &Visit, connections: &[Connection]) -> Self {
        let first = connections.first().map(|connection| connection.name.clone()).unwrap_or_default();
        Self {
            connection: visit.query.filled("connection").map_or(first, ToOwned::to_owned),
            text: visit.query.get("q").trim().to_owned(),
            path: visit.query.get("path").to_owned(),
            after: visit.query.filled("after").map(ToOwned::to_owned),
        }
    }
}

/// What the picker found.
#[derive(Default, Serialize)]
struct Found<'n> {
    /// The names that contain the text.
    names: Vec<&'n str>,
    /// Without a text, the steps of the tree.
    steps: Vec<Branch>,
    /// The step after which more follow.
    more: Option<String>,
    /// Why these may not be the names that exist.
    doubt: Option<String>,
}

fn find<'n>(names: Option<Names<'n>>, wanted: &Wanted) -> Found<'n> {
    let Some(names) = names else { return Found::default() };
    if !wanted.text.is_empty() {
        return Found { names: names.search(&wanted.text, SHOWN), ..Found::default() };
    }
    let mut steps = names.below(&wanted.path, wanted.after.as_deref(), SHOWN + 1);
    let has_more = steps.len() > SHOWN;
    steps.truncate(SHOWN);
    let more = steps.last().filter(|_| has_more).map(|last| last.path.clone());
    Found { steps, more, ..Found::default() }
}

/// Answers the script of the picker.
async fn search(visit: Visit) -> Shown {
    let connections = known(&visit).await?;
    let wanted = Wanted::read(&visit, &connections);
    let catalog = visit.workspace().catalog();
    let found = find(names(&catalog, &connections, &wanted.connection), &wanted);
    Ok(json(&Found { doubt: doubt(visit.workspace()), ..found }))
}

/// Shows the catalog as a tree, and searches it.
async fn picker(visit: Visit) -> Shown {
    let connections = known(&visit).await?;
    let wanted = Wanted::read(&visit, &connections);
    let catalog = visit.workspace().catalog();
    let found = find(names(&catalog, &connections, &wanted.connection), &wanted);
    let has_catalog = !catalog.is_empty();
    let is_given = has_catalog || visit.workspace().catalog_failing_since().is_some();
    let link = |path: &str, after: Option<&str>| {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("connection", &wanted.connection).append_pair("path", path);
        if let Some(after) = after {
            query.append_pair("after", after);
        }
        format!("?{}", query.finish())
    };
    let parent =
        wanted.path.trim_end_matches('.').rsplit_once('.').map_or(String::new(), |(parent, _)| format!("{parent}."));
    let content = html! {
        p.crumbs { a href=(visit.to("/connections")) { "Connections" } }
        h1 { "Catalog" }
        form.filters method="get" role="search" {
            div.field { label for="connection" { "Connection" } select #connection name="connection" {
                @for connection in &connections { option value=(connection.name) selected[connection.name == wanted.connection] { (safe(&connection.name)) } }
            } }
            div.field.grow { label for="q" { "Search" } input #q name="q" type="search" value=(wanted.text) maxlength="500" placeholder="roads"; }
            button { "Search" }
        }
        (notice(visit.workspace()))
        @if !is_given { p.soft { "Start the workspace with " code { "--catalog FILE" } " to browse the names of your warehouse." } }
        @if !wanted.path.is_empty() && wanted.text.is_empty() { p { a href=(link(&parent, None)) { "Up" } " " code { (safe(&wanted.path)) } } }
        @if found.names.is_empty() && found.steps.is_empty() && has_catalog { div.empty { h2 { "No name matches" } } }
        ul.tree {
            @for name in &found.names { li { code { (safe(name)) } } }
            @for step in &found.steps { li {
                @if step.names > 0 { a href=(link(&step.path, None)) { (safe(&step.label)) } " " span.soft { (grouped(step.names)) } }
                @else { code { (safe(&step.label)) } }
            } }
        }
        @if let Some(more) = &found.more { p { a.button.small href=(link(&wanted.path, Some(more))) { "More" } } }
    };
    Ok(visit.page(Tab::Connections, "Catalog", &content))
}
