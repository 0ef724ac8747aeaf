//! The decision log: the contents of lines, and their handling when there is no room.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use portcullis::decision::{Decision, Reason, Request, Source};
use portcullis::model::Operation;
use portcullis_server::decision_log::{DecisionLog, LogCounts, LogOptions, QueryTexts, Target, WhenFull};
use portcullis_server::{Decided, Ids};
use serde_json::{Value, json};

use super::util::{SECRET, now};

/// The id of a trace.
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

/// One decided request.
fn decided<'a>(request: Option<&'a Request<'a>>, decision: &'a Decision<'a>) -> Decided<'a> {
    Decided {
        at: now(),
        evaluated_at: None,
        ids: Ids::default(),
        generation: 1,
        token_id: None,
        request,
        decision,
        took: Duration::from_nanos(5),
    }
}

/// Returns the lines that the log writes while `write` uses it.
fn lines(options: LogOptions, write: impl FnOnce(&DecisionLog)) -> (Vec<Value>, LogCounts) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("log.jsonl");
    let log = DecisionLog::open(&Target::File(file.clone()), options).unwrap();
    write(&log);
    log.close();
    let text = fs::read_to_string(file).unwrap();
    assert!(!text.contains(SECRET), "{text}");
    assert!(text.is_empty() || text.ends_with('\n'));
    (text.lines().map(|line| serde_json::from_str(line).unwrap()).collect(), log.counts())
}

#[test]
fn sources_and_referers_are_logged_without_private_data() {
    let (hidden, shown) = (QueryTexts::Hidden, QueryTexts::Shown);
    let sha = "e004ebd5b5532a4b85984a62f8ad48a81aa3460c1ca07701f386135d72cdecf5";
    let long = "x".repeat((1 << 20) + 1);
    let sources = [
        (hidden, Source::Resource("db.t"), json!({"resource": "db.t"})),
        (hidden, Source::NamedSource("daily"), json!({"named_source": "daily"})),
        (hidden, Source::Query(" SELECT   1;"), json!({"query_sha256": sha})),
        (shown, Source::Query(" SELECT   1;"), json!({"query": " SELECT   1;"})),
        (hidden, Source::Query(&long), json!({"query_bytes": (1 << 20) + 1})),
        (shown, Source::Query(&long), json!({"query_bytes": (1 << 20) + 1})),
        (hidden, Source::Query(" ;"), json!({"query": ""})),
    ];
    let denied = Decision::Deny(Reason::SourceNotGranted);
    for (queries, source, expected) in sources {
        let request = Request::new("sql", "dw").secret(SECRET).source(source);
        let options = LogOptions { queries, ..LogOptions::default() };
        let found = lines(options, |log| log.record(&decided(Some(&request), &denied))).0;
        assert_eq!(found[0]["sources"], json!([expected]));
    }
    let referers = [
        ("https://app.example.com/", json!("https://app.example.com/"), Value::Null),
        ("https://app.example.com", json!("https://app.example.com/"), Value::Null),
        ("https://APP.example.com:443/a/b?s3cr3t=1#x", json!("https://app.example.com/"), json!(true)),
        ("http://localhost:8080/x", json!("http://localhost:8080/"), json!(true)),
        ("https://user:s3cr3t-of-the-test@example.com/", json!("unreadable"), Value::Null),
        ("not a URL", json!("unreadable"), Value::Null),
        ("", Value::Null, Value::Null),
    ];
    for (header, referer, cut) in referers {
        let request = Request::new("lds", "").referer(header);
        let found = lines(LogOptions::default(), |log| log.record(&decided(Some(&request), &denied))).0;
        assert_eq!((&found[0]["referer"], &found[0]["referer_cut"]), (&referer, &cut), "{header}");
    }
}

#[test]
fn line_holds_the_decision_and_nothing_else() {
    let denied = Decision::Deny(Reason::TokenExpired);
    let request = Request::new("sql", "dw").secret(SECRET).operation(Operation::Model).source(Source::Resource("a.b"));
    let whole = Decided {
        ids: Ids { request: Some("r\"1"), trace: Some(TRACE) },
        token_id: Some("tok"),
        ..decided(Some(&request), &denied)
    };
    let named = Decided { evaluated_at: Some("9999-12-31".parse().unwrap()), ..decided(None, &denied) };
    let not_understood = Decision::Deny(Reason::RequestNotUnderstood);
    let found = lines(LogOptions::default(), |log| {
        log.record(&whole);
        log.record(&decided(None, &not_understood));
        log.record(&named);
    });
    let expected = [
        json!({"log": 1, "time": "2026-11-24T12:00:00Z", "id": "r\"1", "trace_id": TRACE, "generation": 1, "token_id": "tok", "api": "sql",
            "operation": "model", "connection": "dw", "sources": [{"resource": "a.b"}], "decision": "deny",
            "reason": "token_expired", "status": 401, "ns": 5}),
        json!({"log": 1, "time": "2026-11-24T12:00:00Z", "generation": 1, "decision": "deny",
            "reason": "request_not_understood", "status": 403, "ns": 5}),
        json!({"log": 1, "time": "2026-11-24T12:00:00Z", "evaluated_at": "9999-12-31T00:00:00Z", "generation": 1, "decision": "deny",
            "reason": "token_expired", "status": 401, "ns": 5}),
    ];
    assert_eq!(found.0, expected);
    assert_eq!(found.1, LogCounts { written: 3, ..LogCounts::default() });
}

