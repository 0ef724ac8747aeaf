//! Replay of a log: against the policy that wrote it, every decision is the same.

use std::collections::BTreeMap;

use portcullis::decision::{Reason, Replay};
use portcullis::{Authorizer, Options};
use portcullis_http::wire::{ReplayRequest, Replayed, WireRequest};
use portcullis_server::decision_log::{DecisionLog, LogOptions, QueryTexts, Target};
use portcullis_server::{Ids, ObservedPreflight, PreflightEnd};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use serde_json::json;

use super::util::{decide_and, now};
use crate::engine::{policy, snapshot};
use crate::generate::{World, worlds};

/// No token decides a preflight, so a replay has nothing to compare.
#[test]
fn preflights_are_logged_and_a_replay_skips_them() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("log.jsonl");
    let log = DecisionLog::open(&Target::File(file.clone()), LogOptions::default()).unwrap();
    for end in PreflightEnd::ALL {
        let ids = Ids { request: Some("r-7"), trace: None };
        log.record_preflight(&ObservedPreflight { at: now(), ids, generation: 3, end });
    }
    log.close();
    let lines = std::fs::read_to_string(file).unwrap();
    let snapshot = snapshot(&policy(&json!([])), &Options::default());
    let ends: Vec<_> = lines
        .lines()
        .map(|line| {
            let replay = ReplayRequest::read(line.as_bytes()).unwrap_or_else(|error| panic!("{error}: {line}"));
            assert!(matches!(replay.decide(&Replay::new(&snapshot), now()), Replayed::Skipped(_)), "{line}");
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            assert_eq!((&line["id"], &line["generation"]), (&json!("r-7"), &json!(3)));
            [&line["preflight"], &line["decision"], &line["reason"]]
                .map(|text| text.as_str().unwrap_or_default().to_owned())
        })
        .collect();
    assert_eq!(
        ends,
        [["passed", "none", ""], ["answered", "none", ""], ["refused", "deny", "request_not_understood"],]
    );
}

#[test]
fn replayed_line_gets_the_logged_decision() {
    let mut runner = TestRunner::deterministic();
    let mut skipped: BTreeMap<&'static str, usize> = BTreeMap::new();
    let (mut decided, mut allowed) = (0, 0);
    for round in 0..300 {
        let World { document, requests } = worlds().new_tree(&mut runner).unwrap().current();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("log.jsonl");
        let queries = if round % 2 == 0 { QueryTexts::Hidden } else { QueryTexts::Shown };
        let log =
            DecisionLog::open(&Target::File(file.clone()), LogOptions { queries, ..LogOptions::default() }).unwrap();
        let policy = policy(&document);
        let authorizer = Authorizer::new(snapshot(&policy, &Options::default()));
        let mut expected = Vec::new();
        for case in &requests {
            case.with(|request, now| {
                decide_and(&authorizer, request, now, |decided| {
                    log.record(decided);
                    let grants = match decided.decision {
                        portcullis::Decision::Allow(allow) => Some(allow.grants().to_vec()),
                        portcullis::Decision::Deny(_) => None,
                    };
                    expected.push((grants, decided.decision.reason()));
                });
            });
        }
        log.close();
        let text = std::fs::read_to_string(file).unwrap();
        let again = snapshot(&policy, &Options::default());
        let replay = Replay::new(&again);
        assert_eq!(text.lines().count(), expected.len());
        for (line, (grants, reason)) in text.lines().zip(expected) {
            let request = ReplayRequest::read(line.as_bytes()).unwrap_or_else(|error| panic!("{error}: {line}"));
            assert_eq!(request.logged(), Some(reason.map_or(Ok(()), Err)), "{line}");
            match request.decide(&replay, now()) {
                Replayed::Decided(decision) => {
                    assert_eq!(decision.reason(), reason, "{line}\n{document:#}");
                    if let portcullis::Decision::Allow(allow) = &decision {
                        assert_eq!(Some(allow.grants().to_vec()), grants, "{line}\n{document:#}");
                        allowed += 1;
                    }
                    decided += 1;
                }
                Replayed::Skipped(why) => *skipped.entry(why).or_default() += 1,
            }
        }
    }
    let all: usize = skipped.values().sum::<usize>() + decided;
    assert!(decided * 2 > all && allowed * 5 > all, "{decided} decided, {allowed} allowed of {all}: {skipped:?}");
    assert!(skipped.len() >= 2, "{skipped:?}");
}

