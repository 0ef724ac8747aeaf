//! The endpoints for programs: native and `AuthZEN`.

use std::fs;

use serde_json::{Value, json};

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use portcullis::authorizer::{Clock, SystemClock};
use portcullis_http::gateway::Reader;
use portcullis_registry::{Actor, Location, NewToken, Registry};
use portcullis_server::decision_log::{LogOptions, Target};
use portcullis_server::operations::{Operations, OperationsOptions};
use portcullis_server::policy::Source;
use portcullis_server::{Address, Authority, Cors, Ids, Limits, ServerOptions};

use super::running::{answer, ask, options, request, serve};
use super::util::{SECRET, now, policy};

#[test]
fn the_native_endpoint_answers_one_or_many() {
    let server = serve(Some(&policy("t")), options());
    let ask = |body: &str| server.ask("POST /v1/decide", &[], body);
    let request =
        |table: &str| json!({"id": table, "token": SECRET, "api": "maps", "connection": "dw", "resource": table});

    let one = ask(&request("db.t").to_string());
    assert_eq!(one.json(), json!({"id": "db.t", "decision": "allow", "token": "only_t", "grants": [0]}));
    let many = ask(&json!([request("db.t"), {"api": "maps"}, request("db.u")]).to_string()).json();
    assert_eq!(many[0]["decision"], "allow");
    assert_eq!(many[1], json!({"error": "`connection` is missing"}));
    assert_eq!(many[2], json!({"id": "db.u", "decision": "deny", "reason": "source_not_granted", "status": 403}));
    assert_eq!(ask("[]").json(), json!([]));
    for wrong in ["", "{", "7", "[{]", r#"{"token": "s3cr3t-of-the-test", "api": "maps", "api": "sql"}"#] {
        let answer = ask(wrong);
        assert_eq!((answer.status, &*answer.reason()), (400, "invalid_request"), "{wrong}");
        assert!(!answer.body.contains(SECRET), "{answer:?}");
    }
    assert_eq!(server.ask("GET /v1/decide", &[], "").status, 405);
}

#[test]
fn an_explanation_is_for_operators_only() {
    let server = serve(Some(&policy("t")), options());
    let request = json!({"token": SECRET, "api": "maps", "connection": "dw", "resource": "db.u"}).to_string();
    let explained = ask(server.admin, "POST /v1/explain", &[], &request);
    assert_eq!((explained.status, explained.json()["reason"].clone()), (200, json!("source_not_granted")));
    assert!(!explained.body.contains(SECRET));
    assert_eq!(server.ask("POST /v1/explain", &[], &request).status, 404);
    assert_eq!(server.ask("GET /metrics", &[], "").status, 404);
}

