//! Users: invitations, sign-ins, disabled and removed users.

use portcullis_registry::record::{Role, Ticket, TicketKind, Urls, User};
use portcullis_registry::{
    Actor, Admission, ClientAccess, NewAccess, Registry, RegistryError, SignedIn, TokenEdit, TypedGrant, UserEdit,
    default_scopes,
};

const NOW: &str = "2026-11-22T12:00:00Z";

fn root() -> Actor {
    Actor::new("root", NOW.parse().unwrap()).unwrap().for_all_users()
}

fn registry() -> Registry {
    let mut registry = super::empty();
    registry.set_role(&root(), "root", Role::Administrator).unwrap();
    registry
}

fn person(subject: &str, email: Option<&str>) -> SignedIn {
    SignedIn { issuer: "https://login.example.com".into(), subject: subject.into(), email: email.map(Into::into) }
}

fn admission(subject: &str, email: Option<&str>) -> Admission {
    Admission { person: person(subject, email), is_welcome: false, role: None }
}

fn reason<T: std::fmt::Debug>(result: Result<T, RegistryError>) -> &'static str {
    result.unwrap_err().reason()
}

#[test]
fn a_user_is_stored_and_read_with_every_field() {
    let mut registry = registry();
    let invited = registry.invite_user(&root(), "ana", Role::Auditor, Some("Ana@example.com")).unwrap();
    assert_eq!(invited, User { email: Some("Ana@example.com".into()), ..User::new("ana", Role::Auditor) });
    let edit = UserEdit { is_disabled: Some(true), is_invited: Some(false), ..UserEdit::default() };
    let edited = registry.edit_user(&root(), "ana", &edit).unwrap();
    assert_eq!(registry.user("ana").unwrap(), Some(edited.clone()));
    assert!(edited.is_disabled && !edited.is_invited);
    let enabled = UserEdit { is_disabled: Some(false), is_invited: Some(true), ..UserEdit::default() };
    registry.edit_user(&root(), "ana", &enabled).unwrap();
    let bound = registry.admit(&root(), &admission("7", Some("ana@example.com"))).unwrap();
    assert_eq!((bound.subject.as_deref(), bound.email.as_deref()), (Some("7"), Some("ana@example.com")));
    assert_eq!(registry.users().unwrap().iter().map(|user| &*user.name).collect::<Vec<_>>(), ["ana", "root"]);
    registry.remove_user(&root(), "ana").unwrap();
    assert_eq!(registry.user("ana").unwrap(), None);
    let trail = registry.trail(&root()).unwrap();
    let actions: Vec<_> = trail.iter().map(|entry| &*entry.action).collect();
    assert_eq!(actions, ["set role", "update", "update", "update", "update", "delete"]);
}

#[test]
fn an_edit_without_an_effect_is_no_change() {
    let mut registry = registry();
    registry.admit(&root(), &Admission { is_welcome: true, ..admission("7", None) }).unwrap();
    let before = registry.revision().unwrap();
    registry.edit_user(&root(), "root", &UserEdit::default()).unwrap();
    registry.admit(&root(), &Admission { is_welcome: true, ..admission("7", None) }).unwrap();
    assert_eq!(registry.revision().unwrap(), before);
}

#[test]
fn an_address_of_two_users_is_of_neither() {
    let mut registry = registry();
    registry.set_role(&root(), "ana@example.com", Role::Developer).unwrap();
    let taken = registry.invite_user(&root(), "ana", Role::Developer, Some("ANA@EXAMPLE.COM"));
    assert_eq!(reason(taken), "email_taken");
    // The name of a later record may be the address of an earlier one.
    registry.invite_user(&root(), "bo", Role::Developer, Some("bo@example.com")).unwrap();
    registry.set_role(&root(), "bo@example.com", Role::Developer).unwrap();
    assert_eq!(reason(registry.admit(&root(), &admission("8", Some("bo@example.com")))), "not_invited");
    registry.admit(&root(), &admission("7", Some("ana@example.com"))).unwrap();
}

