//! A server in this process, and a client that sends exactly the given bytes.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use portcullis_http::gateway::Reader;
use portcullis_server::operations::{Operations, OperationsOptions};
use portcullis_server::policy::Source;
use portcullis_server::{Address, Authority, Server, ServerOptions};
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::oneshot;

/// A server in this process, on free ports.
pub(super) struct Running {
    pub(super) address: Address,
    pub(super) admin: SocketAddr,
    /// The address for HAProxy, if the options have one.
    pub(super) spoe: Option<Address>,
    _folder: TempDir,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// A response.
#[derive(Debug)]
pub(super) struct HttpResponse {
    pub(super) status: u16,
    head: String,
    pub(super) body: String,
}

pub(super) fn options() -> ServerOptions {
    let any: Address = "127.0.0.1:0".parse().unwrap();
    ServerOptions { listen: any.clone(), admin: any, ..ServerOptions::default() }
}

/// Serves `policy`; without one, every request is denied.
pub(super) fn serve(policy: Option<&str>, options: ServerOptions) -> Running {
    serve_by(policy, options, Reader::default())
}

pub(super) fn serve_by(policy: Option<&str>, options: ServerOptions, reader: Reader) -> Running {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("policy.json");
    if let Some(policy) = policy {
        std::fs::write(&file, policy).unwrap();
    }
    let operations = Operations::start(OperationsOptions::new(Source::files([file]).unwrap())).unwrap();
    let authority = Arc::new(Authority::new(operations, reader));
    let (stop, stopped) = oneshot::channel();
    let (sender, addresses) = std::sync::mpsc::channel();
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async {
            let server = Server::bind(authority, options).await.unwrap();
            let addresses = (server.address().clone(), server.admin_address().clone(), server.spoe_address().cloned());
            sender.send(addresses).unwrap();
            server.run(async { _ = stopped.await }).await;
        });
    });
    let (address, admin, spoe) = addresses.recv().unwrap();
    let Address::Tcp(admin) = admin else { panic!("{admin}") };
    Running { address, admin, spoe, _folder: folder, stop: Some(stop), thread: Some(thread) }
}

impl Running {
    pub(super) fn tcp(&self) -> SocketAddr {
        match &self.address {
            Address::Tcp(address) => *address,
            Address::Unix(path) => panic!("{}", path.display()),
        }
    }

    /// Sends a request to the decision listener, and reads the response.
    pub(super) fn ask(&self, line: &str, headers: &[(&str, &str)], body: &str) -> HttpResponse {
        ask(self.tcp(), line, headers, body)
    }

    /// Starts to stop the server.
    pub(super) fn stop(&mut self) {
        drop(self.stop.take());
    }

    /// Waits until it has stopped.
    pub(super) fn stopped(&mut self) {
        self.stop();
        self.thread.take().unwrap().join().unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.thread.is_some() {
            self.stopped();
        }
    }
}

/// Sends a request with this line, such as `GET /path`, and reads the response.
pub(super) fn ask(address: SocketAddr, line: &str, headers: &[(&str, &str)], body: &str) -> HttpResponse {
    let mut stream = connect(address);
    stream.write_all(request(line, headers, body).as_bytes()).unwrap();
    answer(&mut stream)
}

pub(super) fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
    stream
}

pub(super) fn request(line: &str, headers: &[(&str, &str)], body: &str) -> String {
    let headers: Vec<_> = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let headers = headers.concat();
    let is_json = line.starts_with("POST /v1/") || line.starts_with("POST /access/");
    let is_typed = headers.to_ascii_lowercase().contains("content-type:");
    let kind = if is_json && !is_typed { "content-type: application/json\r\n" } else { "" };
    let is_called = headers.to_ascii_lowercase().contains("host:");
    let host = if is_called { "" } else { "host: localhost\r\n" };
    let length = if body.is_empty() { String::new() } else { format!("content-length: {}\r\n", body.len()) };
    format!("{line} HTTP/1.1\r\n{host}connection: close\r\n{kind}{headers}{length}\r\n{body}")
}

/// Reads everything until the connection is closed.
pub(super) fn answer(stream: &mut impl Read) -> HttpResponse {
    let mut text = Vec::new();
    // A connection may be reset after its response.
    let _ = stream.read_to_end(&mut text);
    let text = String::from_utf8(text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text:?}"));
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    HttpResponse { status, head: head.to_owned(), body: body.to_owned() }
}

impl HttpResponse {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The reason of a denial; empty for 200.
    pub(super) fn reason(&self) -> String {
        if self.status == 200 { String::new() } else { self.json()["reason"].as_str().unwrap_or_default().to_owned() }
    }
}
