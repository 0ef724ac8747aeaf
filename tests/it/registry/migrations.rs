//! Registries of an earlier version.

use std::path::Path;

use portcullis_registry::{Actor, Location, NewToken, Registry};
use sqlx::SqlStr;
use sqlx::migrate::{Migration, MigrationType, Migrator};

use super::raw::Raw;

/// Creates a registry as an earlier version with this schema does, with one connection and one trail entry.
fn earlier(path: &Path, schema: i64) {
    let migrations = [
        (1, "registry", include_str!("../../../crates/registry/migrations/sqlite/0001_registry.sql")),
        (2, "case_sensitive", include_str!("../../../crates/registry/migrations/sqlite/0002_case_sensitive.sql")),
    ];
    let migrations = migrations.into_iter().filter(|(version, ..)| *version <= schema);
    let migrations = migrations.map(|(version, name, sql)| {
        Migration::new(version, name.into(), MigrationType::Simple, SqlStr::from_static(sql), false)
    });
    let mut raw = Raw::open(path);
    raw.run("PRAGMA journal_mode = WAL").unwrap();
    raw.migrate(&Migrator::with_migrations(migrations.collect()));
    raw.run(
        "INSERT INTO connections (name, dialect, named_sources_only) VALUES ('dw', 'generic', 0);
         UPDATE registry SET revision = 1;
         INSERT INTO trail (revision, at, \"user\", action, kind, id) VALUES (1, '2026-11-20T00:00:00Z', 'ana', 'create', 'connection', 'dw');",
    )
    .unwrap();
}

const REPLACE: &str = "REPLACE INTO trail (number, revision, at, \"user\", action, kind, id) \
                       VALUES (1, 1, '2026-11-20T00:00:00Z', 'bo', 'create', 'connection', 'dw')";

#[test]
fn earlier_schema_is_readable_and_migrated_on_write() {
    for schema in [1, 2] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("registry.db");
        earlier(&path, schema);
        let location = Location::file(&path);
        let found = || Raw::open(&path).text("SELECT user_version FROM pragma_user_version").unwrap();
        let ana = Actor::new("ana", "2026-11-22".parse().unwrap()).unwrap();

        // Reading a registry changes nothing: an older version may still manage it.
        let mut read = Registry::open(&location, false).unwrap();
        assert_eq!((read.revision().unwrap(), read.connections().unwrap().len()), (1, 1));
        assert!(read.policy_document().unwrap().contains("\"dw\""));
        assert_eq!(found(), if schema == 1 { "5" } else { "2" });

        let mut written = Registry::open(&location, true).unwrap();
        assert_eq!(found(), "5");
        assert!(Raw::open(&path).run(REPLACE).unwrap_err().contains("append-only"));
        let new = NewToken { apis: vec!["lds".into()], ..NewToken::default() };
        written.create_token(&ana, &new).unwrap();
        // A registry that was open before the migration remains usable.
        assert_eq!((read.revision().unwrap(), read.tokens(&ana).unwrap().len()), (2, 1));
        read.create_token(&ana, &new).unwrap();
        drop((read, written));
        let mut again = Registry::open(&location, true).unwrap();
        let trail = again.trail(&ana).unwrap();
        assert_eq!(trail.iter().map(|entry| entry.number).collect::<Vec<_>>(), [1, 2, 3]);
    }
}
