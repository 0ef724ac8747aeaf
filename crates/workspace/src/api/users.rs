//! `/v3/users`: users, their roles, and how they sign in.

use axum::response::IntoResponse;
use http::{Method, StatusCode};
use portcullis_registry::UserEdit;
use portcullis_registry::record::{Role, User};
use serde::Serialize;

use super::tokens::segment;
use crate::answer::{Answer, Outcome};
use crate::endpoint::{Call, Endpoint, Route, Success, Traits, optional, required};
use crate::json::{Kind, Object, Shape};
use crate::problem::{Detail, Problem};

static USER: Shape = Shape {
    name: "User",
    about: "A user. A user without a record is a developer.",
    fields: &[
        required("name", Kind::Text, "The name, which owns tokens and clients."),
        required("role", Kind::Text, "The role: `developer`, `administrator` or `auditor`."),
        optional("disabled", Kind::Bool, "Whether the user may neither sign in nor call."),
        optional(
            "invited",
            Kind::Bool,
            "Whether the user may sign in whatever the rules of the workspace; missing means yes.",
        ),
        optional(
            "email",
            Kind::Text,
            "The e-mail address of the invitation, or the one that the provider verified last.",
        ),
        optional("issuer", Kind::Text, "The OpenID provider at which the user has signed in."),
        optional("subject", Kind::Text, "The identifier of the user at that provider."),
    ],
};

static NEW: Shape = Shape {
    name: "NewUser",
    about: "A user to invite.",
    fields: &[
        required("name", Kind::Text, "The name, which owns tokens and clients."),
        optional("role", Kind::Text, "The role: `developer` by default."),
        optional("email", Kind::Nullable, "The e-mail address of the person, if the name is not it."),
    ],
};

static EDIT: Shape = Shape {
    name: "UserEdit",
    about: "Changes of a user. A missing field is not changed.",
    fields: &[
        optional("role", Kind::Text, "The new role: `developer`, `administrator` or `auditor`."),
        optional(
            "disabled",
            Kind::Bool,
            "Whether the user may neither sign in nor call. Sessions and access tokens end at once.",
        ),
        optional("invited", Kind::Bool, "Whether the user may sign in whatever the rules of the workspace."),
        optional("email", Kind::Nullable, "The new e-mail address of the invitation; `null` for none."),
        optional("forget_sign_in", Kind::Bool, "Whether the next person with the e-mail address becomes this user."),
    ],
};

static LIST: Shape = Shape {
    name: "UserList",
    about: "The users with a record, by name.",
    fields: &[required("users", Kind::Objects(&USER), "The users.")],
};

const ADDITION: Traits = Traits { needs_version: false, is_made_once: false, is_addition: true };

pub(super) static ENDPOINTS: &[Endpoint] = &[
    Route {
        path: "/v3/users",
        scope: "admin",
        summary: "List users with a record",
        is_addition: true,
        handler: |call| Box::pin(list(call)),
    }
    .list(&LIST, &[]),
    Endpoint {
        method: Method::POST,
        path: "/v3/users",
        scope: "admin",
        summary: "Invite a user",
        query: &[],
        body: Some((&NEW, true)),
        success: Success { status: 201, shape: Some(&USER), has_version: false },
        errors: &[409],
        traits: ADDITION,
        handler: |call| Box::pin(create(call)),
    },
    Endpoint {
        method: Method::PATCH,
        path: "/v3/users/{user}",
        scope: "admin",
        summary: "Change a user",
        query: &[],
        body: Some((&EDIT, true)),
        success: Success { status: 200, shape: Some(&USER), has_version: false },
        errors: &[409],
        traits: ADDITION,
        handler: |call| Box::pin(update(call)),
    },
    Endpoint {
        method: Method::DELETE,
        path: "/v3/users/{user}",
        scope: "admin",
        summary: "Remove a user and end the user's sessions",
        query: &[],
        body: None,
        success: Success { status: 204, shape: None, has_version: false },
        errors: &[404, 409],
        traits: ADDITION,
        handler: |call| Box::pin(delete(call)),
    },
];

#[derive(Serialize)]
struct List {
    users: Vec<User>,
}

/// Checks that the role of the caller is one of `roles`.
pub(super) fn check_role(call: &Call, roles: &[Role]) -> Result<(), Problem> {
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

/// Returns the role in a body, if it has one.
fn role(body: &Object) -> Result<Option<Role>, Problem> {
    let Some(text) = body.text("role") else { return Ok(None) };
    let unknown = || {
        let names = Role::ALL.map(Role::as_str).join("`, `");
        Detail::new("/role", "unknown_role", "unknown role", format!("write one of `{names}`"))
    };
    Ok(Some(Role::from_name(text).ok_or_else(unknown)?))
}

async fn create(call: Call) -> Outcome {
    check_role(&call, &[Role::Administrator])?;
    let role = role(&call.body)?.unwrap_or_default();
    let name = call.body.text("name").unwrap_or_default().to_owned();
    let email = call.body.text("email").map(ToOwned::to_owned);
    let path = format!("{}/v3/users/{}", call.workspace.base_path(), segment(&name));
    let invite = move |registry: &mut portcullis_registry::Registry, actor: &portcullis_registry::Actor| {
        registry.invite_user(actor, &name, role, email.as_deref())
    };
    let user = call.workspace.change(&call.identity, invite).await?;
    Ok(Answer::json(StatusCode::CREATED, &user).at(path).into_response())
}

async fn update(call: Call) -> Outcome {
    check_role(&call, &[Role::Administrator])?;
    let edit = UserEdit {
        role: role(&call.body)?,
        is_disabled: call.body.bool("disabled"),
        is_invited: call.body.bool("invited"),
        email: call.body.nullable("email").map(|email| email.map(ToOwned::to_owned)),
        forgets_sign_in: call.body.bool("forget_sign_in") == Some(true),
    };
    let name = call.parameter("user");
    let user =
        call.workspace.change(&call.identity, move |registry, actor| registry.edit_user(actor, &name, &edit)).await?;
    Ok(Answer::json(StatusCode::OK, &user).into_response())
}

async fn delete(call: Call) -> Outcome {
    check_role(&call, &[Role::Administrator])?;
    let name = call.parameter("user");
    call.workspace.change(&call.identity, move |registry, actor| registry.remove_user(actor, &name)).await?;
    Ok(Answer::empty(StatusCode::NO_CONTENT).into_response())
}
