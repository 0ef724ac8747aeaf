//! A process that is killed at any moment leaves a policy that was once good, whole.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use portcullis_server::policy::{LiveOptions, LivePolicy, Origin, Outcome, Source, Timing};

use super::util::{eventually, serve};

/// The folder of the child process; set for the child only.
const FOLDER: &str = "PORTCULLIS_TEST_CRASH";

/// The number of tokens: enough that writing takes a while.
const TOKENS: usize = 2_000;

/// A policy whose tokens all have one number, so that a mix of two policies would show.
fn policy(number: usize) -> String {
    let token = |at: usize| format!(r#"{{"id": "n{number}_{at}", "token": "x{at}", "allowed_apis": ["lds"]}}"#);
    let tokens: Vec<_> = (0..TOKENS).map(token).collect();
    format!("[{}]", tokens.join(","))
}

fn options(folder: &Path) -> LiveOptions {
    let timing = Timing { settle: Duration::ZERO, watch: false, ..Timing::default() };
    LiveOptions { state_dir: Some(folder.join("state")), timing, ..LiveOptions::default() }
}

/// Not a test: the process that the test below kills. Replaces its policy as fast as it can, and prints each saved number.
#[test]
fn child() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let folder = Path::new(&folder);
    let file = folder.join("policy.json");
    let first: usize = std::env::var("PORTCULLIS_TEST_FIRST").unwrap().parse().unwrap();
    fs::write(&file, policy(first)).unwrap();
    let (live, _authorizer) = serve(&Source::files([&file]).unwrap(), options(folder));
    eprintln!("saved {first}");
    for number in first + 1.. {
        fs::write(&file, policy(number)).unwrap();
        assert_eq!(live.reload_now(), Outcome::Loaded);
        assert_eq!(live.status().report().not_saved, None);
        eprintln!("saved {number}");
    }
}

/// Returns the number of the saved policy, after checking that all tokens have the same one.
fn number(authorizer: &portcullis::Authorizer, live: &LivePolicy, folder: &Path) -> usize {
    assert_eq!(live.status().report().origin, Some(Origin::Saved));
    assert_eq!(authorizer.current().snapshot().unwrap().token_count(), TOKENS);
    let saved = fs::read_to_string(folder.join("state/policy.json")).unwrap();
    let numbers: std::collections::BTreeSet<&str> =
        saved.match_indices("\"id\":\"n").map(|(at, key)| saved[at + key.len()..].split('_').next().unwrap()).collect();
    assert_eq!(numbers.len(), 1);
    numbers.first().unwrap().parse().unwrap()
}

#[test]
fn a_killed_process_leaves_the_last_good_policy() {
    let folder = tempfile::tempdir().unwrap();
    let mut first = 1;
    for round in 0..12 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "server::crash::child", "--nocapture", "--test-threads=1"])
            .env(FOLDER, folder.path())
            .env("PORTCULLIS_TEST_FIRST", first.to_string())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut messages = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let mut saved = || loop {
            let line = messages.next().unwrap_or_default();
            if let Some(number) = line.strip_prefix("saved ") {
                return number.parse::<usize>().unwrap();
            }
            assert!(!line.is_empty(), "the child ended by itself");
        };
        let mut last = saved();
        for _ in 0..round % 4 {
            last = saved();
        }
        // At some point in the next reload.
        std::thread::sleep(Duration::from_micros(round * 1_700));
        child.kill().unwrap();
        child.wait().unwrap();
        // Numbers printed before the kill were saved, too.
        let rest = messages.filter_map(|line| line.strip_prefix("saved ")?.parse().ok());
        last = rest.fold(last, |_, number| number);

        // The directory is free again, the source is gone, and the policy that was saved last is served.
        fs::write(folder.path().join("policy.json"), "{").unwrap();
        let source = Source::files([folder.path().join("policy.json")]).unwrap();
        let (live, authorizer) = serve(&source, options(folder.path()));
        eventually("a policy", || live.status().is_ready());
        let saved = number(&authorizer, &live, folder.path());
        assert!(saved == last || saved == last + 1, "{saved} after {last} was saved");
        first = saved + 1;
    }
}
