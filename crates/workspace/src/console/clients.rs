//! OAuth clients: single-page applications and machines.

use std::sync::Arc;

use axum::Router;
use axum::response::Response;
use http::StatusCode;
use maud::{Markup, html};
use portcullis_registry::record::{Client, ClientKind, Role, Urls};
use portcullis_registry::{Actor, ClientEdit, Registry, SCOPES, default_scopes};

use super::client_access::{Access, in_form};
use super::copy_once::{self, Kept};
use super::failure::notice;
use super::form::Form;
use super::grant_rows::is_only_edited;
use super::layout::Tab;
use super::offered::Offered;
use super::tabs::{Kind, tabs};
use super::visit::{Console, Shown, Visit, show, submit};
use super::words::{both_times, safe, short, time};
use crate::api::segment;
use crate::problem::{Detail, Problem};
use crate::service::Workspace;

pub(super) fn router(console: &Arc<Console>) -> Router {
    let mut router = Router::new();
    for kind in ["spa", "m2m"] {
        let base = format!("/credentials/{kind}");
        router = router
            .route(&base, show(console, move |visit| list(visit, kind)))
            .route(
                &format!("{base}/new"),
                show(console, move |visit| new(visit, kind)).merge(submit(console, move |visit| create(visit, kind))),
            )
            .route(&format!("{base}/{{id}}/edit"), show(console, form).merge(submit(console, save)))
            .route(&format!("{base}/{{id}}/delete"), show(console, ask).merge(submit(console, delete)))
            .route(&format!("{base}/{{id}}/secret"), show(console, secret));
    }
    router.route("/credentials/m2m/{id}/rotate", show(console, ask_rotation).merge(submit(console, rotate)))
}

/// Returns the kind with the name of a path.
fn kind_of(name: &str) -> ClientKind {
    if name == "spa" { ClientKind::Spa } else { ClientKind::M2m }
}

fn list_path(kind: ClientKind) -> String {
    format!("/credentials/{}", kind.as_str())
}

fn path(client: &Client) -> String {
    format!("{}/{}", list_path(client.kind), segment(&client.id))
}

