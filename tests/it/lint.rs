//! Compares the findings of the lint about grants with a brute-force search.

use portcullis::decision::{Reason, Replay, Request, Source, decide};
use portcullis::snapshot::{Options, Snapshot};
use portcullis_audit::lint::{Evidence, Finding, LintOptions, Names, lint};
use portcullis_audit::usage::Usage;
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

/// Returns the findings with a catalog and the use of tokens, as far as `text` has them.
fn findings_with(text: &str, names: &[(&str, &str)], usage: Option<&Usage>) -> Vec<Finding> {
    let inputs = [Input::new("policy.json", text)];
    let now = NOW.parse().unwrap();
    let loaded = load(&inputs, &LoadOptions { warnings: true, now: Some(now), ..LoadOptions::default() });
    let policy = loaded.policy.as_ref().unwrap_or_else(|| panic!("{text}: {:?}", loaded.diagnostics));
    let mut catalog = Names::of(policy);
    for (connection, name) in names {
        assert!(catalog.see(connection, name), "{name}");
    }
    let evidence = Evidence { names: (!names.is_empty()).then_some(catalog), usage };
    lint(&inputs, &loaded, &LintOptions::at(now), evidence).unwrap()
}

/// Applies the proposed change of each finding by itself, and checks that the policy remains valid and the finding is
/// gone. Returns the codes of these findings.
fn check_changes(text: &str, names: &[(&str, &str)], usage: Option<&Usage>) -> Vec<&'static str> {
    let mut seen = Vec::new();
    for finding in findings_with(text, names, usage) {
        let Some(edit) = &finding.edit else { continue };
        let mut changed = text.to_owned();
        changed.replace_range(edit.span.clone(), &edit.insert);
        let left = findings_with(&changed, names, usage);
        let same = |left: &&Finding| (left.rule, &left.message) == (finding.rule, &finding.message);
        assert!(!left.iter().any(|left| same(&left) && left.path == finding.path), "{finding:?}\n{changed}");
        seen.push(finding.rule.code);
    }
    seen
}

/// Applying the proposed change of a finding gives a valid policy without this finding.
#[test]
fn every_proposed_change_can_be_applied() {
    let seen = check_changes(include_str!("../data/lint.json"), &[], None);
    for code in [
        "redundant_grant",
        "duplicate_grant",
        "duplicate_referer",
        "shadowed_pattern",
        "bidi_character",
        "invisible_character",
        "star_reading",
        "case_reading",
        "token_never_expires",
    ] {
        assert!(seen.contains(&code), "{code}: {seen:?}");
    }
    // One after the other, until nothing is proposed.
    let mut text = include_str!("../data/lint.json").to_owned();
    for _ in 0..100 {
        let Some(edit) = findings(&text).into_iter().find_map(|finding| finding.edit) else { break };
        text.replace_range(edit.span, &edit.insert);
    }
    assert!(findings(&text).iter().all(|finding| finding.edit.is_none()), "{text}");
}

const TOKEN: &str = r#""id": "a", "token_sha256": "ea0d1b5e4b5e7f9f3bbf1d1a6a5a4c93ab2ce24a42c8d8b1ee1f3f0d6f0b6a11""#;
const OTHER: &str = r#""id": "b", "token_sha256": "0a0d1b5e4b5e7f9f3bbf1d1a6a5a4c93ab2ce24a42c8d8b1ee1f3f0d6f0b6a11""#;

