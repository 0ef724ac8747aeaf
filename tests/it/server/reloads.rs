//! Reloads of a process under load: no failed answer, no wrong one, no growth.
//!
//! The full test: `PORTCULLIS_RELOADS=10000 cargo test --release -p portcullis-cli --test it server::reloads -- --nocapture`.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use super::binary::start;
use super::running::{ask, connect};
use super::util::{SECRET, SetWhenDropped, eventually};

const TOKENS: usize = 200;
const CLIENTS: usize = 4;

/// A policy in which each token may read `db.both`, and only its own numbered tables.
fn policy(number: usize) -> String {
    let token = |at: usize| {
        format!(
            r#"{{"id": "t{at}", "token": "{SECRET}-{at}", "allowed_apis": ["maps"], "grants": [
                {{"connection_name": "dw", "source": "db.p{number}"}}, {{"connection_name": "dw", "source": "db.both"}}]}}"#
        )
    };
    let tokens: Vec<_> = (0..TOKENS).map(token).collect();
    format!(r#"{{"connections": [{{"name": "dw", "dialect": "postgres"}}], "tokens": [{}]}}"#, tokens.join(","))
}

/// One connection that is kept.
struct Client(BufReader<TcpStream>);

impl Client {
    fn new(address: SocketAddr) -> Self {
        Self(BufReader::new(connect(address)))
    }

    /// Whether a token may read `db.<table>`. Panics on any response that is not a decision.
    fn may(&mut self, token: usize, table: &str) -> bool {
        let body =
            format!(r#"{{"token": "{SECRET}-{token}", "api": "maps", "connection": "dw", "resource": "db.{table}"}}"#);
        let head = format!(
            "POST /v1/decide HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        self.0.get_mut().write_all(format!("{head}{body}").as_bytes()).unwrap();
        let (mut status, mut length) = (String::new(), 0);
        self.0.read_line(&mut status).unwrap();
        assert_eq!(status, "HTTP/1.1 200 OK\r\n");
        loop {
            let mut line = String::new();
            self.0.read_line(&mut line).unwrap();
            if let Some(value) = line.strip_prefix("content-length: ") {
                length = value.trim().parse().unwrap();
            }
            if line == "\r\n" {
                break;
            }
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).unwrap();
        let answer: serde_json::Value = serde_json::from_slice(&body).unwrap();
        match (answer["decision"].as_str(), answer["reason"].as_str()) {
            (Some("allow"), None) => true,
            (Some("deny"), Some("source_not_granted")) => false,
            _ => panic!("{answer}"),
        }
    }
}

/// The resident memory of a process in kilobytes, if the system reports it.
fn resident(process: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.parse().ok())
}

#[test]
fn answers_are_correct_during_reloads() {
    let setting = std::env::var("PORTCULLIS_RELOADS").ok();
    let reloads: usize = setting.as_ref().map_or(20, |count| count.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("policy.json");
    fs::write(&file, policy(1)).unwrap();
    let process = start(folder.path(), &["--message-level", "portcullis=info"]);
    // The policies that may be active: from the last one seen active to the last one written.
    let (live, written, done) = (AtomicUsize::new(1), AtomicUsize::new(1), AtomicBool::new(false));
    let load = |first: usize| {
        let mut client = Client::new(process.listen);
        let mut answers = 0;
        for token in (first..TOKENS).chain(0..first).cycle() {
            if done.load(Ordering::SeqCst) {
                return answers;
            }
            assert!(client.may(token, "both"), "every policy grants it");
            let from = live.load(Ordering::SeqCst);
            let may = client.may(token, &format!("p{from}"));
            let to = written.load(Ordering::SeqCst);
            assert!(may || to > from, "policy {from} is in force, and grants it");
            let before = from - 1;
            assert!(!client.may(token, &format!("p{before}")), "policy {before} was replaced");
            assert!(!client.may(token, "none"), "no policy grants it");
            answers += 4;
        }
        answers
    };
    let started = Instant::now();
    let mut memory = Vec::new();
    let answers: u64 = std::thread::scope(|scope| {
        let load = &load;
        let clients: Vec<_> = (0..CLIENTS).map(|first| scope.spawn(move || load(first))).collect();
        // On any failure the clients end, too.
        let _end = SetWhenDropped(&done);
        let mut watch = Client::new(process.listen);
        for number in 2..=reloads + 1 {
            fs::write(folder.path().join("new"), policy(number)).unwrap();
            written.store(number, Ordering::SeqCst);
            fs::rename(folder.path().join("new"), &file).unwrap();
            let table = format!("p{number}");
            eventually("the next policy is live", || {
                assert!(!clients.iter().any(std::thread::ScopedJoinHandle::is_finished), "a client failed");
                watch.may(0, &table)
            });
            live.store(number, Ordering::SeqCst);
            if number % (reloads / 10).max(1) == 0 {
                memory.extend(resident(process.child.id()));
            }
        }
        done.store(true, Ordering::SeqCst);
        clients.into_iter().map(|client| client.join().unwrap()).sum()
    });
    let snapshot = ask(process.admin, "GET /v1/snapshot", &[], "").json();
    assert_eq!(snapshot["generation"], reloads + 1, "each policy was in force");
    eprintln!(
        "{reloads} reloads of {TOKENS} tokens in {:.1?}, {answers} answers to {CLIENTS} clients meanwhile, none failed or wrong; resident memory in KiB: {memory:?}",
        started.elapsed(),
    );
    if let (Some(_), Some(early), Some(late)) = (setting, memory.get(2), memory.last()) {
        assert!(*late < early * 5 / 4, "memory grew from {early} to {late} KiB");
    }
}
