//! Private PostgreSQL servers for tests.
//!
//! The variable `PORTCULLIS_TEST_POSTGRES` names the folder of PostgreSQL's programs. Without it, the newest one that Debian
//! installed is used. Where there is none, tests that need a server are skipped, and tests of both databases run on SQLite
//! only.

use std::io::Write;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection};
use tokio::runtime::{Builder, Runtime};

use portcullis_registry::Location;

/// The owner of every cluster, who needs a password on the network only.
pub(crate) const USER: &str = "ana";

/// The password of [`USER`].
pub(crate) const PASSWORD: &str = "hunter2-of-the-database";

/// A user and group without rights: PostgreSQL does not run as root.
const NOBODY: u32 = 65534;

/// Runs a server, and obeys lines of standard input. When the test process ends, in any way, so does the server.
const SUPERVISOR: &str = r#"
start() { "$1/postgres" -D "$2/data" >>"$2/log" 2>&1 & pid=$!; }
start "$1" "$2"
while read -r line; do
    case $line in
        start) start "$1" "$2" ;;
        crash) kill -QUIT $pid; wait $pid ;;
        stop) kill -INT $pid; wait $pid ;;
    esac
    echo done
done
kill -QUIT $pid; wait $pid
rm -rf "$2"
"#;

/// A server with its own data, on a Unix socket and on the loopback interface.
pub(crate) struct Cluster {
    pub(crate) folder: PathBuf,
    pub(crate) port: u16,
    supervisor: Child,
}

/// Returns the folder of PostgreSQL's programs; reports that tests are skipped if there is none.
pub(crate) fn programs() -> Option<PathBuf> {
    let named = std::env::var_os("PORTCULLIS_TEST_POSTGRES").map(PathBuf::from);
    let found = named.or_else(installed);
    if found.is_none() {
        eprintln!("skipped: install PostgreSQL, or name the folder of its programs: `PORTCULLIS_TEST_POSTGRES`");
    }
    found
}

/// Returns the folder of the newest programs in Debian's place.
fn installed() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?.filter_map(|entry| {
        let entry = entry.ok()?;
        let version: u32 = entry.file_name().to_str()?.parse().ok()?;
        let programs = entry.path().join("bin");
        programs.join("initdb").exists().then_some((version, programs))
    });
    versions.max().map(|(_, programs)| programs)
}

