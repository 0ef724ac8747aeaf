//! Clients act only while their owner may.

use portcullis_registry::UserEdit;
use portcullis_registry::record::Role;

use super::{Spa, actor, answer};

fn set(spa: &Spa, name: &str, is_disabled: bool) {
    let edit = UserEdit { role: Some(Role::Developer), is_disabled: Some(is_disabled), ..UserEdit::default() };
    spa.server.registry(|registry| registry.edit_user(&actor("root").for_all_users(), name, &edit).unwrap());
}

#[test]
fn an_application_of_a_disabled_owner_gets_nothing() {
    let spa = Spa::start();
    let (tokens, code) = (spa.tokens(), spa.code(&[]));
    let shown = spa.authorize(&[("prompt", "consent")]).expect(200);
    set(&spa, "bo", true);
    assert_ne!(spa.exchange(&code).status, 200);
    let page = spa.authorize(&[("state", "disabled")]).expect(303);
    assert!(answer(&page).contains(&("error".into(), "unauthorized_client".into())), "{page:?}");
    assert_ne!(spa.refresh(&tokens.text("refresh_token")).status, 200);
    // A page that was open before decides nothing, and neither does a request that was read before.
    let asked = spa.submit(&shown, ("decision", "allow")).expect(303);
    assert!(answer(&asked).contains(&("error".into(), "unauthorized_client".into())), "{asked:?}");
    set(&spa, "bo", false);
    spa.refresh(&tokens.text("refresh_token")).expect(200);
}

#[test]
fn a_user_with_clients_is_not_removed() {
    let spa = Spa::start();
    let machine = spa.server.machine("eve", None);
    let root = actor("root").for_all_users();
    for (user, client) in [("eve", &machine.id), ("bo", &spa.id)] {
        set(&spa, user, true);
        let refused = spa.server.registry(|registry| registry.remove_user(&root, user).unwrap_err());
        assert!(refused.to_string().starts_with(&format!("the user `{user}` has the client `{client}`")), "{refused}");
    }
    let form = format!("grant_type=client_credentials&client_id={}&client_secret={}", machine.id, machine.secret);
    assert_eq!(spa.server.form("/oauth/token", &form).text("error"), "unauthorized_client");
    spa.server.registry(|registry| {
        let kind = portcullis_registry::record::ClientKind::M2m;
        registry.delete_client(&root, kind, &machine.id).unwrap();
        registry.remove_user(&root, "eve").unwrap();
    });
    assert_ne!(spa.server.form("/oauth/token", &form).status, 200);
}

#[test]
fn clients_of_a_user_whom_an_earlier_version_removed_stop_with_the_next_start() {
    let spa = Spa::start();
    let root = actor("root").for_all_users();
    // Earlier versions removed users who had clients.
    spa.server.registry(|registry| {
        for user in ["eve", "gus"] {
            registry.set_role(&root, user, Role::Auditor).unwrap();
            registry.remove_user(&root, user).unwrap();
        }
        registry.set_role(&root, "gus", Role::Developer).unwrap();
    });
    let names = ["eve", "gus", "never-recorded"];
    let forms = names.map(|user| {
        let machine = spa.server.machine(user, None);
        format!("grant_type=client_credentials&client_id={}&client_secret={}", machine.id, machine.secret)
    });
    let workspace = portcullis_workspace::Workspace::open(portcullis_workspace::Options {
        location: spa.server.location(),
        url: "http://localhost".into(),
        access_lifetime: 3600,
        rate: 1,
        keep_expired: 0,
        catalog: portcullis_workspace::Catalog::default(),
        sign_in: portcullis_workspace::SignInOptions::default(),
    });
    drop(workspace.unwrap());
    let statuses = forms.each_ref().map(|form| spa.server.form("/oauth/token", form).status);
    assert_eq!(statuses, [400, 200, 200], "removed, added again, and never recorded");
    let user = spa.server.registry(|registry| registry.user("eve").unwrap().unwrap());
    assert!(user.is_disabled && !user.is_invited);
}
