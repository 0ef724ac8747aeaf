//! `check` with a decision log.

use super::util::{Dir, SECRET};

#[test]
fn replay_reports_changed_and_skipped_decisions() {
    let policy = |grants: &str| {
        format!(r#"[{{"id": "tok", "token": "{SECRET}", "allowed_apis": ["sql"], "grants": [{grants}]}}]"#)
    };
    let one = r#"{"connection_name": "dw", "source": "SELECT 1"}"#;
    let dir = Dir::new()
        .file("now.json", policy(one))
        .file("next.json", policy(r#"{"connection_name": "dw", "source": "SELECT 2"}"#))
        .file(
            "log.jsonl",
            r#"{"log":1,"time":"2026-11-24T12:00:00Z","id":"a","generation":7,"token_id":"tok","api":"sql","connection":"dw","sources":[{"query_sha256":"e004ebd5b5532a4b85984a62f8ad48a81aa3460c1ca07701f386135d72cdecf5"}],"decision":"allow","grants":[0],"ns":812}
{"log":1,"time":"2026-11-24T12:00:00Z","id":"b","generation":7,"api":"lds","decision":"deny","reason":"token_unknown","status":401,"ns":300}
"#,
        );
    let skipped = r#"{"id":"b","line":2,"skipped":"a token was presented that was unknown, and is not in the log"}"#;
    let same = dir.command("check --policy now.json --requests log.jsonl").run();
    let expected = format!("{{\"id\":\"a\",\"decision\":\"allow\",\"token\":\"tok\",\"grants\":[0]}}\n{skipped}\n");
    assert_eq!((same.code, same.stdout), (0, expected));
    assert!(same.stderr.contains("compared with the log: 0 changed, 1 skipped"), "{}", same.stderr);

    let changed = dir.command("check --policy next.json --requests log.jsonl").run();
    let denied = r#"{"id":"a","decision":"deny","reason":"source_not_granted","status":403,"logged":"allow"}"#;
    assert_eq!((changed.code, changed.stdout), (0, format!("{denied}\n{skipped}\n")));
    assert!(changed.stderr.contains("compared with the log: 1 changed, 1 skipped"), "{}", changed.stderr);
}
