//! The shadow policy, which changes only the reports for operators.

use portcullis::decision::Request;
use portcullis::{Authorizer, Options, Snapshot};
use portcullis_server::decision_log::QueryTexts;
use portcullis_server::shadow::Shadow;
use serde_json::{Value, json};

use super::util::{SECRET, decide_and, now};

fn compiled(tokens: &Value) -> Snapshot {
    let text = json!({ "tokens": tokens }).to_string();
    Snapshot::compile(&portcullis_document::read_policy(text).unwrap(), &Options::default()).unwrap()
}

fn token(id: &str, sources: &[&str]) -> Value {
    let grants: Vec<_> = sources.iter().map(|source| json!({"connection_name": "dw", "source": source})).collect();
    json!({"id": id, "token": format!("{SECRET}-{id}"), "allowed_apis": ["maps"], "grants": grants})
}

#[test]
fn every_kind_of_difference_is_counted_and_some_are_kept() {
    let live = Authorizer::new(compiled(&json!([token("a", &["db.one", "db.two"]), token("gone", &["db.one"])])));
    let second = Authorizer::new(compiled(&json!([token("a", &["db.three", "db.one"])])));
    let shadow = Shadow::new(second.clone(), 2, QueryTexts::Hidden);
    let secrets = ["a", "gone", "nobody"].map(|id| format!("{SECRET}-{id}"));
    let [a, gone, nobody] = secrets.each_ref().map(String::as_str);
    let requests = [
        (a, "db.two", 5),      // allow to deny
        (a, "db.three", 3),    // deny to allow
        (a, "db.one", 4),      // another grant
        (gone, "db.other", 1), // source_not_granted, token_unknown
        (nobody, "db.one", 7), // the same
    ];
    for (secret, table, times) in requests {
        let request = Request::new("maps", "dw").secret(secret).source(portcullis::decision::Source::Resource(table));
        for _ in 0..times {
            decide_and(&live, &request, now(), |decided| shadow.record(decided));
        }
    }
    let counts: Vec<_> = shadow.counts().collect();
    let expected =
        [("none", 7), ("unavailable", 0), ("allow_to_deny", 5), ("deny_to_allow", 3), ("reason", 1), ("grants", 4)];
    assert_eq!(counts, expected);

    let report = serde_json::to_value(shadow.report()).unwrap();
    assert!(!report.to_string().contains(SECRET), "{report:#}");
    let kept: Vec<_> = report["differences"]
        .as_array()
        .unwrap()
        .iter()
        .map(|kind| kind["examples"].as_array().unwrap().len())
        .collect();
    assert_eq!(kept, [2, 2, 1, 2]);
    assert_eq!(
        report["differences"][0]["examples"][0],
        json!({
            "request": {"log": 1, "time": "2026-11-24T12:00:00Z", "id": "r-1", "generation": 1, "token_id": "a", "api": "maps",
                "connection": "dw", "sources": [{"resource": "db.two"}], "decision": "allow", "grants": [1], "ns": 321},
            "shadow": {"generation": 1, "decision": "deny", "reason": "source_not_granted"},
        })
    );
    let grants = &report["differences"][3]["examples"][0];
    assert_eq!((&grants["request"]["grants"], &grants["shadow"]["grants"]), (&json!([0]), &json!([1])));

    // Examples belong to the current shadow policy.
    second.swap(compiled(&json!([token("a", &["db.one", "db.two"])])));
    assert_eq!(shadow.report().generation, 2);
    assert!(shadow.report().differences.iter().all(|kind| kind.examples.is_empty()));
    let request = Request::new("maps", "dw").secret(gone).source(portcullis::decision::Source::Resource("db.one"));
    decide_and(&live, &request, now(), |decided| shadow.record(decided));
    assert_eq!(shadow.report().differences[0].examples.len(), 1);
    assert_eq!(shadow.report().differences[0].count, 6);
}

#[test]
fn without_a_shadow_policy_there_is_nothing_to_compare_with() {
    let live = Authorizer::new(compiled(&json!([token("a", &["db.one"])])));
    let shadow = Shadow::new(Authorizer::unavailable(), 2, QueryTexts::Hidden);
    decide_and(&live, &Request::new("maps", "dw"), now(), |decided| shadow.record(decided));
    assert_eq!(shadow.report().unavailable, 1);
    assert_eq!(shadow.report().generation, 0);
}