/// Calls `observe` with an allowed request: only a snapshot can allow.
fn allowing(observe: impl FnOnce(&Request<'_>, &Decision<'_>)) {
    let policy = portcullis_document::read_policy(super::util::policy("t")).unwrap();
    let snapshot = portcullis::Snapshot::compile(&policy, &portcullis::Options::default()).unwrap();
    let request = Request::new("maps", "dw").secret(SECRET).source(Source::Resource("db.t"));
    let decision = portcullis::decide(&snapshot, &request, now());
    assert!(decision.is_allow());
    observe(&request, &decision);
}

#[test]
fn allows_are_sampled_and_denials_never_are() {
    let denied = Decision::Deny(Reason::TokenMissing);
    allowing(|request, allowed| {
        for (share, least, most) in [("0", 0, 0), ("0.01", 50, 150), ("0.5", 4_500, 5_500), ("1", 10_000, 10_000)] {
            let options = LogOptions { sample_allows: share.parse().unwrap(), ..LogOptions::default() };
            let (found, counts) = lines(options, |log| {
                for _ in 0..10_000 {
                    log.record(&decided(Some(request), allowed));
                }
                for _ in 0..10 {
                    log.record(&decided(Some(request), &denied));
                }
            });
            let allows = found.iter().filter(|line| line["decision"] == "allow").count();
            assert!((least..=most).contains(&allows), "{allows} of 10000 at {share}");
            assert_eq!(found.len() - allows, 10);
            assert_eq!((counts.written + counts.left_out, counts.dropped), (10_010, 0));
            let sample = if share == "1" { Value::Null } else { json!(share.parse::<f64>().unwrap()) };
            assert!(found.iter().all(|line| line["decision"] == "deny" || line["sample"] == sample));
        }
    });
}

/// A pipe without a reader: writing to it blocks.
#[cfg(unix)]
fn pipe(folder: &Path) -> std::path::PathBuf {
    let path = folder.join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    path
}

#[test]
#[cfg(unix)]
fn lines_beyond_the_queue_are_dropped_and_counted_or_wait() {
    let request = Request::new("lds", "");
    for when_full in [WhenFull::Drop, WhenFull::Block] {
        const LINES: u64 = 20_000;
        let folder = tempfile::tempdir().unwrap();
        let path = pipe(folder.path());
        // Opened for reading and writing. It is read only after all lines are recorded, or when there is no more room.
        let mut reader = fs::OpenOptions::new().read(true).write(true).open(&path).unwrap();
        let options = LogOptions { when_full, queue_bytes: 4096, ..LogOptions::default() };
        let log = Arc::new(DecisionLog::open(&Target::File(path), options).unwrap());
        let teller = Arc::clone(&log);
        let telling = std::thread::spawn(move || {
            let denied = Decision::Deny(Reason::TokenMissing);
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            for _ in 0..LINES {
                runtime.block_on(teller.room());
                teller.record(&decided(Some(&request), &denied));
            }
        });
        if when_full == WhenFull::Drop {
            // No request waits for a log without a reader.
            telling.join().unwrap();
            assert!(log.counts().dropped > 0);
        } else {
            assert_eq!(log.counts().dropped, 0);
            drop(telling);
        }
        let counting = Arc::clone(&log);
        std::thread::spawn(move || {
            let mut buffer = [0; 1 << 12];
            while reader.read(&mut buffer).is_ok_and(|read| read > 0) {}
        });
        super::util::eventually("all lines are written or dropped", || {
            let LogCounts { written, dropped, .. } = counting.counts();
            written + dropped == LINES
        });
        assert_eq!(log.counts().failed, 0);
        assert!((log.counts().dropped == 0) == (when_full == WhenFull::Block));
    }
}

#[test]
#[cfg(target_os = "linux")]
fn lines_that_cannot_be_written_are_counted() {
    let denied = Decision::Deny(Reason::TokenMissing);
    let log = DecisionLog::open(&Target::File("/dev/full".into()), LogOptions::default()).unwrap();
    for _ in 0..100 {
        log.record(&decided(None, &denied));
    }
    log.close();
    assert_eq!(log.counts(), LogCounts { failed: 100, ..LogCounts::default() });
    // After the log is closed, lines are not written, but counted.
    log.record(&decided(None, &denied));
    assert_eq!(log.counts().dropped, 1);
}

