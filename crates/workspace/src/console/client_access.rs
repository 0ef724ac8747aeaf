//! The form of what the access tokens of a machine may read: its APIs and grants.

use std::sync::Arc;

use axum::Router;
use axum::response::Response;
use http::StatusCode;
use maud::html;
use portcullis_registry::record::{Client, ClientKind};
use portcullis_registry::{Actor, ClientEdit, Registry};

use super::field_errors::Errors;
use super::grant_rows::{self, Choices, Row};
use super::layout::Tab;
use super::offered::Offered;
use super::visit::{Console, Shown, Visit, show, submit};
use super::words::safe;
use crate::api::segment;
use crate::problem::{Detail, Problem};

const BACK: &str = "/credentials/m2m";

pub(super) fn router(console: &Arc<Console>) -> Router {
    Router::new().route("/credentials/m2m/{id}/access", show(console, form).merge(submit(console, save)))
}

/// What the user has filled in.
#[derive(Default)]
struct Draft {
    apis: Vec<String>,
    rows: Vec<Row>,
}

impl Draft {
    fn of(client: &Client) -> Self {
        Self { apis: client.allowed_apis.clone(), rows: client.grants.iter().map(Row::from).collect() }
    }

    /// Returns the rows that are not blank, with their positions.
    fn filled(&self) -> impl Iterator<Item = (usize, &Row)> {
        self.rows.iter().enumerate().filter(|(_, row)| !row.is_blank())
    }
}

async fn stored(visit: &Visit) -> Result<Client, Problem> {
    let id = visit.parameter("id");
    let read = move |registry: &mut Registry, actor: &Actor| registry.client_with_id(actor, &id);
    let client = visit.workspace().read(&visit.identity, read).await?;
    if client.kind == ClientKind::M2m {
        return Ok(client);
    }
    let message = "a single-page application has no grants of its own";
    Err(Problem::new(StatusCode::NOT_FOUND, "not_found", message, "open a machine from the list"))
}

async fn form(visit: Visit) -> Shown {
    let client = stored(&visit).await?;
    let offered = Offered::read(&visit).await?;
    Ok(rendered(&visit, StatusCode::OK, &client, &client.version(), &Draft::of(&client), &offered, &Errors::default()))
}

async fn save(visit: Visit) -> Shown {
    let (client, offered) = (stored(&visit).await?, Offered::read(&visit).await?);
    let apis = visit.form.all("api").map(ToOwned::to_owned).collect();
    let draft = Draft { apis, rows: grant_rows::read_edited(&visit.form) };
    let version = visit.form.get("version").to_owned();
    if grant_rows::is_only_edited(&visit.form) {
        return Ok(rendered(&visit, StatusCode::OK, &client, &version, &draft, &offered, &Errors::default()));
    }
    let edit = ClientEdit {
        apis: Some(draft.apis.clone()),
        grants: Some(draft.filled().map(|(_, row)| row.typed()).collect()),
        ..ClientEdit::default()
    };
    let (id, versions) = (client.id.clone(), [version.clone()]);
    let saved = visit.workspace().change(&visit.identity, move |registry, actor| {
        registry.changed(actor, |change| change.update_client(&id, Some(&versions), &edit))
    });
    let Err(problem) = saved.await else { return Ok(visit.redirect(BACK)) };
    if problem.reason() == "version_changed" {
        let mut errors = Errors::default();
        errors.add("form", "Somebody else changed this client meanwhile, and nothing of yours is saved. The form now shows the client as it is: make your change again.");
        return Ok(rendered(
            &visit,
            problem.status(),
            &client,
            &client.version(),
            &Draft::of(&client),
            &offered,
            &errors,
        ));
    }
    if !problem.status().is_client_error() || matches!(problem.reason(), "read_only" | "not_found") {
        return Err(problem);
    }
    let details: Vec<_> = problem.details().iter().map(in_form).collect();
    let errors = Errors::of(&details, &draft.filled().map(|(at, _)| at).collect::<Vec<_>>());
    Ok(rendered(&visit, problem.status(), &client, &version, &draft, &offered, &errors))
}

/// Returns what the registry advises for the API and the command line, in the words of the form.
fn in_form(detail: &Detail) -> Detail {
    let help = match &*detail.reason {
        "grants_empty" => "add a grant, or remove the APIs; only the API `lds` needs none",
        "apis_empty" => "choose one or more APIs, or remove the grants",
        "unknown_connection" => "choose one of the connections",
        "unknown_named_source" => "the page `Named sources` lists them",
        _ => return detail.clone(),
    };
    Detail { help: help.to_owned(), ..detail.clone() }
}

fn rendered(
    visit: &Visit,
    status: StatusCode,
    client: &Client,
    version: &str,
    draft: &Draft,
    offered: &Offered,
    errors: &Errors,
) -> Response {
    let picker = (!visit.workspace().catalog().is_empty()).then(|| visit.to("/catalog"));
    let choices =
        Choices { connections: &offered.connections, named_sources: &offered.named_sources, picker: picker.as_deref() };
    let content = html! {
        p.crumbs { a href=(visit.to(BACK)) { "M2M OAuth clients" } }
        h1 { "What " (safe(&client.title)) " may read" }
        p.lead { "The access tokens of the machine decide requests with these APIs and grants. Without any, they only manage credentials." }
        form.narrow.spaced method="post" action={ (visit.to(BACK)) "/" (segment(&client.id)) "/access" } data-focus-error[!errors.is_empty()] novalidate {
            input type="hidden" name="version" value=(version);
            div.form-error { (errors.slot("form")) }
            fieldset.choices aria-describedby="apis-error" {
                legend { "APIs" }
                div.chips {
                    @for api in &offered.apis {
                        label.chip { input type="checkbox" name="api" value=(api) checked[draft.apis.contains(api)]; span { (safe(api)) } }
                    }
                    @for api in draft.apis.iter().filter(|api| !offered.apis.contains(api)) {
                        label.chip { input type="checkbox" name="api" value=(api) checked; span { (safe(api)) } }
                    }
                }
                (errors.slot("apis"))
            }
            (grant_rows::fields(&draft.rows, &choices, errors))
            p.hint { "Access tokens that exist already keep the grants that they were issued with, for at most " (visit.workspace().access_lifetime() / 60) " minutes." }
            div.buttons { button.primary name="action" value="save" { "Save" } a.button.quiet href=(visit.to(BACK)) { "Cancel" } }
        }
    };
    visit.page_with(status, Tab::Credentials, "What a machine may read", &content)
}
