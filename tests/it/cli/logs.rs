//! Decision logs as they are stored: in frames, compressed, mixed with messages, and files that are none.

use std::io::Write;

use serde::Deserialize;
use serde_json::Value;

use super::util::{Dir, data};

#[derive(Deserialize)]
struct Case {
    why: String,
    log: String,
    /// The names that the suggested policy grants.
    names: Option<Vec<String>>,
    error: Option<String>,
}

fn dir() -> Dir {
    Dir::new().file("policy.json", data("logs/policy.json"))
}

const SUGGEST: &str = "audit suggest --policy policy.json --drop-unused --format json --log";

fn granted(document: &str) -> Vec<String> {
    let document: Value = serde_json::from_str(document).unwrap();
    let grants = document["tokens"][0]["grants"].as_array().unwrap();
    grants.iter().map(|grant| grant["source"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn logs_are_read_or_refused() {
    let cases: Vec<Case> = serde_json::from_str(&data("logs/cases.json")).unwrap();
    assert!(cases.len() >= 25);
    for Case { why, log, names, error } in cases {
        let dir = dir().file("log", &log);
        let suggested = dir.command(&format!("{SUGGEST} log")).run();
        let linted = dir.command("audit lint --policy policy.json --log log --fail-on error --format json").run();
        let reported = dir.command("audit report --policy policy.json --log log --output out.html").run();
        if let Some(error) = error {
            for ran in [suggested, linted, reported] {
                assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{why}: {}", ran.stderr);
                assert!(ran.stderr.contains(&error), "{why}: {}", ran.stderr);
            }
            assert!(!dir.path("out.html").exists(), "{why}");
            continue;
        }
        for ran in [&suggested, &linted, &reported] {
            assert_eq!(ran.code, 0, "{why}: {}", ran.stderr);
        }
        assert_eq!(granted(&suggested.stdout), names.unwrap(), "{why}");
        assert!(!linted.stdout.contains("never_used"), "{why}: {}", linted.stdout);
    }
}

fn cases_with_names() -> impl Iterator<Item = (String, Vec<String>)> {
    let cases: Vec<Case> = serde_json::from_str(&data("logs/cases.json")).unwrap();
    cases.into_iter().filter_map(|case| Some((case.log, case.names?)))
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn compressed_logs_are_read_in_several_parts() {
    let (log, names) = cases_with_names().next().unwrap();
    let (first, second) = log.split_at(100);
    let zstd = |text: &str| zstd::encode_all(text.as_bytes(), 1).unwrap();
    let gzipped = [gzip(first), gzip(second)].concat();
    for packed in [gzipped.clone(), [zstd(first), zstd(second)].concat()] {
        let ran = dir().file("log", &packed).command(&format!("{SUGGEST} log")).run();
        assert_eq!((ran.code, granted(&ran.stdout)), (0, names.clone()), "{}", ran.stderr);
        let cut = dir().file("log", &packed[..packed.len() - 9]).command(&format!("{SUGGEST} log")).stderr();
        assert!(cut.contains("the compressed data is cut off"), "{cut}");
    }
    let policy = data("logs/policy.json");
    for (inner, error) in [(gzip(""), "it has no decision"), (gzip(&policy), "cannot be read as decisions")] {
        let ran = dir().file("log", &inner).command(&format!("{SUGGEST} log")).stderr();
        assert!(ran.contains(error), "{ran}");
    }
    let piped = dir().command(&format!("{SUGGEST} -")).stdin(gzipped).run();
    assert_eq!((piped.code, granted(&piped.stdout)), (0, names), "{}", piped.stderr);
}

#[test]
fn every_log_needs_a_decision() {
    let (log, _) = cases_with_names().next().unwrap();
    let dir = dir().file("log", log).file("empty", "");
    let error = dir.command(&format!("{SUGGEST} log empty")).stderr();
    assert!(error.contains("cannot use `empty`: it has no decision"), "{error}");
}

#[test]
fn log_of_another_policy_is_refused() {
    let (log, _) = cases_with_names().next().unwrap();
    let missing =
        r#"{"log":1,"time":"2026-11-24T12:00:00Z","api":"maps","decision":"deny","reason":"token_missing","ns":1}"#;
    let other = log.replace("\"token_id\":\"map\"", "\"token_id\":\"other\"");
    for log in [&*other, missing] {
        check_log_of_another_policy(log);
    }
}

/// Requests for `check --requests` say nothing about what was allowed.
#[test]
fn requests_without_decisions_are_no_log() {
    let request = r#""api":"maps","connection":"dw","sources":[{"resource":"acme.tiles.a"}],"token":"s3cret"}"#;
    for line in [format!("{{{request}"), format!(r#"{{"log":1,"time":"2026-11-24T12:00:00Z",{request}"#)] {
        let dir = dir().file("log", &line);
        for command in ["suggest", "lint", "report --output out.html"] {
            let found = dir.command(&format!("audit {command} --policy policy.json --log log")).run();
            assert_eq!((found.code, found.stdout.as_str()), (2, ""), "{command} {line}: {}", found.stderr);
            assert!(found.stderr.contains("1 of its lines cannot be read as decisions"), "{line}: {}", found.stderr);
        }
    }
}

fn check_log_of_another_policy(log: &str) {
    let dir = dir().file("log", log);
    for (args, error) in [
        ("suggest --policy policy.json --log log", "the logs of `--log` use no token of the policy"),
        ("suggest --policy policy.json --log log --drop-unused", "the logs of `--log` use no token of the policy"),
        ("lint --policy policy.json --log log", "the logs of `--log` use no token of the policy"),
        ("report --policy policy.json --log log --output out.html", "the logs of `--log` use no token of the policy"),
    ] {
        let found = dir.command(&format!("audit {args}")).run();
        assert_eq!((found.code, found.stdout.as_str()), (2, ""), "{args} {log}: {}", found.stderr);
        assert!(found.stderr.contains(error), "{args} {log}: {}", found.stderr);
    }
}

#[test]
fn endless_lines_are_refused() {
    let (log, _) = cases_with_names().next().unwrap();
    let endless = format!("{log}{}\n{log}", "x".repeat(9 << 20));
    let error = dir().file("log", endless).command(&format!("{SUGGEST} log")).stderr();
    assert!(error.contains("the first is line 3: more than 8388608 bytes"), "{error}");
    let part = "2026-11-24T12:00:00Z stdout P ".to_owned() + &"x".repeat(1 << 20) + "\n";
    let error = dir().file("log", part.repeat(10)).command(&format!("{SUGGEST} log")).stderr();
    assert!(error.contains("the first is line 1: more than 8388608 bytes"), "{error}");
}

/// Runs a script of the shell, in which `$PORTCULLIS` is the command.
#[cfg(unix)]
fn shell(dir: &Dir, script: &str) -> std::process::Output {
    let mut bash = std::process::Command::new("bash");
    bash.current_dir(dir.path("")).env("PORTCULLIS", env!("CARGO_BIN_EXE_portcullis"));
    bash.env_remove("PORTCULLIS_POLICY").env_remove("PORTCULLIS_DB").args(["-c", script]).output().unwrap()
}

#[cfg(unix)]
#[test]
fn devices_without_an_end_are_refused() {
    for command in [
        SUGGEST,
        "audit lint --policy policy.json --usage",
        "audit report --policy policy.json --output out.html --log",
    ] {
        let error = dir().command(&format!("{command} /dev/zero")).stderr();
        assert!(error.contains("expected a decision log, found binary data"), "{command}: {error}");
    }
}

#[cfg(unix)]
#[test]
fn logs_from_pipes_are_read_completely() {
    let (log, names) = cases_with_names().next().unwrap();
    let dir = dir().file("log", log);
    for source in ["<(cat log)", "/dev/stdin < log", "- < log", "<(gzip -c log)", "/dev/fd/3 3< <(cat log)"] {
        let output = shell(&dir, &format!("\"$PORTCULLIS\" {SUGGEST} {source}"));
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{source}: {stderr}");
        assert_eq!(granted(&String::from_utf8_lossy(&output.stdout)), names, "{source}");
    }
}

/// Each command of `jq` in a help writes a log that is read.
#[cfg(unix)]
#[test]
fn commands_of_the_help_write_a_log() {
    let cases: Vec<Case> = serde_json::from_str(&data("logs/cases.json")).unwrap();
    let has_jq = std::process::Command::new("jq").arg("--version").output().is_ok();
    let mut commands = 0;
    for Case { why, log, error, .. } in cases {
        let Some((_, rest)) = error.as_deref().and_then(|error| error.split_once("as `jq ")) else { continue };
        let arguments = rest.split('`').next().unwrap();
        commands += 1;
        if !has_jq {
            eprintln!("`jq` is not installed: {why}");
            continue;
        }
        let dir = dir().file("log", log);
        let output = shell(&dir, &format!("jq {arguments} log > plain && \"$PORTCULLIS\" {SUGGEST} plain"));
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{why}: {stderr}");
        assert_eq!(granted(&String::from_utf8_lossy(&output.stdout)), ["acme.tiles.a"], "{why}");
    }
    assert_eq!(commands, 4);
}
