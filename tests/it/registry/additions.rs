//! Tokens that PostgreSQL adds with one statement: as if each were added in a transaction.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use portcullis::base::Timestamp;
use portcullis::model::SecretDigest;
use portcullis_registry::{Actor, Answered, NewToken, Once, Registry};

use crate::postgres::{Cluster, Database};

const NOW: &str = "2026-11-22T12:00:00Z";

fn ana() -> Actor {
    Actor::new("ana", NOW.parse().unwrap()).unwrap().for_all_users()
}

fn open(database: &Database) -> Registry {
    Registry::open(&database.location(), true).unwrap()
}

fn granted(name: &str, connection: &str, source: &str) -> NewToken {
    let grants = vec![(connection.into(), source.into())];
    NewToken { name: Some(name.into()), apis: vec!["sql".into()], grants, ..NewToken::default() }
}

fn once(key: &str) -> Once {
    let expires: Timestamp = "2026-11-23T12:00:00Z".parse().unwrap();
    Once { key: SecretDigest::of(key), request: SecretDigest::of("request"), expires }
}

/// Returns how many tokens the function of the database added.
fn additions(database: &Database) -> u64 {
    let calls = "SELECT coalesce(sum(calls), 0)::bigint FROM pg_stat_user_functions WHERE funcname = 'add_token'";
    database.raw().text(calls).unwrap().parse().unwrap()
}

#[test]
fn creation_takes_one_statement() {
    let Some(cluster) = Cluster::shared() else { return };
    let database = cluster.database();
    let mut raw = database.raw();
    raw.run(&format!("ALTER DATABASE {} SET track_functions TO 'all'", database.name)).unwrap();
    let mut registry = open(&database);
    registry.add_connection(&ana(), "dw", "postgres", None, false).unwrap();
    for at in 0..10 {
        registry.create_token(&ana(), &granted(&format!("plain {at}"), "dw", "db.t")).unwrap();
        let new = granted(&format!("once {at}"), "dw", "db.t");
        registry.create_token_once(&ana(), &once(&at.to_string()), &new, |_| Ok(vec![7])).unwrap();
    }
    drop(registry);
    let started = Instant::now();
    while additions(&database) != 20 {
        assert!(started.elapsed() < Duration::from_secs(30), "{} of 20", additions(&database));
        std::thread::sleep(Duration::from_millis(20));
    }
    let mut registry = open(&database);
    let trail = registry.trail(&ana()).unwrap();
    assert!(trail.iter().zip(1..).all(|(entry, number)| (entry.number, entry.revision) == (number, number)));
    assert_eq!((trail.len(), registry.tokens(&ana()).unwrap().len()), (21, 20));
}

/// A change of another process, and the creation that follows it.
struct Case {
    why: &'static str,
    change: fn(&mut Registry),
    connection: &'static str,
    source: &'static str,
    /// A part of the error.
    want: Result<(), &'static str>,
}

/// Each change is made by another process after this one has read the declarations.
#[test]
fn token_is_checked_with_the_declarations_of_its_revision() {
    let Some(cluster) = Cluster::shared() else { return };
    let case = |why, change, connection, source, want| Case { why, change, connection, source, want };
    let cases = [
        case(
            "a new connection",
            |it| drop(it.add_connection(&ana(), "new", "postgres", None, false)),
            "new",
            "db.t",
            Ok(()),
        ),
        case(
            "a deleted connection",
            |it| drop(it.delete_connection(&ana(), "dw")),
            "dw",
            "db.t",
            Err("no connection `dw`"),
        ),
        case(
            "a dialect that has no such names",
            |it| drop(it.update_connection(&ana(), "dw", Some("bigquery"), None, None)),
            "dw",
            "my-schema.t",
            Ok(()),
        ),
        case(
            "a new named source",
            |it| drop(it.create_named_source(&ana(), "top-stores", "SELECT 1", Some("dw"))),
            "dw",
            "top-stores",
            Ok(()),
        ),
        case(
            "a name that is taken",
            |it| drop(it.create_token(&ana(), &granted("name", "dw", "db.t"))),
            "dw",
            "db.t",
            Err("is taken by"),
        ),
        case("nothing", |_| {}, "dw", "db.t", Ok(())),
    ];
    for Case { why, change, connection, source, want } in cases {
        let database = cluster.database();
        let (mut registry, mut other) = (open(&database), open(&database));
        registry.add_connection(&ana(), "dw", "postgres", None, false).unwrap();
        let id = registry.create_token(&ana(), &granted("first", "dw", "db.t")).unwrap().token.id;
        registry.delete_token(&ana(), &id, true).unwrap();
        change(&mut other);
        let found = registry.create_token(&ana(), &granted("name", connection, source));
        match want {
            Ok(()) => {
                let token = found.unwrap_or_else(|error| panic!("{why}: {error}")).token;
                // Read again by the rules of now, it is the same token.
                let again = other.validate_token(&ana(), &granted("other", connection, source)).unwrap().0;
                assert_eq!(token.grants, again.grants, "{why}");
            }
            Err(part) => {
                let error = found.unwrap_err().to_string();
                assert!(error.contains(part), "{why}: {error}");
            }
        }
        // What failed left nothing, and the next creation is not affected.
        let count = registry.tokens(&ana()).unwrap().len();
        registry.create_token(&ana(), &NewToken { apis: vec!["lds".into()], ..NewToken::default() }).unwrap();
        assert_eq!(registry.tokens(&ana()).unwrap().len(), count + 1, "{why}");
        let trail = registry.trail(&ana()).unwrap();
        assert!(
            trail.iter().zip(1..).all(|(entry, number)| (entry.number, entry.revision) == (number, number)),
            "{why}"
        );
    }
}