#[test]
fn operators_see_the_snapshot_and_the_decision_counts() {
    let server = serve(Some(&policy("t")), options());
    server.ask(
        "POST /v1/decide",
        &[],
        &json!({"token": SECRET, "api": "maps", "connection": "dw", "resource": "db.t"}).to_string(),
    );
    let info = ask(server.admin, "GET /v1/snapshot", &[], "").json();
    assert_eq!((&info["generation"], &info["tokens"], &info["connections"]), (&json!(1), &json!(1), &json!(["dw"])));
    let metrics = ask(server.admin, "GET /metrics", &[], "").body;
    assert!(metrics.contains(r#"portcullis_decisions_total{api="maps",outcome="allow",reason=""} 1"#), "{metrics}");
    assert!(metrics.contains("portcullis_requests_shed_total 0"), "{metrics}");
    assert_eq!(ask(server.admin, "GET /v1/shadow", &[], "").status, 404);
}

#[test]
fn rule_vectors_are_decided_over_http() {
    let folder = crate::repository().join("tests/data/decisions");
    for folder in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        let text = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
        let server = serve(Some(&text("policy.json")), options());
        let lines =
            |name: &str| -> Vec<Value> { text(name).lines().map(|line| serde_json::from_str(line).unwrap()).collect() };
        let (requests, expected) = (lines("requests.jsonl"), lines("decisions.jsonl"));
        for (requests, expected) in requests.chunks(200).zip(expected.chunks(200)) {
            let answers = server.ask("POST /v1/decide", &[], &json!(requests).to_string()).json();
            assert_eq!(answers.as_array().unwrap(), expected, "{}", folder.display());
        }
    }
}

#[test]
fn authzen_evaluates_one() {
    let server = serve(Some(&policy("t")), options());
    let evaluate = |body: &Value| server.ask("POST /access/v1/evaluation", &[("x-request-id", "z")], &body.to_string());
    let request = |action: &str, kind: &str, id: &str| {
        json!({"subject": {"type": "token", "id": SECRET}, "action": {"name": action},
            "resource": {"type": kind, "id": id, "properties": {"connection": "dw"}}})
    };
    let yes = evaluate(&request("maps", "resource", "db.t"));
    assert_eq!(yes.json(), json!({"decision": true, "context": {"token_id": "only_t", "grants": [0]}}));
    assert_eq!(yes.header("x-request-id"), Some("z"));
    for (request, reason) in [
        (request("maps", "resource", "db.u"), "source_not_granted"),
        (request("sql.model", "resource", "db.t"), "api_not_allowed"),
        (request("maps", "query", "SELECT 1"), "source_not_granted"),
    ] {
        let no = evaluate(&request);
        assert_eq!(
            (no.status, &no.json()["decision"], &no.json()["context"]["reason"]),
            (200, &json!(false), &json!(reason))
        );
    }
    let mut without = request("maps", "resource", "db.t");
    without.as_object_mut().unwrap().remove("subject");
    let mut no_connection = request("maps", "resource", "db.t");
    no_connection["resource"]["properties"] = json!({});
    for wrong in [without, no_connection, json!([])] {
        assert_eq!(evaluate(&wrong).status, 400, "{wrong}");
    }
    // A list in the place of an object is rejected, even if its elements are in the order of the fields. No text is repeated.
    let objects = request("maps", "resource", "db.t");
    let list: Vec<&Value> = ["subject", "action", "resource", "context"].iter().map(|key| &objects[key]).collect();
    let mut subject = objects.clone();
    subject["subject"] = json!(["token", SECRET]);
    let mut text = objects.clone();
    text["subject"] = SECRET.into();
    for (wrong, message) in [
        (json!(list), "expected an object, found a list"),
        (subject, "`subject`: expected an object, found a list"),
        (text, "`subject`: expected an object, found a string"),
    ] {
        let answer = evaluate(&wrong);
        let error = answer.json()["error"].as_str().unwrap().to_owned();
        assert_eq!(answer.status, 400, "{wrong}");
        assert_eq!(error, message);
        assert!(!answer.body.contains(SECRET), "{answer:?}");
    }
}

#[test]
fn authzen_evaluates_many_by_three_semantics() {
    let server = serve(Some(&policy("t")), options());
    let evaluate = |semantic: Option<&str>, tables: &[&str]| -> Vec<bool> {
        let resource =
            |table: &&str| json!({"resource": {"type": "resource", "id": table, "properties": {"connection": "dw"}}});
        let mut request = json!({"subject": {"type": "token", "id": SECRET}, "action": {"name": "maps"},
            "evaluations": tables.iter().map(resource).collect::<Vec<_>>()});
        if let Some(semantic) = semantic {
            request["options"] = json!({"evaluations_semantic": semantic});
        }
        let answer = server.ask("POST /access/v1/evaluations", &[], &request.to_string());
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()["evaluations"].as_array().unwrap().iter().map(|answer| answer["decision"] == true).collect()
    };
    let tables = ["db.t", "db.u", "db.t"];
    assert_eq!(evaluate(None, &tables), [true, false, true]);
    assert_eq!(evaluate(Some("execute_all"), &tables), [true, false, true]);
    assert_eq!(evaluate(Some("deny_on_first_deny"), &tables), [true, false]);
    assert_eq!(evaluate(Some("permit_on_first_permit"), &["db.u", "db.t", "db.t"]), [false, true]);

    // An invalid evaluation is denied alone, and the rest are evaluated.
    let right = json!({"type": "resource", "id": "db.t", "properties": {"connection": "dw"}});
    let broken = json!({"subject": {"type": "token", "id": SECRET}, "action": {"name": "maps"},
        "evaluations": [{}, {"resource": {"type": "resource"}}, 7, {"resource": right}]});
    let answer = server.ask("POST /access/v1/evaluations", &[], &broken.to_string()).json();
    for at in 0..3 {
        assert_eq!(answer["evaluations"][at]["decision"], false);
        assert_eq!(answer["evaluations"][at]["context"]["error"]["status"], 400);
    }
    assert_eq!(answer["evaluations"][3]["decision"], true);

    let single = json!({"subject": {"type": "token", "id": SECRET}, "action": {"name": "maps"},
        "resource": {"type": "resource", "id": "db.t", "properties": {"connection": "dw"}}});
    assert_eq!(server.ask("POST /access/v1/evaluations", &[], &single.to_string()).json()["decision"], true);
    let metadata = server.ask("GET /.well-known/authzen-configuration", &[], "").json();
    assert_eq!(metadata["access_evaluation_endpoint"], "https://localhost/access/v1/evaluation");
}

/// The evaluations in `list`, each of `resource`, with defaults that are allowed.
fn evaluations(list: &str, resource: &str) -> String {
    format!(
        r#"{{"subject": {{"type": "token", "id": "{SECRET}"}}, "action": {{"name": "maps"}},
            "resource": {{"type": "resource", "id": "{resource}", "properties": {{"connection": "dw"}}}}, "evaluations": {list}}}"#
    )
}

