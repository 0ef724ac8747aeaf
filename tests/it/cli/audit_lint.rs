//! `audit lint`.

use std::collections::BTreeSet;

use portcullis_audit::lint::RULES;
use serde_json::Value;

use super::util::{Dir, POLICY};

const LINT: &str = include_str!("../../data/lint.json");

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn findings_have_code_path_reason_and_fix() {
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
fn fail_on_and_allow_set_the_exit_code() {
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
fn usage_log_finds_unused_tokens_and_grants() {
    let log = concat!(
        r#"{"log":1,"time":"2026-11-20T00:00:00Z","token_id":"tok","api":"maps","connection":"dw","sources":[{"resource":"public.roads"}],"decision":"allow","grants":[0],"ns":1}"#,
        "\n",
        r#"{"log":1,"time":"2026-11-24T00:00:00Z","token_id":"geo","api":"maps","connection":"dw","decision":"deny","reason":"api_not_allowed","status":403,"ns":1}"#,
    );
    let dir = Dir::with_policy().file("log.jsonl", log);
    let ran = dir.command("audit lint --policy policy.json --log log.jsonl --format json").run();
    let note =
        "note: the logs have no request under `lds`, `sql`: tokens and grants that are needed only there look unused\n";
    assert_eq!(ran.stderr, note);
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

#[test]
fn catalog_finds_patterns_and_names_without_match() {
    let policy = r#"{"connections": [{"name": "dw", "dialect": "postgres"}, {"name": "other"}], "tokens": [
        {"id": "a", "token_sha256": "ea0d1b5e4b5e7f9f3bbf1d1a6a5a4c93ab2ce24a42c8d8b1ee1f3f0d6f0b6a11", "allowed_apis": ["maps"],
         "expiration_date": "2040-01-01", "grants": [
            {"connection_name": "dw", "source": "public.road_*"},
            {"connection_name": "dw", "source": "public.sales*"},
            {"connection_name": "dw", "source": "public.t*"},
            {"connection_name": "dw", "source": "public.c1ty"},
            {"connection_name": "dw", "source": "geo.*", "type": "pattern"},
            {"connection_name": "dw", "source": "public.stations"},
            {"connection_name": "other", "source": "x.nothing_*"}]}]}"#;
    let mut catalog = "connection,name\ndw,\"public.\"\"Sales_eu\"\"\"\ndw,public.city\ndw,public.clty\ndw,geo.eu.parcels\ndw,geo.x\n".to_owned();
    catalog.extend((0..30).map(|table| format!("dw,public.t{table}\n")));
    let dir = Dir::new().file("policy.json", policy).file("catalog.csv", catalog);
    let found = json(&dir.command("audit lint --policy policy.json --catalog catalog.csv --format json").stdout(1));
    let found: Vec<(&str, &str, &str)> = found["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|finding| {
            let text = |key: &str| finding[key].as_str().unwrap();
            let witness = finding["witness"]["resource"].as_str().or(finding["paste"].as_str()).unwrap_or_default();
            (text("code"), text("path").strip_prefix("tokens[0].").unwrap(), witness)
        })
        .collect();
    let expected = [
        ("pattern_matches_nothing", "grants[0].source", ""),
        ("case_reading", "grants[1].source", "public.\"Sales_eu\""),
        ("pattern_matches_nothing", "grants[1].source", ""),
        ("very_wide_pattern", "grants[2].source", ""),
        ("resource_not_in_catalog", "grants[3].source", "\"public.clty\""),
        ("star_reading", "grants[4].source", "geo.eu.parcels"),
        ("resource_not_in_catalog", "grants[5].source", ""),
    ];
    // The catalog has no name of the other connection, so its grants have no findings.
    assert_eq!(found, expected);
}

