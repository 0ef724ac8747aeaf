//! The users: who may sign in, and with which role. Administrators change them.

use std::sync::Arc;

use axum::Router;
use axum::response::Response;
use http::StatusCode;
use maud::{Markup, html};
use portcullis_registry::record::{Role, User};
use portcullis_registry::{Actor, Registry, UserEdit};

use super::failure::notice;
use super::layout::Tab;
use super::visit::{Console, Shown, Visit, show, submit};
use super::words::{safe, short};
use crate::api::segment;
use crate::problem::{Detail, Problem};

pub(super) fn router(console: &Arc<Console>) -> Router {
    Router::new()
        .route("/users", show(console, list).merge(submit(console, invite)))
        .route("/users/{name}", show(console, form).merge(submit(console, save)))
        .route("/users/{name}/delete", submit(console, delete))
}

fn check_role(visit: &Visit, roles: &[Role]) -> Result<(), Problem> {
    if roles.contains(&visit.identity.role) {
        return Ok(());
    }
    let message = "only administrators manage users";
    Err(Problem::new(StatusCode::FORBIDDEN, "role_needed", message, "ask an administrator"))
}

async fn list(visit: Visit) -> Shown {
    check_role(&visit, &[Role::Administrator, Role::Auditor])?;
    page(&visit, StatusCode::OK, &[]).await
}

async fn page(visit: &Visit, status: StatusCode, problems: &[Detail]) -> Shown {
    let users = visit.workspace().read(&visit.identity, |registry, _| registry.users_and_owners()).await?;
    let may_change = visit.identity.role == Role::Administrator;
    let content = html! {
        h1 { "Users" }
        p.lead { "Users with a role, an invitation, a sign-in at the OpenID provider, or credentials. Everybody else is a developer." }
        @if !problems.is_empty() { (notice(problems)) }
        div.table-wrap { table.list {
            caption.hidden { "Users" }
            thead { tr { th scope="col" { "Name" } th scope="col" { "Role" } th scope="col" { "Sign-in" } @if may_change { th scope="col" { span.hidden { "Actions" } } } } }
            tbody { @for user in &users { tr {
                th scope="row" data-label="Name" { b { (short(&user.name)) } @if user.is_disabled { " " span.badge.deny { "Disabled" } } }
                td data-label="Role" { (user.role.as_str()) }
                td data-label="Sign-in" { (sign_in(user)) }
                @if may_change { td.row-actions { a href=(visit.to(&path(&user.name))) aria-label={ "Edit " (safe(&user.name)) } { "Edit" } } }
            } } }
        } }
        @if may_change { (invitation(visit)) }
    };
    Ok(visit.page_with(status, Tab::Users, "Users", &content))
}

fn path(name: &str) -> String {
    format!("/users/{}", segment(name))
}

fn sign_in(user: &User) -> Markup {
    html! {
        @if let Some(email) = &user.email { div { (short(email)) } }
        @match (&user.subject, &user.issuer) {
            (Some(subject), Some(issuer)) => { div.soft { (short(subject)) " at " (short(issuer)) } }
            _ => { div.soft { "Not signed in at a provider yet" } }
        }
        @if *user == User::unrecorded(&user.name) { div.soft { "Owns credentials" } }
        @else if !user.is_invited { div.soft { "By the rules of the workspace" } }
    }
}

fn roles(chosen: Role) -> Markup {
    html! {
        div.field { label for="role" { "Role" } select #role name="role" {
            @for role in Role::ALL { option value=(role.as_str()) selected[role == chosen] { (role.as_str()) } }
        } }
    }
}

fn invitation(visit: &Visit) -> Markup {
    html! {
        section.card aria-labelledby="invite" {
            h2 #invite { "Invite a user" }
            form.narrow.spaced method="post" action=(visit.to("/users")) novalidate {
                div.field {
                    label for="name" { "Name" }
                    input #name name="name" type="text" required maxlength="255" autocomplete="off" spellcheck="false" aria-describedby="name-hint" placeholder="ana@example.com" value=(visit.form.get("name"));
                    p.hint #name-hint { "The name owns tokens. An e-mail address is enough for an invitation." }
                }
                div.field {
                    label for="email" { "E-mail address " span.soft { "(if the name is not it)" } }
                    input #email name="email" type="text" inputmode="email" maxlength="254" autocomplete="off" spellcheck="false" value=(visit.form.get("email"));
                }
                (roles(Role::from_name(visit.form.get("role")).unwrap_or_default()))
                div.buttons { button.primary { "Invite" } }
            }
        }
    }
}

/// Reads the role of a form.
fn role(visit: &Visit) -> Result<Role, Problem> {
    let unknown = || Problem::invalid("unknown_role", "unknown role", "choose one of the roles");
    Role::from_name(visit.form.get("role")).ok_or_else(unknown)
}

