//! Applies the fix of every rule of the lint, and checks that the policy is valid and the finding is gone.

use std::collections::HashSet;

use portcullis::decision::Replay;
use portcullis::snapshot::Options;
use portcullis_audit::lint::{Evidence, Finding, LintOptions, Names, RULES, lint};
use portcullis_audit::usage::Usage;
use portcullis_document::load::{Input, LoadOptions, load};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::engine::{policy, snapshot};

const NOW: &str = "2026-11-22T12:00:00Z";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    /// The rule whose findings are fixed.
    rule: String,
    why: String,
    #[serde(default)]
    connections: Vec<Value>,
    /// The members that differ from those of a token without findings; `null` leaves a member out.
    tokens: Vec<Map<String, Value>>,
    /// The names on the connection `dw`.
    #[serde(default)]
    catalog: Vec<String>,
    /// The ids of the tokens whose first grant the log has.
    #[serde(default)]
    used: Vec<String>,
    /// The change that follows an instruction without a text to paste.
    by_hand: Option<ByHand>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ByHand {
    #[serde(default)]
    set: Map<String, Value>,
    #[serde(default)]
    remove: Vec<String>,
}

impl Case {
    /// Returns the document. A member that is `null` is kept in `spelled`, and left out otherwise.
    fn document(&self, keeps_null: bool) -> Value {
        let token = |(index, members): (usize, &Map<String, Value>)| {
            let mut token = json!({
                "id": format!("t{index}"), "token_sha256": format!("{index}").repeat(64), "allowed_apis": ["maps"],
                "grants": [{"connection_name": "dw", "source": "db.s.roads"}], "expiration_date": "2040-01-01",
            });
            for (key, value) in members {
                if value.is_null() && !(keeps_null && key == "expiration_date") {
                    token.as_object_mut().unwrap().remove(key);
                } else {
                    token[key] = value.clone();
                }
            }
            token
        };
        let tokens: Vec<Value> = self.tokens.iter().enumerate().map(token).collect();
        json!({"connections": self.connections, "tokens": tokens})
    }

    fn findings(&self, text: &str) -> Vec<Finding> {
        let inputs = [Input::new("policy.json", text)];
        let now = NOW.parse().unwrap();
        let loaded = load(&inputs, &LoadOptions { warnings: true, now: Some(now), ..LoadOptions::default() });
        let valid = loaded.policy.as_ref().unwrap_or_else(|| panic!("{}: {:?}\n{text}", self.why, loaded.diagnostics));
        let mut names = Names::of(valid);
        assert!(self.catalog.iter().all(|name| names.see("dw", name)), "{}", self.why);
        let mut usage = Usage::default();
        if !self.used.is_empty() {
            let snapshot = snapshot(&policy(&serde_json::from_str(text).unwrap()), &Options::default());
            usage.read(self.log().as_bytes(), &Replay::new(&snapshot), now).unwrap();
        }
        let evidence = Evidence {
            names: (!self.catalog.is_empty()).then_some(names),
            usage: (!self.used.is_empty()).then_some(&usage),
        };
        lint(&inputs, &loaded, &LintOptions::at(now), evidence).unwrap()
    }

    /// Returns a log of two days, in which the tokens used their first grant.
    fn log(&self) -> String {
        let line = |day: u32, id: &str| {
            format!(
                r#"{{"log":1,"time":"2026-11-{day}T00:00:00Z","token_id":"{id}","api":"maps","connection":"dw","sources":[{{"resource":"db.s.roads"}}],"decision":"allow","grants":[0],"ns":1}}"#
            )
        };
        let lines = self.used.iter().flat_map(|id| [line(20, id), line(21, id)]);
        lines.collect::<Vec<_>>().join("\n")
    }

    /// Returns the text after the fix of the finding, and whether the finding has the text of the fix.
    fn fixed(&self, text: &str, finding: &Finding) -> (String, bool) {
        let mut fixed = text.to_owned();
        if let Some(edit) = &finding.edit {
            // A text to paste is the value that the finding points at, or a member to add.
            if finding.paste.as_ref() == Some(&edit.insert) {
                assert_eq!(finding.span.as_ref(), Some(&edit.span), "{}: {finding:?}\n{text}", self.why);
            }
            fixed.replace_range(edit.span.clone(), &edit.insert);
            return (fixed, true);
        }
        if let Some(paste) = &finding.paste {
            fixed.replace_range(finding.span.clone().unwrap(), paste);
            return (fixed, true);
        }
        if let Some(suggestion) = suggestion(&finding.fix) {
            fixed.replace_range(finding.span.clone().unwrap(), &json!(suggestion).to_string());
            return (fixed, true);
        }
        let by_hand = self.by_hand.as_ref().unwrap_or_else(|| panic!("{}: no text in {finding:?}", self.why));
        let mut document = serde_json::from_str(text).unwrap();
        for (path, value) in &by_hand.set {
            set(&mut document, path, value.clone());
        }
        for path in &by_hand.remove {
            remove(&mut document, path);
        }
        (document.to_string(), false)
    }
}

