//! JSON of the wrong shape, for every command that reads some: errors have the words of the project.

use serde_json::{Map, Value, json};

use super::util::{Dir, POLICY};

/// Words of the JSON library and of the program's types.
const FOREIGN: [&str; 18] = [
    "column 0",
    "invalid type",
    "invalid value",
    "invalid length",
    "missing field `",
    "unknown variant",
    "duplicate field `",
    "expected struct",
    "struct ",
    "expected a sequence",
    "expected a map",
    "expected unit",
    "expected ident",
    "newtype",
    "untagged",
    "borrowed string",
    "integer `",
    "u64",
];

/// A command that reads `input`, and an input that it accepts.
struct Reads {
    command: &'static str,
    input: Value,
    /// One in so many changes is tried: another command has the same reader.
    step: usize,
}

fn commands() -> Vec<Reads> {
    let token = json!({"id": "n", "name": "n", "token": "another-s3cr3t-of-the-test", "allowed_apis": ["maps"],
        "grants": [{"connection_name": "dw", "source": "a.b"}], "expiration_date": "2040-01-01"});
    let document = json!({"version": 1, "connections": [{"name": "dw", "dialect": "generic"}], "tokens": [token]});
    let request =
        json!({"id": 1, "token": "s", "api": "maps", "connection": "dw", "resource": "a.b", "now": "2026-01-01"});
    let log = json!({"log": 1, "time": "2026-11-24T12:00:00Z", "id": "a", "generation": 7, "token_id": "tok", "api": "maps",
        "connection": "dw", "sources": [{"resource": "a.b"}], "decision": "deny", "reason": "source_not_granted", "status": 403, "ns": 1});
    let routes = json!({"base_segment": "v3", "routes": [{"path": "/v3/x/{connection}", "api": "maps", "operation": "query",
        "sources": [{"resource": "name"}], "without": ["q"]}], "passed_through": ["/healthz"]});
    let http = json!({"id": 1, "method": "GET", "url": "/v3/lds/x", "headers": {"referer": ["https://a.example/"]}, "body": null});
    let listing = json!({"tokens": [{"token": "another-s3cr3t-of-the-test", "allowed_apis": ["maps"],
        "grants": [{"connection_name": "dw", "source": "a.b"}]}], "meta": {"page": {"total": 1}}});
    [
        ("validate input", document.clone(), 1),
        ("check --policy input --token x --api lds", document.clone(), 9),
        ("audit lint --policy input", document.clone(), 9),
        ("audit diff policy.json input", document.clone(), 9),
        ("import --db sqlite:r.db input", document, 4),
        ("import --db sqlite:r.db --from carto input", listing, 2),
        ("read --requests http.jsonl --routes input", routes, 1),
        ("read --requests input", http, 1),
        ("check --policy policy.json --requests input", request.clone(), 1),
        ("check --policy policy.json --requests input", log.clone(), 2),
        ("bench --policy policy.json --seconds 0.01 --threads 1 --requests input", request, 5),
        ("audit suggest --policy policy.json --log input", log.clone(), 5),
        ("audit lint --policy policy.json --log input", log, 9),
        (
            "audit exposure --policy policy.json --catalog catalog.csv --named-sources input",
            json!({"name": "open-orders", "connection": "dw", "sql": "SELECT 1"}),
            1,
        ),
        ("audit exposure --policy policy.json --catalog input", json!({"connection": "dw", "name": "a.b"}), 1),
        ("scan policy.json --baseline input", json!({"findings": [{"fingerprint": "a"}]}), 1),
    ]
    .into_iter()
    .map(|(command, input, step)| Reads { command, input, step })
    .collect()
}

/// Returns the value with one change at each place: a key left out, misspelt or added, a value of each other kind.
fn changed(value: &Value) -> Vec<String> {
    let others = [json!(null), json!(true), json!(-1.5), json!("a text"), json!([7]), json!({"zzz": 7})];
    let kind = |value: &Value| std::mem::discriminant(value);
    let mut all: Vec<String> =
        others.iter().filter(|other| kind(other) != kind(value)).map(ToString::to_string).collect();
    match value {
        Value::Object(members) => {
            for (key, member) in members {
                let with = |key: &str, member: &str| {
                    let rest = members.iter().filter(|(other, _)| *other != key);
                    let rest: Map<String, Value> = rest.map(|(key, member)| (key.clone(), member.clone())).collect();
                    let rest = Value::Object(rest).to_string();
                    let rest = rest.trim_start_matches('{');
                    let comma = if rest == "}" { "" } else { "," };
                    format!("{{{}:{member}{comma}{rest}", json!(key))
                };
                let mut fewer = members.clone();
                fewer.remove(key);
                all.push(Value::Object(fewer.clone()).to_string());
                fewer.insert(format!("{key}z"), member.clone());
                all.push(Value::Object(fewer).to_string());
                // The key twice.
                let whole = value.to_string();
                all.push(format!("{{{}:{member},{}", json!(key), whole.trim_start_matches('{')));
                all.extend(changed(member).iter().map(|member| with(key, member)));
            }
        }
        Value::Array(elements) => {
            for element in elements.iter().take(1) {
                all.extend(changed(element).iter().map(|element| format!("[{element}]")));
            }
        }
        _ => {}
    }
    all
}

#[test]
fn errors_have_no_words_of_the_json_library() {
    let dir = Dir::new()
        .file("policy.json", POLICY)
        .file("catalog.csv", "connection,name\ndw,a.b\n")
        .file("http.jsonl", "{\"method\":\"GET\",\"url\":\"/v3/lds/x\"}\n");
    let mut errors = 0;
    let mut wrong = Vec::new();
    for Reads { command, input, step } in commands() {
        for text in changed(&input).into_iter().step_by(step) {
            std::fs::write(dir.path("input"), &text).unwrap();
            let ran = dir.command(command).run();
            errors += usize::from(ran.code == 2);
            let shown = format!("{}{}", ran.stdout, ran.stderr);
            assert!(ran.code <= 2, "{command}: {text}: {shown}");
            // Findings show the lines of the input.
            let lines = shown.lines().filter(|line| !line.contains('│') && !line.contains('|'));
            if let Some(line) = lines.into_iter().find(|line| FOREIGN.iter().any(|words| line.contains(words))) {
                wrong.push(format!("{command}\n  {text}\n  {line}"));
            }
            let _ = std::fs::remove_file(dir.path("r.db"));
        }
    }
    assert!(errors > 150, "{errors}");
    assert!(wrong.is_empty(), "{} of {errors}:\n{}", wrong.len(), wrong.join("\n"));
}
