//! Where a command writes what it was asked to write into a file.

use std::fs::{self, File, Metadata, OpenOptions, Permissions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::super::policy::is_stdin;
use super::{Inputs, Stdout};

/// Where output goes.
///
/// A file is written aside, in its folder, and renamed when it is whole: a failure or an interruption leaves what was
/// there. It keeps its permissions, and a symbolic link to it stays one. Devices, pipes and descriptors such as
/// `/dev/fd/3` are written as they are.
#[derive(Debug)]
pub(crate) struct Target {
    named: PathBuf,
    to: To,
}

#[derive(Debug)]
enum To {
    Stdout,
    Direct(PathBuf),
    /// The file itself, whatever links lead to it, and what was there.
    File(PathBuf, Option<Metadata>),
}

impl Target {
    /// Looks at what `path` is: `-` is standard output.
    ///
    /// # Errors
    ///
    /// If it is one of the `inputs`, a directory, in no directory, or write-protected.
    pub(crate) fn new(path: &Path, inputs: &Inputs) -> anyhow::Result<Self> {
        inputs.check(path)?;
        let to = look(path).with_context(|| format!("cannot write `{}`", path.display()))?;
        Ok(Self { named: path.to_owned(), to })
    }

    /// A file of a folder in which files are written by names that nobody gave: no link is followed there.
    pub(crate) fn within(folder: &Path, name: &str) -> anyhow::Result<Self> {
        let path = folder.join(name);
        let refused = || format!("cannot write `{}`", path.display());
        match fs::symlink_metadata(&path) {
            Ok(found) if !found.is_file() => {
                Err(io::Error::other("it is there and no ordinary file")).with_context(refused)
            }
            _ => Self::new(&path, &Inputs::default()),
        }
    }

    pub(crate) fn is_stdout(&self) -> bool {
        matches!(self.to, To::Stdout)
    }

    /// Writes by `write`, all or nothing where it is a file.
    pub(crate) fn write<T>(&self, write: impl FnOnce(&mut dyn Write) -> anyhow::Result<T>) -> anyhow::Result<T> {
        let written = match &self.to {
            To::Stdout => through(&mut Stdout::lock(), write),
            To::Direct(path) => OpenOptions::new()
                .append(true)
                .open(path)
                .map_err(anyhow::Error::from)
                .and_then(|file| through(&mut BufWriter::new(file), write)),
            To::File(path, before) => replace(path, before.as_ref(), write),
        };
        written.with_context(|| format!("cannot write `{}`", self.named.display()))
    }
}

fn through<T>(out: &mut dyn Write, write: impl FnOnce(&mut dyn Write) -> anyhow::Result<T>) -> anyhow::Result<T> {
    let value = write(out)?;
    out.flush()?;
    Ok(value)
}

fn look(path: &Path) -> io::Result<To> {
    /// As many links as systems follow.
    const LINKS: usize = 40;
    if is_stdin(path) {
        return Ok(To::Stdout);
    }
    let mut path = path.to_owned();
    for _ in 0..LINKS {
        let folder = folder(&path).canonicalize()?;
        if let Some(descriptor) = descriptor(&folder, &path) {
            return Ok(if descriptor == "1" { To::Stdout } else { To::Direct(path) });
        }
        match fs::symlink_metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(To::File(path, None)),
            Err(error) => return Err(error),
            Ok(found) if found.is_symlink() => path = folder.join(fs::read_link(&path)?),
            Ok(found) if found.is_dir() => return Err(io::ErrorKind::IsADirectory.into()),
            Ok(found) if found.is_file() => {
                // A file that may not be written is not replaced either.
                OpenOptions::new().write(true).open(&path)?;
                return Ok(To::File(path, Some(found)));
            }
            Ok(_) => return Ok(To::Direct(path)),
        }
    }
    Err(io::Error::other("too many links lead to it"))
}

/// The number of the descriptor of this process that `path`, in `folder`, names.
fn descriptor<'p>(folder: &Path, path: &'p Path) -> Option<&'p str> {
    let own = [format!("/proc/{}/fd", std::process::id()), "/dev/fd".to_owned()];
    let name = path.file_name()?.to_str()?;
    let is_number = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit());
    (is_number && own.iter().any(|own| folder == Path::new(own))).then_some(name)
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn replace<T>(
    path: &Path,
    before: Option<&Metadata>,
    write: impl FnOnce(&mut dyn Write) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let folder = folder(path);
    let mut builder = tempfile::Builder::new();
    builder.prefix(".portcullis-").suffix(".new");
    // As any new file: the umask applies.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut aside = builder.tempfile_in(folder)?;
    let value = through(&mut BufWriter::new(aside.as_file_mut()), write)?;
    if let Some(before) = before {
        keep(aside.as_file(), before)?;
    }
    aside.as_file().sync_all()?;
    aside.persist(path).map_err(|error| error.error)?;
    #[cfg(unix)]
    File::open(folder)?.sync_all()?;
    Ok(value)
}

/// Gives the new file the owner and permissions of the one that it replaces.
fn keep(file: &File, before: &Metadata) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::{MetadataExt, fchown};
        let made = file.metadata()?;
        if (made.uid(), made.gid()) != (before.uid(), before.gid()) {
            // Only an administrator may give files away.
            let _ = fchown(file, Some(before.uid()), Some(before.gid()));
        }
    }
    let permissions: Permissions = before.permissions();
    file.set_permissions(permissions)
}
