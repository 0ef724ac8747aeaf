//! Scans a folder of generated text with one thread and with two, and the history of a generated repository.
//!
//! `cargo bench -p portcullis-scan`. Compares with ripgrep and the documented regular expression if `rg` is installed.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a benchmark that fails should stop"
)]

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use portcullis_scan::files::{Selection, scan};
use portcullis_scan::{Detector, Limits, Prefixes, git};
use portcullis_secret::{Secret, SecretKind};

/// Text as programs write it: code, JSON with escapes, log lines, base64.
const LINES: [&str; 5] = [
    "    let total = items.iter().map(|item| item.price * item.count).sum::<u64>() + shipping;\n",
    "{\"at\":\"2026-11-30T12:00:00Z\",\"message\":\"request \\\"GET /v3/maps\\\" took 12 ms\",\"status\":200}\n",
    "2026-11-30 12:00:00 INFO gateway: 203.0.113.9 GET /v3/maps/carto_dw/table?name=a.b.c%20d 200 1532 us\n",
    "The quick brown fox jumps over the lazy dog, and writes a line of prose about it to a file.\n",
    "TWFuIGlzIGRpc3Rpbmd1aXNoZWQsIG5vdCBvbmx5IGJ5IGhpcyByZWFzb24sIGJ1dCBieSB0aGlz\n",
];

fn main() {
    // Without `--bench`, which `cargo bench` adds, the program only checks its results.
    let is_benchmark = std::env::args().any(|argument| argument == "--bench");
    let (size, rounds, commits) = if is_benchmark { (8 << 20, 4, 10_000) } else { (1 << 10, 1, 100) };
    let folder = tempfile::tempdir().unwrap();
    let secret = Secret::mint(SecretKind::Token).unwrap();
    let mut bytes = 0;
    for file in 0..64 {
        let mut text = String::with_capacity(size);
        for line in 0.. {
            if text.len() >= size {
                break;
            }
            text.push_str(LINES[(line * 7 + file) % LINES.len()]);
        }
        if file % 8 == 0 {
            text.push_str(secret.expose());
        }
        bytes += text.len();
        std::fs::write(folder.path().join(format!("{file}.txt")), text).unwrap();
    }
    let detector = Detector::new(&Prefixes::default()).unwrap();
    let paths = [folder.path().to_owned()];
    let rate = |start: Instant| bytes as f64 / 1e6 / start.elapsed().as_secs_f64();
    for round in 0..rounds {
        let mut rates = Vec::new();
        for threads in [1, 2] {
            let start = Instant::now();
            let report = scan(&detector, &paths, &Selection::default(), Limits::default(), threads);
            rates.push(rate(start));
            assert_eq!((report.findings.len(), report.is_complete()), (8, true));
        }
        let rg = |threads: &str| {
            let start = Instant::now();
            let args = ["-c", "-uuu", "-a", "-j", threads, portcullis_secret::REGEX];
            let run = Command::new("rg").args(args).arg(folder.path()).stdout(Stdio::null()).status();
            run.ok().map(|_| rate(start))
        };
        let [one, two] = ["1", "2"].map(rg);
        println!(
            "round {round}: 1 thread {:.0} MB/s, 2 threads {:.0} MB/s ({:.2} times); rg {one:.0?}, {two:.0?} MB/s",
            rates[0],
            rates[1],
            rates[1] / rates[0]
        );
    }
    let repository = tempfile::tempdir().unwrap();
    make_commits(repository.path(), commits);
    let start = Instant::now();
    let report = git::history(&detector, repository.path(), Limits::default()).unwrap();
    println!("history of {commits} commits: {:.1} s, {} objects", start.elapsed().as_secs_f64(), report.inputs);
    assert_eq!(report.findings.len(), 10);
}

/// Makes commits that each change one of 1,000 files; every thousandth commit has a secret.
fn make_commits(folder: &Path, count: usize) {
    Command::new("git").args(["init", "-q", "-b", "main"]).current_dir(folder).status().unwrap();
    let mut import =
        Command::new("git").args(["fast-import", "--quiet"]).current_dir(folder).stdin(Stdio::piped()).spawn().unwrap();
    let mut input = import.stdin.take().unwrap();
    for commit in 0..count {
        let mut text = format!("version {commit}\n");
        (0..40).for_each(|line| text.push_str(LINES[(commit + line) % LINES.len()]));
        if commit % (count / 10) == 0 {
            text.push_str(Secret::mint(SecretKind::Token).unwrap().expose());
        }
        let path = format!("src/{}/{}.txt", commit % 20, commit % 1_000);
        write!(
            input,
            "commit refs/heads/main\ncommitter a <a@example.com> {} +0000\ndata 1\nx\nM 644 inline {path}\ndata {}\n{text}\n",
            1_700_000_000 + commit,
            text.len()
        )
        .unwrap();
    }
    drop(input);
    assert!(import.wait().unwrap().success());
}
