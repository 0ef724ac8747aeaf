//! Guarantees of a registry in PostgreSQL.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use portcullis_registry::record::Usage;
use portcullis_registry::{Actor, LastChange, Location, NewToken, Registry, RegistryError, TokenEdit};

use crate::postgres::{Cluster, Database, PASSWORD, USER};

fn ana() -> Actor {
    Actor::new("ana", "2026-11-22T12:00:00Z".parse().unwrap()).unwrap()
}

fn new() -> NewToken {
    NewToken { apis: vec!["lds".into()], ..NewToken::default() }
}

fn open(database: &Database) -> Registry {
    Registry::open(&database.location(), true).unwrap()
}

fn error(url: &str) -> String {
    let opened = url.parse::<Location>().and_then(|location| Registry::open(&location, true));
    let message = opened.unwrap_err().to_string();
    assert!(!message.contains(PASSWORD), "{url}: {message}");
    message
}

const DUMP: &str = "SELECT string_agg(number || ' ' || \"user\" || ' ' || action || ' ' || id, '; ' ORDER BY number) \
                    FROM portcullis.trail";

#[test]
fn no_statement_rewrites_the_trail() {
    const COLUMNS: &str = "revision, at, \"user\", action, kind, id";
    const VALUES: &str = "1, '2020-01-01T00:00:00Z', 'bo', 'update', 'connection', 'dw'";
    let Some(cluster) = Cluster::shared() else { return };
    let database = cluster.database();
    let mut registry = open(&database);
    for name in ["dw", "lake", "pg"] {
        registry.add_connection(&ana(), name, "generic", None, false).unwrap();
    }
    let mut raw = database.raw();
    let before = raw.text(DUMP).unwrap();
    assert_eq!(before, "1 ana create dw; 2 ana create lake; 3 ana create pg");
    let mut statements: Vec<String> = [
        "DELETE FROM trail",
        "DELETE FROM trail WHERE number = 3",
        "TRUNCATE trail",
        "TRUNCATE registry, trail CASCADE",
        "UPDATE trail SET \"user\" = 'bo'",
        "UPDATE trail SET number = number + 10",
        "UPDATE trail SET \"user\" = 'bo' FROM registry WHERE trail.number = 1",
        "INSERT INTO trail SELECT * FROM trail",
    ]
    .map(ToOwned::to_owned)
    .into();
    for number in ["1", "3", "0", "-1", "5", "1000", "9223372036854775807"] {
        for end in ["", "ON CONFLICT DO NOTHING", "ON CONFLICT (number) DO UPDATE SET \"user\" = 'bo'"] {
            statements.push(format!("INSERT INTO trail (number, {COLUMNS}) VALUES ({number}, {VALUES}) {end}"));
        }
    }
    for statement in &statements {
        let error = raw.run(&format!("SET search_path TO portcullis; {statement}")).expect_err(statement);
        assert!(error.contains("the trail is append-only"), "{statement}: {error}");
        assert_eq!(raw.text(DUMP).unwrap(), before, "{statement}");
    }
    registry.add_connection(&ana(), "next", "generic", None, false).unwrap();
    assert_eq!(raw.text(DUMP).unwrap(), format!("{before}; 4 ana create next"));
}

#[test]
fn concurrent_writers_make_revisions_without_gaps_that_a_reader_sees_in_order() {
    const WRITERS: usize = 8;
    const TOKENS: usize = 12;
    let Some(cluster) = Cluster::shared() else { return };
    let database = cluster.database();
    let mut follower = open(&database);
    let is_done = AtomicBool::new(false);
    let read = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|_| {
                scope.spawn(|| {
                    let mut registry = open(&database);
                    for at in 0..TOKENS {
                        // Some of them roll back: the number of a refused change is used by the next one.
                        if at % 3 == 0 {
                            registry.add_connection(&ana(), "no, name", "generic", None, false).unwrap_err();
                            registry.delete_token(&ana(), "none", false).unwrap_err();
                        }
                        registry.create_token(&ana(), &new()).unwrap();
                    }
                })
            })
            .collect();
        let reader = scope.spawn(|| {
            let (mut last, mut tokens) = (LastChange::default(), 0);
            loop {
                // In this order: what was committed before the end is read after it.
                let is_last = is_done.load(Ordering::SeqCst);
                let changes = follower.changes_since(&last, 1_000).unwrap().unwrap();
                assert!(changes.last.number >= last.number && changes.gone.is_empty());
                tokens += changes.tokens.len();
                assert_eq!(u64::try_from(tokens).unwrap(), changes.last.number, "an entry was skipped");
                last = changes.last;
                if is_last {
                    return tokens;
                }
            }
        });
        for writer in writers {
            writer.join().unwrap();
        }
        is_done.store(true, Ordering::SeqCst);
        reader.join().unwrap()
    });
    assert_eq!(read, WRITERS * TOKENS);
    let trail = follower.trail(&ana()).unwrap();
    assert!(trail.iter().zip(1..).all(|(entry, number)| entry.number == number && entry.revision == number));
    assert_eq!(follower.revision().unwrap(), (WRITERS * TOKENS) as u64);
}

