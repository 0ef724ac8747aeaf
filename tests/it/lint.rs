//! What the lint says of grants, by brute force.

use portcullis::decision::{Reason, Request, Source, decide};
use portcullis::snapshot::{Options, Snapshot};
use portcullis_audit::lint::{Evidence, Finding, LintOptions, Names, lint};
use portcullis_document::load::{Input, LoadOptions, load};
use portcullis_testkit::reference::ReferenceDecision;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::document::list;
use crate::engine::{by_engine, policy, snapshot};
use crate::generate::{World, worlds};

const NOW: &str = "2026-11-22T12:00:00Z";

fn findings(text: &str) -> Vec<Finding> {
    let inputs = [Input::new("policy.json", text)];
    let now = NOW.parse().unwrap();
    let loaded = load(&inputs, &LoadOptions { warnings: true, now: Some(now), ..LoadOptions::default() });
    assert!(loaded.policy.is_some(), "{:?}", loaded.diagnostics);
    lint(&inputs, &loaded, &LintOptions::at(now), Evidence::default()).unwrap()
}

/// The grants, by token and place, that can go.
fn removable(document: &Value) -> Vec<(usize, usize)> {
    let codes = ["redundant_grant", "shadowed_pattern", "duplicate_grant"];
    let found = findings(&document.to_string());
    let place = |finding: &Finding| {
        let mut numbers = finding.place.split(['[', ']']).filter_map(|part| part.parse().ok());
        (numbers.next().unwrap(), numbers.next().unwrap())
    };
    found.iter().filter(|finding| codes.contains(&finding.rule.code)).map(place).collect()
}

fn without(document: &Value, removed: &[(usize, usize)]) -> Value {
    let mut document = document.clone();
    for (at, token) in document["tokens"].as_array_mut().unwrap().iter_mut().enumerate() {
        let Some(grants) = token.get_mut("grants").and_then(Value::as_array_mut) else { continue };
        let mut index = 0;
        grants.retain(|_| {
            index += 1;
            !removed.contains(&(at, index - 1))
        });
    }
    document
}

/// Allowed, or why not; not by which grant.
fn outcome(decision: &ReferenceDecision) -> String {
    match decision {
        ReferenceDecision::Allow { token, .. } => format!("allow {token}"),
        ReferenceDecision::Deny(reason) => reason.code().to_owned(),
    }
}

proptest! {
    #[test]
    fn what_is_redundant_can_go(World { document, requests } in worlds()) {
        let less = without(&document, &removable(&document));
        let (before, after) = (snapshot(&policy(&document), &Options::default()), snapshot(&policy(&less), &Options::default()));
        for asked in &requests {
            let (before, after) = (by_engine(&before, asked), by_engine(&after, asked));
            prop_assert_eq!(outcome(&before), outcome(&after), "{:?}\n{:#}", asked, document);
        }
    }
}

proptest! {
    /// Whatever a catalog holds, each witness is decided as its finding says: else linting fails.
    #[test]
    fn every_witness_is_decided_as_it_is_told(World { document, requests } in worlds()) {
        let policy = policy(&document);
        let mut names = Names::of(&policy);
        for asked in &requests {
            for source in &asked.sources {
                let text = source.borrowed().text();
                names.see(&asked.connection, text);
                names.see(&asked.connection, &text.to_uppercase());
                names.see(&asked.connection, &format!("{text}.b"));
            }
        }
        let inputs = [Input::new("policy.json", document.to_string())];
        let now = NOW.parse().unwrap();
        let loaded = load(&inputs, &LoadOptions { warnings: true, now: Some(now), ..LoadOptions::default() });
        let evidence = Evidence { names: Some(names), usage: None };
        let found = lint(&inputs, &loaded, &LintOptions::at(now), evidence);
        prop_assert!(found.is_ok(), "{:?}\n{:#}", found.err(), document);
    }
}

/// Every name of two segments of up to three letters, one of which no pattern has.
fn small_names() -> Vec<String> {
    let letters = ["a", "b", "c"];
    let mut segments: Vec<String> = letters.map(str::to_owned).into();
    for length in 1..3 {
        let longer = segments.iter().filter(|text| text.len() == length);
        let longer: Vec<String> = longer.flat_map(|text| letters.map(|letter| format!("{text}{letter}"))).collect();
        segments.extend(longer);
    }
    let pairs = segments.iter().flat_map(|first| segments.iter().map(move |second| format!("{first}.{second}")));
    // And one that only all sources cover.
    pairs.chain(["a.b.c".to_owned()]).collect()
}

