//! Runs the gateway as a process, between a client and an upstream that records its requests.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const GOOD: &str = "/v3/maps/dw/table?name=db.t";
const TOKEN: &str = "authorization: Bearer of-the-test\r\n";
const JSON: &str = "authorization: Bearer of-the-test\r\ncontent-type: application/json\r\n";

fn policy(table: &str) -> String {
    format!(
        r#"[{{"id": "the token", "token": "of-the-test", "allowed_apis": ["maps"],
            "grants": [{{"connection_name": "dw", "source": "db.{table}"}}]}}]"#
    )
}

/// An HTTP/1.1 message: its first line and headers in lower case, and its body.
struct Message {
    head: String,
    body: String,
}

fn read(stream: &mut impl BufRead) -> Option<Message> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let value = |name: &str| head.to_lowercase().lines().find_map(|line| line.strip_prefix(name).map(str::to_owned));
    let mut body = Vec::new();
    if value("transfer-encoding: chunked").is_some() {
        loop {
            let mut line = String::new();
            stream.read_line(&mut line).ok()?;
            let length = usize::from_str_radix(line.trim(), 16).ok()?;
            let mut chunk = vec![0; length + 2];
            stream.read_exact(&mut chunk).ok()?;
            if length == 0 {
                break;
            }
            body.extend_from_slice(&chunk[..length]);
        }
    } else if let Some(length) = value("content-length: ") {
        body = vec![0; length.trim().parse().ok()?];
        stream.read_exact(&mut body).ok()?;
    }
    Some(Message { head: head.to_lowercase(), body: String::from_utf8(body).ok()? })
}

/// The requests that have reached the upstream.
type Reached = Arc<Mutex<Vec<Message>>>;

fn upstream() -> (SocketAddr, Reached) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, reached) = (listener.local_addr().unwrap(), Reached::default());
    let seen = Arc::clone(&reached);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (stream, seen) = (stream.unwrap(), Arc::clone(&seen));
            std::thread::spawn(move || {
                let mut stream = BufReader::new(stream);
                while let Some(message) = read(&mut stream) {
                    seen.lock().unwrap().push(message);
                    stream.get_mut().write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").unwrap();
                }
            });
        }
    });
    (address, reached)
}

struct Gateway {
    child: Child,
    address: SocketAddr,
}

impl Gateway {
    fn start(policy: &str, upstream: SocketAddr) -> Self {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let arguments = [policy.to_owned(), address.to_string(), upstream.to_string()];
        let child = Command::new(env!("CARGO_BIN_EXE_pingora-gateway")).args(arguments).spawn().unwrap();
        let gateway = Self { child, address };
        eventually("the gateway listens", || TcpStream::connect(address).is_ok());
        gateway
    }

    /// Sends a request and returns the status and the answer.
    fn ask(&self, line: &str, headers: &str, body: &str) -> (u16, Message) {
        let mut stream = BufReader::new(TcpStream::connect(self.address).unwrap());
        stream.get_mut().set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let length = if body.is_empty() { String::new() } else { format!("content-length: {}\r\n", body.len()) };
        let request = format!("{line} HTTP/1.1\r\nhost: test\r\n{headers}{length}\r\n{body}");
        // The gateway does not read the rest of a rejected body.
        let _ = stream.get_mut().write_all(request.as_bytes());
        let answer = read(&mut stream).unwrap_or_else(|| panic!("{line} is not answered"));
        (answer.head.split(' ').nth(1).unwrap().parse().unwrap(), answer)
    }

