//! Findings as a user sees them.

use std::collections::BTreeSet;

use portcullis::audit::lint::RULES;
use serde_json::Value;

use super::util::{Dir, POLICY};

const LINT: &str = include_str!("../../data/lint.json");

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn findings_have_code_place_reason_and_fix() {
    let dir = Dir::new().file("lint.json", LINT);
    let found = json(&dir.command("audit lint --policy lint.json --format json").stdout(1));
    let found = found["findings"].as_array().unwrap();
    let of = |code: &str| found.iter().find(|finding| finding["code"] == code).unwrap_or_else(|| panic!("no {code}"));
    let redundant = of("redundant_grant");
    assert_eq!((&redundant["line"], &redundant["column"]), (&8.into(), &44.into()));
    assert_eq!(redundant["path"], "tokens[0].grants[2].source");
    assert_eq!(redundant["token"], "a");
    assert_eq!(redundant["witness"]["resource"], "acme.tiles.shops");
    assert_eq!(of("star_reading")["paste"], "\"acme.*.*\"");
    assert_eq!(of("star_reading")["witness"]["covered"], false);
    assert_eq!(of("case_reading")["witness"]["resource"], "public.\"Sales_eu\"");
    assert_eq!(of("referer_public_suffix")["severity"], "error");
    assert_eq!(of("referer_http")["paste"], "\"https://a.example.com/\"");
    assert_eq!(of("invisible_character")["paste"], "\"acme.tiles.shops\"");
    for code in ["shadowed_pattern", "duplicate_grant", "look_alike_names", "mixed_scripts", "names_differ_by_case"] {
        of(code);
    }
    assert!(found.iter().all(|finding| !finding["fix"].as_str().unwrap().is_empty()));
    let text = dir.command("audit lint --policy lint.json").stdout(1);
    assert!(text.contains("error[bidi_character]: `b\\u{202e}` holds U+202E") && !text.contains('\u{202e}'), "{text}");
    assert!(text.ends_with(" notes\n"), "{text}");
    let csv = dir.command("audit lint --policy lint.json --format csv").stdout(1);
    assert_eq!(csv.lines().count(), found.len() + 1);
}

#[test]
fn severities_decide_and_rules_can_be_allowed() {
    let dir = Dir::with_policy();
    let text = dir.command("audit lint --policy policy.json --allow plain-secret").stdout(0);
    assert!(text.ends_with("0 errors, 0 warnings, 1 note\n"), "{text}");
    dir.command("audit lint --policy policy.json").stdout(1);
    dir.command("audit lint --policy policy.json --fail-on error").stdout(0);
    dir.command("audit lint --policy policy.json --allow plain_secret --fail-on note").stdout(1);
    let none = dir.command("audit lint --policy policy.json --allow plain_secret token_never_expires --fail-on note");
    assert_eq!(none.stdout(0), "0 errors, 0 warnings, 0 notes\n");
    assert!(dir.command("audit lint --policy policy.json --allow nonsense").stderr().contains("--rules"));
    let rules = dir.command("audit lint --rules").stdout(0);
    assert!(RULES.iter().all(|rule| rules.contains(rule.code)), "{rules}");
    let broken = Dir::new().file("bad.json", "[{}]");
    assert_eq!(broken.command("audit lint --policy bad.json").run().code, 2);
}

#[test]
fn a_log_tells_what_is_not_used() {
    let log = concat!(
        r#"{"log":1,"time":"2026-11-20T00:00:00Z","token_id":"tok","api":"maps","connection":"dw","sources":[{"resource":"public.roads"}],"decision":"allow","grants":[0],"ns":1}"#,
        "\nnonsense\n",
        r#"{"log":1,"time":"2026-11-24T00:00:00Z","token_id":"geo","api":"maps","connection":"dw","decision":"deny","reason":"api_not_allowed","status":403,"ns":1}"#,
    );
    let dir = Dir::with_policy().file("log.jsonl", log);
    let ran = dir.command("audit lint --policy policy.json --usage log.jsonl --format json").run();
    assert!(
        ran.stderr.starts_with("note: `log.jsonl` has 1 line of no decision log; the first is line 2"),
        "{}",
        ran.stderr
    );
    let found = json(&ran.stdout);
    let found: BTreeSet<(&str, &str)> = found["findings"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|finding| finding["code"].as_str().unwrap().ends_with("never_used"))
        .map(|finding| (finding["code"].as_str().unwrap(), finding["path"].as_str().unwrap()))
        .collect();
    let expected = [
        ("grant_never_used", "tokens[0].grants[1].source"),
        ("grant_never_used", "tokens[0].grants[2].source"),
        ("token_never_used", "tokens[1].id"),
    ];
    assert_eq!(found, BTreeSet::from(expected));
}

/// What SARIF 2.1.0 requires of what is written: its schema, by hand.
#[test]
fn sarif_is_as_its_standard_says() {
    let dir = Dir::new().file("a policy.json", LINT);
    let log = json(&dir.command("audit lint --format sarif --policy").arg("a policy.json").stdout(1));
    assert_eq!(log["version"], "2.1.0");
    assert!(log["$schema"].as_str().unwrap().ends_with("sarif-2.1.0.json"));
    let [run] = log["runs"].as_array().unwrap().as_slice() else { panic!("one run") };
    let driver = &run["tool"]["driver"];
    assert_eq!(driver["name"], "Portcullis");
    let rules = driver["rules"].as_array().unwrap();
    let ids: BTreeSet<&str> = rules.iter().map(|rule| rule["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), RULES.len());
    for rule in rules {
        for text in ["shortDescription", "fullDescription", "help"] {
            assert!(!rule[text]["text"].as_str().unwrap().is_empty());
        }
        assert!(["note", "warning", "error"].contains(&rule["defaultConfiguration"]["level"].as_str().unwrap()));
    }
    assert_eq!(run["artifacts"][0]["location"]["uri"], "a%20policy.json");
    let region = |region: &Value| {
        let number = |key: &str| region[key].as_u64();
        let start = (number("startLine").unwrap(), number("startColumn").unwrap());
        let end = number("endLine").map(|line| (line, number("endColumn").unwrap()));
        assert!(start.0 >= 1 && start.1 >= 1 && end.is_none_or(|end| end >= start), "{region}");
    };
    let results = run["results"].as_array().unwrap();
    assert!(results.len() > 20);
    let mut fingerprints = BTreeSet::new();
    for result in results {
        let rule = &rules[usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap()];
        assert_eq!(rule["id"], result["ruleId"]);
        assert_eq!(rule["defaultConfiguration"]["level"], result["level"]);
        assert!(!result["message"]["text"].as_str().unwrap().is_empty());
        let place = &result["locations"][0]["physicalLocation"];
        assert_eq!(place["artifactLocation"]["uri"], "a%20policy.json");
        region(&place["region"]);
        fingerprints.insert(result["partialFingerprints"].to_string());
        for fix in result["fixes"].as_array().into_iter().flatten() {
            let change = &fix["artifactChanges"][0];
            assert_eq!(change["artifactLocation"]["index"], 0);
            region(&change["replacements"][0]["deletedRegion"]);
            assert!(change["replacements"][0]["insertedContent"]["text"].is_string());
        }
    }
    assert!(fingerprints.len() > results.len() - 3, "nearly every finding has its own");
}

#[test]
fn nothing_of_a_compiled_policy_can_be_linted() {
    let dir = Dir::new().file("policy.json", POLICY);
    dir.command("compile --policy policy.json --output policy.pcls").run();
    assert!(dir.command("audit lint --policy policy.pcls").stderr().contains("holds no definitions"));
}