fn outcomes(document: &Value, apis: &[&str], names: &[String]) -> Vec<Option<&'static str>> {
    let snapshot: Snapshot = snapshot(&policy(document), &Options::default());
    let now = NOW.parse().unwrap();
    let mut outcomes = Vec::new();
    for api in apis {
        for name in names {
            let request = Request::new(api, "dw").secret("s").source(Source::Resource(name));
            outcomes.push(decide(&snapshot, &request, now).reason().map(Reason::code));
        }
    }
    outcomes
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Exactly what can go is found: on all small names nothing changes without it, and without any other grant something does.
    #[test]
    fn exactly_what_is_redundant_is_found(
        sources in prop::collection::vec("([ab]|\\*[ab]|[ab]\\*|\\*[ab]\\*|[ab]\\*[ab]|\\*)\\.([ab]|\\*[ab]|[ab]\\*|\\*[ab]\\*|[ab]\\*[ab]|\\*)", 1..8),
        all in prop::bool::weighted(0.1),
        only_patterns in any::<bool>(),
    ) {
        let mut grants: Vec<Value> = sources.iter().map(|source| json!({"connection_name": "dw", "source": source})).collect();
        if all {
            grants.push(json!({"connection_name": "dw", "source": "*"}));
        }
        // An API that considers less than the others.
        let accepts: &[&str] = if only_patterns { &["pattern"] } else { &["resource", "pattern"] };
        let apis = ["maps", "tiles"];
        let document = json!({
            "apis": [{"name": "tiles", "accepts": accepts}],
            "tokens": [{"id": "a", "token": "s", "allowed_apis": apis, "grants": grants}],
        });
        let names = small_names();
        let before = outcomes(&document, &apis, &names);
        let removed = removable(&document);
        let less = without(&document, &removed);
        prop_assert_eq!(&before, &outcomes(&less, &apis, &names), "{:?} of {:#}", removed, document);
        let left = list(&less["tokens"][0]["grants"]).len();
        for grant in 0..left {
            let fewer = without(&less, &[(0, grant)]);
            if left > 1 {
                prop_assert_ne!(&before, &outcomes(&fewer, &apis, &names), "grant {} of {:#}", grant, less);
            }
        }
    }
}

/// Applying the changes that findings propose, one by one, gives a policy that loads, without that finding.
#[test]
fn every_change_can_be_applied() {
    let mut text = include_str!("../data/lint.json").to_owned();
    let mut seen = Vec::new();
    for _ in 0..100 {
        let found = findings(&text);
        let Some((finding, edit)) = found.iter().find_map(|finding| Some((finding, finding.edit.clone()?))) else {
            break;
        };
        seen.push(finding.rule.code);
        text.replace_range(edit.span, &edit.insert);
    }
    let left: Vec<&str> =
        findings(&text).iter().filter(|found| found.edit.is_some()).map(|found| found.rule.code).collect();
    assert_eq!(left, [""; 0], "{text}\n{seen:?}");
    for code in [
        "redundant_grant",
        "duplicate_grant",
        "shadowed_pattern",
        "bidi_character",
        "star_reading",
        "token_never_expires",
    ] {
        assert!(seen.contains(&code), "{code}: {seen:?}");
    }
}

#[test]
fn queries_are_not_for_connections_that_refuse_them() {
    let found = |named_sources_only: bool| {
        let document = json!({
            "connections": [{"name": "dw", "named_sources_only": named_sources_only}],
            "tokens": [{"id": "a", "token": "s", "allowed_apis": ["sql"], "expiration_date": "2040-01-01", "grants": [
                {"connection_name": "dw", "source": "SELECT 1"}, {"connection_name": "dw", "source": "daily"},
            ]}],
        });
        let found = findings(&document.to_string());
        found.iter().map(|finding| format!("{} {}", finding.rule.code, finding.place)).collect::<Vec<_>>()
    };
    assert_eq!(found(false), ["plain_secret tokens[0].token"]);
    assert_eq!(found(true), ["query_never_accepted tokens[0].grants[0].source", "plain_secret tokens[0].token"]);
}
