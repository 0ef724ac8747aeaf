//! `/v3/users`: the roles of users.

use axum::response::IntoResponse;
use http::{Method, StatusCode};
use portcullis_registry::record::{Role, User};
use serde::Serialize;

use crate::answer::{Answer, Outcome};
use crate::endpoint::{Call, Endpoint, Success, Traits, required};
use crate::json::{Kind, Shape};
use crate::problem::{Detail, Problem};

static USER: Shape = Shape {
    name: "User",
    about: "A user and the role. A user without a record is a developer.",
    fields: &[
        required("name", Kind::Text, "The name, which owns tokens and clients."),
        required("role", Kind::Text, "The role: `developer`, `administrator` or `auditor`."),
    ],
};

static EDIT: Shape = Shape {
    name: "UserEdit",
    about: "The role of a user.",
    fields: &[required("role", Kind::Text, "The new role: `developer`, `administrator` or `auditor`.")],
};

static LIST: Shape = Shape {
    name: "UserList",
    about: "The users whose role was set, by name.",
    fields: &[required("users", Kind::Objects(&USER), "The users.")],
};

const ADDITION: Traits = Traits { needs_version: false, is_made_once: false, is_addition: true };

pub(super) static ENDPOINTS: &[Endpoint] = &[
    Endpoint {
        method: Method::GET,
        path: "/v3/users",
        scope: "admin",
        summary: "List users with a role",
        query: &[],
        body: None,
        success: Success { status: 200, shape: Some(&LIST), has_version: false },
        errors: &[],
        traits: ADDITION,
        handler: |call| Box::pin(list(call)),
    },
    Endpoint {
        method: Method::PATCH,
        path: "/v3/users/{user}",
        scope: "admin",
        summary: "Set the role of a user",
        query: &[],
        body: Some((&EDIT, true)),
        success: Success { status: 200, shape: Some(&USER), has_version: false },
        errors: &[409],
        traits: ADDITION,
        handler: |call| Box::pin(update(call)),
    },
];

#[derive(Serialize)]
struct List {
    users: Vec<User>,
}

/// Checks that the role of the caller is one of `roles`.
fn check_role(call: &Call, roles: &[Role]) -> Result<(), Problem> {
    if roles.contains(&call.identity.role) {
        return Ok(());
    }
    let message = format!("a user with the role `{}` may not do this", call.identity.role.as_str());
    Err(Problem::new(StatusCode::FORBIDDEN, "role_needed", message, "ask an administrator"))
}

async fn list(call: Call) -> Outcome {
    check_role(&call, &[Role::Administrator, Role::Auditor])?;
    let users = call.workspace.read(&call.identity, |registry, _| registry.users()).await?;
    Ok(Answer::json(StatusCode::OK, &List { users }).into_response())
}

async fn update(call: Call) -> Outcome {
    check_role(&call, &[Role::Administrator])?;
    let Some(role) = call.body.text("role").and_then(Role::from_name) else {
        let names = Role::ALL.map(Role::as_str).join("`, `");
        let detail = Detail::new("/role", "unknown_role", "unknown role", format!("write one of `{names}`"));
        return Err(detail.into());
    };
    let name = call.parameter("user");
    let user =
        call.workspace.change(&call.identity, move |registry, actor| registry.set_role(actor, &name, role)).await?;
    Ok(Answer::json(StatusCode::OK, &user).into_response())
}
