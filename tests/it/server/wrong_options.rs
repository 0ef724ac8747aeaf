//! Options of `serve` that could have no effect, or another one than was meant: each is refused with a valid value.

use std::fs;
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command, Stdio};

use super::binary::start;
use super::running::ask;
use super::util::{eventually, policy};

/// Runs the server until it ends. It must not: the server that serves is killed after its first request.
fn refused(folder: &Path, options: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_portcullis"))
        .args(["serve", "--policy", "policy.json"])
        .args(options)
        .current_dir(folder)
        .env_remove("PORTCULLIS_DB")
        .env_remove("PORTCULLIS_MESSAGE_LEVEL")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{options:?}: {said}");
    assert!(!said.contains("policy active"), "{options:?} is reported before the policy is compiled: {said}");
    assert!(!said.contains("panicked"), "{options:?}: {said}");
    said
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("policy.json"), policy("t")).unwrap();
    folder
}

#[test]
fn values_without_an_effect_are_refused_with_a_valid_one() {
    let folder = folder();
    // An address of another machine: options that are accepted still fail to bind.
    let elsewhere = ["--listen", "203.0.113.1:1"];
    for (options, help) in [
        (
            &["--cors-origin", "https://a.example,https://b.example"][..],
            "--cors-origin https://a.example https://b.example",
        ),
        (&["--cors-origin", "https://a.example/"], "`https://a.example`"),
        (&["--cors-origin", "a.example"], "`https://a.example`"),
        (&["--cors-origin", "https://A.example"], "`https://a.example`"),
        (&["--cors-origin", "https://a.example:443"], "`https://a.example`"),
        (&["--cors-origin", "https://*.a.example"], "`https://app.example.com`"),
        (&["--cors-origin", "*", "https://a.example"], "`--cors-origin '*'`"),
        (&["--allow-host", "*", "a.example"], "`--allow-host '*'`"),
        (&["--allow-host", "a.example:8181"], "`a.example`"),
        (&["--allow-host", "*.example"], "`decide.internal`"),
        (&["--public-url", "nonsense"], "`https://authz.example.com`"),
        (&["--public-url", "authz.example.com"], "`https://authz.example.com`"),
        (&["--public-url", "https://a.example?x"], "`https://a.example`"),
        (&["--threads", "0"], "`1`"),
        (&["--threads", "1025"], "`1024`"),
        (&["--max-connections", "0"], "`1`"),
        (&["--max-requests", "0"], "`1`"),
        (&["--max-batch", "0"], "`1`"),
        (&["--max-body", "0"], "`1048576`"),
        (&["--max-body", "1MB"], "`1000000`"),
        (&["--max-body", "10k"], "`10000`"),
        (&["--max-body", "1_000"], "`1000`"),
        (&["--max-body", "-1"], "`1048576`"),
        (&["--max-policy-bytes", "1 GiB"], "`1073741824`"),
        (&["--max-requests", "10k"], "`10000`"),
        (&["--drain", "5m"], "`300`"),
        (&["--drain", "1h30"], "`5400`"),
        (&["--drain", "-5"], "`0.001`"),
        (&["--cors-origin", "https:\\\\a.example"], "`https://a.example`"),
        (&["--cors-origin", "(https://a.example)"], "`https://a.example`"),
        (&["--public-url", "https://A.example:443"], "`https://a.example`"),
        (&["--public-url", "https:\\\\a.example"], "`https://a.example`"),
        (&["--max-headers", "0"], "`1`"),
        (&["--max-header-bytes", "100"], "`1024`"),
        (&["--max-policy-bytes", "0"], "`1048576`"),
        (&["--max-connection-buffered", "10"], "`--max-connection-buffered 1048576`"),
        (&["--max-buffered", "10"], "`--max-buffered 33554432`"),
        (&["--log-queue", "0"], "`1048576`"),
        (&["--log-when-full", "wait"], "`drop`"),
        (&["--log", "-", "--log-sample-allows", "1.5"], "`0.01`"),
        (&["--pass-through", "healthz"], "`--pass-through /healthz`"),
        (&["--pass-through", "/live/"], "`--pass-through /live`"),
        (&["--pass-through", "/a/b c,/d"], "`--pass-through /a/b --pass-through /c --pass-through /d`"),
        (&["--pass-through", "/a{b}"], "`--pass-through /healthz`"),
        (&["--pass-through", "/"], "`--pass-through /healthz`"),
        (&["--pass-through", "//"], "`--pass-through /healthz`"),
        (&["--pass-through", ""], "`--pass-through /healthz`"),
        (&["--pass-through", "/**"], "`--pass-through /healthz`"),
        (&["--pass-through", " /live "], "`--pass-through /live`"),
        (&["--pass-through", "/live,/ready"], "`--pass-through /live --pass-through /ready`"),
        (&["--cors-origin", " https://a.example"], "`https://a.example`"),
        (&["--request-timeout", "0"], "`0.001`"),
        (&["--idle-timeout", "0"], "`0.001`"),
        (&["--drain", "0"], "`0.001`"),
        (&["--idle-timeout", "2d"], "`86400`"),
        (&["--message-level", "warning"], "`warn`"),
        (&["--message-level", "off"], "`error`"),
        (&["--message-level", "portculis=debug"], "`portcullis=debug`"),
        (&["--socket-mode", "660"], "`--listen unix:/run/portcullis.sock`"),
        (&["--admin", "localhost:8182"], "`127.0.0.1:8182`"),
        (&["--admin", ":8182"], "`127.0.0.1:8182`"),
        (&["--admin", "8182"], "`127.0.0.1:8182`"),
        (&["--admin", "::1:8182"], "`127.0.0.1:8182`"),
        (&["--admin", "127.0.0.1"], "`127.0.0.1:8181`"),
        (&["--admin", "unix:"], "`unix:/run/portcullis.sock`"),
    ] {
        let said = refused(folder.path(), &[&elsewhere, options].concat());
        let found = said.lines().find_map(|line| line.strip_prefix("help: "));
        assert!(found.is_some_and(|found| found.contains(help)), "{options:?}: {said}");
    }
    // Options of a part that is off.
    for (options, needed) in [
        (&["--log-when-full", "block"][..], "--log <FILE>"),
        (&["--log-queue", "1000"], "--log <FILE>"),
        (&["--log-sample-allows", "0.5"], "--log <FILE>"),
        (&["--log-queries"], "--log <FILE>"),
        (&["--shadow-examples", "3"], "--shadow <FILE>"),
        (&["--client-ca", "ca.pem"], "--tls-cert <FILE>"),
        (&["--tls-key", "key.pem"], "--tls-cert <FILE>"),
    ] {
        let said = refused(folder.path(), &[&elsewhere, options].concat());
        assert!(said.contains(needed), "{options:?}: {said}");
    }
    let long = format!("unix:/{}/p.sock", "x".repeat(120));
    assert!(refused(folder.path(), &["--listen", &long]).contains("help: write `unix:/run/p.sock`"));
    // Modes without the owner lock the server out of its own socket.
    let said = refused(folder.path(), &["--listen", "unix:p.sock", "--socket-mode", "060"]);
    assert!(said.contains("help: write `660`"), "{said}");
}

