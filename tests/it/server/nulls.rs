//! `null` in requests to the sidecar is an error, not a missing member.

use serde_json::{Value, json};

use super::running::{options, serve};
use super::util::{SECRET, policy};

/// Returns `value` with `null` for the member at `path`.
fn with_null(value: &Value, path: &str) -> String {
    let mut changed = value.clone();
    *changed.pointer_mut(path).unwrap() = Value::Null;
    changed.to_string()
}

#[test]
fn null_members_of_evaluations_are_not_defaults() {
    let server = serve(Some(&policy("t")), options());
    let evaluation = json!({
        "subject": {"type": "token", "id": SECRET},
        "action": {"name": "maps"},
        "resource": {"type": "resource", "id": "db.t", "properties": {"connection": "dw"}},
        "context": {"referer": "https://a.example/", "time": "2026-11-24T00:00:00Z"},
    });
    let ask = |path: &str, body: &str| server.ask(&format!("POST {path}"), &[], body);
    assert_eq!(ask("/access/v1/evaluation", &evaluation.to_string()).json()["decision"], true);
    let paths = [
        "/subject",
        "/subject/type",
        "/subject/id",
        "/action",
        "/action/name",
        "/resource",
        "/resource/type",
        "/resource/id",
        "/resource/properties",
        "/resource/properties/connection",
        "/context",
        "/context/referer",
        "/context/time",
    ];
    for path in paths {
        let changed = with_null(&evaluation, path);
        assert_eq!(ask("/access/v1/evaluation", &changed).status, 400, "{path}");
        // An evaluation of a list fails alone; the defaults of a list fail the request.
        let mut list = evaluation.clone();
        list["evaluations"] = json!([{}, serde_json::from_str::<Value>(&changed).unwrap()]);
        let answers = ask("/access/v1/evaluations", &list.to_string()).json();
        assert_eq!(answers["evaluations"][0]["decision"], true, "{path}");
        assert_eq!(answers["evaluations"][1]["decision"], false, "{path}");
        assert_eq!(answers["evaluations"][1]["context"]["error"]["status"], 400, "{path}");
        let mut list: Value = serde_json::from_str(&changed).unwrap();
        list["evaluations"] = json!([evaluation]);
        assert_eq!(ask("/access/v1/evaluations", &list.to_string()).status, 400, "{path}");
    }
    let mut list = evaluation.clone();
    list["evaluations"] = json!([{}]);
    list["options"] = json!({"evaluations_semantic": "execute_all"});
    assert_eq!(ask("/access/v1/evaluations", &list.to_string()).json()["evaluations"][0]["decision"], true);
    for path in ["/options", "/options/evaluations_semantic", "/evaluations"] {
        assert_eq!(ask("/access/v1/evaluations", &with_null(&list, path)).status, 400, "{path}");
    }
}

#[test]
fn null_members_of_native_requests_are_errors() {
    let server = serve(Some(&policy("t")), options());
    let request = json!({"token": SECRET, "api": "maps", "connection": "dw", "resource": "db.t",
        "referer": "https://a.example/", "now": "2026-11-24T00:00:00Z"});
    let ask = |body: &str| server.ask("POST /v1/decide", &[], body);
    assert_eq!(ask(&request.to_string()).json()["decision"], "allow");
    for path in ["/token", "/api", "/connection", "/resource", "/referer", "/now"] {
        assert_eq!(ask(&with_null(&request, path)).status, 400, "{path}");
    }
}
