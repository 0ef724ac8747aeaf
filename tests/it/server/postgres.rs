//! Servers that follow a registry in PostgreSQL, through faults of the database and of the network.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use portcullis::authorizer::{Authorizer, Usage};
use portcullis::decision::{Request, Source as RequestSource};
use portcullis::{Options, Snapshot};
use portcullis_registry::{Actor, NewToken, Registry};
use portcullis_server::policy::{LiveOptions, LivePolicy, Source};
use portcullis_server::usage::UsageRecorder;

use super::util::{eventually, now, serve};
use crate::postgres::{Cluster, Database};

fn ana() -> Actor {
    Actor::new("ana", now()).unwrap()
}

fn token(table: &str) -> NewToken {
    NewToken { grants: vec![("dw".into(), format!("db.{table}"))], apis: vec!["maps".into()], ..NewToken::default() }
}

/// A registry, and a server that follows it.
struct Followed {
    database: Database,
    registry: Registry,
    live: LivePolicy,
    authorizer: Authorizer,
    secrets: Vec<String>,
}

impl Followed {
    /// Follows a new database by the URL that `url` returns.
    fn new(cluster: &Cluster, url: impl FnOnce(&Database) -> String) -> Self {
        let database = cluster.database();
        let mut registry = Registry::open(&database.location(), true).unwrap();
        registry.add_connection(&ana(), "dw", "postgres", None, false).unwrap();
        let source = Source::registry(url(&database).parse().unwrap());
        let (live, authorizer) = serve(&source, LiveOptions::default());
        let mut followed = Self { database, registry, live, authorizer, secrets: Vec::new() };
        followed.create();
        followed.equals("the first token");
        followed
    }

    fn create(&mut self) {
        self.secrets.push(self.registry.create_token(&ana(), &token("t")).unwrap().secret.expose().to_owned());
    }

    /// Waits until the server decides as the registry does now; returns how long that took.
    #[track_caller]
    fn equals(&mut self, what: &str) -> Duration {
        let policy = portcullis_document::read_policy(self.registry.policy_document().unwrap()).unwrap();
        let whole = Snapshot::compile(&policy, &Options::default()).unwrap();
        eventually(what, || {
            let current = self.authorizer.current();
            let same = |secret: &String| {
                let request = Request::new("maps", "dw").secret(secret).source(RequestSource::Resource("db.t"));
                portcullis::decide(&whole, &request, now()).reason() == current.decide(&request, now()).reason()
            };
            current.snapshot().is_some_and(|snapshot| snapshot.token_count() == whole.token_count())
                && self.secrets.iter().all(same)
        })
    }

    /// Whether the server still allows what the last policy that it read allows.
    fn decides(&self) -> bool {
        let request = Request::new("maps", "dw").secret(&self.secrets[0]).source(RequestSource::Resource("db.t"));
        self.authorizer.current().decide(&request, now()).is_allow()
    }
}

#[test]
fn change_is_live_by_notification_and_later_by_poll() {
    let Some(cluster) = Cluster::shared() else { return };
    let mut followed = Followed::new(cluster, Database::url);
    // Without notifications, each change would take the two seconds of a poll.
    let took: Vec<_> = (0..10)
        .map(|_| {
            followed.create();
            followed.equals("a change")
        })
        .collect();
    eprintln!("a change in PostgreSQL was live after {:?} at the latest", took.iter().max().unwrap());
    assert!(*took.iter().min().unwrap() < Duration::from_secs(1), "{took:?}");
    let listeners = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'";
    let mut raw = followed.database.raw();
    assert_eq!(raw.text(listeners).unwrap(), "1");
    // As with a pooler that gives each transaction another connection: nothing is announced.
    raw.run("ALTER TABLE portcullis.registry DISABLE TRIGGER revision_is_announced").unwrap();
    for _ in 0..2 {
        followed.create();
        eprintln!("without notifications, a change was live after {:?}", followed.equals("a polled change"));
    }
    assert_eq!(followed.live.status().report().failure, None);
}

#[test]
fn behind_a_pooler_a_server_polls_and_leaves_nothing_on_a_connection() {
    let Some(cluster) = Cluster::shared() else { return };
    let mut followed = Followed::new(cluster, |database| database.url() + "&statement-cache-capacity=0");
    followed.create();
    followed.equals("a polled change");
    let mut raw = followed.database.raw();
    let listeners = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'";
    assert_eq!(raw.text(listeners).unwrap(), "0");
    assert_eq!(followed.live.status().report().failure, None);
}

#[test]
fn killed_connections_lose_no_change() {
    let Some(cluster) = Cluster::shared() else { return };
    let mut followed = Followed::new(cluster, Database::url);
    let mut raw = followed.database.raw();
    for whose in ["query LIKE 'LISTEN%'", "query NOT LIKE 'LISTEN%'", "true"] {
        for _ in 0..3 {
            // The other connections belong to the server: the registry of the test is opened again.
            raw.run(&format!(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                 WHERE datname = current_database() AND pid <> pg_backend_pid() AND {whose}"
            ))
            .unwrap();
            followed.registry = Registry::open(&followed.database.location(), true).unwrap();
            followed.create();
            eprintln!("after connections with `{whose}` were killed: {:?}", followed.equals(whose));
        }
    }
}