impl Cluster {
    /// Returns the server that all tests of this process share; `None` if none is installed.
    pub(crate) fn shared() -> Option<&'static Self> {
        static SHARED: OnceLock<Option<Cluster>> = OnceLock::new();
        SHARED.get_or_init(Self::start).as_ref()
    }

    /// Starts another server, for tests that stop it; `None` if none is installed.
    pub(crate) fn start() -> Option<Self> {
        let programs = programs()?;
        let folder = tempfile::Builder::new().prefix("portcullis-pg-").tempdir().unwrap().keep();
        std::fs::write(folder.join("password"), PASSWORD).unwrap();
        let certificate = rcgen::generate_simple_self_signed(["db.example.com".to_owned()]).unwrap();
        std::fs::write(folder.join("server.crt"), certificate.cert.pem()).unwrap();
        std::fs::write(folder.join("server.key"), certificate.signing_key.serialize_pem()).unwrap();
        for name in ["password", "server.crt", "server.key", ""] {
            let path = folder.join(name);
            let mode = if name.is_empty() { 0o755 } else { 0o600 };
            std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
            if is_root() {
                std::os::unix::fs::chown(&path, Some(NOBODY), Some(NOBODY)).unwrap();
            }
        }
        let data = folder.join("data");
        let made = as_nobody(&mut Command::new(programs.join("initdb")))
            .args([
                "--username",
                USER,
                "--encoding",
                "UTF8",
                "--locale",
                "C.UTF-8",
                "--no-sync",
                "--auth-local",
                "trust",
            ])
            .args(["--auth-host", "scram-sha-256", "--pwfile"])
            .arg(folder.join("password"))
            .arg("--pgdata")
            .arg(&data)
            .current_dir(&folder)
            .output()
            .unwrap_or_else(|error| panic!("{}: {error}", programs.display()));
        assert!(made.status.success(), "{made:?}");
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let socket = folder.display();
        let settings = format!(
            "listen_addresses = '127.0.0.1'\nport = {port}\nunix_socket_directories = '{socket}'\nfsync = off\n\
             max_connections = 200\nssl = on\nssl_cert_file = '{socket}/server.crt'\nssl_key_file = '{socket}/server.key'\n"
        );
        let mut file = std::fs::OpenOptions::new().append(true).open(data.join("postgresql.conf")).unwrap();
        file.write_all(settings.as_bytes()).unwrap();
        let supervisor = as_nobody(&mut Command::new("sh"))
            .args(["-c", SUPERVISOR, "sh"])
            .args([programs.as_path(), &folder])
            .current_dir(&folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let cluster = Self { folder, port, supervisor };
        cluster.wait();
        Some(cluster)
    }

    /// Waits until the server accepts connections.
    pub(crate) fn wait(&self) {
        let started = Instant::now();
        while let Err(error) = Raw::connect(&self.options("postgres")) {
            let log = || std::fs::read_to_string(self.folder.join("log")).unwrap_or_default();
            assert!(started.elapsed() < Duration::from_mins(1), "{error}: {}", log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Gives the supervisor a command: `crash`, `stop` or `start`. Waits until it was obeyed.
    pub(crate) fn command(&mut self, command: &str) {
        writeln!(self.supervisor.stdin.as_mut().unwrap(), "{command}").unwrap();
        let mut line = [0; 5];
        std::io::Read::read_exact(self.supervisor.stdout.as_mut().unwrap(), &mut line).unwrap();
        assert_eq!(&line, b"done\n");
    }

    /// Creates an empty database.
    pub(crate) fn database(&self) -> Database {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let name = format!("test{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        Raw::connect(&self.options("postgres")).unwrap().run(&format!("CREATE DATABASE {name}")).unwrap();
        Database { name, folder: self.folder.clone(), port: self.port }
    }

    fn options(&self, database: &str) -> PgConnectOptions {
        options(&self.folder, self.port, database)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        drop(self.supervisor.stdin.take());
        let _ = self.supervisor.wait();
    }
}

/// One database of a server.
#[derive(Debug, Clone)]
pub(crate) struct Database {
    pub(crate) name: String,
    folder: PathBuf,
    port: u16,
}

impl Database {
    /// Returns the URL of the database on its Unix socket, where it needs no password.
    pub(crate) fn url(&self) -> String {
        format!("postgres://{USER}@/{}?host={}&port={}", self.name, self.folder.display(), self.port)
    }

    /// Returns the URL of the database at `port` of the loopback interface, where it needs a password.
    pub(crate) fn network_url(&self, port: u16) -> String {
        format!("postgres://{USER}:{PASSWORD}@127.0.0.1:{port}/{}", self.name)
    }

    pub(crate) fn location(&self) -> Location {
        self.url().parse().unwrap()
    }

    /// Opens the database without the checks of the registry.
    pub(crate) fn raw(&self) -> Raw {
        Raw::connect(&options(&self.folder, self.port, &self.name)).unwrap()
    }
}

/// A connection of another program.
pub(crate) struct Raw {
    runtime: Runtime,
    connection: Option<PgConnection>,
}

impl Raw {
    fn connect(options: &PgConnectOptions) -> Result<Self, String> {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let connection = runtime.block_on(options.connect()).map_err(|error| error.to_string())?;
        Ok(Self { runtime, connection: Some(connection) })
    }

    /// Runs statements, separated by semicolons.
    pub(crate) fn run(&mut self, sql: &str) -> Result<(), String> {
        let connection = self.connection.as_mut().unwrap();
        let ran = self.runtime.block_on(sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(connection));
        ran.map(drop).map_err(|error| error.to_string())
    }

    /// Returns the single value that `sql` selects, as text.
    pub(crate) fn text(&mut self, sql: &str) -> Result<String, String> {
        let sql = AssertSqlSafe(format!("SELECT ({sql})::text"));
        let connection = self.connection.as_mut().unwrap();
        let value = self.runtime.block_on(sqlx::query_scalar(sql).fetch_one(connection));
        value.map_err(|error| error.to_string())
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            let _ = self.runtime.block_on(connection.close());
        }
    }
}

fn options(folder: &Path, port: u16, database: &str) -> PgConnectOptions {
    let options = PgConnectOptions::new_without_pgpass().socket(folder).port(port).username(USER).database(database);
    options.disable_statement_logging()
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|found| std::os::unix::fs::MetadataExt::uid(&found) == 0)
}

fn as_nobody(command: &mut Command) -> &mut Command {
    use std::os::unix::process::CommandExt;
    if is_root() { command.uid(NOBODY).gid(NOBODY) } else { command }
}
