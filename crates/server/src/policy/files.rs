//! Files that form one policy: detecting changes, and reading complete files.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::contents::Contents;
use super::watch::{OnTouch, Watch};
use portcullis::snapshot::MAGIC;
use portcullis_document::load::{Input, Unreadable};

/// Waiting times. The defaults suit everything but tests.
#[derive(Debug, Clone)]
pub struct Timing {
    /// How long the files must be unchanged before they are read.
    pub quiet: Duration,
    /// How long they must stay unchanged while they are read: half of a change is not a policy.
    pub settle: Duration,
    /// How long to wait, after its last write, for a writer that has a file open. Known on Linux only.
    pub writer: Duration,
    /// How long to wait for the end of continuous changes.
    pub patience: Duration,
    /// Whether the system reports changes, instead of polling only.
    pub watch: bool,
    /// How often to check the files whatever the system reports, to retry reading what could not be read, and to retry
    /// saving what could not be saved.
    pub poll: Duration,
    /// How often to check a registry for changes.
    pub registry: Duration,
    /// How long a registry must be unchanged before an edited policy is compiled as a whole, and saved.
    pub fold: Duration,
    /// How long reading or saving may take before it is reported as stalled. After three times as long, another attempt to
    /// read starts.
    pub stall: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            quiet: Duration::from_millis(50),
            settle: Duration::from_millis(50),
            writer: Duration::from_secs(2),
            patience: Duration::from_secs(10),
            watch: true,
            poll: Duration::from_secs(1),
            registry: Duration::from_millis(20),
            fold: Duration::from_secs(5),
            stall: Duration::from_secs(10),
        }
    }
}

/// The watched files of a policy.
pub(super) struct Files {
    paths: Vec<PathBuf>,
    /// The maximum size of all files together, in bytes.
    max_bytes: u64,
    /// The stamps of the files whose contents were last read; empty before, and after every failure.
    stamps_read: Vec<Stamp>,
    on_touch: OnTouch,
    /// Started by the first read.
    watch: Option<Watch>,
}

/// The identity of a version of a file, which is known without reading the file.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Stamp {
    /// Device and inode, length, and the times when content and metadata last changed.
    Is { file: (u64, u64), bytes: u64, modified: (i64, i64), changed: (i64, i64) },
    /// The reason why the file has no stamp.
    Unknown(io::ErrorKind),
}

/// The result of one attempt to read the files.
struct Attempt {
    contents: Result<Contents, Vec<Unreadable>>,
    /// Whether the contents of all files were read, valid or not. Otherwise another attempt may succeed.
    is_read: bool,
    /// The open file, if there is only one.
    opened: Option<Opened>,
}

impl Files {
    /// Creates the reader. Watching starts with the first read.
    pub(super) fn new(paths: Vec<PathBuf>, max_bytes: u64, on_touch: OnTouch) -> Self {
        Self { paths, max_bytes, stamps_read: Vec::new(), on_touch, watch: None }
    }

    /// Whether the files differ from those whose contents were last read.
    pub(super) fn changed(&self) -> bool {
        self.stamps() != self.stamps_read
    }