#[test]
fn lists_are_bounded_in_elements_and_in_bytes() {
    let list = |element: &str, count: usize| format!("[{}]", vec![element; count].join(","));
    let one = json!({"token": SECRET, "api": "maps", "connection": "dw", "resource": "db.t"}).to_string();
    let long = format!("db.{}", "x".repeat(2000));
    let wire = |count: usize| {
        let sources = vec![json!({"resource": "db.t"}); count];
        json!({"token": SECRET, "api": "maps", "connection": "dw", "sources": sources}).to_string()
    };
    let few = Limits { batch: 3, ..Limits::default() };
    let cases = [
        (Limits::default(), "/v1/decide", list(&one, 1000), 200, ""),
        (Limits::default(), "/v1/decide", list(&one, 1001), 413, "batch_too_large"),
        (Limits::default(), "/v1/decide", list("{}", 340_000), 413, "batch_too_large"),
        (Limits::default(), "/v1/decide", wire(1000), 200, ""),
        (Limits::default(), "/v1/decide", wire(1001), 400, "invalid_request"),
        (Limits::default(), "/access/v1/evaluations", evaluations(&list("{}", 1000), "db.t"), 200, ""),
        (Limits::default(), "/access/v1/evaluations", evaluations(&list("{}", 1001), "db.t"), 413, "batch_too_large"),
        (
            Limits::default(),
            "/access/v1/evaluations",
            evaluations(&list("{}", 340_000), "db.t"),
            413,
            "batch_too_large",
        ),
        // Nested as deeply as possible.
        (Limits::default(), "/v1/decide", "[".repeat(1_000_000), 400, "invalid_request"),
        (Limits::default(), "/v1/decide", format!("{}{}", "[".repeat(500_000), "]".repeat(500_000)), 200, ""),
        (
            Limits::default(),
            "/access/v1/evaluations",
            format!("{{\"x\": {}", "[".repeat(1_000_000)),
            400,
            "invalid_request",
        ),
        (
            Limits::default(),
            "/access/v1/evaluations",
            evaluations(&"[".repeat(1_000_000), "db.t"),
            400,
            "invalid_request",
        ),
        // A few bytes for each evaluation, and 2 KB of defaults.
        (Limits::default(), "/access/v1/evaluations", evaluations(&list("{}", 400), &long), 200, ""),
        (Limits::default(), "/access/v1/evaluations", evaluations(&list("{}", 600), &long), 413, "batch_too_large"),
        (Limits::default(), "/access/v1/evaluations", evaluations("null", "db.t"), 400, "invalid_request"),
        (few.clone(), "/v1/decide", list(&one, 3), 200, ""),
        (few.clone(), "/v1/decide", list(&one, 4), 413, "batch_too_large"),
        (few.clone(), "/access/v1/evaluations", evaluations(&list("{}", 3), "db.t"), 200, ""),
        (few, "/access/v1/evaluations", evaluations(&list("{}", 4), "db.t"), 413, "batch_too_large"),
    ];
    for (limits, path, body, status, reason) in cases {
        let server = serve(Some(&policy("t")), ServerOptions { limits, ..options() });
        let started = Instant::now();
        let answer = server.ask(&format!("POST {path}"), &[], &body);
        let shown = body.get(..200).unwrap_or(&body);
        assert_eq!((answer.status, &*answer.reason()), (status, reason), "{path} {shown}");
        assert!(started.elapsed() < Duration::from_secs(5), "{path} {shown}: {:?}", started.elapsed());
        // Nothing of a refused list is decided.
        let allows = r#"portcullis_decisions_total{api="maps",outcome="allow",reason=""} 0"#;
        let is_none = ask(server.admin, "GET /metrics", &[], "").body.contains(allows);
        assert_eq!(is_none, status != 200 || body.contains("xxx") || body.starts_with("[["), "{path} {shown}");
    }
}

