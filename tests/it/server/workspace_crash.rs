//! A workspace that is killed at any instant keeps every change that it has acknowledged.

use std::collections::BTreeSet;
use std::hash::{BuildHasher, RandomState};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use portcullis_registry::{Actor, Registry};
use serde_json::Value;

use super::util::now;
use super::workspace::{issue, machine, on_each, start};

/// The number of clients that create tokens at once.
const CLIENTS: usize = 4;

/// Creates tokens until the workspace no longer answers, and adds the ids of those that it acknowledged to `kept`.
fn create(at: SocketAddr, access: &str, round: usize, client: usize, kept: &Mutex<BTreeSet<String>>) {
    for number in 0.. {
        let grant = r#"{"connection_name": "carto_dw", "source": "carto.shared.roads"}"#;
        let body = format!(r#"{{"name": "{round} {client} {number}", "allowed_apis": ["maps"], "grants": [{grant}]}}"#);
        let length = body.len();
        let key = if number == 1 {
            format!("idempotency-key: crash-of-the-workspace-{round}-{client}\r\n")
        } else {
            String::new()
        };
        let request = format!(
            "POST /v3/tokens HTTP/1.1\r\nhost: {at}\r\nauthorization: Bearer {access}\r\n\
             content-type: application/json\r\n{key}content-length: {length}\r\nconnection: close\r\n\r\n{body}"
        );
        let mut answer = String::new();
        let Ok(mut stream) = TcpStream::connect(at) else { return };
        if stream.write_all(request.as_bytes()).is_err() || stream.read_to_string(&mut answer).is_err() {
            return;
        }
        let Some((head, body)) = answer.split_once("\r\n\r\n") else { return };
        // An answer may end before its last byte arrived: then it is not acknowledged.
        let Ok(created) = serde_json::from_str::<Value>(body) else { return };
        assert!(head.starts_with("HTTP/1.1 201"), "{answer}");
        kept.lock().unwrap().insert(created["id"].as_str().unwrap().to_owned());
    }
}

/// `PORTCULLIS_TEST_KILLS=200` kills the workspace more often.
#[test]
fn killed_workspace_loses_no_acknowledged_change() {
    on_each(loses_no_acknowledged_change);
}

fn loses_no_acknowledged_change(folder: &Path, db: &str) {
    let rounds = std::env::var("PORTCULLIS_TEST_KILLS").map_or(20, |rounds| rounds.parse().unwrap());
    let credentials = machine(folder, db);
    let kept = Mutex::new(BTreeSet::new());
    for round in 0..rounds {
        let mut workspace = start(folder, db, &["workspace", "--user", "ana", "--max-rate", "100000"]);
        let (at, access) = (workspace.address(), issue(workspace.address(), &credentials));
        std::thread::scope(|scope| {
            for client in 0..CLIENTS {
                let (access, kept) = (&access, &kept);
                scope.spawn(move || create(at, access, round, client, kept));
            }
            std::thread::sleep(Duration::from_micros(RandomState::new().hash_one(round) % 600_000));
            workspace.child.kill().unwrap();
            workspace.child.wait().unwrap();
        });
    }
    let kept = kept.into_inner().unwrap();
    let location = if db.starts_with("sqlite:") {
        portcullis_registry::Location::file(folder.join("registry.db"))
    } else {
        db.parse().unwrap()
    };
    let mut registry = Registry::open(&location, false).unwrap();
    let admin = Actor::new("root", now()).unwrap().for_all_users();
    let tokens: BTreeSet<String> = registry.tokens(&admin).unwrap().into_iter().map(|token| token.id).collect();
    eprintln!("{db}: {} acknowledged, {} in the registry after {rounds} kills", kept.len(), tokens.len());
    assert!(!kept.is_empty(), "no change was acknowledged");
    assert!(kept.is_subset(&tokens), "lost: {:?}", kept.difference(&tokens).collect::<Vec<_>>());
    // Whatever was made and not acknowledged is in the trail, too.
    let trail = registry.trail(&admin).unwrap();
    assert!(trail.iter().zip(1..).all(|(entry, number)| entry.number == number));
    assert_eq!(trail.last().unwrap().revision, registry.revision().unwrap());
    let noted: BTreeSet<String> =
        trail.into_iter().filter(|entry| entry.kind == "token").map(|entry| entry.id).collect();
    assert!(tokens.is_subset(&noted));
}
