//! AuthZEN 1.0: what is an error, what is denied, and the metadata.

use std::io::{Read, Write};

use portcullis_server::ServerOptions;
use serde_json::{Value, json};

use super::http2::{END_HEADERS, HEADERS, fields, frame, preface};
use super::running::{Running, ask, connect, options, request, serve};
use super::util::{SECRET, policy};

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
    for (request, why) in [
        (with("/subject/type", json!("user")), "`subject.type`: expected `token`"),
        (with("/resource/type", json!("document")), "`resource.type`: expected `resource`"),
        (with("/action/name", json!("maps.model")), "`action.name`: only `sql` has operations"),
        (with("/action/name", json!("sql.drop")), "`action.name`: expected `sql.query` or `sql.model`"),
        (
            json!({"subject": {"type": "user", "id": "alice"}, "action": {"name": "can_read"},
                "resource": {"type": "book", "id": "1"}}),
            "`subject.type`: expected `token`",
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
        assert!(context["error"]["message"].as_str().unwrap().starts_with(why), "{answer:?}");
        let listed = json!({"evaluations": [request, whole()]}).to_string();
        let listed = server.ask("POST /access/v1/evaluations", &[], &listed).json();
        assert_eq!(
            (&listed["evaluations"][0]["decision"], &listed["evaluations"][1]["decision"]),
            (&json!(false), &json!(true))
        );
    }
    // An API that no policy declares is unknown, too.
    let unknown = server.ask("POST /access/v1/evaluation", &[], &with("/action/name", json!("fly")).to_string());
    assert_eq!((unknown.status, &unknown.json()["context"]["reason"]), (200, &json!("api_not_allowed")));
    let metrics = ask(server.admin, "GET /metrics", &[], "").body;
    let counted = r#"portcullis_decisions_total{api="none",outcome="deny",reason="request_not_understood"} 10"#;
    assert!(metrics.contains(counted), "{metrics}");
}

#[test]
fn null_and_other_kinds_are_errors_and_inherit_nothing() {
    let server = serve(Some(&policy("t")), options());
    assert_eq!(server.ask("POST /access/v1/evaluation", &[], &whole().to_string()).json()["decision"], true);
    let objects = ["/subject", "/action", "/resource", "/resource/properties"];
    let texts = [
        "/subject/type",
        "/subject/id",
        "/action/name",
        "/resource/type",
        "/resource/id",
        "/resource/properties/connection",
    ];
    let mut wrong = Vec::new();
    for (paths, expected) in [(&objects[..], "expected an object"), (&texts, "expected a text")] {
        for path in paths {
            for value in [json!(null), json!(true), json!(7), json!([SECRET])] {
                wrong.push((with(path, value), expected));
            }
        }
    }
    for path in ["/subject", "/action", "/resource"] {
        for value in [json!(null), json!([]), json!("x"), json!(1)] {
            wrong.push((plus(path, "properties", value), "expected an object"));
        }
    }
    wrong.push((plus("", "context", json!(null)), "expected an object"));
    wrong.push((plus("", "context", json!({"referer": null})), "expected a text"));
    wrong.push((plus("", "context", json!({"time": null})), "expected a text"));
    for (request, expected) in &wrong {
        let one = server.ask("POST /access/v1/evaluation", &[], &request.to_string());
        assert_eq!((one.status, &*one.reason()), (400, "invalid_request"), "{request}");
        assert!(one.json()["error"].as_str().unwrap().starts_with(expected), "{request}: {one:?}");
        assert!(!one.body.contains(SECRET), "{one:?}");
        // In a list, the element fails alone, and takes nothing from the defaults.
        let mut list = whole();
        list["evaluations"] = json!([request, {}]);
        let answer = server.ask("POST /access/v1/evaluations", &[], &list.to_string()).json();
        let [first, second] = [0, 1].map(|at| &answer["evaluations"][at]);
        assert_eq!(
            (&first["decision"], &first["context"]["error"]["status"]),
            (&json!(false), &json!(400)),
            "{request}"
        );
        assert_eq!(second["decision"], true, "{answer}");
    }
    // Defaults that are wrong are not replaced by elements.
    for key in ["subject", "action", "resource", "context", "options", "evaluations"] {
        let mut list = json!({"evaluations": [whole()]});
        list[key] = json!(null);
        let answer = server.ask("POST /access/v1/evaluations", &[], &list.to_string());
        assert_eq!((answer.status, &*answer.reason()), (400, "invalid_request"), "{key}: {answer:?}");
    }
    let options = json!({"evaluations": [whole()], "options": {"evaluations_semantic": "some"}}).to_string();
    let answer = server.ask("POST /access/v1/evaluations", &[], &options);
    assert!(
        answer.body.contains("expected `execute_all`, `deny_on_first_deny` or `permit_on_first_permit`"),
        "{answer:?}"
    );
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
        ("my_service", "https://my_service"),
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
