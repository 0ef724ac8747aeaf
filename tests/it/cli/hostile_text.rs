//! Texts of users never act on a terminal: no output has a control, bidirectional or invisible character.
#![cfg(unix)]

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use portcullis::base::is_unsafe;
use serde_json::{Value, json};

use super::util::{Dir, Ran};

/// A title that is set, a cleared line, a C1 control, reversed text, and hidden text.
const EVIL: &str = "=x\u{1b}]0;y\u{7}\u{1b}[2K\r\u{9b}8m\u{202e}z\u{200b}\u{e0041}\u{7f}";

/// Evil text that a name may have between quotes: it has no control characters.
const QUIET: &str = "\u{202e}z\u{200b}\u{2066}";

/// Evil text that ids and the names of connections may have: they have no control characters.
const NAMED: &str = "=x\u{202e}z\u{200b}\u{e0041}";

fn policy() -> Value {
    let grants = json!([
        {"connection_name": NAMED, "source": format!("a.\"{QUIET}\""), "type": "table"},
        {"connection_name": NAMED, "source": format!("{QUIET}.*")},
        {"connection_name": NAMED, "source": format!("SELECT '{EVIL}', query_to_xml('{EVIL}') FROM a.\"{QUIET}\"")},
        {"connection_name": NAMED, "source": format!("SELECT * FROM a.\"{QUIET}\" WHERE '{EVIL}")},
    ]);
    json!({
        "version": 1,
        "connections": [{"name": NAMED, "dialect": "postgres"}],
        "tokens": [{
            "id": NAMED, "name": format!("n{NAMED}"), "owner": NAMED, "token": "s3cr3t-of-the-test", "allowed_apis": ["maps", "sql"],
            "grants": grants, "referers": ["https://a.test/"], "expiration_date": "2040-01-01",
        }],
    })
}

fn dir() -> Dir {
    let (old, new) = (policy(), policy().to_string().replace("2040-01-01", "2041-01-01").replace("a.test", "b.test"));
    let mut invalid = policy();
    invalid["tokens"][0][format!("apis{EVIL}")] = json!(1);
    invalid["tokens"][0]["allowed_apis"] = json!([EVIL]);
    invalid["tokens"][0]["grants"][0]["source"] = json!(EVIL);
    let name = format!("a.\"\"{QUIET}\"\"");
    let catalog =
        format!("connection,name\n{NAMED},\"{name}\"\n{NAMED},{QUIET}.b\n\"{EVIL}\",a.b\n{NAMED},a..{QUIET}\n");
    let log = json!({"log": 1, "time": "2026-11-20T00:00:00Z", "token_id": NAMED, "api": "maps", "connection": NAMED,
        "referer": "https://a.test/", "sources": [{"resource": format!("{QUIET}.b")}], "decision": "allow", "grants": [1], "ns": 1});
    let dir = Dir::new().file("policy.json", old.to_string()).file("new.json", new).file("catalog.csv", catalog);
    let dir = dir.file("invalid.json", invalid.to_string()).file("log.jsonl", format!("{log}\n{EVIL}\n"));
    dir.file(EVIL, old.to_string()).file(&format!("log{EVIL}"), format!("{{\"{EVIL}\": 1}}\n"))
}

#[track_caller]
fn check(command: &str, ran: &Ran) {
    for (stream, text) in [("standard output", &ran.stdout), ("standard error", &ran.stderr)] {
        let found = text.chars().find(|&character| is_unsafe(character) && character != '\n');
        assert_eq!(found, None, "`{command}` on {stream}: {text:?}");
    }
}

