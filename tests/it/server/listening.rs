//! Sockets, limits, and shutdown.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::thread::ScopedJoinHandle;
use std::time::Duration;

use portcullis_server::{Address, Limits, ServerOptions};
use serde_json::json;

use super::http2::{END_HEADERS, HEADERS, SETTINGS, fields, frame, open_for, post, preface};
use super::running::{Running, answer, ask, connect, options, request, serve};
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
fn requests_beyond_limits_are_refused_never_allowed() {
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
    // The held request counts once it is accepted; until then the other one may be first.
    eventually("the second connection is refused", || full.ask(ASK, &[("authorization", &token)], "").status == 503);
    drop(held);
    eventually("there is room again", || full.ask(ASK, &[("authorization", &token)], "").status == 200);
}

#[test]
fn incomplete_request_times_out() {
    let limits = Limits { request_time: Duration::from_millis(100), ..Limits::default() };
    let server = serve(Some(&policy("t")), limited(limits));
    let mut stream = connect(server.tcp());
    stream
        .write_all(
            request("POST /v1/decide", &[("content-length", "9")], "").replace("\r\n\r\n", "\r\n\r\n{").as_bytes(),
        )
        .unwrap();
    let answer = answer(&mut stream);
    assert_eq!((answer.status, &*answer.reason()), (503, "timeout"));
}

