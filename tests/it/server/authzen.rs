//! AuthZEN 1.0: what is an error, what is denied, and the metadata.

use std::fs;
use std::io::{Read, Write};

use portcullis_server::ServerOptions;
use serde_json::{Value, json};

use super::http2::{END_HEADERS, HEADERS, fields, frame, preface};
use super::running::{Running, ask, connect, options, request, serve};
use super::util::{SECRET, eventually, policy};

fn whole() -> Value {
    json!({"subject": {"type": "token", "id": SECRET}, "action": {"name": "maps"},
        "resource": {"type": "resource", "id": "db.t", "properties": {"connection": "dw"}}})
}

fn with(path: &str, value: Value) -> Value {
    let mut request = whole();
    *request.pointer_mut(path).unwrap_or_else(|| panic!("{path}")) = value;
    request
}

fn plus(path: &str, key: &str, value: Value) -> Value {
    let mut request = whole();
    request.pointer_mut(path).unwrap()[key] = value;
    request
}

#[test]
fn types_and_actions_of_other_systems_are_denied_not_refused() {
    let server = serve(Some(&policy("t")), options());
    let api = "expected an API such as `maps`, or `sql.query` or `sql.model`, found ";
    let kind = "expected `resource`, `query`, `named_source`, or `none` for an API without sources, found ";
    // The subject's type is not repeated: it may be a secret that was exchanged with the id.
    let token = "expected `token`, with its secret as the `id`, found another type";
    for (request, path, why) in [
        (with("/subject/type", json!("user")), "subject.type", token.to_owned()),
        (with("/subject/type", json!(SECRET)), "subject.type", token.to_owned()),
        (with("/resource/type", json!("document")), "resource.type", format!("{kind}`document`")),
        (with("/resource/type", json!("")), "resource.type", format!("{kind}``")),
        (with("/action/name", json!("read")), "action.name", format!("{api}`read`")),
        (with("/action/name", json!("Maps")), "action.name", format!("{api}`Maps`")),
        (with("/action/name", json!("")), "action.name", format!("{api}``")),
        (with("/action/name", json!("maps.model")), "action.name", format!("{api}`maps.model`")),
        (with("/action/name", json!("sql.drop")), "action.name", format!("{api}`sql.drop`")),
        (with("/action/name", json!("sql.")), "action.name", format!("{api}`sql.`")),
        (
            json!({"subject": {"type": "user", "id": "alice"}, "action": {"name": "can_read"},
                "resource": {"type": "book", "id": "1"}}),
            "subject.type",
            token.to_owned(),
        ),
    ] {
        let answer = server.ask("POST /access/v1/evaluation", &[], &request.to_string());
        let context = &answer.json()["context"];
        assert_eq!((answer.status, &answer.json()["decision"]), (200, &json!(false)), "{request}");
        assert_eq!(
            (&context["reason"], &context["status"]),
            (&json!("request_not_understood"), &json!(403)),
            "{request}"
        );
        assert_eq!(context["error"]["message"], format!("`{path}`: {why}"));
        let listed = json!({"evaluations": [request, whole()]}).to_string();
        let listed = server.ask("POST /access/v1/evaluations", &[], &listed);
        assert!(!listed.body.contains(SECRET), "{listed:?}");
        let listed = listed.json();
        let message = &listed["evaluations"][0]["context"]["error"]["message"];
        assert_eq!(*message, format!("`evaluations[0].{path}`: {why}"));
        assert_eq!(
            (&listed["evaluations"][0]["decision"], &listed["evaluations"][1]["decision"]),
            (&json!(false), &json!(true))
        );
    }
    let metrics = ask(server.admin, "GET /metrics", &[], "").body;
    let counted = r#"portcullis_decisions_total{api="none",outcome="deny",reason="request_not_understood"} 22"#;
    assert!(metrics.contains(counted), "{metrics}");
}

