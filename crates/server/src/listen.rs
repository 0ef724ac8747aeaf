//! Listening sockets and their connections.

use std::convert::Infallible;
use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::unix::net::UnixListener as StdUnixListener;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use super::Limits;
use super::connection::Connection;
use super::exchange::{MIN_BUFFER, Serving};
use super::gate::Gate;
use super::peer::Peer;
use super::protocol::Protocol;
use super::socket::{self, BACKLOG, BoundPath};
use super::supervision::Times;
use super::tls::Certificates;
use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use portcullis::base::{quoted, system_words, unexpanded_home};
use socket2::{Domain, SockAddr, Socket as RawSocket, Type};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{mpsc, watch};

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
#[error("{message}\nhelp: {help}")]
pub struct AddressError {
    message: String,
    help: String,
}

impl AddressError {
    /// Proposes the port or the file name of `text`.
    fn new(text: &str) -> Self {
        let instead = if let Some(path) = text.strip_prefix(SCHEME) {
            let name = Path::new(path).file_name().and_then(OsStr::to_str).filter(|name| name.len() <= MAX_NAME);
            format!("unix:/run/{}", name.unwrap_or("portcullis.sock"))
        } else {
            let port = text.rsplit(':').next().and_then(|port| port.parse::<u16>().ok());
            format!("127.0.0.1:{}", port.unwrap_or(8181))
        };
        let message = format!(
            "expected an address such as `127.0.0.1:8181` or `unix:/run/portcullis.sock`, found {}",
            quoted(text)
        );
        Self { message, help: format!("write `{instead}`") }
    }

    /// Returns the error of a socket whose path the shell did not expand.
    fn of_unexpanded(path: &str) -> Option<Self> {
        let [message, help] = unexpanded_home(path, "the path of the socket", SCHEME, "portcullis.sock", quoted)?;
        Some(Self { message, help })
    }
}

/// The prefix of the path of a socket.
const SCHEME: &str = "unix:";

/// The maximum length of the name of a socket that an error proposes, in bytes: its path is valid on every system.
const MAX_NAME: usize = 64;

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if let Some(error) = text.strip_prefix(SCHEME).and_then(AddressError::of_unexpanded) {
            return Err(error);
        }
        let address = match text.strip_prefix(SCHEME) {
            // The system limits the length of a socket's path.
            Some(path) => Some(path).filter(|path| !path.is_empty() && SockAddr::unix(path).is_ok()).map(Self::unix),
            None => text.parse().ok().map(Self::Tcp),
        };
        address.ok_or_else(|| AddressError::new(text))
    }
}

