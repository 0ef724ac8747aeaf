//! Compares policies that are suggested from a log with the original: they keep logged requests and allow no new ones.

use portcullis::decision::Replay;
use portcullis::model::{Operation, Policy};
use portcullis::referer::Referer;
use portcullis::snapshot::Options;
use portcullis_audit::suggest::{Needs, SuggestOptions, Suggestion, TokenAdvice};
use portcullis_testkit::reference::ReferenceDecision;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::document;
use crate::engine::{by_engine, policy, snapshot};
use crate::generate::{World, worlds};
use crate::request::{OwnedRequest, OwnedSource};

/// A decision that needs no grant: a log without any decision is an error.
const DENIAL: &str = r#"{"log":1,"time":"2026-11-22T12:00:00Z","api":"maps","decision":"deny","reason":"token_missing","status":401,"ns":1}"#;

const NOW: &str = "2026-11-22T12:00:00Z";

fn suggested(policy: &Policy, log: &str, options: &SuggestOptions) -> (Suggestion, Value) {
    let snapshot = snapshot(policy, &Options::default());
    let (replay, now) = (Replay::new(&snapshot), NOW.parse().unwrap());
    let mut needs = Needs::new(policy);
    let lines = needs.read(log.as_bytes(), &replay, now).unwrap();
    assert_eq!(lines.no_longer, 0, "{log}");
    let suggestion = needs.suggest(options);
    let confirmed = suggestion.confirm(policy).unwrap();
    assert_eq!(confirmed.replay(log.as_bytes(), &replay, now).unwrap(), lines.allowed);
    let document = serde_json::from_str(confirmed.document()).unwrap();
    (suggestion, document)
}

/// Returns a line of a decision log, with queries as text.
fn line(asked: &OwnedRequest, token: &str) -> String {
    let source = |source: &OwnedSource| match source {
        OwnedSource::Resource(text) => json!({"resource": text}),
        OwnedSource::Query(text) => json!({"query": text}),
        OwnedSource::NamedSource(text) => json!({"named_source": text}),
    };
    let mut line = json!({
        "log": 1, "time": asked.now.to_string(), "token_id": token, "api": asked.api, "connection": asked.connection,
        "sources": asked.sources.iter().map(source).collect::<Vec<_>>(), "decision": "allow", "ns": 1,
    });
    if asked.api == "sql" && asked.operation == Operation::Model {
        line["operation"] = "model".into();
    }
    // The log stores only the origin of a referer.
    match asked.referer.as_deref().filter(|header| !header.is_empty()).map(Referer::parse) {
        None => {}
        Some(None) => line["referer"] = "unreadable".into(),
        Some(Some(referer)) => {
            let port = referer.port().map(|port| format!(":{port}")).unwrap_or_default();
            line["referer"] = format!("{}://{}{port}/", referer.scheme().as_str(), referer.host()).into();
            if referer.path_and_query() != "/" {
                line["referer_cut"] = true.into();
            }
        }
    }
    line.to_string()
}

proptest! {
    #[test]
    fn suggested_policy_allows_logged_requests_and_no_new_ones(
        World { document, requests } in worlds(),
        exact in 0..3_usize,
        schemas in 0..3_usize,
        drop_unused in any::<bool>(),
    ) {
        let policy = policy(&document);
        let before = snapshot(&policy, &Options::default());
        // Half of the requests are in the log. The suggestion must not allow a denied request of the other half.
        let (logged, others) = requests.split_at(requests.len() / 2);
        let mut log = Vec::new();
        for asked in logged {
            if let ReferenceDecision::Allow { token, .. } = by_engine(&before, asked) {
                log.push((asked, line(asked, &token)));
            }
        }
        let text: Vec<&str> = log.iter().map(|(_, line)| line.as_str()).chain([DENIAL]).collect();
        let options = SuggestOptions { exact, schemas, drop_unused };
        let (_, narrower) = suggested(&policy, &text.join("\n"), &options);
        let reference = document::reference(&narrower);
        for (asked, line) in &log {
            let after = asked.with(|request, now| reference.decide(request, now));
            prop_assert!(matches!(after, ReferenceDecision::Allow { .. }), "lost: {line}\n{:#}\n{:#}", document, narrower);
        }
        for asked in others {
            let after = asked.with(|request, now| reference.decide(request, now));
            if matches!(after, ReferenceDecision::Allow { .. }) {
                let is_allow = matches!(by_engine(&before, asked), ReferenceDecision::Allow { .. });
                prop_assert!(is_allow, "won: {:?}\n{:#}\n{:#}", asked, document, narrower);
            }
        }
    }
}