#[test]
fn log_repeats_no_text_of_an_evaluation() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("policy.json"), policy("t")).unwrap();
    let server = super::binary::start(folder.path(), &["--log", "log.jsonl"]);
    // A caller may exchange members by mistake.
    let other = "an-0ther-s3cret";
    for path in ["/subject/type", "/action/name", "/resource/type"] {
        ask(server.listen, "POST /access/v1/evaluation", &[], &with(path, json!(other)).to_string());
    }
    let log = folder.path().join("log.jsonl");
    eventually("all are logged", || fs::read_to_string(&log).is_ok_and(|text| text.lines().count() == 3));
    let text = fs::read_to_string(&log).unwrap();
    assert!(!text.contains(other) && !text.contains(SECRET), "{text}");
    for (line, path) in text.lines().zip(["subject.type", "action.name", "resource.type"]) {
        let line: Value = serde_json::from_str(line).unwrap();
        assert!(line["why"].as_str().unwrap().starts_with(&format!("`{path}`: expected ")), "{line}");
        assert_eq!(line["token_id"], "only_t");
    }
}

#[test]
fn apis_of_the_policy_are_known_actions() {
    let document = json!({"apis": [{"name": "tiles.v2", "accepts": ["resource"]}], "connections": [{"name": "dw"}],
        "tokens": [{"id": "a", "token": SECRET, "allowed_apis": ["tiles.v2"],
            "grants": [{"connection_name": "dw", "source": "db.t"}]}]});
    let server = serve(Some(&document.to_string()), options());
    for (action, reason) in
        [("tiles.v2", Value::Null), ("maps", json!("api_not_allowed")), ("sql.model", json!("api_not_allowed"))]
    {
        let answer =
            server.ask("POST /access/v1/evaluation", &[], &with("/action/name", json!(action)).to_string()).json();
        assert_eq!(
            (&answer["decision"], &answer["context"]["reason"]),
            (&json!(reason.is_null()), &reason),
            "{action}"
        );
    }
    // Without a policy, no API is unknown.
    let none = serve(None, options());
    let answer = none.ask("POST /access/v1/evaluation", &[], &with("/action/name", json!("read")).to_string()).json();
    assert_eq!(answer["context"]["reason"], "policy_unavailable");
}

/// Each member of an evaluation: its path, the kind of value that it has, and whether it is required.
const MEMBERS: [(&str, &str, bool); 15] = [
    ("subject", "an object", true),
    ("subject.type", "a string", true),
    ("subject.id", "a string", true),
    ("subject.properties", "an object", false),
    ("action", "an object", true),
    ("action.name", "a string", true),
    ("action.properties", "an object", false),
    ("resource", "an object", true),
    ("resource.type", "a string", true),
    ("resource.id", "a string", true),
    ("resource.properties", "an object", false),
    ("resource.properties.connection", "a string", true),
    ("context", "an object", false),
    ("context.referer", "a string", false),
    ("context.time", "a string", false),
];

/// Returns an evaluation with every member.
fn full() -> Value {
    let mut request = whole();
    request["subject"]["properties"] = json!({});
    request["action"]["properties"] = json!({});
    request["context"] = json!({"referer": "https://a.example/", "time": "2026-11-24T00:00:00Z"});
    request
}

/// Returns the parent of the member at `path` in `request`, and the name of the member.
fn parent<'v, 'p>(request: &'v mut Value, path: &'p str) -> (&'v mut Value, &'p str) {
    match path.rsplit_once('.') {
        None => (request, path),
        Some((parent, name)) => (request.pointer_mut(&format!("/{}", parent.replace('.', "/"))).unwrap(), name),
    }
}

