//! A workspace on a registry of its own, and a client that sends what it is given.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use portcullis_registry::record::{ClientKind, Role, Urls};
use portcullis_registry::{Actor, ClientAccess, Location, Registry, TypedGrant};
use portcullis_server::Limits;
use portcullis_server::site::{BoundSite, SiteOptions};
use portcullis_workspace::{Catalog, Options, Workspace, router};
use serde_json::Value;

use super::on_postgres;
use super::postgres::{Cluster, Database};

pub(crate) struct Server {
    pub(crate) workspace: Arc<Workspace>,
    pub(crate) address: String,
    runtime: Option<tokio::runtime::Runtime>,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    store: Store,
}

/// The place of a registry.
enum Store {
    Folder(tempfile::TempDir),
    Database(Database),
}

impl Store {
    /// Returns an empty place, in PostgreSQL if the tests run on it.
    fn new() -> Self {
        match on_postgres::cluster() {
            Some(cluster) => Self::Database(cluster.database()),
            None => Self::Folder(tempfile::tempdir().unwrap()),
        }
    }

    fn location(&self) -> Location {
        match self {
            Self::Folder(dir) => Location::file(dir.path().join("registry.db")),
            Self::Database(database) => database.location(),
        }
    }

    /// Returns the folder of the database's files, write-ahead log included. What was committed is written.
    fn folder(&self) -> PathBuf {
        match self {
            Self::Folder(dir) => dir.path().to_owned(),
            Self::Database(database) => {
                database.raw().run("CHECKPOINT").unwrap();
                Cluster::shared().unwrap().folder.join("data")
            }
        }
    }
}

/// An answer.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

/// A machine and its secret.
#[derive(Debug, Clone)]
pub(crate) struct Machine {
    pub(crate) id: String,
    pub(crate) secret: String,
}

impl Machine {
    pub(crate) fn into_parts(self) -> (String, String) {
        (self.id, self.secret)
    }
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.headers.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
        found.next().map(|(_, value)| &**value)
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    pub(crate) fn text(&self, field: &str) -> String {
        self.json()[field].as_str().unwrap_or_else(|| panic!("no `{field}`: {self:?}")).to_owned()
    }

    /// Checks the status, and returns the answer.
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self:?}");
        self
    }

    /// Checks the status and the reason of a problem.
    pub(crate) fn problem(self, status: u16, reason: &str) -> Self {
        assert_eq!((self.status, self.json()["reason"].as_str()), (status, Some(reason)), "{self:?}");
        self
    }
}

impl Server {
    pub(crate) fn start() -> Self {
        Self::start_with(|_| {})
    }

    pub(crate) fn start_with(change: impl FnOnce(&mut Options)) -> Self {
        let store = Store::new();
        let bound = BoundSite::new(SiteOptions {
            listen: "127.0.0.1:0".parse().unwrap(),
            socket_mode: 0o600,
            tls: None,
            hosts: Vec::new(),
            own_name: None,
            limits: Limits { request_time: Duration::from_mins(1), ..Limits::default() },
            drain: Duration::from_secs(5),
        });
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let entered = runtime.enter();
        let site = bound.unwrap().listen().unwrap();
        let address = site.address().to_string();
        drop(entered);
        let mut options = Options {
            location: store.location(),
            url: format!("http://{address}"),
            access_lifetime: 3600,
            rate: 10_000,
            keep_expired: 0,
            catalog: Catalog::default(),
            sign_in: portcullis_workspace::SignInOptions::default(),
        };
        change(&mut options);
        let workspace = Workspace::open(options).unwrap();
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let router = router(&workspace);
        runtime.spawn(site.run(router, async { drop(stopped.await) }));
        let server = Self { workspace, address, runtime: Some(runtime), stop: Some(stop), store };
        server.registry(|registry| {
            let root = actor("root").for_all_users();
            registry.add_connection(&root, "carto_dw", "bigquery", None, false).unwrap();
            registry.add_connection(&root, "other", "postgres", None, false).unwrap();
            registry.set_role(&root, "root", Role::Administrator).unwrap();
        });
        server
    }

    pub(crate) fn location(&self) -> Location {
        self.store.location()
    }

