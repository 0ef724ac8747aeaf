//! The workspace beside a sidecar, on one registry: the sidecar obeys each change over HTTP.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::running::ask;
use super::util::eventually;
use crate::postgres::{Cluster, PASSWORD};

pub(super) struct Process {
    pub(super) child: Child,
    /// The fields of the message `serving`.
    fields: Value,
    /// The messages after it.
    log: Arc<Mutex<String>>,
}

impl Process {
    pub(super) fn address(&self) -> SocketAddr {
        self.fields["listen"].as_str().unwrap().parse().unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(super) fn start(folder: &Path, db: &str, args: &[&str]) -> Process {
    start_with(folder, &[("PORTCULLIS_DB", db)], args)
}

/// Starts a server with environment variables.
#[expect(clippy::zombie_processes, reason = "it is waited for when it is dropped")]
pub(super) fn start_with(folder: &Path, variables: &[(&str, &str)], args: &[&str]) -> Process {
    let mut child = Command::new(env!("CARGO_BIN_EXE_portcullis"))
        .args(args)
        .args(["--messages", "json", "--listen", "127.0.0.1:0"])
        .current_dir(folder)
        .envs(variables.iter().copied())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut messages = BufReader::new(child.stderr.take().unwrap());
    loop {
        let mut line = String::new();
        assert_ne!(messages.read_line(&mut line).unwrap(), 0, "it ended before it served");
        assert!(!line.contains(PASSWORD), "a message has the password: {line}");
        let message: Value = serde_json::from_str(&line).unwrap();
        if message["fields"]["message"] == "serving" {
            let log = Arc::new(Mutex::new(String::new()));
            let kept = Arc::clone(&log);
            // Unread messages would fill the pipe and block the server.
            std::thread::spawn(move || {
                for line in messages.lines().map_while(Result::ok) {
                    *kept.lock().unwrap() += &(line + "\n");
                }
            });
            return Process { child, fields: message["fields"].clone(), log };
        }
    }
}

pub(super) fn portcullis(folder: &Path, db: &str, args: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    let command = command.args(args).args(["--user", "ana"]).env("PORTCULLIS_DB", db);
    let output = command.current_dir(folder).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The name of a registry may be mistyped, so a new one is reported, and needs a folder that exists.
#[test]
fn new_registry_is_reported_and_needs_an_existing_folder() {
    let folder = tempfile::tempdir().unwrap();
    let run = |url: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
        command.args(["workspace", "--user", "ana", "--listen", "127.0.0.1:0", "--db", url]).current_dir(folder.path());
        command.env_remove("PORTCULLIS_DB").stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let absent = run("sqlite:missing/registry.db").wait_with_output().unwrap();
    let error = String::from_utf8(absent.stderr).unwrap();
    assert_eq!(absent.status.code(), Some(2), "{error}");
    assert!(error.contains("`missing/registry.db` does not exist, nor does its folder `missing`\n"), "{error}");
    for (url, expected) in [
        ("sqlite:registry.db", Some("created a new registry, sqlite:registry.db")),
        ("sqlite:registry.db", None),
        ("sqlite:registri.db", Some("created a new registry, sqlite:registri.db: did you mean sqlite:registry.db?")),
    ] {
        let mut child = run(url);
        let mut messages = BufReader::new(child.stderr.take().unwrap());
        let mut text = String::new();
        while !text.contains("serving") {
            assert_ne!(messages.read_line(&mut text).unwrap(), 0, "{url}: it ended before it served: {text}");
        }
        let _ = child.kill();
        child.wait().unwrap();
        let reported = text.lines().find(|line| line.contains("created"));
        assert_eq!(reported.is_some(), expected.is_some(), "{url}: {text}");
        assert!(reported.zip(expected).is_none_or(|(line, expected)| line.ends_with(expected)), "{url}: {text}");
    }
}

/// Calls `check` with the URL of an empty registry of each kind.
pub(super) fn on_each(check: impl Fn(&Path, &str)) {
    let folder = tempfile::tempdir().unwrap();
    check(folder.path(), "sqlite:registry.db");
    if let Some(cluster) = Cluster::shared() {
        check(folder.path(), &cluster.database().url());
    }
}

/// Creates a connection and a machine, and returns the form that gets an access token for it.
pub(super) fn machine(folder: &Path, db: &str) -> String {
    portcullis(folder, db, &["connections", "add", "carto_dw", "--dialect", "bigquery"]);
    let machine = ["credentials", "create", "m2m", "--title", "Deploy", "--apis", "maps", "--format", "json"];
    let created = portcullis(folder, db, &[&machine[..], &["--grant", "carto_dw,carto.shared.*"]].concat());
    let machine: Value = serde_json::from_str(&created).unwrap();
    let text = |field: &str| machine[field].as_str().unwrap().to_owned();
    format!("client_id={}&client_secret={}", text("client_id"), text("client_secret"))
}

pub(super) const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

/// Returns an access token. Asks again, as a client does, while a slow disk keeps the registry locked.
pub(super) fn issue(at: SocketAddr, credentials: &str) -> String {
    const ATTEMPTS: usize = 5;
    let form = format!("grant_type=client_credentials&{credentials}");
    for _ in 0..ATTEMPTS {
        let body = ask(at, "POST /oauth/token", &[FORM], &form).body;
        let answer: Value = serde_json::from_str(&body).unwrap();
        if let Some(access) = answer["access_token"].as_str() {
            return access.to_owned();
        }
        assert!(answer["error"] == "temporarily_unavailable" || answer["reason"] == "timeout", "{body}");
    }
    panic!("the registry stays locked");
}

#[test]
fn sidecar_obeys_changes_over_http() {
    on_each(obeys_changes_over_http);
}

fn obeys_changes_over_http(folder: &Path, db: &str) {
    let credentials = machine(folder, db);
    let mut workspace = start(folder, db, &["workspace", "--user", "ana"]);
    let sidecar = start(folder, db, &["serve", "--admin", "127.0.0.1:0"]);
    let (at, decisions) = (workspace.address(), sidecar.address());
    let issue = || issue(at, &credentials);
    let json_type = ("content-type", "application/json");
    let decides = |secret: &str, resource: &str| {
        let request = json!({"token": secret, "api": "maps", "connection": "carto_dw", "resource": resource});
        let answer = ask(decisions, "POST /v1/decide", &[json_type], &request.to_string());
        serde_json::from_str::<Value>(&answer.body).unwrap()["decision"] == "allow"
    };
    let obeys = |what: &str, secret: &str, resource: &str, want: bool| {
        let begun = Instant::now();
        eventually(what, || decides(secret, resource) == want);
        eprintln!("{what} after {} ms", begun.elapsed().as_millis());
    };

    let access = issue();
    obeys("an access token decides", &access, "carto.shared.roads", true);
    assert!(!decides(&access, "carto.private.roads"));
    let bearer = format!("Bearer {access}");
    let call = |line: &str, more: &[(&str, &str)], body: &str| {
        let headers = [&[json_type, ("authorization", &*bearer)][..], more].concat();
        ask(at, line, &headers, body)
    };
    let new =
        r#"{"allowed_apis": ["maps"], "grants": [{"connection_name": "carto_dw", "source": "carto.private.roads"}]}"#;
    let create = || -> Value {
        let created = call("POST /v3/tokens", &[], new);
        assert_eq!(created.status, 201, "{}", created.body);
        serde_json::from_str(&created.body).unwrap()
    };
    let created = create();
    let token = created["token"].as_str().unwrap();
    obeys("a created token decides", token, "carto.private.roads", true);
    // The fastest of several: other programs use the machine, too.
    let latencies = (0..8).map(|_| {
        let (created, begun) = (create(), Instant::now());
        eventually("it decides", || decides(created["token"].as_str().unwrap(), "carto.private.roads"));
        begun.elapsed()
    });
    let (fastest, limit) = (latencies.min().unwrap(), if db.starts_with("sqlite:") { 50 } else { 250 });
    assert!(fastest <= Duration::from_millis(limit), "{db}: a created token decides after {fastest:?}");
    let path = format!("/v3/tokens/{}", created["id"].as_str().unwrap());
    let edit = r#"{"grants": [{"connection_name": "carto_dw", "source": "carto.private.rivers"}]}"#;
    assert_eq!(call(&format!("PATCH {path}"), &[("if-match", "*")], edit).status, 200);
    obeys("an edited token loses a grant", token, "carto.private.roads", false);
    assert!(decides(token, "carto.private.rivers"));
    // The sidecar reports its uses to the registry, after which a deletion needs to be forced.
    assert_eq!(call(&format!("DELETE {path}?force=true"), &[("if-match", "*")], "").status, 204);
    obeys("a deleted token is unknown", token, "carto.private.rivers", false);
    let revoked = ask(at, "POST /oauth/revoke", &[FORM], &format!("token={access}&{credentials}"));
    assert_eq!(revoked.status, 200);
    obeys("a revoked access token is unknown", &access, "carto.shared.roads", false);
    // A wrong secret, and errors that repeat what was sent.
    ask(
        at,
        "POST /oauth/token",
        &[FORM],
        &format!("grant_type=client_credentials&client_id=m2m_x&client_secret={token}"),
    );
    ask(at, &format!("GET /v3/tokens/{token}"), &[("authorization", &bearer)], "");
    call("POST /v3/tokens", &[], &json!({"name": token, "allowed_apis": [token]}).to_string());
    let admin = sidecar.fields["admin"].as_str().unwrap().parse().unwrap();
    let metrics = ask(admin, "GET /metrics", &[], "").body;
    assert!(metrics.contains("portcullis_") && !metrics.contains("pcl_"), "{metrics}");
    let stopped = Command::new("kill").args(["-TERM", &workspace.child.id().to_string()]).status().unwrap();
    assert!(stopped.success() && workspace.child.wait().unwrap().success());
    eventually("the end of the log", || workspace.log.lock().unwrap().contains("stop"));
    let secret = credentials.rsplit_once('=').unwrap().1;
    for log in [&workspace.log, &sidecar.log] {
        let log = log.lock().unwrap();
        assert!(!log.contains("pcl_") && !log.contains(secret), "{log}");
    }
}

#[test]
fn workspace_refuses_to_send_secrets_without_tls() {
    let folder = tempfile::tempdir().unwrap();
    for (args, want) in [
        (&["--listen", "0.0.0.0:0"][..], "other machines would send secrets without TLS"),
        (&["--listen", "0.0.0.0:0", "--public-url", "http://workspace.example.com"], "without TLS"),
        (&["--socket-mode", "660"], "`--socket-mode` applies only to Unix sockets"),
        (&["--db", "postgres"], "is not the URL of a registry"),
        (&["--user", ""], "expected the name of a user, found none"),
        (&["--catalog", "none.csv"], "cannot read"),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_portcullis"))
            .arg("workspace")
            .args(args)
            .args(if args.contains(&"--listen") { &[][..] } else { &["--listen", "127.0.0.1:0"] })
            .current_dir(folder.path())
            .env("PORTCULLIS_DB", "sqlite:registry.db")
            .output()
            .unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?}: {error}");
        assert!(error.contains(want), "{args:?}: {error}");
        assert!(!String::from_utf8(output.stdout).unwrap().contains("login"), "{args:?}");
    }
}
