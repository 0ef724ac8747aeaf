//! The admin listener: its index, and explanations for operators who have no secret.

use serde_json::{Value, json};

use super::running::{ask, options, serve};
use super::util::{SECRET, policy};

#[test]
fn index_lists_every_endpoint_as_text_and_as_json() {
    let server = serve(Some(&policy("t")), options());
    let text = ask(server.admin, "GET /", &[], "");
    assert_eq!((text.status, text.header("content-type")), (200, Some("text/plain; charset=utf-8")));
    let json = ask(server.admin, "GET /", &[("accept", "text/html;q=0.5, application/json")], "").json();
    let endpoints = json["endpoints"].as_array().unwrap();
    assert_eq!(text.body.lines().count(), endpoints.len());
    for (line, endpoint) in text.body.lines().zip(endpoints) {
        let [method, path, answer] = ["method", "path", "answer"].map(|key| endpoint[key].as_str().unwrap());
        let words: Vec<_> = line.split_whitespace().collect();
        assert_eq!((words[0], words[1], words[2..].join(" ")), (method, path, answer.to_owned()));
        assert!(line.len() <= 80, "{line}");
        let body = if method == "POST" { "{}" } else { "" };
        let status = ask(server.admin, &format!("{method} {path}"), &[], body).status;
        let expected = match path {
            "/v1/shadow" => 404,
            "/v1/explain" => 400,
            _ => 200,
        };
        assert_eq!(status, expected, "{method} {path}");
    }
    let documented = std::fs::read_to_string(crate::repository().join("docs/sidecar.md")).unwrap();
    for endpoint in endpoints {
        let [method, path] = ["method", "path"].map(|key| endpoint[key].as_str().unwrap());
        assert!(documented.contains(&format!("`{method} {path}`")), "{method} {path}");
    }
    assert_eq!(server.ask("GET /", &[], "").status, 404, "the decision listener has no index");
}

#[test]
fn explanation_needs_no_secret_for_operators_only() {
    let server = serve(Some(&policy("t")), options());
    let request = |key: &str, value: &str, table: &str| {
        json!({key: value, "api": "maps", "connection": "dw", "resource": table}).to_string()
    };
    let explain = |body: &str| ask(server.admin, "POST /v1/explain", &[], body);
    for table in ["db.t", "db.u"] {
        let [by_id, by_secret] =
            [request("token_id", "only_t", table), request("token", SECRET, table)].map(|body| explain(&body).json());
        for key in ["decision", "reason", "status", "token", "grants", "near_misses"] {
            assert_eq!(by_id[key], by_secret[key], "{table} {key}");
        }
        assert_eq!(by_id["checks"][8], by_secret["checks"][8], "{table}");
        assert_eq!(by_id["checks"][1]["detail"], "its id is that of token `only_t`");
    }
    for (id, error) in [
        ("only_u", "no token of the policy has this id, did you mean `only_t`?"),
        ("nothing like it", "no token of the policy has this id: use an id of the policy, not a secret"),
        (SECRET, "no token of the policy has this id: use an id of the policy, not a secret"),
        ("", "no token of the policy has this id: use an id of the policy, not a secret"),
    ] {
        let answer = explain(&request("token_id", id, "db.t"));
        assert_eq!((answer.status, &answer.json()["error"]), (400, &json!(error)), "{id}");
    }
    let both = json!({"token": SECRET, "token_id": "only_t", "api": "lds"}).to_string();
    assert_eq!(explain(&both).json()["error"], "`token` and `token_id` are both given: leave one out");
    // An id is not a secret: nothing is decided by it.
    for path in ["/v1/decide", "/v1/explain"] {
        let answer = server.ask(&format!("POST {path}"), &[], &request("token_id", "only_t", "db.t"));
        assert_ne!(answer.status, 200, "{path}: {answer:?}");
    }
    let list = format!("[{}]", request("token_id", "only_t", "db.t"));
    assert!(server.ask("POST /v1/decide", &[], &list).json()[0]["error"].is_string());
}

#[test]
fn lines_of_the_decision_log_are_explained() {
    let server = serve(Some(&policy("t")), options());
    let line = |more: Value| {
        let mut line = json!({"log": 1, "time": "2026-11-24T12:00:00Z", "generation": 1, "api": "maps", "connection": "dw",
            "sources": [{"resource": "db.t"}], "token_id": "only_t", "decision": "allow", "grants": [0], "ns": 5});
        line.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        ask(server.admin, "POST /v1/explain", &[], &line.to_string())
    };
    assert_eq!(line(json!({})).json()["decision"], "allow");
    let digest = "e004ebd5b5532a4b85984a62f8ad48a81aa3460c1ca07701f386135d72cdecf5";
    for (more, error) in [
        (json!({"sources": [{"query_bytes": 7}]}), "the text of a query is not in the log"),
        (json!({"sources": [{"query_sha256": digest}]}), "the text of a query is not in the log"),
        (json!({"decision": "deny", "reason": "request_not_understood"}), "the request was not understood"),
        (json!({"token_id": "gone"}), "no token of the policy has this id"),
    ] {
        let answer = line(more.clone());
        assert_eq!(answer.status, 400, "{more}");
        assert!(answer.json()["error"].as_str().unwrap().starts_with(error), "{answer:?}");
    }
}