impl Address {
    fn unix(path: &str) -> Self {
        Self::Unix(path.into())
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

/// A bound address. No client connects to a TCP address before [`Bound::listen`]; connections to a Unix socket wait.
#[derive(Debug)]
pub(super) struct Bound {
    socket: BoundSocket,
    address: Address,
}

#[derive(Debug)]
enum BoundSocket {
    Tcp(RawSocket),
    /// The path is dropped before the socket.
    Unix(BoundPath, StdUnixListener),
}

impl Bound {
    /// Binds `address`. `mode` sets the permissions of a Unix socket.
    pub(super) fn new(address: &Address, mode: u32) -> io::Result<Self> {
        let (socket, address) = match address {
            Address::Tcp(wanted) => {
                let socket = RawSocket::new(Domain::for_address(*wanted), Type::STREAM, None)?;
                // Connections of a server that has ended do not keep the port.
                socket.set_reuse_address(true)?;
                socket.set_nonblocking(true)?;
                socket.bind(&(*wanted).into())?;
                let bound = socket.local_addr()?.as_socket().unwrap_or(*wanted);
                (BoundSocket::Tcp(socket), Address::Tcp(bound))
            }
            Address::Unix(path) => {
                let (socket, bound) = socket::bind(path, mode)?;
                (BoundSocket::Unix(bound, socket), address.clone())
            }
        };
        Ok(Self { socket, address })
    }

    /// Listens, on the runtime that calls this.
    pub(super) fn listen(self, tls: Option<Certificates>) -> Result<Listener, (Address, io::Error)> {
        let Self { socket, address } = self;
        let listening = match socket {
            BoundSocket::Tcp(socket) => socket
                .listen(BACKLOG)
                .and_then(|()| TcpListener::from_std(socket.into()))
                .map(|it| (None, Socket::Tcp(it))),
            BoundSocket::Unix(bound, socket) => {
                UnixListener::from_std(socket).map(|socket| (Some(bound), Socket::Unix(socket)))
            }
        };
        match listening {
            Ok((bound, socket)) => Ok(Listener { bound, socket, tls, address, reports_peers: false }),
            Err(error) => Err((address, error)),
        }
    }
}

/// A listening socket.
pub(super) struct Listener {
    /// Dropped before the socket.
    bound: Option<BoundPath>,
    socket: Socket,
    tls: Option<Certificates>,
    address: Address,
    reports_peers: bool,
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
    pub(super) fn address(&self) -> &Address {
        &self.address
    }

    /// Adds the address of the client to each request, as a [`Peer`].
    pub(super) fn with_peers(self) -> Self {
        Self { reports_peers: true, ..self }
    }

    /// Serves HTTP until `stop`, then waits for the open requests.
    pub(super) async fn serve(self, router: Router, gate: Gate, stop: watch::Receiver<bool>) {
        let times = Times::of(gate.limits());
        let serving = Serving { http: http(gate.limits()), router, times, gate: gate.clone(), stop: stop.clone() };
        self.speak(serving, gate, stop).await;
    }

    /// Serves connections until `stop`, then waits for the open requests.
    pub(super) async fn speak<P: Protocol>(self, protocol: P, gate: Gate, mut stop: watch::Receiver<bool>) {
        // Dropped when a connection ends.
        let (open_until, mut all_closed) = mpsc::channel::<Infallible>(1);
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
                        tracing::warn!("cannot accept a connection on {}: {}", self.address, system_words(&error));
                    }
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            };
            if std::mem::take(&mut is_failing) {
                tracing::info!("connections are accepted on {} again", self.address);
            }
            let Some(open) = gate.connect() else {
                tokio::spawn(stream.refuse(if self.tls.is_none() { P::REFUSAL } else { b"" }));
                continue;
            };
            let peer = stream.peer().filter(|_| self.reports_peers);
            let connection = Connection::new(open, peer);
            let (tls, protocol, open_until) = (self.tls.clone(), protocol.clone(), open_until.clone());
            let handshake = gate.limits().request_time;
            match stream {
                Stream::Tcp(stream) => {
                    // Responses are small, and a client waits for each.
                    let _ = stream.set_nodelay(true);
                    tokio::spawn(serve(stream, tls, handshake, protocol, connection, open_until));
                }
                Stream::Unix(stream) => {
                    tokio::spawn(serve(stream, tls, handshake, protocol, connection, open_until));
                }
            }
        }
        // The path first, while no other server can have the same inode.
        drop(self.bound);
        drop((self.socket, protocol, open_until));
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
    tls: Option<Certificates>,
    handshake: Duration,
    protocol: impl Protocol,
    connection: Arc<Connection>,
    _open_until: mpsc::Sender<Infallible>,
) {
    match tls {
        None => protocol.exchange(stream, connection).await,
        // A handshake that fails or takes too long affects only its client.
        Some(tls) => match tokio::time::timeout(handshake, tls.acceptor().accept(stream)).await {
            Ok(Ok(stream)) => protocol.exchange(stream, connection).await,
            Ok(Err(error)) => tracing::debug!("a TLS handshake failed: {error}"),
            Err(_) => tracing::debug!("a TLS handshake took too long"),
        },
    }
}

impl Stream {
    /// Returns the address of the client; `None` for a Unix socket.
    fn peer(&self) -> Option<Peer> {
        match self {
            Self::Tcp(stream) => stream.peer_addr().ok().map(|address| Peer(address.ip().to_canonical())),
            Self::Unix(_) => None,
        }
    }

    /// Answers that there are too many connections.
    async fn refuse(self, refusal: &[u8]) {
        // A client that does not read this finds the connection closed.
        let _ = match self {
            Self::Tcp(mut stream) => stream.write_all(refusal).await,
            Self::Unix(mut stream) => stream.write_all(refusal).await,
        };
    }
}