#[test]
fn reopen_after_rename_writes_to_a_new_file() {
    let folder = tempfile::tempdir().unwrap();
    let (file, old) = (folder.path().join("log.jsonl"), folder.path().join("log.jsonl.1"));
    let log = DecisionLog::open(&Target::File(file.clone()), LogOptions::default()).unwrap();
    let denied = Decision::Deny(Reason::TokenMissing);
    let record =
        |id: &str| log.record(&Decided { ids: Ids { request: Some(id), trace: None }, ..decided(None, &denied) });
    record("one");
    fs::rename(&file, &old).unwrap();
    record("two");
    log.reopen();
    super::util::eventually("the file is made again", || file.exists());
    record("three");
    log.close();
    let ids = |path| -> Vec<String> {
        let text = fs::read_to_string(path).unwrap();
        let id = |line: &str| serde_json::from_str::<Value>(line).unwrap()["id"].as_str().unwrap().to_owned();
        text.lines().map(id).collect()
    };
    assert_eq!((ids(&old), ids(&file)), (vec!["one".to_owned(), "two".to_owned()], vec!["three".to_owned()]));
}

#[cfg(unix)]
#[test]
fn log_is_never_appended_to_an_input() {
    type Link = fn(&Path, &Path) -> std::io::Result<()>;
    let links: [Link; 2] =
        [|input, log| fs::hard_link(input, log), |input, log| std::os::unix::fs::symlink(input, log)];
    for link in links {
        let folder = tempfile::tempdir().unwrap();
        let [file, old, input, linked] = ["log", "log.1", "policy.json", "linked"].map(|name| folder.path().join(name));
        fs::write(&input, "[]").unwrap();
        link(&input, &linked).unwrap();
        let options = LogOptions { inputs: vec![input.clone()], ..LogOptions::default() };
        for name in [&input, &linked] {
            let error = DecisionLog::open(&Target::File(name.clone()), options.clone()).unwrap_err();
            assert!(error.to_string().contains("policy.json`, which the server reads"), "{error}");
        }
        let log = DecisionLog::open(&Target::File(file.clone()), options).unwrap();
        let denied = Decision::Deny(Reason::TokenMissing);
        let record = |count| {
            log.record(&decided(None, &denied));
            super::util::eventually("the line is written", || log.counts().written == count);
        };
        record(1);
        // A rotation frees the name of the log, which then refers to the policy.
        fs::rename(&file, &old).unwrap();
        link(&input, &file).unwrap();
        log.reopen();
        record(2);
        record(3);
        log.close();
        assert_eq!(fs::read_to_string(&input).unwrap(), "[]");
        assert_eq!(fs::read_to_string(&old).unwrap().lines().count(), 3);
    }
}

