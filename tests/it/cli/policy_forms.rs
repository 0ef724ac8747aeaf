//! The forms of a policy that each command accepts, as `docs/compiled.md` and the help state them.

use super::util::Dir;

/// The arguments of a command; whether it accepts a compiled policy, and documents on standard input.
const COMMANDS: [(&str, bool); 9] = [
    ("check --requests requests.jsonl --quiet", true),
    ("inspect", true),
    ("audit exposure --catalog catalog.csv", true),
    ("audit forecast", true),
    ("audit who-can --connection dw --resource public.roads", true),
    ("audit who-can --token-leaked tok", true),
    ("audit lint --fail-on error --allow plain_secret", false),
    ("audit suggest --log log.jsonl", false),
    ("audit report --output report.html", false),
];

const LOG: &str = r#"{"log":1,"time":"2026-11-24T12:00:00Z","token_id":"tok","api":"maps","connection":"dw","sources":[{"resource":"public.roads"}],"decision":"allow","grants":[0]}"#;

#[test]
fn each_command_accepts_the_documented_forms() {
    let dir = Dir::with_policy().file("catalog.csv", "connection,name\ndw,public.roads\n").file("log.jsonl", LOG);
    let dir = dir.file("requests.jsonl", "{\"api\":\"lds\"}\n");
    dir.command("compile --policy policy.json --output policy.pcls").stdout(0);
    for (command, accepts_compiled) in COMMANDS {
        let compiled = dir.command(&format!("{command} --policy policy.pcls")).run();
        assert_eq!(compiled.code, if accepts_compiled { 0 } else { 2 }, "{command}: {}", compiled.stderr);
        if !accepts_compiled {
            assert!(
                compiled.stderr.contains("found a compiled policy, which holds no definitions"),
                "{}",
                compiled.stderr
            );
        }
        let policy = std::fs::read(dir.path("policy.json")).unwrap();
        let documents = dir.command(&format!("{command} --policy -")).stdin(policy).run();
        assert_eq!(documents.code, 0, "{command}: {}", documents.stderr);
        let compiled = std::fs::read(dir.path("policy.pcls")).unwrap();
        let ran = dir.command(&format!("{command} --policy -")).stdin(compiled).run();
        let expected = if accepts_compiled { 0 } else { 2 };
        assert_eq!(ran.code, expected, "{command}: a compiled policy on standard input: {}", ran.stderr);
    }
    let error = dir.command("serve --policy -").stdin("{}").stderr();
    assert!(error.contains("`-` cannot be read again when it changes: name a file"), "{error}");
    let error = dir.command("serve --policy /dev/stdin").stdin("{}").stderr();
    assert!(error.contains("`/dev/stdin` is not a regular file"), "{error}");
}
