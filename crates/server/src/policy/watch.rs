//! The file watcher of a policy. If the system provides none, files are polled.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use notify::event::{AccessKind, AccessMode, ModifyKind};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};

/// A change of one of the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Touch {
    /// A process has the file open and writes.
    Writing,
    /// Any other change: the file may be complete.
    Done,
}

/// The handler of changes, which the watcher's thread calls.
pub(super) type OnTouch = Arc<dyn Fn(Touch) + Send + Sync>;

/// The watched paths of a policy, shared with the watcher's thread.
type Names = Arc<Mutex<BTreeSet<PathBuf>>>;

/// Watches the folders of a policy's files. If the system provides no watcher, every method succeeds and nothing is reported.
pub(super) struct Watch {
    watcher: Option<RecommendedWatcher>,
    names: Names,
    folders: BTreeSet<PathBuf>,
}

impl Watch {
    /// Starts a watcher without files, which reports to `on_touch`. It reports nothing if the system provides no watcher.
    pub(super) fn start(on_touch: OnTouch) -> Self {
        let names = Names::default();
        let watcher = watcher(on_touch, Arc::clone(&names));
        Self { watcher, names, folders: BTreeSet::new() }
    }

    /// Creates a watcher that reports nothing.
    pub(super) fn none() -> Self {
        Self { watcher: None, names: Names::default(), folders: BTreeSet::new() }
    }

    /// Watches every name that is resolved on the way to each of `paths`, and nothing else.
    pub(super) fn cover(&mut self, paths: &[PathBuf]) {
        let Some(watcher) = &mut self.watcher else { return };
        let names: BTreeSet<PathBuf> = paths.iter().flat_map(|path| names_of(path)).collect();
        let folders: BTreeSet<PathBuf> = names.iter().filter_map(|name| name.parent().map(PathBuf::from)).collect();
        *self.names.lock().unwrap_or_else(PoisonError::into_inner) = names;
        let old = std::mem::replace(&mut self.folders, folders);
        let covered = catch_unwind(AssertUnwindSafe(|| {
            // Also a folder in both sets: its name may refer to another one now.
            for folder in &old {
                let _ = watcher.unwatch(folder);
            }
            for folder in &self.folders {
                if let Err(error) = watcher.watch(folder, RecursiveMode::NonRecursive) {
                    tracing::debug!(folder = %folder.display(), %error, "a folder cannot be watched: it is polled");
                }
            }
        }));
        if covered.is_err() {
            // The watcher's thread is gone, and its destructor would panic as well.
            std::mem::forget(self.watcher.take());
            tracing::warn!("the file watcher failed: policy files are polled");
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some(watcher) = self.watcher.take() {
            // The destructor panics if the watcher's thread is gone.
            let _ = catch_unwind(AssertUnwindSafe(move || drop(watcher)));
        }
    }
}

fn watcher(on_touch: OnTouch, names: Names) -> Option<RecommendedWatcher> {
    let handler = move |event: notify::Result<Event>| match event {
        Ok(event) if event.need_rescan() => on_touch(Touch::Done),
        Ok(event) => {
            let is_named = {
                let names = names.lock().unwrap_or_else(PoisonError::into_inner);
                event.paths.iter().any(|path| names.contains(path))
            };
            if let Some(touch) = touch(&event).filter(|_| is_named) {
                on_touch(touch);
            }
        }
        Err(_) => on_touch(Touch::Done),
    };
    // A watcher without its thread panics in every call: first make sure that a thread can be started.
    let thread = std::thread::Builder::new().spawn(|| {}).map(|thread| drop(thread.join()));
    let watcher = thread.map_err(notify::Error::io).and_then(|()| notify::recommended_watcher(handler));
    watcher.inspect_err(|error| tracing::info!(%error, "no file watcher: policy files are polled")).ok()
}

/// Returns the change that an event reports; `None` if the file was only read.
fn touch(event: &Event) -> Option<Touch> {
    match event.kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => Some(Touch::Done),
        EventKind::Access(_) => None,
        // Only Linux reports when the writer is done.
        EventKind::Modify(ModifyKind::Data(_)) if cfg!(target_os = "linux") => Some(Touch::Writing),
        _ => Some(Touch::Done),
    }
}

/// Returns the names that are resolved on the way to `path`, each of which may be replaced: every symbolic link, and the
/// file itself.
fn names_of(path: &Path) -> Vec<PathBuf> {
    // The limit of the system.
    const LINKS: usize = 40;
    let mut names = Vec::new();
    let mut here = PathBuf::new();
    let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut left: Vec<OsString> = parts(&whole);
    while let Some(part) = left.pop() {
        if part == ".." {
            here.pop();
            continue;
        }
        let name = here.join(&part);
        match fs::read_link(&name) {
            Ok(target) if names.len() < LINKS => {
                left.extend(parts(&target));
                names.push(name);
            }
            _ => here = name,
        }
    }
    names.push(here);
    names
}

/// Returns the parts of a path, the last first.
fn parts(path: &Path) -> Vec<OsString> {
    let parts = path.components().filter(|part| *part != Component::CurDir);
    parts.rev().map(|part| part.as_os_str().to_owned()).collect()
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::symlink;
    use std::path::PathBuf;

    use super::names_of;

    #[test]
    fn names_of_a_path_include_every_link() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        std::fs::create_dir_all(root.join("2026/deep")).unwrap();
        std::fs::write(root.join("2026/policy.json"), "[]").unwrap();
        symlink("2026", root.join("..data")).unwrap();
        symlink("..data/policy.json", root.join("policy.json")).unwrap();
        symlink("../policy.json", root.join("2026/up.json")).unwrap();
        symlink(root.join("2026/deep"), root.join("absolute")).unwrap();
        symlink("loop", root.join("loop")).unwrap();
        let cases: [(&str, &[&str]); 5] = [
            ("2026/policy.json", &["2026/policy.json"]),
            ("policy.json", &["policy.json", "..data", "2026/policy.json"]),
            ("2026/up.json", &["2026/up.json", "policy.json", "..data", "2026/policy.json"]),
            ("absolute/not-there", &["absolute", "2026/deep/not-there"]),
            ("./2026/../2026/./policy.json", &["2026/policy.json"]),
        ];
        for (path, expected) in cases {
            let expected: Vec<PathBuf> = expected.iter().map(|name| root.join(name)).collect();
            assert_eq!(names_of(&root.join(path)), expected, "{path}");
        }
        assert!(names_of(&root.join("loop")).len() > 1);
    }
}
