//! SARIF of `audit lint`: relative URIs for every input, and limits.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::util::Dir;

const POLICY: &str = r#"[{"id": "a", "token": "s3cret-a-long-enough-0001", "allowed_apis": ["lds"]}]"#;

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// The URIs of all artifacts, results and fixes.
fn uris(log: &Value) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut waiting = vec![&log["runs"][0]];
    while let Some(value) = waiting.pop() {
        match value {
            Value::Object(members) => {
                found.extend(members.get("uri").and_then(Value::as_str).map(str::to_owned));
                waiting.extend(members.values());
            }
            Value::Array(items) => waiting.extend(items),
            _ => {}
        }
    }
    found
}

#[test]
fn every_input_has_a_relative_uri() {
    let dir = Dir::new();
    for folder in ["work", "work/a b", "outside"] {
        std::fs::create_dir(dir.path(folder)).unwrap();
    }
    let dir =
        dir.file("work/policy.json", POLICY).file("work/a b/\u{fc}:#%.json", POLICY).file("outside/p.json", POLICY);
    dir.command("connections add dw --db sqlite:work/registry.db --user ana").stdout(0);
    let create = "credentials create token --db sqlite:work/registry.db --user ana --name a --apis lds";
    dir.command(create).run();
    let absolute = |name: &str| dir.path(name).canonicalize().unwrap().display().to_string();
    let cases = [
        ("policy.json".to_owned(), "policy.json", "a file"),
        ("./a b/../policy.json".to_owned(), "policy.json", "dots"),
        ("a b/\u{fc}:#%.json".to_owned(), "a%20b/%C3%BC%3A%23%25.json", "spaces, letters and signs"),
        (absolute("work/policy.json"), "policy.json", "an absolute path in the folder"),
        (absolute("outside/p.json"), "p.json", "an absolute path outside of the folder"),
        ("../outside/p.json".to_owned(), "p.json", "a relative path outside of the folder"),
        ("-".to_owned(), "stdin", "standard input"),
        ("sqlite:registry.db".to_owned(), "registry.db", "a registry"),
        (format!("sqlite:{}", absolute("work/registry.db")), "registry.db", "a registry with an absolute path"),
    ];
    for (name, expected, why) in cases {
        let option = if name.starts_with("sqlite:") { "--db" } else { "--policy" };
        let ran = dir
            .command_in("work", "audit lint --format sarif --fail-on error")
            .arg(option)
            .arg(&name)
            .stdin(POLICY)
            .run();
        let log = json(&ran.stdout);
        assert!(!log["runs"][0]["results"].as_array().unwrap().is_empty(), "{why}");
        assert_eq!(uris(&log), BTreeSet::from([expected.to_owned()]), "{why}");
    }
}

#[test]
fn limit_and_cap_leave_out_results_with_a_notice() {
    let dir = Dir::new().file("few.json", POLICY);
    let all = json(&dir.command("audit lint --policy few.json --format sarif --fail-on error").stdout(0));
    let count = all["runs"][0]["results"].as_array().unwrap().len();
    assert_eq!(all["runs"][0]["invocations"], json!([{"executionSuccessful": true}]));
    let ran = dir.command("audit lint --policy few.json --format sarif --fail-on error --limit 1").run();
    let run = &json(&ran.stdout)["runs"][0];
    assert_eq!(run["results"].as_array().unwrap().len(), 1);
    assert_eq!(run["results"][0], all["runs"][0]["results"][0], "the most severe finding");
    let notice = &run["invocations"][0]["toolExecutionNotifications"][0];
    assert_eq!(notice["message"]["text"], format!("1 of {count} findings are listed, the most severe first"));
    assert_eq!(
        ran.stderr,
        format!("note: {} left out: `--format json` has all\n", if count == 2 { "1 finding" } else { "?" })
    );

    let token = |at: usize| format!(r#"{{"id": "t{at}", "token_sha256": "{at:064x}", "allowed_apis": ["lds"]}}"#);
    let tokens: Vec<String> = (0..25_010).map(token).collect();
    let dir = dir.file("many.json", format!("[{}]", tokens.join(",")));
    // The cap holds even above a larger limit. Without a limit, it is the limit.
    let ran = dir.command("audit lint --policy many.json --format sarif --fail-on error --limit 30000").run();
    assert_eq!(json(&ran.stdout)["runs"][0]["results"].as_array().unwrap().len(), 25_000);
    assert_eq!(ran.stderr, "note: 10 findings left out: `--format json` has all\n");
}
