//! Usage of tokens, recorded in the registry that the path names now.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use portcullis::authorizer::{Authorizer, Usage};
use portcullis::{Options, Request, Snapshot};
use portcullis_registry::{Actor, Location, NewToken, Registry};
use portcullis_server::usage::UsageRecorder;

use super::util::{eventually, now};

fn beside(path: &Path, suffix: &str) -> PathBuf {
    PathBuf::from(format!("{}{suffix}", path.display()))
}

/// Copies a database in another process: closing a file that is read here would release this process's locks on it.
fn copy(from: &Path, to: &Path) {
    assert!(std::process::Command::new("cp").args([from, to]).status().unwrap().success());
}

fn without_log(path: &Path) {
    for suffix in ["-wal", "-shm"] {
        let _ = fs::remove_file(beside(path, suffix));
    }
}

type Replace = fn(&Path, &Path);

/// Ways in which the file of a registry is replaced by the file `next`.
const REPLACEMENTS: [(&str, Replace); 4] = [
    ("renamed over", |path, next| fs::rename(next, path).unwrap()),
    ("renamed over, without the old log", |path, next| {
        fs::rename(next, path).unwrap();
        without_log(path);
    }),
    ("removed, and restored later", |path, next| {
        fs::remove_file(path).unwrap();
        without_log(path);
        std::thread::sleep(Duration::from_millis(60));
        fs::rename(next, path).unwrap();
    }),
    ("only the log and its index removed", |path, _| without_log(path)),
];

#[test]
fn usage_is_recorded_in_the_registry_that_replaced_another() {
    for (how, replace) in REPLACEMENTS {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("registry.db");
        let location = Location::file(&path);
        let ana = Actor::new("ana", now()).unwrap();
        let mut registry = Registry::open(&location, true).unwrap();
        let new = NewToken { apis: vec!["lds".into()], ..NewToken::default() };
        let created = registry.create_token(&ana, &new).unwrap();
        let policy = portcullis_document::read_policy(registry.policy_document().unwrap()).unwrap();
        drop(registry);

        let usage = Usage::default();
        let authorizer = Authorizer::counting(usage.clone());
        authorizer.swap(Snapshot::compile(&policy, &Options::default()).unwrap());
        let recorder = UsageRecorder::start(location.clone(), usage, Duration::from_millis(10)).unwrap();
        let request = Request::new("lds", "").secret(created.secret.expose());
        let used = || assert!(authorizer.current().decide(&request, now()).is_allow());
        let counted = || {
            let mut registry = Registry::open(&location, false).ok()?;
            Some(registry.usage().ok()?.get(&created.token.id).map_or(0, |usage| usage.allowed))
        };
        used();
        eventually("the first use is recorded", || counted() == Some(1));
        let next = folder.path().join("next.db");
        copy(&path, &next);
        replace(&path, &next);
        for _ in 0..3 {
            used();
        }
        // A batch may be counted in both files if the file is replaced while the batch is written.
        eventually(how, || counted() >= Some(4));
        drop(recorder);
        assert!(counted() <= Some(8), "{how}");
    }
}