#[test]
fn addresses_and_files_are_checked_before_the_policy_is_compiled() {
    let folder = folder();
    let path = folder.path();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let _socket = UnixListener::bind(path.join("taken.sock")).unwrap();
    fs::write(path.join("empty.pem"), "").unwrap();
    fs::write(path.join("text.pem"), "-----BEGIN s3cr3t-of-the-test\n").unwrap();
    fs::write(path.join("state"), "a file").unwrap();
    let free = ["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
    let with = |options: &[&'static str]| [&free[..], options].concat();
    let tls = |certificate, key| with(&["--tls-cert", certificate, "--tls-key", key]);
    for (options, error) in [
        (vec!["--admin", "127.0.0.1:0", "--listen", &taken], "or choose another address with `--listen`"),
        (vec!["--listen", "127.0.0.1:0", "--admin", &taken], "or choose another address with `--admin`"),
        (vec!["--admin", "127.0.0.1:0", "--listen", "203.0.113.1:1"], "this machine does not have the address"),
        (vec!["--listen", "127.0.0.1:7", "--admin", "127.0.0.1:7"], "are the same address"),
        (vec!["--listen", "0.0.0.0:7", "--admin", "127.0.0.1:7"], "are the same address"),
        (vec!["--listen", "127.0.0.1:7", "--admin", "[::]:7"], "are the same address"),
        (vec!["--listen", "unix:a.sock", "--admin", "unix:a.sock"], "are the same address"),
        (
            vec!["--listen", "127.0.0.1:7", "--spoe", "127.0.0.1:7"],
            "are the same address for decisions and for HAProxy",
        ),
        (
            vec!["--admin", "127.0.0.1:7", "--spoe", "0.0.0.0:7"],
            "are the same address for administration and for HAProxy",
        ),
        (vec!["--spoe", "8184"], "help: write `127.0.0.1:8184`"),
        (with(&["--spoe", "unix:/nowhere/at/all.sock"]), "the folder does not exist"),
        (
            vec!["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--spoe", &taken],
            "or choose another address with `--spoe`",
        ),
        (vec!["--listen", "unix:taken.sock", "--admin", "127.0.0.1:0"], "another server listens on it"),
        (vec!["--listen", "unix:missing/a.sock", "--admin", "127.0.0.1:0"], "the folder does not exist"),
        (vec!["--listen", "unix:policy.json", "--admin", "127.0.0.1:0"], "an ordinary file"),
        (tls("missing.pem", "empty.pem"), "cannot read `missing.pem`"),
        (tls("empty.pem", "empty.pem"), "`empty.pem`: expected a certificate in PEM format"),
        (tls("text.pem", "empty.pem"), "`text.pem`: expected a certificate in PEM format"),
        (tls(".", "empty.pem"), "cannot read `.`: it is a folder; help: name a file in it"),
        (with(&["--state-dir", "state"]), "`state"),
        (with(&["--routes", "missing.json"]), "cannot read `missing.json`"),
        (with(&["--shadow", "policy.json", "--state-dir", "state"]), "`state"),
    ] {
        let said = refused(path, &options);
        assert!(said.contains(error), "{options:?}: {said}");
        assert!(!said.contains("s3cr3t"), "{options:?}: {said}");
    }
    // The sockets of a server that does not start are removed.
    refused(path, &["--listen", "unix:a.sock", "--admin", "unix:policy.json"]);
    assert!(!path.join("a.sock").exists());
}

#[test]
fn no_message_level_silences_errors() {
    let folder = folder();
    fs::write(folder.path().join("policy.json"), "{").unwrap();
    for level in ["error", "portcullis_server=error", "h2=error", "Warn", "debug"] {
        let messages = folder.path().join("messages");
        let mut child = Command::new(env!("CARGO_BIN_EXE_portcullis"))
            .args(["serve", "--policy", "policy.json", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"])
            .args(["--message-level", level])
            .current_dir(folder.path())
            .env_remove("PORTCULLIS_DB")
            .stderr(fs::File::create(&messages).unwrap())
            .spawn()
            .unwrap();
        eventually(level, || fs::read_to_string(&messages).unwrap().contains("the policy cannot be read"));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    fs::write(folder.path().join("policy.json"), policy("t")).unwrap();
    let process =
        start(folder.path(), &["--message-level", "info,h2=debug", "--public-url", "https://authz.example.com/t/"]);
    let metadata = ask(process.listen, "GET /.well-known/authzen-configuration", &[], "").json();
    assert_eq!(metadata["policy_decision_point"], "https://authz.example.com/t");
}

#[test]
fn header_bytes_are_limited_below_the_buffer_of_http1() {
    let folder = folder();
    let process = start(folder.path(), &["--max-header-bytes", "1024"]);
    let status = |bytes: usize| ask(process.listen, "GET /authz/nginx", &[("x-more", &*"x".repeat(bytes))], "");
    assert_eq!(status(500).status, 403);
    let refused = status(2_000);
    assert_eq!((refused.status, &*refused.reason()), (431, "too_many_headers"), "{refused:?}");
}
