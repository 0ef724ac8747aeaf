//! Registries whose files are replaced, removed or copied while they are in use.
#![cfg(unix)]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use portcullis_registry::record::Usage;
use portcullis_registry::{Actor, Location, NewToken, Registry, RegistryError, TokenEdit};

use super::raw::{Raw, copy};

fn ana() -> Actor {
    Actor::new("ana", "2026-11-22T12:00:00Z".parse().unwrap()).unwrap()
}

fn new() -> NewToken {
    NewToken { apis: vec!["lds".into()], ..NewToken::default() }
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    PathBuf::from(format!("{}{suffix}", path.display()))
}

type Fault = fn(&Path);

/// Faults in the files of an open registry.
const FAULTS: [(&str, Fault); 9] = [
    ("the log is removed", |path| fs::remove_file(beside(path, "-wal")).unwrap()),
    ("the index is removed", |path| fs::remove_file(beside(path, "-shm")).unwrap()),
    ("log and index are removed", |path| {
        fs::remove_file(beside(path, "-wal")).unwrap();
        fs::remove_file(beside(path, "-shm")).unwrap();
    }),
    ("the log is replaced by an empty one", |path| {
        fs::remove_file(beside(path, "-wal")).unwrap();
        fs::write(beside(path, "-wal"), "").unwrap();
    }),
    ("the database is removed", |path| fs::remove_file(path).unwrap()),
    ("all files are removed", |path| {
        for suffix in ["", "-wal", "-shm"] {
            fs::remove_file(beside(path, suffix)).unwrap();
        }
    }),
    ("a copy is renamed over it", |path| {
        copy(path, &beside(path, ".copy"));
        fs::rename(beside(path, ".copy"), path).unwrap();
    }),
    ("a copy is renamed over it, log and index are removed", |path| {
        copy(path, &beside(path, ".copy"));
        fs::rename(beside(path, ".copy"), path).unwrap();
        fs::remove_file(beside(path, "-wal")).unwrap();
        fs::remove_file(beside(path, "-shm")).unwrap();
    }),
    ("its folder is renamed", |path| {
        let folder = path.parent().unwrap();
        fs::rename(folder, folder.with_extension("old")).unwrap();
    }),
];

type Write = fn(&mut Registry, &str) -> Result<(), RegistryError>;

const WRITES: [(&str, Write); 7] = [
    ("delete", |registry, id| registry.delete_token(&ana(), id, true).map(drop)),
    ("rotate", |registry, id| registry.rotate_token(&ana(), id, None, None).map(drop)),
    ("update", |registry, id| {
        let edit = TokenEdit { name: Some("other".into()), ..TokenEdit::default() };
        registry.update_token(&ana(), id, &edit).map(drop)
    }),
    ("create", |registry, _| registry.create_token(&ana(), &new()).map(drop)),
    ("add a connection", |registry, _| registry.add_connection(&ana(), "dw", "generic", None, false).map(drop)),
    ("create a named source", |registry, _| registry.create_named_source(&ana(), "abc", "SELECT 1", None).map(drop)),
    ("record usage", |registry, id| {
        registry.record_usage(&[Usage { token: id.to_owned(), allowed: 1, last_used: "2026-11-22".parse().unwrap() }])
    }),
];

#[test]
fn write_fails_after_registry_files_were_replaced() {
    for (fault, happen) in FAULTS {
        for (name, write) in WRITES {
            let dir = tempfile::tempdir().unwrap();
            let folder = dir.path().join("data");
            fs::create_dir(&folder).unwrap();
            let path = folder.join("registry.db");
            let mut registry = Registry::open(&Location::file(&path), true).unwrap();
            let id = registry.create_token(&ana(), &new()).unwrap().token.id;
            happen(&path);
            let error = write(&mut registry, &id).expect_err(&format!("{fault}: {name}"));
            assert!(matches!(error, RegistryError::Storage(_)), "{fault}: {name}: {error}");
            assert!(error.to_string().contains("registry.db"), "{fault}: {name}: {error}");
            // Reads fail, too: the open files are not those that the path names.
            assert!(registry.policy_document().is_err() && registry.data_version().is_err(), "{fault}");
        }
    }
}

#[test]
fn reported_change_is_in_the_database_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("registry.db");
    let mut registry = Registry::open(&Location::file(&path), true).unwrap();
    // Another process that has it open, and reads from time to time.
    let mut other = Raw::open(&path);
    for round in 0..5 {
        let kept = registry.create_token(&ana(), &new()).unwrap().token.id;
        let revoked = registry.create_token(&ana(), &new()).unwrap().token.id;
        assert_eq!(other.text("SELECT revision FROM registry").unwrap(), (3 * round + 2).to_string());
        registry.delete_token(&ana(), &revoked, false).unwrap();
        // A copy of the database file alone, as people make it.
        let copied = dir.path().join(format!("copy{round}.db"));
        copy(&path, &copied);
        let tokens = Registry::open(&Location::file(&copied), false).unwrap().tokens(&ana()).unwrap();
        let ids: Vec<_> = tokens.iter().map(|token| &token.id).collect();
        assert!(ids.contains(&&kept) && !ids.contains(&&revoked), "{round}: {ids:?}");
    }
    let before = fs::metadata(beside(&path, "-wal")).unwrap().len();
    assert_eq!(before, 0, "the log is not empty: removing it would lose something");
}