#[test]
fn log_is_appended_only_to_a_decision_log() {
    let folder = tempfile::tempdir().unwrap();
    let [file, old] = ["log", "log.1"].map(|name| folder.path().join(name));
    let log = DecisionLog::open(&Target::File(file.clone()), LogOptions::default()).unwrap();
    let denied = Decision::Deny(Reason::TokenMissing);
    let mut lines = 0;
    let mut record = || {
        lines += 1;
        log.record(&decided(None, &denied));
        super::util::eventually("the line is written", || log.counts().written == lines);
    };
    record();
    let line = fs::read(&file).unwrap();
    fs::rename(&file, &old).unwrap();
    for (content, is_log) in [
        (&b""[..], true),
        (&line, true),
        (br#"{"log":1,"time":"2026-11-24T12:00:00Z","#, true),
        // A disk that was full left a part of the first line.
        (br#"{"lo"#, true),
        (b"SQLite format 3\0", false),
        (br#"[{"id": "a"}]"#, false),
        (br#"{"tokens":[]}"#, false),
        (br#"{"logs":[]}"#, false),
        (b"\n", false),
        (b"#!/bin/sh\n", false),
        (b"2026-11-24 server started\n", false),
        (b"\x1f\x8b\x08", false),
        (b"\0", false),
    ] {
        let shown = String::from_utf8_lossy(content).into_owned();
        fs::write(&file, content).unwrap();
        let opened = DecisionLog::open(&Target::File(file.clone()), LogOptions::default());
        assert_eq!(opened.is_ok(), is_log, "{shown}");
        if let Err(error) = opened {
            assert!(error.to_string().contains("not a decision log; help: "), "{error}");
        }
        // After a rotation the log continues in the old file.
        let before = fs::read(&old).unwrap().len();
        log.reopen();
        record();
        if is_log {
            assert!(fs::read(&file).unwrap().len() > content.len(), "{shown}");
            fs::rename(&file, &old).unwrap();
        } else {
            assert_eq!(fs::read(&file).unwrap(), content, "{shown}");
            assert!(fs::read(&old).unwrap().len() > before, "{shown}");
            fs::remove_file(&file).unwrap();
        }
    }
}

#[cfg(unix)]
#[test]
fn reopening_a_pipe_without_a_reader_continues_in_the_old_file() {
    /// More than a pipe holds.
    const MORE: u64 = 2000;
    let folder = tempfile::tempdir().unwrap();
    let (file, old) = (folder.path().join("pipe"), folder.path().join("old"));
    let log = DecisionLog::open(&Target::File(file.clone()), LogOptions::default()).unwrap();
    let denied = Decision::Deny(Reason::TokenMissing);
    let record = |count| {
        log.record(&decided(None, &denied));
        super::util::eventually("the line is written", || log.counts().written == count);
    };
    fs::rename(&file, &old).unwrap();
    pipe(folder.path());
    log.reopen();
    record(1);
    record(2);
    assert_eq!(fs::read_to_string(&old).unwrap().lines().count(), 2);
    // With a reader, the log continues in the pipe, and waits while the pipe is full.
    let mut reader = fs::OpenOptions::new().read(true).write(true).open(&file).unwrap();
    log.reopen();
    record(3);
    (0..MORE).for_each(|_| log.record(&decided(None, &denied)));
    std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(300));
        let mut buffer = [0; 1 << 12];
        while reader.read(&mut buffer).is_ok_and(|read| read > 0) {}
    });
    super::util::eventually("all lines are written", || log.counts().written + log.counts().failed == 3 + MORE);
    assert_eq!(log.counts(), LogCounts { written: 3 + MORE, ..LogCounts::default() });
}

#[test]
fn open_fails_if_the_file_cannot_be_opened() {
    let target = Target::File("/nowhere/at/all/log.jsonl".into());
    assert!(DecisionLog::open(&target, LogOptions::default()).is_err());
}

#[test]
fn replay_decides_at_the_named_instant() {
    use portcullis_http::wire::ReplayRequest;
    let read = |more: &str| {
        ReplayRequest::read(format!(r#"{{"log": 1, "api": "lds", {more}}}"#).as_bytes())
            .map(|it| (it.at(), it.is_use()))
    };
    let (time, instant) = ("\"time\": \"2026-11-24\"", "\"evaluated_at\": \"2030-01-01\"");
    let at = |text: &str| Some(text.parse().unwrap());
    assert_eq!(read(time), Ok((at("2026-11-24"), true)));
    assert_eq!(read(&format!("{time}, {instant}")), Ok((at("2030-01-01"), false)));
    assert_eq!(read(&format!("{instant}, {time}")), Ok((at("2030-01-01"), false)));
    assert!(read(&format!("{instant}, \"now\": \"2026-11-24\"")).is_err());
}

#[test]
#[cfg(target_os = "linux")]
fn requests_waiting_for_the_log_hold_no_threads() {
    use super::running::ask;
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("policy.json"), super::util::policy("t")).unwrap();
    let path = pipe(folder.path());
    let mut reader = fs::OpenOptions::new().read(true).write(true).open(&path).unwrap();
    let log = ["--log", path.to_str().unwrap(), "--log-when-full", "block", "--log-queue", "1"];
    let server =
        super::binary::start(folder.path(), &[&log[..], &["--request-timeout", "2", "--threads", "2"]].concat());
    let status = format!("/proc/{}/status", server.child.id());
    let threads = || -> usize {
        let status = fs::read_to_string(&status).unwrap();
        status.lines().find_map(|line| line.strip_prefix("Threads:")).unwrap().trim().parse().unwrap()
    };
    let before = threads();
    let list = json!(vec![json!({"api": "lds"}); 1000]).to_string();
    let statuses = std::thread::scope(|scope| {
        let asking: Vec<_> =
            (0..100).map(|_| scope.spawn(|| ask(server.listen, "POST /v1/decide", &[], &list).status)).collect();
        while !asking.iter().all(std::thread::ScopedJoinHandle::is_finished) {
            assert!(threads() <= before + 1, "{} threads, and {before} before", threads());
            assert_eq!(ask(server.admin, "GET /healthz", &[], "").status, 200);
            std::thread::sleep(Duration::from_millis(20));
        }
        asking.into_iter().map(|asking| asking.join().unwrap()).collect::<Vec<_>>()
    });
    assert!(statuses.contains(&503), "the pipe takes everything: {statuses:?}");
    std::thread::spawn(move || {
        let mut buffer = [0; 1 << 12];
        while reader.read(&mut buffer).is_ok_and(|read| read > 0) {}
    });
    super::util::eventually("the log is written again", || {
        ask(server.listen, "POST /v1/decide", &[], r#"{"api": "lds"}"#).status == 200
    });
}
