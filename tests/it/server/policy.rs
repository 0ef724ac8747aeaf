//! Policies that change while a server uses them.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use portcullis::decision::Reason;
use portcullis_registry::{Actor, Location, NewToken, Registry};
use portcullis_server::policy::{LiveOptions, Origin, Outcome, Source, Timing};

use super::util::{SECRET, SetWhenDropped, denied, eventually, now, policy, serve};

/// Options with system events only: polling would find every change.
fn events_only() -> LiveOptions {
    let timing = Timing { poll: Duration::from_hours(1), ..Timing::default() };
    LiveOptions { timing, ..LiveOptions::default() }
}

/// Options with polling only, as on a file system without events.
fn polling_only() -> LiveOptions {
    let timing = Timing { watch: false, poll: Duration::from_millis(20), ..Timing::default() };
    LiveOptions { timing, ..LiveOptions::default() }
}

type Ways = &'static [(&'static str, fn(&Path), fn(&Path, &str))];

/// How a file is created, and how its text is replaced.
const WAYS: Ways = &[
    (
        "rename",
        |_| {},
        |folder, text| {
            fs::write(folder.join("new"), text).unwrap();
            fs::rename(folder.join("new"), folder.join("policy.json")).unwrap();
        },
    ),
    ("in place", |_| {}, |folder, text| fs::write(folder.join("policy.json"), text).unwrap()),
    (
        "in place, in pieces",
        |_| {},
        |folder, text| {
            let mut file = fs::File::create(folder.join("policy.json")).unwrap();
            for piece in text.as_bytes().chunks(97) {
                file.write_all(piece).unwrap();
                std::thread::sleep(Duration::from_millis(5));
            }
        },
    ),
    (
        "removed and made again",
        |_| {},
        |folder, text| {
            fs::remove_file(folder.join("policy.json")).unwrap();
            std::thread::sleep(Duration::from_millis(20));
            fs::write(folder.join("policy.json"), text).unwrap();
        },
    ),
    #[cfg(unix)]
    (
        "config map",
        |folder| config_map(folder, "one"),
        |folder, text| {
            // As Kubernetes does it: a new directory, and one rename of the link to it.
            fs::create_dir(folder.join("..two")).unwrap();
            fs::write(folder.join("..two/policy.json"), text).unwrap();
            std::os::unix::fs::symlink("..two", folder.join("..data_tmp")).unwrap();
            fs::rename(folder.join("..data_tmp"), folder.join("..data")).unwrap();
            fs::remove_dir_all(folder.join("..one")).unwrap();
        },
    ),
    #[cfg(unix)]
    (
        "in place, through a link",
        |folder| linked(folder),
        |folder, text| {
            fs::write(folder.join("elsewhere/real.json"), text).unwrap();
        },
    ),
];

#[cfg(unix)]
fn config_map(folder: &Path, version: &str) {
    let text = fs::read_to_string(folder.join("policy.json")).unwrap();
    fs::remove_file(folder.join("policy.json")).unwrap();
    fs::create_dir(folder.join(format!("..{version}"))).unwrap();
    fs::write(folder.join(format!("..{version}/policy.json")), text).unwrap();
    std::os::unix::fs::symlink(format!("..{version}"), folder.join("..data")).unwrap();
    std::os::unix::fs::symlink("..data/policy.json", folder.join("policy.json")).unwrap();
}

#[cfg(unix)]
fn linked(folder: &Path) {
    fs::create_dir(folder.join("elsewhere")).unwrap();
    fs::rename(folder.join("policy.json"), folder.join("elsewhere/real.json")).unwrap();
    std::os::unix::fs::symlink("elsewhere/real.json", folder.join("policy.json")).unwrap();
}