#[test]
fn copy_of_two_states_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("registry.db");
    let mut registry = Registry::open(&Location::file(&path), true).unwrap();
    registry.create_token(&ana(), &new()).unwrap();
    drop(registry);
    for (what, sql) in [
        ("a newer revision than the trail's", "UPDATE registry SET revision = revision + 1"),
        ("an older one", "UPDATE registry SET revision = revision - 1"),
    ] {
        let copied = dir.path().join("copy.db");
        copy(&path, &copied);
        Raw::open(&copied).run(sql).unwrap();
        for create in [false, true] {
            let error = Registry::open(&Location::file(&copied), create).expect_err(what).to_string();
            assert!(error.contains("is not one state of a registry"), "{what}: {error}");
        }
        fs::remove_file(&copied).unwrap();
    }
}

#[test]
fn registry_is_not_created_next_to_the_log_of_a_lost_one() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("registry.db");
    let _open = {
        drop(Registry::open(&Location::file(&path), true).unwrap());
        let mut raw = Raw::open(&path);
        raw.run("INSERT INTO connections (name, dialect, named_sources_only) VALUES ('dw', 'generic', 0)").unwrap();
        raw
    };
    let log = fs::read(beside(&path, "-wal")).unwrap();
    assert!(!log.is_empty());
    fs::remove_file(&path).unwrap();
    let error = Registry::open(&Location::file(&path), true).unwrap_err().to_string();
    assert!(error.contains("registry.db` is missing, but its file "), "{error}");
    assert!(!path.exists());
    assert_eq!(fs::read(beside(&path, "-wal")).unwrap(), log);
}

#[test]
fn a_second_name_of_the_file_is_refused_while_the_first_is_in_use() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("registry.db");
    drop(Registry::open(&Location::file(&path), true).unwrap());
    let (hard, soft) = (dir.path().join("hard.db"), dir.path().join("soft.db"));
    fs::hard_link(&path, &hard).unwrap();
    symlink(&path, &soft).unwrap();
    let raw = Raw::open(&path);
    let error = Registry::open(&Location::file(&hard), true).unwrap_err().to_string();
    assert!(error.contains("another process has"), "{error}");
    Registry::open(&Location::file(&soft), true).unwrap().create_token(&ana(), &new()).unwrap();
    drop(raw);
    assert_eq!(Registry::open(&Location::file(&hard), false).unwrap().tokens(&ana()).unwrap().len(), 1);
}

/// A file, link or pipe with the name of a file of the registry, which no registry wrote.
type Foreign = fn(&Path);

const FOREIGN: [(&str, Foreign); 5] = [
    ("text", |path| fs::write(path, "notes\n").unwrap()),
    ("a hard link", |path| fs::hard_link(path.with_file_name("notes"), path).unwrap()),
    ("a symbolic link", |path| symlink(path.with_file_name("notes"), path).unwrap()),
    ("a pipe", |path| assert!(Command::new("mkfifo").arg(path).status().unwrap().success())),
    ("a folder", |path| fs::create_dir(path).unwrap()),
];

#[test]
fn files_of_other_programs_next_to_a_registry_are_kept() {
    for suffix in ["-wal", "-shm", "-journal"] {
        for (what, create) in FOREIGN {
            for state in ["missing", "empty", "registry"] {
                let dir = tempfile::tempdir().unwrap();
                let path = dir.path().join("registry.db");
                fs::write(dir.path().join("notes"), "other notes\n").unwrap();
                match state {
                    "missing" => {}
                    "empty" => fs::write(&path, "").unwrap(),
                    _ => drop(Registry::open(&Location::file(&path), true).unwrap()),
                }
                create(&beside(&path, suffix));
                let found = |name: &Path| {
                    let kind = fs::symlink_metadata(name).unwrap().file_type();
                    (kind, if kind.is_file() { fs::read(name).unwrap() } else { Vec::new() })
                };
                let files = || -> Vec<_> {
                    let mut names: Vec<_> =
                        fs::read_dir(dir.path()).unwrap().map(|file| file.unwrap().path()).collect();
                    names.sort();
                    names.into_iter().map(|name| (name.clone(), found(&name))).collect()
                };
                let before = files();
                for creates in [false, true] {
                    let error = Registry::open(&Location::file(&path), creates).unwrap_err().to_string();
                    assert!(error.contains(&format!("registry.db{suffix}`")), "{suffix}, {what}, {state}: {error}");
                    assert_eq!(files(), before, "{suffix}, {what}, {state}");
                }
            }
        }
    }
}

