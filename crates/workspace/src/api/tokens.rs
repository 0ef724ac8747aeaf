//! `/v3/tokens`.

use axum::response::IntoResponse;
use http::{Method, StatusCode};
use portcullis_registry::record::Token;
use portcullis_registry::{NewToken, TokenEdit, TokenOrder, TokenPosition, TokenQuery, TypedGrant, Which};
use serde::Serialize;

use super::grants::{grants, no_problem, warnings, within_limit};
use super::{CURSOR, DEFAULT_LIMIT, DETAIL, GRANT, LIMIT, NEW_GRANT};
use crate::answer::{Answer, Outcome};
use crate::conditional::{is_known, optional as accepted, required as needed};
use crate::cursor;
use crate::endpoint::{Call, Endpoint, Parameter, ParameterKind, Route, Success, Traits, optional, required};
use crate::identity::Via;
use crate::json::{Kind, Object, Shape};
use crate::once::{created_once, made_once};
use crate::problem::{Detail, Problem};
use crate::service::Workspace;

static NEW_TOKEN: Shape = Shape {
    name: "NewToken",
    about: "A token to create.",
    fields: &[
        optional("name", Kind::Nullable, "The name. The id by default."),
        required("allowed_apis", Kind::Texts, "The APIs that the token may use, such as `maps` and `sql`."),
        optional(
            "grants",
            Kind::Objects(&NEW_GRANT),
            "The sources that the token may read or write. Only the API `lds` needs none.",
        ),
        optional("referers", Kind::Texts, "The web pages from which it may be used. Every page by default."),
        optional(
            "expiration_date",
            Kind::Nullable,
            "The expiry: an instant, a date, or a span such as `7d`. Never by default.",
        ),
    ],
};

static TOKEN_EDIT: Shape = Shape {
    name: "TokenEdit",
    about: "Changes of a token. A missing field is not changed, and a list replaces the whole list.",
    fields: &[
        optional("name", Kind::Text, "The new name."),
        optional("allowed_apis", Kind::Texts, "The new APIs."),
        optional("grants", Kind::Objects(&NEW_GRANT), "The new grants."),
        optional("add_grants", Kind::Objects(&NEW_GRANT), "Grants to add."),
        optional("remove_grants", Kind::Objects(&NEW_GRANT), "Grants to remove, as they are written."),
        optional("referers", Kind::Texts, "The new referers."),
        optional(
            "any_referer",
            Kind::Bool,
            "Whether `referers` may be empty, after which every page may use the token. Alone it changes nothing.",
        ),
        optional("expiration_date", Kind::Nullable, "The current expiry: it cannot be changed."),
    ],
};

static ROTATION: Shape = Shape {
    name: "Rotation",
    about: "How the secret of a token is replaced.",
    fields: &[
        optional(
            "overlap",
            Kind::Nullable,
            "How long the old secret stays valid, such as `7d`. Not at all by default.",
        ),
        optional(
            "expiration_date",
            Kind::Nullable,
            "The expiry of the new secret; `never` for none. The old expiry by default.",
        ),
    ],
};

static TOKEN: Shape = Shape { name: "Token", about: "A token, without its secret.", fields: TOKEN_FIELDS };

const TOKEN_FIELDS: &[crate::json::Member] = &[
    required("id", Kind::Text, "The id in decisions and logs."),
    required("name", Kind::Text, "The name."),
    required("owner", Kind::Text, "The user who owns it."),
    required("allowed_apis", Kind::Texts, "The APIs that it may use."),
    required("grants", Kind::Objects(&GRANT), "The sources that it may read or write."),
    required("referers", Kind::Texts, "The web pages from which it may be used; none means every page."),
    required("expiration_date", Kind::Nullable, "The expiry; `null` means never."),
    required("created_at", Kind::Nullable, "When it was created; `null` if unknown."),
];

