//! Scans files and folders.

use std::fs::{File, FileType, OpenOptions};
use std::io;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use globset::{ErrorKind, GlobBuilder, GlobSet, GlobSetBuilder};
use ignore::{DirEntry, WalkBuilder, WalkState};
use rustix::fs::OFlags;

use crate::detector::Detector;
use crate::report::Report;
use crate::scanner::{Limits, Scanner};

/// The files that are scanned.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// Reads only these files. Empty means all.
    pub include: Globs,
    /// Does not read these files and folders.
    pub exclude: Globs,
    /// Also reads what `.gitignore` excludes.
    pub no_ignore: bool,
}

/// Globs of paths. Without a slash, a glob applies to names in every folder.
#[derive(Debug, Clone, Default)]
pub struct Globs {
    set: GlobSet,
}

/// A text that is not a glob.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a glob such as `*.js` or `dist/**`, found {text}: {reason}")]
pub struct GlobError {
    text: String,
    reason: String,
}

impl Globs {
    /// Compiles globs as `.gitignore` reads them: `*` does not match `/`, `**` does.
    ///
    /// # Errors
    ///
    /// If one of `globs` is malformed.
    ///
    /// # Examples
    ///
    /// ```
    /// use portcullis_scan::files::Globs;
    ///
    /// let globs = Globs::new(["*.min.js", "dist/**"])?;
    /// assert!(globs.matches("web/app.min.js".as_ref()));
    /// assert!(!globs.matches("web/app.js".as_ref()));
    /// # Ok::<(), portcullis_scan::files::GlobError>(())
    /// ```
    pub fn new<'g>(globs: impl IntoIterator<Item = &'g str>) -> Result<Self, GlobError> {
        let mut set = GlobSetBuilder::new();
        for text in globs {
            let wrong = |error: &globset::Error| GlobError {
                text: portcullis::base::quoted(text),
                reason: glob_reason(error.kind()),
            };
            let trimmed = text.strip_prefix("./").unwrap_or(text).trim_end_matches('/');
            let anchored = match trimmed.strip_prefix('/') {
                Some(rest) => rest.to_owned(),
                None if trimmed.contains('/') => trimmed.to_owned(),
                None => format!("**/{trimmed}"),
            };
            set.add(GlobBuilder::new(&anchored).literal_separator(true).build().map_err(|error| wrong(&error))?);
        }
        let set =
            set.build().map_err(|error| GlobError { text: "globs".to_owned(), reason: glob_reason(error.kind()) })?;
        Ok(Self { set })
    }

    /// Whether a glob matches the path, relative to the folder that is scanned.
    pub fn matches(&self, path: &Path) -> bool {
        self.set.is_match(path)
    }

    fn is_empty(&self) -> bool {
        self.set.is_empty()
    }
}

/// Explains why a text is not a glob.
fn glob_reason(kind: &ErrorKind) -> String {
    match kind {
        ErrorKind::UnclosedClass => "`[` is not closed: write `[[]` for the character itself".to_owned(),
        ErrorKind::InvalidRange(start, end) => format!("the range `{start}-{end}` ends before it starts"),
        ErrorKind::UnopenedAlternates => "`}` has no `{`: write `[}]` for the character itself".to_owned(),
        ErrorKind::UnclosedAlternates => "`{` is not closed: write `[{]` for the character itself".to_owned(),
        ErrorKind::NestedAlternates => "`{` is inside another `{`".to_owned(),
        ErrorKind::DanglingEscape => "nothing follows the last backslash".to_owned(),
        ErrorKind::Regex(_) => "it is too long".to_owned(),
        _ => "it is malformed".to_owned(),
    }
}

/// Scans files, and folders with everything in them, on `threads` threads.
///
/// Hidden files are read; `.git` folders are not ([`crate::git`]). Links in folders are not followed, so no file is read
/// twice. Paths that are named are always read.
///
/// Cost: linear in the bytes. Memory grows with findings only.
pub fn scan(detector: &Detector, paths: &[PathBuf], selection: &Selection, limits: Limits, threads: usize) -> Report {
    let mut report = Report::default();
    for path in paths {
        // Follows a link that is named.
        match std::fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => {
                let found = folder(detector, path, selection, limits, threads);
                let is_empty = found.inputs == 0 && found.unread.is_empty();
                report.add(found);
                if is_empty {
                    let mut scanner = Scanner::new(detector, limits);
                    scanner
                        .unread(&path.to_string_lossy(), "no file in it was read: all are left out, or there is none");
                    report.add(scanner.into_report());
                }
            }
            Ok(metadata) => {
                let mut scanner = Scanner::new(detector, limits);
                named(&mut scanner, path, metadata.file_type());
                report.add(scanner.into_report());
            }
            Err(error) => {
                let mut scanner = Scanner::new(detector, limits);
                scanner.unread(&path.to_string_lossy(), error_text(&error));
                report.add(scanner.into_report());
            }
        }
    }
    report.sort();
    report
}