#[test]
fn id_of_another_token_is_not_a_name() {
    let Some(cluster) = Cluster::shared() else { return };
    let mut registry = open(&cluster.database());
    registry.add_connection(&ana(), "dw", "postgres", None, false).unwrap();
    let document = r#"[{"id": "imported", "name": "other", "token": "s", "allowed_apis": ["lds"]}]"#;
    registry.import(&ana(), &portcullis_document::load::Input::new("document", document)).unwrap();
    let error = registry.create_token(&ana(), &granted("imported", "dw", "db.t")).unwrap_err();
    assert!(error.reason() == "name_taken" && error.to_string().contains("is the id of another token"), "{error}");
}

/// A connection is deleted and added while tokens are granted on it: no token is left with a grant on a missing connection.
#[test]
fn connection_that_comes_and_goes_has_no_stray_grants() {
    let Some(cluster) = Cluster::shared() else { return };
    let database = cluster.database();
    let is_done = AtomicBool::new(false);
    let created = std::thread::scope(|scope| {
        let creators: Vec<_> = (0..3)
            .map(|creator| {
                let (database, is_done) = (&database, &is_done);
                scope.spawn(move || {
                    let (mut registry, mut created) = (open(database), 0_usize);
                    for at in 0.. {
                        if is_done.load(Ordering::SeqCst) {
                            break;
                        }
                        match registry.create_token(&ana(), &granted(&format!("{creator} {at}"), "dw", "db.t")) {
                            Ok(it) => {
                                created += 1;
                                registry.delete_token(&ana(), &it.token.id, true).unwrap();
                            }
                            Err(error) => assert!(error.to_string().contains("no connection `dw`"), "{error}"),
                        }
                    }
                    created
                })
            })
            .collect();
        let mut registry = open(&database);
        let (started, mut changes) = (Instant::now(), 0);
        while started.elapsed() < Duration::from_secs(3) || changes < 4 {
            assert!(started.elapsed() < Duration::from_mins(1), "only {changes} changes");
            let added = registry.add_connection(&ana(), "dw", "postgres", None, false).is_ok();
            std::thread::sleep(Duration::from_millis(5));
            changes += usize::from(added) + usize::from(registry.delete_connection(&ana(), "dw").is_ok());
        }
        is_done.store(true, Ordering::SeqCst);
        creators.into_iter().map(|creator| creator.join().unwrap()).sum::<usize>()
    });
    let mut registry = open(&database);
    let trail = registry.trail(&ana()).unwrap();
    assert!(trail.iter().zip(1..).all(|(entry, number)| (entry.number, entry.revision) == (number, number)));
    let creations = trail.iter().filter(|entry| entry.kind == "token" && entry.action == "create").count();
    assert_eq!((creations, registry.tokens(&ana()).unwrap().len()), (created, 0));
}

#[test]
fn one_key_in_many_processes_creates_one_token() {
    let Some(cluster) = Cluster::shared() else { return };
    let database = cluster.database();
    open(&database).add_connection(&ana(), "dw", "postgres", None, false).unwrap();
    let answers: Vec<_> = std::thread::scope(|scope| {
        let create = || {
            let mut registry = open(&database);
            // Without a name, only the key shows that the token was created before.
            let new = NewToken { name: None, ..granted("", "dw", "db.t") };
            let answered =
                registry.create_token_once(&ana(), &once("key"), &new, |made| Ok(made.token.id.clone().into()));
            match answered.unwrap() {
                Answered::Now(made) => made.token.id.into_bytes(),
                Answered::Before(answer) => answer,
            }
        };
        let threads: Vec<_> = (0..40).map(|_| scope.spawn(create)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let tokens = open(&database).tokens(&ana()).unwrap();
    assert_eq!(tokens.len(), 1);
    assert!(answers.iter().all(|answer| *answer == tokens[0].id.clone().into_bytes()));
}
