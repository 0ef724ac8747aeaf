//! Copies of a registry.
#![cfg(unix)]

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use super::Dir;
use crate::registry::raw::Raw;

#[test]
fn backup_of_a_registry_in_use_is_complete_and_private() {
    let dir = Dir::with_registry();
    dir.ana("credentials create token --name map --connection dw --source a.b --apis maps").stdout(0);
    dir.ana("credentials create spa --title Atlas --callback https://a.example/").stdout(0);
    dir.ana("named-sources create open-orders").arg("--sql").arg("SELECT 1").stdout(0);
    let mut other = Raw::open(&dir.path("registry.db"));
    // A commit that is only in the log: a copy of the file would not have it.
    other.run("INSERT INTO usage SELECT id, 7, 0 FROM tokens").unwrap();
    let done = dir.command("backup copy.db --db sqlite:registry.db").stdout(0);
    assert!(done.starts_with("copied sqlite:registry.db to copy.db: "), "{done}");
    assert_eq!(fs::metadata(dir.path("copy.db")).unwrap().permissions().mode() & 0o777, 0o600);
    for args in ["credentials list --all-users --format json", "trail --format json", "export", "named-sources list"] {
        let of = |db: &str| dir.command(&format!("{args} --user ana --db sqlite:{db}")).run().stdout;
        assert_eq!(of("copy.db"), of("registry.db"), "{args}");
    }
    assert!(
        dir.command("credentials list --format json --user ana --db sqlite:copy.db")
            .stdout(0)
            .contains(r#"requests": 7"#)
    );
    // The copy is a registry: it can be changed, and its trail continues.
    dir.command("connections add other --user ana --db sqlite:copy.db").stdout(0);
    let names: Vec<_> = fs::read_dir(dir.path("")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!names.iter().any(|name| name.to_string_lossy().starts_with(".portcullis-")), "{names:?}");
}

#[test]
fn backup_never_overwrites() {
    let dir = Dir::with_registry().file("copy.db", "mine").file("left.db-wal", "log of another registry");
    symlink("nowhere", dir.path("link.db")).unwrap();
    fs::create_dir(dir.path("folder")).unwrap();
    for (target, expected) in [
        ("copy.db", "`copy.db` already exists and was not changed\nhelp: name another file"),
        ("link.db", "`link.db` already exists and was not changed\n"),
        ("folder", "`folder` already exists and was not changed\n"),
        ("registry.db", "`registry.db` already exists and was not changed\n"),
        ("left.db", "`left.db-wal` exists: it would become a part of the copy\n"),
        ("no/such/folder.db", "cannot write `no/such/folder.db`"),
        ("-", "name a file, such as `portcullis backup copy.db`"),
    ] {
        let error = dir.command(&format!("backup --db sqlite:registry.db {target}")).stderr();
        assert!(error.contains(expected), "{target}: {error}");
    }
    assert_eq!(fs::read_to_string(dir.path("copy.db")).unwrap(), "mine");
    assert!(!dir.path("nowhere").exists() && !dir.path("left.db").exists());
    let other = Dir::new().file("text.db", "no database at all, but longer than a header of one would be, by far");
    other.command("backup copy.db --db sqlite:text.db").stderr();
    assert!(!other.path("copy.db").exists());
}

#[test]
fn backup_refuses_urls_and_unexpanded_homes() {
    let dir = Dir::with_registry();
    for (target, expected) in [
        ("sqlite:b2.db", "found a URL with the scheme `sqlite:`\nhelp: write `b2.db`; a file with that name is `./"),
        ("sqlite:///srv/b2.db", "help: write `/srv/b2.db`; "),
        ("SQLite:b2.db", "help: write `b2.db`; a file with that name is `./"),
        ("file:b2.db", "help: write `b2.db`; a file with that name is `./"),
        ("sqlite:b2.db?key=hunter2", "help: write a path, such as `copy.db`\n"),
        ("postgres://ana:hunter2@host/db", "found a URL with the scheme `postgres:`\n"),
        ("~/b.db", "`~` in the path was not expanded by the shell\nhelp: write `\"$HOME/b.db\"`; "),
        ("~ana/b.db", "help: write `/home/ana/b.db`; a folder that is named `~ana` is `./~ana/b.db`\n"),
        ("sqlite:~/b.db", "help: write `\"$HOME/b.db\"`; "),
    ] {
        let error = dir.command("backup --db sqlite:registry.db").arg(target).stderr();
        assert!(error.contains(expected) && !error.contains("hunter2"), "{target}: {error}");
    }
    let names = fs::read_dir(dir.path("")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert!(names.into_iter().all(|name| name.starts_with("registry.db")));
    for target in ["./sqlite:b2.db", "~b.db", "a:b.db"] {
        dir.command("backup --db sqlite:registry.db").arg(target).stdout(0);
    }
}

#[test]
fn a_missing_folder_has_the_command_that_makes_it() {
    let dir = Dir::with_registry().file("file", "x");
    for (copy, help) in [
        ("nodir/b.db", "`mkdir -p nodir`"),
        ("a/b/c.db", "`mkdir -p a/b`"),
        ("file/b.db", "`file` is a file: name a file in a folder"),
    ] {
        let error = dir.command(&format!("backup {copy} --db sqlite:registry.db")).stderr();
        assert!(error.contains("its folder does not exist\nhelp: ") && error.contains(help), "{copy}: {error}");
    }
    let error = dir.command("backup").arg("no dir/b.db").arg("--db").arg("sqlite:registry.db").stderr();
    assert!(error.contains("`mkdir -p 'no dir'`"), "{error}");
}