#[test]
fn explanation_does_not_delay_other_requests() {
    let server = serve(Some(&policy("t")), options());
    // Texts that a naive search compares with each other at every offset.
    let (secret, query) = (format!("{}b", "a".repeat(300_000)), format!("select {}", "a".repeat(600_000)));
    let body = json!({"token": secret, "api": "maps", "connection": "dw", "query": query}).to_string();
    std::thread::scope(|scope| {
        let explained = scope.spawn(|| ask(server.admin, "POST /v1/explain", &[], &body).status);
        while !explained.is_finished() {
            let started = Instant::now();
            assert_eq!(ask(server.admin, "GET /healthz", &[], "").status, 200);
            assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
        }
        assert_eq!(explained.join().unwrap(), 200);
    });
}

#[test]
fn web_pages_are_refused_and_gateways_are_not() {
    let cors = Cors::Only(vec!["https://console.example".into()]);
    let server = serve(Some(&policy("t")), ServerOptions { cors, hosts: vec!["decide.internal".into()], ..options() });
    let body = json!({"token": SECRET, "api": "maps", "connection": "dw", "resource": "db.t"}).to_string();
    let evaluation = json!({"subject": {"type": "token", "id": SECRET}, "action": {"name": "maps"},
        "resource": {"type": "resource", "id": "db.t", "properties": {"connection": "dw"}}})
    .to_string();
    let decisions = [
        ("POST /v1/decide", &*body),
        ("POST /access/v1/evaluation", &evaluation),
        ("POST /access/v1/evaluations", &evaluation),
        ("GET /.well-known/authzen-configuration", ""),
    ];
    let operators = [
        ("POST /v1/explain", &*body),
        ("GET /healthz", ""),
        ("GET /readyz", ""),
        ("GET /metrics", ""),
        ("GET /v1/snapshot", ""),
    ];
    let headers = [
        (&[][..], "", "an ordinary client"),
        (&[("host", "127.0.0.1:8181")], "", "an address"),
        (&[("host", "[::1]:8181")], "", "an address of IPv6"),
        (&[("host", "Decide.Internal:8181")], "", "an allowed name"),
        (&[("host", "rebound.example")], "host_not_allowed", "a rebound name"),
        (&[("host", "127.0.0.1.rebound.example")], "host_not_allowed", "a name that looks like an address"),
        (&[("host", "localhost"), ("host", "rebound.example")], "host_not_allowed", "two names"),
        (&[("origin", "https://evil.example")], "origin_not_allowed", "a page"),
        (&[("origin", "null")], "origin_not_allowed", "a sandboxed page"),
        (&[("origin", "https://console.example")], "", "a page of an allowed origin"),
        (
            &[("origin", "https://console.example"), ("origin", "https://evil.example")],
            "origin_not_allowed",
            "two origins",
        ),
    ];
    let endpoints = decisions.map(|it| (server.tcp(), it)).into_iter().chain(operators.map(|it| (server.admin, it)));
    for (address, (line, body)) in endpoints {
        for (headers, reason, who) in headers {
            let answer = ask(address, line, headers, body);
            assert_eq!(
                (answer.status, &*answer.reason()),
                (if reason.is_empty() { 200 } else { 403 }, reason),
                "{line} by {who}"
            );
        }
        let types = [
            ("application/json", true),
            ("Application/JSON; charset=UTF-8", true),
            ("application/json;charset=\"utf-8\"", true),
            ("text/plain", false),
            ("text/plain; application/json", false),
            ("application/x-www-form-urlencoded", false),
            ("application/json, text/plain", false),
            ("application/json; charset=utf-16", false),
            ("", false),
        ];
        for (kind, is_accepted) in types.into_iter().filter(|_| line.starts_with("POST")) {
            let answer = ask(address, line, &[("content-type", kind)], body);
            let refused = if line.contains("/access/") { 400 } else { 415 };
            let expected = if is_accepted { (200, "") } else { (refused, "json_expected") };
            assert_eq!((answer.status, &*answer.reason()), expected, "{line} with {kind}");
        }
    }
    // An absolute target with a name of its own, as for a proxy.
    let target = "POST http://rebound.example/v1/decide";
    assert_eq!(ask(server.tcp(), target, &[("content-type", "application/json")], &body).reason(), "host_not_allowed");
    // Gateways pass on the headers that their clients send.
    let token = format!("Bearer {SECRET}");
    let client = [("host", "maps.example.com"), ("origin", "https://app.example"), ("authorization", &token)];
    let url = "/v3/maps/dw/table?name=db.t";
    for (line, more) in [
        (format!("GET /authz/envoy{url}"), &[][..]),
        ("GET /authz/nginx".to_owned(), &[("x-original-method", "GET"), ("x-original-uri", url)]),
        ("GET /authz/forwarded".to_owned(), &[("x-forwarded-method", "GET"), ("x-forwarded-uri", url)]),
    ] {
        assert_eq!(server.ask(&line, &[&client[..], more].concat(), "").status, 200, "{line}");
    }
    // No page can speak gRPC over HTTP/2 here, and gRPC over HTTP/1 is not answered.
    let check = "POST /envoy.service.auth.v3.Authorization/Check";
    assert_eq!(server.ask(check, &[("content-type", "application/grpc")], "").status, 505);
}

