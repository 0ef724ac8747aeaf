//! The `portcullis serve` process: killed, reloaded and stopped by signals.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::running::ask;
use super::util::{SECRET, eventually, policy};

pub(super) struct Process {
    pub(super) child: Child,
    pub(super) listen: SocketAddr,
    pub(super) admin: SocketAddr,
}

/// Starts the server in `folder` with `more` options, and reads its addresses from its messages.
#[expect(clippy::zombie_processes, reason = "it is waited for when it is dropped")]
pub(super) fn start(folder: &Path, more: &[&str]) -> Process {
    let mut child = Command::new(env!("CARGO_BIN_EXE_portcullis"))
        .args(["serve", "--policy", "policy.json", "--state-dir", "state", "--messages", "json"])
        .args(["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"])
        .args(more)
        .current_dir(folder)
        .env_remove("PORTCULLIS_DB")
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut messages = BufReader::new(child.stderr.take().unwrap());
    loop {
        let mut line = String::new();
        assert_ne!(messages.read_line(&mut line).unwrap(), 0, "it ended before it served");
        let message: serde_json::Value = serde_json::from_str(&line).unwrap();
        let fields = &message["fields"];
        if fields["message"] == "serving" {
            // Unread messages would fill the pipe and block the server.
            std::thread::spawn(move || std::io::copy(&mut messages, &mut std::io::sink()));
            let address = |name: &str| fields[name].as_str().unwrap().parse().unwrap();
            return Process { child, listen: address("listen"), admin: address("admin") };
        }
    }
}

impl Process {
    fn status(&self, table: &str) -> u16 {
        let token = format!("Bearer {SECRET}");
        ask(
            self.listen,
            &format!("GET /authz/envoy/v3/maps/dw/table?name=db.{table}"),
            &[("authorization", &token), ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")],
            "",
        )
        .status
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const LOG: &[&str] = &["--log", "log.jsonl"];

#[test]
fn killed_server_restores_last_good_policy_and_stops_on_signal() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("policy.json");
    fs::write(&file, policy("one")).unwrap();
    let mut first = start(folder.path(), LOG);
    assert_eq!((first.status("one"), first.status("two")), (200, 403));
    fs::write(&file, policy("two")).unwrap();
    eventually("a change is live", || (first.status("one"), first.status("two")) == (403, 200));
    first.signal("KILL");
    first.child.wait().unwrap();

    fs::write(&file, "{").unwrap();
    let mut second = start(folder.path(), LOG);
    assert_eq!(
        (second.status("one"), second.status("two")),
        (403, 200),
        "the last good policy, although its file is broken"
    );
    let ready = ask(second.admin, "GET /readyz", &[], "").json();
    assert_eq!((&ready["ready"], &ready["policy"]["origin"]), (&true.into(), &"saved".into()));

    fs::rename(folder.path().join("log.jsonl"), folder.path().join("log.1")).unwrap();
    second.signal("HUP");
    eventually("the log is opened again", || folder.path().join("log.jsonl").exists());
    assert_eq!(second.status("two"), 200);
    second.signal("TERM");
    assert!(second.child.wait().unwrap().success());
    let log = fs::read_to_string(folder.path().join("log.jsonl")).unwrap();
    assert!(log.contains(r#""token_id":"only_two""#) && !log.contains(SECRET), "{log}");
    assert!(log.contains(r#""trace_id":"0af7651916cd43dd8448eb211c80319c""#), "{log}");
}

#[test]
fn repeatedly_killed_server_keeps_last_good_policy_until_a_new_one() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("policy.json");
    fs::write(&file, policy("one")).unwrap();
    for source in ["good", "broken", "empty", "gone"] {
        match source {
            "broken" => fs::write(&file, r#"{"tokens": ["#).unwrap(),
            "empty" => fs::write(&file, "").unwrap(),
            "gone" => fs::remove_file(&file).unwrap(),
            _ => {}
        }
        let mut process = start(folder.path(), &[]);
        assert_eq!((process.status("one"), process.status("two")), (200, 403), "its source is {source}");
        process.signal("KILL");
        process.child.wait().unwrap();
    }
    let last = start(folder.path(), &[]);
    fs::write(&file, policy("two")).unwrap();
    eventually("a good policy is live", || (last.status("one"), last.status("two")) == (403, 200));
    let ready = ask(last.admin, "GET /readyz", &[], "").json();
    assert_eq!(ready["policy"]["origin"], "source", "{ready}");
}

#[test]
fn blocked_log_delays_requests_but_not_operators_or_shutdown() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("policy.json"), policy("one")).unwrap();
    let fifo = folder.path().join("fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    // Opened for reading and writing, so that opening does not block; never read.
    let _reader = fs::OpenOptions::new().read(true).write(true).open(&fifo).unwrap();
    let options =
        ["--log", "fifo", "--log-queue", "1000", "--log-when-full", "block", "--threads", "1", "--drain", "0.5"];
    let mut process = start(folder.path(), &options);
    let listen = process.listen;
    let asking: Vec<_> = (0..4)
        .map(|_| {
            std::thread::spawn(move || {
                let mut stream = std::net::TcpStream::connect(listen).unwrap();
                let request = "GET /authz/envoy/v3/lds/x HTTP/1.1\r\nhost: t\r\n\r\n";
                // Until no request is answered or accepted.
                stream.set_read_timeout(Some(std::time::Duration::from_millis(300))).unwrap();
                let mut answers = 0;
                while std::io::Write::write_all(&mut stream, request.as_bytes()).is_ok()
                    && std::io::Read::read(&mut stream, &mut [0; 1024]).is_ok_and(|read| read > 0)
                {
                    answers += 1;
                }
                answers
            })
        })
        .collect();
    let answers: u64 = asking.into_iter().map(|asking| asking.join().unwrap()).sum();
    let metrics = ask(process.admin, "GET /metrics", &[], "").body;
    assert!(answers > 100 && metrics.contains(r#"portcullis_log_lines_total{end="dropped"} 0"#), "{answers} {metrics}");
    process.signal("TERM");
    assert!(process.child.wait().unwrap().success());
}
