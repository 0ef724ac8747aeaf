//! Listening sockets and their connections.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{mpsc, watch};
use tokio_rustls::TlsAcceptor;

use super::Limits;
use super::connection::Connection;
use super::exchange::{Serving, Times};
use super::gate::Gate;
use super::socket::{self, BoundPath};
use portcullis::base::quoted;

/// The address of a listener, such as `127.0.0.1:8181` or `unix:/run/portcullis.sock`.
///
/// ```
/// use portcullis_server::Address;
///
/// assert_eq!("unix:/run/p.sock".parse::<Address>()?, Address::Unix("/run/p.sock".into()));
/// assert!("localhost".parse::<Address>().is_err());
/// # Ok::<(), portcullis_server::AddressError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A TCP address. Port 0 means any free port.
    Tcp(SocketAddr),
    /// The path of a Unix socket.
    Unix(PathBuf),
}

/// Text that is not an address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} is not an address: expected one such as `127.0.0.1:8181`, or `unix:/run/portcullis.sock`", quoted(.0))]
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

/// A listening socket.
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
    /// Listens on `address`. `mode` sets the permissions of a Unix socket.
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

    /// Serves connections until `stop`, then waits for the open requests.
    pub(super) async fn serve(self, router: Router, gate: Gate, mut stop: watch::Receiver<bool>) {
        let limits = gate.limits();
        let (open, mut all_closed) = mpsc::channel(1);
        let serving = Serving {
            http: http(limits),
            router,
            times: Times { request: limits.request_time, idle: limits.idle_time },
            gate: gate.clone(),
            stop: stop.clone(),
            _open: open,
        };
        let mut is_failing = false;
        loop {
            let accepted = tokio::select! {
                accepted = self.accept() => accepted,
                _ = stop.wait_for(|stop| *stop) => break,
            };
            let stream = match accepted {
                Ok(stream) => stream,
                Err(error) => {
                    // Often too many open files, which passes. Each failure is counted, but only the first is logged.
                    gate.not_accepted();
                    if !std::mem::replace(&mut is_failing, true) {
                        tracing::warn!("cannot accept a connection on {}: {error}", self.address);
                    }
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            };
            if std::mem::take(&mut is_failing) {
                tracing::info!("connections are accepted on {} again", self.address);
            }
            let Some(open) = gate.connect() else {
                tokio::spawn(stream.refuse(self.tls.is_none()));
                continue;
            };
            let connection = Connection::new(open);
            match stream {
                Stream::Tcp(stream) => {
                    // Responses are small, and a client waits for each.
                    let _ = stream.set_nodelay(true);
                    tokio::spawn(serve(stream, self.tls.clone(), serving.clone(), connection));
                }
                Stream::Unix(stream) => {
                    tokio::spawn(serve(stream, self.tls.clone(), serving.clone(), connection));
                }
            }
        }
        // The path first, while no other server can have the same inode.
        drop(self.bound);
        drop((self.socket, serving));
        // No value is ever sent: the channel closes with the last connection.
        let _ = all_closed.recv().await;
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
        // The connection has its own timeouts, one for the start of a request and one between requests.
        .header_read_timeout(None)
        // Responses are kept unchanged until the client takes them, so that their bytes are counted.
        .writev(true)
        .max_headers(limits.headers)
        .max_buf_size(limits.header_bytes.max(MIN_BUFFER));
    http.http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(limits.idle_time.min(LONGEST_PING))
        .keep_alive_timeout(limits.request_time.min(LONGEST_PING))
        .max_concurrent_streams(STREAMS.min(u32::try_from(limits.requests.max(1)).unwrap_or(STREAMS)))
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(2 * WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .max_header_list_size(u32::try_from(limits.header_bytes).unwrap_or(u32::MAX));
    http
}

/// The minimum buffer that HTTP/1 accepts, in bytes.
const MIN_BUFFER: usize = 8192;

/// The longest interval between pings of HTTP/2.
const LONGEST_PING: Duration = Duration::from_hours(1);

/// The maximum number of concurrent requests on an HTTP/2 connection.
const STREAMS: u32 = 256;

/// The number of unread bytes that a client may send on an HTTP/2 stream; twice as many on the connection.
const WINDOW: u32 = 256 << 10;

/// The number of response bytes that HTTP/2 prepares before the client takes them.
const SEND_BUFFER: usize = 64 << 10;

async fn serve<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
    tls: Option<TlsAcceptor>,
    serving: Serving,
    connection: Arc<Connection>,
) {
    match tls {
        None => serving.exchange(stream, connection).await,
        // A handshake that fails or takes too long affects only its client.
        Some(tls) => match tokio::time::timeout(serving.times.request, tls.accept(stream)).await {
            Ok(Ok(stream)) => serving.exchange(stream, connection).await,
            Ok(Err(error)) => tracing::debug!("a TLS handshake failed: {error}"),
            Err(_) => tracing::debug!("a TLS handshake took too long"),
        },
    }
}

const FULL: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\ncontent-length: 0\r\nretry-after: 1\r\n\r\n";

impl Stream {
    /// Answers that there are too many connections.
    async fn refuse(self, is_plain: bool) {
        if is_plain {
            // A client that does not read this finds the connection closed.
            let _ = match self {
                Self::Tcp(mut stream) => stream.write_all(FULL).await,
                Self::Unix(mut stream) => stream.write_all(FULL).await,
            };
        }
    }
}
