//! Clients that overload a server: decisions and readiness meanwhile, and how soon a revocation is active.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::json;

use super::faulty::{BINARY, Kept, SOON, Server, folder, put, start, start_by};
use super::running::request;
use super::util::{SECRET, SetWhenDropped, eventually, policy};

/// Sends requests once, and returns the connections, whose answers nobody has read.
type Load = fn(SocketAddr) -> Vec<TcpStream>;

/// Replaces the policy while `load` repeats on several threads. Each thread keeps the connections of its last round.
fn revoke_during(what: &str, mut server: Server, file: &Path, load: Load) {
    // These connections exist before the load, so that they are not refused.
    let (mut client, mut operator) = (Kept::new(server.listen), Kept::new(server.admin));
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let _ends = SetWhenDropped(&ended);
        let (address, ended) = (server.listen, &ended);
        for _ in 0..8 {
            scope.spawn(move || {
                let mut held = Vec::new();
                while !ended.load(Ordering::SeqCst) {
                    held = load(address);
                    std::thread::sleep(Duration::from_millis(10));
                }
                drop(held);
            });
        }
        std::thread::sleep(Duration::from_millis(500));
        assert_eq!((client.status("one"), client.status("two")), (200, 403), "{what}");
        assert_eq!(operator.get("GET /readyz").0, 200, "{what}");
        put(file, policy("two"));
        let took = eventually(what, || client.status("one") == 403);
        eprintln!("{what}: revoked after {took:?}");
        assert!(took < SOON, "{what}: {took:?}");
        assert_eq!((client.status("two"), operator.get("GET /readyz").0), (200, 200), "{what}");
    });
    server.lives();
    assert!(server.stops() < Duration::from_secs(30), "{what}");
}

fn connections(address: SocketAddr, count: usize, text: &str) -> Vec<TcpStream> {
    let send = |_| {
        let mut stream = TcpStream::connect(address).ok()?;
        stream.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
        // The server may refuse the request before its end.
        let _ = stream.write_all(text.as_bytes());
        Some(stream)
    };
    (0..count).filter_map(send).collect()
}

/// One list of this many requests for `one`, with many sources each, so that the answer is long.
fn list(count: usize) -> String {
    let sources = vec![json!({"resource": "db.one"}); 100];
    let one = json!({"token": SECRET, "api": "maps", "connection": "dw", "sources": sources});
    request("POST /v1/decide", &[], &json!(vec![one; count]).to_string())
}

#[test]
fn revocation_is_active_while_lists_are_decided() {
    let load: [(&str, Load); 2] = [
        ("lists of 250 requests with 100 sources", |address| connections(address, 2, &list(250))),
        ("AuthZEN lists of 86,000 requests", |address| {
            let list = json!({"evaluations": vec![json!({}); 86_000]}).to_string();
            connections(address, 2, &request("POST /access/v1/evaluations", &[], &list))
        }),
    ];
    for (what, load) in load {
        let (folder, file) = folder("one");
        revoke_during(what, start(folder.path(), &[]), &file, load);
    }
}

#[test]
fn revocation_is_active_while_clients_do_not_read_answers() {
    let (folder, file) = folder("one");
    let server = start(folder.path(), &["--request-timeout", "2"]);
    revoke_during("unread answers", server, &file, |address| {
        let connections = connections(address, 10, &list(250).repeat(3));
        std::thread::sleep(Duration::from_secs(1));
        connections
    });
}

#[test]
fn operators_see_readiness_while_all_connections_of_gateways_are_used() {
    let (folder, file) = folder("one");
    let wrapper = ["prlimit", "--nofile=256:256", BINARY];
    let server = start_by(&wrapper, folder.path(), &["--policy", "policy.json"]);
    revoke_during("too many connections", server, &file, |address| {
        let connections = connections(address, 100, "");
        std::thread::sleep(Duration::from_millis(500));
        connections
    });
}
