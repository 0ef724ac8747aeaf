//! `/v3/clients`: OAuth clients.

use axum::response::IntoResponse;
use http::{Method, StatusCode};
use portcullis_registry::record::{Client, ClientKind, Urls};
use portcullis_registry::{ClientAccess, ClientEdit, CreatedClient, SCOPES, default_scopes};
use portcullis_secret::Secret;
use serde::Serialize;

use super::grants::{grants, no_problem};
use super::tokens::segment;
use super::{GRANT, NEW_GRANT};
use crate::answer::{Answer, Outcome};
use crate::conditional::{is_known, required as needed};
use crate::endpoint::{Call, Endpoint, Route, Success, Traits, optional, required};
use crate::identity::Identity;
use crate::json::{Kind, Object, Shape};
use crate::once::made_once;
use crate::problem::{Detail, Problem};

static NEW: Shape = Shape {
    name: "NewClient",
    about: "An OAuth client to create.",
    fields: &[
        required("type", Kind::Text, "`m2m` for a machine, `spa` for a single-page application."),
        required("title", Kind::Text, "The title that people see."),
        optional(
            "allowed_apis",
            Kind::Texts,
            "The APIs that access tokens may use. None by default: they only manage credentials.",
        ),
        optional("grants", Kind::Objects(&NEW_GRANT), "The sources that access tokens may read or write."),
        optional("scopes", Kind::Texts, "The scopes that access tokens may have. All but `admin` by default."),
        optional("login_uri", Kind::Nullable, "The page of a single-page application where a login starts."),
        optional(
            "callbacks",
            Kind::Texts,
            "Pages of a single-page application where a login may end. Each matches exactly.",
        ),
        optional("logout_urls", Kind::Texts, "Pages of a single-page application where a logout may end."),
        optional(
            "web_origins",
            Kind::Texts,
            "Origins of a single-page application: they may renew a login silently, and its access tokens are valid on their pages only.",
        ),
        optional(
            "allowed_origins",
            Kind::Texts,
            "Origins of a single-page application that may make cross-origin calls.",
        ),
    ],
};

static EDIT: Shape = Shape {
    name: "ClientEdit",
    about: "Changes of an OAuth client. A missing field is not changed, and a list replaces the whole list.",
    fields: &[
        optional("title", Kind::Text, "The new title."),
        optional("allowed_apis", Kind::Texts, "The new APIs of access tokens."),
        optional("grants", Kind::Objects(&NEW_GRANT), "The new grants of access tokens."),
        optional("scopes", Kind::Texts, "The new scopes of access tokens."),
        optional("login_uri", Kind::Nullable, "The new page where a login starts; `null` for none."),
        optional("callbacks", Kind::Texts, "The new pages where a login may end."),
        optional("logout_urls", Kind::Texts, "The new pages where a logout may end."),
        optional("web_origins", Kind::Texts, "The new origins that may renew a login silently."),
        optional("allowed_origins", Kind::Texts, "The new origins that may make cross-origin calls."),
    ],
};

static CLIENT: Shape = Shape {
    name: "Client",
    about: "An OAuth client, without its secret.",
    fields: &[
        required("client_id", Kind::Text, "The id that the client presents."),
        required("type", Kind::Text, "`m2m` or `spa`."),
        required("title", Kind::Text, "The title that people see."),
        required("owner", Kind::Text, "The user who owns it."),
        required("created_at", Kind::Text, "When it was created."),
        optional("allowed_apis", Kind::Texts, "The APIs that access tokens may use."),
        optional("grants", Kind::Objects(&GRANT), "The sources that access tokens may read or write."),
        optional("scopes", Kind::Texts, "The scopes that access tokens may have; missing means all but `admin`."),
        optional("earlier_secrets", Kind::Objects(&EARLIER), "Rotated secrets that are still valid."),
        optional("login_uri", Kind::Text, "The page where a login starts."),
        optional("callbacks", Kind::Texts, "Pages where a login may end."),
        optional("logout_urls", Kind::Texts, "Pages where a logout may end."),
        optional("web_origins", Kind::Texts, "Origins that may renew a login silently."),
        optional("allowed_origins", Kind::Texts, "Origins that may make cross-origin calls."),
        optional("client_secret", Kind::Text, "The secret of a machine: only in the answers that create or rotate it."),
    ],
};

static EARLIER: Shape = Shape {
    name: "EarlierSecret",
    about: "A rotated secret that is still valid.",
    fields: &[required("until", Kind::Text, "The time from which it is invalid.")],
};

static LIST: Shape = Shape {
    name: "ClientList",
    about: "The clients that the caller may see, by id.",
    fields: &[required("clients", Kind::Objects(&CLIENT), "The clients.")],
};

