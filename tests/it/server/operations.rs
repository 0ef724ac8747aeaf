//! All parts of a server's operations together.

use std::fs;

use portcullis::decision::{Request, Source as RequestSource};
use portcullis_registry::{Actor, Location, NewToken, Registry};
use portcullis_server::decision_log::{LogOptions, Target};
use portcullis_server::metrics::{Format, Listening};
use portcullis_server::operations::{Operations, OperationsOptions};
use portcullis_server::policy::Source;

use super::util::{SECRET, decide_and, denied, eventually, now, policy};

#[test]
fn observe_counts_logs_and_shadows_and_reload_renews_all() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::write(path("live.json"), policy("one")).unwrap();
    fs::write(path("shadow.json"), policy("two")).unwrap();
    let operations = Operations::start(OperationsOptions {
        log: Some((Target::File(path("log.jsonl")), LogOptions::default())),
        shadow: Some(Source::files([path("shadow.json")]).unwrap()),
        ..OperationsOptions::new(Source::files([path("live.json")]).unwrap())
    })
    .unwrap();
    let ask = |table: &str| {
        let request = Request::new("maps", "dw").secret(SECRET).source(RequestSource::Resource(table));
        decide_and(operations.authorizer(), &request, now(), |decided| operations.observe(decided));
    };
    ask("db.one");
    ask("db.two");
    ask("db.other");
    let report = serde_json::to_value(operations.shadow().unwrap()).unwrap();
    let counts: Vec<_> = report["differences"].as_array().unwrap().iter().map(|kind| kind["count"].clone()).collect();
    assert_eq!((report["same"].clone(), counts), (1.into(), vec![1.into(), 1.into(), 0.into(), 0.into()]));
    let metrics = operations.metrics(Format::OpenMetrics, Listening::default());
    for line in [
        r#"portcullis_decisions_total{api="maps",outcome="allow",reason=""} 1"#,
        r#"portcullis_shadow_decisions_total{difference="deny_to_allow"} 1"#,
        r#"portcullis_policy_generation{policy="shadow"} 1.0"#,
    ] {
        assert!(metrics.contains(line), "{line}\n{metrics}");
    }

    fs::rename(path("log.jsonl"), path("log.1")).unwrap();
    operations.reload();
    eventually("a new log", || path("log.jsonl").exists());
    ask("db.one");
    fs::write(path("live.json"), "{").unwrap();
    operations.reload();
    eventually("the broken policy is reported", || operations.readiness().policy.failure.is_some());
    assert!(operations.readiness().ready);
    drop(operations);
    let lines = |name: &str| fs::read_to_string(path(name)).unwrap().lines().count();
    assert_eq!((lines("log.1"), lines("log.jsonl")), (3, 1));
}

#[test]
fn remaining_usage_is_recorded_on_drop() {
    let folder = tempfile::tempdir().unwrap();
    let location = Location::file(folder.path().join("registry.db"));
    let ana = Actor::new("ana", now()).unwrap();
    let mut registry = Registry::open(&location, true).unwrap();
    let new = NewToken { apis: vec!["lds".into()], ..NewToken::default() };
    let created = registry.create_token(&ana, &new).unwrap();
    let operations = Operations::start(OperationsOptions::new(Source::registry(location))).unwrap();
    for _ in 0..3 {
        let request = Request::new("lds", "").secret(created.secret.expose());
        decide_and(operations.authorizer(), &request, now(), |decided| operations.observe(decided));
    }
    assert!(registry.usage().unwrap().is_empty());
    drop(operations);
    let usage = &registry.usage().unwrap()[&created.token.id];
    assert_eq!((usage.allowed, usage.last_used), (3, now()));
    // Recording usage does not change the policy.
    assert_eq!(registry.revision().unwrap(), 1);
}

#[test]
fn start_fails_on_unusable_log_but_not_on_unreadable_policy() {
    let source = Source::files(["/nowhere/policy.json"]).unwrap();
    let operations = Operations::start(OperationsOptions::new(source.clone())).unwrap();
    assert!(!operations.readiness().ready);
    assert!(denied(operations.authorizer(), "one").is_some());
    let log = Some((Target::File("/nowhere/log.jsonl".into()), LogOptions::default()));
    let error = Operations::start(OperationsOptions { log, ..OperationsOptions::new(source) }).unwrap_err();
    assert!(error.to_string().starts_with("cannot open the decision log `/nowhere/log.jsonl`: "), "{error}");
}