    fn hang_up(&self) {
        assert!(Command::new("kill").args(["-HUP", &self.child.id().to_string()]).status().unwrap().success());
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !is_so() {
        assert!(Instant::now() < end, "{what}: not within 20 s");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn only_allowed_requests_reach_the_upstream_and_are_unchanged() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("policy.json");
    std::fs::write(&file, policy("t")).unwrap();
    let (upstream, reached) = upstream();
    let gateway = Gateway::start(file.to_str().unwrap(), upstream);
    let reached = || std::mem::take(&mut *reached.lock().unwrap());

    // Allowed requests have the id of the token, and no forged headers.
    let forged = "X-Portcullis-Token-Id: forged\r\nx-portcullis-else: forged\r\nconnection: x-portcullis-token-id\r\n";
    let (status, _) = gateway.ask(&format!("GET {GOOD}&x=%C3%A9"), &format!("{TOKEN}{forged}"), "");
    let seen = reached();
    assert_eq!((status, seen.len()), (200, 1));
    assert!(seen[0].head.starts_with(&format!("get {GOOD}&x=%c3%a9 ")), "{}", seen[0].head);
    assert!(seen[0].head.contains("\r\nx-portcullis-token-id: the token\r\n"), "{}", seen[0].head);
    assert!(seen[0].head.contains("\r\nx-portcullis-generation: 1\r\n") && !seen[0].head.contains("forged"));
    // Bodies are forwarded unchanged, whether or not the decision needs them.
    let long = format!(r#"{{"name": "db.t", "filler": "{}"}}"#, "é".repeat(30_000));
    for (line, body) in [("POST /v3/maps/dw/table", &*long), (&format!("POST {GOOD}"), r#"{"v": "3", "client": "x"}"#)]
    {
        let (status, answer) = gateway.ask(line, JSON, body);
        let seen = reached();
        assert_eq!((status, seen.len()), (200, 1), "{line}: {}", answer.body);
        assert!(seen[0].body == body, "{line}: {} bytes of {}", seen[0].body.len(), body.len());
    }
    let chunked = format!("{JSON}transfer-encoding: chunked\r\n\r\n8\r\n{{\"name\":\r\n7\r\n\"db.t\"}}\r\n0\r\n");
    assert_eq!(gateway.ask("POST /v3/maps/dw/table", &chunked, "").0, 200);
    assert_eq!(reached()[0].body, r#"{"name":"db.t"}"#);
    // Preflights have no token and are not forwarded.
    let preflight = "origin: https://a.test\r\naccess-control-request-method: GET\r\nx-portcullis-token-id: forged\r\n";
    assert_eq!(gateway.ask(&format!("OPTIONS {GOOD}"), preflight, "").0, 403);
    assert!(reached().is_empty());

    // Denied requests are answered with a reason, and are not forwarded.
    for (line, headers, body, status, reason) in [
        ("GET /v3/maps/dw/table?name=db.other", TOKEN, "", 403, "source_not_granted"),
        (&format!("GET {GOOD}"), "", "", 401, "token_missing"),
        (&format!("GET {GOOD}&name=db.other"), TOKEN, "", 403, "request_not_understood"),
        ("GET /v3/maps/dw/../dw/table?name=db.t", TOKEN, "", 403, "request_not_understood"),
        ("GET http://test/v3/maps/dw/table?name=db.t", TOKEN, "", 403, "request_not_understood"),
        ("POST /v3/maps/dw/table", JSON, r#"{"name": "db.other"}"#, 403, "source_not_granted"),
        (&format!("GET {GOOD}"), JSON, r#"{"name": "db.other"}"#, 403, "request_not_understood"),
        (
            "POST /v3/maps/dw/table",
            JSON,
            &format!(r#"{{"name": "db.t", "filler": "{}"}}"#, "e".repeat(70_000)),
            413,
            "body_too_large",
        ),
    ] {
        let (found, answer) = gateway.ask(line, headers, body);
        assert!(
            found == status && answer.body.contains(&format!(r#""reason":"{reason}""#)),
            "{line}: {found} {}",
            answer.body
        );
        assert_eq!(reached().len(), 0, "{line}");
    }

    // An invalid policy leaves the last valid one active. The next valid one replaces it.
    std::fs::write(&file, "{").unwrap();
    gateway.hang_up();
    std::fs::write(folder.path().join("next"), policy("other")).unwrap();
    assert_eq!(gateway.ask(&format!("GET {GOOD}"), TOKEN, "").0, 200);
    std::fs::rename(folder.path().join("next"), &file).unwrap();
    gateway.hang_up();
    eventually("the next policy is in force", || gateway.ask(&format!("GET {GOOD}"), TOKEN, "").0 == 403);
    assert_eq!(gateway.ask("GET /v3/maps/dw/table?name=db.other", TOKEN, "").0, 200);
}

#[test]
fn all_requests_fail_without_a_policy_or_an_upstream() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("policy.json");
    let (up, reached) = upstream();
    let gateway = Gateway::start(file.to_str().unwrap(), up);
    let (status, answer) = gateway.ask(&format!("GET {GOOD}"), TOKEN, "");
    assert!(status == 503 && answer.body.contains("policy_unavailable"), "{status} {}", answer.body);
    assert_eq!(reached.lock().unwrap().len(), 0);

    std::fs::write(&file, policy("t")).unwrap();
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let gateway = Gateway::start(file.to_str().unwrap(), nobody);
    assert_eq!(gateway.ask(&format!("GET {GOOD}"), TOKEN, "").0, 502);
    assert_eq!(gateway.ask("GET /v3/maps/dw/table?name=db.other", TOKEN, "").0, 403, "denied all the same");
}
