//! `/v3/catalog`: the names of the warehouse.

use axum::response::IntoResponse;
use http::StatusCode;
use http::header::RETRY_AFTER;
use serde::Serialize;

use super::{CURSOR, DEFAULT_LIMIT, LIMIT};
use crate::answer::{Answer, Outcome};
use crate::catalog::CatalogName;
use crate::cursor;
use crate::endpoint::{Call, Endpoint, Parameter, ParameterKind, Route, required};
use crate::json::{Kind, Shape};
use crate::problem::Problem;

static NAME: Shape = Shape {
    name: "CatalogName",
    about: "A resource that exists.",
    fields: &[
        required("connection_name", Kind::Text, "The connection."),
        required("name", Kind::Text, "The name, as the catalog writes it."),
    ],
};

static LIST: Shape = Shape {
    name: "CatalogPage",
    about: "A page of the catalog, by connection and name.",
    fields: &[
        required("names", Kind::Objects(&NAME), "The names."),
        required("next_cursor", Kind::Nullable, "The position of the next page; `null` on the last page."),
        required("total", Kind::Whole, "The number of names in the whole catalog; 0 without a catalog."),
    ],
};

pub(super) static ENDPOINTS: &[Endpoint] = &[Route {
    path: "/v3/catalog",
    scope: "read:catalog",
    summary: "List names of the warehouse",
    is_addition: true,
    handler: |call| Box::pin(async move { list(&call) }),
}
.list(
    &LIST,
    &[
        Parameter { name: "connection", kind: ParameterKind::Text, about: "Only names on this connection." },
        Parameter {
            name: "search",
            kind: ParameterKind::Text,
            about: "Only names that contain this text, in any case.",
        },
        LIMIT,
        CURSOR,
    ],
)];

#[derive(Serialize)]
struct Name<'c> {
    connection_name: &'c str,
    name: &'c str,
}

#[derive(Serialize)]
struct List<'c> {
    names: Vec<Name<'c>>,
    next_cursor: Option<String>,
    total: usize,
}

fn list(call: &Call) -> Outcome {
    let limit = call.whole("limit", DEFAULT_LIMIT);
    let position = match call.query("cursor") {
        None => None,
        Some(text) => Some(cursor::read::<2>(&call.list(), text)?),
    };
    let after = position.as_ref().map(|[connection, name]| CatalogName { connection, name });
    let catalog = call.workspace.catalog();
    if catalog.is_empty() && call.workspace.catalog_failing_since().is_some() {
        let (message, help) =
            ("the catalog cannot be read, so its names are unknown", "the log of the workspace has the reason");
        let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "catalog_unavailable", message, help);
        return Err(problem.with(RETRY_AFTER, "30"));
    }
    let connection = call.query("connection").filter(|connection| !connection.is_empty());
    // One more shows whether another page follows.
    let mut names = catalog.find(connection, call.query("search").unwrap_or_default(), after, limit + 1);
    let has_more = names.len() > limit;
    names.truncate(limit);
    let last = names.last().filter(|_| has_more);
    let next_cursor = last.map(|last| cursor::write(&call.list(), &[last.connection, last.name]));
    let names = names.iter().map(|it| Name { connection_name: it.connection, name: it.name }).collect();
    Ok(Answer::json(StatusCode::OK, &List { names, next_cursor, total: catalog.len() }).into_response())
}