/// Scans a path that is not a folder. A pipe or a terminal is read to its end.
fn named(scanner: &mut Scanner<'_>, path: &Path, file_type: FileType) {
    let name = path.to_string_lossy();
    // A pipe without a writer would be waited for. One that is already open, such as `/dev/fd/63`, has a writer.
    if file_type.is_fifo() && !path.starts_with("/dev") && !path.starts_with("/proc") {
        return scanner.unread(&name, "it is a named pipe: write its content to standard input, and scan `-`");
    }
    if file_type.is_socket() || file_type.is_block_device() {
        return scanner.unread(&name, "it is not a file");
    }
    match File::open(path) {
        Ok(file) if file_type.is_file() => scanner.file(&name, &file),
        Ok(mut file) => scanner.stream(&name, &mut file),
        Err(error) => scanner.unread(&name, error_text(&error)),
    }
}

fn folder(detector: &Detector, root: &Path, selection: &Selection, limits: Limits, threads: usize) -> Report {
    let done = Mutex::new(Report::default());
    let (mut walk, seen) = (walk(root, selection, threads), AtomicU64::new(0));
    if !selection.no_ignore {
        walk.git_ignore(true).git_exclude(true).parents(true).require_git(false);
    }
    let seen = &seen;
    walk.build_parallel().run(|| {
        let mut worker = Worker { scanner: Some(Scanner::new(detector, limits)), done: &done };
        Box::new(move |entry| {
            if let Some(scanner) = &mut worker.scanner {
                match entry {
                    Ok(entry) => {
                        count(seen, &entry);
                        visit(scanner, root, &entry, selection);
                    }
                    Err(error) => {
                        let path = path_of(&error).unwrap_or(root).to_owned();
                        scanner.unread(&path.to_string_lossy(), walk_error(&error));
                    }
                }
            }
            WalkState::Continue
        })
    });
    let mut report = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    if !selection.no_ignore {
        report.ignored = files(root, selection, threads).saturating_sub(seen.load(Ordering::Relaxed));
    }
    report
}

/// Walks a folder, without the folders and files that the selection excludes.
fn walk(root: &Path, selection: &Selection, threads: usize) -> WalkBuilder {
    let mut walk = WalkBuilder::new(root);
    walk.standard_filters(false).threads(threads).follow_links(false);
    let (owner, exclude) = (root.to_owned(), selection.exclude.clone());
    walk.filter_entry(move |entry| {
        let relative = entry.path().strip_prefix(&owner).unwrap_or(entry.path());
        entry.depth() == 0 || (entry.file_name() != ".git" && !exclude.matches(relative))
    });
    walk
}

/// Counts the files of a folder, also those that `.gitignore` excludes.
fn files(root: &Path, selection: &Selection, threads: usize) -> u64 {
    let all = AtomicU64::new(0);
    walk(root, selection, threads).build_parallel().run(|| {
        Box::new(|entry| {
            if let Ok(entry) = entry {
                count(&all, &entry);
            }
            WalkState::Continue
        })
    });
    all.into_inner()
}

/// Counts an entry that is a file.
fn count(files: &AtomicU64, entry: &DirEntry) {
    if entry.file_type().is_some_and(|file_type| file_type.is_file()) {
        files.fetch_add(1, Ordering::Relaxed);
    }
}

/// The scanner of one thread. Delivers its report at the end of the thread.
struct Worker<'s, 'd> {
    scanner: Option<Scanner<'d>>,
    done: &'s Mutex<Report>,
}

impl Drop for Worker<'_, '_> {
    fn drop(&mut self) {
        if let Some(scanner) = self.scanner.take() {
            self.done.lock().unwrap_or_else(PoisonError::into_inner).add(scanner.into_report());
        }
    }
}

fn visit(scanner: &mut Scanner<'_>, root: &Path, entry: &DirEntry, selection: &Selection) {
    let path = entry.path();
    let name = path.strip_prefix("./").unwrap_or(path).to_string_lossy();
    if let Some(error) = entry.error() {
        scanner.unread(&name, walk_error(error));
    }
    let relative = path.strip_prefix(root).unwrap_or(path);
    match entry.file_type() {
        Some(file_type) if file_type.is_dir() => {}
        Some(file_type) if file_type.is_file() => {
            if selection.include.is_empty() || selection.include.matches(relative) {
                match open(path) {
                    Ok(Some(file)) => scanner.file(&name, &file),
                    Ok(None) => scanner.skip(),
                    Err(error) => scanner.unread(&name, error_text(&error)),
                }
            }
        }
        _ => scanner.skip(),
    }
}

/// Opens a file without waiting. Returns `None` if it was replaced by something else in the meantime.
fn open(path: &Path) -> io::Result<Option<File>> {
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::NOFOLLOW;
    let file = OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path)?;
    Ok(file.metadata()?.is_file().then_some(file))
}

fn error_text(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "it does not exist".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => error.to_string(),
    }
}

/// Returns the path that an error is about.
fn path_of(error: &ignore::Error) -> Option<&Path> {
    match error {
        ignore::Error::WithPath { path, .. } => Some(path),
        ignore::Error::WithDepth { err, .. } | ignore::Error::WithLineNumber { err, .. } => path_of(err),
        ignore::Error::Partial(errors) => errors.iter().find_map(path_of),
        _ => None,
    }
}

fn walk_error(error: &ignore::Error) -> String {
    match error.io_error() {
        Some(io) => format!("a folder cannot be read: {error}", error = error_text(io)),
        None => match error {
            ignore::Error::Loop { .. } => "its links lead in a circle".to_owned(),
            _ => "a pattern in an ignore file cannot be read, so that it excludes nothing".to_owned(),
        },
    }
}