async fn list(visit: Visit, kind: &'static str) -> Shown {
    let kind = kind_of(kind);
    let read = move |registry: &mut Registry, actor: &Actor| registry.clients(actor, kind);
    let mut clients = visit.workspace().read(&visit.identity, read).await?;
    let search = visit.query.get("search").trim().to_lowercase();
    clients.retain(|client| client.title.to_lowercase().contains(&search) || client.id.contains(&search));
    let is_spa = kind == ClientKind::Spa;
    let label = if is_spa { "Create SPA client" } else { "Create M2M client" };
    let now = Workspace::now();
    let content = html! {
        (tabs(&visit, if is_spa { Kind::Spa } else { Kind::M2m }, &format!("{}/new", list_path(kind)), label))
        form.filters method="get" role="search" {
            div.field.grow { label for="search" { "Search" } input #search type="search" name="search" value=(visit.query.get("search")) maxlength="200"; }
            button { "Search" }
        }
        @if is_spa { p.soft { a href=(visit.to("/applications")) { "Applications that you allowed" } } }
        @if clients.is_empty() {
            div.empty {
                h2 { @if search.is_empty() { "No clients yet" } @else { "No client matches" } }
                p { @if is_spa { "A single-page application signs users in. It has no secret." } @else { "A machine creates and manages tokens through the HTTP API." } }
            }
        } @else {
            div.table-wrap { table.list {
                caption.hidden { "OAuth clients" }
                thead { tr { th scope="col" { "Title" } th scope="col" { "Client id" } th scope="col" { @if is_spa { "URLs" } @else { "Scopes" } } th scope="col" { "Created" } th scope="col" { span.hidden { "Actions" } } } }
                tbody { @for client in &clients { tr {
                    th scope="row" data-label="Title" { b { (short(&client.title)) } @if client.owner != visit.identity.user { div.soft { (safe(&client.owner)) } } }
                    td data-label="Client id" { code { (safe(&client.id)) } }
                    td data-label=(if is_spa { "URLs" } else { "Scopes" }) { @if is_spa { @if client.urls.callbacks.is_empty() { span.badge.warning { "No callback" } } (urls(&client.urls)) } @else { (scopes(client)) } }
                    td data-label="Created" { (time(client.created_at, now)) }
                    td.row-actions { @if visit.identity.role != Role::Auditor {
                        a href={ (visit.to(&path(client))) "/edit" } aria-label={ "Edit " (safe(&client.title)) } { "Edit" } " "
                        @if !is_spa { a href={ (visit.to(&path(client))) "/rotate" } aria-label={ "Rotate " (safe(&client.title)) } { "Rotate" } " " }
                        a.danger href={ (visit.to(&path(client))) "/delete" } aria-label={ "Delete " (safe(&client.title)) } { "Delete" }
                    } }
                } } }
            } }
        }
    };
    Ok(visit.page(Tab::Credentials, "OAuth clients", &content))
}

fn urls(urls: &Urls) -> Markup {
    let all = urls.callbacks.iter().chain(&urls.web_origins);
    html! { ul.plain { @for url in all.take(4) { li { (short(url)) } } } }
}

fn scopes(client: &Client) -> Markup {
    html! {
        @match &client.scopes {
            None => { span.soft { "The default scopes" } }
            Some(scopes) => { span.apis { @for scope in scopes { span.tag { (safe(scope)) } " " } } }
        }
    }
}

/// What the user has filled in.
#[derive(Debug, Clone, Default)]
struct Draft {
    title: String,
    urls: Urls,
    /// The scopes that access tokens may have.
    scopes: Vec<String>,
    access: Access,
}

impl Draft {
    fn read(form: &Form) -> Self {
        let urls = Urls {
            login_uri: form.filled("login_uri").map(ToOwned::to_owned),
            callbacks: form.lines("callbacks"),
            logout_urls: form.lines("logout_urls"),
            web_origins: form.lines("web_origins"),
            allowed_origins: form.lines("allowed_origins"),
        };
        let scopes = form.all("scope").map(ToOwned::to_owned).collect();
        Self { title: form.get("title").trim().to_owned(), urls, scopes, access: Access::read(form) }
    }

    fn of(client: &Client) -> Self {
        let scopes = client.scopes.clone().unwrap_or_else(default_scopes);
        Self { title: client.title.clone(), urls: client.urls.clone(), scopes, access: Access::of(client) }
    }

    /// Returns the scopes to store; `None` for the default ones.
    fn chosen(&self) -> Option<Vec<String>> {
        Some(self.scopes.clone()).filter(|scopes| *scopes != default_scopes())
    }
}

/// A form, new or of a client.
struct Filled<'a> {
    kind: ClientKind,
    offered: &'a Offered,
    draft: &'a Draft,
    edited: Option<&'a Client>,
    key: &'a str,
    problems: &'a [Detail],
}

async fn new(visit: Visit, kind: &'static str) -> Shown {
    let kind = kind_of(kind);
    let scopes = match kind {
        // A sign-in needs none of them, and each that is chosen is asked of every user.
        ClientKind::Spa => Vec::new(),
        ClientKind::M2m => default_scopes(),
    };
    let draft = Draft { scopes, ..Draft::default() };
    let (key, offered) = (copy_once::key()?, Offered::read(&visit).await?);
    let filled = Filled { kind, offered: &offered, draft: &draft, edited: None, key: &key, problems: &[] };
    Ok(rendered(&visit, StatusCode::OK, &filled))
}

async fn create(visit: Visit, kind: &'static str) -> Shown {
    let (kind, draft) = (kind_of(kind), Draft::read(&visit.form));
    let offered = Offered::read(&visit).await?;
    if is_only_edited(&visit.form) {
        let key = visit.form.get("key");
        let filled = Filled { kind, offered: &offered, draft: &draft, edited: None, key, problems: &[] };
        return Ok(rendered(&visit, StatusCode::OK, &filled));
    }
    let new = draft.clone();
    let key = visit.form.get("key").to_owned();
    let created = copy_once::change(
        &visit,
        &visit.form,
        move |change| {
            let scopes = new.chosen();
            change.create_client(kind, &new.title, &new.urls, &new.access.chosen(), scopes.as_deref())
        },
        |created| Kept {
            id: created.client.id.clone(),
            secret: created.secret.as_ref().map(|secret| secret.expose().to_owned()),
        },
    );
    match created.await {
        Ok(id) => {
            let path = format!("{}/{}/secret", list_path(kind), segment(&id));
            Ok(copy_once::with_key(&visit, visit.redirect(&path), &path, &key))
        }
        Err(problem) if is_of_the_form(&problem) => {
            let key = if problem.reason() == "form_reused" { copy_once::key()? } else { key };
            let problems = problem.details();
            let filled = Filled { kind, offered: &offered, draft: &draft, edited: None, key: &key, problems };
            Ok(rendered(&visit, problem.status(), &filled))
        }
        Err(problem) => Err(problem),
    }
}

