//! Commands on an open registry whose files are replaced or removed by other processes.
#![cfg(unix)]

use std::fs;
use std::path::{Path, PathBuf};

use super::Dir;
use crate::registry::raw::{Raw, copy};

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    PathBuf::from(format!("{}{suffix}", path.display()))
}

type Fault = fn(&Path);

/// Changes of the files, and the exit codes that a later revocation may have.
const FAULTS: [(&str, Fault, &[i32]); 7] = [
    ("nothing", |_| (), &[0]),
    ("the log is removed", |path| fs::remove_file(with_suffix(path, "-wal")).unwrap(), &[2]),
    ("the index is removed", |path| fs::remove_file(with_suffix(path, "-shm")).unwrap(), &[2]),
    (
        "log and index are removed",
        |path| {
            fs::remove_file(with_suffix(path, "-wal")).unwrap();
            fs::remove_file(with_suffix(path, "-shm")).unwrap();
        },
        &[2],
    ),
    ("the database is removed", |path| fs::remove_file(path).unwrap(), &[2]),
    (
        "a copy is renamed over it",
        |path| {
            copy(path, &with_suffix(path, ".copy"));
            fs::rename(with_suffix(path, ".copy"), path).unwrap();
        },
        &[0, 2],
    ),
    (
        "a copy is renamed over it, log and index are removed",
        |path| {
            copy(path, &with_suffix(path, ".copy"));
            fs::rename(with_suffix(path, ".copy"), path).unwrap();
            fs::remove_file(with_suffix(path, "-wal")).unwrap();
            fs::remove_file(with_suffix(path, "-shm")).unwrap();
        },
        &[0],
    ),
];

/// The other process is an older version. Its work at exit must not undo a revocation.
#[test]
fn successful_revocation_survives_other_processes() {
    for (fault, happen, codes) in FAULTS {
        for written in [false, true] {
            let dir = Dir::with_registry();
            let path = dir.path("registry.db");
            let create = "credentials create token --name map --connection dw --source a.b --apis maps --quiet";
            let secret = dir.ana(create).stdout(0).trim().to_owned();
            let mut other = Raw::open(&path);
            if written {
                // A server has recorded usage and has not copied the log into the database yet.
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

/// Proves that the help of the errors works.
#[test]
fn registry_works_again_after_the_other_process_ends() {
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
        let _ = fs::remove_file(with_suffix(&path, "-shm"));
        dir.ana("credentials revoke token map").stdout(0);
        assert_eq!(dir.ana("credentials list tokens --format json").stdout(0), "[]\n", "{fault}");
    }
}