#[test]
fn every_way_to_replace_a_file_is_detected() {
    for (how, options) in [("events", events_only as fn() -> LiveOptions), ("polling", polling_only)] {
        for (way, make, replace) in WAYS {
            let folder = tempfile::tempdir().unwrap();
            let file = folder.path().join("policy.json");
            fs::write(&file, policy("one")).unwrap();
            make(folder.path());
            let (live, authorizer) = serve(&Source::files([&file]).unwrap(), options());
            assert_eq!(denied(&authorizer, "one"), None, "{way}, {how}");
            replace(folder.path(), &policy("two"));
            eventually(&format!("{way}, {how}"), || denied(&authorizer, "two").is_none());
            assert_eq!(denied(&authorizer, "one"), Some(Reason::SourceNotGranted));
            // And once more: the watch also covers the files that the first change created.
            fs::write(&file, policy("three")).unwrap();
            eventually(&format!("{way}, {how}, again"), || denied(&authorizer, "three").is_none());
            assert_eq!(live.status().report().failure, None, "{way}, {how}");
            assert_eq!(live.status().report().origin, Some(Origin::Source));
        }
    }
}

#[test]
fn half_of_a_file_never_becomes_the_policy() {
    // JSON Lines: every prefix of whole lines is a policy, only a smaller one.
    let token = |at: usize| format!(r#"{{"id": "t{at}", "token": "{SECRET}{at}", "allowed_apis": ["lds"]}}"#) + "\n";
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("policy.jsonl");
    let write = |tokens: usize, pause: Duration| {
        let mut file = fs::File::create(&file).unwrap();
        for at in 0..tokens {
            file.write_all(token(at).as_bytes()).unwrap();
            std::thread::sleep(pause);
        }
    };
    write(50, Duration::ZERO);
    let (live, authorizer) = serve(&Source::files([&file]).unwrap(), LiveOptions::default());
    let tokens = || authorizer.current().snapshot().unwrap().token_count();
    assert_eq!(tokens(), 50);
    std::thread::scope(|scope| {
        // Slower than the time for which a file must stay the same.
        let writer = scope.spawn(|| write(12, Duration::from_millis(120)));
        while !writer.is_finished() {
            assert_eq!(tokens(), 50);
            std::thread::sleep(Duration::from_millis(1));
        }
    });
    eventually("all of the new file", || tokens() == 12);
    // A reload is counted after its policy is active.
    eventually("the reload is reported", || live.status().report().reloads.count(Outcome::Loaded) == 2);
}

#[test]
fn continuously_replaced_file_is_still_read() {
    let folder = tempfile::tempdir().unwrap();
    let [file, new] = ["policy.json", "new"].map(|name| folder.path().join(name));
    fs::write(&file, policy("t0")).unwrap();
    let timing = Timing { patience: Duration::from_millis(300), ..Timing::default() };
    let options = LiveOptions { timing, ..LiveOptions::default() };
    let (live, authorizer) = serve(&Source::files([&file]).unwrap(), options);
    let (stop, replaced) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // The file never stays the same for as long as a file written in place must.
            while !stop.load(Ordering::Relaxed) {
                let next = replaced.load(Ordering::Relaxed) + 1;
                fs::write(&new, policy(&format!("t{next}"))).unwrap();
                fs::rename(&new, &file).unwrap();
                replaced.store(next, Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(10));
            }
        });
        let stop = SetWhenDropped(&stop);
        for _ in 0..3 {
            let (least, number) = (replaced.load(Ordering::Relaxed), authorizer.current().number());
            eventually("another policy", || authorizer.current().number() > number);
            // One of the policies that the file held since.
            eventually("a policy that was put there meanwhile", || {
                (least..=replaced.load(Ordering::Relaxed) + 1)
                    .any(|at| denied(&authorizer, &format!("t{at}")).is_none())
            });
        }
        drop(stop);
    });
    assert_eq!(live.status().report().reloads.count(Outcome::Failed), 0);
    let last = format!("t{}", replaced.load(Ordering::Relaxed));
    eventually("the last one", || denied(&authorizer, &last).is_none());
}