#[test]
fn changes_leave_a_grant_and_one_key() {
    let grant = |source: &str| format!(r#"{{"connection_name": "dw", "source": {source}}}"#);
    let maps = |fields: &str, grants: &[String]| {
        let grants = grants.join(", ");
        format!(r#"{{{TOKEN}, "allowed_apis": ["maps"], {fields} "grants": [{grants}]}}"#)
    };
    let end = r#""expiration_date": "2040-01-01","#;
    let catalog: &[(&str, &str)] = &[("dw", "a.b.roads")];
    let gone = [grant(r#""a.c.x_*""#), grant(r#""a.c.y""#), grant(r#""a.b.roads""#)];
    for (text, want, why) in [
        (maps(end, &gone), &["pattern_matches_nothing", "resource_not_in_catalog"][..], "a grant is left"),
        (maps(end, &gone[..2]), &[], "no grant would be left"),
        (maps(end, &gone[..1]), &[], "the only grant"),
        (maps(r#""expiration_date": null,"#, &gone[2..]), &["token_never_expires"], "the key is there"),
        (maps("", &gone[2..]), &["token_never_expires"], "the key is missing"),
        (maps("", &[grant(r#""*""#)]), &["all_sources_never_expire"], "the wider finding alone"),
    ] {
        for text in [text.clone(), format!("[{text}]"), format!("{{\"tokens\": [{text}]}}")] {
            assert_eq!(check_changes(&text, catalog, None), want, "{why}: {text}");
        }
    }
}

#[test]
fn corrected_texts_are_proposed_only_if_they_are_valid() {
    let lds = r#""allowed_apis": ["lds"], "expiration_date": "2040-01-01""#;
    let maps = |source: &str| {
        let grants = format!(r#"[{{"connection_name": "dw", "source": "{source}"}}]"#);
        format!(r#"{TOKEN}, "allowed_apis": ["maps"], "expiration_date": "2040-01-01", "grants": {grants}"#)
    };
    let b = OTHER.replace(r#""b""#, r#""a\u200b""#);
    for (text, want, why) in [
        (format!("[{{{b}, {lds}}}]"), 1, "an id"),
        (format!("[{{{TOKEN}, {lds}}}, {{{b}, {lds}}}]"), 0, "another token has that id"),
        (format!(r#"[{{{TOKEN}, "name": "n\u200b", {lds}}}]"#), 1, "a name"),
        (
            format!(r#"[{{{TOKEN}, "name": "n\u200b", {lds}}}, {{{OTHER}, "name": "n", {lds}}}]"#),
            0,
            "the owner has that name",
        ),
        (
            format!(r#"[{{{TOKEN}, "name": "n\u200b", "owner": "o", {lds}}}, {{{OTHER}, "name": "n", {lds}}}]"#),
            1,
            "another owner has that name",
        ),
        (
            format!(
                r#"[{{{TOKEN}, "name": "n", "owner": "o\u200b", {lds}}}, {{{OTHER}, "name": "n", "owner": "o", {lds}}}]"#
            ),
            0,
            "the other owner has that name",
        ),
        (format!("[{{{}}}]", maps(r"a.b\u200b.c")), 1, "a source"),
        (format!("[{{{}}}]", maps(r"a.\u200b.c")), 0, "an empty segment would be left"),
        (format!("[{{{}}}]", maps(r"a.b.*\u200b*")), 0, "two stars would be adjacent"),
    ] {
        assert_eq!(check_changes(&text, &[], None).len(), want, "{why}: {text}");
    }
}

#[test]
fn unused_tokens_are_removed_only_if_a_document_is_left() {
    let line = |time: &str, fields: &str| {
        format!(
            r#"{{"log":1,"time":"{time}","api":"maps","connection":"dw","sources":[{{"resource":"a.b"}}],"ns":1,{fields}}}"#
        )
    };
    let log = [
        line("2026-11-20T00:00:00Z", r#""token_id":"b","decision":"allow","grants":[0]"#),
        line("2026-11-21T00:00:00Z", r#""token_id":"b","decision":"allow","grants":[0]"#),
    ];
    let token = |id: &str| {
        format!(
            r#"{{{id}, "allowed_apis": ["maps"], "expiration_date": "2040-01-01",
                "grants": [{{"connection_name": "dw", "source": "a.b"}}, {{"connection_name": "dw", "source": "a.c"}}]}}"#
        )
    };
    let unused = token(TOKEN);
    let both = format!("[{unused}, {}]", token(OTHER));
    let snapshot = snapshot(&policy(&serde_json::from_str(&both).unwrap()), &Options::default());
    let mut usage = Usage::default();
    let lines = usage.read(log.join("\n").as_bytes(), &Replay::new(&snapshot), NOW.parse().unwrap()).unwrap();
    assert_eq!(lines.allowed, 2);
    assert_eq!(check_changes(&unused, &[], Some(&usage)), [""; 0], "the document is one token");
    assert_eq!(check_changes(&format!("[{unused}]"), &[], Some(&usage)), ["token_never_used"]);
    assert_eq!(check_changes(&both, &[], Some(&usage)), ["token_never_used", "grant_never_used"]);
}

#[test]
fn advice_for_all_sources_removes_the_wide_grant() {
    let document = |grants: &str, fields: &str| {
        format!(r#"{{"tokens": [{{{TOKEN}, "allowed_apis": ["sql"], {fields} "grants": [{grants}]}}]}}"#)
    };
    let grant = |source: &str| format!(r#"{{"connection_name": "dw", "source": "{source}"}}"#);
    let found = |text: &str| findings_with(text, &[], None);
    let all = found(&document(&format!("{}, {}", grant("a.b"), grant("*")), ""));
    let codes: Vec<&str> = all.iter().map(|finding| finding.rule.code).collect();
    assert_eq!(codes, ["redundant_grant", "all_sources_never_expire"]);
    assert!(all[0].fix.starts_with("remove `grants[1]`, which covers all sources"), "{}", all[0].fix);
    assert_eq!((&all[0].edit, &*all[1].path), (&None, "tokens[0].grants[1].source"));
    let narrow =
        found(&document(&format!("{}, {}", grant("a.b"), grant("a.*")), r#""expiration_date": "2040-01-01","#));
    assert!(narrow[0].edit.is_some() && narrow[0].fix.contains("or remove `grants[1]`"), "{}", narrow[0].fix);

    // Every data API considers all sources, and the document's own APIs may.
    for (api, want) in [("maps", true), ("sql", true), ("imports", true), ("tiles", true), ("rows", false)] {
        let text = document(&grant("*"), "").replace(
            r#"{"tokens""#,
            r#"{"apis": [{"name": "tiles", "accepts": ["all"]}, {"name": "rows", "accepts": ["resource"]}], "tokens""#,
        );
        let found = found(&text.replace(r#"["sql"]"#, &format!(r#"["{api}"]"#)));
        assert_eq!(found.iter().any(|finding| finding.rule.code == "all_sources_never_expire"), want, "{api}");
    }
    for fields in [r#""expiration_date": "2040-01-01","#, r#""referers": ["https://a.example"],"#] {
        let found = found(&document(&grant("*"), fields));
        assert!(found.iter().all(|finding| finding.rule.code != "all_sources_never_expire"), "{fields}: {found:?}");
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
