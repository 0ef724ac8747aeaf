//! Options of `portcullis workspace` for the sign-in at an OpenID provider.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

const SECRET: &str = "s3cret-of-the-client";

fn workspace(folder: &Path, options: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    command.args(["workspace", "--listen", "127.0.0.1:0"]).args(options);
    if !options.contains(&"--user") {
        command.args(["--user", "ana"]);
    }
    command.current_dir(folder);
    command.env("PORTCULLIS_DB", "sqlite:registry.db").env_remove("PORTCULLIS_MESSAGE_LEVEL").stdin(Stdio::null());
    command
}

#[test]
fn wrong_options_are_refused_and_leave_no_registry() {
    let good = ["--oidc-issuer", "https://login.example.com", "--oidc-client-id", "portcullis"];
    let issuer = "write the `issuer` of its discovery document";
    let lines = "expected the secret of a client on one line";
    for (with_good, options, sentence) in [
        (false, &["--oidc-issuer", "https://login.example.com"][..], "--oidc-client-id"),
        (false, &["--oidc-client-id", "portcullis"], "--oidc-issuer"),
        (false, &["--no-login-link"], "--oidc-issuer"),
        (false, &["--oidc-allow-domain", "example.com"], "--oidc-issuer"),
        (false, &["--oidc-session", "600"], "--oidc-issuer"),
        (true, &["--oidc-session", "59"], "60"),
        (true, &["--oidc-session", "43201"], "43200"),
        (false, &["--oidc-application-session", "600"], "--oidc-issuer"),
        (true, &["--oidc-application-session", "59"], "60"),
        (true, &["--oidc-application-session", "2592001"], "2592000"),
        (false, &["--oidc-issuer", "login.example.com", "--oidc-client-id", "a"], issuer),
        (false, &["--oidc-issuer", "http://login.example.com", "--oidc-client-id", "a"], issuer),
        (true, &["--oidc-client-secret-file", "missing"], "cannot read `missing`"),
        (true, &["--oidc-client-secret-file", "empty"], lines),
        (true, &["--oidc-client-secret-file", "two-lines"], lines),
        (true, &["--oidc-client-secret-file", "binary"], lines),
        (true, &["--oidc-ca", "secret"], "`secret`: expected certificates in PEM format"),
        (true, &["--oidc-ca", "missing"], "cannot read `missing`"),
        (true, &["--oidc-allow-domain", "@acme.com"], "help: write `acme.com`"),
        (true, &["--oidc-allow-domain", "*.acme.com"], "help: write `acme.com`"),
        (true, &["--oidc-allow-domain", ""], "help: write `example.com`"),
        (true, &["--oidc-allow-domain", "a.com,b.com"], "help: write `--oidc-allow-domain a.com b.com`"),
        (true, &["--oidc-allow-domain", "com"], "help: write `example.com`"),
        (true, &["--oidc-allow-domain", "localhost"], "help: write `example.com`"),
        (true, &["--oidc-allow-domain", "10.0.0.1"], "help: write `example.com`"),
        (true, &["--oidc-allow-group", ""], "help: write `data-team`"),
        (true, &["--oidc-allow-group", "a,b"], "help: write `--oidc-allow-group a b`"),
        (true, &["--oidc-auditor-group", "a,b"], "help: write `--oidc-auditor-group a b`"),
        (
            true,
            &["--oidc-admin-group", "a", "b", "--oidc-auditor-group", "c", "b"],
            "help: leave it out of `--oidc-auditor-group`",
        ),
        (true, &["--oidc-groups-claim", "realm_access.roles"], "help: write `/realm_access/roles`"),
        (true, &["--oidc-client-secret-file", "."], "`.`"),
        (true, &["--user", " bob"], "help: write `bob`"),
        (true, &["--user", "a\tb"], "help: write `ana`"),
        (
            false,
            &["--oidc-issuer", "https://Login.example.com", "--oidc-client-id", "a"],
            "`https://login.example.com`",
        ),
        (false, &["--oidc-issuer", "https://a.example:443", "--oidc-client-id", "a"], "`https://a.example`"),
        (true, &["--oidc-admin-group", "*"], "help: write `data-team`"),
        (true, &["--oidc-auditor-group", " a"], "help: write `a`"),
        (true, &["--oidc-scope", "groups email"], "help: write `--oidc-scope groups email`"),
        (true, &["--oidc-groups-claim", ""], "help: write `groups`"),
        (false, &["--oidc-issuer", "https://a.example", "--oidc-client-id", ""], "help: write `portcullis`"),
        (
            false,
            &["--oidc-issuer", "https://a.example/.well-known/openid-configuration", "--oidc-client-id", "a"],
            "such as `https://a.example`;",
        ),
        (false, &["--oidc-issuer", "https://u:s3cret-of-the-client@a.example", "--oidc-client-id", "a"], issuer),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path();
        fs::write(folder.join("secret"), SECRET).unwrap();
        fs::write(folder.join("empty"), "\n").unwrap();
        fs::write(folder.join("two-lines"), format!("{SECRET}\n{SECRET}\n")).unwrap();
        fs::write(folder.join("binary"), [0xff, 0xfe, 0]).unwrap();
        let options: Vec<_> = good.iter().filter(|_| with_good).chain(options).copied().collect();
        let output = workspace(folder, &options).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{options:?}: {said}");
        assert!(said.contains(sentence), "{options:?}: {said}");
        assert!(!said.contains(SECRET) && !said.contains("panicked"), "{options:?}: {said}");
        assert!(!folder.join("registry.db").exists(), "{options:?}");
    }
}

#[test]
fn a_workspace_starts_while_its_provider_is_down() {
    for (more, prints_link) in [(&[][..], true), (&["--no-login-link"], false)] {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("secret"), format!("{SECRET}\n")).unwrap();
        let options =
            ["--oidc-issuer", "http://127.0.0.1:1", "--oidc-client-id", "a", "--oidc-client-secret-file", "secret"];
        let options: Vec<_> = options.iter().chain(more).copied().collect();
        let mut child = workspace(dir.path(), &options).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut messages = BufReader::new(child.stderr.take().unwrap()).lines();
        assert!(messages.any(|line| line.unwrap().contains("serving")));
        child.kill().unwrap();
        let mut said = String::new();
        std::io::Read::read_to_string(&mut child.stdout.take().unwrap(), &mut said).unwrap();
        child.wait().unwrap();
        assert!(said.starts_with("workspace   http://127.0.0.1:"), "{said}");
        assert_eq!(said.contains("login link"), prints_link, "{said}");
    }
}