static CREATED: Shape = Shape {
    name: "TokenWithSecret",
    about: "A token with its secret, which is shown only once.",
    fields: &[
        required("token", Kind::Text, "The secret."),
        required("id", Kind::Text, "The id in decisions and logs."),
        required("name", Kind::Text, "The name."),
        required("owner", Kind::Text, "The user who owns it."),
        required("allowed_apis", Kind::Texts, "The APIs that it may use."),
        required("grants", Kind::Objects(&GRANT), "The sources that it may read or write."),
        required("referers", Kind::Texts, "The web pages from which it may be used; none means every page."),
        required("expiration_date", Kind::Nullable, "The expiry; `null` means never."),
        required("created_at", Kind::Nullable, "When it was created; `null` if unknown."),
        required("warnings", Kind::Objects(&DETAIL), "Valid but probably unintended values."),
        optional("old", Kind::Object(&TOKEN), "After a rotation with an overlap: the token that holds the old secret."),
    ],
};

static LIST: Shape = Shape {
    name: "TokenList",
    about: "A page of tokens.",
    fields: &[
        required("tokens", Kind::Objects(&TOKEN), "The tokens."),
        required(
            "next_cursor",
            Kind::Nullable,
            "The position of the next page; `null` at the end of the list. A page before it may have few tokens, or none, if many tokens did not match.",
        ),
    ],
};

static VALIDATION: Shape = Shape {
    name: "Validation",
    about: "What `POST /v3/tokens` would answer.",
    fields: &[
        required("valid", Kind::Bool, "Whether the token would be created."),
        required("errors", Kind::Objects(&DETAIL), "Every problem."),
        required("warnings", Kind::Objects(&DETAIL), "Valid but probably unintended values."),
    ],
};

static SELF: Shape = Shape {
    name: "Caller",
    about: "Who calls, and with which rights.",
    fields: &[
        required("user", Kind::Text, "The user whose rights the caller has at most."),
        required("role", Kind::Text, "The role of the user."),
        required("client_id", Kind::Nullable, "The OAuth client; `null` in the console."),
        required("token_id", Kind::Nullable, "The id of the access token; `null` in the console."),
        required(
            "scope",
            Kind::Nullable,
            "The scopes of the access token, separated by spaces; `null` in the console.",
        ),
    ],
};

static USAGE: Shape = Shape {
    name: "Usage",
    about: "How a token was used, as far as sidecars have reported it.",
    fields: &[
        required("allowed", Kind::Whole, "The number of allowed requests."),
        required("last_used", Kind::Nullable, "When it was last used; `null` means never."),
    ],
};

const FORCE: Parameter = Parameter {
    name: "force",
    kind: ParameterKind::Bool,
    about: "Whether a token that was used in the last seven days is deleted, too.",
};

const ADDITION: Traits = Traits { needs_version: false, is_made_once: false, is_addition: true };
const VERSIONED: Traits = Traits { needs_version: true, is_made_once: false, is_addition: false };