fn is_of_the_form(problem: &Problem) -> bool {
    problem.status().is_client_error() && !matches!(problem.reason(), "read_only" | "not_found")
}

async fn stored(visit: &Visit) -> Result<Client, Problem> {
    let id = visit.parameter("id");
    let read = move |registry: &mut Registry, actor: &Actor| registry.client_with_id(actor, &id);
    visit.workspace().read(&visit.identity, read).await
}

async fn form(visit: Visit) -> Shown {
    let client = stored(&visit).await?;
    let draft = Draft::of(&client);
    let offered = Offered::read(&visit).await?;
    let (kind, edited) = (client.kind, Some(&client));
    let filled = Filled { kind, offered: &offered, draft: &draft, edited, key: "", problems: &[] };
    Ok(rendered(&visit, StatusCode::OK, &filled))
}

async fn save(visit: Visit) -> Shown {
    let (client, draft) = (stored(&visit).await?, Draft::read(&visit.form));
    let offered = Offered::read(&visit).await?;
    let kind = client.kind;
    if is_only_edited(&visit.form) {
        // The version of the first form: a change by somebody else is still found.
        let edited = Some(&client);
        let filled = Filled { kind, offered: &offered, draft: &draft, edited, key: "", problems: &[] };
        return Ok(rendered(&visit, StatusCode::OK, &filled));
    }
    let access = draft.access.chosen();
    // The form has every URL, scope, API and grant, so the edit replaces all of them.
    let edit = ClientEdit {
        title: Some(draft.title.clone()),
        remove: client.urls.clone(),
        add: draft.urls.clone(),
        apis: Some(access.apis),
        grants: Some(access.grants),
        scopes: Some(draft.chosen()),
    };
    let (id, versions) = (client.id.clone(), [visit.form.get("version").to_owned()]);
    let saved = visit.workspace().change(&visit.identity, move |registry, actor| {
        registry.changed(actor, |change| change.update_client(&id, Some(&versions), &edit))
    });
    match saved.await {
        Ok(client) => Ok(visit.redirect(&list_path(client.kind))),
        Err(problem) if problem.reason() == "version_changed" => {
            let message = "somebody else changed this client meanwhile, and nothing of yours is saved";
            let help = "the form now shows the client as it is: make your change again";
            let problems = [Detail::new("", "version_changed", message, help)];
            let client = stored(&visit).await?;
            let draft = Draft::of(&client);
            let (edited, problems) = (Some(&client), &problems[..]);
            let filled = Filled { kind, offered: &offered, draft: &draft, edited, key: "", problems };
            Ok(rendered(&visit, problem.status(), &filled))
        }
        Err(problem) if is_of_the_form(&problem) => {
            let problems = problem.details();
            let edited = Some(&client);
            let filled = Filled { kind, offered: &offered, draft: &draft, edited, key: "", problems };
            Ok(rendered(&visit, problem.status(), &filled))
        }
        Err(problem) => Err(problem),
    }
}

