//! Sockets, limits, and the end.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use portcullis::server::{Address, Limits, ServerOptions};
use serde_json::json;

use super::running::{answer, ask, connect, options, request, serve};
use super::util::{SECRET, eventually, policy};

const ASK: &str = "GET /authz/envoy/v3/maps/dw/table?name=db.t";

fn limited(limits: Limits) -> ServerOptions {
    ServerOptions { limits, ..options() }
}

fn bearer() -> String {
    format!("Bearer {SECRET}")
}

#[test]
fn a_unix_socket_is_taken_over_from_a_killed_server_but_not_from_a_live_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.sock");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let options = || ServerOptions { listen: Address::Unix(path.clone()), ..options() };
    let mut server = serve(Some(&policy("t")), options());
    let mut stream = UnixStream::connect(&path).unwrap();
    stream.write_all(request(ASK, &[("authorization", &bearer())], "").as_bytes()).unwrap();
    assert_eq!(answer(&mut stream).status, 200);
    let second = std::panic::catch_unwind(|| serve(Some(&policy("t")), options()));
    assert!(second.is_err(), "two servers on one socket");
    server.stopped();
    assert!(!path.exists());
}

#[test]
fn too_much_is_refused_and_never_allowed() {
    let server = serve(Some(&policy("t")), limited(Limits { body_bytes: 100, headers: 10, ..Limits::default() }));
    let token = bearer();
    let long = format!(r#"{{"name": "db.t", "v": "{}"}}"#, "x".repeat(100));
    let posted = server.ask("POST /authz/envoy/v3/maps/dw/table", &[("authorization", &token)], &long);
    assert_eq!((posted.status, &*posted.reason()), (413, "body_too_large"));
    let many: Vec<_> = std::iter::repeat_n(("x-more", "1"), 20).chain([("authorization", &*token)]).collect();
    assert_eq!(server.ask(ASK, &many, "").status, 431);

    let busy = serve(Some(&policy("t")), limited(Limits { requests: 0, ..Limits::default() }));
    let shed = busy.ask(ASK, &[("authorization", &token)], "");
    assert_eq!((shed.status, &*shed.reason(), shed.header("retry-after")), (503, "overloaded", Some("1")));
    assert_eq!(ask(busy.admin, "GET /healthz", &[], "").status, 503, "the same limit, counted apart");

    let full = serve(Some(&policy("t")), limited(Limits { connections: 1, ..Limits::default() }));
    let held = connect(full.tcp());
    // The one that is held counts once it is accepted; until then the other may come first.
    eventually("the second connection is refused", || full.ask(ASK, &[("authorization", &token)], "").status == 503);
    drop(held);
    eventually("there is room again", || full.ask(ASK, &[("authorization", &token)], "").status == 200);
}

#[test]
fn a_request_that_does_not_arrive_is_given_up() {
    let limits = Limits { request_time: Duration::from_millis(100), ..Limits::default() };
    let server = serve(Some(&policy("t")), limited(limits));
    let mut stream = connect(server.tcp());
    stream
        .write_all(b"POST /v1/decide HTTP/1.1\r\nhost: t\r\nconnection: close\r\ncontent-length: 9\r\n\r\n{")
        .unwrap();
    let answer = answer(&mut stream);
    assert_eq!((answer.status, &*answer.reason()), (503, "timeout"));
}

#[test]
fn a_connection_that_says_nothing_is_closed() {
    let limits = Limits { idle_time: Duration::from_millis(100), ..Limits::default() };
    let server = serve(Some(&policy("t")), limited(limits));
    for said in ["", "G", "PRI * HTTP/2.0\r\n", "GET /authz/nginx HTTP/1.1\r\nhost: t\r\n"] {
        let mut stream = connect(server.tcp());
        stream.write_all(said.as_bytes()).unwrap();
        assert!(stream.read_to_end(&mut Vec::new()).is_ok(), "{said:?}: it is still open");
    }
    // One that is kept, too, once it has been answered.
    let mut stream = connect(server.tcp());
    stream
        .write_all(request(ASK, &[("authorization", &bearer())], "").replace("connection: close", "x: y").as_bytes())
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[test]
fn what_has_begun_is_answered_before_the_end() {
    let mut server = serve(Some(&policy("t")), options());
    let body = json!({"token": SECRET, "api": "maps", "connection": "dw", "resource": "db.t"}).to_string();
    let (half, rest) = body.split_at(10);
    let mut stream = connect(server.tcp());
    let head = format!(
        "POST /v1/decide HTTP/1.1\r\nhost: t\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{half}",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    eventually("it has begun", || {
        ask(server.admin, "GET /metrics", &[], "").body.contains("portcullis_requests_in_flight 1")
    });
    server.stop();
    eventually("it is not ready any more", || {
        let ready = ask(server.admin, "GET /readyz", &[], "");
        ready.status == 503 && ready.json()["draining"] == true
    });
    stream.write_all(rest.as_bytes()).unwrap();
    assert_eq!(answer(&mut stream).json()["decision"], "allow");
    let address = server.tcp();
    server.stopped();
    assert!(std::net::TcpStream::connect(address).is_err());
}
