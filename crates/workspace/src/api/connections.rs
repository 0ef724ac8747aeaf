//! `/v3/connections`: the warehouses, which all users share. Administrators change them.

use axum::response::IntoResponse;
use http::StatusCode;
use portcullis_registry::record::{Connection, Role};
use portcullis_registry::{Change, ConnectionEdit};
use serde::Serialize;

use super::tokens::segment;
use super::users::check_role;
use crate::answer::{Answer, Outcome};
use crate::conditional::required as needed;
use crate::endpoint::{Call, Endpoint, Route, optional, required};
use crate::json::{Kind, Shape};
use crate::once::made_once;

static CONNECTION: Shape = Shape {
    name: "Connection",
    about: "A data warehouse, on which tokens may have grants.",
    fields: &[
        required("name", Kind::Text, "The name that grants use."),
        required("dialect", Kind::Text, "The dialect of its names, such as `bigquery`."),
        required("named_sources_only", Kind::Bool, "Whether queries are denied whatever the grants."),
        optional("case_sensitive", Kind::Bool, "Whether quoted names keep the case of their letters."),
    ],
};

static LIST: Shape = Shape {
    name: "ConnectionList",
    about: "Every connection, by name.",
    fields: &[required("connections", Kind::Objects(&CONNECTION), "The connections.")],
};

static NEW: Shape = Shape {
    name: "NewConnection",
    about: "A connection to add.",
    fields: &[
        required("name", Kind::Text, "The name that grants use."),
        required("dialect", Kind::Text, "The dialect of its names, such as `bigquery`."),
        optional("named_sources_only", Kind::Bool, "Whether queries are denied whatever the grants."),
        optional("case_sensitive", Kind::Bool, "Whether quoted names keep the case of their letters: for `redshift`."),
    ],
};

static EDIT: Shape = Shape {
    name: "ConnectionEdit",
    about: "Changes of a connection. A missing field is not changed. Grants must fit a new dialect.",
    fields: &[
        optional("dialect", Kind::Text, "The new dialect of its names."),
        optional("named_sources_only", Kind::Bool, "Whether queries are denied whatever the grants."),
        optional("case_sensitive", Kind::Bool, "Whether quoted names keep the case of their letters: for `redshift`."),
    ],
};

pub(super) static ENDPOINTS: &[Endpoint] = &[
    Route {
        path: "/v3/connections",
        scope: "read:connections",
        summary: "List connections",
        is_addition: true,
        handler: |call| Box::pin(list(call)),
    }
    .list(&LIST, &[]),
    Route {
        path: "/v3/connections/{name}",
        scope: "read:connections",
        summary: "Get a connection",
        is_addition: true,
        handler: |call| Box::pin(get(call)),
    }
    .get(&CONNECTION),
    Route {
        path: "/v3/connections",
        scope: "write:connections",
        summary: "Add a connection",
        is_addition: true,
        handler: |call| Box::pin(create(call)),
    }
    .create(&NEW, &CONNECTION),
    Route {
        path: "/v3/connections/{name}",
        scope: "write:connections",
        summary: "Change a connection",
        is_addition: true,
        handler: |call| Box::pin(update(call)),
    }
    .update(&EDIT, &CONNECTION),
    Route {
        path: "/v3/connections/{name}",
        scope: "write:connections",
        summary: "Delete a connection that no grant and no named source uses",
        is_addition: true,
        handler: |call| Box::pin(delete(call)),
    }
    .delete(&[404, 409]),
];

#[derive(Serialize)]
struct List {
    connections: Vec<Connection>,
}

async fn list(call: Call) -> Outcome {
    let connections = call.workspace.read(&call.identity, |registry, _| registry.connections()).await?;
    Ok(Answer::json(StatusCode::OK, &List { connections }).into_response())
}

async fn get(call: Call) -> Outcome {
    let name = call.parameter("name");
    let found = call.workspace.read(&call.identity, move |registry, _| registry.connection_with_name(&name)).await?;
    Ok(Answer::json(StatusCode::OK, &found).with_version(&found.version()).into_response())
}

async fn create(call: Call) -> Outcome {
    check_role(&call, &[Role::Administrator])?;
    let text = |name| call.body.text(name).unwrap_or_default().to_owned();
    let (name, dialect) = (text("name"), text("dialect"));
    let case_sensitive = call.body.bool("case_sensitive");
    let named_sources_only = call.body.bool("named_sources_only") == Some(true);
    let base = call.workspace.base_path();
    let work =
        move |change: &mut Change<'_>| change.add_connection(&name, &dialect, case_sensitive, named_sources_only);
    made_once(call, work, move |created| {
        let answer = Answer::json(StatusCode::CREATED, created).with_version(&created.version());
        answer.at(format!("{base}/v3/connections/{}", segment(&created.name)))
    })
    .await
}

async fn update(call: Call) -> Outcome {
    check_role(&call, &[Role::Administrator])?;
    let accepted = needed(&call.headers)?;
    let name = call.parameter("name");
    let edit = ConnectionEdit {
        dialect: call.body.text("dialect").map(ToOwned::to_owned),
        case_sensitive: call.body.bool("case_sensitive"),
        named_sources_only: call.body.bool("named_sources_only"),
    };
    let changed = call.workspace.change(&call.identity, move |registry, actor| {
        registry.connection_with_name(&name)?;
        registry.changed(actor, |change| change.update_connection(&name, accepted.versions(), &edit))
    });
    let connection = changed.await?.connection;
    Ok(Answer::json(StatusCode::OK, &connection).with_version(&connection.version()).into_response())
}

async fn delete(call: Call) -> Outcome {
    check_role(&call, &[Role::Administrator])?;
    let accepted = needed(&call.headers)?;
    let name = call.parameter("name");
    let deleted = call.workspace.change(&call.identity, move |registry, actor| {
        registry.connection_with_name(&name)?;
        registry.changed(actor, |change| change.delete_connection(&name, accepted.versions()))
    });
    deleted.await?;
    Ok(Answer::empty(StatusCode::NO_CONTENT).into_response())
}
