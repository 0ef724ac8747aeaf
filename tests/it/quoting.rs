//! Errors show text of users by one rule: in backticks, with characters escaped that a reader cannot see.

use std::error::Error;

use portcullis::base::is_unsafe;
use portcullis::model::{Apis, Expiry, GrantKinds, GrantSource, Limits, Policy, SourceType};
use portcullis::name::{Dialect, Name};
use portcullis::query::NamedSource;
use portcullis::referer::Entry;
use portcullis::snapshot::{Editor, Options};
use portcullis_document::load::{self, Input, LoadOptions};
use portcullis_registry::{Actor, ClientEdit, Location, NewToken, Registry, TokenEdit, record};
use serde_json::json;

/// A line end, an escape sequence, a change of direction, and a character without a mark.
const HIDDEN: &str = "x\n\u{1b}[31m\u{202e}\u{200b}y";

fn check(what: &str, error: &dyn Error) {
    let message = error.to_string();
    assert!(!message.chars().any(is_unsafe), "{what}: {message:?}");
}

fn limits() -> Limits {
    Limits::default()
}

#[test]
fn errors_of_the_engine_escape_hidden_characters() {
    let dialect = Dialect::Generic;
    check("referer", &Entry::parse(HIDDEN).unwrap_err());
    check("referer", &Entry::parse(&format!("https://a.example/{HIDDEN}#{HIDDEN}")).unwrap_err());
    check("referer", &Entry::parse(&format!("https://*a.example/{HIDDEN}")).unwrap_err());
    check("referer", &Entry::parse(&format!("https://u@a.example/{HIDDEN}")).unwrap_err());
    check("referer", &Entry::parse(&format!("{}:{HIDDEN}", "data")).unwrap_err());
    check("named source", &NamedSource::parse(HIDDEN).unwrap_err());
    check("dialect", &HIDDEN.parse::<Dialect>().unwrap_err());
    check("expiry", &Expiry::at_creation(HIDDEN, "2026-01-01".parse().unwrap()).unwrap_err());
    check("source", &GrantSource::guess(HIDDEN, dialect, &limits()).unwrap_err());
    for kind in SourceType::NAMES.into_iter().filter(|name| *name != "query") {
        let kind = SourceType::from_name(kind).unwrap();
        check("source", &GrantSource::typed(Some(HIDDEN), kind, dialect, &limits()).unwrap_err());
    }
    for hidden in HIDDEN.chars().filter(|character| is_unsafe(*character)) {
        let names = [format!("a{hidden}.b"), format!("\"a\"{hidden}.b"), format!("\"a{hidden}\".b")];
        for dialect in Dialect::ALL {
            for name in &names {
                if let Err(error) = Name::parse(name, dialect) {
                    check("name", &error);
                }
            }
        }
    }
    let mut apis = Apis::default();
    check("API", &apis.declare(HIDDEN, GrantKinds::of(&[])).unwrap_err());
    apis.declare(HIDDEN, GrantKinds::ALL).unwrap();
    check("API", &apis.declare(HIDDEN, GrantKinds::ALL).unwrap_err());
}

#[test]
fn errors_of_policies_and_edits_escape_hidden_characters() {
    // A document may hold these characters, except for controls.
    let id = "x\u{202e}\u{200b}y";
    let token = |id: &str, name: &str, secret: &str| {
        let token = json!({"id": id, "name": name, "token": secret, "allowed_apis": ["lds"]});
        load::policy(token.to_string()).unwrap()
    };
    let (one, two) = (token(id, id, "s"), token(id, "n", "t"));
    let both = |one: &Policy, two: &Policy| {
        let tokens = [one.tokens(), two.tokens()].concat();
        Policy::new(Vec::new(), Apis::default(), tokens, limits()).unwrap_err()
    };
    check("policy", &both(&one, &two));
    check("policy", &both(&one, &token("z", "n", "s")));
    check("policy", &both(&one, &token("z", id, "t")));
    let mut editor = Editor::new(&one, &Options::default()).unwrap();
    check("edit", &editor.create(&two).unwrap_err());
    check("edit", &editor.create(&token("z", "n", "s")).unwrap_err());
    check("edit", &editor.create(&token("z", id, "t")).unwrap_err());
    check("edit", &editor.revoke(HIDDEN).unwrap_err());
}

