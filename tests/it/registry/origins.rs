//! The origins of pages that may call the workspace.

use portcullis_registry::record::{ClientKind, Role, Urls};
use portcullis_registry::{Actor, ClientEdit, Location, Origins, Registry};

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

/// A copy is restored, and the application that changed last changes in another way: by its number, kind and id, the last entry
/// of the trail is the one that is known.
#[test]
fn origins_of_a_restored_copy_are_read_again() {
    let at = |time: &str| Actor::new("ana", time.parse().unwrap()).unwrap().for_all_users();
    let (one, two) = ("https://one.example.com", "https://two.example.com");
    let folder = tempfile::tempdir().unwrap();
    let (live, copy) = (folder.path().join("live.db"), folder.path().join("copy.db"));
    let open = |path| Registry::open(&Location::file(path), true).unwrap();
    let mut registry = open(live);
    let kind = ClientKind::Spa;
    let id = registry.create_client(&at("2026-11-22T12:00:00Z"), kind, "One", &Urls::default()).unwrap().client.id;
    drop(std::fs::File::create(&copy).unwrap());
    registry.copy_to(&copy).unwrap();
    let add = |registry: &mut Registry, time: &str, origin: &str| {
        let edit = ClientEdit { add: urls(origin), ..ClientEdit::default() };
        registry.update_client(&at(time), kind, &id, &edit).unwrap();
        registry.last_change().unwrap()
    };
    for (time, why) in [("2026-11-22T12:00:01Z", "the same second"), ("2026-11-22T12:00:02Z", "a later second")] {
        let folder = tempfile::tempdir().unwrap();
        let [known, restored] = ["known.db", "restored.db"].map(|name| folder.path().join(name));
        for path in [&known, &restored] {
            std::fs::copy(&copy, path).unwrap();
        }
        let (mut known, mut restored, mut origins) = (open(known), open(restored), Origins::default());
        let last = add(&mut known, "2026-11-22T12:00:01Z", one);
        known.update_origins(&mut origins).unwrap();
        assert!(origins.has(one));
        let other = add(&mut restored, time, two);
        assert_eq!((last.number, &last.kind, &last.id), (other.number, &other.kind, &other.id), "{why}");
        restored.update_origins(&mut origins).unwrap();
        assert!(!origins.has(one) && origins.has(two), "{why}");
        assert_eq!(restored.changes_since(&last, 10).unwrap(), None, "{why}");
    }
}