#[test]
#[cfg(unix)]
fn irregular_file_is_reported_without_blocking() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("policy.json");
    fs::write(&file, policy("one")).unwrap();
    let (live, authorizer) = serve(&Source::files([&file]).unwrap(), LiveOptions::default());
    fs::remove_file(&file).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(&file).status().unwrap().success());
    eventually("the pipe is reported", || {
        live.status().report().failure.is_some_and(|failure| failure.problems[0].contains("not a regular file"))
    });
    assert_eq!(denied(&authorizer, "one"), None);
    fs::remove_file(&file).unwrap();
    fs::write(&file, policy("two")).unwrap();
    eventually("a file again", || denied(&authorizer, "two").is_none());
}

/// Options with a read that takes as long as `settle`: a disk that answers late, or never.
fn slow(folder: &Path, settle: Duration) -> LiveOptions {
    let timing = Timing { settle, stall: Duration::from_millis(200), ..Timing::default() };
    LiveOptions { timing, state_dir: Some(folder.join("state")), ..LiveOptions::default() }
}

#[test]
fn hung_read_is_reported_and_delays_neither_start_nor_stop() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("policy.json");
    fs::write(&file, policy("one")).unwrap();
    let source = Source::files([&file]).unwrap();
    drop(serve(&source, slow(folder.path(), Duration::ZERO)));

    let started = Instant::now();
    let (live, authorizer) = serve(&source, slow(folder.path(), Duration::from_hours(1)));
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    let report = live.status().report();
    assert_eq!((report.origin, report.stalled_since.is_some()), (Some(Origin::Saved), true));
    assert_eq!(denied(&authorizer, "one"), None, "what was saved decides");
    // Every caller that waits for a reload learns that it failed, at each attempt.
    for _ in 0..3 {
        live.reload();
        std::thread::sleep(Duration::from_millis(300));
    }
    assert!(live.status().report().reloads.count(Outcome::Failed) >= 1);
    let started = Instant::now();
    drop(live);
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
    // The state directory is free again.
    drop(serve(&source, slow(folder.path(), Duration::ZERO)));
}

#[test]
fn a_slow_read_is_reported_until_it_ends_and_its_policy_is_used() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("policy.json");
    fs::write(&file, policy("one")).unwrap();
    let (live, authorizer) = serve(&Source::files([&file]).unwrap(), slow(folder.path(), Duration::from_secs(2)));
    assert!(live.status().report().stalled_since.is_some());
    assert_eq!(denied(&authorizer, "one"), Some(Reason::PolicyUnavailable));
    eventually("the policy is read", || denied(&authorizer, "one").is_none());
    fs::write(&file, policy("two")).unwrap();
    eventually("the next one", || denied(&authorizer, "two").is_none());
    eventually("nothing is stalled", || live.status().report().stalled_since.is_none());
    assert_eq!(denied(&authorizer, "one"), Some(Reason::SourceNotGranted));
}

#[test]
fn files_of_one_policy_are_read_as_of_one_moment() {
    let folder = tempfile::tempdir().unwrap();
    let [one, two, new] = ["one.json", "two.json", "new"].map(|name| folder.path().join(name));
    fs::write(&one, r#"{"connections": [{"name": "beside", "dialect": "postgres"}], "tokens": []}"#).unwrap();
    fs::write(&two, policy("t0")).unwrap();
    // Longer than the writer below ever waits for a processor.
    let settle = Duration::from_millis(300);
    let timing = Timing { patience: Duration::from_millis(300), settle, ..Timing::default() };
    let options = LiveOptions { timing, ..LiveOptions::default() };
    let (live, authorizer) = serve(&Source::files([&one, &two]).unwrap(), options);
    assert_eq!((live.status().report().failure, denied(&authorizer, "t0")), (None, None));
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                fs::write(&new, policy("t1")).unwrap();
                fs::rename(&new, &two).unwrap();
                std::thread::sleep(Duration::from_millis(10));
            }
        });
        let stop = SetWhenDropped(&stop);
        eventually("it is reported", || {
            live.status().report().failure.is_some_and(|failure| failure.problems[0].contains("replace them together"))
        });
        assert_eq!(denied(&authorizer, "t0"), None, "the last good one stays");
        drop(stop);
    });
    eventually("when it has become quiet", || denied(&authorizer, "t1").is_none());
}

