//! `/v3/connections`: read only. `portcullis connections` adds and changes them on the registry's machine.

use axum::response::IntoResponse;
use http::{Method, StatusCode};
use portcullis_registry::record::Connection;
use serde::Serialize;

use crate::answer::{Answer, Outcome};
use crate::endpoint::{Call, Endpoint, Success, Traits, optional, required};
use crate::json::{Kind, Shape};

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

const ADDITION: Traits = Traits { needs_version: false, is_made_once: false, is_addition: true };

pub(super) static ENDPOINTS: &[Endpoint] = &[
    Endpoint {
        method: Method::GET,
        path: "/v3/connections",
        scope: "read:connections",
        summary: "List connections",
        query: &[],
        body: None,
        success: Success { status: 200, shape: Some(&LIST), has_version: false },
        errors: &[],
        traits: ADDITION,
        handler: |call| Box::pin(list(call)),
    },
    Endpoint {
        method: Method::GET,
        path: "/v3/connections/{name}",
        scope: "read:connections",
        summary: "Get a connection",
        query: &[],
        body: None,
        success: Success { status: 200, shape: Some(&CONNECTION), has_version: true },
        errors: &[404],
        traits: ADDITION,
        handler: |call| Box::pin(get(call)),
    },
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
