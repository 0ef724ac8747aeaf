//! Policies that cannot be read, or are too large: the responses meanwhile, and how soon a revocation is active after the
//! fault ends.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::faulty::{BINARY, SOON, Server, compiled, folder, put, start, start_by};
use super::util::{SECRET, eventually, policy};

type Break = fn(&Path);

/// Ways in which a policy cannot be read, and a part of the reported problem.
const BROKEN: &[(&str, Break, &str)] = &[
    ("missing", |_| {}, "no such file"),
    ("a directory", |file| fs::create_dir(file).unwrap(), "it is a folder; help: name a file in it"),
    ("a link to nothing", |file| symlink("nothing", file).unwrap(), "no such file"),
    ("a link to itself", |file| symlink("policy.json", file).unwrap(), "symbolic links"),
    ("a pipe", |file| assert!(Command::new("mkfifo").arg(file).status().unwrap().success()), "not a regular file"),
    ("a device", |file| symlink("/dev/zero", file).unwrap(), "not a regular file"),
    ("a terabyte", |file| File::create(file).unwrap().set_len(1 << 40).unwrap(), "more than 268435456 bytes"),
    ("not UTF-8", |file| fs::write(file, b"[\xff]").unwrap(), "not UTF-8"),
    ("not JSON", |file| fs::write(file, "{").unwrap(), "json_syntax"),
    ("empty", |file| fs::write(file, "").unwrap(), "found nothing"),
    ("half a compiled policy", |file| fs::write(file, &compiled("x")[..100]).unwrap(), "compiled policy"),
];

#[test]
fn a_policy_that_is_unreadable_in_any_way_keeps_the_last_good_one() {
    let (folder, file) = folder("t0");
    let mut server = start(folder.path(), &[]);
    let mut table = String::new();
    for (at, (way, spoil, problem)) in BROKEN.iter().enumerate() {
        let (old, new) = (format!("t{at}"), format!("t{}", at + 1));
        fs::remove_file(&file).unwrap();
        spoil(&file);
        let said = |server: &Server| {
            let (status, policy) = server.ready();
            assert_eq!(status, 200, "{way}");
            policy["failure"]["problems"][0].as_str().is_some_and(|found| found.contains(problem))
        };
        eventually(way, || said(&server));
        std::thread::sleep(Duration::from_millis(300));
        let before = server.said("the policy cannot be read");
        // Wait for two more polls.
        std::thread::sleep(Duration::from_millis(2_200));
        assert_eq!((server.status(&old), server.status(&new)), (200, 403), "{way}");
        assert_eq!(server.metric("portcullis_policy_stale"), "1.0", "{way}");
        assert_eq!(server.said("the policy cannot be read"), before, "{way}: the same failure is logged once");
        if file.is_dir() {
            fs::remove_dir(&file).unwrap();
        }
        put(&file, policy(&new));
        let took = server.revoked(&old, &new);
        assert!(took < SOON, "{way}: {took:?}");
        assert_eq!(server.ready().1["failure"], Value::Null, "{way}");
        writeln!(table, "{way}: revoked {took:?} after its end").unwrap();
    }
    eprint!("{table}");
    server.lives();
    assert!(server.stops() < SOON);
}

#[test]
fn pipe_swapped_in_between_check_and_open_does_not_block() {
    let (folder, file) = folder("one");
    let [good, pipe, next] = ["good", "pipe", "next"].map(|name| folder.path().join(name));
    fs::write(&good, policy("one")).unwrap();
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let mut server = start(folder.path(), &[]);
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(8) {
        let round = Instant::now();
        while round.elapsed() < Duration::from_millis(20) {
            for file_or_pipe in [&pipe, &good] {
                fs::hard_link(file_or_pipe, &next).unwrap();
                fs::rename(&next, &file).unwrap();
            }
        }
        server.signal("HUP");
    }
    put(&file, policy("two"));
    // The server waits up to 10 s for changes that never stop.
    let took = server.revoked("one", "two");
    eprintln!("a pipe swapped in: revoked {took:?} after its end");
    assert!(took < Duration::from_secs(15), "{took:?}");
    server.lives();
    assert!(server.stops() < SOON);
}

