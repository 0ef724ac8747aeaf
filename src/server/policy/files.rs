//! Files that are one policy: when they change, and reading them when they are whole.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use notify::event::{AccessKind, AccessMode, ModifyKind};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};

use super::source::Contents;
use crate::load::{Input, Unreadable, read_files};
use crate::snapshot::MAGIC;

/// How long to wait for what. The defaults suit all but tests.
#[derive(Debug, Clone)]
pub struct Timing {
    /// How long nothing may happen to the files before they are read.
    pub quiet: Duration,
    /// How long they must stay the same while they are read: half of a change is no policy.
    pub settle: Duration,
    /// How long a writer that has a file open is waited for after its last write; known on Linux only.
    pub writer: Duration,
    /// How long changes that never stop are waited for.
    pub patience: Duration,
    /// Whether to have the system tell of changes at all.
    pub told: bool,
    /// How often to look at the files whatever the system tells of them: it tells nothing of what other machines change.
    pub poll: Duration,
    /// How often to ask a registry whether it has changed.
    pub registry: Duration,
    /// How long a registry must stay the same until what was edited is compiled as a whole, and saved.
    pub fold: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            quiet: Duration::from_millis(50),
            settle: Duration::from_millis(50),
            writer: Duration::from_secs(2),
            patience: Duration::from_secs(10),
            told: true,
            poll: Duration::from_secs(1),
            registry: Duration::from_millis(50),
            fold: Duration::from_secs(5),
        }
    }
}

/// What happened to one of the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Touch {
    /// Somebody has it open and writes.
    Writing,
    /// Something else: it may be whole.
    Done,
}

/// Called from another thread.
pub(super) type Tell = Arc<dyn Fn(Touch) + Send + Sync>;

/// The files of a policy, watched.
pub(super) struct Files {
    paths: Vec<PathBuf>,
    /// The files as they were when they were last read; empty before.
    seen: Vec<Stamp>,
    tell: Tell,
    /// Tells of changes as long as it lives; `None` where the system does not: the files are looked at all the same.
    watcher: Option<RecommendedWatcher>,
}

/// What a file is known by without reading it.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Stamp {
    /// Device and file number, length, and when its content and it itself were last changed.
    Is { file: (u64, u64), bytes: u64, modified: (i64, i64), changed: (i64, i64) },
    /// Why there is none.
    Unknown(io::ErrorKind),
}

impl Files {
    /// Nothing is watched before it is first read.
    pub(super) fn new(paths: Vec<PathBuf>, tell: Tell) -> Self {
        Self { paths, seen: Vec::new(), tell, watcher: None }
    }

    /// Whether the files are others than those last read.
    pub(super) fn changed(&self) -> bool {
        self.stamps() != self.seen
    }

    /// Reads all files, again and again until they stay the same for a while. Where there is only one, that is the file
    /// that was opened: another that is renamed over it while it is read takes nothing from it, and is read next.
    ///
    /// # Errors
    ///
    /// If a file cannot be read, or they do not stay the same.
    pub(super) fn read(&mut self, timing: &Timing) -> Result<Contents, Vec<Unreadable>> {
        // What is behind the names may be elsewhere now: first watch, then read, so that no change is missed.
        if timing.told {
            self.watcher = watch(&self.paths, &self.tell);
        }
        let end = Instant::now() + timing.patience;
        loop {
            let before = self.stamps();
            let (contents, opened) = contents(&self.paths);
            std::thread::sleep(timing.settle);
            if self.stamps() == before || opened.is_some_and(|opened| opened.is_same()) {
                self.seen = before;
                return contents;
            }
            if Instant::now() >= end {
                let reason = match self.paths.len() {
                    1 => "it keeps changing: replace the file by renaming another",
                    _ => "one of the policy's files keeps changing: replace them together and less often",
                };
                return Err(self.paths.iter().map(|path| unreadable(path, reason)).collect());
            }
        }
    }

    fn stamps(&self) -> Vec<Stamp> {
        let stamp = |path: &PathBuf| match fs::metadata(path) {
            Ok(metadata) => Stamp::of(&metadata),
            Err(error) => Stamp::Unknown(error.kind()),
        };
        self.paths.iter().map(stamp).collect()
    }
}

fn unreadable(path: &Path, reason: &str) -> Unreadable {
    Unreadable { file: path.display().to_string(), reason: reason.to_owned() }
}

/// What the files hold and, where there is only one, that file.
fn contents(paths: &[PathBuf]) -> (Result<Contents, Vec<Unreadable>>, Option<Opened>) {
    // To open a pipe is to wait for whoever writes to it, without end.
    let is_other = |path: &&PathBuf| fs::metadata(path).is_ok_and(|metadata| !metadata.is_file());
    let others: Vec<_> = paths.iter().filter(is_other).map(|path| unreadable(path, "it is no regular file")).collect();
    if !others.is_empty() {
        return (Err(others), None);
    }
    let [path] = paths else { return (read_files(paths).map(Contents::Documents), None) };
    let (bytes, opened) = match Opened::read(path) {
        Ok((bytes, opened)) => (Ok(bytes), Some(opened)),
        Err(error) => (Err(error), None),
    };
    let contents = match bytes {
        Ok(bytes) if bytes.starts_with(&MAGIC) => Ok(Contents::Compiled(bytes)),
        bytes => Input::from_bytes(path.display().to_string(), bytes).map(|input| Contents::Documents(vec![input])),
    };
    (contents.map_err(|error| vec![error]), opened)
}

