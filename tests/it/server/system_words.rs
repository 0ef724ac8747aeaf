//! Failures of files at startup and at a reload: messages and the status have the words of this program, with a fix, and no
//! numbers of the system.

use std::fs;
use std::process::Command;

use super::faulty::{BINARY, SERVE, folder, start};
use super::running::ask;
use super::util::{eventually, policy};

/// Words of the system and of the library below.
const RAW: [&str; 6] =
    ["os error", "No such file", "Is a directory", "Not a directory", "File exists", "Permission denied"];

#[track_caller]
fn plain(what: &str, text: &str) {
    for raw in RAW {
        assert!(!text.contains(raw), "{what}: {raw} in {text}");
    }
}

#[test]
fn failures_at_startup_have_a_fix() {
    let (folder, _) = folder("one");
    fs::create_dir(folder.path().join("folder")).unwrap();
    fs::write(folder.path().join("file"), "x").unwrap();
    for (options, help) in [
        ("--state-dir file", "name a folder of its own with `--state-dir`"),
        ("--state-dir file/x", "name a folder of its own with `--state-dir`"),
        ("--log folder", "name a file in it"),
        ("--log none/log", "create the folder `none`"),
        ("--log file/log", "`file` is a file"),
        ("--log file", "name a new or empty file, or a decision log"),
        ("--routes none", "check the path"),
        ("--routes folder", "name a file in it"),
        ("--tls-cert none --tls-key none", "check the path"),
        ("--tls-cert folder --tls-key folder", "name a file in it"),
        ("--tls-cert policy.jso --tls-key none", "did you mean `policy.json`?"),
        ("--listen unix:none/socket", "create the folder first"),
    ] {
        let mut command = Command::new(BINARY);
        command.args(["serve", "--policy", "policy.json"]).current_dir(folder.path()).env_remove("PORTCULLIS_DB");
        let is_listen = options.starts_with("--listen");
        let addresses = &SERVE[4..];
        command.args(if is_listen { &addresses[2..] } else { addresses }).args(options.split(' '));
        let output = command.output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{options}: {said}");
        assert!(said.contains("help: ") && said.contains(help), "{options}: {said}");
        plain(options, &said);
    }
}

#[test]
fn failures_while_serving_are_logged_and_shown_in_plain_words() {
    let (folder, file) = folder("one");
    let path = |name: &str| folder.path().join(name);
    let server = start(folder.path(), &["--shadow", "shadow.json", "--log", "log"]);
    for endpoint in ["GET /", "GET /readyz", "GET /v1/shadow"] {
        plain(endpoint, &ask(server.admin, endpoint, &[], "").body);
    }
    let said = server.messages();
    assert!(said.contains("cannot read `shadow.json`: no such file or directory; help: "), "{said}");
    // Each file that the server opens again becomes another one.
    fs::rename(&file, path("policy.jsn")).unwrap();
    fs::remove_file(path("log")).unwrap();
    fs::create_dir(path("log")).unwrap();
    server.signal("HUP");
    let problem = || server.ready().1["failure"]["problems"][0].as_str().unwrap_or_default().to_owned();
    eventually("the policy is missing", || problem().contains("help: did you mean `policy.jsn`?"));
    eventually("the log cannot be opened again", || server.said("cannot reopen the decision log") == 1);
    fs::create_dir(&file).unwrap();
    eventually("the policy is a folder", || problem().ends_with("it is a folder; help: name a file in it"));
    plain("the status", &ask(server.admin, "GET /", &[], "").body);
    plain("the messages", &server.messages());
    fs::remove_dir(&file).unwrap();
    fs::write(&file, policy("two")).unwrap();
    eventually("the policy is read", || server.status("two") == 200);
}