    /// Returns the files of the database, and their content.
    pub(crate) fn files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let (mut folders, mut files) = (vec![self.store.folder()], Vec::new());
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else if let Ok(bytes) = std::fs::read(&path) {
                    files.push((path, bytes));
                }
            }
        }
        files
    }

    /// Runs a future on the runtime of the server.
    pub(crate) fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.as_ref().unwrap().block_on(future)
    }

    /// Opens the registry as another process does.
    pub(crate) fn registry<T>(&self, work: impl FnOnce(&mut Registry) -> T) -> T {
        work(&mut Registry::open(&self.location(), true).unwrap())
    }

    pub(crate) fn machine(&self, owner: &str, scopes: Option<&[&str]>) -> Machine {
        self.machine_with(owner, scopes, &ClientAccess::default())
    }

    pub(crate) fn machine_with(&self, owner: &str, scopes: Option<&[&str]>, access: &ClientAccess) -> Machine {
        let scopes: Option<Vec<String>> = scopes.map(|scopes| scopes.iter().map(ToString::to_string).collect());
        self.registry(|registry| {
            let kind = ClientKind::M2m;
            let title = format!("machine of {owner}");
            let created =
                registry.create_client_with(&actor(owner), kind, &title, &Urls::default(), access, scopes.as_deref());
            let created = created.unwrap();
            Machine { id: created.client.id, secret: created.secret.unwrap().expose().to_owned() }
        })
    }

    /// Returns an access token of a new machine of `owner`.
    pub(crate) fn access(&self, owner: &str) -> String {
        self.access_of(&self.machine(owner, None))
    }

    pub(crate) fn access_of(&self, machine: &Machine) -> String {
        let form = format!("grant_type=client_credentials&client_id={}&client_secret={}", machine.id, machine.secret);
        self.form("/oauth/token", &form).expect(200).text("access_token")
    }

    pub(crate) fn form(&self, path: &str, form: &str) -> Reply {
        self.send("POST", path, &[("content-type", "application/x-www-form-urlencoded")], form)
    }

    pub(crate) fn get(&self, access: &str, path: &str) -> Reply {
        self.send("GET", path, &[("authorization", &format!("Bearer {access}"))], "")
    }

    pub(crate) fn post(&self, access: &str, path: &str, body: &str) -> Reply {
        self.call(access, "POST", path, &[], body)
    }

    pub(crate) fn call(&self, access: &str, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Reply {
        let bearer = format!("Bearer {access}");
        let own = [("authorization", &*bearer), ("content-type", "application/json")];
        let headers: Vec<_> = own.into_iter().chain(headers.iter().copied()).collect();
        self.send(method, path, &headers, body)
    }

    pub(crate) fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Reply {
        let head = self.head(method, path, headers, body);
        Self::exchange(TcpStream::connect(&self.address).unwrap(), &head, body)
    }

    /// Sends a request as [`send`](Self::send) does, but calls `meanwhile` before the body, when the server waits for it.
    pub(crate) fn send_slowly(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
        meanwhile: impl FnOnce(),
    ) -> Reply {
        const WAITS: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let headers: Vec<_> = headers.iter().copied().chain([("expect", "100-continue")]).collect();
        stream.write_all(self.head(method, path, &headers, body).as_bytes()).unwrap();
        let mut answer = [0; WAITS.len()];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(answer, WAITS, "{}", String::from_utf8_lossy(&answer));
        meanwhile();
        Self::exchange(stream, "", body)
    }

    /// Returns the head of a request.
    fn head(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> String {
        let host = if headers.iter().any(|(name, _)| *name == "host") {
            String::new()
        } else {
            format!("host: {}\r\n", self.address)
        };
        let headers: Vec<_> = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let headers = headers.concat();
        let length = body.len();
        format!("{method} {path} HTTP/1.1\r\n{host}{headers}content-length: {length}\r\nconnection: close\r\n\r\n")
    }

    /// Sends a form from the local address `from`.
    #[cfg(target_os = "linux")]
    pub(crate) fn form_from(&self, from: &str, path: &str, form: &str) -> Reply {
        let (from, to) = (format!("{from}:0").parse().unwrap(), self.address.parse().unwrap());
        let stream = self.block_on(async {
            let socket = tokio::net::TcpSocket::new_v4().unwrap();
            socket.bind(from).unwrap();
            socket.connect(to).await.unwrap().into_std().unwrap()
        });
        stream.set_nonblocking(false).unwrap();
        let (host, length) = (&self.address, form.len());
        let text = format!(
            "POST {path} HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/x-www-form-urlencoded\r\n\
             content-length: {length}\r\nconnection: close\r\n\r\n"
        );
        Self::exchange(stream, &text, form)
    }

    fn exchange(mut stream: TcpStream, head: &str, body: &str) -> Reply {
        stream.write_all(head.as_bytes()).unwrap();
        // A server that refuses a body early may close the connection while it is sent.
        let _ = stream.write_all(body.as_bytes());
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {answer:?}"));
        let mut lines = head.lines();
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers =
            lines.filter_map(|line| line.split_once(": ")).map(|(name, value)| (name.to_owned(), value.to_owned()));
        Reply { status, headers: headers.collect(), body: body.to_owned() }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(Duration::from_secs(5));
        }
    }
}

pub(crate) fn actor(user: &str) -> Actor {
    Actor::new(user, Workspace::now()).unwrap()
}

/// APIs and a grant that read something.
pub(crate) fn reads() -> ClientAccess {
    let grant = TypedGrant { connection: "carto_dw".into(), source: "carto.shared.*".into(), kind: None };
    ClientAccess { apis: vec!["maps".into()], grants: vec![grant] }
}

/// The body of a token that may read one table.
pub(crate) const TOKEN: &str =
    r#"{"allowed_apis": ["sql"], "grants": [{"connection_name": "carto_dw", "source": "carto.shared.roads"}]}"#;