static ROTATION: Shape = Shape {
    name: "ClientRotation",
    about: "How the secret of a machine is replaced.",
    fields: &[optional(
        "overlap",
        Kind::Nullable,
        "How long the old secret stays valid, such as `7d`. Not at all by default: this also revokes the access tokens.",
    )],
};

const PLAIN: Traits = Traits { needs_version: false, is_made_once: false, is_addition: true };
const ONCE: Traits = Traits { needs_version: false, is_made_once: true, is_addition: true };

pub(super) static ENDPOINTS: &[Endpoint] = &[
    Route {
        path: "/v3/clients",
        scope: "read:clients",
        summary: "List OAuth clients",
        is_addition: true,
        handler: |call| Box::pin(list(call)),
    }
    .list(&LIST, &[]),
    Route {
        path: "/v3/clients",
        scope: "write:clients",
        summary: "Create an OAuth client",
        is_addition: true,
        handler: |call| Box::pin(create(call)),
    }
    .create(&NEW, &CLIENT),
    Route {
        path: "/v3/clients/{client}",
        scope: "read:clients",
        summary: "Get an OAuth client",
        is_addition: true,
        handler: |call| Box::pin(get(call)),
    }
    .get(&CLIENT),
    Route {
        path: "/v3/clients/{client}",
        scope: "write:clients",
        summary: "Change an OAuth client",
        is_addition: true,
        handler: |call| Box::pin(update(call)),
    }
    .update(&EDIT, &CLIENT),
    Route {
        path: "/v3/clients/{client}",
        scope: "write:clients",
        summary: "Delete an OAuth client and revoke its access tokens",
        is_addition: true,
        handler: |call| Box::pin(delete(call)),
    }
    .delete(&[404]),
    Endpoint {
        method: Method::DELETE,
        path: "/v3/clients/{client}/access-tokens",
        scope: "write:clients",
        summary: "Revoke the access tokens of an OAuth client",
        query: &[],
        body: None,
        success: Success { status: 204, shape: None, has_version: false },
        errors: &[404],
        traits: PLAIN,
        handler: |call| Box::pin(revoke(call)),
    },
    Endpoint {
        method: Method::POST,
        path: "/v3/clients/{client}/rotate",
        scope: "write:clients",
        summary: "Replace the secret of a machine",
        query: &[],
        body: Some((&ROTATION, false)),
        success: Success { status: 200, shape: Some(&CLIENT), has_version: true },
        errors: &[404, 409, 422],
        traits: ONCE,
        handler: |call| Box::pin(rotate(call)),
    },
];

#[derive(Serialize)]
struct List {
    clients: Vec<Client>,
}

#[derive(Serialize)]
struct WithSecret<'c> {
    #[serde(flatten)]
    client: &'c Client,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_secret: Option<&'c str>,
}

async fn list(call: Call) -> Outcome {
    let clients = call.workspace.read(&call.identity, |registry, actor| {
        let mut clients = registry.clients(actor, ClientKind::M2m)?;
        clients.extend(registry.clients(actor, ClientKind::Spa)?);
        clients.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(clients)
    });
    Ok(Answer::json(StatusCode::OK, &List { clients: clients.await? }).into_response())
}

/// Returns the scopes of a new client: a caller cannot give scopes that it does not have.
fn scopes(identity: &Identity, body: &Object) -> Result<Option<Vec<String>>, Problem> {
    let chosen = body.texts("scopes");
    if let Some(scope) = chosen.iter().flatten().find(|scope| SCOPES.contains(&&***scope) && !identity.has(scope)) {
        let message = format!("the caller does not have the scope `{scope}`, and cannot give it to a client");
        let help = "leave the scope out, or use an access token that has it";
        let detail = Detail::new("/scopes", "scope_not_held", message, help);
        return Err(Problem::of_details(vec![detail]).unwrap_or_else(Problem::internal).forbidden());
    }
    let defaults = default_scopes();
    if chosen.is_none() && !defaults.iter().all(|scope| identity.has(scope)) {
        return Ok(Some(defaults.into_iter().filter(|scope| identity.has(scope)).collect()));
    }
    Ok(chosen)
}

fn urls(body: &Object) -> Urls {
    let list = |name| body.texts(name).unwrap_or_default();
    Urls {
        login_uri: body.text("login_uri").map(ToOwned::to_owned),
        callbacks: list("callbacks"),
        logout_urls: list("logout_urls"),
        web_origins: list("web_origins"),
        allowed_origins: list("allowed_origins"),
    }
}

