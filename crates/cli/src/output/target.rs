//! The output file of a command. It replaces only files of its own format.

use std::fs::{self, File, Metadata, OpenOptions, Permissions};
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use portcullis::base::unwritable_words;

use super::inputs::is_stdout;
use super::{Inputs, Stdout, cannot_write};

/// The target of an output option.
///
/// A file is replaced atomically: the output is written to a temporary file in the same folder, which is then renamed. A
/// failure or interruption leaves the old file. The new file keeps its permissions, and symbolic links to it remain.
/// Devices, pipes and descriptors such as `/dev/fd/3` are written directly.
#[derive(Debug)]
pub(crate) struct Target {
    named: PathBuf,
    format: OwnFormat,
    to: To,
}

/// The format of an output. Files in another format are never replaced.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OwnFormat {
    /// The format with its article, such as `a compiled policy`.
    pub(crate) name: &'static str,
    /// Returns whether the first kilobyte of a file is in the format.
    pub(crate) starts: fn(&[u8]) -> bool,
}

impl OwnFormat {
    /// Checks that the file at `path` is empty or in the format.
    fn check(self, path: &Path) -> io::Result<()> {
        let mut start = Vec::new();
        File::open(path)?.take(1024).read_to_end(&mut start)?;
        if start.is_empty() || (self.starts)(&start) {
            return Ok(());
        }
        Err(io::Error::other(format!("it exists and is not {}\nhelp: name another file, or remove it", self.name)))
    }
}

#[derive(Debug)]
enum To {
    Stdout,
    Direct(PathBuf),
    /// The path of the file with links resolved, and the metadata of the file to replace.
    File(PathBuf, Option<Metadata>),
}

impl Target {
    /// Resolves the target at `path`; `-` is standard output.
    ///
    /// # Errors
    ///
    /// If the target is one of the `inputs`, a directory, a file that is not in `format`, or write-protected, or if its
    /// folder does not exist.
    pub(crate) fn new(path: &Path, inputs: &Inputs, format: OwnFormat) -> anyhow::Result<Self> {
        inputs.check(path)?;
        let to = resolve(path).map_err(|error| unwritable(path, &error))?;
        if let To::File(found, Some(_)) = &to {
            format.check(found).with_context(|| cannot_write(path))?;
        }
        Ok(Self { named: path.to_owned(), format, to })
    }

    /// The file `name` in `folder`, for generated names: symbolic links are not followed.
    pub(crate) fn within(folder: &Path, name: &str, format: OwnFormat) -> anyhow::Result<Self> {
        let path = folder.join(name);
        let refused = || cannot_write(&path);
        match fs::symlink_metadata(&path) {
            Ok(found) if !found.is_file() => {
                Err(io::Error::other("it exists and is not a regular file")).with_context(refused)
            }
            _ => Self::new(&path, &Inputs::default(), format),
        }
    }

    pub(crate) fn is_stdout(&self) -> bool {
        matches!(self.to, To::Stdout)
    }

    /// Calls `write` with the output. A file is written completely or not at all.
    pub(crate) fn write<T>(&self, write: impl FnOnce(&mut dyn Write) -> anyhow::Result<T>) -> anyhow::Result<T> {
        let written = match &self.to {
            To::Stdout => through(&mut Stdout::lock(), write),
            To::Direct(path) => OpenOptions::new()
                .append(true)
                .open(path)
                .map_err(anyhow::Error::from)
                .and_then(|file| through(&mut BufWriter::new(file), write)),
            To::File(path, before) => replace(path, before.as_ref(), self.format, write),
        };
        written.with_context(|| cannot_write(&self.named))
    }
}

/// Returns the error for a file that cannot be written.
fn unwritable(path: &Path, error: &io::Error) -> anyhow::Error {
    anyhow!("{}: {}", cannot_write(path), unwritable_words(path, error))
}

fn through<T>(out: &mut dyn Write, write: impl FnOnce(&mut dyn Write) -> anyhow::Result<T>) -> anyhow::Result<T> {
    let value = write(out)?;
    out.flush()?;
    Ok(value)
}

fn resolve(path: &Path) -> io::Result<To> {
    /// The limit of symbolic links, as in operating systems.
    const MAX_LINKS: usize = 40;
    if is_stdout(path) {
        return Ok(To::Stdout);
    }
    let mut path = path.to_owned();
    for _ in 0..MAX_LINKS {
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
                // A write-protected file must not be replaced either.
                OpenOptions::new().write(true).open(&path)?;
                return Ok(To::File(path, Some(found)));
            }
            Ok(_) => return Ok(To::Direct(path)),
        }
    }
    Err(io::Error::other("too many symbolic links"))
}

/// The number in `path` if it names a file descriptor of this process, such as `/dev/fd/3`.
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
    format: OwnFormat,
    write: impl FnOnce(&mut dyn Write) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let folder = folder(path);
    let mut builder = tempfile::Builder::new();
    builder.prefix(".portcullis-").suffix(".new");
    // The mode of any new file: the umask applies.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut temporary = builder.tempfile_in(folder)?;
    let value = through(&mut BufWriter::new(temporary.as_file_mut()), write)?;
    if let Some(before) = before {
        copy_metadata(temporary.as_file(), before)?;
    }
    temporary.as_file().sync_all()?;
    // Another program may have created or replaced the file in the meantime.
    match before {
        Some(_) if path.exists() => {
            format.check(path)?;
            temporary.persist(path)
        }
        _ => temporary.persist_noclobber(path),
    }
    .map_err(|error| error.error)?;
    #[cfg(unix)]
    File::open(folder)?.sync_all()?;
    Ok(value)
}

/// Copies owner and permissions of the replaced file to the new one.
fn copy_metadata(file: &File, before: &Metadata) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::{MetadataExt, fchown};
        let created = file.metadata()?;
        if (created.uid(), created.gid()) != (before.uid(), before.gid()) {
            // Only an administrator can change the owner.
            let _ = fchown(file, Some(before.uid()), Some(before.gid()));
        }
    }
    let permissions: Permissions = before.permissions();
    file.set_permissions(permissions)
}
