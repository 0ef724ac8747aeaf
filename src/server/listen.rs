//! Sockets, and the connections that come by them.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_rustls::TlsAcceptor;

use super::Limits;
use super::counted::Counted;
use super::socket::{self, BoundPath};

/// Where to listen: an address such as `127.0.0.1:8181`, or `unix:/run/portcullis.sock`.
///
/// ```
/// use portcullis::server::Address;
///
/// assert_eq!("unix:/run/p.sock".parse::<Address>()?, Address::Unix("/run/p.sock".into()));
/// assert!("localhost".parse::<Address>().is_err());
/// # Ok::<(), portcullis::server::AddressError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// TCP. Port 0 is any that is free.
    Tcp(SocketAddr),
    /// A Unix socket of this path.
    Unix(PathBuf),
}

/// Text that is not an address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not an address: expected one such as `127.0.0.1:8181`, or `unix:/run/portcullis.sock`", .0.escape_debug())]
pub struct AddressError(String);

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        match text.strip_prefix("unix:") {
            Some(path) if !path.is_empty() => Ok(Self::Unix(path.into())),
            _ => text.parse().map(Self::Tcp).map_err(|_| AddressError(text.to_owned())),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// A socket that listens.
pub(super) struct Listener {
    /// Dropped before the socket.
    bound: Option<BoundPath>,
    socket: Socket,
    tls: Option<TlsAcceptor>,
    address: Address,
}

enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Listener {
    /// Listens on `address`; on a Unix socket, with `mode`.
    pub(super) async fn bind(address: &Address, mode: u32, tls: Option<TlsAcceptor>) -> io::Result<Self> {
        let (bound, socket, address) = match address {
            Address::Tcp(wanted) => {
                let socket = TcpListener::bind(wanted).await?;
                let bound = socket.local_addr()?;
                (None, Socket::Tcp(socket), Address::Tcp(bound))
            }
            Address::Unix(path) => {
                let (socket, bound) = socket::bind(path, mode)?;
                (Some(bound), Socket::Unix(UnixListener::from_std(socket)?), address.clone())
            }
        };
        Ok(Self { bound, socket, tls, address })
    }

    pub(super) fn address(&self) -> &Address {
        &self.address
    }

    /// Serves connections until `stop`, then waits for the requests that have begun.
    pub(super) async fn serve(self, router: Router, limits: Limits, mut stop: watch::Receiver<bool>) {
        let graceful = GracefulShutdown::new();
        let room = Arc::new(Semaphore::new(limits.connections));
        let http = http(&limits);
        loop {
            let accepted = tokio::select! {
                accepted = self.accept() => accepted,
                _ = stop.wait_for(|stop| *stop) => break,
            };
            let stream = match accepted {
                Ok(stream) => stream,
                Err(error) => {
                    // Often too many open files: it passes.
                    tracing::warn!("cannot accept a connection on {}: {error}", self.address);
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            };
            let Ok(permit) = Arc::clone(&room).try_acquire_owned() else {
                tokio::spawn(stream.refuse(self.tls.is_none()));
                continue;
            };
            let connection = Connection {
                http: http.clone(),
                router: router.clone(),
                watcher: graceful.watcher(),
                time: limits.request_time,
                idle: limits.idle_time,
                _permit: permit,
            };
            match stream {
                Stream::Tcp(stream) => {
                    // Answers are small and somebody waits for each.
                    let _ = stream.set_nodelay(true);
                    tokio::spawn(connection.serve(stream, self.tls.clone()));
                }
                Stream::Unix(stream) => {
                    tokio::spawn(connection.serve(stream, self.tls.clone()));
                }
            }
        }
        // The path first, while no other server can have the same inode.
        drop(self.bound);
        drop(self.socket);
        graceful.shutdown().await;
    }

    async fn accept(&self) -> io::Result<Stream> {
        match &self.socket {
            Socket::Tcp(socket) => socket.accept().await.map(|(stream, _)| Stream::Tcp(stream)),
            Socket::Unix(socket) => socket.accept().await.map(|(stream, _)| Stream::Unix(stream)),
        }
    }
}

fn http(limits: &Limits) -> Builder<TokioExecutor> {
    let mut http = Builder::new(TokioExecutor::new());
    http.http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.idle_time)
        .max_headers(limits.headers)
        .max_buf_size(limits.header_bytes.max(MIN_BUFFER));
    http.http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(limits.idle_time)
        .max_concurrent_streams(u32::try_from(limits.requests).unwrap_or(u32::MAX))
        .max_header_list_size(u32::try_from(limits.header_bytes).unwrap_or(u32::MAX));
    http
}

/// How many bytes tell HTTP/1 and HTTP/2 apart; no request is shorter.
const PREFACE: usize = 24;

/// The least that HTTP/1 can be read with.
const MIN_BUFFER: usize = 8192;

/// One connection, before anything was read.
struct Connection {
    http: Builder<TokioExecutor>,
    router: Router,
    watcher: Watcher,
    time: Duration,
    idle: Duration,
    _permit: OwnedSemaphorePermit,
}

impl Connection {
    async fn serve<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(self, stream: S, tls: Option<TlsAcceptor>) {
        match tls {
            None => self.exchange(stream).await,
            // A handshake that takes too long or fails is the client's loss.
            Some(tls) => match tokio::time::timeout(self.time, tls.accept(stream)).await {
                Ok(Ok(stream)) => self.exchange(stream).await,
                Ok(Err(error)) => tracing::debug!("a TLS handshake failed: {error}"),
                Err(_) => tracing::debug!("a TLS handshake took too long"),
            },
        }
    }

    async fn exchange<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(self, stream: S) {
        let (stream, read) = Counted::new(stream);
        let service = TowerToHyperService::new(self.router);
        let connection = self.http.serve_connection(TokioIo::new(stream), service).into_owned();
        // Whether it is HTTP/1 or HTTP/2 is waited for without end.
        let silence = async {
            tokio::time::sleep(self.idle).await;
            if read.load(Ordering::Relaxed) >= PREFACE {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            ended = self.watcher.watch(connection) => {
                if let Err(error) = ended {
                    tracing::debug!("a connection ended: {error}");
                }
            }
            () = silence => tracing::debug!("a connection said nothing"),
        }
    }
}

const FULL: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\ncontent-length: 0\r\nretry-after: 1\r\n\r\n";

impl Stream {
    /// Says that there are too many connections.
    async fn refuse(self, is_plain: bool) {
        if is_plain {
            // Whoever does not read it finds the connection closed.
            let _ = match self {
                Self::Tcp(mut stream) => stream.write_all(FULL).await,
                Self::Unix(mut stream) => stream.write_all(FULL).await,
            };
        }
    }
}