#[test]
fn somebody_remains_an_administrator_who_may_sign_in() {
    let mut registry = registry();
    registry.set_role(&root(), "ana", Role::Administrator).unwrap();
    let disabled = UserEdit { is_disabled: Some(true), ..UserEdit::default() };
    registry.edit_user(&root(), "ana", &disabled).unwrap();
    // The other administrator is disabled.
    assert_eq!(reason(registry.edit_user(&root(), "root", &disabled)), "last_administrator");
    assert_eq!(reason(registry.set_role(&root(), "root", Role::Auditor)), "last_administrator");
    assert_eq!(reason(registry.remove_user(&root(), "root")), "last_administrator");
    registry.edit_user(&root(), "ana", &UserEdit { is_disabled: Some(false), ..UserEdit::default() }).unwrap();
    registry.remove_user(&root(), "root").unwrap();
}

#[test]
fn the_provider_does_not_take_the_last_administrator_away() {
    let mut registry = registry();
    registry.invite_user(&root(), "ana", Role::Administrator, Some("ana@example.com")).unwrap();
    registry.remove_user(&root(), "root").unwrap();
    let demoted = Admission { role: Some(Role::Developer), ..admission("7", Some("ana@example.com")) };
    assert_eq!(registry.admit(&root(), &demoted).unwrap().role, Role::Administrator);
    registry.set_role(&root(), "root", Role::Administrator).unwrap();
    assert_eq!(registry.admit(&root(), &demoted).unwrap().role, Role::Developer, "another administrator remains");
}

#[test]
fn an_access_token_is_neither_rotated_nor_edited() {
    let mut registry = registry();
    registry.add_connection(&root(), "carto_dw", "bigquery", None, false).unwrap();
    let ana = Actor::new("ana", NOW.parse().unwrap()).unwrap();
    let kind = portcullis_registry::record::ClientKind::M2m;
    let grant = TypedGrant { connection: "carto_dw".into(), source: "carto.shared.*".into(), kind: None };
    let access = ClientAccess { apis: vec!["maps".into()], grants: vec![grant] };
    let client = registry.create_client_with(&ana, kind, "Night", &Urls::default(), &access, None).unwrap().client;
    let new = NewAccess { client: &client, user: "ana", scopes: &[], referers: &[], family: None, lifetime: 3600 };
    let id = registry.issue_access(&ana, &new).unwrap().id;
    let message = format!("`{id}` is an access token of the client `{}`", client.id);
    for refused in [
        registry.rotate_token(&ana, &id, None, Some("never")).unwrap_err(),
        registry.rotate_token(&ana, &id, Some("7d"), None).unwrap_err(),
        registry.update_token(&ana, &id, &TokenEdit { name: Some("kept".into()), ..TokenEdit::default() }).unwrap_err(),
    ] {
        assert!(refused.to_string().starts_with(&message), "{refused}");
    }
    registry.delete_token(&ana, &id, false).unwrap();
}

#[test]
fn a_disabled_user_loses_what_was_issued_and_gets_nothing_new() {
    let mut registry = registry();
    let ana = Actor::new("ana", NOW.parse().unwrap()).unwrap();
    let kind = portcullis_registry::record::ClientKind::M2m;
    let client = registry.create_client(&ana, kind, "Night", &Urls::default()).unwrap().client;
    let scopes = default_scopes();
    let new = NewAccess { client: &client, user: "ana", scopes: &scopes, referers: &[], family: None, lifetime: 3600 };
    let issued = registry.issue_access(&ana, &new).unwrap();
    let (digest, now) = (issued.secret.digest(), NOW.parse().unwrap());
    let session = Ticket {
        kind: TicketKind::Session,
        digest,
        user: "ana".into(),
        client: None,
        family: None,
        token: None,
        expires: issued.expires,
        body: Vec::new(),
    };
    registry.put_ticket(&session).unwrap();
    registry
        .put_ticket(&Ticket { user: "bo".into(), digest: portcullis::model::SecretDigest::of("bo"), ..session })
        .unwrap();
    assert!(registry.access(&digest, now).unwrap().is_some());
    let disabled = UserEdit { is_disabled: Some(true), ..UserEdit::default() };
    registry.edit_user(&root(), "ana", &disabled).unwrap();
    assert_eq!(registry.access(&digest, now).unwrap(), None);
    assert_eq!(registry.ticket(TicketKind::Session, &digest, now).unwrap(), None);
    let other = portcullis::model::SecretDigest::of("bo");
    assert!(registry.ticket(TicketKind::Session, &other, now).unwrap().is_some(), "another user keeps the session");
    assert_eq!(reason(registry.issue_access(&ana, &new)), "user_disabled");
    registry.edit_user(&root(), "ana", &UserEdit { is_disabled: Some(false), ..UserEdit::default() }).unwrap();
    registry.issue_access(&ana, &new).unwrap();
    assert_eq!(registry.access(&digest, now).unwrap(), None, "what was revoked stays revoked");
}

