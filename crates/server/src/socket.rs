//! Unix sockets at paths where there may be other files: none of them is replaced or removed.

use std::fs::{self, File, Metadata, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use socket2::{Domain, SockAddr, Socket, Type};

/// Connections that wait to be accepted.
const BACKLOG: i32 = 1024;

/// How long another server that is binding or removing a socket in the same folder is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// The path of a socket that this process bound. Dropped, it is removed, unless it is another file by then.
///
/// Drop it before the listener: while that is open, no other file gets the same inode.
#[derive(Debug)]
pub(super) struct BoundPath {
    path: PathBuf,
    id: FileId,
}

/// A file, whatever it is called: its device and inode.
type FileId = (u64, u64);

/// Listens on a socket at `path` with this mode, whatever the umask. Replaces a socket on which nobody listens.
///
/// # Errors
///
/// If a server listens there, or there is any other file.
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
                return Err(io::Error::other("a socket is left there, and its folder cannot be locked to replace it"));
            }
            remove(path, file_id(&found))?;
        }
        Ok(found) => {
            let what = kind(&found);
            return Err(io::Error::new(
                ErrorKind::AlreadyExists,
                format!("{what} is there, which is not replaced; name another path, or remove it yourself"),
            ));
        }
    }
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // Fails where anything came meanwhile.
    socket.bind(&SockAddr::unix(path)?)?;
    let bound = BoundPath { path: path.to_owned(), id: file_id(&fs::symlink_metadata(path)?) };
    // Nobody can connect before it listens, so nobody connects with other permissions.
    fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok((socket.into(), bound))
}

impl Drop for BoundPath {
    fn drop(&mut self) {
        // A server that takes the path over meanwhile waits for this.
        let _lock = lock(&self.path);
        let is_ours = fs::symlink_metadata(&self.path).is_ok_and(|found| file_id(&found) == self.id);
        if is_ours && let Err(error) = remove(&self.path, self.id) {
            tracing::warn!("cannot remove the socket `{}`: {error}", self.path.display());
        }
    }
}

/// Whether nobody listens on the socket.
fn is_stale(path: &Path) -> io::Result<bool> {
    /// How long a server takes at most from binding its socket to listening on it.
    const LISTENING: Duration = Duration::from_millis(50);
    let address = SockAddr::unix(path)?;
    for pause in [LISTENING, Duration::ZERO] {
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        // One whose queue is full does not answer either, and must not be waited for.
        socket.set_nonblocking(true)?;
        match socket.connect(&address) {
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => std::thread::sleep(pause),
            Err(error) if error.kind() == ErrorKind::PermissionDenied => return Err(error),
            _ => return Ok(false),
        }
    }
    Ok(true)
}

/// Removes the file `id` at `path`. One that came there meanwhile is put back.
fn remove(path: &Path, id: FileId) -> io::Result<()> {
    // Moved into a folder of its own, it overwrites nothing, and can be looked at before it is gone.
    let aside = tempfile::Builder::new().prefix(".portcullis-").tempdir_in(folder(path))?;
    let moved = aside.path().join("socket");
    fs::rename(path, &moved)?;
    if file_id(&fs::symlink_metadata(&moved)?) == id {
        return fs::remove_file(&moved);
    }
    if fs::hard_link(&moved, path).is_err() {
        let kept = aside.keep();
        return Err(io::Error::other(format!("another file came there: it is kept in `{}`", kept.display())));
    }
    fs::remove_file(&moved)?;
    Err(in_use())
}

/// Locks the folder of `path` against other servers; `None` where the file system has no such locks, or the folder cannot
/// be read.
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
    io::Error::new(ErrorKind::AddrInUse, "another server listens there")
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
