//! Unix sockets at paths with other files, and with other servers.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use portcullis_http::gateway::Reader;
use portcullis_server::operations::{Operations, OperationsOptions};
use portcullis_server::policy::Source;
use portcullis_server::{Address, Authority, BindError, Server, ServerOptions};
use tokio::runtime::Runtime;

use super::running::{options, serve};
use super::util::policy;

type Make = fn(&Path);
type Succeed = fn(&Path) -> Option<UnixListener>;

/// The listener that uses the path.
const LISTENERS: [fn(&Path) -> ServerOptions; 2] = [
    |path| ServerOptions { listen: Address::Unix(path.to_owned()), ..options() },
    |path| ServerOptions { admin: Address::Unix(path.to_owned()), ..options() },
];

fn authority() -> Arc<Authority> {
    let source = Source::files(["/nowhere/policy.json"]).unwrap();
    Arc::new(Authority::new(Operations::start(OperationsOptions::new(source)).unwrap(), Reader::default()))
}

fn bind(runtime: &Runtime, authority: &Arc<Authority>, options: ServerOptions) -> Result<Server, BindError> {
    runtime.block_on(Server::bind(Arc::clone(authority), options))
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn inode(path: &Path) -> Option<(u64, u64)> {
    fs::symlink_metadata(path).ok().map(|found| (found.dev(), found.ino()))
}

/// Creates a socket without a listener.
fn stale(path: &Path) {
    drop(UnixListener::bind(path).unwrap());
}

#[test]
fn no_other_file_is_replaced_by_a_socket() {
    let kinds: [(&str, Make); 10] = [
        ("an ordinary file", |path| fs::write(path, "the policy").unwrap()),
        ("an ordinary file", |path| fs::write(path, "").unwrap()),
        ("an ordinary file", |path| {
            fs::write(path.with_extension("other"), "the policy").unwrap();
            fs::hard_link(path.with_extension("other"), path).unwrap();
        }),
        ("a pipe", |path| assert!(Command::new("mkfifo").arg(path).status().unwrap().success())),
        ("a directory", |path| fs::create_dir(path).unwrap()),
        ("a symbolic link", |path| symlink("/dev/null", path).unwrap()),
        ("a symbolic link", |path| symlink("nowhere", path).unwrap()),
        ("a symbolic link", |path| {
            fs::write(path.with_extension("target"), "the policy").unwrap();
            symlink(path.with_extension("target"), path).unwrap();
        }),
        ("a symbolic link", |path| {
            stale(&path.with_extension("target"));
            symlink(path.with_extension("target"), path).unwrap();
        }),
        ("another server listens on it", |path| std::mem::forget(UnixListener::bind(path).unwrap())),
    ];
    let (runtime, authority) = (runtime(), authority());
    for (kind, make) in kinds {
        for options in LISTENERS {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("p.sock");
            make(&path);
            let listing = || {
                let entries = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
                let mut entries: Vec<_> = entries.map(|path| (inode(&path), path)).collect();
                entries.sort();
                entries
            };
            let before = listing();
            let error = bind(&runtime, &authority, options(&path)).expect_err(kind).to_string();
            assert!(error.contains(kind) && error.contains("p.sock"), "{kind}: {error}");
            assert_eq!(listing(), before, "{kind}");
        }
    }
}

#[test]
fn a_socket_that_nobody_listens_on_is_replaced() {
    let (runtime, authority) = (runtime(), authority());
    for options in LISTENERS {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p.sock");
        stale(&path);
        let server = bind(&runtime, &authority, options(&path)).unwrap();
        assert!(UnixStream::connect(&path).is_ok());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "something is left over");
        drop(server);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "a server that never served leaves its socket");
    }
}

#[test]
fn a_start_that_fails_leaves_no_socket() {
    let (runtime, authority) = (runtime(), authority());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.sock");
    let admin = Address::Unix("/nowhere/at/all.sock".into());
    let listen = Address::Unix(path.clone());
    bind(&runtime, &authority, ServerOptions { listen, admin, ..options() }).unwrap_err();
    assert!(!path.exists());
}

#[test]
fn a_server_that_stops_removes_nothing_but_its_own_socket() {
    let successors: [(&str, Succeed); 5] = [
        ("another server's socket", |path| Some(UnixListener::bind(path).unwrap())),
        ("a stale socket", |path| {
            stale(path);
            None
        }),
        ("a file", |path| {
            fs::write(path, "the policy").unwrap();
            None
        }),
        ("a link", |path| {
            symlink("elsewhere", path).unwrap();
            None
        }),
        ("a directory", |path| {
            fs::create_dir(path).unwrap();
            None
        }),
    ];
    for (what, make) in successors {
        for options in LISTENERS {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("p.sock");
            let options = options(&path);
            let mut server = if matches!(options.admin, Address::Tcp(_)) {
                Some(serve(Some(&policy("t")), options))
            } else {
                let (runtime, authority) = (runtime(), authority());
                let server = bind(&runtime, &authority, options).unwrap();
                fs::rename(&path, folder.path().join("moved")).unwrap();
                let _listener = make(&path);
                let made = inode(&path);
                runtime.block_on(server.run(async { tokio::time::sleep(Duration::from_millis(20)).await }));
                assert_eq!(inode(&path), made, "{what}");
                None
            };
            if let Some(server) = &mut server {
                fs::remove_file(&path).unwrap();
                let listener = make(&path);
                let made = inode(&path);
                server.stopped();
                assert_eq!(inode(&path), made, "{what}");
                assert!(listener.is_none() || UnixStream::connect(&path).is_ok(), "{what}");
            }
        }
    }
}

#[test]
fn servers_that_want_one_path_take_turns_and_never_remove_each_others_socket() {
    const THREADS: usize = 6;
    const TURNS: usize = 4;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.sock");
    stale(&path);
    let authority = authority();
    let started = Instant::now();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                let (path, authority): (PathBuf, _) = (path.clone(), &authority);
                scope.spawn(move || {
                    let runtime = runtime();
                    let mut turns = 0;
                    while turns < TURNS {
                        assert!(started.elapsed() < Duration::from_mins(2), "a server does not get its turn");
                        let Ok(server) = bind(&runtime, authority, LISTENERS[0](&path)) else {
                            std::thread::sleep(Duration::from_millis(1));
                            continue;
                        };
                        turns += 1;
                        let mine = inode(&path);
                        for _ in 0..10 {
                            std::thread::sleep(Duration::from_millis(1));
                            assert_eq!(inode(&path), mine, "another server took the path over");
                            assert!(UnixStream::connect(&path).is_ok());
                        }
                        if (turns + thread) % 2 == 0 {
                            // As a killed server leaves it.
                            fs::rename(&path, path.with_extension(thread.to_string())).unwrap();
                            drop(server);
                            let _ = fs::hard_link(path.with_extension(thread.to_string()), &path);
                            fs::remove_file(path.with_extension(thread.to_string())).unwrap();
                        }
                    }
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
    });
}

#[test]
fn a_mode_is_set_whatever_the_umask() {
    use std::os::unix::fs::PermissionsExt;
    let (runtime, authority) = (runtime(), authority());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.sock");
    for mode in [0o600, 0o660, 0o666, 0o777] {
        let options = ServerOptions { socket_mode: mode, ..LISTENERS[0](&path) };
        let _server = bind(&runtime, &authority, options).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, mode);
    }
    assert_eq!(ServerOptions::default().socket_mode, 0o600);
}
