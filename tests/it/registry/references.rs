//! References to tokens and clients: an id or a name, never the id of one token and the name of another.

use portcullis_document::load::Input;
use portcullis_registry::record::{ClientKind, Urls};
use portcullis_registry::{Actor, ClientEdit, NewToken, Registry, RegistryError, Result, TokenEdit};

fn ana() -> Actor {
    Actor::new("ana", "2026-11-22T12:00:00Z".parse().unwrap()).unwrap()
}

/// Tokens by id and name: `a` has the name `b`, and `b` has the name `c`; `p` and `q` have each other's ids as names.
fn registry() -> Registry {
    let token = |id: &str, name: &str, owner: &str| {
        format!(r#"{{"id": "{id}", "name": "{name}", "owner": "{owner}", "token": "s-{id}", "allowed_apis": ["lds"]}}"#)
    };
    let tokens = [
        token("a", "b", "ana"),
        token("b", "c", "bo"),
        token("p", "q", "ana"),
        token("q", "p", "ana"),
        token("x", "y", "ana"),
        token("id:x", "odd", "bo"),
    ];
    let mut registry = super::empty();
    registry.import(&ana().for_all_users(), &Input::new("a.json", format!("[{}]", tokens.join(",")))).unwrap();
    registry
}

type Action = fn(&mut Registry, &Actor, &str) -> Result<String>;

/// Every action on a token given by reference; returns the id of the affected token.
const ACTIONS: [(&str, Action); 4] = [
    ("get", |registry, actor, name| Ok(registry.token(actor, name)?.id)),
    ("update", |registry, actor, name| {
        let edit = TokenEdit { name: Some("other".into()), ..TokenEdit::default() };
        Ok(registry.update_token(actor, name, &edit)?.0.id)
    }),
    ("rotate", |registry, actor, name| Ok(registry.rotate_token(actor, name, Some("1d"), Some("7d"))?.token.id)),
    ("delete", |registry, actor, name| Ok(registry.delete_token(actor, name, true)?.id)),
];

#[test]
fn a_reference_that_is_one_tokens_id_and_anothers_name_is_refused() {
    let admin = ana().for_all_users();
    for (name, action) in ACTIONS {
        for (reference, ids) in [("b", ["`id:a`", "`id:b`"]), ("p", ["`id:p`", "`id:q`"]), ("q", ["`id:p`", "`id:q`"])]
        {
            let mut registry = registry();
            let before = registry.export(&admin).unwrap();
            let RegistryError::Refused(advice) = action(&mut registry, &admin, reference).expect_err(name) else {
                panic!("{name}")
            };
            assert_eq!(advice.message, format!("`{reference}` is the id of one token and the name of another"));
            assert!(ids.iter().all(|id| advice.help.contains(id)), "{name} {reference}: {}", advice.help);
            assert_eq!(registry.export(&admin).unwrap(), before, "{name} {reference}");
        }
        // An imported id may start with `id:`: it is not a reference to another token.
        let mut odd = registry();
        let before = odd.export(&admin).unwrap();
        let RegistryError::Refused(advice) = action(&mut odd, &admin, "id:x").expect_err(name) else {
            panic!("{name}")
        };
        assert_eq!(advice.message, "`id:x` means the token with the id `x` and is the id of another");
        assert!(["`x` of `ana`", "`id:id:x` of `bo`"].iter().all(|id| advice.help.contains(id)), "{}", advice.help);
        assert_eq!(odd.export(&admin).unwrap(), before, "{name}");
        // The references in the error work, and so does every unambiguous reference.
        for (reference, id) in [
            ("id:a", "a"),
            ("id:b", "b"),
            ("id:p", "p"),
            ("id:q", "q"),
            ("a", "a"),
            ("c", "b"),
            ("id:id:x", "id:x"),
            ("odd", "id:x"),
            ("x", "x"),
        ] {
            assert_eq!(action(&mut registry(), &admin, reference).expect(reference), id, "{name} {reference}");
        }
        // A user who may see only one of them gets that one.
        assert_eq!(action(&mut registry(), &ana(), "b").unwrap(), "a", "{name}");
        let bo = Actor::new("bo", "2026-11-22T12:00:00Z".parse().unwrap()).unwrap();
        assert_eq!(action(&mut registry(), &bo, "b").unwrap(), "b", "{name}");
        for missing in ["id:c", "id:", "id:none", "none"] {
            let RegistryError::Refused(advice) = action(&mut registry(), &admin, missing).expect_err(missing) else {
                panic!("{name}")
            };
            assert!(advice.message.starts_with("there is no token `"), "{}", advice.message);
        }
    }
}

#[test]
fn a_name_that_is_another_tokens_id_cannot_be_given() {
    let mut registry = registry();
    let new = |name: &str| NewToken { name: Some(name.into()), apis: vec!["lds".into()], ..NewToken::default() };
    // Also if that token belongs to another user.
    for name in ["b", "p"] {
        let created = registry.create_token(&ana(), &new(name)).unwrap_err().to_string();
        assert!(created.starts_with(&format!("name `{name}` is the id of another token; ")), "{created}");
        let edit = TokenEdit { name: Some(name.into()), ..TokenEdit::default() };
        let edited = registry.update_token(&ana(), "a", &edit).map(drop);
        // Its current name may stay.
        assert_eq!(edited.is_ok(), name == "b", "{name}");
    }
    let reserved = registry.create_token(&ana(), &new("id:free")).unwrap_err().to_string();
    assert!(reserved.starts_with("the name `id:free` starts with `id:`; "), "{reserved}");
    registry.create_token(&ana(), &new("free")).unwrap();
}

type ClientAction = fn(&mut Registry, &Actor, ClientKind, &str) -> Result<String>;

#[test]
fn a_reference_that_is_one_clients_id_and_anothers_title_is_refused() {
    let actions: [ClientAction; 3] = [
        |registry, actor, kind, name| Ok(registry.client(actor, kind, name)?.id),
        |registry, actor, kind, name| {
            let edit = ClientEdit { title: Some("other".into()), ..ClientEdit::default() };
            Ok(registry.update_client(actor, kind, name, &edit)?.id)
        },
        |registry, actor, kind, name| Ok(registry.delete_client(actor, kind, name)?.id),
    ];
    let admin = ana().for_all_users();
    for kind in [ClientKind::Spa, ClientKind::M2m] {
        for action in actions {
            let (mut registry, mut sql) = super::empty_with_sql();
            let mut client =
                |title: &str| registry.create_client(&ana(), kind, title, &Urls::default()).map(|new| new.client.id);
            let (first, second) = (client("one").unwrap(), client("two").unwrap());
            // No command accepts that title, but an earlier version did.
            assert!(client(&first).unwrap_err().to_string().starts_with("the title "));
            sql(&format!("UPDATE clients SET title = '{first}' WHERE id = '{second}'"));
            let RegistryError::Refused(advice) = action(&mut registry, &admin, kind, &first).unwrap_err() else {
                panic!()
            };
            assert_eq!(advice.message, format!("`{first}` is the id of one client and the title of another"));
            assert!(advice.help.contains(&format!("`id:{first}`")) && advice.help.contains(&format!("`id:{second}`")));
            assert_eq!(registry.clients(&admin, kind).unwrap().len(), 2);
            assert_eq!(action(&mut registry, &admin, kind, &format!("id:{first}")).unwrap(), first);
        }
    }
}
