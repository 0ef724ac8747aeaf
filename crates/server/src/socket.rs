//! Unix sockets at paths that other files may use: no other file is replaced or removed.

use std::fs::{self, File, Metadata, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use portcullis::base::system_words;

use socket2::{Domain, SockAddr, Socket, Type};

/// The maximum number of connections that wait to be accepted.
pub(super) const BACKLOG: i32 = 1024;

/// How long to wait for another server that binds or removes a socket in the same folder.
const PATIENCE: Duration = Duration::from_secs(5);

/// The path of a socket that this process bound. Dropping it removes the socket, unless the path names another file.
///
/// Drop it before the listener: while the listener is open, no other file gets the same inode.
#[derive(Debug)]
pub(super) struct BoundPath {
    path: PathBuf,
    id: FileId,
}

/// The identity of a file, whatever its name: its device and inode.
type FileId = (u64, u64);

/// Listens on a socket at `path` with this mode, whatever the umask. Replaces a socket without a listener.
///
/// # Errors
///
/// If a server listens on `path`, or it names any other file.
pub(super) fn bind(path: &Path, mode: u32) -> io::Result<(UnixListener, BoundPath)> {
    let lock = lock(path)?;
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error),
        Ok(found) if found.file_type().is_socket() => {
            if !is_stale(path)? {
                return Err(in_use());
            }
            if lock.is_none() {
                return Err(io::Error::other("a stale socket exists, and its folder cannot be locked to replace it"));
            }
            remove(path, file_id(&found))?;
        }
        Ok(found) => {
            let what = kind(&found);
            return Err(io::Error::new(
                ErrorKind::AlreadyExists,
                format!("the path is {what}, which is not replaced: choose another path, or remove it"),
            ));
        }
    }
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // Fails if another file was created at the path meanwhile.
    socket.bind(&SockAddr::unix(path)?)?;
    let bound = BoundPath { path: path.to_owned(), id: file_id(&fs::symlink_metadata(path)?) };
    // No client can connect before the socket listens, so none connects with other permissions.
    fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok((socket.into(), bound))
}

impl Drop for BoundPath {
    fn drop(&mut self) {
        // A server that takes over the path meanwhile waits for this lock.
        let _lock = lock(&self.path);
        let is_ours = fs::symlink_metadata(&self.path).is_ok_and(|found| file_id(&found) == self.id);
        if is_ours && let Err(error) = remove(&self.path, self.id) {
            tracing::warn!("cannot remove the socket `{}`: {}", self.path.display(), system_words(&error));
        }
    }
}

/// Whether no server listens on the socket.
fn is_stale(path: &Path) -> io::Result<bool> {
    /// The maximum time that a server takes from binding its socket to listening on it.
    const LISTENING: Duration = Duration::from_millis(50);
    let address = SockAddr::unix(path)?;
    for pause in [LISTENING, Duration::ZERO] {
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        // A socket with a full queue does not answer either, and must not block this.
        socket.set_nonblocking(true)?;
        match socket.connect(&address) {
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => std::thread::sleep(pause),
            Err(error) if error.kind() == ErrorKind::PermissionDenied => return Err(error),
            _ => return Ok(false),
        }
    }
    Ok(true)
}

/// Removes the file `id` at `path`. A different file that was created there meanwhile is put back.
fn remove(path: &Path, id: FileId) -> io::Result<()> {
    // In a folder of its own the file overwrites nothing, and can be checked before it is deleted.
    let aside = tempfile::Builder::new().prefix(".portcullis-").tempdir_in(folder(path))?;
    let moved = aside.path().join("socket");
    fs::rename(path, &moved)?;
    if file_id(&fs::symlink_metadata(&moved)?) == id {
        return fs::remove_file(&moved);
    }
    if fs::hard_link(&moved, path).is_err() {
        let kept = aside.keep();
        return Err(io::Error::other(format!(
            "another file was created at the path: it is kept in `{}`",
            kept.display()
        )));
    }
    fs::remove_file(&moved)?;
    Err(in_use())
}

/// Locks the folder of `path` against other servers; `None` if the file system has no locks, or the folder cannot be
/// read.
fn lock(path: &Path) -> io::Result<Option<File>> {
    let folder = match File::open(folder(path)) {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => return Ok(None),
        opened => opened?,
    };
    let end = Instant::now() + PATIENCE;
    loop {
        match folder.try_lock() {
            Ok(()) => return Ok(Some(folder)),
            Err(TryLockError::WouldBlock) if Instant::now() < end => std::thread::sleep(Duration::from_millis(10)),
            Err(TryLockError::WouldBlock) => return Err(io::Error::other("another process has its folder locked")),
            Err(TryLockError::Error(_)) => return Ok(None),
        }
    }
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn file_id(metadata: &Metadata) -> FileId {
    (metadata.dev(), metadata.ino())
}

fn in_use() -> io::Error {
    io::Error::new(ErrorKind::AddrInUse, "another server listens on it")
}

fn kind(metadata: &Metadata) -> &'static str {
    let kind = metadata.file_type();
    if kind.is_symlink() {
        "a symbolic link"
    } else if kind.is_dir() {
        "a directory"
    } else if kind.is_fifo() {
        "a pipe"
    } else if kind.is_file() {
        "an ordinary file"
    } else {
        "a device"
    }
}