#[test]
fn failed_reload_keeps_last_good_policy_and_reports_why() {
    let cases = [
        ("not JSON", "{", "json_syntax"),
        ("empty", "", ""),
        ("not UTF-8", "\u{0}", ""),
        (
            "a rule broken",
            r#"[{"id": "a", "token": "s3cr3t-of-the-test", "allowed_apis": ["mops"]}]"#,
            "unknown API `mops`",
        ),
        (
            "a secret in the wrong place",
            r#"[{"id": "a", "tokn": "s3cr3t-of-the-test", "allowed_apis": ["lds"]}]"#,
            "unknown field",
        ),
    ];
    for (case, text, problem) in cases {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("policy.json");
        fs::write(&file, policy("good")).unwrap();
        let (live, authorizer) = serve(&Source::files([&file]).unwrap(), LiveOptions::default());
        fs::write(&file, text).unwrap();
        eventually(case, || live.status().report().failure.is_some());
        let report = live.status().report();
        let failure = report.failure.clone().unwrap();
        assert!(failure.problems.iter().any(|found| found.contains(problem)), "{case}: {failure:?}");
        assert!(!serde_json::to_string(&report).unwrap().contains(SECRET), "{case}: {report:?}");
        assert!(live.status().is_ready(), "{case}");
        assert_eq!((authorizer.current().number(), denied(&authorizer, "good")), (1, None), "{case}");

        // The same policy again equals the active one: nothing is swapped, and the failure is cleared.
        fs::write(&file, policy("good")).unwrap();
        eventually(case, || live.status().report().failure.is_none());
        assert_eq!(authorizer.current().number(), 1, "{case}");
    }
}

#[test]
fn requests_are_denied_until_the_first_policy() {
    let folder = tempfile::tempdir().unwrap();
    // The directory does not exist either.
    let file = folder.path().join("later/policy.json");
    let (live, authorizer) = serve(&Source::files([&file]).unwrap(), LiveOptions::default());
    assert!(!live.status().is_ready());
    assert_eq!(denied(&authorizer, "one"), Some(Reason::PolicyUnavailable));
    assert!(live.status().report().failure.unwrap().problems[0].contains("later/policy.json"));
    fs::create_dir(folder.path().join("later")).unwrap();
    fs::write(&file, policy("one")).unwrap();
    eventually("there at last", || denied(&authorizer, "one").is_none());
    eventually("ready", || live.status().is_ready());
}

#[test]
fn skip_invalid_leaves_out_invalid_tokens() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("policy.json");
    let text =
        r#"[{"id": "a", "token": "x", "allowed_apis": ["lds"]}, {"id": "b", "token": "y", "allowed_apis": ["mops"]}]"#;
    fs::write(&file, text).unwrap();
    let source = Source::files([&file]).unwrap();
    assert!(!serve(&source, LiveOptions::default()).0.status().is_ready());
    let (live, authorizer) = serve(&source, LiveOptions { skip_invalid: true, ..LiveOptions::default() });
    assert_eq!(live.status().report().left_out, 1);
    assert_eq!(authorizer.current().snapshot().unwrap().token_count(), 1);
}

#[test]
fn requested_reloads_run_one_at_a_time_and_report_their_outcome() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("policy.json");
    fs::write(&file, policy("one")).unwrap();
    let (live, authorizer) = serve(&Source::files([&file]).unwrap(), events_only());
    assert_eq!(live.reload_now(), Outcome::Unchanged);
    fs::write(&file, policy("two")).unwrap();
    assert_eq!(live.reload_now(), Outcome::Loaded);
    assert_eq!(denied(&authorizer, "two"), None);
    fs::remove_file(&file).unwrap();
    assert_eq!(live.reload_now(), Outcome::Failed);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| assert_eq!(live.reload_now(), Outcome::Failed));
        }
    });
    assert_eq!(authorizer.current().number(), 2);
}