#[test]
fn missing_parts_of_a_line_are_not_guessed() {
    let document = serde_json::json!({"tokens": [
        {"id": "any", "token": "a", "allowed_apis": ["sql"], "grants": [{"connection_name": "dw", "source": "SELECT 1"}]},
        {"id": "all", "token": "b", "allowed_apis": ["sql"], "grants": [{"connection_name": "dw", "type": "all"}]},
        {"id": "site", "token": "c", "allowed_apis": ["lds"], "referers": ["https://a.example/"]},
        {"id": "path", "token": "d", "allowed_apis": ["lds"], "referers": ["https://a.example/x/*"]},
    ]});
    let compiled = snapshot(&policy(&document), &Options::default());
    let replay = Replay::new(&compiled);
    let one = "e004ebd5b5532a4b85984a62f8ad48a81aa3460c1ca07701f386135d72cdecf5";
    let other = "00".repeat(32);
    let log = r#""log":1,"time":"2026-11-24T12:00:00Z""#;
    let sql = |token: &str, sha: &str| {
        format!(
            r#"{{{log},"token_id":"{token}","api":"sql","connection":"dw","sources":[{{"query_sha256":"{sha}"}}]}}"#
        )
    };
    let lds = |token: &str, rest: &str| format!(r#"{{{log},"token_id":"{token}","api":"lds"{rest}}}"#);
    let cut = r#","referer":"https://a.example/","referer_cut":true"#;
    let elsewhere = r#","referer":"https://b.example/","referer_cut":true"#;
    let whole = r#","referer":"https://a.example/""#;
    let cases = [
        (sql("any", one), Ok(None)),
        (sql("any", &other), Ok(Some(Reason::SourceNotGranted))),
        (sql("all", &other), Ok(None)),
        (sql("gone", one), Ok(Some(Reason::TokenUnknown))),
        (lds("site", cut), Ok(None)),
        (lds("site", elsewhere), Ok(Some(Reason::RefererNotAllowed))),
        (lds("site", r#","referer":"unreadable""#), Ok(Some(Reason::RefererNotAllowed))),
        (lds("site", ""), Ok(Some(Reason::RefererMissing))),
        (lds("path", whole), Ok(Some(Reason::RefererNotAllowed))),
        (lds("path", cut), Err("only the origin of the referer")),
        (
            format!(
                r#"{{{log},"token_id":"all","api":"sql","connection":"dw","sources":[{{"query_bytes":2000000}}]}}"#
            ),
            Err("too long"),
        ),
        (format!(r#"{{{log},"api":"lds","decision":"deny","reason":"token_unknown"}}"#), Err("unknown")),
        (
            format!(r#"{{{log},"api":"lds","decision":"deny","reason":"token_missing"}}"#),
            Ok(Some(Reason::TokenMissing)),
        ),
        (format!(r#"{{{log},"api":"lds","decision":"deny","reason":"policy_unavailable"}}"#), Err("no policy")),
        (format!(r#"{{{log},"decision":"deny","reason":"request_not_understood"}}"#), Err("not understood")),
        // Log shippers add keys, and reorder them.
        (format!(r#"{{"api":"lds","host":{{"a":1}},{log},"token_id":"any"}}"#), Ok(Some(Reason::ApiNotAllowed))),
        // A request written by hand.
        (r#"{"token_id": "all", "api": "sql", "connection": "dw", "query": "SELECT 2"}"#.to_owned(), Ok(None)),
        (r#"{"token": "b", "api": "sql", "connection": "dw", "query": "SELECT 2"}"#.to_owned(), Ok(None)),
    ];
    for (line, expected) in cases {
        let found = ReplayRequest::read(line.as_bytes()).unwrap_or_else(|error| panic!("{error}: {line}"));
        match (found.decide(&replay, now()), expected) {
            (Replayed::Decided(decision), Ok(reason)) => assert_eq!(decision.reason(), reason, "{line}"),
            (Replayed::Skipped(why), Err(expected)) => assert!(why.contains(expected), "{line}: {why}"),
            (found, expected) => panic!("{line}: {found:?} instead of {expected:?}"),
        }
    }
}

#[test]
fn only_a_log_may_have_the_keys_of_one() {
    let cases = [
        (r#"{"api": "lds", "generation": 3}"#, "unknown key `generation`"),
        (r#"{"api": "lds", "time": "2026-11-24"}"#, "unknown key `time`"),
        (r#"{"log": 2, "api": "lds"}"#, "another version"),
        (r#"{"log": null, "api": "lds"}"#, "`log`: expected the number 1, found null"),
        (r#"{"log": "1", "api": "lds"}"#, "`log`: expected the number 1, found a string"),
        (r#"["log"]"#, "expected an object, found a list"),
        (r#"{"token": "a", "token_id": "b", "api": "lds"}"#, "both given"),
        (r#"{"log": 1, "time": "2026-11-24", "now": "2026-11-24", "api": "lds"}"#, "more than once"),
        (r#"{"log": 1}"#, "`api` is missing"),
        (r#"{"api": "maps", "connection": "dw", "sources": [{"query_sha256": "00"}]}"#, "64 hexadecimal digits"),
        (r#"{"api": "maps", "connection": "dw", "sources": [{"resource": "a.b", "query_bytes": 1}]}"#, "one of"),
        (r#"{"token_id": "a", "api": "maps", "connection": "dw"}"#, "the source is missing"),
    ];
    for (line, expected) in cases {
        let error = ReplayRequest::read(line.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(expected), "{line}: {error}");
    }
    // A client presents its secret: an id is not a secret.
    assert!(WireRequest::read(br#"{"token_id": "a", "api": "lds"}"#).is_err());
}