pub(super) static ENDPOINTS: &[Endpoint] = &[
    Route {
        path: "/v3/tokens",
        scope: "read:tokens",
        summary: "List tokens",
        is_addition: false,
        handler: |call| Box::pin(list(call)),
    }
    .list(&LIST, &[
            Parameter {
                name: "search",
                kind: ParameterKind::Text,
                about: "Only tokens whose id, name, owner, APIs, connections or sources contain this text. A text of one or \
                        two characters is searched at the start of names.",
            },
            Parameter { name: "owner", kind: ParameterKind::Text, about: "Only tokens of this user." },
            Parameter { name: "api", kind: ParameterKind::Text, about: "Only tokens that may use this API." },
            Parameter {
                name: "connection",
                kind: ParameterKind::Text,
                about: "Only tokens with a grant on this connection.",
            },
            Parameter {
                name: "expired",
                kind: ParameterKind::Bool,
                about: "Only tokens that have expired, or only the others.",
            },
            Parameter {
                name: "sort",
                kind: ParameterKind::OneOf(&[
                    "created_at",
                    "-created_at",
                    "name",
                    "-name",
                    "expiration_date",
                    "-expiration_date",
                ]),
                about: "The order; `-` reverses it. The default is `-created_at`.",
            },
            LIMIT,
            CURSOR,
        ]),
    Route {
        path: "/v3/tokens",
        scope: "write:tokens",
        summary: "Create a token",
        is_addition: false,
        handler: |call| Box::pin(create(call)),
    }
    .create(&NEW_TOKEN, &CREATED),
    Endpoint {
        method: Method::POST,
        path: "/v3/tokens:validate",
        scope: "read:tokens",
        summary: "Check a token without creating it",
        query: &[],
        body: Some((&NEW_TOKEN, true)),
        success: Success { status: 200, shape: Some(&VALIDATION), has_version: false },
        errors: &[],
        traits: ADDITION,
        handler: |call| Box::pin(validate(call)),
    },
    Route {
        path: "/v3/tokens/self",
        scope: "",
        summary: "Show who calls",
        is_addition: true,
        handler: |call| Box::pin(async move { Ok(own(&call)) }),
    }
    .list(&SELF, &[]),
    Route {
        path: "/v3/tokens/{token}",
        scope: "read:tokens",
        summary: "Get a token",
        is_addition: false,
        handler: |call| Box::pin(get(call)),
    }
    .get(&TOKEN),
    Route {
        path: "/v3/tokens/{token}",
        scope: "write:tokens",
        summary: "Change a token",
        is_addition: false,
        handler: |call| Box::pin(update(call)),
    }
    .update(&TOKEN_EDIT, &TOKEN),
    Endpoint {
        method: Method::DELETE,
        path: "/v3/tokens/{token}",
        scope: "write:tokens",
        summary: "Delete a token",
        query: &[FORCE],
        body: None,
        success: Success { status: 204, shape: None, has_version: false },
        errors: &[404, 409],
        traits: VERSIONED,
        handler: |call| Box::pin(delete(call)),
    },
    Endpoint {
        method: Method::GET,
        path: "/v3/tokens/{token}/usage",
        scope: "read:tokens",
        summary: "Get the usage of a token",
        query: &[],
        body: None,
        success: Success { status: 200, shape: Some(&USAGE), has_version: false },
        errors: &[404],
        traits: ADDITION,
        handler: |call| Box::pin(usage(call)),
    },
    Endpoint {
        method: Method::POST,
        path: "/v3/tokens/{token}/rotate",
        scope: "write:tokens",
        summary: "Replace the secret of a token",
        query: &[],
        body: Some((&ROTATION, false)),
        success: Success { status: 200, shape: Some(&CREATED), has_version: true },
        errors: &[404, 409, 412, 422],
        traits: Traits { needs_version: false, is_made_once: true, is_addition: true },
        handler: |call| Box::pin(rotate(call)),
    },
];

/// A token with its secret.
#[derive(Serialize)]
struct WithSecret<'t> {
    token: &'t str,
    #[serde(flatten)]
    record: &'t Token,
    warnings: Vec<Detail>,
    #[serde(skip_serializing_if = "Option::is_none")]
    old: Option<&'t Token>,
}

#[derive(Serialize)]
struct List<'t> {
    tokens: &'t [Token],
    next_cursor: Option<String>,
}

#[derive(Serialize)]
struct Validation {
    valid: bool,
    errors: Vec<Detail>,
    warnings: Vec<Detail>,
}

#[derive(Serialize)]
struct Caller<'c> {
    user: &'c str,
    role: &'static str,
    client_id: Option<&'c str>,
    token_id: Option<&'c str>,
    scope: Option<String>,
}

#[derive(Serialize)]
struct UsageJson {
    allowed: u64,
    last_used: Option<String>,
}