async fn create(call: Call) -> Outcome {
    let mut problems = Vec::new();
    let grants = grants(&call.body, "grants", &mut problems).unwrap_or_default();
    let kind = match call.body.text("type") {
        Some("m2m") => ClientKind::M2m,
        Some("spa") => ClientKind::Spa,
        _ => {
            problems.push(Detail::new("/type", "unknown_type", "unknown type of client", "write `m2m` or `spa`"));
            ClientKind::M2m
        }
    };
    no_problem(problems)?;
    let scopes = scopes(&call.identity, &call.body)?;
    let access = ClientAccess { apis: call.body.texts("allowed_apis").unwrap_or_default(), grants };
    let (title, urls) = (call.body.text("title").unwrap_or_default().to_owned(), urls(&call.body));
    let base = call.workspace.base_path();
    let work = move |change: &mut portcullis_registry::Change<'_>| {
        change.create_client(kind, &title, &urls, &access, scopes.as_deref())
    };
    made_once(call, work, move |created| {
        let answer = with_secret(StatusCode::CREATED, created);
        answer.at(format!("{base}/v3/clients/{}", segment(&created.client.id)))
    })
    .await
}

fn with_secret(status: StatusCode, CreatedClient { client, secret }: &CreatedClient) -> Answer {
    let body = WithSecret { client, client_secret: secret.as_ref().map(Secret::expose) };
    Answer::json(status, &body).with_version(&client.version())
}

async fn get(call: Call) -> Outcome {
    let id = call.parameter("client");
    let client =
        call.workspace.read(&call.identity, move |registry, actor| registry.client_with_id(actor, &id)).await?;
    let version = client.version();
    let answer = if is_known(&call.headers, &version) {
        Answer::empty(StatusCode::NOT_MODIFIED)
    } else {
        Answer::json(StatusCode::OK, &client)
    };
    Ok(answer.with_version(&version).into_response())
}

async fn update(call: Call) -> Outcome {
    let accepted = needed(&call.headers)?;
    let mut problems = Vec::new();
    let grants = grants(&call.body, "grants", &mut problems);
    no_problem(problems)?;
    let scopes = if call.body.texts("scopes").is_some() { Some(scopes(&call.identity, &call.body)?) } else { None };
    let (id, body) = (call.parameter("client"), call.body);
    let changed = call.workspace.change(&call.identity, move |registry, actor| {
        let before = registry.client_with_id(actor, &id)?;
        let (remove, add) = url_edit(&before.urls, &body);
        let edit = ClientEdit {
            title: body.text("title").map(ToOwned::to_owned),
            remove,
            add,
            apis: body.texts("allowed_apis"),
            grants,
            scopes,
        };
        // The lists were compared with this version.
        let read = [before.version()];
        let versions = accepted.versions().unwrap_or(&read);
        registry.changed(actor, |change| change.update_client(&id, Some(versions), &edit))
    });
    let client = changed.await?;
    Ok(Answer::json(StatusCode::OK, &client).with_version(&client.version()).into_response())
}

/// Returns the URLs to remove and to add, so that each list of `body` replaces the current one.
fn url_edit(before: &Urls, body: &Object) -> (Urls, Urls) {
    let login = body.nullable("login_uri");
    let mut remove = Urls { login_uri: login.and(before.login_uri.clone()), ..Urls::default() };
    let mut add = Urls { login_uri: login.flatten().map(ToOwned::to_owned), ..Urls::default() };
    let mut replace = |name, before: &[String], list: fn(&mut Urls) -> &mut Vec<String>| {
        if let Some(after) = body.texts(name) {
            list(&mut remove).extend(before.iter().cloned());
            *list(&mut add) = after;
        }
    };
    replace("callbacks", &before.callbacks, |urls| &mut urls.callbacks);
    replace("logout_urls", &before.logout_urls, |urls| &mut urls.logout_urls);
    replace("web_origins", &before.web_origins, |urls| &mut urls.web_origins);
    replace("allowed_origins", &before.allowed_origins, |urls| &mut urls.allowed_origins);
    (remove, add)
}

async fn delete(call: Call) -> Outcome {
    let accepted = needed(&call.headers)?;
    let id = call.parameter("client");
    let deleted = call.workspace.change(&call.identity, move |registry, actor| {
        registry.changed(actor, |change| change.delete_client(&id, accepted.versions()))
    });
    deleted.await?;
    Ok(Answer::empty(StatusCode::NO_CONTENT).into_response())
}

async fn revoke(call: Call) -> Outcome {
    let id = call.parameter("client");
    let revoked = call
        .workspace
        .change(&call.identity, move |registry, actor| registry.changed(actor, |change| change.revoke_access_of(&id)));
    revoked.await?;
    Ok(Answer::empty(StatusCode::NO_CONTENT).into_response())
}

async fn rotate(call: Call) -> Outcome {
    let id = call.parameter("client");
    let overlap = call.body.text("overlap").map(ToOwned::to_owned);
    let work =
        move |change: &mut portcullis_registry::Change<'_>| change.rotate_client_with_id(&id, overlap.as_deref());
    made_once(call, work, |rotated| with_secret(StatusCode::OK, rotated)).await
}
