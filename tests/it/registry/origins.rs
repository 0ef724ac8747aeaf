//! The origins of pages that may call the workspace.

use portcullis_registry::record::{ClientKind, Role, Urls};
use portcullis_registry::{Actor, ClientEdit, Origins};

fn urls(origin: &str) -> Urls {
    Urls { web_origins: vec![origin.to_owned()], ..Urls::default() }
}

#[test]
fn origins_follow_the_changes_of_applications() {
    let ana = Actor::new("ana", "2026-11-22T12:00:00Z".parse().unwrap()).unwrap().for_all_users();
    let (mut registry, mut origins) = (super::empty(), Origins::default());
    let (one, two) = ("https://one.example.com", "https://two.example.com");
    registry.update_origins(&mut origins).unwrap();
    assert!(!origins.has(one));
    let kind = ClientKind::Spa;
    let first = registry.create_client(&ana, kind, "One", &urls(one)).unwrap().client.id;
    let second = registry.create_client(&ana, kind, "Two", &urls(one)).unwrap().client.id;
    registry.update_origins(&mut origins).unwrap();
    assert!(origins.has(one) && !origins.has(two));
    registry.delete_client(&ana, kind, &first).unwrap();
    registry.update_origins(&mut origins).unwrap();
    assert!(origins.has(one), "another application has it");
    let added =
        ClientEdit { add: Urls { allowed_origins: vec![two.into()], ..Urls::default() }, ..ClientEdit::default() };
    registry.update_client(&ana, kind, &second, &added).unwrap();
    // More changes than are read one by one.
    for change in 0..1100 {
        let role = if change % 2 == 0 { Role::Auditor } else { Role::Developer };
        registry.set_role(&ana, "bo", role).unwrap();
    }
    registry.update_origins(&mut origins).unwrap();
    assert!(origins.has(one) && origins.has(two));
    let removed = ClientEdit { remove: urls(one), ..ClientEdit::default() };
    registry.update_client(&ana, kind, &second, &removed).unwrap();
    registry.update_origins(&mut origins).unwrap();
    assert!(!origins.has(one) && origins.has(two));
    // Another registry, such as an earlier copy.
    super::empty().update_origins(&mut origins).unwrap();
    assert!(!origins.has(two));
}
