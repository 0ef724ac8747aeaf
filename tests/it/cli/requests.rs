//! `check --requests`.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write as _};
use std::process::{Command, Stdio};

use super::util::{Dir, POLICY, SECRET};

const STREAM: &str = "check --policy policy.json --requests";

#[test]
fn every_line_has_an_answer() {
    let good = format!(r#"{{"id": "é", "token": "{SECRET}-geo", "api": "lds"}}"#);
    let requests = format!(
        "\u{feff}{good}\r\n\nnot JSON {SECRET}\n{{\"id\":[1, 2],\"api\":\"lds\",\"token\":\"\"}}\n{{\"tokn\":\"{SECRET}\"}}\n\
         {{\"token\":\"{SECRET}\",\"api\":\"lds\",\"now\":\"2040-01-01\"}}"
    );
    let dir = Dir::with_policy().file("requests.jsonl", &requests);
    let expected = "\
{\"id\":\"é\",\"decision\":\"allow\",\"token\":\"geo\",\"grants\":[]}
{\"line\":2,\"error\":\"an empty line is not a request\"}
{\"line\":3,\"error\":\"expected a JSON value (column 2)\"}
{\"id\":[1, 2],\"decision\":\"deny\",\"reason\":\"token_missing\",\"status\":401}
{\"line\":5,\"error\":\"unknown key `tokn`, did you mean `token`? (column 7)\"}
{\"decision\":\"deny\",\"reason\":\"token_expired\",\"status\":401}
";
    for ran in [
        dir.command(&format!("{STREAM} requests.jsonl")).run(),
        dir.command(&format!("{STREAM} -")).stdin(requests).run(),
    ] {
        assert_eq!((ran.code, ran.stdout.as_str()), (2, expected));
        let (first, second) = ran.stderr.trim_end().split_once('\n').unwrap();
        assert!(first.starts_with("6 requests in ") && first.ends_with(": 1 allowed, 2 denied, 3 errors"), "{first}");
        assert_eq!(second, "denied: token_missing 1, token_expired 1");
    }
}

#[test]
fn answers_keep_the_order_with_any_thread_count() {
    let mut requests = String::new();
    let mut expected = String::new();
    for id in 0..40_000 {
        // Lines of different lengths make chunks of different sizes.
        let pad = "x".repeat(id % 97 * (id % 13));
        let _ = writeln!(requests, r#"{{"id":{id},"token":"{pad}","api":"lds"}}"#);
        let reason = if pad.is_empty() { "token_missing" } else { "token_unknown" };
        let _ = writeln!(expected, r#"{{"id":{id},"decision":"deny","reason":"{reason}","status":401}}"#);
    }
    let dir = Dir::with_policy().file("requests.jsonl", &requests);
    for threads in 1..=3 {
        let stdout = dir.command(&format!("{STREAM} requests.jsonl --quiet --threads {threads}")).stdout(0);
        assert!(stdout == expected, "{threads} threads");
    }
}

#[test]
fn too_long_line_is_an_error_and_is_skipped() {
    let good = "{\"api\":\"lds\"}";
    let requests = format!("{good}\n{}\n{good}\n{}", "x".repeat(3 << 20), "y".repeat(2000));
    let dir = Dir::with_policy();
    let ran = dir.command(&format!("{STREAM} - --max-line 1024")).stdin(requests).run();
    let denied = "{\"decision\":\"deny\",\"reason\":\"token_missing\",\"status\":401}";
    let expected = format!(
        "{denied}\n{{\"line\":2,\"error\":\"a line of more than 1.0 KiB\"}}\n{denied}\n\
         {{\"line\":4,\"error\":\"a line of more than 1.0 KiB\"}}\n"
    );
    assert_eq!((ran.code, ran.stdout), (2, expected));
}

#[test]
fn now_of_a_request_takes_precedence_over_the_option() {
    let requests = format!(
        "{{\"token\":\"{SECRET}\",\"api\":\"lds\"}}\n{{\"token\":\"{SECRET}\",\"api\":\"lds\",\"now\":\"2026-11-22\"}}\n"
    );
    let stdout = Dir::with_policy().command(&format!("{STREAM} - -q --now 2050-01-01")).stdin(requests).stdout(0);
    let reasons: Vec<_> = stdout.lines().map(|line| line.contains("token_expired")).collect();
    assert_eq!(reasons, [true, false]);
}

#[test]
fn conflicting_arguments_are_rejected() {
    let dir = Dir::with_policy();
    let cases = [
        ("nothing.jsonl", "cannot read `nothing.jsonl`: "),
        ("- --policy -", "`--policy -` and `--requests -` both read standard input: name a file for one of them"),
        (
            "- --resource a.b",
            "`--requests` cannot be used with a source: add the request to the file, or leave `--requests` out",
        ),
        ("- --api lds", "the argument '--requests <FILE>' cannot be used with '--api <API>'"),
        ("- --referer x", "the following required arguments were not provided:\n  --api <API>"),
    ];
    for (args, expected) in cases {
        let stderr = dir.command(&format!("{STREAM} {args}")).stderr();
        assert!(stderr.starts_with(&format!("error: {expected}")), "{args}: {stderr}");
    }
    for option in ["--quiet", "--threads 1", "--max-line 1"] {
        let alone = dir.command(&format!("check --policy policy.json --token x --api lds {option}")).stderr();
        assert!(alone.starts_with("error: the argument '--api <API>' cannot be used with '--"), "{option}: {alone}");
    }
}

#[test]
fn answers_are_written_before_the_input_ends() {
    let dir = Dir::with_policy();
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    command.args(["check", "--quiet", "--requests", "-", "--policy"]).arg(dir.path("policy.json"));
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    for id in 0..5 {
        writeln!(stdin, r#"{{"id":{id},"api":"lds"}}"#).unwrap();
        let mut answer = String::new();
        stdout.read_line(&mut answer).unwrap();
        assert!(answer.starts_with(&format!("{{\"id\":{id},")), "{answer}");
    }
    drop(stdin);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn reader_may_stop_early() {
    let requests = "{\"api\":\"lds\"}\n".repeat(200_000);
    let dir = Dir::new().file("policy.json", POLICY).file("requests.jsonl", requests);
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    command.args(["check", "--quiet", "--policy"]).arg(dir.path("policy.json"));
    command.arg("--requests").arg(dir.path("requests.jsonl"));
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut first = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
    assert!(first.contains("token_missing"));
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), [].as_slice()));
}