/// Returns the text that a fix in words names.
fn suggestion(fix: &str) -> Option<&str> {
    ["did you mean `", "write the site: `"].iter().find_map(|start| fix.strip_prefix(start)?.split('`').next())
}

/// Returns the steps of a path such as `tokens[0].grants[1].source`, as a JSON pointer.
fn pointer(path: &str) -> String {
    format!("/{}", path.replace(['[', '.'], "/").replace(']', ""))
}

/// Writes a value. The element after the last one of a list is added.
fn set(document: &mut Value, path: &str, value: Value) {
    let pointer = pointer(path);
    let (around, last) = pointer.rsplit_once('/').unwrap();
    match document.pointer_mut(around).unwrap() {
        Value::Array(elements) if last.parse() == Ok(elements.len()) => elements.push(value),
        Value::Array(elements) => elements[last.parse::<usize>().unwrap()] = value,
        object => object[last] = value,
    }
}

fn remove(document: &mut Value, path: &str) {
    let pointer = pointer(path);
    let (around, last) = pointer.rsplit_once('/').unwrap();
    match document.pointer_mut(around).unwrap() {
        Value::Array(elements) => drop(elements.remove(last.parse().unwrap())),
        object => drop(object.as_object_mut().unwrap().remove(last).unwrap()),
    }
}

fn cases() -> Vec<Case> {
    serde_json::from_str(include_str!("../data/lint-fixes.json")).unwrap()
}

#[test]
fn every_rule_has_a_fix_that_gives_a_valid_policy_without_the_finding() {
    let mut reached = HashSet::new();
    for case in cases() {
        for keeps_null in [true, false] {
            let document = case.document(keeps_null);
            for text in [document.to_string(), serde_json::to_string_pretty(&document).unwrap()] {
                let findings = case.findings(&text);
                let of_rule: Vec<_> = findings.iter().filter(|finding| finding.rule.code == case.rule).collect();
                assert!(!of_rule.is_empty(), "{}: `{}` is not found in {findings:#?}", case.why, case.rule);
                let mut is_by_hand = false;
                for finding in of_rule {
                    let (fixed, has_text) = case.fixed(&text, finding);
                    is_by_hand |= !has_text;
                    let left = case.findings(&fixed);
                    let same = |left: &&Finding| {
                        left.rule == finding.rule && left.path == finding.path && left.message == finding.message
                    };
                    assert_eq!(left.iter().find(same), None, "{}: {}\n{fixed}", case.why, finding.fix);
                    let errors = |found: &[Finding]| {
                        found
                            .iter()
                            .filter(|found| found.rule.severity == portcullis_audit::lint::Severity::Error)
                            .count()
                    };
                    assert!(errors(&left) <= errors(&findings), "{}: a fix adds an error\n{fixed}", case.why);
                }
                assert_eq!(is_by_hand, case.by_hand.is_some(), "{}: `by_hand` is needed exactly here", case.why);
            }
        }
        reached.insert(case.rule);
    }
    let missing: Vec<_> = RULES.iter().map(|rule| rule.code).filter(|code| !reached.contains(*code)).collect();
    assert_eq!(missing, [""; 0], "tests/data/lint-fixes.json has no case");
}

#[test]
fn no_fix_proposes_every_site_below_a_public_suffix() {
    for host in ["co.uk", "com", "github.io", "xn--p1ai", "co.jp", "s3.amazonaws.com", "k12.ca.us"] {
        for referer in [
            "http://*.HOST/",
            "https://*.HOST/a",
            "http://*.HOST:8080/a/*",
            "http://*.HOST/?q",
            "https://*.HO\u{200b}ST/",
        ] {
            let (first, second) = host.split_at(2);
            let referer = referer.replace("HO\u{200b}ST", &format!("{first}\u{200b}{second}")).replace("HOST", host);
            let case = Case {
                rule: String::new(),
                why: referer.clone(),
                connections: Vec::new(),
                tokens: vec![json!({"referers": [referer]}).as_object().unwrap().clone()],
                catalog: Vec::new(),
                used: Vec::new(),
                by_hand: None,
            };
            let findings = case.findings(&case.document(false).to_string());
            assert!(findings.iter().any(|finding| finding.rule.code == "referer_public_suffix"), "{referer}");
            for finding in findings {
                let texts =
                    [finding.paste.as_deref(), Some(&*finding.fix), finding.edit.as_ref().map(|edit| &*edit.insert)];
                assert!(texts.iter().flatten().all(|text| !text.contains("*.")), "{referer}: {finding:?}");
            }
        }
    }
}
