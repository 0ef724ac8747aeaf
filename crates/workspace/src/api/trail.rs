//! `/v3/trail`: who changed what.

use axum::response::IntoResponse;
use http::StatusCode;
use portcullis_registry::TrailQuery;
use portcullis_registry::record::TrailEntry;
use serde::Serialize;

use super::{CURSOR, DEFAULT_LIMIT, LIMIT};
use crate::answer::{Answer, Outcome};
use crate::cursor;
use crate::endpoint::{Call, Endpoint, Parameter, ParameterKind, Route, optional, required};
use crate::json::{Kind, Shape};

static ENTRY: Shape = Shape {
    name: "TrailEntry",
    about: "A change.",
    fields: &[
        required("number", Kind::Whole, "The position in the trail, from 1."),
        required("revision", Kind::Whole, "The revision that the change belongs to."),
        required("at", Kind::Text, "When it was made."),
        required("user", Kind::Text, "The user who made it."),
        optional(
            "how",
            Kind::Text,
            "How: an OAuth client and its access token, or the console. Missing for the command line.",
        ),
        required("action", Kind::Text, "The action, such as `create`."),
        required("kind", Kind::Text, "The kind of record, such as `token`."),
        required("id", Kind::Text, "The id of the record."),
        required("owner", Kind::Nullable, "The owner of the record; `null` for a shared one."),
        optional("before", Kind::Any, "The record before the change; `null` if there was none."),
        optional("after", Kind::Any, "The record after the change; `null` if there is none."),
    ],
};

static LIST: Shape = Shape {
    name: "TrailPage",
    about: "A page of the trail, newest change first.",
    fields: &[
        required("entries", Kind::Objects(&ENTRY), "The changes."),
        required("next_cursor", Kind::Nullable, "The position of the next page; `null` on the last page."),
    ],
};

pub(super) static ENDPOINTS: &[Endpoint] = &[Route {
    path: "/v3/trail",
    scope: "read:trail",
    summary: "List changes",
    is_addition: true,
    handler: |call| Box::pin(list(call)),
}
.list(
    &LIST,
    &[
        Parameter { name: "id", kind: ParameterKind::Text, about: "Only changes of the record with this id." },
        LIMIT,
        CURSOR,
    ],
)];

#[derive(Serialize)]
struct List<'e> {
    entries: &'e [TrailEntry],
    next_cursor: Option<String>,
}

async fn list(call: Call) -> Outcome {
    let limit = call.whole("limit", DEFAULT_LIMIT);
    let before = match call.query("cursor") {
        None => None,
        Some(text) => {
            let [number] = cursor::read(&call.list(), text)?;
            Some(number.parse().unwrap_or(0))
        }
    };
    let id = call.query("id").map(ToOwned::to_owned);
    let mut entries = call
        .workspace
        .read(&call.identity, move |registry, actor| {
            registry
                .trail_page(actor, &TrailQuery { id: id.as_deref(), before, limit: limit + 1, ..TrailQuery::default() })
        })
        .await?;
    let has_more = entries.len() > limit;
    entries.truncate(limit);
    let last = entries.last().filter(|_| has_more);
    let next_cursor = last.map(|last| cursor::write(&call.list(), &[&last.number.to_string()]));
    Ok(Answer::json(StatusCode::OK, &List { entries: &entries, next_cursor }).into_response())
}
