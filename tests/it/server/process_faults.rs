//! Processes without threads, descriptors or file watchers: the responses meanwhile, and how soon a revocation is active
//! after the fault ends.
//!
//! Each fault is a real limit of the process. Some need root: as another user, those tests report what they skip.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::chown;
use std::process::{Command, Stdio};
use std::time::Duration;

use portcullis_registry::{Actor, Location, NewToken, Registry};
use serde_json::Value;

use super::faulty::{BINARY, Kept, SERVE, SOON, compiled, folder, is_root, path, put, start, start_by};
use super::running::ask;
use super::util::{SECRET, eventually, policy};

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
    assert!(failure["problems"][0].as_str().unwrap().contains("too many open files"), "{failure}");
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
        (location.path().unwrap().to_owned(), secret)
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
