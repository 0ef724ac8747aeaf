//! The HTTP API: `/v3/…`.

mod catalog;
mod clients;
mod connections;
mod grants;
mod named_sources;
mod tokens;
mod trail;
mod users;

use crate::endpoint::{Endpoint, Parameter, ParameterKind, optional, required};
use crate::json::{Kind, Shape};
pub(crate) use grants::{resource_kind, within_limit};
pub(crate) use tokens::{check_search, segment};

/// The endpoints, in the order of the `OpenAPI` document.
pub(crate) fn endpoints() -> [&'static [Endpoint]; 7] {
    [
        tokens::ENDPOINTS,
        named_sources::ENDPOINTS,
        connections::ENDPOINTS,
        clients::ENDPOINTS,
        catalog::ENDPOINTS,
        trail::ENDPOINTS,
        users::ENDPOINTS,
    ]
}

/// A grant in a body.
static NEW_GRANT: Shape = Shape {
    name: "NewGrant",
    about: "A source that a token may read or write. It has either `source` or `resource`.",
    fields: &[
        required("connection_name", Kind::Text, "The connection."),
        optional("source", Kind::Text, "A name, SQL, the name of a named source, or `*` for all sources."),
        optional("resource", Kind::Text, "A name, in which `*` stands for a part of a segment."),
        optional(
            "type",
            Kind::Text,
            "The kind: `resource`, `pattern`, `query`, `named_source` or `all`. Read from the source by default.",
        ),
    ],
};

/// A grant in an answer.
static GRANT: Shape = Shape {
    name: "Grant",
    about: "A source that a token may read or write.",
    fields: &[
        required("connection_name", Kind::Text, "The connection."),
        required("type", Kind::Text, "The kind: `resource`, `pattern`, `query`, `named_source` or `all`."),
        required("source", Kind::Text, "The source as written."),
    ],
};

/// A warning, or a problem.
pub(crate) static DETAIL: Shape = Shape {
    name: "Detail",
    about: "A problem of a request, or a warning about a valid but probably unintended value.",
    fields: &[
        required("pointer", Kind::Text, "The JSON Pointer of the value in the body; empty for the whole request."),
        required("reason", Kind::Text, "The stable code."),
        required("message", Kind::Text, "The problem."),
        required("help", Kind::Text, "A fix."),
    ],
};

/// The parameter for the size of a page.
const LIMIT: Parameter = Parameter {
    name: "limit",
    kind: ParameterKind::Whole(1, MAX_LIMIT),
    about: "The maximum number of records. The default is 50.",
};

/// The parameter for the position of a page.
const CURSOR: Parameter = Parameter {
    name: "cursor",
    kind: ParameterKind::Text,
    about: "`next_cursor` of the previous page. The filters and the order must be the same.",
};

/// The maximum size of a page.
const MAX_LIMIT: u64 = 200;

/// The default size of a page.
const DEFAULT_LIMIT: usize = 50;