async fn invite(visit: Visit) -> Shown {
    check_role(&visit, &[Role::Administrator])?;
    let role = role(&visit)?;
    let name = visit.form.get("name").trim().to_owned();
    let email = visit.form.filled("email").map(ToOwned::to_owned);
    let invited = visit
        .workspace()
        .change(&visit.identity, move |registry, actor| registry.invite_user(actor, &name, role, email.as_deref()));
    match invited.await {
        Ok(_) => Ok(visit.redirect("/users")),
        Err(problem) if problem.status().is_client_error() => page(&visit, problem.status(), problem.details()).await,
        Err(problem) => Err(problem),
    }
}

async fn stored(visit: &Visit) -> Result<User, Problem> {
    let name = visit.parameter("name");
    let read = move |registry: &mut Registry, _: &Actor| match registry.user(&name)? {
        None => Ok(registry.users_and_owners()?.into_iter().find(|user| user.name == name)),
        recorded => Ok(recorded),
    };
    let user = visit.workspace().read(&visit.identity, read).await?;
    let unknown =
        || Problem::new(StatusCode::NOT_FOUND, "not_found", "there is no such user", "open a user from the list");
    user.ok_or_else(unknown)
}

async fn form(visit: Visit) -> Shown {
    check_role(&visit, &[Role::Administrator])?;
    let user = stored(&visit).await?;
    Ok(rendered(&visit, StatusCode::OK, &user, &[]))
}

fn rendered(visit: &Visit, status: StatusCode, user: &User, problems: &[Detail]) -> Response {
    let action = visit.to(&path(&user.name));
    let content = html! {
        p.crumbs { a href=(visit.to("/users")) { "Users" } }
        h1 { (short(&user.name)) }
        @if !problems.is_empty() { (notice(problems)) }
        div { (sign_in(user)) }
        form.narrow.spaced method="post" action=(action) novalidate {
            (roles(user.role))
            div.field {
                label for="email" { "E-mail address" }
                input #email name="email" type="text" inputmode="email" maxlength="254" autocomplete="off" spellcheck="false" aria-describedby="email-hint" value=(user.email.as_deref().unwrap_or_default());
                p.hint #email-hint { "The first person whose provider has verified this address becomes the user." }
            }
            fieldset.choices { legend { "Sign-in" } div.chips {
                label.chip { input type="checkbox" name="disabled" value="yes" checked[user.is_disabled]; span { "Disabled" } }
                label.chip { input type="checkbox" name="invited" value="yes" checked[user.is_invited]; span { "Invited" } }
                @if user.subject.is_some() { label.chip { input type="checkbox" name="forget" value="yes"; span { "Forget the account at the provider" } } }
            } p.hint { "A disabled user loses every session and access token at once. Tokens and clients stay." } }
            div.buttons { button.primary { "Save" } a.button.quiet href=(visit.to("/users")) { "Cancel" } }
        }
        @if *user != User::unrecorded(&user.name) {
            form.narrow method="post" action={ (action) "/delete" } { button.danger { "Remove user" } }
        }
    };
    visit.page_with(status, Tab::Users, &user.name, &content)
}

async fn save(visit: Visit) -> Shown {
    check_role(&visit, &[Role::Administrator])?;
    let user = stored(&visit).await?;
    let edit = UserEdit {
        role: Some(role(&visit)?),
        is_disabled: Some(visit.form.filled("disabled").is_some()),
        is_invited: Some(visit.form.filled("invited").is_some()),
        email: Some(visit.form.filled("email").map(ToOwned::to_owned)).filter(|email| *email != user.email),
        forgets_sign_in: visit.form.filled("forget").is_some(),
    };
    let name = user.name.clone();
    changed(&visit, &user, move |registry, actor| registry.edit_user(actor, &name, &edit).map(drop)).await
}

async fn delete(visit: Visit) -> Shown {
    check_role(&visit, &[Role::Administrator])?;
    let user = stored(&visit).await?;
    let name = user.name.clone();
    changed(&visit, &user, move |registry, actor| registry.remove_user(actor, &name)).await
}

async fn changed(
    visit: &Visit,
    user: &User,
    work: impl FnOnce(&mut Registry, &Actor) -> portcullis_registry::Result<()> + Send + 'static,
) -> Shown {
    match visit.workspace().change(&visit.identity, work).await {
        Ok(()) => Ok(visit.redirect("/users")),
        Err(problem) if problem.status().is_client_error() => {
            Ok(rendered(visit, problem.status(), user, problem.details()))
        }
        Err(problem) => Err(problem),
    }
}
