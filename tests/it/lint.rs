//! Compares the findings of the lint about grants with a brute-force search.

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

/// Returns the grants that can be removed: the indexes of their tokens and of the grants.
fn removable(document: &Value) -> Vec<(usize, usize)> {
    let codes = ["redundant_grant", "shadowed_pattern", "duplicate_grant"];
    let found = findings(&document.to_string());
    let indexes = |finding: &Finding| {
        let mut numbers = finding.path.split(['[', ']']).filter_map(|part| part.parse().ok());
        (numbers.next().unwrap(), numbers.next().unwrap())
    };
    found.iter().filter(|finding| codes.contains(&finding.rule.code)).map(indexes).collect()
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

/// Returns the allowed token, or the reason of the denial, without the grants.
fn outcome(decision: &ReferenceDecision) -> String {
    match decision {
        ReferenceDecision::Allow { token, .. } => format!("allow {token}"),
        ReferenceDecision::Deny(reason) => reason.code().to_owned(),
    }
}

proptest! {
    #[test]
    fn removing_redundant_grants_changes_no_decision(World { document, requests } in worlds()) {
        let less = without(&document, &removable(&document));
        let (before, after) = (snapshot(&policy(&document), &Options::default()), snapshot(&policy(&less), &Options::default()));
        for asked in &requests {
            let (before, after) = (by_engine(&before, asked), by_engine(&after, asked));
            prop_assert_eq!(outcome(&before), outcome(&after), "{:?}\n{:#}", asked, document);
        }
    }
}

proptest! {
    /// Linting fails if the decision of a witness differs from its finding. It succeeds for all catalogs.
    #[test]
    fn every_witness_is_decided_as_its_finding_states(World { document, requests } in worlds()) {
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

/// Returns all names of two segments of one to three letters. No pattern uses one of the letters.
fn small_names() -> Vec<String> {
    let letters = ["a", "b", "c"];
    let mut segments: Vec<String> = letters.map(str::to_owned).into();
    for length in 1..3 {
        let longer = segments.iter().filter(|text| text.len() == length);
        let longer: Vec<String> = longer.flat_map(|text| letters.map(|letter| format!("{text}{letter}"))).collect();
        segments.extend(longer);
    }
    let pairs = segments.iter().flat_map(|first| segments.iter().map(move |second| format!("{first}.{second}")));
    // Only a grant of all sources covers the last name.
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

    /// Removing the found grants changes no decision on small names. Removing any other grant changes one.
    #[test]
    fn lint_finds_exactly_the_redundant_grants(
        sources in prop::collection::vec("([ab]|\\*[ab]|[ab]\\*|\\*[ab]\\*|[ab]\\*[ab]|\\*)\\.([ab]|\\*[ab]|[ab]\\*|\\*[ab]\\*|[ab]\\*[ab]|\\*)", 1..8),
        all in prop::bool::weighted(0.1),
        only_patterns in any::<bool>(),
    ) {
        let mut grants: Vec<Value> = sources.iter().map(|source| json!({"connection_name": "dw", "source": source})).collect();
        if all {
            grants.push(json!({"connection_name": "dw", "source": "*"}));
        }
        // An API that accepts fewer kinds of grants than the built-in APIs.
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

/// Applying the proposed change of a finding gives a valid policy without this finding.
#[test]
fn every_proposed_change_can_be_applied() {
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
fn lint_reports_query_grants_on_connections_that_reject_queries() {
    let found = |named_sources_only: bool| {
        let document = json!({
            "connections": [{"name": "dw", "named_sources_only": named_sources_only}],
            "tokens": [{"id": "a", "token": "s", "allowed_apis": ["sql"], "expiration_date": "2040-01-01", "grants": [
                {"connection_name": "dw", "source": "SELECT 1"}, {"connection_name": "dw", "source": "daily"},
            ]}],
        });
        let found = findings(&document.to_string());
        found.iter().map(|finding| format!("{} {}", finding.rule.code, finding.path)).collect::<Vec<_>>()
    };
    assert_eq!(found(false), ["plain_secret tokens[0].token"]);
    assert_eq!(found(true), ["query_never_accepted tokens[0].grants[0].source", "plain_secret tokens[0].token"]);
}
