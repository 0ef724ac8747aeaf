//! Documents that a registry writes and reads.

use portcullis::base::is_control;
use portcullis_document::load::Input;
use portcullis_registry::Actor;
use serde_json::{Value, json};

fn admin() -> Actor {
    Actor::new("ana", "2026-11-22T12:00:00Z".parse().unwrap()).unwrap().for_all_users()
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// Texts that JSON must escape, and texts that SQL could misread.
const TEXTS: [&str; 6] = [
    "plain",
    r#"with "quotes" and \backslashes\"#,
    "it's ' -- quoted; DROP TABLE tokens",
    "näme 漢字 🗺",
    "a\u{7f}b\u{2028}c",
    "{\"id\": \"x\"}, [null]",
];

#[test]
fn policy_document_has_exactly_what_an_export_has() {
    let mut tokens = Vec::new();
    for (index, text) in TEXTS.iter().enumerate() {
        // Names are of one line; a query may have any character.
        let name = text.replace(is_control, " ");
        tokens.push(json!({
            "id": format!("{index} {name}"), "name": name, "owner": format!("owner of {name}"),
            "token": format!("secret {index}"), "allowed_apis": ["sql", "maps"],
            "grants": [
                {"connection_name": "dw", "source": format!("SELECT '{}',\n\t1", text.replace('\'', "''")), "type": "query"},
                {"connection_name": "dw", "source": "a.b_*"},
                {"connection_name": "dw", "source": "*"}
            ],
            "referers": ["https://www.example.com/", "https://*.example.com/a"],
            "expiration_date": "2031-01-01T00:00:00.25Z", "created_at": "2026-01-01T00:00:00Z"
        }));
        tokens.push(
            json!({"id": format!("lds {index}"), "token": format!("secret of lds {index}"), "allowed_apis": ["lds"]}),
        );
    }
    let document = json!({
        "connections": [{"name": "dw", "dialect": "redshift", "case_sensitive": true, "named_sources_only": true}],
        "apis": [{"name": "tiles", "accepts": ["resource"]}],
        "tokens": tokens
    });
    let mut registry = super::empty();
    let empty = parsed(&registry.policy_document().unwrap());
    assert_eq!(empty, parsed(&registry.export(&admin()).unwrap()));
    registry.import(&admin(), &Input::new("document", document.to_string())).unwrap();
    let written = registry.policy_document().unwrap();
    assert_eq!(parsed(&written), parsed(&registry.export(&admin()).unwrap()));
    assert_eq!(parsed(&written)["tokens"].as_array().unwrap().len(), 2 * TEXTS.len());
    assert!(portcullis_document::read_policy(written).is_ok());
}

#[test]
fn import_of_many_tokens_is_one_change_with_one_entry_each() {
    const TOKENS: usize = 2_600;
    let token = |index: usize| {
        let grants = (0..index % 7).map(|grant| json!({"connection_name": "dw", "source": format!("a.t{grant}")}));
        let grants: Vec<_> =
            grants.chain([json!({"connection_name": "dw", "source": format!("b.t{index}")})]).collect();
        json!({"id": format!("t{index}"), "token": format!("secret {index}"), "allowed_apis": ["maps"], "grants": grants})
    };
    let document = Value::Array((0..TOKENS).map(token).collect()).to_string();
    let input = Input::new("document", document);
    let mut registry = super::empty();
    let imported = registry.import(&admin(), &input).unwrap();
    assert_eq!((imported.tokens.len(), imported.connections.len(), imported.unchanged), (TOKENS, 1, 0));
    assert_eq!(registry.revision().unwrap(), 1);
    let trail = registry.trail(&admin()).unwrap();
    assert_eq!(trail.len(), TOKENS + 1);
    assert!(trail.iter().zip(1..).all(|(entry, number)| entry.number == number && entry.revision == 1));
    let kept = registry.tokens(&admin()).unwrap();
    for token in &kept {
        let index: usize = token.id.trim_start_matches('t').parse().unwrap();
        assert_eq!(token.grants.len(), index % 7 + 1, "{}", token.id);
    }
    // All of them exist, are equal, and stay.
    let again = registry.import(&admin(), &input).unwrap();
    assert_eq!((again.tokens.len(), again.unchanged), (0, TOKENS));
    assert_eq!((registry.revision().unwrap(), registry.tokens(&admin()).unwrap()), (1, kept));
}

#[test]
fn import_compares_tokens_with_the_registry() {
    let lds =
        |id: &str, secret: &str, name: &str| json!({"id": id, "token": secret, "name": name, "allowed_apis": ["lds"]});
    let mut registry = super::empty();
    let first = json!([lds("a", "1", "first"), lds("b", "2", "second")]);
    registry.import(&admin(), &Input::new("document", first.to_string())).unwrap();
    for (tokens, conflict) in [
        (json!([lds("a", "3", "first")]), "token `a` differs"),
        (json!([lds("c", "1", "third")]), "the secret of token `c` is that of `a`"),
        (json!([lds("c", "3", "second")]), "name `second` of token `c` is that of `b`"),
    ] {
        let error = registry.import(&admin(), &Input::new("document", tokens.to_string())).unwrap_err().to_string();
        assert!(error.starts_with(conflict), "{tokens}: {error}");
        assert_eq!(registry.tokens(&admin()).unwrap().len(), 2, "{tokens}");
    }
}