async fn list(call: Call) -> Outcome {
    let sort = call.query("sort").unwrap_or("-created_at").to_owned();
    let (name, descending) = sort.strip_prefix('-').map_or((&*sort, false), |name| (name, true));
    let order = match name {
        "name" => TokenOrder::Name,
        "expiration_date" => TokenOrder::Expiry,
        _ => TokenOrder::Created,
    };
    let limit = call.whole("limit", DEFAULT_LIMIT);
    let after = match call.query("cursor") {
        None => None,
        Some(text) => {
            let [key, id] = cursor::read(&call.list(), text)?;
            Some(TokenPosition { key, id })
        }
    };
    let text = |name| call.query(name).filter(|text| !text.is_empty()).map(ToOwned::to_owned);
    let (search, owner, api, connection) = (text("search"), text("owner"), text("api"), text("connection"));
    check_search(search.as_deref())?;
    let expired = call.query("expired").map(|text| (text == "true", Workspace::now()));
    let page = call
        .workspace
        .read(&call.identity, move |registry, actor| {
            registry.token_page(
                actor,
                &TokenQuery {
                    owner: owner.as_deref(),
                    search: search.as_deref(),
                    api: api.as_deref(),
                    connection: connection.as_deref(),
                    expired,
                    order,
                    descending,
                    after: after.as_ref(),
                    limit,
                    max_read: None,
                },
            )
        })
        .await?;
    let next_cursor = page.next.map(|next| cursor::write(&call.list(), &[&next.key, &next.id]));
    Ok(Answer::json(StatusCode::OK, &List { tokens: &page.tokens, next_cursor }).into_response())
}

/// Checks the length of a searched text.
pub(crate) fn check_search(search: Option<&str>) -> Result<(), Problem> {
    /// The maximum length, in bytes.
    const MAX: usize = 200;
    if search.is_some_and(|search| search.len() > MAX) {
        let message = format!("`search` has more than {MAX} bytes");
        return Err(Problem::invalid("invalid_parameter", message, "search for a shorter text"));
    }
    Ok(())
}

fn new_token(body: &Object) -> Result<NewToken, Problem> {
    let mut problems = Vec::new();
    let typed_grants = grants(body, "grants", &mut problems).unwrap_or_default();
    no_problem(problems)?;
    Ok(NewToken {
        name: body.text("name").map(ToOwned::to_owned),
        apis: body.texts("allowed_apis").unwrap_or_default(),
        grants: Vec::new(),
        typed_grants,
        referers: body.texts("referers").unwrap_or_default(),
        expiration: body.text("expiration_date").map(ToOwned::to_owned),
    })
}

async fn create(call: Call) -> Outcome {
    let new = new_token(&call.body)?;
    let base = call.workspace.base_path();
    created_once(call, new, move |created| {
        let (token, warnings) = (&created.token, warnings(&created.warnings));
        let body = WithSecret { token: created.secret.expose(), record: token, warnings, old: None };
        let answer = Answer::json(StatusCode::CREATED, &body).with_version(&token.version());
        answer.at(format!("{base}/v3/tokens/{}", segment(&token.id)))
    })
    .await
}

/// Percent-encodes a segment of a path.
pub(crate) fn segment(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC)
        .to_string()
        .replace("%5F", "_")
        .replace("%2D", "-")
}

async fn validate(call: Call) -> Outcome {
    let checked = match new_token(&call.body) {
        Err(problem) => Err(problem),
        Ok(new) => {
            let work = move |registry: &mut portcullis_registry::Registry, actor: &portcullis_registry::Actor| {
                registry.validate_token(actor, &new)
            };
            call.workspace.read(&call.identity, work).await
        }
    };
    let validation = match checked {
        Ok((_, found)) => Validation { valid: true, errors: Vec::new(), warnings: warnings(&found) },
        Err(problem) if problem.status().is_client_error() => {
            Validation { valid: false, errors: problem.details().to_vec(), warnings: Vec::new() }
        }
        Err(problem) => return Err(problem),
    };
    Ok(Answer::json(StatusCode::OK, &validation).into_response())
}

fn own(call: &Call) -> axum::response::Response {
    let (client_id, token_id, scope) = match &call.identity.via {
        Via::Session => (None, None, None),
        Via::Client { id, access, scopes } => (Some(&**id), Some(&**access), Some(scopes.join(" "))),
    };
    let caller = Caller { user: &call.identity.user, role: call.identity.role.as_str(), client_id, token_id, scope };
    Answer::json(StatusCode::OK, &caller).into_response()
}

