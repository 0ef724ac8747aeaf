//! Clients act only while their owner may.

use portcullis_registry::UserEdit;
use portcullis_registry::record::Role;

use super::{Spa, actor};

fn set(spa: &Spa, name: &str, is_disabled: bool) {
    let edit = UserEdit { role: Some(Role::Developer), is_disabled: Some(is_disabled), ..UserEdit::default() };
    spa.server.registry(|registry| registry.edit_user(&actor("root").for_all_users(), name, &edit).unwrap());
}

#[test]
fn an_application_of_a_disabled_owner_gets_nothing() {
    let spa = Spa::start();
    let (tokens, code) = (spa.tokens(), spa.code(&[]));
    set(&spa, "bo", true);
    assert_ne!(spa.exchange(&code).status, 200);
    assert_ne!(spa.refresh(&tokens.text("refresh_token")).status, 200);
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