#[test]
fn uncommitted_change_of_another_program_delays_later_ones_and_is_not_skipped() {
    let Some(cluster) = Cluster::shared() else { return };
    let database = cluster.database();
    let mut follower = open(&database);
    let mut raw = database.raw();
    // A slow writer: it has its number first, and commits last.
    raw.run(
        "BEGIN; SET LOCAL search_path TO portcullis; UPDATE registry SET revision = revision + 1;
         INSERT INTO trail (revision, at, \"user\", action, kind, id)
         VALUES (1, '2026-11-20T00:00:00Z', 'bo', 'create', 'token', 'slow')",
    )
    .unwrap();
    std::thread::scope(|scope| {
        let fast = scope.spawn(|| open(&database).create_token(&ana(), &new()).unwrap().token.id);
        std::thread::sleep(Duration::from_millis(200));
        assert!(!fast.is_finished(), "the second writer did not wait for the first");
        assert_eq!(follower.changes_since(&LastChange::default(), 10).unwrap().unwrap().last, LastChange::default());
        raw.run("COMMIT").unwrap();
        let id = fast.join().unwrap();
        let changes = follower.changes_since(&LastChange::default(), 10).unwrap().unwrap();
        assert_eq!((changes.last.number, changes.gone), (2, vec!["slow".to_owned()]));
        assert!(changes.tokens.len() == 1 && changes.tokens[0].contains(&id));
    });
}

#[test]
fn refused_change_releases_the_lock_at_once() {
    let Some(cluster) = Cluster::shared() else { return };
    let database = cluster.database();
    let mut idle = open(&database);
    let mut busy = open(&database);
    for round in 0..3 {
        idle.delete_token(&ana(), "none", false).unwrap_err();
        idle.add_connection(&ana(), "dw", "generic", None, false).map(drop).unwrap_or_default();
        // `idle` stays open, without another statement.
        let started = Instant::now();
        busy.create_token(&ana(), &new()).unwrap();
        assert!(started.elapsed() < Duration::from_secs(10), "round {round}: {:?}", started.elapsed());
    }
    let open = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in tr%'";
    assert_eq!(database.raw().text(open).unwrap(), "0");
}

#[test]
fn usage_of_many_servers_adds_up_and_locks_nothing() {
    const SERVERS: u64 = 12;
    const ROUNDS: u64 = 10;
    let Some(cluster) = Cluster::shared() else { return };
    let database = cluster.database();
    let mut registry = open(&database);
    let ids: Vec<_> = (0..5).map(|_| registry.create_token(&ana(), &new()).unwrap().token.id).collect();
    let mut raw = database.raw();
    // A writer that takes long: usage is recorded meanwhile.
    raw.run("BEGIN; SELECT * FROM portcullis.registry FOR UPDATE").unwrap();
    std::thread::scope(|scope| {
        for server in 0..SERVERS {
            let (database, ids) = (&database, &ids);
            scope.spawn(move || {
                let mut registry = open(database);
                for round in 0..ROUNDS {
                    // Each server has another order, and names a token twice: rows may not be locked in that order.
                    let mut batch: Vec<_> = ids
                        .iter()
                        .chain(&ids[..1])
                        .map(|id| Usage {
                            token: id.clone(),
                            allowed: 1 + server,
                            last_used: format!("2026-11-22T12:00:{:02}Z", (round + server) % 60).parse().unwrap(),
                        })
                        .collect();
                    batch.rotate_left(usize::try_from(server).unwrap() % 5);
                    batch.push(Usage { token: "gone".into(), allowed: 1, last_used: "2026-11-22".parse().unwrap() });
                    registry.record_usage(&batch).unwrap();
                }
            });
        }
    });
    raw.run("ROLLBACK").unwrap();
    let usage = registry.usage().unwrap();
    let each = ROUNDS * (1..=SERVERS).sum::<u64>();
    let expected =
        ids.iter().zip([2, 1, 1, 1, 1]).map(|(id, times)| (id.clone(), each * times)).collect::<BTreeSet<_>>();
    assert_eq!(usage.iter().map(|(id, usage)| (id.clone(), usage.allowed)).collect::<BTreeSet<_>>(), expected);
    assert_eq!(usage[&ids[0]].last_used, "2026-11-22T12:00:20Z".parse().unwrap());
    assert_eq!(registry.revision().unwrap(), 5, "no decision depends on usage");
}

#[test]
fn errors_name_the_reason_and_a_fix_and_never_the_password() {
    let Some(cluster) = Cluster::shared() else { return };
    let database = cluster.database();
    let (name, port) = (&database.name, cluster.port);
    let at = format!("127.0.0.1:{port}");
    for (url, reason, help) in [
        (format!("postgres://{USER}:{PASSWORD}@127.0.0.1:1/{name}"), "connection refused", "check host and port"),
        (format!("postgres://{USER}:no-{PASSWORD}@{at}/{name}"), "password authentication failed", "`PGPASSWORD`"),
        (format!("postgres://{USER}:{PASSWORD}@{at}/none"), "database \"none\" does not exist", "createdb"),
        (
            format!("postgres://{USER}:{PASSWORD}@{at}/{name}?sslmode=verify-full"),
            "from an unknown authority",
            "sslrootcert=FILE",
        ),
        (
            format!("postgres://{USER}:{PASSWORD}@{at}/{name}?sslmode=verify-full&sslrootcert=/nowhere/ca.pem"),
            "cannot open the registry",
            "check",
        ),
        (
            format!(
                "postgres://{USER}:{PASSWORD}@{at}/{name}?sslmode=require&sslrootcert={}/server.crt",
                cluster.folder.display()
            ),
            "",
            "",
        ),
    ] {
        if reason.is_empty() {
            let mut registry = Registry::open(&url.parse().unwrap(), true).unwrap();
            registry.add_connection(&ana(), "dw", "generic", None, false).unwrap();
            let mut raw = database.raw();
            let encrypted = "SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
                             WHERE datname = current_database() AND ssl";
            assert_eq!(raw.text(encrypted).unwrap(), "1", "{url}");
            continue;
        }
        let error = error(&url);
        assert!(error.contains(reason) && error.contains(help), "{url}: {error}");
        assert!(error.contains(&format!("postgres://{USER}@127.0.0.1:")), "{error}");
    }
    // Another server: a program that poses as the database must not get the password, nor decide what tokens may read.
    let url = format!("postgres://{USER}:{PASSWORD}@{at}/{name}");
    let location: Location = url.parse().unwrap();
    assert!(!format!("{location:?} {location}").contains(PASSWORD));
}

#[test]
fn database_of_another_program_or_version_is_left_alone() {
    let Some(cluster) = Cluster::shared() else { return };
    let database = cluster.database();
    let missing = Registry::open(&database.location(), false).unwrap_err().to_string();
    assert!(missing.contains("holds no registry") && missing.contains("connections add"), "{missing}");
    let change = Registry::open_to_change(&database.location()).unwrap_err().to_string();
    assert!(change.contains("holds no registry"), "{change}");
    let mut raw = database.raw();
    assert_eq!(raw.text("SELECT count(*) FROM pg_namespace WHERE nspname = 'portcullis'").unwrap(), "0");
    // Tables with the names of the registry's, in the usual schema, belong to another program.
    raw.run("CREATE TABLE tokens (a int); CREATE TABLE registry (b int)").unwrap();
    let mut registry = open(&database);
    registry.create_token(&ana(), &new()).unwrap();
    assert_eq!(raw.text("SELECT count(*) FROM public.tokens").unwrap(), "0");

    raw.run("UPDATE portcullis.registry SET revision = revision + 1").unwrap();
    let error = Registry::open(&database.location(), false).unwrap_err().to_string();
    assert!(error.contains("is not one state of a registry"), "{error}");
    raw.run("UPDATE portcullis.registry SET revision = revision - 1, schema = 99").unwrap();
    for create in [false, true] {
        let error = Registry::open(&database.location(), create).unwrap_err().to_string();
        assert!(error.contains("was written by a newer portcullis: its schema is 99, this one knows"), "{error}");
    }
}

#[test]
fn many_processes_create_one_registry() {
    let Some(cluster) = Cluster::shared() else { return };
    let database = cluster.database();
    std::thread::scope(|scope| {
        for at in 0..6 {
            let database = &database;
            scope.spawn(move || {
                open(database).add_connection(&ana(), &format!("dw{at}"), "generic", None, false).unwrap();
            });
        }
    });
    assert_eq!(open(&database).connections().unwrap().len(), 6);
}

#[test]
fn user_without_rights_reads_and_records_usage_but_changes_nothing() {
    let Some(cluster) = Cluster::shared() else { return };
    let database = cluster.database();
    let id = open(&database).create_token(&ana(), &new()).unwrap().token.id;
    let role = format!("sidecar_{}", database.name);
    let url = database.url().replace(&format!("//{USER}@"), &format!("//{role}@"));
    let location: Location = url.parse().unwrap();
    let mut raw = database.raw();
    raw.run(&format!("CREATE ROLE {role} LOGIN")).unwrap();
    let error = Registry::open(&location, false).unwrap_err().to_string();
    assert!(error.contains("permission denied for schema portcullis") && error.contains("rights"), "{error}");
    // As docs/registry.md lists them.
    raw.run(&format!(
        "GRANT USAGE ON SCHEMA portcullis TO {role};
         GRANT SELECT ON ALL TABLES IN SCHEMA portcullis TO {role};
         GRANT INSERT, UPDATE ON portcullis.usage TO {role}"
    ))
    .unwrap();
    let mut registry = Registry::open(&location, false).unwrap();
    assert!(registry.is_read_only());
    assert!(registry.policy_document().unwrap().contains(&id));
    registry
        .record_usage(&[Usage { token: id.clone(), allowed: 3, last_used: "2026-11-22".parse().unwrap() }])
        .unwrap();
    assert_eq!(registry.usage().unwrap()[&id].allowed, 3);
    let edit = TokenEdit { name: Some("other".into()), ..TokenEdit::default() };
    for result in [
        registry.create_token(&ana(), &new()).map(drop),
        registry.update_token(&ana(), &id, &edit).map(drop),
        registry.delete_token(&ana(), &id, true).map(drop),
        Registry::open_to_change(&location).map(drop),
        Registry::open(&location, true).map(drop),
    ] {
        let error = result.unwrap_err();
        assert!(matches!(error, RegistryError::Storage(_)), "{error}");
        assert!(error.to_string().contains("is read-only"), "{error}");
    }
}

#[test]
fn registry_is_usable_again_after_a_crash_of_the_database_which_loses_no_committed_change() {
    let Some(mut cluster) = Cluster::start() else { return };
    let database = cluster.database();
    let mut registry = open(&database);
    for round in 1..=3 {
        registry.create_token(&ana(), &new()).unwrap();
        cluster.command("crash");
        let error = registry.create_token(&ana(), &new()).unwrap_err().to_string();
        assert!(error.contains("cannot open the registry `postgres://"), "{error}");
        cluster.command("start");
        cluster.wait();
        assert_eq!(registry.tokens(&ana()).unwrap().len(), round, "a committed change was lost");
    }
    let mut raw = database.raw();
    let others = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
                  WHERE datname = current_database() AND pid <> pg_backend_pid()";
    assert_eq!(raw.text(others).unwrap(), "1");
    registry.create_token(&ana(), &new()).unwrap();
}

#[test]
fn lost_connection_during_a_commit_is_reported_as_an_unknown_result() {
    let Some(cluster) = Cluster::shared() else { return };
    let database = cluster.database();
    let mut registry = open(&database);
    // A constraint that is checked at the end of a transaction, and ends its connection.
    database
        .raw()
        .run(
            "CREATE FUNCTION end_connection() RETURNS trigger LANGUAGE plpgsql AS
             'BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END';
             CREATE CONSTRAINT TRIGGER last AFTER INSERT ON portcullis.tokens DEFERRABLE INITIALLY DEFERRED
             FOR EACH ROW EXECUTE FUNCTION end_connection()",
        )
        .unwrap();
    let error = registry.create_token(&ana(), &new()).unwrap_err().to_string();
    assert!(error.contains("it may have been made") && error.contains("portcullis trail"), "{error}");
    database.raw().run("DROP TRIGGER last ON portcullis.tokens").unwrap();
    assert_eq!(registry.revision().unwrap(), 0);
    registry.create_token(&ana(), &new()).unwrap();
}
