//! `portcullis serve --db` while the registry's files are replaced and removed: revocations arrive.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use super::running::ask;
use super::util::eventually;

fn portcullis(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    command.current_dir(folder).args(args).args(["--db", "sqlite:registry.db"]);
    command.env_remove("PORTCULLIS_DB").env_remove("PORTCULLIS_POLICY");
    command
}

fn manage(folder: &Path, args: &[&str]) -> Output {
    portcullis(folder, args).args(["--user", "ana"]).output().unwrap()
}

struct Server {
    child: Child,
    listen: SocketAddr,
}

impl Server {
    #[expect(clippy::zombie_processes, reason = "it is waited for when it is dropped")]
    fn start(folder: &Path) -> Self {
        let args = ["serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--messages", "json"];
        let mut child = portcullis(folder, &args).stderr(Stdio::piped()).spawn().unwrap();
        let mut messages = BufReader::new(child.stderr.take().unwrap());
        loop {
            let mut line = String::new();
            assert_ne!(messages.read_line(&mut line).unwrap(), 0, "it ended before it served");
            let message: serde_json::Value = serde_json::from_str(&line).unwrap();
            if message["fields"]["message"] == "serving" {
                std::thread::spawn(move || std::io::copy(&mut messages, &mut std::io::sink()));
                return Self { child, listen: message["fields"]["listen"].as_str().unwrap().parse().unwrap() };
            }
        }
    }

    fn status(&self, secret: &str) -> u16 {
        let token = format!("Bearer {secret}");
        let line = "GET /authz/envoy/v3/maps/dw/table?name=a.b";
        ask(self.listen, line, &[("authorization", &token)], "").status
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    PathBuf::from(format!("{}{suffix}", path.display()))
}

type Fault = fn(&Path);

/// Faults in the files of a registry that a server uses.
const FAULTS: [(&str, Fault); 5] = [
    ("the log is removed", |path| fs::remove_file(beside(path, "-wal")).unwrap()),
    ("the index is removed", |path| fs::remove_file(beside(path, "-shm")).unwrap()),
    ("log and index are removed", |path| {
        fs::remove_file(beside(path, "-wal")).unwrap();
        fs::remove_file(beside(path, "-shm")).unwrap();
    }),
    ("a copy is renamed over it", |path| {
        fs::copy(path, beside(path, ".copy")).unwrap();
        fs::rename(beside(path, ".copy"), path).unwrap();
    }),
    ("a copy is renamed over it, log and index are removed", |path| {
        fs::copy(path, beside(path, ".copy")).unwrap();
        fs::rename(beside(path, ".copy"), path).unwrap();
        fs::remove_file(beside(path, "-wal")).unwrap();
        fs::remove_file(beside(path, "-shm")).unwrap();
    }),
];

#[test]
fn revocation_reaches_a_server_whose_registry_lost_a_file() {
    for (fault, happen) in FAULTS {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let path = folder.join("registry.db");
        assert!(manage(folder, &["connections", "add", "dw"]).status.success());
        let create = ["credentials", "create", "token", "--connection", "dw", "--source", "a.b", "--apis", "maps"];
        let created = manage(folder, &[&create[..], &["--name", "map", "--quiet"]].concat());
        let secret = String::from_utf8(created.stdout).unwrap().trim().to_owned();
        let mut server = Server::start(folder);
        assert_eq!(server.status(&secret), 200, "{fault}");
        happen(&path);
        // An error while the server has the old files open; never a success that does not reach the server.
        eventually(fault, || {
            let revoked = manage(folder, &["credentials", "revoke", "token", "map", "--force"]);
            let code = revoked.status.code();
            assert!(code == Some(0) || code == Some(2), "{fault}: {revoked:?}");
            code == Some(0)
        });
        eventually("the server follows", || server.status(&secret) == 401);
        server.child.kill().unwrap();
        server.child.wait().unwrap();
        let again = Server::start(folder);
        assert_eq!(again.status(&secret), 401, "{fault}: the token returns");
    }
}
