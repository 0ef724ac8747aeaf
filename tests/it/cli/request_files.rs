//! Files of requests as they are stored: compressed, cut off, empty, or in other formats.

use std::io::Write;

use super::util::{Dir, POLICY, SECRET};

/// The commands that read a file of requests, and a request of each.
fn commands() -> [(&'static str, String); 4] {
    let request = format!("{{\"token\":\"{SECRET}-geo\",\"api\":\"lds\"}}\n");
    let http = "{\"method\":\"GET\",\"url\":\"/v3/lds/x\"}\n".to_owned();
    [
        ("check --quiet --policy policy.json --requests", request.clone()),
        ("bench --seconds 0.01 --threads 1 --policy policy.json --format json --requests", request),
        ("read --quiet --requests", http.clone()),
        ("read --quiet --policy policy.json --requests", http),
    ]
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

fn zstd(text: &str) -> Vec<u8> {
    zstd::encode_all(text.as_bytes(), 1).unwrap()
}

#[test]
fn compressed_requests_are_read() {
    for (command, request) in commands() {
        let count = |stdout: &str| {
            if command.starts_with("bench") {
                serde_json::from_str::<serde_json::Value>(stdout).unwrap()["requests"].as_u64().unwrap()
            } else {
                stdout.lines().filter(|line| !line.contains("error")).count() as u64
            }
        };
        let marked = format!("\u{feff}{request}{request}");
        for packed in [gzip(&marked), [gzip(&request), gzip(&request)].concat(), zstd(&marked)] {
            let dir = Dir::new().file("policy.json", POLICY).file("requests", &packed);
            let file = dir.command(&format!("{command} requests")).run();
            assert_eq!((file.code, file.stderr.as_str()), (0, ""), "{command}");
            assert_eq!(count(&file.stdout), 2, "{command}: {}", file.stdout);
            let piped = dir.command(&format!("{command} -")).stdin(packed.clone()).run();
            assert_eq!((piped.code, count(&piped.stdout)), (0, 2), "{command}: {}", piped.stderr);
            let cut = dir.file("requests", &packed[..packed.len() - 3]).command(&format!("{command} requests")).run();
            assert_eq!(cut.code, 2, "{command}");
            assert!(cut.stderr.contains("the compressed data is cut off"), "{command}: {}", cut.stderr);
        }
    }
}

#[test]
fn files_without_requests_are_refused() {
    for (command, _) in commands() {
        let empty = [("empty", Vec::new()), ("gzip", gzip("")), ("zstd", zstd(""))];
        for (name, file) in empty {
            let dir = Dir::new().file("policy.json", POLICY).file(name, file);
            let ran = dir.command(&format!("{command} {name}")).run();
            assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{command} {name}");
            let expected =
                format!("error: cannot read `{name}`: it has no request\nhelp: write one JSON object a line\n");
            assert_eq!(ran.stderr, expected, "{command} {name}");
        }
        for blank in ["\n", "\u{feff}", " \n\n", "\u{feff}\r\n"] {
            let dir = Dir::new().file("policy.json", POLICY).file("blank", blank);
            assert_eq!(dir.command(&format!("{command} blank")).run().code, 2, "{command} {blank:?}");
        }
    }
}

#[test]
fn compressed_files_of_other_formats_are_named() {
    for (command, _) in commands() {
        for (inner, found) in [("<html>", "found HTML or XML"), ("\0\0", "found binary data")] {
            let dir = Dir::new().file("policy.json", POLICY).file("requests", gzip(inner));
            let stderr = dir.command(&format!("{command} requests")).stderr();
            assert!(stderr.contains(&format!("expected JSON Lines, {found}")), "{command}: {stderr}");
        }
    }
}

#[test]
fn logs_without_a_request_that_can_be_decided_are_refused() {
    let log = r#"{"log":1,"time":"2026-11-24T12:00:00Z","id":"b","generation":7,"api":"lds","decision":"deny","reason":"token_unknown","status":401,"ns":300}"#;
    let dir = Dir::new().file("policy.json", POLICY).file("log.jsonl", log);
    let ran = dir.command("check --quiet --policy policy.json --requests log.jsonl").run();
    assert_eq!(ran.code, 2);
    assert!(ran.stdout.contains("\"skipped\""), "{}", ran.stdout);
    assert!(ran.stderr.starts_with("error: no request of `log.jsonl` can be decided"), "{}", ran.stderr);
}