#[test]
fn files_that_a_killed_process_left_are_recovered() {
    for journal in [&[0_u8; 512][..], b""] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("registry.db");
        let mut registry = Registry::open(&Location::file(&path), true).unwrap();
        registry.create_token(&ana(), &new()).unwrap();
        // The files of an open registry are those that a killed process leaves. Reading them here would end its locks.
        let copied = dir.path().join("copy.db");
        for suffix in ["", "-wal", "-shm"] {
            let copy = Command::new("cp").arg(beside(&path, suffix)).arg(beside(&copied, suffix)).status();
            assert!(copy.unwrap().success());
        }
        fs::write(beside(&copied, "-journal"), journal).unwrap();
        let mut copy = Registry::open(&Location::file(&copied), false).unwrap();
        assert_eq!(copy.revision().unwrap(), registry.revision().unwrap());
    }
}

#[test]
fn the_trail_cannot_be_rewritten_even_by_hand() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("registry.db");
    Registry::open(&Location::file(&path), true).unwrap().add_connection(&ana(), "dw", "generic", None, false).unwrap();
    let Ok(status) = Command::new("sqlite3").arg("--version").output().map(|output| output.status) else {
        eprintln!("skipped: there is no `sqlite3`");
        return;
    };
    assert!(status.success());
    for statement in ["DELETE FROM trail", "UPDATE trail SET \"user\" = 'bo'"] {
        let output = Command::new("sqlite3").arg(&path).arg(statement).output().unwrap();
        assert!(!output.status.success());
        assert!(String::from_utf8_lossy(&output.stderr).contains("the trail is append-only"), "{output:?}");
    }
}

#[test]
fn other_and_newer_databases_are_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let open = |name: &str| Registry::open(&Location::file(dir.path().join(name)), true).unwrap_err().to_string();
    fs::write(dir.path().join("text"), "this is not a database, although it is longer than the header of one").unwrap();
    let error = open("text");
    assert!(error.contains("text`: it is not a SQLite database"), "{error}");
    assert!(fs::read(dir.path().join("text")).unwrap().starts_with(b"this is"));
    for (name, content, found, help) in [
        ("reg.db.gz", &b"\x1f\x8b\x08\0\0\0"[..], "gzip data", "`gunzip -k "),
        ("reg.db.zst", b"\x28\xb5\x2f\xfd\0\0", "zstd data", "`unzstd "),
        ("reg.db.bz2", b"BZh91AY", "bzip2 data", "`bunzip2 -k "),
        ("reg.db.xz", b"\xfd7zXZ\0\0", "xz data", "`unxz -k "),
        ("reg.zip", b"PK\x03\x04\0\0", "a zip archive", "`unzip "),
        ("policy.json", b"{\"tokens\": []}", "JSON", "`portcullis import "),
        ("list.json", b"[{\"id\": \"a\"}]", "JSON", "is a file for `--policy "),
        ("names.csv", b"connection,name\ndw,a.b.c\n", "CSV", "name a registry, such as `sqlite:registry.db`"),
        ("notes", b"some notes\n", "text", "name a registry, such as `sqlite:registry.db`"),
        ("data", b"a\0\x01\x02", "binary data", "name a registry, such as `sqlite:registry.db`"),
    ] {
        fs::write(dir.path().join(name), content).unwrap();
        for create in [true, false] {
            let opened = Registry::open(&Location::file(dir.path().join(name)), create);
            let RegistryError::Storage(advice) = opened.unwrap_err() else { panic!("{name}") };
            assert!(advice.message.ends_with(&format!("it is not a SQLite database, found {found}")), "{advice:?}");
            assert!(advice.help.contains(help), "{advice:?}");
        }
        assert_eq!(fs::read(dir.path().join(name)).unwrap(), content, "{name}");
    }
    let missing = Registry::open(&Location::file(dir.path().join("missing")), false).unwrap_err().to_string();
    assert!(missing.contains("missing` does not exist"), "{missing}");
    assert!(!dir.path().join("missing").exists());

    #[cfg(unix)]
    {
        assert!(Command::new("mkfifo").arg(dir.path().join("pipe")).status().unwrap().success());
        fs::create_dir(dir.path().join("folder")).unwrap();
        for (name, fault) in [("pipe", "is not an ordinary file"), ("folder", "is a folder")] {
            let error = open(name);
            assert!(error.contains(&format!("{name}` {fault}")), "{error}");
        }
    }

    // The header of a newer registry: `user_version` is at byte 60.
    let path = dir.path().join("newer");
    drop(Registry::open(&Location::file(&path), true).unwrap());
    let mut bytes = fs::read(&path).unwrap();
    bytes[60..64].copy_from_slice(&99_u32.to_be_bytes());
    fs::write(&path, &bytes).unwrap();
    let error = open("newer");
    assert!(error.contains("was written by a newer portcullis: its schema is 99, this one knows"), "{error}");
    // The header of another application: `application_id` is at byte 68.
    bytes[68..72].copy_from_slice(&7_u32.to_be_bytes());
    fs::write(&path, &bytes).unwrap();
    let error = open("newer");
    assert!(error.contains("is a database of another program"), "{error}");
}
