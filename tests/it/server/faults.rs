//! Faults around a running server: its responses meanwhile, and how soon a revocation is in force after they end.
//!
//! Each fault is real: limits of the process, full file systems, files of other kinds. Some need root: as another user,
//! those tests report what they skip.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::{MetadataExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use portcullis::{Options, Snapshot};
use portcullis_registry::{Actor, Location, NewToken, Registry};
use portcullis_server::policy::{StateDir, StateError};
use serde_json::Value;

use super::running::{ask, connect};
use super::util::{SECRET, eventually, policy};

/// The limit for a revocation: one poll (1 s) after the fault has ended. The rest is for machines busy with other tests.
const SOON: Duration = Duration::from_secs(5);

/// `portcullis serve`, with its messages in a file.
struct Server {
    child: Child,
    listen: SocketAddr,
    admin: SocketAddr,
    messages: PathBuf,
}

const SERVE: &[&str] =
    &["--state-dir", "state", "--messages", "json", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"];

/// Starts the server in `folder` with a wrapper `program`, such as `prlimit` with its options.
fn start_by(program: &[&str], folder: &Path, more: &[&str]) -> Server {
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

const BINARY: &str = env!("CARGO_BIN_EXE_portcullis");

fn start(folder: &Path, more: &[&str]) -> Server {
    start_by(&[BINARY], folder, &[&["--policy", "policy.json"], more].concat())
}

impl Server {
    fn status(&self, table: &str) -> u16 {
        let token = format!("Bearer {SECRET}");
        ask(self.listen, &path(table), &[("authorization", &token)], "").status
    }

    fn ready(&self) -> (u16, Value) {
        let answer = ask(self.admin, "GET /readyz", &[], "");
        (answer.status, answer.json()["policy"].clone())
    }

    fn metric(&self, name: &str) -> String {
        let text = ask(self.admin, "GET /metrics", &[], "").body;
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(r#"{policy="live"} "#));
        value.unwrap_or_else(|| panic!("{name}: {text}")).to_owned()
    }

    /// Waits until the token may read `new` and not `old`; returns how long that took.
    fn revoked(&self, old: &str, new: &str) -> Duration {
        let took = eventually(&format!("{new} in place of {old}"), || self.status(new) == 200);
        assert_eq!(self.status(old), 403);
        took
    }

    /// Limits the process. `by` is the command that runs `prlimit`, if another user must run it.
    fn limit(&self, by: &[&str], limit: &str) {
        let id = self.child.id().to_string();
        let line = [by, &["prlimit", "--pid", &id, limit]].concat();
        assert!(Command::new(line[0]).args(&line[1..]).status().unwrap().success(), "{limit}");
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Resident memory in MiB: current (`VmRSS`), or its peak (`VmHWM`).
    fn memory(&self, which: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(which)?.strip_prefix(':')).unwrap();
        line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() / 1024
    }

    fn messages(&self) -> String {
        fs::read_to_string(&self.messages).unwrap()
    }

    /// The number of messages that contain `text`.
    fn said(&self, text: &str) -> usize {
        self.messages().lines().filter(|line| line.contains(text)).count()
    }

    fn lives(&mut self) {
        assert_eq!(self.child.try_wait().unwrap(), None, "{}", self.messages());
        assert!(!self.messages().contains("panicked"), "{}", self.messages());
    }

    /// Stops the server, and checks that it neither panics nor fails; returns how long that took.
    fn stops(mut self) -> Duration {
        let started = Instant::now();
        self.signal("TERM");
        assert!(self.child.wait().unwrap().success(), "{}", self.messages());
        started.elapsed()
    }

    fn kill(mut self) {
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

fn path(table: &str) -> String {
    format!("GET /authz/envoy/v3/maps/dw/table?name=db.{table}")
}

/// A connection that stays open: a server without descriptors accepts no new one.
struct Kept(BufReader<TcpStream>);

impl Kept {
    fn new(address: SocketAddr) -> Self {
        let mut kept = Self(BufReader::new(connect(address)));
        kept.get("GET /healthz");
        kept
    }

    fn get(&mut self, line: &str) -> (u16, String) {
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

    fn status(&mut self, table: &str) -> u16 {
        self.get(&path(table)).0
    }
}

fn is_root() -> bool {
    fs::metadata("/proc/self").unwrap().uid() == 0
}

/// Replaces `file` by one with `text`, atomically.
fn put(file: &Path, text: impl AsRef<[u8]>) {
    let new = file.with_extension("other");
    fs::write(&new, text).unwrap();
    fs::rename(&new, file).unwrap();
}

fn compiled(table: &str) -> Vec<u8> {
    let policy = portcullis_document::read_policy(policy(table)).unwrap();
    let mut bytes = Vec::new();
    Snapshot::compile(&policy, &Options::default()).unwrap().write(&mut bytes).unwrap();
    bytes
}

fn folder(table: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("policy.json");
    fs::write(&file, policy(table)).unwrap();
    (folder, file)
}

#[test]
fn a_reload_needs_no_new_thread() {
    let (folder, file) = folder("t0");
    // A thread limit applies to a user, but not to root. The user must be able to run the program.
    let program = folder.path().join("portcullis");
    fs::copy(BINARY, &program).unwrap();
    let program = program.to_str().unwrap();
    let user = ["setpriv", "--reuid=54321", "--regid=54321", "--clear-groups", "--"];
    let user = if is_root() { user.as_slice() } else { &[] };
    if is_root() {
        for path in [folder.path(), &file] {
            chown(path, Some(54321), Some(54321)).unwrap();
        }
    }
    let mut server = start_by(&[user, &[program]].concat(), folder.path(), &["--policy", "policy.json"]);
    assert_eq!(server.status("t0"), 200);
    server.limit(user, "--nproc=1:1");
    for next in 1..=4 {
        let (old, new) = (format!("t{}", next - 1), format!("t{next}"));
        put(&file, if next % 2 == 0 { compiled(&new) } else { policy(&new).into_bytes() });
        let took = server.revoked(&old, &new);
        eprintln!("no thread: revoked after {took:?}");
        assert!(took < SOON, "{took:?}");
        server.signal("HUP");
    }
    assert_eq!(server.ready().0, 200);
    let body = format!(r#"{{"token": "{SECRET}", "api": "maps", "connection": "dw", "resource": "db.t4"}}"#);
    let explained = ask(server.admin, "POST /v1/explain", &[("content-type", "application/json")], &body);
    assert_eq!(explained.status, 200, "{explained:?}");
    server.lives();
    assert!(server.stops() < SOON);
}

#[test]
fn clients_leave_the_descriptors_that_a_reload_needs() {
    let (folder, file) = folder("one");
    let wrapper = ["prlimit", "--nofile=256:256", BINARY];
    let mut server = start_by(&wrapper, folder.path(), &["--policy", "policy.json"]);
    // Both listeners are full, and more wait to be accepted.
    let clients: Vec<_> = (0..600)
        .filter_map(|at| TcpStream::connect(if at % 2 == 0 { server.listen } else { server.admin }).ok())
        .collect();
    std::thread::sleep(Duration::from_millis(300));
    put(&file, policy("two"));
    let took = eventually("the new policy is active", || server.said("policy active") == 2);
    eprintln!("too many clients: active after {took:?}");
    assert!(took < SOON, "{took:?}");
    drop(clients);
    eventually("connections are free again", || {
        TcpStream::connect(server.listen).is_ok_and(|mut stream| {
            let request = format!("{} HTTP/1.1\r\nhost: t\r\nconnection: close\r\n\r\n", path("one"));
            let mut answer = String::new();
            stream.write_all(request.as_bytes()).is_ok()
                && stream.read_to_string(&mut answer).is_ok()
                && answer.starts_with("HTTP/1.1 401")
        })
    });
    assert_eq!((server.status("one"), server.status("two")), (403, 200));
    assert_eq!(server.said("cannot be read"), 0, "{}", server.messages());
    server.lives();
}

#[test]
fn a_policy_that_could_not_be_opened_is_read_when_it_can_be() {
    let (folder, file) = folder("one");
    let mut server = start(folder.path(), &[]);
    let (mut client, mut operator) = (Kept::new(server.listen), Kept::new(server.admin));
    let limits = fs::read_to_string(format!("/proc/{}/limits", server.child.id())).unwrap();
    let limit = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
    let hard = limit.split_whitespace().nth(1).unwrap().to_owned();
    server.limit(&[], "--nofile=3:");
    put(&file, policy("two"));
    let mut failure = Value::Null;
    eventually("it is reported", || {
        let (status, body) = operator.get("GET /readyz");
        failure = serde_json::from_str::<Value>(&body).unwrap()["policy"]["failure"].clone();
        assert_eq!(status, 200, "the last good policy decides");
        failure["attempts"].as_u64().is_some_and(|attempts| attempts > 2)
    });
    assert!(failure["problems"][0].as_str().unwrap().contains("Too many open files"), "{failure}");
    assert_eq!((client.status("one"), client.status("two")), (200, 403));
    assert_eq!(server.said("the policy cannot be read"), 1, "the same failure is logged once");
    server.limit(&[], &format!("--nofile={hard}:{hard}"));
    let took = eventually("the revocation", || client.status("one") == 403);
    eprintln!("descriptor exhaustion: revoked {took:?} after its end");
    assert!(took < SOON, "{took:?}");
    assert_eq!(client.status("two"), 200);
    eventually("its end is logged", || server.said("the policy can be read again") == 1);
    server.lives();
}

type Break = fn(&Path);

/// Ways in which a policy cannot be read, and a part of the reported problem.
const BROKEN: &[(&str, Break, &str)] = &[
    ("missing", |_| {}, "No such file"),
    ("a directory", |file| fs::create_dir(file).unwrap(), "not a regular file"),
    ("a link to nothing", |file| symlink("nothing", file).unwrap(), "No such file"),
    ("a link to itself", |file| symlink("policy.json", file).unwrap(), "symbolic links"),
    ("a pipe", |file| assert!(Command::new("mkfifo").arg(file).status().unwrap().success()), "not a regular file"),
    ("a device", |file| symlink("/dev/zero", file).unwrap(), "not a regular file"),
    ("a terabyte", |file| File::create(file).unwrap().set_len(1 << 40).unwrap(), "more than 268435456 bytes"),
    ("not UTF-8", |file| fs::write(file, b"[\xff]").unwrap(), "not UTF-8"),
    ("not JSON", |file| fs::write(file, "{").unwrap(), "json_syntax"),
    ("empty", |file| fs::write(file, "").unwrap(), "found nothing"),
    ("half a compiled policy", |file| fs::write(file, &compiled("x")[..100]).unwrap(), "compiled policy"),
];

#[test]
fn a_policy_that_is_unreadable_in_any_way_keeps_the_last_good_one() {
    let (folder, file) = folder("t0");
    let mut server = start(folder.path(), &[]);
    let mut table = String::new();
    for (at, (way, spoil, problem)) in BROKEN.iter().enumerate() {
        let (old, new) = (format!("t{at}"), format!("t{}", at + 1));
        fs::remove_file(&file).unwrap();
        spoil(&file);
        let said = |server: &Server| {
            let (status, policy) = server.ready();
            assert_eq!(status, 200, "{way}");
            policy["failure"]["problems"][0].as_str().is_some_and(|found| found.contains(problem))
        };
        eventually(way, || said(&server));
        std::thread::sleep(Duration::from_millis(300));
        let before = server.said("the policy cannot be read");
        // Wait for two more polls.
        std::thread::sleep(Duration::from_millis(2_200));
        assert_eq!((server.status(&old), server.status(&new)), (200, 403), "{way}");
        assert_eq!(server.metric("portcullis_policy_stale"), "1.0", "{way}");
        assert_eq!(server.said("the policy cannot be read"), before, "{way}: the same failure is logged once");
        if file.is_dir() {
            fs::remove_dir(&file).unwrap();
        }
        put(&file, policy(&new));
        let took = server.revoked(&old, &new);
        assert!(took < SOON, "{way}: {took:?}");
        assert_eq!(server.ready().1["failure"], Value::Null, "{way}");
        writeln!(table, "{way}: revoked {took:?} after its end").unwrap();
    }
    eprint!("{table}");
    server.lives();
    assert!(server.stops() < SOON);
}

#[test]
fn pipe_swapped_in_between_check_and_open_does_not_block() {
    let (folder, file) = folder("one");
    let [good, pipe, next] = ["good", "pipe", "next"].map(|name| folder.path().join(name));
    fs::write(&good, policy("one")).unwrap();
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let mut server = start(folder.path(), &[]);
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(8) {
        let round = Instant::now();
        while round.elapsed() < Duration::from_millis(20) {
            for file_or_pipe in [&pipe, &good] {
                fs::hard_link(file_or_pipe, &next).unwrap();
                fs::rename(&next, &file).unwrap();
            }
        }
        server.signal("HUP");
    }
    put(&file, policy("two"));
    // The server waits up to 10 s for changes that never stop.
    let took = server.revoked("one", "two");
    eprintln!("a pipe swapped in: revoked {took:?} after its end");
    assert!(took < Duration::from_secs(15), "{took:?}");
    server.lives();
    assert!(server.stops() < SOON);
}

/// A small file system, which is unmounted at the end.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(at: &Path) -> Self {
        fs::create_dir(at).unwrap();
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=64k", "tmpfs"]).arg(at).status();
        assert!(mounted.unwrap().success());
        Self(at.to_owned())
    }

    fn remount(folder: &Path, how: &str) {
        let mounted = Command::new("mount").args(["-o", &format!("remount,{how}")]).arg(folder.join("state")).status();
        assert!(mounted.unwrap().success());
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_state_that_could_not_be_saved_is_saved_when_it_can_be() {
    // The obstacle to saving, and its end.
    let cases: [(&str, bool, Break, Break); 4] = [
        (
            "something in the way",
            false,
            |folder| {
                fs::remove_file(folder.join("state/policy.json")).unwrap();
                fs::create_dir(folder.join("state/policy.json")).unwrap();
            },
            |folder| fs::remove_dir(folder.join("state/policy.json")).unwrap(),
        ),
        (
            "the directory moved away",
            false,
            |folder| fs::rename(folder.join("state"), folder.join("away")).unwrap(),
            |folder| fs::rename(folder.join("away"), folder.join("state")).unwrap(),
        ),
        (
            "a full disk",
            true,
            |folder| {
                let mut filler = File::create(folder.join("state/filler")).unwrap();
                while filler.write_all(&[0; 1024]).is_ok() {}
            },
            |folder| fs::remove_file(folder.join("state/filler")).unwrap(),
        ),
        (
            "a read-only disk",
            true,
            |folder| SmallDisk::remount(folder, "ro"),
            |folder| SmallDisk::remount(folder, "rw"),
        ),
    ];
    for (what, needs_root, hinder, end) in cases {
        if needs_root && !is_root() {
            eprintln!("left out, as it needs root: {what}");
            continue;
        }
        let (folder, file) = folder("one");
        let _disk = needs_root.then(|| SmallDisk::mount(&folder.path().join("state")));
        let mut server = start(folder.path(), &[]);
        if what == "a read-only disk" {
            // No file system becomes read-only while a file in it is open for writing.
            server.kill();
            hinder(folder.path());
            server = start(folder.path(), &[]);
        } else {
            hinder(folder.path());
        }
        put(&file, policy("two"));
        // The policy is in force anyway.
        let took = server.revoked("one", "two");
        assert!(took < SOON, "{what}: {took:?}");
        let (status, report) = server.ready();
        assert_eq!((status, report["not_saved"].is_string()), (200, true), "{what}: {report}");
        assert_eq!(server.metric("portcullis_policy_not_saved"), "1.0", "{what}");
        std::thread::sleep(Duration::from_millis(2_200));
        assert_eq!(server.said("the policy is not saved"), 1, "{what}: the same failure is logged once");
        end(folder.path());
        let took = eventually("it is saved", || server.ready().1["not_saved"].is_null());
        eprintln!("{what}: saved {took:?} after its end");
        assert!(took < SOON, "{what}: {took:?}");
        assert_eq!(server.metric("portcullis_policy_not_saved"), "0.0", "{what}");
        server.kill();
        fs::write(&file, "{").unwrap();
        let again = start(folder.path(), &[]);
        assert_eq!((again.status("one"), again.status("two")), (403, 200), "{what}: what was revoked stays revoked");
        drop(again);
    }
}

#[test]
fn a_state_directory_that_is_made_again_is_locked_and_filled_again() {
    let (folder, file) = folder("one");
    let (state, away) = (folder.path().join("state"), folder.path().join("away"));
    let mut server = start(folder.path(), &[]);
    let not_saved = |server: &Server| server.ready().1["not_saved"].as_str().unwrap_or_default().to_owned();
    // With and without a change of the policy meanwhile.
    for (old, new) in [("one", "two"), ("two", "two")] {
        fs::rename(&state, &away).unwrap();
        put(&file, policy(new));
        let missing = "the state directory `state` is missing: create it again, or move it back";
        eventually("it is reported", || not_saved(&server) == missing);
        if new != old {
            server.revoked(old, new);
        }
        fs::create_dir(&state).unwrap();
        let took =
            eventually("it is saved", || server.ready().1["not_saved"].is_null() && state.join("policy.json").exists());
        assert!(took < SOON, "{took:?}");
        let other = StateDir::open(&state).unwrap_err();
        assert!(matches!(other, StateError::InUse(_)), "{other}");
        fs::remove_dir_all(&away).unwrap();
    }
    // Another process is faster: nothing is written until it ends.
    fs::rename(&state, &away).unwrap();
    let other = StateDir::open(&state).unwrap();
    put(&file, policy("three"));
    server.revoked("two", "three");
    eventually("it is reported", || {
        not_saved(&server).contains("is used by another process: use a separate directory for each")
    });
    std::thread::sleep(Duration::from_millis(1_200));
    assert_eq!(fs::read_dir(&state).unwrap().count(), 1, "the lock alone");
    drop(other);
    eventually("it is saved", || server.ready().1["not_saved"].is_null());
    assert!(matches!(StateDir::open(&state).unwrap_err(), StateError::InUse(_)));
    // What was moved away is free for another process.
    drop(StateDir::open(&away).unwrap());
    // What is saved is put back where it is removed.
    fs::remove_file(state.join("policy.json")).unwrap();
    eventually("it is saved again", || state.join("policy.json").exists());
    // A policy that no server wrote is not written over.
    fs::write(state.join("policy.json"), policy("one")).unwrap();
    put(&file, policy("four"));
    server.revoked("three", "four");
    assert!(not_saved(&server).contains("policy.json` is not a saved policy"), "{}", not_saved(&server));
    assert_eq!(fs::read_to_string(state.join("policy.json")).unwrap(), policy("one"));
    fs::remove_file(state.join("policy.json")).unwrap();
    eventually("it is saved", || server.ready().1["not_saved"].is_null());
    server.lives();
    server.kill();
    fs::write(&file, "{").unwrap();
    let again = start(folder.path(), &[]);
    assert_eq!((again.status("three"), again.status("four")), (403, 200));
}

#[test]
fn a_pipe_among_the_saved_files_does_not_keep_a_server_from_starting() {
    let (folder, file) = folder("one");
    put(&file, compiled("one"));
    start(folder.path(), &[]).kill();
    let saved = fs::read_dir(folder.path().join("state")).unwrap().map(|entry| entry.unwrap().path());
    let saved = saved.into_iter().find(|path| path.extension().is_some_and(|extension| extension == "pcls")).unwrap();
    fs::remove_file(&saved).unwrap();
    assert!(Command::new("mkfifo").arg(&saved).status().unwrap().success());
    fs::write(&file, "{").unwrap();
    let mut server = start(folder.path(), &[]);
    assert_eq!((server.ready().0, server.status("one")), (503, 503));
    assert_eq!(server.said("the saved policy cannot be read"), 1, "{}", server.messages());
    assert!(server.messages().contains("it is not a regular file"), "{}", server.messages());
    put(&file, policy("two"));
    eventually("the new policy decides", || server.status("two") == 200);
    server.lives();
}

#[test]
fn a_bad_large_policy_takes_little_memory_and_few_messages() {
    let (folder, file) = folder("one");
    let mut server = start(folder.path(), &[]);
    let before = server.memory("VmRSS");
    put(&file, format!("[{}1]", "1,".repeat(2_000_000)));
    eventually("it is refused", || server.ready().1["failure"]["count"] == 2_000_001);
    std::thread::sleep(Duration::from_millis(2_200));
    let (grown, said) = (server.memory("VmHWM").saturating_sub(before), server.messages().len());
    eprintln!("4 MB of `1,1,1…`: at most {grown} MiB more, {said} bytes of messages");
    assert!(grown < 64, "{grown} MiB");
    assert!(said < 32 << 10, "{said} bytes: {}", server.messages());
    assert_eq!(server.ready().1["failure"]["problems"].as_array().unwrap().len(), 20);
    assert_eq!((server.status("one"), server.ready().0), (200, 200));
    put(&file, policy("two"));
    let took = server.revoked("one", "two");
    eprintln!("4 MB of `1,1,1…`: revoked {took:?} after its end");
    assert!(took < SOON, "{took:?}");
    server.lives();
}

#[test]
fn file_larger_than_memory_does_not_prevent_start() {
    let (folder, file) = folder("one");
    start(folder.path(), &[]).kill();
    for bytes in [1 << 42, 1 << 30] {
        File::create(&file).unwrap().set_len(bytes).unwrap();
        let mut server = start(folder.path(), &[]);
        let (status, report) = server.ready();
        assert_eq!((status, &report["origin"]), (200, &"saved".into()), "{report}");
        assert!(report["failure"]["problems"][0].as_str().unwrap().contains("bytes"), "{report}");
        assert_eq!(server.status("one"), 200);
        // Nothing of the file was read, not even temporarily.
        assert!(server.memory("VmHWM") < 256, "{} MiB", server.memory("VmHWM"));
        put(&file, policy("two"));
        let took = server.revoked("one", "two");
        eprintln!("{bytes} bytes: revoked {took:?} after its end");
        assert!(took < SOON, "{took:?}");
        put(&file, policy("one"));
        server.revoked("two", "one");
        server.lives();
    }
}

#[test]
fn the_size_of_a_policy_is_limited_in_each_form() {
    let token = |at: usize| format!(r#"{{"id": "t{at}", "token": "{SECRET}{at}", "allowed_apis": ["lds"]}}"#);
    let tokens = |range: std::ops::Range<usize>, between: &str| range.map(token).collect::<Vec<_>>().join(between);
    let list = |range| format!("[{}]", tokens(range, ",")).into_bytes();
    let lines = |range| tokens(range, "\n").into_bytes();
    // Documents need about 70 bytes a token; a compiled policy of one token has more than 500 bytes.
    let cases: [(&str, &[Vec<u8>], &str, bool); 9] = [
        ("JSON", &[list(0..5)], "500", true),
        ("JSON", &[list(0..50)], "500", false),
        ("JSON Lines", &[lines(0..5)], "500", true),
        ("JSON Lines", &[lines(0..50)], "500", false),
        ("compiled", &[compiled("one")], "100000", true),
        ("compiled", &[compiled("one")], "500", false),
        ("two files", &[list(0..3), list(3..6)], "500", true),
        ("two files, of which neither is too large", &[list(0..5), list(5..10)], "500", false),
        ("exactly as large", &[list(0..1)], "71", true),
    ];
    for (form, files, limit, is_read) in cases {
        let folder = tempfile::tempdir().unwrap();
        let names = ["a", "b"];
        let mut more = vec!["--max-policy-bytes", limit, "--policy"];
        for (file, name) in files.iter().zip(names) {
            fs::write(folder.path().join(name), file).unwrap();
            more.push(name);
        }
        if limit == "71" {
            assert_eq!(files[0].len(), 71, "{}", String::from_utf8_lossy(&files[0]));
        }
        let server = start_by(&[BINARY], folder.path(), &more);
        let (status, report) = server.ready();
        assert_eq!(status == 200, is_read, "{form}, {limit}: {report}");
        if !is_read {
            let problem = report["failure"]["problems"][0].as_str().unwrap();
            let expected = format!("more than {limit} bytes: remove tokens, or raise `--max-policy-bytes`");
            assert!(problem.contains(&expected), "{problem}");
        }
    }
    // A file with more bytes than it reports: it is read only up to the limit.
    let folder = tempfile::tempdir().unwrap();
    symlink("/proc/self/maps", folder.path().join("maps")).unwrap();
    let more = ["--max-policy-bytes", "500", "--policy", "maps"];
    let server = start_by(&[BINARY], folder.path(), &more);
    assert!(server.ready().1["failure"]["problems"][0].as_str().unwrap().contains("more than 500 bytes"));
}

#[test]
fn files_are_polled_if_the_system_has_no_watcher() {
    let (folder, file) = folder("one");
    let namespace = Command::new("unshare").args(["--user", "--map-root-user", "true"]).status();
    if !namespace.is_ok_and(|status| status.success()) {
        eprintln!("left out, as the system allows no user namespace");
        return;
    }
    // In a user namespace of its own, which does not need root.
    let run = format!("echo 0 > /proc/sys/user/max_inotify_instances && exec {BINARY} \"$@\"");
    let wrapper = ["unshare", "--user", "--map-root-user", "sh", "-c", &run, "sh"];
    let mut server = start_by(&wrapper, folder.path(), &["--policy", "policy.json"]);
    assert_eq!(server.said("no file watcher: policy files are polled"), 1, "{}", server.messages());
    for (old, new) in [("one", "two"), ("two", "three")] {
        put(&file, policy(new));
        let took = server.revoked(old, new);
        eprintln!("no watcher: revoked after {took:?}");
        assert!(took < SOON, "{took:?}");
    }
    server.lives();
}

#[test]
fn a_reload_takes_no_new_watcher() {
    let (folder, file) = folder("t0");
    let server = start(folder.path(), &[]);
    let watchers = || {
        let open = fs::read_dir(format!("/proc/{}/fd", server.child.id())).unwrap();
        let links = open.filter_map(|entry| fs::read_link(entry.unwrap().path()).ok());
        links.filter(|link| link.to_string_lossy().contains("inotify")).count()
    };
    let threads = || {
        let tasks = fs::read_dir(format!("/proc/{}/task", server.child.id())).unwrap();
        tasks.map(|task| task.unwrap().file_name()).collect::<std::collections::BTreeSet<_>>()
    };
    let before = (watchers(), threads());
    for next in 1..=5 {
        put(&file, policy(&format!("t{next}")));
        server.revoked(&format!("t{}", next - 1), &format!("t{next}"));
    }
    assert_eq!(before.0, 1);
    assert_eq!((watchers(), threads()), before, "the same threads");
}

#[test]
fn options_that_overflow_are_refused() {
    let (folder, _) = folder("one");
    let refused: [(&[&str], &str); 7] = [
        (&["--max-policy-bytes", "0"], "expected a number of bytes from 1 to"),
        (&["--max-policy-bytes=-1"], "expected a number of bytes from 1 to"),
        (&["--max-policy-bytes", "18446744073709551615"], "expected a number of bytes from 1 to"),
        (&["--max-policy-bytes", "99999999999999999999999"], "expected a number of bytes from 1 to"),
        (&["--max-policy-bytes", "1e3"], "expected a number of bytes from 1 to"),
        (&["--max-connections", "97"], "use at most 96, or raise the limit"),
        (&["--max-connections", "18446744073709551615"], "expected a whole number from 1 to"),
    ];
    for (options, why) in refused {
        let output = Command::new("prlimit")
            .args(["--nofile=256:256", BINARY, "serve", "--policy", "policy.json", "--listen", "127.0.0.1:0"])
            .args(["--admin", "127.0.0.1:0"])
            .args(options)
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains(why), "{options:?}: {said}");
    }
    // If no connection can be accepted, the server does not report that it serves.
    for limit in ["40", "64", "65"] {
        let output = Command::new("prlimit")
            .args([&*format!("--nofile={limit}:{limit}"), BINARY, "serve", "--policy", "policy.json"])
            .args(["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"])
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let why = format!("the limit of file descriptors is {limit}: expected at least 66");
        assert!(output.status.code() == Some(2) && said.contains(&why), "{limit}: {said}");
    }
    drop(start_by(&["prlimit", "--nofile=66:66", BINARY], folder.path(), &["--policy", "policy.json"]));
    // A reported limit is accepted.
    let wrapper = ["prlimit", "--nofile=256:256", BINARY];
    drop(start_by(&wrapper, folder.path(), &["--policy", "policy.json", "--max-connections", "96"]));
    // The limit is raised as far as the system allows.
    let wrapper = ["prlimit", "--nofile=64:300", BINARY];
    let server = start_by(&wrapper, folder.path(), &["--policy", "policy.json"]);
    let limits = fs::read_to_string(format!("/proc/{}/limits", server.child.id())).unwrap();
    let limit = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    assert_eq!(limit.split_whitespace().nth(3), Some("300"), "{limit}");
}

/// `validate` on documents of a few hundred kilobytes or a megabyte, each with as many errors as possible.
#[test]
fn documents_full_of_errors_are_checked_in_little_memory() {
    let many = |text: &str, count: usize| vec![text; count].join(",");
    let token = |rest: String| format!(r#"[{{"id": "a", "token": "x", "allowed_apis": ["lds"], {rest}}}]"#);
    let fields = (0..200_000).map(|at| format!("\"k{at}\":1")).collect::<Vec<_>>().join(",");
    let deep = format!("{}{}", "[".repeat(1_000_000), "]".repeat(1_000_000));
    let name = "n".repeat(2_000_000);
    let cases: [(&str, String, &str); 15] = [
        ("numbers", format!("[{}]", many("1", 300_000)), "300,000 errors (20 shown)"),
        ("objects", format!("[{}]", many("{}", 120_000)), "360,000 errors (20 shown)"),
        ("numbers as grants", token(format!("\"grants\": [{}]", many("1", 300_000))), "300,000 errors (20 shown)"),
        ("empty grants", token(format!("\"grants\": [{}]", many("{}", 200_000))), "400,000 errors (20 shown)"),
        ("referers", token(format!("\"referers\": [{}]", many("\"x\"", 60_000))), "60,000 errors (20 shown)"),
        ("unknown fields", token(fields.clone()), "200,000 errors (20 shown)"),
        ("a field again and again", token(many("\"id\": 1", 300_000)), "1 error,"),
        ("unknown fields of the document", format!("{{\"tokens\": [], {fields}}}"), "200,000 errors (20 shown)"),
        ("tokens again and again", format!("{{{}}}", many("\"tokens\": []", 200_000)), "1 error,"),
        ("connections", format!("{{\"tokens\": [], \"connections\": [{}]}}", many("1", 300_000)), "300,000 errors"),
        ("APIs", format!("{{\"tokens\": [], \"apis\": [{}]}}", many("{}", 200_000)), "400,000 errors (20 shown)"),
        ("lines", format!("{{\"id\":\"a\"}}\n{}", "{\"id\":\"a\",}\n".repeat(120_000)), "120,002 errors (20 shown)"),
        ("depth", token(format!("\"x\": {deep}")), "1 error,"),
        ("a long name", format!("{{\"tokens\": [], \"{name}\": 1}}"), "1 error,"),
        ("depth without an end", "[".repeat(2_000_000), "1 error,"),
    ];
    for (shape, text, total) in cases {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("bad.json"), text).unwrap();
        let output = Command::new("prlimit")
            .args(["--data=134217728", BINARY, "validate", "bad.json"])
            .current_dir(folder.path())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        let last = said.lines().last().unwrap_or_default();
        let end: String = last.chars().take(300).collect();
        assert_eq!(output.status.code(), Some(1), "{shape}: {end} {}", String::from_utf8_lossy(&output.stderr));
        assert!(last.contains(total), "{shape}: {end}");
        assert!(said.len() < 128 << 10, "{shape}: {} bytes", said.len());
    }
}

#[test]
fn validate_shows_the_requested_number_of_problems() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("bad.json"), format!("[{}1]", "1,".repeat(299))).unwrap();
    for (option, shown) in [(None, 20), (Some("0"), 0), (Some("7"), 7), (Some("300"), 300), (Some("1000000"), 300)] {
        let mut command = Command::new(BINARY);
        command.args(["validate", "--format", "json", "bad.json"]).current_dir(folder.path());
        if let Some(count) = option {
            command.args(["--max-errors", count]);
        }
        let answer: Value = serde_json::from_slice(&command.output().unwrap().stdout).unwrap();
        assert_eq!(answer["diagnostics"].as_array().unwrap().len(), shown, "{option:?}");
        assert_eq!((&answer["errors"], &answer["warnings"]), (&300.into(), &0.into()), "{option:?}");
    }
}

#[test]
fn registry_is_read_once_threads_are_available_again() {
    let folder = tempfile::tempdir().unwrap();
    let ana = Actor::new("ana", "2026-11-24T12:00:00Z".parse().unwrap()).unwrap();
    // Two registries: the second does not have the token of the first.
    let [(first, secret), (second, _)] = ["registry.db", "other.db"].map(|name| {
        let location = Location::file(folder.path().join(name));
        let mut registry = Registry::open(&location, true).unwrap();
        let token = NewToken { apis: vec!["lds".into()], ..NewToken::default() };
        let secret = registry.create_token(&ana, &token).unwrap().secret.expose().to_owned();
        (location.path().to_owned(), secret)
    });
    let program = folder.path().join("portcullis");
    fs::copy(BINARY, &program).unwrap();
    let user = ["setpriv", "--reuid=54322", "--regid=54322", "--clear-groups", "--"];
    let user = if is_root() { user.as_slice() } else { &[] };
    if is_root() {
        for path in [folder.path(), &first, &second] {
            chown(path, Some(54322), Some(54322)).unwrap();
        }
    }
    let line = [user, &[program.to_str().unwrap()]].concat();
    let mut server = start_by(&line, folder.path(), &["--db", "sqlite:registry.db"]);
    let status = || {
        let token = format!("Bearer {secret}");
        ask(server.listen, "GET /authz/envoy/v3/lds/x", &[("authorization", &token)], "").status
    };
    assert_eq!(status(), 200);
    server.limit(user, "--nproc=1:");
    for log in ["registry.db-wal", "registry.db-shm"] {
        let _ = fs::remove_file(folder.path().join(log));
    }
    fs::rename(&second, &first).unwrap();
    eventually("it is reported", || {
        server.ready().1["failure"]["attempts"].as_u64().is_some_and(|attempts| attempts > 2)
    });
    assert_eq!((status(), server.ready().0), (200, 200), "the last good policy decides");
    server.limit(user, "--nproc=10000:");
    let took = eventually("the token of the registry that was replaced is revoked", || status() == 401);
    eprintln!("no thread for a registry: revoked {took:?} after its end");
    assert!(took < SOON, "{took:?}");
    server.lives();
}

#[test]
fn a_server_that_gets_too_few_threads_reports_it_and_ends() {
    let (folder, file) = folder("one");
    let program = folder.path().join("portcullis");
    fs::copy(BINARY, &program).unwrap();
    if !is_root() {
        eprintln!("left out: only root can become a user without other processes");
        return;
    }
    for path in [folder.path(), &file] {
        chown(path, Some(54323), Some(54323)).unwrap();
    }
    let run = |limit: usize, more: &[&str]| {
        let limit = format!("--nproc={limit}");
        let user = ["--reuid=54323", "--regid=54323", "--clear-groups", "--", "prlimit", &limit];
        let messages = folder.path().join("messages");
        let mut child = Command::new("setpriv")
            .args(user)
            .arg(&program)
            .args(["serve", "--policy", "policy.json"])
            .args(SERVE)
            .args(more)
            .current_dir(folder.path())
            .env_remove("PORTCULLIS_DB")
            .stderr(File::create(&messages).unwrap())
            .spawn()
            .unwrap();
        let said = || fs::read_to_string(&messages).unwrap();
        let mut ended = None;
        eventually("it serves or ends", || {
            ended = child.try_wait().unwrap();
            ended.is_some() || said().contains("serving")
        });
        child.kill().unwrap();
        let code = ended.or_else(|| child.wait().map(|_| None).unwrap()).map(|status| status.code().unwrap());
        assert!(!said().contains("panicked"), "{limit}: {}", said());
        (code, said())
    };
    let all: &[&str] = &["--threads", "1", "--log", "log", "--shadow", "policy.json"];
    for more in [&["--threads", "1"], &["--threads", "2"], all] {
        let first = (1..=20).find(|limit| {
            let (code, said) = run(*limit, more);
            assert!(matches!(code, None | Some(2)), "{limit}: {said}");
            if code.is_some() {
                assert!(said.contains("cannot start the ") && said.contains("`ulimit -u`"), "{limit}: {said}");
            }
            code.is_none()
        });
        // A file watcher is no longer missing once the server starts.
        let (_, said) = run(first.unwrap(), more);
        assert!(!said.contains("no file watcher"), "{said}");
    }
    let (code, said) = run(20, &["--threads", "64"]);
    assert_eq!(code, Some(2), "{said}");
}
