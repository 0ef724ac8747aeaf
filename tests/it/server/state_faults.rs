//! State directories that are full, read-only, missing or in use: the responses meanwhile, and how soon the policy is saved
//! after the fault ends.
//!
//! Each fault is real. Some need root: as another user, those tests report what they skip.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use portcullis_server::policy::{StateDir, StateError};

use super::faulty::{SOON, Server, compiled, folder, is_root, put, start};
use super::util::{eventually, policy};

type Break = fn(&Path);

/// A small file system, which is unmounted at the end.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(at: &Path) -> Self {
        fs::create_dir(at).unwrap();
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=64k", "tmpfs"]).arg(at).status();
        assert!(mounted.unwrap().success());
        Self(at.to_owned())
    }

    fn remount(folder: &Path, how: &str) {
        let mounted = Command::new("mount").args(["-o", &format!("remount,{how}")]).arg(folder.join("state")).status();
        assert!(mounted.unwrap().success());
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_state_that_could_not_be_saved_is_saved_when_it_can_be() {
    // The obstacle to saving, and its end.
    let cases: [(&str, bool, Break, Break); 4] = [
        (
            "something in the way",
            false,
            |folder| {
                fs::remove_file(folder.join("state/policy.json")).unwrap();
                fs::create_dir(folder.join("state/policy.json")).unwrap();
            },
            |folder| fs::remove_dir(folder.join("state/policy.json")).unwrap(),
        ),
        (
            "the directory moved away",
            false,
            |folder| fs::rename(folder.join("state"), folder.join("away")).unwrap(),
            |folder| fs::rename(folder.join("away"), folder.join("state")).unwrap(),
        ),
        (
            "a full disk",
            true,
            |folder| {
                let mut filler = File::create(folder.join("state/filler")).unwrap();
                while filler.write_all(&[0; 1024]).is_ok() {}
            },
            |folder| fs::remove_file(folder.join("state/filler")).unwrap(),
        ),
        (
            "a read-only disk",
            true,
            |folder| SmallDisk::remount(folder, "ro"),
            |folder| SmallDisk::remount(folder, "rw"),
        ),
    ];
    for (what, needs_root, hinder, end) in cases {
        if needs_root && !is_root() {
            eprintln!("left out, as it needs root: {what}");
            continue;
        }
        let (folder, file) = folder("one");
        let _disk = needs_root.then(|| SmallDisk::mount(&folder.path().join("state")));
        let mut server = start(folder.path(), &[]);
        if what == "a read-only disk" {
            // No file system becomes read-only while a file in it is open for writing.
            server.kill();
            hinder(folder.path());
            server = start(folder.path(), &[]);
        } else {
            hinder(folder.path());
        }
        put(&file, policy("two"));
        // The policy is in force anyway.
        let took = server.revoked("one", "two");
        assert!(took < SOON, "{what}: {took:?}");
        let (status, report) = server.ready();
        assert_eq!((status, report["not_saved"].is_string()), (200, true), "{what}: {report}");
        assert_eq!(server.metric("portcullis_policy_not_saved"), "1.0", "{what}");
        std::thread::sleep(Duration::from_millis(2_200));
        assert_eq!(server.said("the policy is not saved"), 1, "{what}: the same failure is logged once");
        end(folder.path());
        let took = eventually("it is saved", || server.ready().1["not_saved"].is_null());
        eprintln!("{what}: saved {took:?} after its end");
        assert!(took < SOON, "{what}: {took:?}");
        assert_eq!(server.metric("portcullis_policy_not_saved"), "0.0", "{what}");
        server.kill();
        fs::write(&file, "{").unwrap();
        let again = start(folder.path(), &[]);
        assert_eq!((again.status("one"), again.status("two")), (403, 200), "{what}: what was revoked stays revoked");
        drop(again);
    }
}

#[test]
fn a_state_directory_that_is_made_again_is_locked_and_filled_again() {
    let (folder, file) = folder("one");
    let (state, away) = (folder.path().join("state"), folder.path().join("away"));
    let mut server = start(folder.path(), &[]);
    let not_saved = |server: &Server| server.ready().1["not_saved"].as_str().unwrap_or_default().to_owned();
    // With and without a change of the policy meanwhile.
    for (old, new) in [("one", "two"), ("two", "two")] {
        fs::rename(&state, &away).unwrap();
        put(&file, policy(new));
        let missing = "the state directory `state` is missing: create it again, or move it back";
        eventually("it is reported", || not_saved(&server) == missing);
        if new != old {
            server.revoked(old, new);
        }
        fs::create_dir(&state).unwrap();
        let took =
            eventually("it is saved", || server.ready().1["not_saved"].is_null() && state.join("policy.json").exists());
        assert!(took < SOON, "{took:?}");
        let other = StateDir::open(&state).unwrap_err();
        assert!(matches!(other, StateError::InUse(_)), "{other}");
        fs::remove_dir_all(&away).unwrap();
    }
    // Another process is faster: nothing is written until it ends.
    fs::rename(&state, &away).unwrap();
    let other = StateDir::open(&state).unwrap();
    put(&file, policy("three"));
    server.revoked("two", "three");
    eventually("it is reported", || {
        not_saved(&server).contains("is used by another process: use a separate directory for each")
    });
    std::thread::sleep(Duration::from_millis(1_200));
    assert_eq!(fs::read_dir(&state).unwrap().count(), 1, "the lock alone");
    drop(other);
    eventually("it is saved", || server.ready().1["not_saved"].is_null());
    assert!(matches!(StateDir::open(&state).unwrap_err(), StateError::InUse(_)));
    // What was moved away is free for another process.
    drop(StateDir::open(&away).unwrap());
    // What is saved is put back where it is removed.
    fs::remove_file(state.join("policy.json")).unwrap();
    eventually("it is saved again", || state.join("policy.json").exists());
    // A policy that no server wrote is not written over.
    fs::write(state.join("policy.json"), policy("one")).unwrap();
    put(&file, policy("four"));
    server.revoked("three", "four");
    assert!(not_saved(&server).contains("policy.json` is not a saved policy"), "{}", not_saved(&server));
    assert_eq!(fs::read_to_string(state.join("policy.json")).unwrap(), policy("one"));
    fs::remove_file(state.join("policy.json")).unwrap();
    eventually("it is saved", || server.ready().1["not_saved"].is_null());
    server.lives();
    server.kill();
    fs::write(&file, "{").unwrap();
    let again = start(folder.path(), &[]);
    assert_eq!((again.status("three"), again.status("four")), (403, 200));
}

#[test]
fn a_pipe_among_the_saved_files_does_not_keep_a_server_from_starting() {
    let (folder, file) = folder("one");
    put(&file, compiled("one"));
    start(folder.path(), &[]).kill();
    let saved = fs::read_dir(folder.path().join("state")).unwrap().map(|entry| entry.unwrap().path());
    let saved = saved.into_iter().find(|path| path.extension().is_some_and(|extension| extension == "pcls")).unwrap();
    fs::remove_file(&saved).unwrap();
    assert!(Command::new("mkfifo").arg(&saved).status().unwrap().success());
    fs::write(&file, "{").unwrap();
    let mut server = start(folder.path(), &[]);
    assert_eq!((server.ready().0, server.status("one")), (503, 503));
    assert_eq!(server.said("the saved policy cannot be read"), 1, "{}", server.messages());
    assert!(server.messages().contains("it is not a regular file"), "{}", server.messages());
    put(&file, policy("two"));
    eventually("the new policy decides", || server.status("two") == 200);
    server.lives();
}