    /// Reads all files, repeatedly until they stay the same for a while. A single file is read from the opened file: if
    /// another is renamed over it meanwhile, the read is still complete, and the other file is read next.
    ///
    /// # Errors
    ///
    /// If a file cannot be read, or the files do not stay the same.
    pub(super) fn read(&mut self, timing: &Timing) -> Result<Contents, Vec<Unreadable>> {
        // The names may lead to other files now: watch first, then read, so that no change is missed.
        let on_touch = &self.on_touch;
        let start = || if timing.watch { Watch::start(on_touch.clone()) } else { Watch::none() };
        self.watch.get_or_insert_with(start).cover(&self.paths);
        let started = Instant::now();
        self.stamps_read.clear();
        loop {
            let before = self.stamps();
            let Attempt { contents, is_read, opened } = self.attempt();
            std::thread::sleep(timing.settle);
            if self.stamps() == before || opened.is_some_and(|opened| opened.is_same()) {
                if is_read {
                    self.stamps_read = before;
                }
                return contents;
            }
            if started.elapsed() >= timing.patience {
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

    fn attempt(&self) -> Attempt {
        let mut left = self.max_bytes;
        let (mut read, mut errors) = (Vec::with_capacity(self.paths.len()), Vec::new());
        for path in &self.paths {
            match Opened::read(path, left) {
                Ok((bytes, opened)) => {
                    left = left.saturating_sub(bytes.len() as u64);
                    read.push((path, bytes, opened));
                }
                Err(OpenError::Io(error)) => errors.push(Unreadable::new(&path.display().to_string(), &error)),
                Err(OpenError::NotRegular) if path.is_dir() => {
                    errors.push(Unreadable::new(&path.display().to_string(), &io::ErrorKind::IsADirectory.into()));
                }
                Err(OpenError::NotRegular) => errors.push(unreadable(path, "it is not a regular file")),
                Err(OpenError::TooLarge) => errors.push(unreadable(path, self.too_large())),
            }
        }
        if !errors.is_empty() {
            return Attempt { contents: Err(errors), is_read: false, opened: None };
        }
        match <[_; 1]>::try_from(read) {
            Ok([(_, bytes, opened)]) if bytes.starts_with(&MAGIC) => {
                Attempt { contents: Ok(Contents::Compiled(bytes)), is_read: true, opened: Some(opened) }
            }
            Ok([(path, bytes, opened)]) => {
                Attempt { contents: documents([(path, bytes)]), is_read: true, opened: Some(opened) }
            }
            Err(read) => {
                let contents = documents(read.into_iter().map(|(path, bytes, _)| (path, bytes)));
                Attempt { contents, is_read: true, opened: None }
            }
        }
    }

    fn too_large(&self) -> String {
        let which = if self.paths.len() == 1 { "it has" } else { "the files of the policy have" };
        format!("{which} more than {} bytes: remove tokens, or raise `--max-policy-bytes`", self.max_bytes)
    }
}

fn unreadable(path: &Path, reason: impl Into<String>) -> Unreadable {
    Unreadable { file: path.display().to_string(), reason: reason.into() }
}

fn documents<'p>(read: impl IntoIterator<Item = (&'p PathBuf, Vec<u8>)>) -> Result<Contents, Vec<Unreadable>> {
    let (mut inputs, mut errors) = (Vec::new(), Vec::new());
    for (path, bytes) in read {
        match Input::from_bytes(path.display().to_string(), Ok(bytes)) {
            Ok(input) => inputs.push(input),
            Err(error) => errors.push(error),
        }
    }
    if errors.is_empty() { Ok(Contents::Documents(inputs)) } else { Err(errors) }
}

/// An open file, whatever its name refers to now.
struct Opened {
    file: File,
    stamp: Stamp,
}

/// Why a file is not read.
enum OpenError {
    Io(io::Error),
    /// A directory, pipe or device.
    NotRegular,
    /// It is larger than the remaining part of the limit.
    TooLarge,
}

impl From<io::Error> for OpenError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl Opened {
    /// Reads the file at `path`, of at most `max` bytes.
    fn read(path: &Path, max: u64) -> Result<(Vec<u8>, Self), OpenError> {
        // Opening a device may have effects: check first. The file may be replaced before it is opened: check again then.
        regular(&fs::metadata(path)?, max)?;
        let file = open(path)?;
        let metadata = file.metadata()?;
        regular(&metadata, max)?;
        let stamp = Stamp::of(&metadata);
        let mut bytes = Vec::new();
        // A failed allocation is an error. One more byte shows that the file has grown.
        bytes.try_reserve_exact(usize::try_from(metadata.len()).unwrap_or(usize::MAX)).map_err(io::Error::from)?;
        (&file).take(max.saturating_add(1)).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > max {
            return Err(OpenError::TooLarge);
        }
        Ok((bytes, Self { file, stamp }))
    }

    /// Whether the file is unchanged since it was opened, except that its last name may have been removed.
    fn is_same(&self) -> bool {
        let is_same = |now: &Metadata| Stamp::of(now) == self.stamp.as_of(now);
        self.file.metadata().is_ok_and(|now| is_same(&now))
    }
}

/// Reads the file at `path`, of at most `max` bytes. Never waits for the writer of a pipe.
///
/// # Errors
///
/// If the file cannot be read, is larger, or is not a regular file.
pub(crate) fn read_regular(path: &Path, max: u64) -> io::Result<Vec<u8>> {
    Opened::read(path, max).map(|(bytes, _)| bytes).map_err(|error| match error {
        OpenError::Io(error) => error,
        OpenError::NotRegular if path.is_dir() => io::ErrorKind::IsADirectory.into(),
        OpenError::NotRegular => io::Error::other("it is not a regular file"),
        OpenError::TooLarge => io::Error::other(format!("it has more than {max} bytes")),
    })
}

fn regular(metadata: &Metadata, max: u64) -> Result<(), OpenError> {
    match metadata {
        metadata if !metadata.is_file() => Err(OpenError::NotRegular),
        metadata if metadata.len() > max => Err(OpenError::TooLarge),
        _ => Ok(()),
    }
}

/// Opens `path` without waiting for the writer of a pipe.
pub(super) fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    {
        use rustix::fs::OFlags;
        use std::os::unix::fs::OpenOptionsExt;
        options.custom_flags((OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed());
    }
    options.open(path)
}

impl Stamp {
    /// Returns the stamp that the unchanged file has `now`: losing its last name changes the metadata.
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
            let time = time.map_or(portcullis::base::Timestamp::from_unix(0, 0), portcullis::base::Timestamp::from);
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
