//! Imports of many tokens into a SQLite file, which remove indexes and make them again.

use portcullis_document::load::Input;
use portcullis_registry::{Actor, Location, Registry, TokenOrder, TokenQuery};
use serde_json::{Value, json};

use super::raw::Raw;

/// Enough tokens that indexes are made again.
const TOKENS: usize = 6_000;

/// Everything that the database knows about its indexes.
const INDEXES: &str = "SELECT group_concat(tbl_name || ' ' || name || ' ' || coalesce(sql, ''), char(10) ORDER BY name) \
                       FROM sqlite_schema WHERE type = 'index'";

fn admin() -> Actor {
    Actor::new("ana", "2026-11-22T12:00:00Z".parse().unwrap()).unwrap().for_all_users()
}

fn document(tokens: std::ops::Range<usize>) -> Input {
    let token = |index: usize| {
        json!({
            "id": format!("t{index}"), "name": format!("name {}", TOKENS * 3 - index), "owner": format!("user {}", index % 7),
            "token": format!("secret {index}"), "allowed_apis": ["maps"],
            "grants": [{"connection_name": "dw", "source": "a.b"}, {"connection_name": "dw", "source": "c.*"}]
        })
    };
    let tokens = Value::Array(tokens.map(token).collect());
    let connections = json!([{"name": "dw", "dialect": "postgres"}]);
    Input::new("document", json!({"connections": connections, "tokens": tokens}).to_string())
}

#[test]
fn import_of_many_tokens_keeps_every_index() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("registry.db");
    let mut registry = Registry::open(&Location::file(&path), true).unwrap();
    let mut raw = Raw::open(&path);
    let indexes = raw.text(INDEXES).unwrap();
    assert!(
        indexes.contains("CREATE INDEX tokens_by_created") && indexes.contains("CREATE INDEX grants_by_connection")
    );
    // Into an empty table, into one of that size, and into one that is much larger.
    for tokens in [0..TOKENS, TOKENS..2 * TOKENS, 2 * TOKENS..2 * TOKENS + 10] {
        let imported = registry.import(&admin(), &document(tokens.clone())).unwrap();
        assert_eq!(imported.tokens.len(), tokens.len());
        assert_eq!(raw.text(INDEXES).unwrap(), indexes, "{tokens:?}");
        assert_eq!(raw.text("SELECT integrity_check FROM pragma_integrity_check").unwrap(), "ok", "{tokens:?}");
        for order in [TokenOrder::Created, TokenOrder::Name, TokenOrder::Expiry] {
            let query = TokenQuery { order, limit: 1, descending: true, ..TokenQuery::default() };
            assert_eq!(registry.token_page(&admin(), &query).unwrap().tokens.len(), 1, "{order:?}");
        }
    }
}

#[test]
fn import_that_fails_while_indexes_are_removed_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("registry.db");
    let mut registry = Registry::open(&Location::file(&path), true).unwrap();
    let mut raw = Raw::open(&path);
    // As a disk without space does, this stops the import after most of its rows.
    raw.run(&format!(
        "CREATE TRIGGER full BEFORE INSERT ON grants WHEN NEW.token = 't{}'
         BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END",
        TOKENS - 1
    ))
    .unwrap();
    let indexes = raw.text(INDEXES).unwrap();
    let error = registry.import(&admin(), &document(0..TOKENS)).unwrap_err().to_string();
    assert!(error.contains("disk is full"), "{error}");
    assert_eq!(raw.text(INDEXES).unwrap(), indexes);
    assert_eq!((registry.revision().unwrap(), registry.tokens(&admin()).unwrap().len()), (0, 0));
    assert_eq!(registry.connections().unwrap(), []);
    raw.run("DROP TRIGGER full").unwrap();
    assert_eq!(registry.import(&admin(), &document(0..TOKENS)).unwrap().tokens.len(), TOKENS);
    assert_eq!(raw.text(INDEXES).unwrap(), indexes);
}