#[test]
fn a_removed_ticket_is_not_extended() {
    let mut registry = registry();
    let now: portcullis::base::Timestamp = NOW.parse().unwrap();
    let digest = portcullis::model::SecretDigest::of("a");
    let at = |seconds: i64| portcullis::base::Timestamp::from_unix(now.seconds() + seconds, 0);
    let ticket = Ticket {
        kind: TicketKind::Session,
        digest,
        user: "ana".into(),
        client: None,
        family: None,
        token: None,
        expires: at(10),
        body: Vec::new(),
    };
    registry.put_ticket(&ticket).unwrap();
    for (until, want) in [(20, 20), (15, 20)] {
        registry.extend_ticket(TicketKind::Session, &digest, at(until)).unwrap();
        assert_eq!(registry.ticket(TicketKind::Session, &digest, now).unwrap().unwrap().expires, at(want));
    }
    registry.take_ticket(TicketKind::Session, &digest, now).unwrap();
    registry.extend_ticket(TicketKind::Session, &digest, at(30)).unwrap();
    assert_eq!(registry.ticket(TicketKind::Session, &digest, now).unwrap(), None);
}

#[test]
fn a_new_user_does_not_look_like_another() {
    let mut registry = registry();
    registry.add_connection(&root(), "dw", "postgres", None, false).unwrap();
    registry.invite_user(&root(), "ana@example.com", Role::Developer, None).unwrap();
    // A user without a record, who owns a client.
    let carl = Actor::new("carl", NOW.parse().unwrap()).unwrap();
    let kind = portcullis_registry::record::ClientKind::M2m;
    registry.create_client(&carl, kind, "Night", &Urls::default()).unwrap();
    for name in ["Ana@example.com", "\u{430}na@example.com", "ana@ex\u{ff41}mple.com", "Carl", "car1", "ROOT"] {
        let invited = registry.invite_user(&root(), name, Role::Developer, None);
        assert_eq!(reason(invited), "user_looks_alike", "{name:?}");
        let set = registry.set_role(&root(), name, Role::Administrator);
        assert_eq!(reason(set), "user_looks_alike", "{name:?}");
    }
    for name in ["ana@example.com\u{200b}", "\u{202e}ana"] {
        let invited = registry.invite_user(&root(), name, Role::Developer, None);
        assert_eq!(reason(invited), "invalid_value", "{name:?}");
    }
    for name in [" dora", "dora ", "\u{a0}dora"] {
        let invited = registry.invite_user(&root(), name, Role::Developer, None);
        assert!(invited.unwrap_err().to_string().contains("has blanks around it"), "{name:?}");
    }
    // A person of the provider gets no such name either.
    let welcome = |subject: &str, email: &str| Admission { is_welcome: true, ..admission(subject, Some(email)) };
    assert_eq!(reason(registry.admit(&root(), &welcome("7", "\u{430}na@example.com"))), "user_looks_alike");
    registry.admit(&root(), &welcome("8", "anna@example.com")).unwrap();
    // An owner has a name already, and an administrator must be able to disable the user.
    let look_alike = Actor::new("C\u{430}rl", NOW.parse().unwrap()).unwrap();
    registry.create_client(&look_alike, kind, "Night", &Urls::default()).unwrap();
    let disabled = UserEdit { is_disabled: Some(true), ..UserEdit::default() };
    registry.edit_user(&root(), "C\u{430}rl", &disabled).unwrap();
    registry.edit_user(&root(), "C\u{430}rl", &UserEdit::default()).unwrap();
    registry.set_role(&root(), "carl", Role::Auditor).unwrap();
}