#[test]
fn errors_name_the_member_what_was_expected_and_what_was_found() {
    let server = serve(Some(&policy("t")), options());
    assert_eq!(server.ask("POST /access/v1/evaluation", &[], &full().to_string()).json()["decision"], true);
    let kinds = [
        (json!(null), "null"),
        (json!(true), "a boolean"),
        (json!(-7.5), "a number"),
        (json!([SECRET]), "a list"),
        (json!(SECRET), "a string"),
        (json!({SECRET: SECRET}), "an object"),
    ];
    // The path of the wrong member, the rest of the message, and the evaluation.
    let mut wrong = Vec::new();
    for (path, expected, is_required) in MEMBERS {
        for (value, found) in kinds.iter().filter(|(_, found)| *found != expected) {
            let mut request = full();
            let (object, name) = parent(&mut request, path);
            object[name] = value.clone();
            wrong.push((path, format!(": expected {expected}, found {found}"), request.to_string()));
        }
        let mut request = full();
        let (object, name) = parent(&mut request, path);
        let value = object.as_object_mut().unwrap().remove(name).unwrap();
        if is_required {
            wrong.push((path, " is missing".to_owned(), request.to_string()));
        }
        let mut request = full();
        let (object, name) = parent(&mut request, path);
        object["again"] = value;
        wrong.push((path, " is given more than once".to_owned(), request.to_string().replace("again", name)));
    }
    let mut request = full();
    request["context"]["time"] = json!("yesterday");
    let instant = ": `yesterday` is not an instant: expected RFC 3339 such as `2026-11-22T12:00:00Z`, or a date such as \
                   `2026-11-22`";
    wrong.push(("context.time", instant.to_owned(), request.to_string()));
    for (path, rest, request) in &wrong {
        let one = server.ask("POST /access/v1/evaluation", &[], request);
        assert_eq!((one.status, &*one.reason()), (400, "invalid_request"), "{request}");
        assert_eq!(one.json()["error"], format!("`{path}`{rest}"), "{request}");
        assert!(!one.body.contains(SECRET), "{one:?}");
        // In a list, the element fails alone. What it has is not replaced by a default.
        let full = full().to_string();
        let defaults = if rest.ends_with("missing") { "{" } else { &format!("{},", full.strip_suffix('}').unwrap()) };
        let list = format!(r#"{defaults}"evaluations":[{full},{full},{request}]}}"#);
        let answer = server.ask("POST /access/v1/evaluations", &[], &list);
        assert_eq!(answer.status, 200, "{list}: {answer:?}");
        let answers = &answer.json()["evaluations"];
        assert_eq!(answers[0]["decision"], true, "{list}");
        assert_eq!(
            answers[2]["context"]["error"],
            json!({"status": 400, "message": format!("`evaluations[2].{path}`{rest}")})
        );
    }
    // The default of a list is named like the member of an evaluation.
    for (path, rest, request) in wrong.iter().filter(|(_, rest, _)| rest.contains("found")) {
        let mut list: Value = serde_json::from_str(request).unwrap();
        list["evaluations"] = json!([full()]);
        let answer = server.ask("POST /access/v1/evaluations", &[], &list.to_string());
        assert_eq!((answer.status, &answer.json()["error"]), (400, &json!(format!("`{path}`{rest}"))), "{list}");
    }
}

#[test]
fn errors_of_lists_name_the_list_the_element_or_the_option() {
    let server = serve(Some(&policy("t")), options());
    let semantics =
        "`options.evaluations_semantic`: expected `execute_all`, `deny_on_first_deny` or `permit_on_first_permit`";
    for (key, value, error) in [
        (
            "evaluations",
            json!(null),
            "`evaluations`: expected a list of requests, such as `[{}]`, found null".to_owned(),
        ),
        (
            "evaluations",
            json!({}),
            "`evaluations`: expected a list of requests, such as `[{}]`, found an object".to_owned(),
        ),
        ("options", json!(null), "`options`: expected an object, found null".to_owned()),
        ("options", json!([]), "`options`: expected an object, found a list".to_owned()),
        (
            "options",
            json!({"evaluations_semantic": null}),
            "`options.evaluations_semantic`: expected a string, found null".to_owned(),
        ),
        ("options", json!({"evaluations_semantic": "some"}), format!("{semantics}, found `some`")),
    ] {
        let mut list = full();
        list["evaluations"] = json!([{}]);
        list[key] = value;
        let answer = server.ask("POST /access/v1/evaluations", &[], &list.to_string());
        assert_eq!((answer.status, &answer.json()["error"]), (400, &json!(error)), "{list}");
    }
    let list = json!({"evaluations": [full(), SECRET, null, [full()], 7]}).to_string();
    let answer = server.ask("POST /access/v1/evaluations", &[], &list);
    assert!(!answer.body.contains(SECRET), "{answer:?}");
    let answers = &answer.json()["evaluations"];
    for (index, found) in [(1, "a string"), (2, "null"), (3, "a list"), (4, "a number")] {
        let message = format!("`evaluations[{index}]`: expected an object, found {found}");
        assert_eq!(answers[index]["context"]["error"]["message"], message);
    }
}

#[test]
fn null_defaults_are_errors_and_members_of_other_systems_have_no_effect() {
    let server = serve(Some(&policy("t")), options());
    // Defaults that are wrong are not replaced by elements.
    for key in ["subject", "action", "resource", "context", "options", "evaluations"] {
        let mut list = json!({"evaluations": [whole()]});
        list[key] = json!(null);
        let answer = server.ask("POST /access/v1/evaluations", &[], &list.to_string());
        assert_eq!((answer.status, &*answer.reason()), (400, "invalid_request"), "{key}: {answer:?}");
    }
    // Members and properties of other systems have no effect.
    let mut more = plus("/subject", "properties", json!({"department": ["a"]}));
    more["action"]["properties"] = json!({});
    more["context"] = json!({"ip": null});
    more["trace"] = json!(null);
    assert_eq!(server.ask("POST /access/v1/evaluation", &[], &more.to_string()).json()["decision"], true);
}

#[test]
fn other_content_types_are_bad_requests() {
    let server = serve(Some(&policy("t")), options());
    for path in ["/access/v1/evaluation", "/access/v1/evaluations"] {
        for kind in ["text/plain", "application/x-www-form-urlencoded", "application/json, text/plain", ""] {
            let answer = server.ask(&format!("POST {path}"), &[("content-type", kind)], &whole().to_string());
            assert_eq!((answer.status, &*answer.reason()), (400, "json_expected"), "{path} with {kind}");
        }
    }
    let native = server.ask("POST /v1/decide", &[("content-type", "text/plain")], "{}");
    assert_eq!((native.status, &*native.reason()), (415, "json_expected"));
}

const WELL_KNOWN: &str = "/.well-known/authzen-configuration";

#[test]
fn metadata_is_at_the_path_of_the_public_url() {
    for (url, found, missing) in [
        ("https://a.example", vec![WELL_KNOWN.to_owned()], vec![format!("{WELL_KNOWN}/t"), format!("{WELL_KNOWN}/")]),
        (
            "https://a.example/tenant/1",
            vec![format!("{WELL_KNOWN}/tenant/1"), format!("{WELL_KNOWN}/tenant/1/"), WELL_KNOWN.to_owned()],
            vec![format!("{WELL_KNOWN}/tenant"), format!("{WELL_KNOWN}/tenant/1/x"), format!("{WELL_KNOWN}/Tenant/1")],
        ),
    ] {
        let server = serve(None, ServerOptions { public_url: Some(url.parse().unwrap()), ..options() });
        for path in found {
            let metadata = server.ask(&format!("GET {path}"), &[], "").json();
            assert_eq!(metadata["policy_decision_point"], url, "{path}");
            assert_eq!(metadata["access_evaluations_endpoint"], format!("{url}/access/v1/evaluations"), "{path}");
        }
        for path in missing {
            assert_eq!(server.ask(&format!("GET {path}"), &[], "").status, 404, "{path}");
        }
    }
}

/// Returns the status and the identifier of the metadata for requests with these names of the host.
fn metadata(server: &Running, hosts: &[&str]) -> (u16, Value) {
    let headers: Vec<_> = hosts.iter().map(|host| ("host", *host)).collect();
    let answer = server.ask(&format!("GET {WELL_KNOWN}"), &headers, "");
    (answer.status, answer.json()["policy_decision_point"].clone())
}

#[test]
fn metadata_has_the_host_of_the_request_and_odd_hosts_are_refused() {
    // The listener checks no names, so that only the metadata reads them.
    let server = serve(None, ServerOptions { hosts: vec!["*".into()], ..options() });
    for (host, url) in [
        ("authz.example.com", "https://authz.example.com"),
        ("Authz.Example.com:8443", "https://authz.example.com:8443"),
        ("127.0.0.1:8181", "https://127.0.0.1:8181"),
        ("[::1]:8181", "https://[::1]:8181"),
        ("my-service", "https://my-service"),
    ] {
        assert_eq!(metadata(&server, &[host]), (200, json!(url)), "{host}");
    }
    for host in [
        "",
        "a b",
        "a/b",
        "a?x",
        "a\\b",
        "user@a.example",
        "a.example:",
        "a.example:0",
        "a.example:99999",
        "a.example:80x",
        "[::1",
        "*",
        "1.2.3",
        "b%C3%BCcher.example",
        "a,b.example",
        "a\"b",
        "x..y",
        ".x",
        "x..",
        "-x.com",
        "x-.com",
        "x_y",
        "_x.com:8443",
    ] {
        assert_eq!(metadata(&server, &[host]), (400, Value::Null), "{host}");
    }
    assert_eq!(metadata(&server, &["a.example", "a.example"]).0, 200);
    assert_eq!(metadata(&server, &["a.example", "b.example"]).0, 400);
    // HTTP/1.0 without a host.
    let mut stream = connect(server.tcp());
    let old = request(&format!("GET {WELL_KNOWN}"), &[], "").replace("HTTP/1.1\r\nhost: localhost", "HTTP/1.0");
    stream.write_all(old.as_bytes()).unwrap();
    assert_eq!(super::running::answer(&mut stream).status, 400);
    // The public URL does not depend on the request.
    let url = Some("https://a.example".parse().unwrap());
    let fixed = serve(None, ServerOptions { public_url: url, hosts: vec!["*".into()], ..options() });
    assert_eq!(metadata(&fixed, &["a/b"]), (200, json!("https://a.example")));
}

#[test]
fn metadata_has_the_authority_of_http2() {
    let server = serve(None, ServerOptions { hosts: vec!["*".into()], ..options() });
    let answered = |more: &[(&str, &str)]| {
        let head = [&[(":method", "GET"), (":scheme", "http"), (":path", WELL_KNOWN)], more].concat();
        let mut stream = connect(server.tcp());
        stream.write_all(&[preface(65535), frame(HEADERS, END_HEADERS | 1, 1, &fields(&head))].concat()).unwrap();
        let (mut text, mut bytes) = (Vec::new(), [0; 4096]);
        while !text.ends_with(b"}") {
            let read = stream.read(&mut bytes).unwrap();
            assert!(read > 0, "{}", String::from_utf8_lossy(&text));
            text.extend_from_slice(&bytes[..read]);
        }
        let start = text.iter().rposition(|byte| *byte == b'{').unwrap();
        serde_json::from_slice::<Value>(&text[start..]).unwrap()
    };
    let url = |answer: &Value| answer["policy_decision_point"].clone();
    assert_eq!(url(&answered(&[(":authority", "authz.example.com:8443")])), "https://authz.example.com:8443");
    assert_eq!(url(&answered(&[(":authority", "a.example"), ("host", "a.example")])), "https://a.example");
    assert_eq!(answered(&[(":authority", "a.example"), ("host", "b.example")])["reason"], "invalid_request");
    assert_eq!(answered(&[(":authority", "user@a.example")])["reason"], "invalid_request");
}
