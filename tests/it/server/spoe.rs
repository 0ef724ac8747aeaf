//! HAProxy's Stream Processing Offload Engine: a client that speaks as HAProxy does.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use portcullis_server::{Address, Cors, Limits, ServerOptions};
use serde_json::Value;

use super::running::{Running, ask, options, serve};
use super::util::{SECRET, eventually, policy};
use crate::haproxy::{binary, boolean, frame, headers, hello, message, sent, text, uint32};

const NOTIFY: u8 = 3;
const AGENT_HELLO: u8 = 101;
const AGENT_DISCONNECT: u8 = 102;
const ACK: u8 = 103;

const NOTHING_BUFFERED: &str = "portcullis_buffered_bytes{listener=\"decisions\"} 0";

const TARGET: &str = "/v3/maps/dw/table?name=db.t";

fn with_spoe(options: ServerOptions) -> ServerOptions {
    ServerOptions { spoe: Some("127.0.0.1:0".parse().unwrap()), ..options }
}

fn limited(limits: Limits) -> ServerOptions {
    with_spoe(ServerOptions { limits, ..options() })
}

/// A connection of HAProxy.
struct Haproxy<S> {
    stream: S,
}

fn connect(server: &Running) -> Haproxy<TcpStream> {
    let Some(Address::Tcp(address)) = &server.spoe else { panic!("{:?}", server.spoe) };
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
    Haproxy { stream }
}

fn introduced(server: &Running) -> Haproxy<TcpStream> {
    let mut haproxy = connect(server);
    haproxy.introduce(16_380);
    haproxy
}

/// The answer to a request: its numbers, and the variables in their order.
type Answer = ((u64, u64), Vec<(String, String)>);

impl<S: Read + Write> Haproxy<S> {
    fn send(&mut self, frame: &[u8]) {
        self.stream.write_all(&sent(frame)).unwrap();
    }

    /// Returns the type and the rest of the next frame; `None` if the connection is closed.
    fn receive(&mut self) -> Option<(u8, Vec<u8>)> {
        let mut length = [0; 4];
        self.stream.read_exact(&mut length).ok()?;
        let mut frame = vec![0; u32::from_be_bytes(length) as usize];
        self.stream.read_exact(&mut frame).unwrap();
        assert_eq!(frame[1..5], [0, 0, 0, 1], "every frame is whole");
        Some((frame[0], frame[5..].to_vec()))
    }

    /// Introduces HAProxy; returns the size of frames that the agent accepts.
    fn introduce(&mut self, max_frame: u32) -> u64 {
        self.send(&hello(max_frame, &[]));
        let (kind, rest) = self.receive().unwrap();
        assert_eq!((kind, &rest[..2]), (AGENT_HELLO, &[0, 0][..]));
        let offered = Reader(&rest[2..]).pairs();
        assert_eq!((&*offered["version"], &*offered["capabilities"]), ("2.0", "pipelining"));
        offered["max-frame-size"].parse().unwrap()
    }

    fn answer(&mut self) -> Answer {
        let (kind, rest) = self.receive().unwrap();
        assert_eq!(kind, ACK, "{}", String::from_utf8_lossy(&rest));
        let mut reader = Reader(&rest);
        let id = (reader.varint(), reader.varint());
        let mut variables = Vec::new();
        while !reader.0.is_empty() {
            assert_eq!(reader.take(3), [1, 3, 2], "sets a variable of the transaction");
            variables.push((reader.string(), reader.value()));
        }
        (id, variables)
    }

    fn ask(&mut self, request: &Asked<'_>) -> BTreeMap<String, String> {
        self.send(&frame(NOTIFY, 1, 300, 1, &request.message()));
        let (id, variables) = self.answer();
        assert_eq!(id, (300, 1));
        assert_eq!(variables.last().unwrap().0, "decision", "an answer that is cut decides nothing: {variables:?}");
        variables.into_iter().collect()
    }

    /// Returns the code of the agent's disconnection, after which the connection is closed.
    fn disconnected(&mut self) -> Option<String> {
        let (kind, rest) = self.receive()?;
        assert_eq!(kind, AGENT_DISCONNECT);
        assert!(self.receive().is_none(), "it is closed");
        Some(Reader(&rest[2..]).pairs()["status-code"].clone())
    }
}

