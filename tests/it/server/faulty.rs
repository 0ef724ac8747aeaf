//! `portcullis serve` as a process whose resources and files a test takes away.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use portcullis::{Options, Snapshot};
use serde_json::Value;

use super::running::{ask, connect};
use super::util::{SECRET, eventually, policy};

/// The limit for a revocation: one poll (1 s) after the fault has ended. The rest is for machines busy with other tests.
pub(super) const SOON: Duration = Duration::from_secs(5);

/// `portcullis serve`, with its messages in a file.
pub(super) struct Server {
    pub(super) child: Child,
    pub(super) listen: SocketAddr,
    pub(super) admin: SocketAddr,
    messages: PathBuf,
}

pub(super) const SERVE: &[&str] =
    &["--state-dir", "state", "--messages", "json", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"];

/// Starts the server in `folder` with a wrapper `program`, such as `prlimit` with its options.
pub(super) fn start_by(program: &[&str], folder: &Path, more: &[&str]) -> Server {
    let messages = folder.join("messages");
    let line = [program, &["serve"], SERVE, more].concat();
    let mut child = Command::new(line[0])
        .args(&line[1..])
        .current_dir(folder)
        .env_remove("PORTCULLIS_DB")
        .stderr(File::create(&messages).unwrap())
        .spawn()
        .unwrap();
    let mut serving = None;
    eventually("it serves", || {
        let text = fs::read_to_string(&messages).unwrap();
        assert!(child.try_wait().unwrap().is_none(), "it ended: {text}");
        serving = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()).find_map(|message| {
            let fields = &message["fields"];
            let address = |name: &str| fields[name].as_str().unwrap().parse().unwrap();
            (fields["message"] == "serving").then(|| (address("listen"), address("admin")))
        });
        serving.is_some()
    });
    let (listen, admin) = serving.unwrap();
    Server { child, listen, admin, messages }
}

pub(super) const BINARY: &str = env!("CARGO_BIN_EXE_portcullis");

pub(super) fn start(folder: &Path, more: &[&str]) -> Server {
    start_by(&[BINARY], folder, &[&["--policy", "policy.json"], more].concat())
}

impl Server {
    pub(super) fn status(&self, table: &str) -> u16 {
        let token = format!("Bearer {SECRET}");
        ask(self.listen, &path(table), &[("authorization", &token)], "").status
    }

    pub(super) fn ready(&self) -> (u16, Value) {
        let answer = ask(self.admin, "GET /readyz", &[], "");
        (answer.status, answer.json()["policy"].clone())
    }

    pub(super) fn metric(&self, name: &str) -> String {
        let text = ask(self.admin, "GET /metrics", &[], "").body;
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(r#"{policy="live"} "#));
        value.unwrap_or_else(|| panic!("{name}: {text}")).to_owned()
    }

    /// Waits until the token may read `new` and not `old`; returns how long that took.
    pub(super) fn revoked(&self, old: &str, new: &str) -> Duration {
        let took = eventually(&format!("{new} in place of {old}"), || self.status(new) == 200);
        assert_eq!(self.status(old), 403);
        took
    }

    /// Limits the process. `by` is the command that runs `prlimit`, if another user must run it.
    pub(super) fn limit(&self, by: &[&str], limit: &str) {
        let id = self.child.id().to_string();
        let line = [by, &["prlimit", "--pid", &id, limit]].concat();
        assert!(Command::new(line[0]).args(&line[1..]).status().unwrap().success(), "{limit}");
    }

    pub(super) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Resident memory in MiB: current (`VmRSS`), or its peak (`VmHWM`).
    pub(super) fn memory(&self, which: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(which)?.strip_prefix(':')).unwrap();
        line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() / 1024
    }

    pub(super) fn messages(&self) -> String {
        fs::read_to_string(&self.messages).unwrap()
    }

    /// The number of messages that contain `text`.
    pub(super) fn said(&self, text: &str) -> usize {
        self.messages().lines().filter(|line| line.contains(text)).count()
    }

    pub(super) fn lives(&mut self) {
        assert_eq!(self.child.try_wait().unwrap(), None, "{}", self.messages());
        assert!(!self.messages().contains("panicked"), "{}", self.messages());
    }

    /// Stops the server, and checks that it neither panics nor fails; returns how long that took.
    pub(super) fn stops(mut self) -> Duration {
        let started = Instant::now();
        self.signal("TERM");
        assert!(self.child.wait().unwrap().success(), "{}", self.messages());
        started.elapsed()
    }

    pub(super) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(super) fn path(table: &str) -> String {
    format!("GET /authz/envoy/v3/maps/dw/table?name=db.{table}")
}

/// A connection that stays open: a server without descriptors accepts no new one.
pub(super) struct Kept(BufReader<TcpStream>);

impl Kept {
    pub(super) fn new(address: SocketAddr) -> Self {
        let mut kept = Self(BufReader::new(connect(address)));
        kept.get("GET /healthz");
        kept
    }

    pub(super) fn get(&mut self, line: &str) -> (u16, String) {
        let request = format!("{line} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {SECRET}\r\n\r\n");
        self.0.get_mut().write_all(request.as_bytes()).unwrap();
        let (mut status, mut length) = (String::new(), 0);
        self.0.read_line(&mut status).unwrap();
        loop {
            let mut line = String::new();
            self.0.read_line(&mut line).unwrap();
            if let Some(value) = line.strip_prefix("content-length: ") {
                length = value.trim().parse().unwrap();
            }
            if line == "\r\n" || line.is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).unwrap();
        (status.split(' ').nth(1).unwrap().parse().unwrap(), String::from_utf8(body).unwrap())
    }

    pub(super) fn status(&mut self, table: &str) -> u16 {
        self.get(&path(table)).0
    }
}

pub(super) fn is_root() -> bool {
    fs::metadata("/proc/self").unwrap().uid() == 0
}

/// Replaces `file` by one with `text`, atomically.
pub(super) fn put(file: &Path, text: impl AsRef<[u8]>) {
    let new = file.with_extension("other");
    fs::write(&new, text).unwrap();
    fs::rename(&new, file).unwrap();
}

pub(super) fn compiled(table: &str) -> Vec<u8> {
    let policy = portcullis_document::read_policy(policy(table)).unwrap();
    let mut bytes = Vec::new();
    Snapshot::compile(&policy, &Options::default()).unwrap().write(&mut bytes).unwrap();
    bytes
}

pub(super) fn folder(table: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("policy.json");
    fs::write(&file, policy(table)).unwrap();
    (folder, file)
}
