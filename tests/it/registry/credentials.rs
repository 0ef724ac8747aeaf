//! Changes by a session or an access token: each checks it again.

use portcullis::model::SecretDigest;
use portcullis_registry::record::{Client, ClientKind, Role, Ticket, TicketKind, Urls};
use portcullis_registry::{Actor, Credential, NewAccess, NewToken, Registry, RegistryError, UserEdit};

/// A reason, what happens to the credentials, and what comes of a change by each of them.
type Loss = (&'static str, fn(&mut Registry, &Actor), [&'static str; 2]);

fn root() -> Actor {
    Actor::new("root", "2026-11-22T12:00:00Z".parse().unwrap()).unwrap().for_all_users()
}

fn ana() -> Actor {
    Actor::new("ana", "2026-11-22T12:00:00Z".parse().unwrap()).unwrap()
}

fn reason<T: std::fmt::Debug>(result: Result<T, RegistryError>) -> &'static str {
    result.map_or_else(|error| error.reason(), |_| "done")
}

/// Returns what comes of each kind of change of `actor`.
fn changes(registry: &mut Registry, actor: &Actor) -> [&'static str; 2] {
    let new = NewToken {
        apis: vec!["maps".into()],
        grants: vec![("dw".into(), "carto.shared.*".into())],
        ..NewToken::default()
    };
    [reason(registry.create_token(actor, &new)), reason(registry.set_role(actor, "mallory", Role::Auditor))]
}

/// Returns a registry, and an actor for each kind of credential, with the client of the access token.
fn start() -> (Registry, [Actor; 2], Client) {
    let mut registry = super::empty();
    registry.add_connection(&root(), "dw", "bigquery", None, false).unwrap();
    registry.set_role(&root(), "root", Role::Administrator).unwrap();
    registry.set_role(&root(), "ana", Role::Administrator).unwrap();
    let digest = SecretDigest::of("session");
    let session = Ticket {
        kind: TicketKind::Session,
        digest,
        user: "ana".into(),
        client: None,
        family: None,
        token: None,
        expires: "2026-11-22T13:00:00Z".parse().unwrap(),
        body: Vec::new(),
    };
    registry.put_ticket(&session).unwrap();
    let scopes = ["write:tokens".to_owned()];
    let client = registry.create_client(&ana(), ClientKind::M2m, "Night", &Urls::default()).unwrap().client;
    let new = NewAccess { client: &client, user: "ana", scopes: &scopes, referers: &[], family: None, lifetime: 3600 };
    let access = registry.issue_access(&ana(), &new).unwrap().secret.digest();
    let actor = |kind, digest| {
        let credential = Credential { kind, digest, role: Role::Administrator };
        ana().with_role(Role::Administrator).with_credential(credential)
    };
    let by_access = actor(TicketKind::AccessToken, access).with_scopes(&scopes);
    (registry, [actor(TicketKind::Session, digest), by_access], client)
}

#[test]
fn a_change_is_refused_after_its_credential_or_rights_have_ended() {
    let losses: [Loss; 4] = [
        ("nothing", |_, _| {}, ["done", "done"]),
        (
            "disabled",
            |registry, root| {
                let edit = UserEdit { is_disabled: Some(true), ..UserEdit::default() };
                registry.edit_user(root, "ana", &edit).unwrap();
            },
            ["credential_ended", "credential_ended"],
        ),
        (
            "another role",
            |registry, root| drop(registry.set_role(root, "ana", Role::Developer).unwrap()),
            ["rights_changed", "rights_changed"],
        ),
        (
            "both removed",
            |registry, root| {
                registry.remove_tickets(TicketKind::Session, "ana").unwrap();
                registry.remove_tickets(TicketKind::AccessToken, "ana").unwrap();
                registry.set_role(root, "bo", Role::Auditor).unwrap();
            },
            ["credential_ended", "credential_ended"],
        ),
    ];
    for (why, lose, expected) in losses {
        let (mut registry, actors, _) = start();
        for actor in &actors {
            assert_eq!(changes(&mut registry, actor), ["done", "done"]);
        }
        lose(&mut registry, &root());
        for (actor, expected) in actors.iter().zip(expected) {
            let before = registry.revision().unwrap();
            let found = changes(&mut registry, actor);
            assert_eq!(found, [expected, expected], "{why}");
            let is_unchanged = registry.revision().unwrap() == before;
            assert_eq!(is_unchanged, expected != "done", "{why}");
        }
    }
}

#[test]
fn an_access_token_ends_with_its_client_and_with_its_time() {
    let (mut registry, [session, access], client) = start();
    let (kind, digest, role) = (TicketKind::Session, SecretDigest::of("session"), Role::Administrator);
    let late = Actor::new("ana", "2026-11-22T13:00:00Z".parse().unwrap()).unwrap();
    let late = late.with_role(role).with_credential(Credential { kind, digest, role });
    assert_eq!(changes(&mut registry, &late), ["credential_ended", "credential_ended"]);
    registry.delete_client(&root(), ClientKind::M2m, &client.id).unwrap();
    assert_eq!(changes(&mut registry, &access), ["credential_ended", "credential_ended"]);
    assert_eq!(changes(&mut registry, &session), ["done", "done"]);
}