#[test]
fn names_are_not_checked_on_a_unix_socket() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.sock");
    let _server = serve(Some(&policy("t")), ServerOptions { listen: Address::Unix(path.clone()), ..options() });
    let body = json!({"token": SECRET, "api": "maps", "connection": "dw", "resource": "db.t"}).to_string();
    let mut stream = UnixStream::connect(&path).unwrap();
    stream.write_all(request("POST /v1/decide", &[("host", "portcullis")], &body).as_bytes()).unwrap();
    assert_eq!(answer(&mut stream).json()["decision"], "allow");
}

#[test]
fn named_instant_is_neither_the_log_time_nor_a_use() {
    let folder = tempfile::tempdir().unwrap();
    let location = Location::file(folder.path().join("registry.db"));
    let ana = Actor::new("ana", now()).unwrap();
    let mut registry = Registry::open(&location, true).unwrap();
    let new = NewToken { apis: vec!["lds".into()], ..NewToken::default() };
    let created = registry.create_token(&ana, &new).unwrap();
    let log = folder.path().join("log.jsonl");
    let operations = Operations::start(OperationsOptions {
        log: Some((Target::File(log.clone()), LogOptions::default())),
        ..OperationsOptions::new(Source::registry(location))
    })
    .unwrap();
    let authority = Arc::new(Authority::new(operations, Reader::default()));
    let request = portcullis::Request::new("lds", "").secret(created.secret.expose());
    let far = "9999-12-31T23:59:59Z".parse().unwrap();
    let before = SystemClock.now();
    for named in [Some(far), None, Some(now()), Some("0001-01-01".parse().unwrap())] {
        assert!(authority.decide(&request, Ids::default(), named).is_allow());
    }
    drop(authority);
    let lines = fs::read_to_string(&log).unwrap();
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let after = SystemClock.now();
    for line in &lines {
        let time = line["time"].as_str().unwrap().parse().unwrap();
        assert!((before..=after).contains(&time), "{line}");
    }
    let named: Vec<_> = lines.iter().map(|line| line["evaluated_at"].clone()).collect();
    assert_eq!(
        named,
        [json!("9999-12-31T23:59:59Z"), Value::Null, json!(now().to_string()), json!("0001-01-01T00:00:00Z")]
    );
    let usage = &registry.usage().unwrap()[&created.token.id];
    assert_eq!(usage.allowed, 1, "only the present is a use");
    assert!((before.seconds()..=after.seconds()).contains(&usage.last_used.seconds()), "{usage:?}");
}

#[test]
fn authzen_and_native_endpoints_log_the_named_instant() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("policy.json"), policy("t")).unwrap();
    let server = super::binary::start(folder.path(), &["--log", "log.jsonl"]);
    let native = json!({"token": SECRET, "api": "maps", "connection": "dw", "resource": "db.t", "now": "9999-12-31"});
    let evaluation = json!({"subject": {"type": "token", "id": SECRET}, "action": {"name": "maps"}, "context": {"time": "9999-12-31T00:00:00Z"},
        "resource": {"type": "resource", "id": "db.t", "properties": {"connection": "dw"}}});
    assert_eq!(ask(server.listen, "POST /v1/decide", &[], &native.to_string()).status, 200);
    assert_eq!(ask(server.listen, "POST /access/v1/evaluation", &[], &evaluation.to_string()).status, 200);
    let log = folder.path().join("log.jsonl");
    super::util::eventually("both are logged", || fs::read_to_string(&log).is_ok_and(|text| text.lines().count() == 2));
    for line in fs::read_to_string(&log).unwrap().lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        assert_eq!(line["evaluated_at"], "9999-12-31T00:00:00Z", "{line}");
        assert!(line["time"].as_str().unwrap() < "9000", "{line}");
    }
}