fn rendered(visit: &Visit, status: StatusCode, filled: &Filled<'_>) -> Response {
    let Filled { kind, offered, draft, edited, key, problems } = filled;
    let problems: Vec<_> = problems.iter().map(in_form).collect();
    let is_spa = *kind == ClientKind::Spa;
    let back = visit.to(&list_path(*kind));
    let title = if edited.is_some() { "Edit client" } else { "Create client" };
    let action = edited.map_or_else(|| format!("{back}/new"), |client| format!("{}/edit", visit.to(&path(client))));
    let lists = [
        ("callbacks", "Callbacks", &draft.urls.callbacks, "https://app.example.com/callback"),
        ("logout_urls", "Logout URLs", &draft.urls.logout_urls, "https://app.example.com/"),
        ("web_origins", "Web origins", &draft.urls.web_origins, "https://app.example.com"),
        ("allowed_origins", "Allowed origins", &draft.urls.allowed_origins, "https://app.example.com"),
    ];
    let content = html! {
        p.crumbs { a href=(back) { @if is_spa { "SPA OAuth clients" } @else { "M2M OAuth clients" } } }
        h1 { (title) }
        @if !problems.is_empty() { (notice(&problems)) }
        form.narrow.spaced method="post" action=(action) novalidate {
            @match edited {
                Some(client) => { input type="hidden" name="version" value=(version(visit, client)); p.lead { code { (safe(&client.id)) } } }
                None => { (copy_once::field(key)) }
            }
            div.field { label for="title" { "Title" } input #title name="title" type="text" value=(draft.title) required maxlength="255" autocomplete="off"; }
            @if is_spa {
                div.field { label for="login_uri" { "Login page " span.soft { "(optional)" } } input #login_uri name="login_uri" type="text" value=(draft.urls.login_uri.as_deref().unwrap_or_default()) placeholder="https://app.example.com/login"; }
                @for (name, label, urls, example) in lists {
                    div.field { label for=(name) { (label) } textarea id=(name) name=(name) rows=(urls.len().clamp(1, 8)) spellcheck="false" placeholder=(example) { "\n" (urls.join("\n")) } }
                }
                p.hint { "One URL a line. A callback matches exactly. Access tokens are valid on the pages of the web origins only. Without web origins: of the origins of the callbacks." }
            }
            fieldset.choices { legend { "Scopes" }
                div.chips { @for scope in SCOPES { label.chip { input type="checkbox" name="scope" value=(scope) checked[draft.scopes.iter().any(|held| held == scope)]; span { (scope) } } } }
                p.hint { "What access tokens may manage at most. " code { "admin" } " adds the records of other users." @if is_spa { " A sign-in needs none, and the user is asked for each." } }
            }
            (draft.access.fields(visit, offered, &problems))
            div.buttons { button.primary name="action" value="save" { @if edited.is_some() { "Save" } @else { "Create client" } } a.button.quiet href=(back) { "Cancel" } }
        }
    };
    visit.page_with(status, Tab::Credentials, title, &content)
}

/// Returns the version that the user sees: that of a form that was sent to change its rows, or the current one.
fn version(visit: &Visit, client: &Client) -> String {
    let sent = visit.form.filled("version").filter(|_| is_only_edited(&visit.form));
    sent.map_or_else(|| client.version(), ToOwned::to_owned)
}

async fn ask(visit: Visit) -> Shown {
    let client = stored(&visit).await?;
    Ok(question(&visit, StatusCode::OK, &client, &[]))
}

fn question(visit: &Visit, status: StatusCode, client: &Client, problems: &[Detail]) -> Response {
    let content = html! {
        p.crumbs { a href=(visit.to(&list_path(client.kind))) { "OAuth clients" } }
        h1 { "Delete " (safe(&client.title)) "?" }
        @if !problems.is_empty() { (notice(problems)) }
        p.lead { "The client can no longer sign in, and every access token that it has is revoked at once." }
        form.narrow method="post" action={ (visit.to(&path(client))) "/delete" } {
            input type="hidden" name="version" value=(client.version());
            div.buttons { button.danger { "Delete client" } a.button.quiet href=(visit.to(&list_path(client.kind))) { "Keep it" } }
        }
    };
    visit.page_with(status, Tab::Credentials, "Delete client", &content)
}

async fn delete(visit: Visit) -> Shown {
    let (id, versions) = (visit.parameter("id"), [visit.form.get("version").to_owned()]);
    let deleted = visit.workspace().change(&visit.identity, move |registry, actor| {
        registry.changed(actor, |change| change.delete_client(&id, Some(&versions)))
    });
    match deleted.await {
        Ok(client) => Ok(visit.redirect(&list_path(client.kind))),
        Err(problem) if is_of_the_form(&problem) => {
            let client = stored(&visit).await?;
            Ok(question(&visit, problem.status(), &client, problem.details()))
        }
        Err(problem) => Err(problem),
    }
}

/// How long the old secret stays valid, with labels.
const OVERLAPS: [(&str, &str); 4] = [("", "Not at all"), ("1d", "1 day"), ("1w", "1 week"), ("1m", "1 month")];

async fn ask_rotation(visit: Visit) -> Shown {
    let client = stored(&visit).await?;
    let key = copy_once::key()?;
    Ok(rotation(&visit, StatusCode::OK, &client, &key, &[]))
}

fn rotation(visit: &Visit, status: StatusCode, client: &Client, key: &str, problems: &[Detail]) -> Response {
    let now = Workspace::now();
    let content = html! {
        p.crumbs { a href=(visit.to(&list_path(client.kind))) { "OAuth clients" } }
        h1 { "Rotate " (safe(&client.title)) }
        @if !problems.is_empty() { (notice(problems)) }
        p.lead { "The machine gets a new secret. If the old secret stays valid, so do the access tokens of the machine. Otherwise they are revoked at once." }
        @for earlier in &client.earlier_secrets { p.soft { "An earlier secret is valid until " (both_times(earlier.until, now)) "." } }
        form.narrow method="post" action={ (visit.to(&path(client))) "/rotate" } {
            (copy_once::field(key))
            fieldset.choices { legend { "The old secret stays valid" }
                div.chips { @for (value, label) in OVERLAPS { label.chip { input type="radio" name="overlap" value=(value) checked[value.is_empty()]; span { (label) } } } }
            }
            div.buttons { button.primary { "Rotate" } a.button.quiet href=(visit.to(&list_path(client.kind))) { "Cancel" } }
        }
    };
    visit.page_with(status, Tab::Credentials, "Rotate client", &content)
}

async fn rotate(visit: Visit) -> Shown {
    let (id, overlap) = (visit.parameter("id"), visit.form.filled("overlap").map(ToOwned::to_owned));
    let key = visit.form.get("key").to_owned();
    let rotated = copy_once::change(
        &visit,
        &visit.form,
        move |change| change.rotate_client_with_id(&id, overlap.as_deref()),
        |rotated| Kept {
            id: rotated.client.id.clone(),
            secret: rotated.secret.as_ref().map(|secret| secret.expose().to_owned()),
        },
    );
    match rotated.await {
        Ok(id) => {
            let path = format!("{}/{}/secret", list_path(ClientKind::M2m), segment(&id));
            Ok(copy_once::with_key(&visit, visit.redirect(&path), &path, &key))
        }
        Err(problem) if is_of_the_form(&problem) => {
            let client = stored(&visit).await?;
            Ok(rotation(&visit, problem.status(), &client, &copy_once::key()?, problem.details()))
        }
        Err(problem) => Err(problem),
    }
}

/// Shows what comes after the creation of a single-page application: it has no secret to copy.
fn next_step(visit: &Visit, client: &Client, back: &str) -> Markup {
    let edit = format!("{}/edit", visit.to(&path(client)));
    html! {
        p { "This application has no secret: everybody can read the code of a web page. It signs users in with its client id alone." }
        @if client.urls.callbacks.is_empty() {
            div.notice.warning role="status" { p { b { "This application cannot sign anybody in until it has a callback." } " Add the URL of the page that users return to." } }
            div.buttons { a.button.primary href=(edit) { "Add a callback" } a.button.quiet href=(back) { "Done" } }
        } @else {
            p { "Next, write the client id and the address of this workspace, " code { (safe(visit.workspace().url())) } ", into the settings of the application." }
            div.buttons { a.button href=(back) { "Done" } }
        }
    }
}

/// Shows the id of a client, and the secret of a machine that was created or rotated, once.
async fn secret(visit: Visit) -> Shown {
    let client = stored(&visit).await?;
    let secret = copy_once::take(&visit, &client.id).await?;
    let back = visit.to(&list_path(client.kind));
    let content = html! {
        p.crumbs { a href=(back) { "OAuth clients" } }
        h1 { (safe(&client.title)) }
        p { "Client id: " code { (safe(&client.id)) } }
        @if client.kind == ClientKind::M2m {
            (copy_once::shown(secret.as_deref(), "Client secret", &back))
        } @else {
            (next_step(&visit, &client, &back))
        }
    };
    Ok(visit.page(Tab::Credentials, "Client", &content))
}