#[test]
fn silent_connection_is_closed() {
    let time = Duration::from_millis(100);
    let server =
        serve(Some(&policy("t")), limited(Limits { idle_time: time, request_time: time, ..Limits::default() }));
    for said in ["", "G", "PRI * HTTP/2.0\r\n", "GET /authz/nginx HTTP/1.1\r\nhost: t\r\n"] {
        let mut stream = connect(server.tcp());
        stream.write_all(said.as_bytes()).unwrap();
        assert!(stream.read_to_end(&mut Vec::new()).is_ok(), "{said:?}: it is still open");
    }
    // A kept connection, too, after its request was answered.
    let mut stream = connect(server.tcp());
    stream
        .write_all(request(ASK, &[("authorization", &bearer())], "").replace("connection: close", "x: y").as_bytes())
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[test]
fn open_requests_are_answered_before_shutdown() {
    let mut server = serve(Some(&policy("t")), options());
    let body = json!({"token": SECRET, "api": "maps", "connection": "dw", "resource": "db.t"}).to_string();
    let (half, rest) = body.split_at(10);
    let mut stream = connect(server.tcp());
    let head = request("POST /v1/decide", &[], &body).replace(&body, half);
    stream.write_all(head.as_bytes()).unwrap();
    eventually("the request is in progress", || {
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

/// A metric of the server, from its admin listener.
fn metric(server: &Running, name: &str) -> usize {
    let metrics = ask(server.admin, "GET /metrics", &[], "").body;
    let line = metrics.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("{name}\n{metrics}"));
    // Gauges are written as floats.
    line.trim().trim_end_matches(".0").parse().unwrap()
}

#[test]
fn requests_that_stop_half_way_and_idle_connections_are_closed_on_every_listener() {
    let limits =
        Limits { request_time: Duration::from_millis(400), idle_time: Duration::from_millis(800), ..Limits::default() };
    let server = serve(Some(&policy("t")), limited(limits));
    let (start, get) = (preface(65535), fields(&[(":method", "GET")]));
    // The bytes that a client sends before it stops; the cause of the close, and its latest time.
    let cases = [
        ("nothing", vec![], "idle", 1600),
        ("half a line", b"GET /heal".to_vec(), "request_incomplete", 1000),
        ("half a head", b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n".to_vec(), "request_incomplete", 1000),
        ("half a preface", b"PRI * HTTP/2.0\r\n".to_vec(), "request_incomplete", 1000),
        ("a preface", start.clone(), "idle", 1600),
        ("half a frame", [&start, &frame(SETTINGS, 0, 0, &[])[..5]].concat(), "request_incomplete", 1000),
        ("half a frame of headers", [&start, &frame(HEADERS, 4, 1, &get)[..12]].concat(), "request_incomplete", 1000),
        ("half a block of headers", [start, frame(HEADERS, 0, 1, &get)].concat(), "request_incomplete", 1000),
    ];
    std::thread::scope(|scope| {
        for (listener, address) in [("decisions", server.tcp()), ("admin", server.admin)] {
            for (said, bytes, _, latest) in &cases {
                scope.spawn(move || {
                    let open = open_for(address, bytes);
                    let bounds = Duration::from_millis(350)..Duration::from_millis(latest + 3000);
                    assert!(bounds.contains(&open), "{said} at {listener}: open for {open:?}");
                });
            }
        }
    });
    for listener in ["decisions", "admin"] {
        for (said, .., expected, _) in &cases {
            let name = format!("portcullis_connections_closed_total{{listener=\"{listener}\",cause=\"{expected}\"}}");
            let count = cases.iter().filter(|(.., cause, _)| cause == expected).count();
            assert_eq!(metric(&server, &name), count, "{said} at {listener}");
        }
    }
    // Bytes that trickle in do not keep the connection open.
    let mut stream = connect(server.tcp());
    let started = std::time::Instant::now();
    stream.write_all(b"GET /authz/nginx HTTP/1.1\r\n").unwrap();
    while stream.write_all(b"x: y\r\n").is_ok() {
        assert!(started.elapsed() < Duration::from_secs(10), "it is still open");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A request whose response has more than 40 KB, although it is shorter itself.
fn request_with_large_response() -> String {
    json!(vec![1; 1000]).to_string()
}

#[test]
fn unread_responses_take_bounded_memory_for_a_bounded_time() {
    let bytes = 256 << 10;
    let time = Duration::from_secs(3);
    let limits = Limits { connection_buffered_bytes: bytes, request_time: time, ..Limits::default() };
    let server = serve(Some(&policy("t")), limited(limits));
    let buffered = || metric(&server, "portcullis_buffered_bytes{listener=\"decisions\"}");
    let unread =
        || metric(&server, "portcullis_connections_closed_total{listener=\"decisions\",cause=\"answer_unread\"}");
    let shed = || metric(&server, "portcullis_requests_shed_total");
    // HTTP/2 without a window for responses; as many requests as fit into the window of every server.
    let many: Vec<u8> = (0..30).flat_map(|at| post(2 * at + 1, "/v1/decide", &request_with_large_response())).collect();
    let address = server.tcp();
    let client = std::thread::spawn(move || open_for(address, &[preface(0), many].concat()));
    eventually("some answers wait, the others are refused", || buffered() > 100_000 && shed() > 20);
    assert!(buffered() <= bytes, "{}", buffered());
    let open = client.join().unwrap();
    assert!((time..Duration::from_secs(20)).contains(&open), "{open:?}");
    eventually("nothing is held", || buffered() == 0);
    assert_eq!(unread(), 1);
    // HTTP/1, with more bytes than the system buffers.
    let mut stream = connect(server.tcp());
    stream.set_write_timeout(Some(Duration::from_secs(20))).unwrap();
    let again = request("POST /v1/decide", &[], &request_with_large_response()).replace("connection: close", "x: y");
    let failed = (0..10_000).find_map(|_| stream.write_all(again.as_bytes()).err()).expect("it takes everything");
    assert!(!matches!(failed.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut), "{failed}");
    eventually("nothing is held", || buffered() == 0);
    assert_eq!(unread(), 2);
    // A client that reads gets its responses.
    assert_eq!(server.ask("POST /v1/decide", &[], &request_with_large_response()).status, 200);
}

#[test]
fn bodies_of_all_connections_together_take_bounded_memory() {
    let request_time = Duration::from_mins(1);
    let limits = Limits { buffered_bytes: 100_000, request_time, ..Limits::default() };
    let server = serve(Some(&policy("t")), limited(limits));
    let head = request("POST /v1/decide", &[("content-length", "90000")], "");
    let hold = || {
        let mut stream = connect(server.tcp());
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(" ".repeat(80_000).as_bytes()).unwrap();
        stream
    };
    let buffered = "portcullis_buffered_bytes{listener=\"decisions\"}";
    // One after the other: if two arrive together, both may be refused.
    let mut first = hold();
    eventually("the first is held", || metric(&server, buffered) >= 80_000);
    let mut second = hold();
    eventually("the second is refused", || metric(&server, "portcullis_requests_shed_total") == 1);
    let _ = first.write_all(&[b' '; 10_000]);
    let _ = second.write_all(&[b' '; 10_000]);
    let answers = [answer(&mut first), answer(&mut second)].map(|answer| (answer.status, answer.reason()));
    assert_eq!(answers, [(400, "invalid_request".to_owned()), (503, "overloaded".to_owned())]);
    assert_eq!(metric(&server, buffered), 0);
}

#[test]
fn a_connection_of_http2_has_bounded_requests_at_once_and_a_flood_of_resets_ends_it() {
    let server = serve(Some(&policy("t")), options());
    let head =
        fields(&[(":method", "POST"), (":scheme", "http"), (":authority", "localhost"), (":path", "/v1/decide")]);
    let reset = |at: u32| [frame(HEADERS, END_HEADERS, at, &head), frame(3, 0, at, &8_u32.to_be_bytes())].concat();
    let flood: Vec<u8> = (0..5000).flat_map(|at| reset(2 * at + 1)).collect();
    let open = open_for(server.tcp(), &[preface(0), flood].concat());
    assert!(open < Duration::from_secs(20), "{open:?}");
    assert_eq!(server.ask(ASK, &[("authorization", &bearer())], "").status, 200);
}

#[test]
fn connections_are_counted() {
    let server = serve(Some(&policy("t")), limited(Limits { connections: 2, ..Limits::default() }));
    let open = "portcullis_connections_open{listener=\"decisions\"}";
    let held = [connect(server.tcp()), connect(server.tcp())];
    eventually("both are open", || metric(&server, open) == 2);
    assert_eq!(server.ask(ASK, &[], "").status, 503);
    assert_eq!(metric(&server, "portcullis_connections_refused_total{listener=\"decisions\"}"), 1);
    assert_eq!(metric(&server, "portcullis_connections_open{listener=\"admin\"}"), 1);
    drop(held);
    eventually("none is open", || metric(&server, open) == 0);
}

#[test]
fn operators_are_answered_while_lists_are_decided() {
    let limits = Limits { batch: 1_000_000, body_bytes: 64 << 20, ..Limits::default() };
    let server = serve(Some(&policy("t")), limited(Limits { connection_buffered_bytes: 256 << 20, ..limits }));
    let one = json!({"token": SECRET, "api": "maps", "connection": "dw", "resource": "db.t"}).to_string();
    let list = format!("[{}]", vec![one; 100_000].join(","));
    std::thread::scope(|scope| {
        let lists: Vec<_> = (0..4).map(|_| scope.spawn(|| server.ask("POST /v1/decide", &[], &list).status)).collect();
        let mut requests = 0;
        while !lists.iter().all(ScopedJoinHandle::is_finished) {
            for (who, status) in [
                ("an operator", &|| ask(server.admin, "GET /healthz", &[], "").status),
                ("a gateway", &|| server.ask(ASK, &[("authorization", &bearer())], "").status),
            ] as [(&str, &dyn Fn() -> u16); 2]
            {
                let started = std::time::Instant::now();
                assert_eq!(status(), 200);
                assert!(started.elapsed() < Duration::from_secs(2), "{who} waited for {:?}", started.elapsed());
                requests += 1;
            }
        }
        assert!(requests > 0, "no request was answered meanwhile");
        for list in lists {
            assert!(matches!(list.join().unwrap(), 200 | 503));
        }
    });
}

#[test]
fn list_is_cancelled_at_its_time_limit() {
    let time = Duration::from_secs(1);
    let limits = Limits { batch: 1_000_000, body_bytes: 64 << 20, request_time: time, ..Limits::default() };
    let server = serve(Some(&policy("t")), limited(Limits { connection_buffered_bytes: 256 << 20, ..limits }));
    let one = json!({"token": SECRET, "api": "maps", "connection": "dw", "resource": "db.t"}).to_string();
    // So many requests that every machine needs more time than the limit.
    let list = format!("[{}]", vec![&*one; 300_000].join(","));
    let answer = server.ask("POST /v1/decide", &[], &list);
    assert_eq!((answer.status, &*answer.reason()), (503, "timeout"), "{}", answer.body.len());
    let decided = metric(&server, "portcullis_decisions_total{api=\"maps\",outcome=\"allow\",reason=\"\"}");
    assert!(decided < 300_000, "{decided}");
}

#[test]
fn impossible_options_are_refused() {
    let refused = |command: &[&str], option: &str, value: &str| {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_portcullis"))
            .args(command)
            .args([option, value])
            .env_remove("PORTCULLIS_DB")
            .output()
            .unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        let is_refused = error.contains("expected ") && error.contains(&format!("'{value}'"));
        if output.status.code() == Some(2) && is_refused { Ok(()) } else { Err(error) }
    };
    // An address of another machine: options that are accepted still fail to bind.
    let serve = &["serve", "--policy", "/nowhere.json", "--listen", "203.0.113.1:1"][..];
    let seconds = ["0", "1e30", "18446744073709551615", "18446744073709551615s", "NaN", "inf", "-1", "1e-9", "86401"];
    for option in ["--request-timeout", "--idle-timeout", "--drain"] {
        for value in seconds {
            assert_eq!(refused(serve, option, value), Ok(()), "{option} {value}");
        }
    }
    let counts = [
        "--threads",
        "--max-connections",
        "--max-requests",
        "--max-batch",
        "--max-body",
        "--max-headers",
        "--max-header-bytes",
        "--max-buffered",
        "--max-connection-buffered",
        "--log-queue",
    ];
    let (check, read) =
        (&["check", "--policy", "/nowhere.json", "--requests", "-"][..], &["read", "--requests", "-"][..]);
    let bench = &["bench", "--policy", "/nowhere.json", "--requests", "-"][..];
    let others =
        [(check, "--threads"), (check, "--max-line"), (read, "--threads"), (read, "--max-line"), (bench, "--threads")];
    for (command, option) in counts.map(|option| (serve, option)).into_iter().chain(others) {
        for value in ["0", "-1", "1.5", "18446744073709551615", "18446744073709551616", "1e3"] {
            assert_eq!(refused(command, option, value), Ok(()), "{command:?} {option} {value}");
        }
    }
    for (option, value) in [("--shadow-examples", "65536"), ("--allow-host", "a:80"), ("--allow-host", "http://a")] {
        assert_eq!(refused(serve, option, value), Ok(()), "{option} {value}");
    }
}
