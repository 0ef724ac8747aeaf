//! Changes in PostgreSQL that a crash of the server keeps or undoes.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use portcullis_registry::{Actor, Answered, NewToken, Once, Registry, WatchedRegistry};

use crate::postgres::{Cluster, Database};

fn ana() -> Actor {
    Actor::new("ana", "2026-11-22T12:00:00Z".parse().unwrap()).unwrap().for_all_users()
}

fn new() -> NewToken {
    NewToken { apis: vec!["lds".into()], ..NewToken::default() }
}

fn once() -> Once {
    let digest = portcullis::model::SecretDigest::of;
    Once { key: digest("key"), request: digest("request"), expires: "2026-11-23T12:00:00Z".parse().unwrap() }
}

fn open(database: &Database) -> Registry {
    Registry::open(&database.location(), true).unwrap()
}

#[track_caller]
fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < Duration::from_secs(30), "not within 30 s: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// With a standby that never answers, the server confirms no commit, as with a disk that hangs.
#[test]
fn creations_wait_for_the_disk_together_and_are_reported_only_then() {
    const CLIENTS: usize = 4;
    let Some(mut cluster) = Cluster::start() else { return };
    let database = cluster.database();
    let mut registries: Vec<_> = (0..CLIENTS).map(|_| open(&database)).collect();
    for registry in &mut registries {
        registry.create_token(&ana(), &new()).unwrap();
    }
    let before = CLIENTS;
    database.raw().run("ALTER SYSTEM SET synchronous_standby_names = 'nobody'").unwrap();
    cluster.command("stop");
    cluster.command("start");
    cluster.wait();
    let mut raw = database.raw();
    std::thread::scope(|scope| {
        let clients: Vec<_> = registries
            .iter_mut()
            .map(|registry| scope.spawn(|| registry.create_token(&ana(), &new()).unwrap()))
            .collect();
        let created = "SELECT count(*) FROM portcullis.trail";
        // None of them waits for the lock of the revision until another one is durable.
        eventually("all are committed", || raw.text(created).unwrap() == (before + CLIENTS).to_string());
        assert!(clients.iter().all(|client| !client.is_finished()), "a creation was reported before it was durable");
        // A remembered answer is repeated only when the creation that it belongs to is durable.
        let repeated = scope.spawn(|| {
            let mut registry = open(&database);
            registry.create_token_once(&ana(), &once(), &new(), |made| Ok(made.token.id.clone().into())).unwrap();
            let again = registry.create_token_once(&ana(), &once(), &new(), |_| Ok(Vec::new())).unwrap();
            assert!(matches!(again, Answered::Before(_)));
        });
        eventually("it is committed", || raw.text(created).unwrap() == (before + CLIENTS + 1).to_string());
        let mut other = open(&database);
        let replay = scope.spawn(move || other.create_token_once(&ana(), &once(), &new(), |_| Ok(Vec::new())).unwrap());
        std::thread::sleep(Duration::from_millis(300));
        assert!(!replay.is_finished(), "an answer was repeated before its creation was durable");
        let mut admin = database.raw();
        admin.run("ALTER SYSTEM RESET synchronous_standby_names").unwrap();
        admin.run("SELECT pg_reload_conf()").unwrap();
        for client in clients {
            client.join().unwrap();
        }
        repeated.join().unwrap();
        assert!(matches!(replay.join().unwrap(), Answered::Before(_)));
    });
}

#[test]
fn crashes_lose_no_token_whose_creation_was_reported() {
    const CLIENTS: usize = 4;
    let Some(mut cluster) = Cluster::start() else { return };
    let database = cluster.database();
    open(&database);
    let reported = Mutex::new(Vec::new());
    for _ in 0..3 {
        let is_done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..CLIENTS {
                scope.spawn(|| {
                    let Ok(mut registry) = Registry::open(&database.location(), false) else { return };
                    while !is_done.load(Ordering::SeqCst) {
                        match registry.create_token(&ana(), &new()) {
                            Ok(created) => reported.lock().unwrap().push(created.token.id),
                            Err(_) => return,
                        }
                    }
                });
            }
            let before = reported.lock().unwrap().len();
            eventually("some are created", || reported.lock().unwrap().len() > before + 20);
            cluster.command("crash");
            is_done.store(true, Ordering::SeqCst);
        });
        cluster.command("start");
        cluster.wait();
    }
    let mut registry = open(&database);
    let kept: std::collections::HashSet<_> =
        registry.tokens(&ana()).unwrap().into_iter().map(|token| token.id).collect();
    let reported = reported.into_inner().unwrap();
    let lost: Vec<_> = reported.iter().filter(|id| !kept.contains(*id)).collect();
    assert!(lost.is_empty(), "{} of {} were lost", lost.len(), reported.len());
    let trail = registry.trail(&ana()).unwrap();
    assert!(trail.iter().zip(1..).all(|(entry, number)| entry.number == number && entry.revision == number));
    assert_eq!(trail.len(), kept.len());
}

/// The server may commit a change, announce it, and lose it in a crash before it is reported. The next
/// change gets its revision and its number.
#[test]
fn follower_notices_that_its_last_change_was_undone() {
    let Some(cluster) = Cluster::shared() else { return };
    for (later, parameter) in [(1, ""), (2, ""), (1, "&statement-cache-capacity=0"), (2, "&statement-cache-capacity=0")]
    {
        let database = cluster.database();
        let mut registry = open(&database);
        registry.create_token(&ana(), &new()).unwrap();
        let lost = registry.create_token(&ana(), &new()).unwrap().token.id;
        let mut follower = WatchedRegistry::new((database.url() + parameter).parse().unwrap());
        assert!(follower.read().unwrap().contains(&lost));
        let version = follower.version().unwrap();
        let mut raw = database.raw();
        raw.run("ALTER TABLE portcullis.trail DISABLE TRIGGER USER").unwrap();
        raw.run("DELETE FROM portcullis.trail WHERE number = 2").unwrap();
        raw.run(&format!("DELETE FROM portcullis.tokens WHERE id = '{lost}'")).unwrap();
        raw.run("ALTER TABLE portcullis.trail ENABLE TRIGGER USER").unwrap();
        raw.run("ALTER TABLE portcullis.registry DISABLE TRIGGER USER").unwrap();
        raw.run("UPDATE portcullis.registry SET revision = 1").unwrap();
        raw.run("ALTER TABLE portcullis.registry ENABLE TRIGGER USER").unwrap();
        for _ in 0..later {
            registry.create_token(&ana(), &new()).unwrap();
        }
        eventually("the change is noticed", || follower.changed());
        assert_eq!(follower.changes(100), None, "{later} later changes: the whole registry must be read");
        assert!(!follower.read().unwrap().contains(&lost));
        let mut other = WatchedRegistry::new(database.location());
        assert!(!other.continues(&version), "{later} later changes: another follower continued with the lost one");
    }
}
