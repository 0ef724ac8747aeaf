//! Created files and folders are private to their owner under any umask.
#![cfg(unix)]

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};

use super::util::Dir;

/// A command that starts with this umask.
fn with_umask(dir: &Dir, umask: &str, args: &str) -> Command {
    let mut command = Command::new("sh");
    command.current_dir(dir.path("")).env_remove("PORTCULLIS_DB").env_remove("PORTCULLIS_POLICY");
    let script = format!("umask {umask}; exec '{}' {args}", env!("CARGO_BIN_EXE_portcullis"));
    command.args(["-c", &script]).stdin(Stdio::null());
    command
}

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn created_files_are_private_under_any_umask() {
    for umask in ["000", "022", "077", "277", "777"] {
        let dir = Dir::new();
        let mode = |name: &str| {
            let found = fs::symlink_metadata(dir.path(name)).unwrap_or_else(|error| panic!("{umask} {name}: {error}"));
            found.permissions().mode() & 0o7777
        };
        let run = |args: &str| assert!(with_umask(&dir, umask, args).stdout(Stdio::null()).status().unwrap().success());
        // The default registry: its folders are made with it.
        let mut add = with_umask(&dir, umask, "connections add dw --user ana");
        add.env_remove("PORTCULLIS_DB").env("XDG_DATA_HOME", dir.path("data"));
        assert!(add.stdout(Stdio::null()).status().unwrap().success());
        for folder in ["data", "data/portcullis"] {
            assert_eq!(mode(folder), 0o700, "{umask}: {folder}");
        }
        run("backup copy.db --db sqlite:data/portcullis/registry.db");
        run("init first.json");
        for file in ["data/portcullis/registry.db", "copy.db", "first.json"] {
            assert_eq!(mode(file), 0o600, "{umask}: {file}");
        }
        let args = "serve --db sqlite:data/portcullis/registry.db --state-dir state/deep --log log.jsonl --messages json \
                    --listen unix:listen.sock --admin unix:admin.sock";
        for (more, sockets) in [("", 0o600), (" --socket-mode 660", 0o660), (" --socket-mode 0666", 0o666)] {
            let mut server = with_umask(&dir, umask, &format!("{args}{more}"));
            let mut server = Killed(server.stderr(Stdio::piped()).spawn().unwrap());
            let mut messages = BufReader::new(server.0.stderr.take().unwrap()).lines().map(Result::unwrap);
            let serving = messages.by_ref().find(|line| line.contains(r#""message":"serving""#));
            assert!(serving.is_some_and(|line| line.contains(r#""ready":true"#)), "{umask}");
            for socket in ["listen.sock", "admin.sock"] {
                assert_eq!(mode(socket), sockets, "{umask}: {socket}");
            }
            for file in ["registry.db", "registry.db-wal", "registry.db-shm"] {
                assert_eq!(mode(&format!("data/portcullis/{file}")), 0o600, "{umask}: {file}");
            }
            for folder in ["state", "state/deep"] {
                assert_eq!(mode(folder), 0o700, "{umask}: {folder}");
            }
            for file in ["state/deep/lock", "state/deep/policy.json", "log.jsonl"] {
                assert_eq!(mode(file), 0o600, "{umask}: {file}");
            }
        }
    }
}

#[test]
fn existing_files_keep_their_permissions() {
    let dir = Dir::with_policy().file("log.jsonl", "");
    for (name, mode) in [("log.jsonl", 0o640), ("state", 0o750)] {
        if name == "state" {
            fs::create_dir(dir.path(name)).unwrap();
        }
        fs::set_permissions(dir.path(name), fs::Permissions::from_mode(mode)).unwrap();
    }
    let args =
        "serve --policy policy.json --state-dir state --log log.jsonl --messages json --listen unix:l --admin unix:a";
    let mut server = Killed(with_umask(&dir, "0", args).stderr(Stdio::piped()).spawn().unwrap());
    let mut messages = BufReader::new(server.0.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(messages.by_ref().any(|line| line.contains(r#""message":"serving""#)));
    let mode = |name: &str| fs::metadata(dir.path(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("log.jsonl"), mode("state")), (0o640, 0o750));
}

#[test]
fn invalid_socket_mode_is_an_error() {
    for mode in ["rw", "888", "1777", "-1", ""] {
        let ran = Dir::with_policy().command("serve --policy policy.json").arg(&format!("--socket-mode={mode}")).run();
        assert_eq!(ran.code, 2, "{mode}");
        assert!(ran.stderr.contains("--socket-mode"), "{}", ran.stderr);
    }
}