#[test]
fn diagnostics_escape_hidden_characters() {
    let text = json!({
        HIDDEN: 1,
        "version": 1,
        "connections": [{"name": HIDDEN, "dialect": HIDDEN}],
        "apis": [{"name": HIDDEN, "accepts": [HIDDEN]}],
        "tokens": [
            {"id": HIDDEN, "name": HIDDEN, "owner": HIDDEN, "token": "s", "allowed_apis": [HIDDEN, "maps"], HIDDEN: 1,
                "grants": [{"connection_name": HIDDEN, "source": HIDDEN, "type": HIDDEN}, {"connection_name": "dw",
                "source": HIDDEN}], "referers": [HIDDEN], "expiration_date": HIDDEN, "created_at": HIDDEN},
        ],
    });
    let options = LoadOptions { warnings: true, ..LoadOptions::default() };
    let loaded = load::load(&[Input::new(HIDDEN, text.to_string())], &options);
    assert!(loaded.diagnostics.len() > 10, "{:#?}", loaded.diagnostics);
    for found in &loaded.diagnostics {
        let shown = format!("{found}; {}", found.help);
        assert!(!shown.chars().any(is_unsafe), "{shown:?}");
    }
}

#[test]
fn errors_of_the_registry_escape_hidden_characters() {
    let folder = tempfile::tempdir().unwrap();
    let mut registry = Registry::open(&Location::file(folder.path().join("r.db")), true).unwrap();
    let ana = Actor::new("ana", "2026-01-01T00:00:00Z".parse().unwrap()).unwrap();
    check("actor", &Actor::new(HIDDEN, "2026-01-01T00:00:00Z".parse().unwrap()).unwrap_err());
    check("connection", &registry.add_connection(&ana, HIDDEN, "generic", None, false).unwrap_err());
    check("connection", &registry.add_connection(&ana, "dw", HIDDEN, None, false).unwrap_err());
    for hidden in ["x \u{202e}y", "x\u{200b}y"] {
        check("connection", &registry.add_connection(&ana, hidden, "generic", None, false).unwrap_err());
    }
    // A name may hold a character that joins others, which is invisible.
    let name = "x \u{645}\u{200c}\u{62e}";
    registry.add_connection(&ana, name, "generic", None, false).unwrap();
    check("connection", &registry.add_connection(&ana, name, "generic", None, false).unwrap_err());
    check("connection", &registry.connection(HIDDEN).unwrap_err());
    check("named source", &registry.create_named_source(&ana, HIDDEN, "SELECT 1", None).unwrap_err());
    check("named source", &registry.create_named_source(&ana, "abc", "SELECT 1", Some(HIDDEN)).unwrap_err());
    check("named source", &registry.named_source(HIDDEN).unwrap_err());
    check("token", &registry.token(&ana, HIDDEN).unwrap_err());
    let token = |name: &str, api: &str, referer: &str| NewToken {
        name: Some(name.to_owned()),
        apis: vec![api.to_owned()],
        referers: vec![referer.to_owned()],
        ..NewToken::default()
    };
    check("token", &registry.create_token(&ana, &token(HIDDEN, "lds", "https://a.example")).unwrap_err());
    check("token", &registry.create_token(&ana, &token("n", HIDDEN, "https://a.example")).unwrap_err());
    check("token", &registry.create_token(&ana, &token("n", "lds", HIDDEN)).unwrap_err());
    registry.create_token(&ana, &token(name, "lds", "https://a.example")).unwrap();
    check("token", &registry.create_token(&ana, &token(name, "lds", "https://a.example")).unwrap_err());
    let edit = TokenEdit { remove_referers: vec![HIDDEN.to_owned()], ..TokenEdit::default() };
    check("token", &registry.update_token(&ana, name, &edit).unwrap_err());
    let edit = TokenEdit { remove_grants: vec![(HIDDEN.to_owned(), HIDDEN.to_owned())], ..TokenEdit::default() };
    check("token", &registry.update_token(&ana, name, &edit).unwrap_err());
    check("token", &registry.rotate_token(&ana, name, Some(HIDDEN), None).unwrap_err());
    check("token", &registry.rotate_token(&ana, name, None, Some(HIDDEN)).unwrap_err());

    let spa = record::ClientKind::Spa;
    let callback = |url: &str| record::Urls { callbacks: vec![url.to_owned()], ..record::Urls::default() };
    check("client", &registry.create_client(&ana, spa, HIDDEN, &record::Urls::default()).unwrap_err());
    check("client", &registry.create_client(&ana, spa, "t", &callback(HIDDEN)).unwrap_err());
    check(
        "client",
        &registry.create_client(&ana, spa, "t", &callback(&format!("https://a.example/{HIDDEN}"))).unwrap_err(),
    );
    check("client", &registry.client(&ana, spa, HIDDEN).unwrap_err());
    registry.create_client(&ana, spa, name, &record::Urls::default()).unwrap();
    let edit = ClientEdit { remove: callback(HIDDEN), ..ClientEdit::default() };
    check("client", &registry.update_client(&ana, spa, name, &edit).unwrap_err());
}
