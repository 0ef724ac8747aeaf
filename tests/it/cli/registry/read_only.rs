//! Registries that a user may read and not write.
#![cfg(unix)]

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use super::Dir;
use crate::registry::raw::Raw;

/// A user without rights of root, who owns nothing.
const NOBODY: u32 = 65_534;

/// A folder `data` with a registry, and a copy of the command that everybody may run.
struct Shared {
    dir: Dir,
    secret: String,
}

impl Shared {
    fn new() -> Self {
        let dir = Dir::new();
        fs::set_permissions(dir.path(""), Permissions::from_mode(0o755)).unwrap();
        fs::create_dir(dir.path("data")).unwrap();
        // Another user may not enter the folder of the build, such as the home of root.
        let (built, shared) = (env!("CARGO_BIN_EXE_portcullis"), dir.path("portcullis"));
        fs::hard_link(built, &shared).or_else(|_| fs::copy(built, &shared).map(drop)).unwrap();
        let mut shared = Self { dir, secret: String::new() };
        shared.owner("connections add dw").stdout(0);
        let create = "credentials create token --name map --connection dw --source a.b --apis maps --quiet";
        let secret = shared.owner(create).stdout(0);
        secret.trim().clone_into(&mut shared.secret);
        shared
    }

    fn owner(&self, args: &str) -> super::TestCommand {
        self.dir.command(args).arg("--db").arg("sqlite:data/registry.db").arg("--user").arg("ana")
    }

    fn set_modes(&self, file: u32, folder: u32) {
        for entry in fs::read_dir(self.dir.path("data")).unwrap() {
            fs::set_permissions(entry.unwrap().path(), Permissions::from_mode(file)).unwrap();
        }
        fs::set_permissions(self.dir.path("data"), Permissions::from_mode(folder)).unwrap();
    }

    /// Runs a command as a user who may only read; the exit code, standard output and standard error.
    fn reader(&self, args: &str) -> (i32, String, String) {
        let mut command = Command::new(self.dir.path("portcullis"));
        command.args(args.split(' ')).args(["--db", "sqlite:data/registry.db"]).current_dir(self.dir.path(""));
        command.env_remove("PORTCULLIS_POLICY").env("TOKEN", &self.secret).stdin(Stdio::null());
        if is_root() {
            command.uid(NOBODY).gid(NOBODY);
        }
        let output = command.output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    }

    fn files(&self) -> Vec<String> {
        let names = fs::read_dir(self.dir.path("data")).unwrap();
        let mut names: Vec<_> = names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let _ = fs::set_permissions(self.dir.path("data"), Permissions::from_mode(0o755));
    }
}

/// Whether the tests run as root, whom no mode stops.
fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().unwrap();
    id.stdout == b"0\n"
}

const CHECK: &str = "check --token-env TOKEN --api maps --connection dw --resource a.b";

/// Commands that read, each with a part of its answer.
const READS: [(&str, &str); 8] = [
    ("credentials list tokens --user ana", "map"),
    ("credentials get token map --user ana", "name           map"),
    ("connections list", "dw    generic"),
    ("trail --user ana", "create  token"),
    ("export --user ana", r#""name": "map""#),
    ("validate", "valid, 0 errors"),
    (CHECK, "allow, token `tk_"),
    ("audit who-can --connection dw --resource a.b", "tk_"),
];

#[test]
fn auditors_read_a_registry_that_they_may_not_write() {
    for (file, folder) in [(0o444, 0o555), (0o444, 0o755), (0o644, 0o555), (0o644, 0o755)] {
        let shared = Shared::new();
        shared.set_modes(file, folder);
        for (args, expected) in READS {
            let (code, stdout, stderr) = shared.reader(args);
            let shown: String = stdout.split_whitespace().collect::<Vec<_>>().join(" ");
            let expected = expected.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(
                (code == 0 || code == 1 && args == "audit lint") && shown.contains(&expected),
                "{file:o} {folder:o} {args}: {code} {stdout}{stderr}"
            );
        }
        for args in [
            "credentials create token --apis lds --user ana",
            "credentials rotate token map --user ana",
            "credentials delete token map --user ana",
            "credentials prune",
            "connections add other",
            "named-sources create abc --sql x",
        ] {
            let (code, stdout, stderr) = shared.reader(args);
            assert_eq!((code, stdout.as_str()), (2, ""), "{args}");
            assert!(
                stderr.contains("registry.db` is read-only\nhelp: you need permission to write"),
                "{args}: {stderr}"
            );
        }
        assert_eq!(shared.files(), ["registry.db"], "{file:o} {folder:o}: a reader left a file");
        // The owner continues.
        shared.set_modes(0o600, 0o755);
        shared.owner("credentials rotate token map --quiet").stdout(0);
    }
}

#[test]
fn auditors_see_each_commit_while_the_registry_is_in_use() {
    for folder in [0o555, 0o755] {
        let shared = Shared::new();
        shared.set_modes(0o644, 0o755);
        let mut server = Raw::open(&shared.dir.path("data/registry.db"));
        // Only in the log.
        server.run("INSERT INTO usage SELECT id, 7, 0 FROM tokens").unwrap();
        shared.set_modes(0o444, folder);
        let (code, stdout, stderr) = shared.reader("credentials list tokens --user ana --format json");
        assert!(code == 0 && stdout.contains(r#""allowed_requests": 7"#), "{code} {stdout}{stderr}");
        shared.owner("credentials delete token map --force").stdout(0);
        let (code, stdout, stderr) = shared.reader(CHECK);
        assert_eq!((code, stdout.as_str()), (1, "deny: token_unknown (401)\n"), "{stderr}");
    }
}

#[test]
fn log_that_cannot_be_read_is_an_error_instead_of_an_earlier_state() {
    let shared = Shared::new();
    let path = shared.dir.path("data/registry.db");
    let kept = {
        let mut raw = Raw::open(&path);
        raw.run("DELETE FROM tokens").unwrap();
        fs::read(shared.dir.path("data/registry.db-wal")).unwrap()
    };
    // As after a crash: the log has a change, and its index is missing.
    let fresh = Shared::new();
    fs::write(fresh.dir.path("data/registry.db-wal"), kept).unwrap();
    fresh.set_modes(0o444, 0o555);
    let (code, stdout, stderr) = fresh.reader(CHECK);
    assert_eq!((code, stdout.as_str()), (2, ""), "{stderr}");
    assert!(stderr.contains("registry.db`") && stderr.contains("\nhelp: "), "{stderr}");
}
