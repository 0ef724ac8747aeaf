//! The input files of a command, which it must not overwrite.

#[cfg(feature = "server")]
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use anyhow::bail;
#[cfg(feature = "registry")]
use portcullis_registry::Location;

use super::{cannot_write, file_name};

/// The input files of a command. Files that do not exist yet are included: they may exist when they are read.
#[derive(Debug, Default)]
pub(crate) struct Inputs {
    files: Vec<Input>,
}

#[derive(Debug)]
struct Input {
    path: PathBuf,
    id: Option<FileId>,
}

/// The name of standard output on the command line.
const STDOUT: &str = "-";

/// The identity of a file under any name: device and inode.
type FileId = (u64, u64);

impl Inputs {
    pub(crate) fn add(&mut self, path: &Path) {
        let id = if is_stdin(path) { file_id(Path::new("/dev/stdin")) } else { file_id(path) };
        self.files.push(Input { path: path.to_owned(), id });
    }

    /// Checks that standard output is not the file at `path`. A command would read what it appends to its own input.
    pub(crate) fn check_stdout(path: &Path) -> anyhow::Result<()> {
        let mut inputs = Self::default();
        inputs.add(path);
        inputs.check(Path::new(STDOUT))
    }

    /// Checks that standard output is not a file of the registry at `location`.
    #[cfg(feature = "registry")]
    pub(crate) fn check_stdout_of_registry(location: &Location) -> anyhow::Result<()> {
        let mut inputs = Self::default();
        inputs.add_registry(location);
        inputs.check(Path::new(STDOUT))
    }

    pub(crate) fn add_all<P: AsRef<Path>>(&mut self, paths: impl IntoIterator<Item = P>) {
        for path in paths {
            self.add(path.as_ref());
        }
    }

    /// Adds a registry: its database, log and index of the log. A registry in PostgreSQL has no files here.
    #[cfg(feature = "registry")]
    pub(crate) fn add_registry(&mut self, location: &Location) {
        let Some(path) = location.path() else { return };
        let database = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        for suffix in ["", "-wal", "-shm"] {
            let mut path = database.clone().into_os_string();
            path.push(suffix);
            self.add(Path::new(&path));
        }
    }

    /// Checks that none of the files is in `folder` under a name that `owns` accepts: the command replaces and removes
    /// such files.
    ///
    /// A hard link in another folder is allowed, because the contents remain.
    #[cfg(feature = "server")]
    pub(crate) fn check_folder(&self, folder: &Path, owns: impl Fn(&str) -> bool) -> anyhow::Result<()> {
        let folder = resolved_folder(folder);
        let is_owned = |path: PathBuf| {
            let name = path.file_name().and_then(OsStr::to_str);
            path.parent() == Some(&*folder) && name.is_some_and(&owns)
        };
        // The path may lead to a file in the folder, or be a link there.
        let is_refused = |path: &Path| is_owned(resolved(path)) || unfollowed(path).is_some_and(is_owned);
        let Some(refused) = self.files.iter().find(|file| is_refused(&file.path)) else { return Ok(()) };
        bail!(
            "cannot use {}: servers replace and remove files of this name in their state directories\n\
             help: move it to another folder",
            file_name(&refused.path)
        );
    }

    /// Returns the paths of the files.
    #[cfg(feature = "server")]
    pub(crate) fn into_paths(self) -> Vec<PathBuf> {
        self.files.into_iter().map(|file| file.path).collect()
    }

    /// Checks that `output` is not one of the files, under any name, symbolic link or hard link.
    ///
    /// Devices and pipes are allowed: they hold no data that could be lost.
    pub(crate) fn check(&self, output: &Path) -> anyhow::Result<()> {
        let opened = if is_stdout(output) { Path::new("/dev/stdout") } else { output };
        let (id, location) = (file_id(opened), resolved(opened));
        let is_same = |input: &&Input| {
            (id.is_some() && input.id == id)
                || (!is_stdin(&input.path) && is_missing(opened) && resolved(&input.path) == location)
        };
        let Some(input) = self.files.iter().find(is_same) else { return Ok(()) };
        let name = file_name(&input.path);
        if is_stdout(output) {
            bail!(
                "cannot write to standard output: it is the file {name}, which this command reads; name another file"
            );
        }
        if output == input.path {
            bail!("{}: this command reads it; name another file", cannot_write(output));
        }
        bail!("{}: it is the file {name}, which this command reads; name another file", cannot_write(output));
    }
}

fn is_missing(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_err()
}

/// The absolute path of a file, with the symbolic links of its existing components resolved.
fn resolved(path: &Path) -> PathBuf {
    if let Ok(path) = path.canonicalize() {
        return path;
    }
    unfollowed(path).unwrap_or_else(|| path.to_owned())
}

/// The absolute path of a file, with the symbolic links of its folder resolved; `None` for a path without a file name.
fn unfollowed(path: &Path) -> Option<PathBuf> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Some(resolved_folder(folder).join(path.file_name()?))
}

fn resolved_folder(folder: &Path) -> PathBuf {
    if folder == Path::new(".") { std::env::current_dir().unwrap_or_default() } else { resolved(folder) }
}

/// The identity of the regular file at `path`; `None` if it is not a regular file.
#[cfg(unix)]
fn file_id(path: &Path) -> Option<FileId> {
    use std::os::unix::fs::MetadataExt;
    let metadata = std::fs::metadata(path).ok().filter(std::fs::Metadata::is_file)?;
    Some((metadata.dev(), metadata.ino()))
}

#[cfg(not(unix))]
fn file_id(_: &Path) -> Option<FileId> {
    None
}

/// Whether `path` means standard input: `-`, or its file of the operating system.
pub(crate) fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == STDOUT
        || ["/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"].iter().any(|name| path == Path::new(name))
}

/// Whether `path` means standard output.
pub(crate) fn is_stdout(path: &Path) -> bool {
    path.as_os_str() == STDOUT
}
