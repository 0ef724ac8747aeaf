//! The trail is append-only, whatever statement another program runs.

use portcullis_registry::{Actor, Location, Registry};

use super::raw::Raw;

const DUMP: &str = "SELECT group_concat(number || ' ' || \"user\" || ' ' || action || ' ' || id, '; ') FROM trail";
const COLUMNS: &str = "revision, at, \"user\", action, kind, id, owner, before, after";
const VALUES: &str = "1, '2020-01-01T00:00:00Z', 'bo', 'update', 'connection', 'dw', NULL, NULL, NULL";

/// Statements that would change, hide, remove or misplace an entry.
fn statements() -> Vec<String> {
    let mut statements = vec![
        "DELETE FROM trail".to_owned(),
        "DELETE FROM trail WHERE number = 2".to_owned(),
        "UPDATE trail SET \"user\" = 'bo'".to_owned(),
        "UPDATE OR IGNORE trail SET \"user\" = 'bo'".to_owned(),
        "UPDATE OR REPLACE trail SET number = 1 WHERE number = 2".to_owned(),
        "UPDATE OR REPLACE trail SET rowid = 1 WHERE rowid = 2".to_owned(),
        "UPDATE trail SET _rowid_ = 7 WHERE number = 3".to_owned(),
        "UPDATE trail SET \"user\" = 'bo' FROM registry WHERE trail.number = 1".to_owned(),
        "INSERT OR REPLACE INTO trail SELECT * FROM trail ORDER BY number DESC".to_owned(),
    ];
    for verb in ["INSERT OR REPLACE", "REPLACE", "INSERT OR IGNORE", "INSERT OR FAIL", "INSERT OR ROLLBACK", "INSERT"] {
        for key in ["number", "rowid", "_rowid_", "oid"] {
            // Numbers of existing entries, and numbers that are not the next one.
            for number in ["1", "3", "0", "-1", "-7", "5", "1000", "9223372036854775807"] {
                statements.push(format!("{verb} INTO trail ({key}, {COLUMNS}) VALUES ({number}, {VALUES})"));
            }
        }
    }
    for action in ["UPDATE SET \"user\" = 'bo'", "UPDATE SET number = number + 1", "NOTHING"] {
        let insert = format!("INSERT INTO trail (number, {COLUMNS}) VALUES (2, {VALUES})");
        statements.push(format!("{insert} ON CONFLICT (number) DO {action}"));
        statements.push(format!("{insert} ON CONFLICT DO {action}"));
    }
    statements
}

#[test]
fn no_statement_rewrites_the_trail() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("registry.db");
    let ana = Actor::new("ana", "2026-11-22".parse().unwrap()).unwrap();
    let mut registry = Registry::open(&Location::file(&path), true).unwrap();
    for name in ["dw", "lake", "pg"] {
        registry.add_connection(&ana, name, "generic", None, false).unwrap();
    }
    let mut raw = Raw::open(&path);
    let before = raw.text(DUMP).unwrap();
    assert_eq!(before, "1 ana create dw; 2 ana create lake; 3 ana create pg");
    for recursive in ["OFF", "ON"] {
        raw.run(&format!("PRAGMA recursive_triggers = {recursive}")).unwrap();
        for statement in statements() {
            let error = raw.run(&statement).expect_err(&statement);
            assert!(error.contains("the trail is append-only"), "{statement}: {error}");
            assert_eq!(raw.text(DUMP).unwrap(), before, "{statement}");
        }
    }
    // A refused statement leaves no gap, and the registry stays usable.
    registry.add_connection(&ana, "next", "generic", None, false).unwrap();
    assert_eq!(raw.text(DUMP).unwrap(), format!("{before}; 4 ana create next"));
    raw.run(&format!("INSERT INTO trail ({COLUMNS}) VALUES ({VALUES})")).unwrap();
    assert_eq!(raw.text("SELECT max(number) FROM trail").unwrap(), "5");
}
