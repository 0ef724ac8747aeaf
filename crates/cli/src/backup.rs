//! Copies a registry that may be in use.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use portcullis::base::quoted;
use portcullis_registry::{Registry, check_home};

use super::Exit;
use super::credentials::word;
use super::output::{Inputs, Stdout, bytes, is_stdin};
use super::registry::{DbArgs, invalid};

const EXAMPLES: &str = "\
Examples:
  portcullis backup registry-2026-11-30.db
  portcullis backup /srv/backup/registry.db --db sqlite:registry.db

The copy is one committed state, even if servers use the registry meanwhile. It
is a registry itself: `--db sqlite:FILE` reads it. To restore it, end the
processes that use the registry, and rename the copy over it.";

/// Copy the registry to a new file
///
/// Keeps everything: tokens, OAuth clients, connections, named sources, usage and the trail. The file has mode 0600.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct Args {
    /// File to create; never overwritten
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    db: DbArgs,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Exit> {
    if is_stdin(&args.file) {
        bail!("a registry cannot be copied to standard output: name a file, such as `portcullis backup copy.db`");
    }
    check_is_path(&args.file)?;
    let location = args.db.location()?;
    Inputs::check_stdout_of_registry(&location)?;
    let mut registry = Registry::open(&location, false)?;
    let name = args.file.display();
    check_absent(&args.file)?;
    let folder = args.file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    check_folder(&args.file, folder)?;
    let cannot = || format!("cannot write `{name}`");
    // Only the owner may read a temporary file. It is removed on every error.
    let copy =
        tempfile::Builder::new().prefix(".portcullis-").suffix(".new").tempfile_in(folder).with_context(cannot)?;
    // Whatever the umask.
    #[cfg(unix)]
    copy.as_file().set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600)).with_context(cannot)?;
    registry.copy_to(copy.path())?;
    copy.as_file().sync_all().with_context(cannot)?;
    let size = copy.as_file().metadata().with_context(cannot)?.len();
    copy.persist_noclobber(&args.file).map_err(|error| exists(&args.file, error.error))?;
    #[cfg(unix)]
    File::open(folder).and_then(|folder| folder.sync_all()).with_context(cannot)?;
    let mut out = Stdout::lock();
    writeln!(out, "copied {location} to {name}: {}", bytes(usize::try_from(size).unwrap_or(usize::MAX)))?;
    out.flush()?;
    Ok(Exit::Success)
}

/// Checks that `file` is a path, not the URL of a registry.
fn check_is_path(file: &Path) -> anyhow::Result<()> {
    // No text with an invalid character is a URL.
    let Some(text) = file.to_str() else { return Ok(()) };
    let scheme = text.split_once(':').filter(|(scheme, _)| {
        ["sqlite", "sqlite3", "file", "postgres", "postgresql"].contains(&&*scheme.to_lowercase())
    });
    let Some((scheme, rest)) = scheme else { return Ok(()) };
    let path = rest.strip_prefix("//").unwrap_or(rest);
    check_home(path, "", "the path of the copy")?;
    // The rest of a URL may hold a password.
    let is_plain = !path.is_empty() && !path.contains(['@', '?', '#', '%', '`']) && !scheme.starts_with(['p', 'P']);
    let help = if is_plain {
        format!("write {}; a file with that name is {}", quoted(path), quoted(&format!("./{text}")))
    } else {
        "write a path, such as `copy.db`".to_owned()
    };
    Err(invalid(format!("expected the path of a new file, found a URL with the scheme `{scheme}:`"), help).into())
}

/// Checks that no file, link or folder has this path, nor that a log of another registry would belong to the copy.
fn check_absent(path: &Path) -> anyhow::Result<()> {
    if path.symlink_metadata().is_ok() {
        return Err(exists(path, io::ErrorKind::AlreadyExists.into()));
    }
    for suffix in ["-wal", "-shm", "-journal"] {
        let mut part = path.as_os_str().to_owned();
        part.push(suffix);
        if Path::new(&part).symlink_metadata().is_ok() {
            let part = Path::new(&part).display();
            bail!("`{part}` exists: it would become a part of the copy\nhelp: name another file, or remove it");
        }
    }
    Ok(())
}

/// Checks that the folder of the copy exists.
fn check_folder(file: &Path, folder: &Path) -> anyhow::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let [name, shown] = [file, folder].map(|path| quoted(&path.display().to_string()));
    let text = folder.display().to_string();
    let help = match folder.exists() {
        true => format!("{shown} is a file: name a file in a folder"),
        false if text.starts_with('-') => "create the folder first".to_owned(),
        false => format!("create the folder first: `mkdir -p {}`", word(&text)),
    };
    bail!("cannot write {name}: its folder does not exist\nhelp: {help}")
}

fn exists(path: &Path, error: io::Error) -> anyhow::Error {
    let name = path.display();
    if error.kind() == io::ErrorKind::AlreadyExists {
        return anyhow::anyhow!("`{name}` already exists and was not changed\nhelp: name another file");
    }
    anyhow::Error::from(error).context(format!("cannot write `{name}`"))
}
