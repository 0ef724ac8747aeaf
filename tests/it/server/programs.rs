//! What programs ask: the native endpoint and `AuthZEN`.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::running::{ask, options, serve};
use super::util::{SECRET, policy};

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
    let told = ask(server.admin, "POST /v1/explain", &[], &request);
    assert_eq!((told.status, told.json()["reason"].clone()), (200, json!("source_not_granted")));
    assert!(!told.body.contains(SECRET));
    assert_eq!(server.ask("POST /v1/explain", &[], &request).status, 404);
    assert_eq!(server.ask("GET /metrics", &[], "").status, 404);
}

#[test]
fn operators_see_the_snapshot_and_what_was_decided() {
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
fn the_decisions_of_the_rules_over_http() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/decisions");
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
    let asked = |action: &str, kind: &str, id: &str| {
        json!({"subject": {"type": "token", "id": SECRET}, "action": {"name": action},
            "resource": {"type": kind, "id": id, "properties": {"connection": "dw"}}})
    };
    let yes = evaluate(&asked("maps", "resource", "db.t"));
    assert_eq!(yes.json(), json!({"decision": true, "context": {"token_id": "only_t", "grants": [0]}}));
    assert_eq!(yes.header("x-request-id"), Some("z"));
    for (asked, reason) in [
        (asked("maps", "resource", "db.u"), "source_not_granted"),
        (asked("sql.model", "resource", "db.t"), "api_not_allowed"),
        (asked("maps", "query", "SELECT 1"), "source_not_granted"),
    ] {
        let no = evaluate(&asked);
        assert_eq!(
            (no.status, &no.json()["decision"], &no.json()["context"]["reason"]),
            (200, &json!(false), &json!(reason))
        );
    }
    let mut without = asked("maps", "resource", "db.t");
    without.as_object_mut().unwrap().remove("subject");
    for wrong in [
        without,
        asked("maps.model", "resource", "db.t"),
        asked("sql.drop", "resource", "db.t"),
        asked("maps", "table", "db.t"),
        json!({"subject": {"type": "user", "id": "x"}, "action": {"name": "lds"}, "resource": {"type": "none", "id": ""}}),
        json!([]),
    ] {
        assert_eq!(evaluate(&wrong).status, 400, "{wrong}");
    }
    // What is no object is none by the order of its elements either, and no text is repeated.
    let objects = asked("maps", "resource", "db.t");
    let list: Vec<&Value> = ["subject", "action", "resource", "context"].iter().map(|key| &objects[key]).collect();
    let mut subject = objects.clone();
    subject["subject"] = json!(["token", SECRET]);
    let mut text = objects.clone();
    text["subject"] = SECRET.into();
    for (wrong, found) in [(json!(list), "a list"), (subject, "a list"), (text, "a text")] {
        let answer = evaluate(&wrong);
        let error = answer.json()["error"].as_str().unwrap().to_owned();
        assert_eq!(answer.status, 400, "{wrong}");
        assert!(error.starts_with(&format!("expected an object, found {found}")), "{error}");
        assert!(!answer.body.contains(SECRET), "{answer:?}");
    }
}

#[test]
fn authzen_evaluates_many_by_three_semantics() {
    let server = serve(Some(&policy("t")), options());
    let evaluate = |semantic: Option<&str>, tables: &[&str]| -> Vec<bool> {
        let resource =
            |table: &&str| json!({"resource": {"type": "resource", "id": table, "properties": {"connection": "dw"}}});
        let mut asked = json!({"subject": {"type": "token", "id": SECRET}, "action": {"name": "maps"},
            "evaluations": tables.iter().map(resource).collect::<Vec<_>>()});
        if let Some(semantic) = semantic {
            asked["options"] = json!({"evaluations_semantic": semantic});
        }
        let answer = server.ask("POST /access/v1/evaluations", &[], &asked.to_string());
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()["evaluations"].as_array().unwrap().iter().map(|answer| answer["decision"] == true).collect()
    };
    let tables = ["db.t", "db.u", "db.t"];
    assert_eq!(evaluate(None, &tables), [true, false, true]);
    assert_eq!(evaluate(Some("execute_all"), &tables), [true, false, true]);
    assert_eq!(evaluate(Some("deny_on_first_deny"), &tables), [true, false]);
    assert_eq!(evaluate(Some("permit_on_first_permit"), &["db.u", "db.t", "db.t"]), [false, true]);

    // One that is wrong is no by itself, and the others are answered.
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
    assert_eq!(metadata["access_evaluation_endpoint"], "https://test/access/v1/evaluation");
}