async fn get(call: Call) -> Outcome {
    let id = call.parameter("token");
    let token = call.workspace.read(&call.identity, move |registry, actor| registry.token_with_id(actor, &id)).await?;
    let version = token.version();
    let answer = if is_known(&call.headers, &version) {
        Answer::empty(StatusCode::NOT_MODIFIED)
    } else {
        Answer::json(StatusCode::OK, &token)
    };
    Ok(answer.with_version(&version).into_response())
}

async fn usage(call: Call) -> Outcome {
    let id = call.parameter("token");
    let usage = call
        .workspace
        .read(&call.identity, move |registry, actor| {
            let token = registry.token_with_id(actor, &id)?;
            registry.usage_of(&[&*token.id])
        })
        .await?;
    let usage = usage.first();
    let json = UsageJson {
        allowed: usage.map_or(0, |usage| usage.allowed),
        last_used: usage.map(|usage| usage.last_used.to_string()),
    };
    Ok(Answer::json(StatusCode::OK, &json).into_response())
}

async fn update(call: Call) -> Outcome {
    let accepted = needed(&call.headers)?;
    let edit = edit(&call.body)?;
    let id = call.parameter("token");
    let changed = call.workspace.change(&call.identity, move |registry, actor| {
        let which = Which::Id { id: &id, versions: accepted.versions() };
        registry.changed(actor, |change| {
            let (token, _) = change.update_token(which, &edit)?;
            if !edit.add_typed_grants.is_empty() {
                within_limit(&token)?;
            }
            Ok(token)
        })
    });
    let token = changed.await?;
    Ok(Answer::json(StatusCode::OK, &token).with_version(&token.version()).into_response())
}

fn edit(body: &Object) -> Result<TokenEdit, Problem> {
    let mut problems = Vec::new();
    let replaced = grants(body, "grants", &mut problems);
    let added = grants(body, "add_grants", &mut problems);
    let removed = grants(body, "remove_grants", &mut problems);
    if replaced.is_some() && (added.is_some() || removed.is_some()) {
        let message = "`grants` is given with `add_grants` or `remove_grants`";
        let help = "send the whole list in `grants`, or only the differences";
        problems.push(Detail::new("/grants", "two_lists", message, help));
    }
    let expiration = body.nullable("expiration_date").map(|text| text.map(ToOwned::to_owned));
    no_problem(problems)?;
    let pair = |grant: TypedGrant| (grant.connection, grant.source);
    Ok(TokenEdit {
        name: body.text("name").map(ToOwned::to_owned),
        apis: body.texts("allowed_apis"),
        grants: replaced,
        add_typed_grants: added.unwrap_or_default(),
        remove_grants: removed.unwrap_or_default().into_iter().map(pair).collect(),
        referers: body.texts("referers"),
        // A permission to remove referers. Alone it removes none.
        any_referer: body.bool("any_referer").unwrap_or(false) && body.texts("referers").is_some(),
        expiration,
        ..TokenEdit::default()
    })
}

async fn delete(call: Call) -> Outcome {
    let accepted = needed(&call.headers)?;
    let (id, force) = (call.parameter("token"), call.is_set("force"));
    let deleted = call.workspace.change(&call.identity, move |registry, actor| {
        let which = Which::Id { id: &id, versions: accepted.versions() };
        registry.changed(actor, |change| change.delete_token(which, force))
    });
    deleted.await?;
    Ok(Answer::empty(StatusCode::NO_CONTENT).into_response())
}

async fn rotate(call: Call) -> Outcome {
    let id = call.parameter("token");
    let accepted = accepted(&call.headers);
    let text = |name| call.body.text(name).map(ToOwned::to_owned);
    let (overlap, expiration) = (text("overlap"), text("expiration_date"));
    let work = move |change: &mut portcullis_registry::Change<'_>| {
        let which = Which::Id { id: &id, versions: accepted.versions() };
        change.rotate_token(which, overlap.as_deref(), expiration.as_deref())
    };
    made_once(call, work, |rotated| {
        let (token, old) = (&rotated.token, rotated.old.as_ref());
        let body = WithSecret { token: rotated.secret.expose(), record: token, warnings: Vec::new(), old };
        Answer::json(StatusCode::OK, &body).with_version(&token.version())
    })
    .await
}