#[test]
fn a_bad_large_policy_takes_little_memory_and_few_messages() {
    let (folder, file) = folder("one");
    let mut server = start(folder.path(), &[]);
    let before = server.memory("VmRSS");
    put(&file, format!("[{}1]", "1,".repeat(2_000_000)));
    eventually("it is refused", || server.ready().1["failure"]["count"] == 2_000_001);
    std::thread::sleep(Duration::from_millis(2_200));
    let (grown, said) = (server.memory("VmHWM").saturating_sub(before), server.messages().len());
    eprintln!("4 MB of `1,1,1…`: at most {grown} MiB more, {said} bytes of messages");
    assert!(grown < 64, "{grown} MiB");
    assert!(said < 32 << 10, "{said} bytes: {}", server.messages());
    assert_eq!(server.ready().1["failure"]["problems"].as_array().unwrap().len(), 20);
    assert_eq!((server.status("one"), server.ready().0), (200, 200));
    put(&file, policy("two"));
    let took = server.revoked("one", "two");
    eprintln!("4 MB of `1,1,1…`: revoked {took:?} after its end");
    assert!(took < SOON, "{took:?}");
    server.lives();
}

#[test]
fn file_larger_than_memory_does_not_prevent_start() {
    let (folder, file) = folder("one");
    start(folder.path(), &[]).kill();
    for bytes in [1 << 42, 1 << 30] {
        File::create(&file).unwrap().set_len(bytes).unwrap();
        let mut server = start(folder.path(), &[]);
        let (status, report) = server.ready();
        assert_eq!((status, &report["origin"]), (200, &"saved".into()), "{report}");
        assert!(report["failure"]["problems"][0].as_str().unwrap().contains("bytes"), "{report}");
        assert_eq!(server.status("one"), 200);
        // Nothing of the file was read, not even temporarily.
        assert!(server.memory("VmHWM") < 256, "{} MiB", server.memory("VmHWM"));
        put(&file, policy("two"));
        let took = server.revoked("one", "two");
        eprintln!("{bytes} bytes: revoked {took:?} after its end");
        assert!(took < SOON, "{took:?}");
        put(&file, policy("one"));
        server.revoked("two", "one");
        server.lives();
    }
}