/// Reads what the agent sends.
struct Reader<'b>(&'b [u8]);

impl<'b> Reader<'b> {
    fn take(&mut self, count: usize) -> &'b [u8] {
        let (taken, rest) = self.0.split_at(count);
        self.0 = rest;
        taken
    }

    /// Sums the bytes: the first as it is, the next times 2⁴, and each later one times 2⁷ more.
    fn varint(&mut self) -> u64 {
        let mut value = u64::from(self.take(1)[0]);
        let mut is_last = value < 240;
        let mut shift = 4;
        while !is_last {
            let byte = u64::from(self.take(1)[0]);
            value += byte << shift;
            shift += 7;
            is_last = byte < 128;
        }
        value
    }

    fn string(&mut self) -> String {
        let length = usize::try_from(self.varint()).unwrap();
        String::from_utf8(self.take(length).to_vec()).unwrap()
    }

    fn value(&mut self) -> String {
        match self.take(1)[0] {
            3 | 5 => self.varint().to_string(),
            8 => self.string(),
            other => panic!("type {other}"),
        }
    }

    fn pairs(&mut self) -> BTreeMap<String, String> {
        let mut pairs = BTreeMap::new();
        while !self.0.is_empty() {
            let name = self.string();
            assert!(pairs.insert(name, self.value()).is_none());
        }
        pairs
    }
}

/// A request of a client.
#[derive(Clone)]
struct Asked<'a> {
    method: &'a str,
    target: &'a str,
    headers: Vec<(&'a str, String)>,
    body: &'a [u8],
    is_whole: bool,
}

impl<'a> Asked<'a> {
    fn get(target: &'a str) -> Self {
        let headers = vec![("host", "a".to_owned()), ("authorization", format!("Bearer {SECRET}"))];
        Self { method: "GET", target, headers, body: b"", is_whole: true }
    }

    fn post(target: &'a str, body: &'a [u8]) -> Self {
        let mut request = Self { method: "POST", body, ..Self::get(target) };
        request
            .headers
            .extend([("content-type", "application/json".to_owned()), ("content-length", body.len().to_string())]);
        request
    }

    fn with(mut self, name: &'a str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    fn message(&self) -> Vec<u8> {
        let arguments = [
            ("method", text(self.method)),
            ("target", text(self.target)),
            ("headers", binary(&headers(&self.headers))),
            ("body", binary(self.body)),
            ("whole", boolean(self.is_whole)),
        ];
        message("check", &arguments)
    }
}