#[test]
fn registry_usage_finds_unused_tokens() {
    use portcullis_registry::{Actor, Location, NewToken, Registry, record};

    let dir = Dir::new();
    let mut registry = Registry::open(&Location::file(dir.path("r.db")), true).unwrap();
    let ana = Actor::new("ana", "2026-01-01T00:00:00Z".parse().unwrap()).unwrap();
    let mut ids = Vec::new();
    for name in ["used", "idle"] {
        let token = NewToken { name: Some(name.into()), apis: vec!["lds".into()], ..NewToken::default() };
        ids.push(registry.create_token(&ana, &token).unwrap().token.id);
    }
    let lint = || {
        let found = json(&dir.command("audit lint --db sqlite:r.db --format json").run().stdout);
        let found = found["findings"].as_array().unwrap().clone();
        found
            .into_iter()
            .filter(|finding| finding["code"] == "token_never_used")
            .map(|finding| finding["token"].clone())
            .collect::<Vec<_>>()
    };
    // No use has been recorded yet.
    assert_eq!(lint(), [""; 0]);
    let used = record::Usage { token: ids[0].clone(), allowed: 3, last_used: "2026-02-01T00:00:00Z".parse().unwrap() };
    registry.record_usage(&[used]).unwrap();
    assert_eq!(lint(), [ids[1].as_str()]);
}

/// The commands in the fixes of findings in a registry, run as they are: each finding with one is gone afterwards.
#[test]
fn fixes_for_a_registry_are_commands_that_work() {
    use portcullis_registry::{Actor, Location, NewToken, Registry};

    let dir = Dir::new();
    let mut registry = Registry::open(&Location::file(dir.path("r.db")), true).unwrap();
    let ana = Actor::new("ana", "2026-01-01T00:00:00Z".parse().unwrap()).unwrap();
    drop(registry.create_token(&ana, &NewToken { apis: vec!["lds".into()], ..NewToken::default() }).unwrap());
    dir.command("connections add dw --dialect postgres --db sqlite:r.db --user ana").stdout(0);
    for (name, options) in [
        ("all", "--connection dw --source * --yes"),
        ("wide", "--connection dw --source public.* --connection dw --source public.roads --expiration-date 300d"),
        ("site", "--connection dw --source public.a --referer http://a.example/ --expiration-date 300d"),
        ("soon", "--connection dw --source public.b --expiration-date 5d"),
    ] {
        let create =
            format!("credentials create token --apis maps --db sqlite:r.db --user ana --name {name} {options}");
        dir.command(&create).run();
    }
    let lint = || json(&dir.command("audit lint --db sqlite:r.db --format json").run().stdout)["findings"].clone();
    let key = |finding: &Value| (finding["code"].to_string(), finding["token"].to_string());
    let mut fixed = BTreeSet::new();
    for finding in lint().as_array().unwrap() {
        let fix = finding["fix"].as_str().unwrap();
        assert!(!fix.contains("expiration_date"), "{finding}");
        let Some((_, command)) = fix.split_once("`portcullis ") else { continue };
        let command = command.strip_suffix('`').unwrap().replace('\'', "");
        assert!(finding.get("paste").is_none(), "{finding}");
        let ran = dir.command(&command).run();
        assert_eq!(ran.code, 0, "{command}: {}", ran.stderr);
        // The earlier secret expires after the overlap, as a token of its own.
        assert!(!lint().as_array().unwrap().iter().any(|left| key(left) == key(finding)), "{command}");
        fixed.insert(finding["code"].as_str().unwrap().to_owned());
    }
    let expected = ["all_sources_never_expire", "expires_soon", "redundant_grant", "token_never_expires"];
    assert!(expected.iter().all(|code| fixed.contains(*code)), "{fixed:?}");
}

/// Checks the requirements of the SARIF 2.1.0 schema.
#[test]
fn sarif_follows_its_schema() {
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
    assert!(fingerprints.len() > results.len() - 3, "nearly every finding has a fingerprint of its own");
}

#[test]
fn compiled_policy_is_rejected() {
    let dir = Dir::new().file("policy.json", POLICY);
    dir.command("compile --policy policy.json --output policy.pcls").run();
    assert!(dir.command("audit lint --policy policy.pcls").stderr().contains("holds no definitions"));
}
