//! Callers that lose their rights while the body of their request arrives.

use portcullis_registry::record::{ClientKind, Role};
use portcullis_registry::{Registry, UserEdit};

use super::server::{Machine, Server, actor};
use super::spa::sign_in;

/// A way to lose rights, which the request must not outlive.
type Loss = (&'static str, fn(&Server, &Held), u16, &'static str);

/// What the administrator `bo` acts by.
struct Held {
    machine: Option<Machine>,
    secret: String,
}

const SCOPES: [&str; 3] = ["admin", "read:tokens", "write:tokens"];

fn by_root(server: &Server, work: impl FnOnce(&mut Registry, &portcullis_registry::Actor)) {
    server.registry(|registry| work(registry, &actor("root").for_all_users()));
}

fn disable(server: &Server, _: &Held) {
    let edit = UserEdit { is_disabled: Some(true), ..UserEdit::default() };
    by_root(server, |registry, root| drop(registry.edit_user(root, "bo", &edit).unwrap()));
}

fn demote(server: &Server, _: &Held) {
    by_root(server, |registry, root| drop(registry.set_role(root, "bo", Role::Developer).unwrap()));
}

fn revoke(server: &Server, held: &Held) {
    let Machine { id, secret } = held.machine.as_ref().unwrap();
    let form = format!("token={}&client_id={id}&client_secret={secret}", held.secret);
    server.form("/oauth/revoke", &form).expect(200);
}

fn delete_client(server: &Server, held: &Held) {
    let id = held.machine.as_ref().unwrap().id.clone();
    by_root(server, |registry, root| drop(registry.delete_client(root, ClientKind::M2m, &id).unwrap()));
}

fn sign_out(server: &Server, held: &Held) {
    let own = format!("http://{}", server.address);
    server.send("POST", "/logout", &[("cookie", &held.secret), ("origin", &own)], "").expect(303);
}

fn remove_user(server: &Server, _: &Held) {
    by_root(server, |registry, root| registry.remove_user(root, "bo").unwrap());
}

fn roles(server: &Server) -> Vec<(String, Role)> {
    let users = server.registry(|registry| registry.users().unwrap());
    users.into_iter().map(|user| (user.name, user.role)).filter(|(name, _)| !matches!(&**name, "bo" | "root")).collect()
}

fn start() -> Server {
    let server = Server::start();
    by_root(&server, |registry, root| drop(registry.set_role(root, "bo", Role::Administrator).unwrap()));
    server
}

#[test]
fn a_client_that_loses_its_rights_while_it_sends_a_body_changes_nothing() {
    let losses: [Loss; 4] = [
        ("the access token is revoked", revoke, 401, "invalid_token"),
        ("the user is disabled", disable, 401, "invalid_token"),
        ("the user is a developer", demote, 403, "role_needed"),
        ("the client is deleted", delete_client, 401, "invalid_token"),
    ];
    for (why, lose, status, reason) in losses {
        let server = start();
        let machine = server.machine("bo", Some(&SCOPES));
        let secret = server.access_of(&machine);
        let bearer = format!("Bearer {secret}");
        let held = Held { machine: Some(machine), secret };
        let headers = [("authorization", &*bearer), ("content-type", "application/json")];
        let send = |name: &str, meanwhile: &dyn Fn()| {
            let path = format!("/v3/users/{name}");
            server.send_slowly("PATCH", &path, &headers, r#"{"role": "administrator"}"#, meanwhile)
        };
        send("first", &|| {}).expect(200);
        let refused = send("mallory", &|| lose(&server, &held));
        assert_eq!((refused.status, &*refused.text("reason")), (status, reason), "{why}");
        assert_eq!(roles(&server), [("first".to_owned(), Role::Administrator)], "{why}");
    }
}

#[test]
fn a_user_who_loses_the_session_while_a_form_arrives_changes_nothing() {
    let losses: [Loss; 4] = [
        ("the session ends", sign_out, 401, "Sign in"),
        ("the user is disabled", disable, 401, "Sign in"),
        ("the user is a developer", demote, 403, "Only administrators manage users"),
        ("the user is removed", remove_user, 401, "Sign in"),
    ];
    for (why, lose, status, text) in losses {
        let server = start();
        let held = Held { machine: None, secret: sign_in(&server, "bo") };
        let own = format!("http://{}", server.address);
        let kind = "application/x-www-form-urlencoded";
        let headers = [("cookie", &*held.secret), ("origin", &*own), ("content-type", kind)];
        let send = |name: &str, meanwhile: &dyn Fn()| {
            let form = format!("name={name}&role=administrator");
            server.send_slowly("POST", "/users", &headers, &form, meanwhile)
        };
        send("first", &|| {}).expect(303);
        let refused = send("mallory", &|| lose(&server, &held));
        assert_eq!(refused.status, status, "{why}: {refused:?}");
        assert!(refused.body.contains(text), "{why}: {refused:?}");
        assert_eq!(roles(&server), [("first".to_owned(), Role::Administrator)], "{why}");
    }
}