#[test]
fn restart_and_crash_of_the_database_keep_the_last_policy_until_it_is_read_again() {
    let Some(mut cluster) = Cluster::start() else { return };
    let mut followed = Followed::new(&cluster, Database::url);
    for fault in ["stop", "crash"] {
        cluster.command(fault);
        eventually("the fault is reported", || followed.live.status().report().failure.is_some());
        let failure = followed.live.status().report().failure.unwrap();
        assert!(failure.problems[0].contains("postgres://"), "{failure:?}");
        assert!(followed.decides() && followed.live.status().is_ready(), "{fault}");
        cluster.command("start");
        cluster.wait();
        followed.registry = Registry::open(&followed.database.location(), true).unwrap();
        followed.create();
        eprintln!("equal {:?} after the {fault}", followed.equals(fault));
        eventually("it is reported as read", || followed.live.status().report().failure.is_none());
    }
}

/// Forwards connections to a port, and stops forwarding without closing them, as a partitioned network does.
struct Network {
    port: u16,
    is_partitioned: Arc<AtomicBool>,
}

impl Network {
    fn to(target: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (port, is_partitioned) = (listener.local_addr().unwrap().port(), Arc::new(AtomicBool::new(false)));
        let partition = Arc::clone(&is_partitioned);
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let Ok(server) = TcpStream::connect(("127.0.0.1", target)) else { continue };
                for (from, to) in [
                    (client.try_clone().unwrap(), server.try_clone().unwrap()),
                    (server.try_clone().unwrap(), client.try_clone().unwrap()),
                ] {
                    let partition = Arc::clone(&partition);
                    std::thread::spawn(move || forward(from, to, &partition));
                }
            }
        });
        Self { port, is_partitioned }
    }
}

fn forward(mut from: TcpStream, mut to: TcpStream, is_partitioned: &AtomicBool) {
    let mut buffer = [0; 16_384];
    from.set_read_timeout(Some(Duration::from_millis(5))).unwrap();
    loop {
        if is_partitioned.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(5));
            continue;
        }
        match from.read(&mut buffer) {
            Ok(count) if count > 0 => {
                // What was read when the network broke is lost with it until it is sent again.
                while is_partitioned.load(Ordering::SeqCst) {
                    std::thread::sleep(Duration::from_millis(5));
                }
                if to.write_all(&buffer[..count]).is_err() {
                    return;
                }
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            _ => {
                let _ = to.shutdown(std::net::Shutdown::Both);
                return;
            }
        }
    }
}

/// `PORTCULLIS_TEST_PARTITION=60` partitions the network for a minute instead of some seconds.
#[test]
fn partition_of_the_network_is_reported_and_ends_with_the_policy_of_the_registry() {
    let Some(cluster) = Cluster::shared() else { return };
    let network = Network::to(cluster.port);
    let mut followed = Followed::new(cluster, |database| database.network_url(network.port));
    let seconds = std::env::var("PORTCULLIS_TEST_PARTITION").map_or(8, |seconds| seconds.parse().unwrap());
    for round in 0..2 {
        network.is_partitioned.store(true, Ordering::SeqCst);
        let started = Instant::now();
        // The registry of the test is on the other side.
        followed.create();
        eventually("the partition is reported", || followed.live.status().report().failure.is_some());
        eprintln!("a partition was reported after {:?}", started.elapsed());
        assert!(followed.decides() && followed.live.status().is_ready());
        std::thread::sleep(Duration::from_secs(seconds).saturating_sub(started.elapsed()));
        network.is_partitioned.store(false, Ordering::SeqCst);
        eprintln!(
            "round {round}: equal {:?} after the partition of {:?}",
            followed.equals("healed"),
            started.elapsed()
        );
        let failure = followed.live.status().report().failure;
        assert_eq!(failure, None);
    }
}

#[test]
fn usage_counters_of_several_servers_add_up() {
    const SERVERS: u64 = 6;
    let Some(cluster) = Cluster::shared() else { return };
    let database = cluster.database();
    let mut registry = Registry::open(&database.location(), true).unwrap();
    let new = NewToken { apis: vec!["lds".into()], ..NewToken::default() };
    let created = registry.create_token(&ana(), &new).unwrap();
    let policy = portcullis_document::read_policy(registry.policy_document().unwrap()).unwrap();
    std::thread::scope(|scope| {
        for server in 1..=SERVERS {
            let (database, policy, secret) = (&database, &policy, created.secret.expose());
            scope.spawn(move || {
                let usage = Usage::default();
                let authorizer = Authorizer::counting(usage.clone());
                authorizer.swap(Snapshot::compile(policy, &Options::default()).unwrap());
                let recorder = UsageRecorder::start(database.location(), usage, Duration::from_millis(5)).unwrap();
                for _ in 0..10 * server {
                    assert!(authorizer.current().decide(&Request::new("lds", "").secret(secret), now()).is_allow());
                    std::thread::sleep(Duration::from_millis(1));
                }
                drop(recorder);
            });
        }
    });
    assert_eq!(registry.usage().unwrap()[&created.token.id].allowed, 10 * (1..=SERVERS).sum::<u64>());
}