#[test]
fn requested_reload_reads_the_contents_at_the_time_of_the_request() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("policy.json");
    fs::write(&file, policy("t0")).unwrap();
    // Some other read is nearly always in progress.
    let timing =
        Timing { watch: false, poll: Duration::from_millis(1), settle: Duration::from_millis(10), ..Timing::default() };
    let (live, authorizer) = serve(&Source::files([&file]).unwrap(), LiveOptions { timing, ..LiveOptions::default() });
    for next in 1..=40 {
        let table = format!("t{next}");
        fs::write(folder.path().join("new"), policy(&table)).unwrap();
        fs::rename(folder.path().join("new"), &file).unwrap();
        std::thread::sleep(Duration::from_millis(next % 14));
        assert_ne!(live.reload_now(), Outcome::Failed);
        assert_eq!(denied(&authorizer, &table), None);
    }
}

fn new_token(table: &str) -> NewToken {
    NewToken { grants: vec![("dw".into(), format!("db.{table}"))], apis: vec!["maps".into()], ..NewToken::default() }
}

#[test]
fn a_change_of_a_registry_is_live() {
    let folder = tempfile::tempdir().unwrap();
    let location = Location::file(folder.path().join("registry.db"));
    let ana = Actor::new("ana", now()).unwrap();
    // Another connection, as in another process.
    let mut registry = Registry::open(&location, true).unwrap();
    registry.add_connection(&ana, "dw", "postgres", None, false).unwrap();
    let (live, authorizer) = serve(&Source::registry(location.clone()), LiveOptions::default());
    let tokens = || authorizer.current().snapshot().map_or(0, portcullis::Snapshot::token_count);
    assert!(live.status().is_ready());
    let mut slowest = Duration::ZERO;
    for count in 1..=10 {
        registry.create_token(&ana, &new_token("one")).unwrap();
        slowest = slowest.max(eventually("a new token", || tokens() == count));
    }
    eprintln!("a change of the registry was live after {slowest:?} at the latest");
    eventually("the first policy and each change", || live.status().report().reloads.count(Outcome::Loaded) >= 11);

    // The registry is gone: the active policy stays. Another registry replaces it.
    drop(registry);
    fs::rename(location.path().unwrap(), folder.path().join("away.db")).unwrap();
    // The log belongs to its database; SQLite would read it as that of the other one.
    for log in ["registry.db-wal", "registry.db-shm"] {
        let _ = fs::remove_file(folder.path().join(log));
    }
    eventually("the registry is gone", || live.status().report().failure.is_some());
    assert_eq!(tokens(), 10);
    let other = Location::file(folder.path().join("other.db"));
    let mut registry = Registry::open(&other, true).unwrap();
    registry.add_connection(&ana, "dw", "postgres", None, false).unwrap();
    registry.create_token(&ana, &new_token("two")).unwrap();
    drop(registry);
    fs::rename(other.path().unwrap(), location.path().unwrap()).unwrap();
    eventually("another registry", || tokens() == 1);
    assert_eq!(live.status().report().failure, None);
}

#[test]
fn a_change_by_the_command_in_another_process_is_live() {
    let folder = tempfile::tempdir().unwrap();
    let database = format!("sqlite:{}", folder.path().join("registry.db").display());
    let portcullis = |args: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_portcullis"));
        let output = command.args(args).args(["--db", &database, "--user", "ana"]).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    portcullis(&["connections", "add", "dw", "--dialect", "postgres"]);
    let (_live, authorizer) = serve(&Source::registry(database.parse().unwrap()), LiveOptions::default());
    let create = ["credentials", "create", "token", "--name", "map", "--connection", "dw", "--source", "db.t"];
    let secret = portcullis(&[create.as_slice(), &["--apis", "maps", "--quiet"]].concat());
    let denied = || {
        let source = portcullis::decision::Source::Resource("db.t");
        let request = portcullis::Request::new("maps", "dw").secret(&secret).source(source);
        authorizer.current().decide(&request, now()).reason()
    };
    let created = eventually("the token that was created", || denied().is_none());
    portcullis(&["credentials", "revoke", "token", "map"]);
    let revoked = eventually("the token that was revoked", || denied() == Some(Reason::TokenUnknown));
    eprintln!("live after the command had ended: created {created:?}, revoked {revoked:?}");
}