/// A file, whatever its name stands for now.
struct Opened {
    file: File,
    stamp: Stamp,
}

impl Opened {
    /// Reads the file behind `path`.
    fn read(path: &Path) -> io::Result<(Vec<u8>, Self)> {
        let mut file = File::open(path)?;
        let stamp = Stamp::of(&file.metadata()?);
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok((bytes, Self { file, stamp }))
    }

    /// Whether nothing happened to it since, but for the loss of its last name to another.
    fn is_same(&self) -> bool {
        let is_same = |now: &Metadata| Stamp::of(now) == self.stamp.as_of(now);
        self.file.metadata().is_ok_and(|now| is_same(&now))
    }
}

impl Stamp {
    /// The stamp that the same file with the same content has `now`: to lose its last name is a change of the file itself.
    #[cfg(unix)]
    fn as_of(&self, now: &Metadata) -> Self {
        use std::os::unix::fs::MetadataExt;
        let mut stamp = self.clone();
        if let Self::Is { changed, .. } = &mut stamp
            && now.nlink() == 0
        {
            *changed = (now.ctime(), now.ctime_nsec());
        }
        stamp
    }

    #[cfg(not(unix))]
    fn as_of(&self, _: &Metadata) -> Self {
        self.clone()
    }

    #[cfg(unix)]
    fn of(metadata: &Metadata) -> Self {
        use std::os::unix::fs::MetadataExt;
        Self::Is {
            file: (metadata.dev(), metadata.ino()),
            bytes: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    #[cfg(not(unix))]
    fn of(metadata: &Metadata) -> Self {
        let time = |time: std::io::Result<std::time::SystemTime>| {
            let time = time.map_or(crate::base::Timestamp::from_unix(0, 0), crate::base::Timestamp::from);
            (time.seconds(), i64::from(time.nanoseconds()))
        };
        Self::Is {
            file: (0, 0),
            bytes: metadata.len(),
            modified: time(metadata.modified()),
            changed: time(metadata.created()),
        }
    }
}

/// Watches all that is looked up on the way to each of `paths`.
fn watch(paths: &[PathBuf], tell: &Tell) -> Option<RecommendedWatcher> {
    let names: BTreeSet<PathBuf> = paths.iter().flat_map(|path| names(path)).collect();
    let folders: BTreeSet<PathBuf> = names.iter().filter_map(|name| name.parent().map(PathBuf::from)).collect();
    let tell = Arc::clone(tell);
    let handler = move |event: notify::Result<Event>| match event {
        Ok(event) if event.need_rescan() => tell(Touch::Done),
        Ok(event) if event.paths.iter().any(|path| names.contains(path)) => {
            if let Some(touch) = touch(&event) {
                tell(touch);
            }
        }
        Ok(_) => {}
        Err(_) => tell(Touch::Done),
    };
    let watcher = notify::recommended_watcher(handler).and_then(|mut watcher| {
        folders.iter().try_for_each(|folder| watcher.watch(folder, RecursiveMode::NonRecursive))?;
        Ok(watcher)
    });
    watcher
        .inspect_err(
            |error| tracing::debug!(%error, "the system does not tell of changes: files are looked at instead"),
        )
        .ok()
}

/// What an event says of a file; nothing where it was only read.
fn touch(event: &Event) -> Option<Touch> {
    match event.kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => Some(Touch::Done),
        EventKind::Access(_) => None,
        // Only there does the system tell when the writer is done.
        EventKind::Modify(ModifyKind::Data(_)) if cfg!(target_os = "linux") => Some(Touch::Writing),
        _ => Some(Touch::Done),
    }
}

/// The names that are looked up on the way to what `path` stands for and may stand for something else tomorrow: every
/// symbolic link, and the file itself.
fn names(path: &Path) -> Vec<PathBuf> {
    // As many as the system follows.
    const LINKS: usize = 40;
    let mut found = Vec::new();
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
            Ok(target) if found.len() < LINKS => {
                left.extend(parts(&target));
                found.push(name);
            }
            _ => here = name,
        }
    }
    found.push(here);
    found
}

/// The parts of a path, the last first.
fn parts(path: &Path) -> Vec<OsString> {
    let parts = path.components().filter(|part| *part != Component::CurDir);
    parts.rev().map(|part| part.as_os_str().to_owned()).collect()
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::symlink;
    use std::path::PathBuf;

    use super::names;

    #[test]
    fn every_link_on_the_way_may_change() {
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
            assert_eq!(names(&root.join(path)), expected, "{path}");
        }
        assert!(names(&root.join("loop")).len() > 1);
    }
}
