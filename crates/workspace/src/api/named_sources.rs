//! `/v3/named-sources`.

use axum::response::IntoResponse;
use http::StatusCode;
use portcullis_registry::NamedSourceEdit;
use portcullis_registry::record::NamedSource;
use serde::Serialize;

use super::tokens::segment;
use crate::answer::{Answer, Outcome};
use crate::conditional::{is_known, required as needed};
use crate::endpoint::{Call, Endpoint, Parameter, ParameterKind, Route, optional, required};
use crate::json::{Kind, Member, Shape};
use crate::once::made_once;
use crate::problem::Problem;

static NEW: Shape = Shape {
    name: "NewNamedSource",
    about: "A named source to create.",
    fields: &[
        required("name", Kind::Text, "The name: 3 to 51 lower-case letters, digits, `-` and `_`."),
        required("query", Kind::Text, "The SQL."),
        optional("connection", Kind::Nullable, "The connection that it runs on. Every connection by default."),
    ],
};

static EDIT: Shape = Shape {
    name: "NamedSourceEdit",
    about: "Changes of a named source. A missing field is not changed.",
    fields: &[
        optional("query", Kind::Text, "The new SQL."),
        optional("connection", Kind::Nullable, "The new connection; `null` means every connection."),
    ],
};

const FIELDS: &[Member] = &[
    required("id", Kind::Text, "The id, which is the name."),
    required("name", Kind::Text, "The name."),
    required("connection", Kind::Nullable, "The connection that it runs on; `null` means every connection."),
    required("query", Kind::Text, "The SQL."),
];

static NAMED_SOURCE: Shape = Shape { name: "NamedSource", about: "A stored query.", fields: FIELDS };

static LIST: Shape = Shape {
    name: "NamedSourceList",
    about: "A page of named sources, by name.",
    fields: &[
        required("named_sources", Kind::Objects(&NAMED_SOURCE), "The named sources."),
        required("page", Kind::Whole, "The number of the page, from 1."),
        required("pageSize", Kind::Whole, "The maximum number of named sources on a page."),
        required("total", Kind::Whole, "The number of named sources on all pages."),
    ],
};

pub(super) static ENDPOINTS: &[Endpoint] = &[
    Route {
        path: "/v3/named-sources",
        scope: "read:named_sources",
        summary: "List named sources",
        is_addition: false,
        handler: |call| Box::pin(list(call)),
    }
    .list(
        &LIST,
        &[
            Parameter {
                name: "search",
                kind: ParameterKind::Text,
                about: "Only named sources whose name or SQL contains this text.",
            },
            Parameter {
                name: "page",
                kind: ParameterKind::Whole(1, 1_000_000),
                about: "The number of the page. The default is 1.",
            },
            Parameter {
                name: "pageSize",
                kind: ParameterKind::Whole(1, 1000),
                about: "The size of a page. The default is 10.",
            },
        ],
    ),
    Route {
        path: "/v3/named-sources",
        scope: "write:named_sources",
        summary: "Create a named source",
        is_addition: false,
        handler: |call| Box::pin(create(call)),
    }
    .create(&NEW, &NAMED_SOURCE),
    Route {
        path: "/v3/named-sources/{name}",
        scope: "read:named_sources",
        summary: "Get a named source",
        is_addition: false,
        handler: |call| Box::pin(get(call)),
    }
    .get(&NAMED_SOURCE),
    Route {
        path: "/v3/named-sources/{name}",
        scope: "write:named_sources",
        summary: "Change a named source",
        is_addition: false,
        handler: |call| Box::pin(update(call)),
    }
    .update(&EDIT, &NAMED_SOURCE),
    Route {
        path: "/v3/named-sources/{name}",
        scope: "write:named_sources",
        summary: "Delete a named source",
        is_addition: false,
        handler: |call| Box::pin(delete(call)),
    }
    .delete(&[404, 409]),
];

#[derive(Serialize)]
struct Written<'s> {
    id: &'s str,
    #[serde(flatten)]
    source: &'s NamedSource,
}

impl<'s> From<&'s NamedSource> for Written<'s> {
    fn from(source: &'s NamedSource) -> Self {
        Self { id: &source.name, source }
    }
}

#[derive(Serialize)]
struct List<'s> {
    named_sources: Vec<Written<'s>>,
    page: usize,
    #[serde(rename = "pageSize")]
    page_size: usize,
    total: usize,
}

async fn list(call: Call) -> Outcome {
    let search = call.query("search").unwrap_or_default().to_lowercase();
    let (page, page_size) = (call.whole("page", 1), call.whole("pageSize", 10));
    let mut sources = call.workspace.read(&call.identity, |registry, _| registry.named_sources()).await?;
    sources.retain(|source| source.name.contains(&search) || source.query.to_lowercase().contains(&search));
    let on_page = sources.iter().skip((page - 1).saturating_mul(page_size)).take(page_size);
    let list = List { named_sources: on_page.map(Written::from).collect(), page, page_size, total: sources.len() };
    Ok(Answer::json(StatusCode::OK, &list).into_response())
}

async fn create(call: Call) -> Outcome {
    let text = |name| call.body.text(name).map(ToOwned::to_owned);
    let (name, query) = (text("name").unwrap_or_default(), text("query").unwrap_or_default());
    let (connection, base) = (text("connection"), call.workspace.base_path());
    let work = move |change: &mut portcullis_registry::Change<'_>| {
        change.create_named_source(&name, &query, connection.as_deref())
    };
    made_once(call, work, move |source| {
        let answer = Answer::json(StatusCode::CREATED, &Written::from(source)).with_version(&source.version());
        answer.at(format!("{base}/v3/named-sources/{}", segment(&source.name)))
    })
    .await
}

async fn get(call: Call) -> Outcome {
    let name = call.parameter("name");
    let source = call.workspace.read(&call.identity, move |registry, _| registry.named_source_with_name(&name)).await?;
    let version = source.version();
    let answer = if is_known(&call.headers, &version) {
        Answer::empty(StatusCode::NOT_MODIFIED)
    } else {
        Answer::json(StatusCode::OK, &Written::from(&source))
    };
    Ok(answer.with_version(&version).into_response())
}

async fn update(call: Call) -> Outcome {
    let accepted = needed(&call.headers)?;
    let name = call.parameter("name");
    let edit = NamedSourceEdit {
        query: call.body.text("query").map(ToOwned::to_owned),
        connection: call.body.nullable("connection").map(|connection| connection.map(ToOwned::to_owned)),
    };
    let changed = call.workspace.change(&call.identity, move |registry, actor| {
        registry.changed(actor, |change| change.update_named_source(&name, accepted.versions(), &edit))
    });
    let source = changed.await.map_err(at_path)?;
    Ok(Answer::json(StatusCode::OK, &Written::from(&source)).with_version(&source.version()).into_response())
}

/// A named source of the path that does not exist is 404, one in a body is 400.
fn at_path(problem: Problem) -> Problem {
    if problem.reason() == "unknown_named_source" { problem.not_found() } else { problem }
}

async fn delete(call: Call) -> Outcome {
    let accepted = needed(&call.headers)?;
    let name = call.parameter("name");
    let deleted = call.workspace.change(&call.identity, move |registry, actor| {
        registry.changed(actor, |change| change.delete_named_source(&name, accepted.versions()))
    });
    deleted.await.map_err(at_path)?;
    Ok(Answer::empty(StatusCode::NO_CONTENT).into_response())
}