#[test]
fn the_size_of_a_policy_is_limited_in_each_form() {
    let token = |at: usize| format!(r#"{{"id": "t{at}", "token": "{SECRET}{at}", "allowed_apis": ["lds"]}}"#);
    let tokens = |range: std::ops::Range<usize>, between: &str| range.map(token).collect::<Vec<_>>().join(between);
    let list = |range| format!("[{}]", tokens(range, ",")).into_bytes();
    let lines = |range| tokens(range, "\n").into_bytes();
    // Documents need about 70 bytes a token; a compiled policy of one token has more than 500 bytes.
    let cases: [(&str, &[Vec<u8>], &str, bool); 9] = [
        ("JSON", &[list(0..5)], "500", true),
        ("JSON", &[list(0..50)], "500", false),
        ("JSON Lines", &[lines(0..5)], "500", true),
        ("JSON Lines", &[lines(0..50)], "500", false),
        ("compiled", &[compiled("one")], "100000", true),
        ("compiled", &[compiled("one")], "500", false),
        ("two files", &[list(0..3), list(3..6)], "500", true),
        ("two files, of which neither is too large", &[list(0..5), list(5..10)], "500", false),
        ("exactly as large", &[list(0..1)], "71", true),
    ];
    for (form, files, limit, is_read) in cases {
        let folder = tempfile::tempdir().unwrap();
        let names = ["a", "b"];
        let mut more = vec!["--max-policy-bytes", limit, "--policy"];
        for (file, name) in files.iter().zip(names) {
            fs::write(folder.path().join(name), file).unwrap();
            more.push(name);
        }
        if limit == "71" {
            assert_eq!(files[0].len(), 71, "{}", String::from_utf8_lossy(&files[0]));
        }
        let server = start_by(&[BINARY], folder.path(), &more);
        let (status, report) = server.ready();
        assert_eq!(status == 200, is_read, "{form}, {limit}: {report}");
        if !is_read {
            let problem = report["failure"]["problems"][0].as_str().unwrap();
            let expected = format!("more than {limit} bytes: remove tokens, or raise `--max-policy-bytes`");
            assert!(problem.contains(&expected), "{problem}");
        }
    }
    // A file with more bytes than it reports: it is read only up to the limit.
    let folder = tempfile::tempdir().unwrap();
    symlink("/proc/self/maps", folder.path().join("maps")).unwrap();
    let more = ["--max-policy-bytes", "500", "--policy", "maps"];
    let server = start_by(&[BINARY], folder.path(), &more);
    assert!(server.ready().1["failure"]["problems"][0].as_str().unwrap().contains("more than 500 bytes"));
}

/// `validate` on documents of a few hundred kilobytes or a megabyte, each with as many errors as possible.
#[test]
fn documents_full_of_errors_are_checked_in_little_memory() {
    let many = |text: &str, count: usize| vec![text; count].join(",");
    let token = |rest: String| format!(r#"[{{"id": "a", "token": "x", "allowed_apis": ["lds"], {rest}}}]"#);
    let fields = (0..200_000).map(|at| format!("\"k{at}\":1")).collect::<Vec<_>>().join(",");
    let deep = format!("{}{}", "[".repeat(1_000_000), "]".repeat(1_000_000));
    let name = "n".repeat(2_000_000);
    let cases: [(&str, String, &str); 15] = [
        ("numbers", format!("[{}]", many("1", 300_000)), "300,000 errors (20 shown)"),
        ("objects", format!("[{}]", many("{}", 120_000)), "360,000 errors (20 shown)"),
        ("numbers as grants", token(format!("\"grants\": [{}]", many("1", 300_000))), "300,000 errors (20 shown)"),
        ("empty grants", token(format!("\"grants\": [{}]", many("{}", 200_000))), "400,000 errors (20 shown)"),
        ("referers", token(format!("\"referers\": [{}]", many("\"x\"", 60_000))), "60,000 errors (20 shown)"),
        ("unknown fields", token(fields.clone()), "200,000 errors (20 shown)"),
        ("a field again and again", token(many("\"id\": 1", 300_000)), "1 error,"),
        ("unknown fields of the document", format!("{{\"tokens\": [], {fields}}}"), "200,000 errors (20 shown)"),
        ("tokens again and again", format!("{{{}}}", many("\"tokens\": []", 200_000)), "1 error,"),
        ("connections", format!("{{\"tokens\": [], \"connections\": [{}]}}", many("1", 300_000)), "300,000 errors"),
        ("APIs", format!("{{\"tokens\": [], \"apis\": [{}]}}", many("{}", 200_000)), "400,000 errors (20 shown)"),
        ("lines", format!("{{\"id\":\"a\"}}\n{}", "{\"id\":\"a\",}\n".repeat(120_000)), "120,002 errors (20 shown)"),
        ("depth", token(format!("\"x\": {deep}")), "1 error,"),
        ("a long name", format!("{{\"tokens\": [], \"{name}\": 1}}"), "1 error,"),
        ("depth without an end", "[".repeat(2_000_000), "1 error,"),
    ];
    for (shape, text, total) in cases {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("bad.json"), text).unwrap();
        let output = Command::new("prlimit")
            .args(["--data=134217728", BINARY, "validate", "bad.json"])
            .current_dir(folder.path())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        let last = said.lines().last().unwrap_or_default();
        let end: String = last.chars().take(300).collect();
        assert_eq!(output.status.code(), Some(1), "{shape}: {end} {}", String::from_utf8_lossy(&output.stderr));
        assert!(last.contains(total), "{shape}: {end}");
        assert!(said.len() < 128 << 10, "{shape}: {} bytes", said.len());
    }
}

#[test]
fn validate_shows_the_requested_number_of_problems() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("bad.json"), format!("[{}1]", "1,".repeat(299))).unwrap();
    for (option, shown) in [(None, 20), (Some("1"), 1), (Some("7"), 7), (Some("300"), 300), (Some("1000000"), 300)] {
        let mut command = Command::new(BINARY);
        command.args(["validate", "--format", "json", "bad.json"]).current_dir(folder.path());
        if let Some(count) = option {
            command.args(["--max-errors", count]);
        }
        let answer: Value = serde_json::from_slice(&command.output().unwrap().stdout).unwrap();
        assert_eq!(answer["diagnostics"].as_array().unwrap().len(), shown, "{option:?}");
        assert_eq!((&answer["errors"], &answer["warnings"]), (&300.into(), &0.into()), "{option:?}");
    }
}
