//! Concurrent processes, and processes that are killed while they write.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use portcullis::authorizer::{Clock, SystemClock};
use portcullis_registry::{Actor, Location, Registry};

use super::Dir;

fn spawn(dir: &Path, url: &str, args: &[&str]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    command.current_dir(dir).args(args).args(["--db", url]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
}

/// How a writer that was not killed ends if the disk kept the registry locked for longer than writers wait.
const LOCKED: &str = "another process keeps it locked: try again";

/// Checks that the registry is the result of committed revisions only, and returns the names of its tokens.
fn consistent(location: &Location) -> Vec<String> {
    let mut registry = Registry::open(location, false).unwrap();
    let all = Actor::new("admin", SystemClock.now()).unwrap().for_all_users();
    let trail = registry.trail(&all).unwrap();
    assert!(trail.iter().zip(1..).all(|(entry, number)| entry.number == number), "entries are lost");
    assert_eq!(trail.last().map_or(0, |entry| entry.revision), registry.revision().unwrap());
    let tokens = registry.tokens(&all).unwrap();
    let created = trail.iter().filter(|entry| entry.kind == "token").map(|entry| &entry.id);
    let mut created: Vec<_> = created.collect();
    created.sort();
    assert_eq!(created, tokens.iter().map(|token| &token.id).collect::<Vec<_>>(), "the trail has other tokens");
    assert!(tokens.iter().all(|token| token.grants.len() == 1), "a token without its grant");
    portcullis_document::read_policy(registry.policy_document().unwrap()).unwrap();
    tokens.into_iter().map(|token| token.name).collect()
}

#[test]
fn concurrent_processes_create_and_share_one_registry() {
    let dir = Dir::new();
    for (url, location) in dir.each_registry() {
        create_and_share(&dir.path(""), &url, &location);
    }
}

fn create_and_share(folder: &Path, url: &str, location: &Location) {
    // No registry exists: one process creates it, the other processes wait.
    let adding: Vec<_> =
        (0..4).map(|at| spawn(folder, url, &["connections", "add", &format!("c{at}"), "--user", "ana"])).collect();
    for mut child in adding {
        assert!(child.wait().unwrap().success());
    }
    let mut creating = Vec::new();
    for round in 0..3 {
        for process in 0..4 {
            let name = format!("t{round}-{process}");
            let user = format!("u{process}");
            let args = ["credentials", "create", "token", "--connection", "c0", "--source", "a.b", "--apis", "maps"];
            creating.push(spawn(folder, url, &[&args[..], &["--name", &name, "--user", &user]].concat()));
        }
    }
    // Several processes use the same name for the same user: only one succeeds.
    let args = ["credentials", "create", "token", "--connection", "c0", "--source", "a.b", "--apis", "maps"];
    let same: Vec<_> =
        (0..4).map(|_| spawn(folder, url, &[&args[..], &["--name", "same", "--user", "ana"]].concat())).collect();
    for mut child in creating {
        assert!(child.wait().unwrap().success());
    }
    let codes: Vec<_> = same.into_iter().map(|mut child| child.wait().unwrap().code().unwrap()).collect();
    assert_eq!(codes.iter().filter(|code| **code == 0).count(), 1, "{codes:?}");
    assert!(codes.iter().all(|code| [0, 1].contains(code)), "{codes:?}");
    assert_eq!(consistent(location).len(), 13);
}

#[test]
fn killed_process_leaves_only_committed_changes() {
    let dir = Dir::new();
    for (url, location) in dir.each_registry() {
        let ana = Actor::new("ana", SystemClock.now()).unwrap();
        let mut registry = Registry::open(&location, true).unwrap();
        registry.add_connection(&ana, "dw", "generic", None, false).unwrap();
        drop(registry);
        kill_writers(&dir, &url, &location);
    }
}

fn kill_writers(dir: &Dir, url: &str, location: &Location) {
    const TOKENS: usize = 60;
    let folder = dir.path("");
    let (mut whole, mut killed, mut locked) = (0, 0, 0);
    for round in 0..24 {
        // Three concurrent writers with many rows in one transaction. One is killed, later in each round.
        let writers: Vec<_> = (0..3)
            .map(|writer| {
                let batch = format!("b{round}-{writer}");
                let token = |at| {
                    let grant = r#"{"connection_name": "dw", "source": "a.b"}"#;
                    format!(
                        r#"{{"id": "{batch}-{at}", "token": "s-{batch}-{at}", "allowed_apis": ["maps"], "grants": [{grant}]}}"#
                    )
                };
                let file = format!("{batch}.jsonl");
                let text = (0..TOKENS).map(token).collect::<Vec<_>>().join("\n");
                std::fs::write(dir.path(&file), text).unwrap();
                (batch, spawn(&folder, url, &["import", &file, "--user", "ana"]))
            })
            .collect();
        let mut ended = Vec::new();
        for (at, (batch, mut child)) in writers.into_iter().enumerate() {
            let is_victim = at == round % 3;
            if is_victim {
                std::thread::sleep(Duration::from_millis(round as u64 * 7));
                child.kill().unwrap();
            }
            let output = child.wait_with_output().unwrap();
            let is_locked = String::from_utf8_lossy(&output.stderr).contains(LOCKED);
            ended.push((batch, is_victim, is_locked, output.status.success()));
        }
        let names = consistent(location);
        for (batch, is_victim, is_locked, done) in ended {
            let there = names.iter().filter(|name| name.starts_with(&format!("{batch}-"))).count();
            assert!(there == 0 || there == TOKENS, "{there} of {batch}");
            // Reported success means that the rows exist. A killed process may have committed without reporting.
            assert!(!done || there == TOKENS, "{batch} is lost");
            assert!(done || is_victim || (is_locked && there == 0), "{batch} failed");
            whole += usize::from(done);
            locked += usize::from(is_locked);
            killed += usize::from(!done && !is_locked);
        }
    }
    assert_eq!(whole + killed + locked, 72);
    assert!(whole > 0 && whole + locked >= 48, "{killed} were killed, {locked} did not get the lock");
}