fn variables(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn requests_are_answered_with_variables() {
    let options = ServerOptions { cors: Cors::Only(vec!["https://a.test".into()]), ..options() };
    let server = serve(Some(&policy("t")), with_spoe(options));
    let mut haproxy = introduced(&server);
    let denied = |status: &str, reason: &str, error: &str| {
        let body = format!(r#"{{"error":"{error}","reason":"{reason}"}}"#);
        variables(&[("decision", "deny"), ("status", status), ("reason", reason), ("body", &body), ("generation", "1")])
    };
    let allowed = variables(&[("decision", "allow"), ("token_id", "only_t"), ("generation", "1")]);
    assert_eq!(haproxy.ask(&Asked::get(TARGET)), allowed);
    assert_eq!(haproxy.ask(&Asked::post("/v3/maps/dw/table", br#"{"name": "db.t"}"#)), allowed);
    let mut expected = denied("403", "source_not_granted", "the access token does not allow this source");
    expected.insert("token_id".into(), "only_t".into());
    let other = Asked::get("/v3/maps/dw/table?name=db.u");
    assert_eq!(haproxy.ask(&other), expected);
    assert_eq!(haproxy.ask(&other.clone().with("origin", "https://b.test")), expected);
    expected.insert("allow_origin".into(), "https://a.test".into());
    assert_eq!(haproxy.ask(&other.with("origin", "https://a.test")), expected);
    let anonymous = Asked { headers: vec![], ..Asked::get(TARGET) };
    assert_eq!(haproxy.ask(&anonymous), denied("401", "token_missing", "the access token is missing"));
    let preflight = Asked { method: "OPTIONS", ..anonymous.clone() };
    let preflight = preflight.with("origin", "https://a.test").with("access-control-request-method", "GET");
    let answered = [
        ("decision", "preflight"),
        ("status", "204"),
        ("body", ""),
        ("generation", "1"),
        ("allow_origin", "https://a.test"),
    ];
    assert_eq!(haproxy.ask(&preflight), variables(&answered));
    for (request, why) in [
        (Asked::get(TARGET).with("authorization", "Bearer other"), "two headers of the token"),
        (Asked::get(TARGET).with("x-original-url", "/v3/maps/dw/table?name=db.u"), "a header that overrides the URL"),
        (Asked::get(TARGET).with("x_a", "1"), "a name with an underscore"),
        (Asked::get("http://a.test/v3/maps/dw/table?name=db.t"), "an absolute URL"),
        (Asked::post(TARGET, b"{}").with("content-length", "3"), "another length of the body"),
        (Asked { headers: Asked::get(TARGET).headers, ..Asked::post(TARGET, b"{}") }, "a body without a type"),
    ] {
        let answer = haproxy.ask(&request);
        assert_eq!((&*answer["decision"], &*answer["reason"]), ("deny", "request_not_understood"), "{why}");
    }
    // Portcullis denies what is not the documented configuration, and the connection stays.
    haproxy.send(&frame(NOTIFY, 1, 7, 2, &message("check", &[("method", text("GET"))])));
    let (id, answer) = haproxy.answer();
    let reason = answer.iter().find(|(name, _)| name == "reason").unwrap();
    assert_eq!((id, &*reason.1), ((7, 2), "request_not_understood"));
    let missing = Asked::get(TARGET);
    assert_eq!(haproxy.ask(&missing), allowed);
}

/// A server without a policy denies every request.
#[test]
fn requests_are_denied_without_a_policy() {
    let server = serve(None, with_spoe(options()));
    let answer = introduced(&server).ask(&Asked::get(TARGET));
    assert_eq!((&*answer["decision"], &*answer["status"], &*answer["reason"]), ("deny", "503", "policy_unavailable"));
}

/// Every case of the request reader has the same answer as over HTTP.
#[test]
fn answers_are_those_of_the_endpoint_for_scripts() {
    let server = serve(Some(&policy("t")), with_spoe(options()));
    let mut haproxy = introduced(&server);
    let mut compared = 0;
    for file in ["understood.json", "not-understood.json"] {
        let cases = std::fs::read_to_string(crate::repository().join("tests/data/http").join(file)).unwrap();
        for case in serde_json::from_str::<Vec<Value>>(&cases).unwrap() {
            let (target, body) = (case["url"].as_str().unwrap(), case["body"].as_str().unwrap_or_default());
            let method = case["method"].as_str().unwrap_or("GET");
            let given = case["headers"].as_array().cloned().unwrap_or_default();
            let mut given: Vec<(String, String)> = given
                .iter()
                .map(|pair| (pair[0].as_str().unwrap().to_owned(), pair[1].as_str().unwrap().to_owned()))
                .collect();
            let is_plain = |text: &str| !text.is_empty() && text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
            let is_sent = given.iter().all(|(name, value)| is_plain(name) && is_plain(value) && value.trim() == value)
                && !given.iter().any(|(name, _)| {
                    ["connection", "transfer-encoding", "content-length", "x-original-url"]
                        .contains(&&*name.to_lowercase())
                });
            // Over HTTP, an empty body may be one that the gateway did not pass on.
            if !is_plain(target) || !is_sent || (body.is_empty() && method != "GET") {
                continue;
            }
            if !body.is_empty() && case["headers"].is_null() {
                given.push(("content-type".into(), "application/json".into()));
            }
            if !given.iter().any(|(name, _)| name.eq_ignore_ascii_case("authorization")) {
                given.push(("authorization".into(), format!("Bearer {SECRET}")));
            }
            let line = [("x-original-method", method), ("x-original-uri", target)];
            let over_http: Vec<_> = given.iter().map(|(name, value)| (&**name, &**value)).chain(line).collect();
            let http = server.ask("POST /authz/script", &over_http, body);
            let headers = given.iter().map(|(name, value)| (&**name, value.clone())).collect();
            let answer = haproxy.ask(&Asked { method, target, headers, body: body.as_bytes(), is_whole: true });
            if http.status == 200 {
                assert_eq!(answer["decision"], "allow", "{case}");
            } else {
                assert_eq!((&answer["status"], &answer["body"]), (&http.status.to_string(), &http.body), "{case}");
            }
            compared += 1;
        }
    }
    assert!(compared > 150, "{compared}");
    let metrics = ask(server.admin, "GET /metrics", &[], "").body;
    let decisions = metrics
        .lines()
        .filter_map(|line| line.strip_prefix("portcullis_decisions_total{")?.rsplit(' ').next()?.parse::<usize>().ok());
    assert_eq!(decisions.sum::<usize>(), 2 * compared, "both are counted");
}

#[test]
fn requests_without_waiting_are_all_answered() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("spoe.sock");
    let spoe = Some(Address::Unix(path.clone()));
    let server = serve(Some(&policy("t")), ServerOptions { spoe, ..options() });
    let stream = UnixStream::connect(&path).unwrap();
    let mut haproxy = Haproxy { stream: stream.try_clone().unwrap() };
    haproxy.introduce(16_380);
    let frames: Vec<u8> = (0..3_000_u64)
        .flat_map(|at| {
            let target = if at % 3 == 0 { TARGET } else { "/v3/maps/dw/table?name=db.u" };
            sent(&frame(NOTIFY, 1, at * 97, at, &Asked::get(target).message()))
        })
        .collect();
    std::thread::scope(|scope| {
        // In pieces that end anywhere.
        scope.spawn(|| frames.chunks(1_777).for_each(|piece| (&stream).write_all(piece).unwrap()));
        for at in 0..3_000_u64 {
            let (id, variables) = haproxy.answer();
            assert_eq!(id, (at * 97, at));
            let expected = if at % 3 == 0 { "allow" } else { "deny" };
            assert_eq!(variables.last().unwrap().1, expected);
        }
    });
    drop(server);
    assert_eq!(haproxy.disconnected().as_deref(), Some("0"));
    assert!(!path.exists());
}

#[test]
fn a_health_check_is_answered() {
    let server = serve(Some(&policy("t")), with_spoe(options()));
    let mut haproxy = connect(&server);
    haproxy.send(&hello(16_380, &[("healthcheck", boolean(true))]));
    assert_eq!(haproxy.receive().unwrap().0, AGENT_HELLO);
    assert!(haproxy.receive().is_none());
}

/// The agent reports the mistake with the code of the protocol, closes the connection, and serves others.
#[test]
fn a_wrong_frame_ends_its_connection_with_a_code() {
    let server = serve(Some(&policy("t")), with_spoe(options()));
    let mut other = introduced(&server);
    let asked = Asked::get(TARGET).message();
    let notify = frame(NOTIFY, 1, 1, 1, &asked);
    let without_sizes = frame(1, 1, 0, 0, &[]);
    for (frames, code, why) in [
        (vec![notify.clone()], "4", "a request before the introduction"),
        (vec![hello(16_380, &[]), hello(16_380, &[])], "4", "two introductions"),
        (vec![without_sizes], "5", "an empty introduction"),
        (vec![hello(100, &[])], "9", "frames that are too small"),
        (vec![hello(16_380, &[]), vec![]], "4", "an empty frame"),
        (vec![hello(16_380, &[]), frame(NOTIFY, 0, 1, 1, &asked)], "10", "a fragment"),
        (vec![hello(16_380, &[]), frame(NOTIFY, 1, 1, 1, &asked[..asked.len() - 1])], "4", "a request that is cut"),
        (vec![hello(16_380, &[]), frame(99, 1, 1, 1, &[])], "4", "a type that does not exist"),
        (vec![hello(300, &[]), frame(NOTIFY, 1, 1, 1, &[0; 300])], "3", "a frame that is longer than agreed"),
        (vec![hello(16_380, &[]), frame(2, 1, 0, 0, &[])], "0", "HAProxy disconnects"),
    ] {
        let mut haproxy = connect(&server);
        let introductions = frames.iter().filter(|frame| frame.first() == Some(&1)).count().min(frames.len() - 1);
        for frame in &frames {
            haproxy.send(frame);
        }
        for _ in 0..introductions {
            assert_eq!(haproxy.receive().unwrap().0, AGENT_HELLO, "{why}");
        }
        assert_eq!(haproxy.disconnected().as_deref(), Some(code), "{why}");
    }
    // A length beyond every limit is refused before the frame arrives.
    let mut haproxy = introduced(&server);
    haproxy.stream.write_all(&[0xFF; 4]).unwrap();
    assert_eq!(haproxy.disconnected().as_deref(), Some("3"));
    assert_eq!(other.ask(&Asked::get(TARGET))["decision"], "allow");
}

#[test]
fn requests_beyond_limits_are_refused_never_allowed() {
    let limits = Limits { body_bytes: 100, headers: 10, header_bytes: 1_000, ..Limits::default() };
    let server = serve(Some(&policy("t")), limited(limits));
    let mut haproxy = connect(&server);
    assert_eq!(haproxy.introduce(1 << 20), 100 + 1_000 + 4_096, "the limits bound the size of frames");
    let padded = |bytes: usize| format!(r#"{{"name":"db.t","v":"{}"}}"#, "x".repeat(bytes - 22));
    assert_eq!(haproxy.ask(&Asked::post("/v3/maps/dw/table", padded(100).as_bytes()))["decision"], "allow");
    let many = (0..10).fold(Asked::get(TARGET), |asked, _| asked.with("x-more", "1"));
    for (request, status, reason) in [
        (Asked::post("/v3/maps/dw/table", padded(101).as_bytes()), "413", "body_too_large"),
        (Asked { is_whole: false, ..Asked::get(TARGET) }, "413", "body_too_large"),
        (many, "431", "too_many_headers"),
        (Asked::get(TARGET).with("x-long", &"x".repeat(1_000)), "431", "too_many_headers"),
    ] {
        let answer = haproxy.ask(&request);
        assert_eq!((&*answer["decision"], &*answer["status"], &*answer["reason"]), ("deny", status, reason));
        assert!(answer["body"].contains(reason));
    }

    let busy = serve(Some(&policy("t")), limited(Limits { requests: 0, ..Limits::default() }));
    let answer = introduced(&busy).ask(&Asked::get(TARGET));
    assert_eq!((&*answer["decision"], &*answer["status"], &*answer["reason"]), ("deny", "503", "overloaded"));

    let full = serve(Some(&policy("t")), limited(Limits { connections: 1, ..Limits::default() }));
    let held = introduced(&full);
    assert!(connect(&full).receive().is_none(), "one connection is open");
    drop(held);
    eventually("there is room again", || {
        let mut haproxy = connect(&full);
        _ = haproxy.stream.write_all(&sent(&hello(16_380, &[])));
        haproxy.receive().is_some()
    });

    // A frame of more than the memory of a connection.
    let limits = Limits { connection_buffered_bytes: 20_000, ..Limits::default() };
    let small = serve(Some(&policy("t")), limited(limits));
    let mut haproxy = connect(&small);
    haproxy.introduce(1 << 20);
    haproxy.send(&frame(NOTIFY, 1, 1, 1, &Asked::post("/v3/maps/dw/table", padded(19_000).as_bytes()).message()));
    assert_eq!(haproxy.answer().1.last().unwrap().1, "allow");
    haproxy.stream.write_all(&[0, 0, 0x80, 0]).unwrap();
    assert_eq!(haproxy.disconnected().as_deref(), Some("13"));
    eventually("nothing is held", || ask(small.admin, "GET /metrics", &[], "").body.contains(NOTHING_BUFFERED));
}

/// An answer that does not fit a frame is a denial without a reason.
#[test]
fn an_answer_that_does_not_fit_is_a_denial() {
    let id = "i".repeat(300);
    let long = policy("t").replace("only_t", &id);
    let server = serve(Some(&long), with_spoe(options()));
    let mut haproxy = connect(&server);
    haproxy.introduce(300);
    assert_eq!(haproxy.ask(&Asked::get(TARGET)), variables(&[("decision", "deny")]));
    let mut haproxy = connect(&server);
    haproxy.introduce(16_380);
    assert_eq!(haproxy.ask(&Asked::get(TARGET))["token_id"], id);
}

#[test]
fn connections_that_stop_half_way_and_idle_connections_are_closed() {
    let limits =
        Limits { request_time: Duration::from_millis(400), idle_time: Duration::from_millis(800), ..Limits::default() };
    let server = serve(Some(&policy("t")), limited(limits));
    let (offer, request) = (sent(&hello(65_532, &[])), sent(&frame(NOTIFY, 1, 1, 1, &Asked::get(TARGET).message())));
    std::thread::scope(|scope| {
        for (bytes, latest, why) in [
            (vec![], 1_000, "no introduction"),
            (offer[..9].to_vec(), 1_000, "a part of the introduction"),
            ([&*offer, &request[..3]].concat(), 1_000, "a part of a length"),
            ([&*offer, &request[..50]].concat(), 1_000, "a part of a request"),
            ([&*offer, &[0, 0, 0x80, 0], &request[..50]].concat(), 1_000, "a part of a long request"),
            (offer.clone(), 1_600, "no request"),
            ([&*offer, &*request].concat(), 1_600, "one request"),
        ] {
            let mut stream = connect(&server).stream;
            scope.spawn(move || {
                let begun = Instant::now();
                stream.write_all(&bytes).unwrap();
                _ = stream.read_to_end(&mut Vec::new());
                let bounds = Duration::from_millis(350)..Duration::from_millis(latest + 3_000);
                assert!(bounds.contains(&begun.elapsed()), "{why}: open for {:?}", begun.elapsed());
            });
        }
    });
    let metrics = ask(server.admin, "GET /metrics", &[], "").body;
    for (cause, count) in [("request_incomplete", 5), ("idle", 2)] {
        let line = format!("portcullis_connections_closed_total{{listener=\"decisions\",cause=\"{cause}\"}} {count}\n");
        assert!(metrics.contains(&line), "{line}{metrics}");
    }
    assert!(metrics.contains(NOTHING_BUFFERED), "{metrics}");
}

/// A client that does not read its answers takes bounded memory for a bounded time.
#[test]
fn unread_answers_end_their_connection() {
    let limits = Limits { request_time: Duration::from_millis(500), ..Limits::default() };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("spoe.sock");
    // The system buffers less of a Unix socket than of TCP.
    let spoe = Some(Address::Unix(path.clone()));
    let server = serve(Some(&policy("t")), ServerOptions { spoe, limits, ..options() });
    let mut haproxy = Haproxy { stream: UnixStream::connect(&path).unwrap() };
    haproxy.introduce(16_380);
    let request = sent(&frame(NOTIFY, 1, 1, 1, &Asked::get(TARGET).message())).repeat(20);
    let begun = Instant::now();
    while haproxy.stream.write_all(&request).is_ok() {
        assert!(begun.elapsed() < Duration::from_mins(1), "it is still open");
    }
    let line = "portcullis_connections_closed_total{listener=\"decisions\",cause=\"answer_unread\"} 1";
    eventually("the connection is closed", || ask(server.admin, "GET /metrics", &[], "").body.contains(line));
}

#[test]
fn a_stopping_server_answers_and_disconnects() {
    let mut server = serve(Some(&policy("t")), with_spoe(options()));
    let mut haproxy = introduced(&server);
    assert_eq!(haproxy.ask(&Asked::get(TARGET))["decision"], "allow");
    server.stop();
    assert_eq!(haproxy.disconnected().as_deref(), Some("0"));
    drop(haproxy);
    server.stopped();
}

/// A number where the protocol has a text is refused, not taken for another type.
#[test]
fn arguments_of_other_types_are_not_understood() {
    let server = serve(Some(&policy("t")), with_spoe(options()));
    let mut haproxy = introduced(&server);
    for (name, value) in [("method", uint32(1)), ("target", uint32(1)), ("headers", text("a")), ("target", vec![0])] {
        let asked = Asked::get(TARGET).message();
        let arguments = [
            ("method", text("GET")),
            ("target", text(TARGET)),
            ("headers", binary(&headers(&Asked::get(TARGET).headers))),
            ("whole", boolean(true)),
        ];
        let arguments = arguments.map(|argument| if argument.0 == name { (name, value.clone()) } else { argument });
        haproxy.send(&frame(NOTIFY, 1, 1, 1, &message("check", &arguments)));
        let (_, answer) = haproxy.answer();
        assert_eq!(answer.last().unwrap().1, "deny", "{name}: {asked:?}");
    }
}
