//! Runs the vectors in `tests/data/decisions` and `tests/data/invalid`: policies, requests and expected decisions.

use std::fs;
use std::path::{Path, PathBuf};

use portcullis::decision::Reason;
use portcullis_testkit::reference::{Reference, ReferenceDecision};
use serde_json::Value;

use crate::document;
use crate::engine::{by_engine, by_explanation, for_each_strategy, lowered, policy, snapshot};
use crate::request::OwnedRequest;

fn vectors(part: &str) -> PathBuf {
    crate::repository().join("tests/data").join(part)
}

fn json(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

fn json_lines(path: &Path) -> Vec<Value> {
    fs::read_to_string(path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn expected(line: &Value) -> ReferenceDecision {
    if line["decision"] == "allow" {
        let grants =
            document::list(&line["grants"]).iter().map(|grant| u32::try_from(grant.as_u64().unwrap()).unwrap());
        return ReferenceDecision::Allow {
            token: line["token"].as_str().unwrap().to_owned(),
            grants: grants.collect(),
        };
    }
    let reason = Reason::ALL.into_iter().find(|reason| line["reason"] == reason.code()).unwrap();
    assert_eq!(line["status"], reason.status(), "{line}");
    ReferenceDecision::Deny(reason)
}

/// A policy of `decisions`, and its requests with the expected decisions.
struct Case {
    name: String,
    policy: PathBuf,
    requests: Vec<(Value, OwnedRequest, ReferenceDecision)>,
}

fn cases() -> Vec<Case> {
    let mut folders: Vec<PathBuf> =
        fs::read_dir(vectors("decisions")).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    let case = |folder: PathBuf| {
        let (requests, answers) =
            (json_lines(&folder.join("requests.jsonl")), json_lines(&folder.join("decisions.jsonl")));
        assert_eq!(requests.len(), answers.len(), "{}", folder.display());
        let pair = |(request, answer): (Value, Value)| {
            assert_eq!(request["id"], answer["id"]);
            let asked = OwnedRequest::read(&request).unwrap_or_else(|| panic!("not a request: {request}"));
            (request, asked, expected(&answer))
        };
        Case {
            name: folder.file_name().unwrap().to_string_lossy().into_owned(),
            policy: folder.join("policy.json"),
            requests: requests.into_iter().zip(answers).map(pair).collect(),
        }
    };
    assert!(folders.len() >= 12, "only {} policies", folders.len());
    folders.into_iter().map(case).collect()
}

/// Compares all decisions with the expected ones, and reports every difference.
fn check(case: &Case, decide: impl Fn(&OwnedRequest) -> ReferenceDecision) {
    let differences: Vec<String> = case
        .requests
        .iter()
        .filter_map(|(line, asked, expected)| {
            let found = decide(asked);
            (found != *expected).then(|| format!("{line}\n  expected {expected:?}\n  found    {found:?}"))
        })
        .collect();
    assert!(differences.is_empty(), "{}: {} differ\n{}", case.name, differences.len(), differences.join("\n"));
}

#[test]
fn reference_decides_as_the_vectors_expect() {
    for case in cases() {
        let reference = document::reference(&json(&case.policy));
        check(&case, |asked| asked.with(|request, now| reference.decide(request, now)));
    }
}

#[test]
fn reference_of_lowered_policy_decides_as_the_vectors_expect() {
    for case in cases() {
        let reference = Reference::new(&policy(&json(&case.policy)));
        assert_eq!(reference.unreadable(), [], "{}", case.name);
        check(&case, |asked| asked.with(|request, now| reference.decide(request, now)));
    }
}

#[test]
fn engine_decides_as_the_vectors_expect() {
    for case in cases() {
        let policy = policy(&json(&case.policy));
        for_each_strategy(|_, options| {
            let snapshot = snapshot(&policy, options);
            check(&case, |asked| by_engine(&snapshot, asked));
            check(&case, |asked| by_explanation(&snapshot, asked));
        });
    }
}

/// Each document is rejected, with a problem at every path in the index.
#[test]
fn invalid_documents_are_rejected_with_a_problem_at_every_path() {
    let folder = vectors("invalid");
    let mut wrong = Vec::new();
    for case in document::list(&json(&folder.join("index.json"))) {
        let file = case["file"].as_str().unwrap();
        let lowered = lowered(&fs::read_to_string(folder.join(file)).unwrap(), false);
        let found: Vec<String> = lowered.problems.iter().map(|problem| problem.path.to_string()).collect();
        let expected: Vec<&str> = document::list(&case["paths"]).iter().map(|path| path.as_str().unwrap()).collect();
        let named = expected.iter().all(|path| found.iter().any(|found| found == path));
        if lowered.policy.is_some() || !named {
            wrong.push(format!("{file} ({}): expected {expected:?}, found {found:?}", case["why"]));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