#[test]
fn no_command_prints_an_unsafe_character() {
    let dir = dir();
    let name = format!("a.\"{QUIET}\"");
    // `EVIL`, `NAMED` and `NAME` stand for arguments with these texts.
    let commands = [
        "audit exposure --policy policy.json --catalog catalog.csv --format FORMAT",
        "audit exposure --policy policy.json --catalog catalog.csv --token NAMED --format FORMAT",
        "audit exposure --policy policy.json --catalog catalog.csv --token -EVIL",
        "audit exposure --policy policy.json --catalog EVIL",
        "audit exposure --policy policy.json --catalog no-EVIL",
        "audit who-can --policy policy.json --connection NAMED --resource NAME --format FORMAT",
        "audit who-can --policy policy.json --connection NAMED --resource NAMEx --format FORMAT",
        "audit who-can --policy policy.json --connection EVILx --resource NAME",
        "audit who-can --policy policy.json --connection NAMED --resource EVIL",
        "audit who-can --policy policy.json --connection NAMED --query EVIL",
        "audit who-can --policy policy.json --connection NAMED --named-source EVIL",
        "audit who-can --policy policy.json --token-leaked NAMED --format FORMAT",
        "audit who-can --policy policy.json --token-leaked -EVIL",
        "audit diff policy.json new.json --catalog catalog.csv --format FORMAT --fail-on-widening",
        "audit diff EVIL new.json --fail-on-widening",
        "audit diff policy.json no-EVIL",
        "audit lint --policy policy.json --catalog catalog.csv --log log.jsonl --format FORMAT",
        "audit lint --policy EVIL --format text",
        "audit lint --policy EVIL --format sarif",
        "audit lint --policy policy.json --allow EVIL",
        "audit lint --policy policy.json --log logEVIL",
        "audit suggest --policy policy.json --log log.jsonl --catalog catalog.csv --format FORMAT",
        "audit suggest --policy policy.json --log no-EVIL",
        "audit forecast --policy policy.json --catalog catalog.csv --format FORMAT",
        "audit forecast --policy policy.json --connection EVILx",
        "audit report --policy policy.json --catalog catalog.csv --title EVIL --output -",
        "audit report --policy EVIL --output no-EVIL/out.html",
        "check --policy policy.json --token-env TOKEN --api maps --connection NAMED --resource NAME --referer https://a.test/ --explain",
        "check --policy policy.json --token-env TOKEN --api maps --connection NAMED --resource NAME --referer https://a.test/",
        "check --policy policy.json --token-env TOKEN --api EVIL --connection EVILx --resource NAMEx --referer EVIL --explain",
        "check --policy policy.json --token-env TOKEN --api maps --connection NAMED --query EVIL --referer https://a.test/ --explain --format json",
        "check --policy policy.json --token-env EVIL --api maps --connection NAMED --resource NAME",
        "check --policy policy.json --requests log.jsonl",
        "check --policy policy.json --requests logEVIL",
        "check --policy policy.json --requests no-EVIL",
        "inspect --policy policy.json",
        "inspect --policy policy.json --format json",
        "inspect --policy no-EVIL",
        "inspect --policy invalid.json",
        "validate policy.json invalid.json EVIL no-EVIL",
        "validate --format json policy.json invalid.json EVIL no-EVIL",
        "compile --policy policy.json --output out-EVIL",
        "compile --policy policy.json --output no-EVIL/x",
        "compile --policy EVIL --output EVIL",
        "init made-EVIL --connection NAMED",
        "init made-EVIL --connection EVIL",
        "init made-EVIL --connection EVIL --dialect EVIL",
        "init made-EVIL",
        "bench --policy policy.json --requests no-EVIL",
        "read --requests logEVIL",
        "read --requests no-EVIL --routes no-EVIL",
        "connections add EVIL --db sqlite:registry.db --user EVIL --dialect EVIL",
        "connections add EVIL --db sqlite:registry.db --user EVIL",
        "connections list --db sqlite:registry.db --user EVIL",
        "connections list --db EVIL",
        "credentials create token --db sqlite:registry.db --user EVIL --name EVIL --apis EVIL",
        "credentials create token --db sqlite:registry.db --user EVIL --name EVIL --apis lds",
        "credentials list --db sqlite:registry.db --user EVIL",
        "credentials list --db sqlite:registry.db --user EVIL --format json",
        "credentials delete EVIL --db sqlite:registry.db --user EVIL --yes",
        "named-sources add EVIL --db sqlite:registry.db --user EVIL",
        "trail --db sqlite:registry.db --user EVIL",
        "trail --db sqlite:registry.db --user EVIL --format json",
        "export --db sqlite:registry.db",
        "import EVIL --db sqlite:other.db --user EVIL",
        "import invalid.json --db sqlite:other.db --user EVIL",
        "man --dir no-EVIL/x/y",
        "EVIL",
        "audit EVIL",
        "audit lint --EVIL",
        "check --now EVIL",
        "audit lint --policy policy.json --format EVIL",
        "inspect --policy policy.json EVIL",
    ];
    for command in commands {
        let formats: &[&str] = match command {
            _ if !command.contains("FORMAT") => &[""],
            _ if command.starts_with("audit lint") => &["text", "table", "json", "csv", "sarif"],
            _ => &["table", "json", "csv"],
        };
        for format in formats {
            let arguments = command.replace("FORMAT", format);
            let arguments = arguments
                .split(' ')
                .map(|argument| argument.replace("EVIL", EVIL).replace("NAMED", NAMED).replace("NAME", &name));
            let run = arguments.fold(dir.command(""), |run, argument| run.arg(&argument));
            let ran = run.env("TOKEN", "s3cr3t-of-the-test").run();
            check(command, &ran);
            if *format == "csv" {
                let mut rows = csv::ReaderBuilder::new().flexible(true).from_reader(ran.stdout.as_bytes());
                for row in rows.records() {
                    let is_formula = |cell: &str| cell.len() > 1 && cell.starts_with(['=', '+', '-', '@', '\t', '\r']);
                    assert!(!row.as_ref().unwrap().iter().any(is_formula), "`{command}`: {row:?}");
                }
            }
        }
    }
}

#[test]
fn messages_of_the_server_have_no_unsafe_character() {
    let dir = dir();
    let mut server = Command::new(env!("CARGO_BIN_EXE_portcullis"))
        .args(["serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--policy", &format!("no-{EVIL}")])
        .current_dir(dir.path(""))
        .env_remove("PORTCULLIS_DB")
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines: Vec<String> = Vec::new();
    for line in BufReader::new(server.stderr.take().unwrap()).lines() {
        lines.push(line.unwrap());
        if lines.last().unwrap().contains("serving") {
            break;
        }
    }
    server.kill().unwrap();
    server.wait().unwrap();
    check("serve", &Ran { code: 0, stdout: String::new(), stderr: lines.join("\n") });
    assert!(lines.last().unwrap().contains(r"policy=no-=x\u{1b}]0;y\u{7}"), "{lines:?}");
}

#[test]
fn hostile_texts_reach_programs_unchanged() {
    let dir = dir();
    let run = dir.command("audit who-can --policy policy.json --format json --token-leaked").arg(NAMED);
    let output: Value = serde_json::from_str(&run.run().stdout).unwrap();
    assert_eq!((&output["token"], &output["owner"]), (&json!(NAMED), &json!(NAMED)));
    let run = dir.command("validate --format json invalid.json").run();
    let output: Value = serde_json::from_str(&run.stdout).unwrap();
    let paths = output["diagnostics"].as_array().unwrap().iter().map(|diagnostic| diagnostic["path"].as_str().unwrap());
    assert!(paths.into_iter().any(|path| path.contains(EVIL)), "{output}");
}
