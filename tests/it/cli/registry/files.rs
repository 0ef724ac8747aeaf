//! Commands on a registry that other processes have open while its files are replaced or removed.
#![cfg(unix)]

use std::fs;
use std::path::{Path, PathBuf};

use super::Dir;
use crate::registry::raw::{Raw, copy};

fn beside(path: &Path, suffix: &str) -> PathBuf {
    PathBuf::from(format!("{}{suffix}", path.display()))
}

type Fault = fn(&Path);

/// What happens to the files, and how a revocation afterwards may end.
const FAULTS: [(&str, Fault, &[i32]); 7] = [
    ("nothing", |_| (), &[0]),
    ("the log is removed", |path| fs::remove_file(beside(path, "-wal")).unwrap(), &[2]),
    ("the index is removed", |path| fs::remove_file(beside(path, "-shm")).unwrap(), &[2]),
    (
        "log and index are removed",
        |path| {
            fs::remove_file(beside(path, "-wal")).unwrap();
            fs::remove_file(beside(path, "-shm")).unwrap();
        },
        &[2],
    ),
    ("the database is removed", |path| fs::remove_file(path).unwrap(), &[2]),
    (
        "a copy is renamed over it",
        |path| {
            copy(path, &beside(path, ".copy"));
            fs::rename(beside(path, ".copy"), path).unwrap();
        },
        &[0, 2],
    ),
    (
        "a copy is renamed over it, log and index are removed",
        |path| {
            copy(path, &beside(path, ".copy"));
            fs::rename(beside(path, ".copy"), path).unwrap();
            fs::remove_file(beside(path, "-wal")).unwrap();
            fs::remove_file(beside(path, "-shm")).unwrap();
        },
        &[0],
    ),
];

/// The other process is one without the care of this version: what it does when it ends must not undo a revocation.
#[test]
fn a_revocation_that_reports_success_outlives_every_other_process() {
    for (fault, happen, codes) in FAULTS {
        for written in [false, true] {
            let dir = Dir::with_registry();
            let path = dir.path("registry.db");
            let create = "credentials create token --name map --connection dw --source a.b --apis maps --quiet";
            let secret = dir.ana(create).stdout(0).trim().to_owned();
            let mut other = Raw::open(&path);
            if written {
                // As a server that recorded usage and has not copied its log into the database yet.
                other.run("INSERT INTO usage SELECT id, 1, 0 FROM tokens").unwrap();
            }
            happen(&path);
            let ran = dir.ana("credentials revoke token map --force").run();
            assert!(codes.contains(&ran.code), "{fault}, {written}: {} {}", ran.code, ran.stderr);
            if ran.code == 2 {
                assert!(ran.stderr.contains("registry.db") && ran.stderr.contains("\nhelp: "), "{}", ran.stderr);
                assert_eq!(ran.stdout, "", "{fault}");
                continue;
            }
            drop(other);
            let args = "check --db sqlite:registry.db --token-env TOKEN --api maps --connection dw --resource a.b";
            let checked = dir.command(args).env("TOKEN", &secret).run();
            assert_eq!(checked.stdout, "deny: token_unknown (401)\n", "{fault}, {written}: {}", checked.stderr);
        }
    }
}

/// What the errors say to do works.
#[test]
fn a_registry_is_usable_again_once_the_other_process_has_ended() {
    for (fault, happen) in FAULTS.iter().filter(|(.., codes)| *codes == [2]).map(|(fault, happen, _)| (fault, happen)) {
        let dir = Dir::with_registry();
        let path = dir.path("registry.db");
        dir.ana("credentials create token --name map --connection dw --source a.b --apis maps").stdout(0);
        let kept = fs::read(&path).unwrap();
        let other = Raw::open(&path);
        happen(&path);
        dir.ana("credentials revoke token map").stderr();
        drop(other);
        if !path.exists() {
            fs::write(&path, kept).unwrap();
        }
        let _ = fs::remove_file(beside(&path, "-shm"));
        dir.ana("credentials revoke token map").stdout(0);
        assert_eq!(dir.ana("credentials list tokens --format json").stdout(0), "[]\n", "{fault}");
    }
}