/// Returns the grants that are suggested for these names. `grant` covers all of them.
fn narrowed(grant: &str, names: &[&str], exact: usize) -> Vec<String> {
    let policy = policy(&json!({"tokens": [
        {"id": "a", "token": "s", "allowed_apis": ["maps"], "grants": [{"connection_name": "dw", "source": grant}]},
        {"id": "unused", "token": "t", "allowed_apis": ["lds"]},
    ]}));
    let line = |name: &&str| {
        json!({"log": 1, "time": NOW, "token_id": "a", "api": "maps", "connection": "dw", "sources": [{"resource": name}], "decision": "allow"}).to_string()
    };
    let log: Vec<String> = names.iter().map(line).collect();
    let (suggestion, _) = suggested(&policy, &log.join("\n"), &SuggestOptions { exact, ..SuggestOptions::default() });
    assert_eq!(suggestion.tokens[1].advice, TokenAdvice::UnusedKept);
    suggestion.tokens[0].grants.iter().map(|grant| grant.source.clone()).collect()
}

#[test]
fn suggested_grants_are_logged_names_or_narrower_patterns() {
    for (grant, names, exact, expected) in [
        ("db.s.*", &["db.s.a", "db.s.b"][..], 2, &["db.s.a", "db.s.b"][..]),
        ("db.s.*", &["db.s.roads_1", "db.s.roads_2"], 1, &["db.s.roads_*"]),
        ("db.s.*", &["db.s.x_1", "db.s.x_2", "db.s.y_1"], 2, &["db.s.x_*", "db.s.y_1"]),
        ("db.*.*", &["db.s.x_1", "db.t.x_1"], 1, &["db.s.x_1", "db.t.x_1"]),
        ("db.s.*_1", &["db.s.a_1", "db.s.b_1", "db.s.c_1"], 2, &["db.s.*_1"]),
        ("*", &["db.s.a", "db.t"], 2, &["db.t", "db.s.a"]),
        // Only a grant of all sources can grant names of one segment.
        ("*", &["db"], 2, &["*"]),
        // A requested name with a star becomes a quoted name, not a pattern.
        ("db.s.*", &["db.s.roads_*"], 2, &["db.s.\"roads_*\""]),
    ] {
        assert_eq!(narrowed(grant, names, exact), expected, "{grant}: {names:?}");
    }
}

/// An API that accepts resources but not `all` must not gain access because `*` is replaced with a name.
#[test]
fn suggestion_keeps_the_grant_kind_if_another_kind_would_widen_an_api() {
    for (accepts, expected) in [("resource", "*"), ("all", "db.s.a")] {
        let policy = policy(&json!({
            "apis": [{"name": "tiles", "accepts": [accepts]}],
            "tokens": [{"id": "a", "token": "s", "allowed_apis": ["maps", "tiles"], "grants": [{"connection_name": "dw", "source": "*"}]}],
        }));
        let (suggestion, _) = suggested(&policy, &line_of("db.s.a"), &SuggestOptions::default());
        assert_eq!(suggestion.tokens[0].grants[0].source, expected, "{accepts}");
    }
}

#[test]
fn confirm_rejects_wider_suggestions_and_replay_reports_lost_requests() {
    let policy_of = |source: &str| {
        policy(
            &json!({"tokens": [{"id": "a", "token": "s", "allowed_apis": ["maps"], "grants": [{"connection_name": "dw", "source": source}]}]}),
        )
    };
    let (narrow, wide) = (policy_of("db.s.roads_*"), policy_of("db.s.*"));
    // The suggestion comes from the wide policy and is confirmed against the narrow one.
    let (as_wide, _) = suggested(&wide, &line_of("db.s.rails"), &SuggestOptions::default());
    assert!(as_wide.confirm(&narrow).unwrap_err().to_string().contains("is within no grant of token `a`"));
    let confirmed = as_wide.confirm(&wide).unwrap();
    let snapshot = snapshot(&wide, &Options::default());
    let lost = confirmed.replay(line_of("db.s.roads_1").as_bytes(), &Replay::new(&snapshot), NOW.parse().unwrap());
    assert!(lost.unwrap_err().to_string().starts_with("line 1 is allowed for token `a`, but the suggestion denies it"));
}

fn line_of(name: &str) -> String {
    json!({"log": 1, "time": NOW, "token_id": "a", "api": "maps", "connection": "dw", "sources": [{"resource": name}], "decision": "allow"}).to_string()
}
