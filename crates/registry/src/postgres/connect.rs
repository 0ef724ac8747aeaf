//! Connections to a PostgreSQL server, and the reasons why one cannot be made.

use std::future::Future;
use std::io::ErrorKind;
use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgSslMode};
use sqlx::{ConnectOptions, PgConnection};
use tokio::net::lookup_host;
use tokio::time::timeout;
use url::form_urlencoded::Serializer;

use crate::error::{RegistryError, Result, invalid, storage};
use crate::postgres_url::{PostgresUrl, TlsMode};
use crate::words::quoted;

/// How long to wait for a connection, unless the URL has `connect_timeout`. Followers must be able to connect again
/// within five seconds after a network works again.
const PATIENCE: Duration = Duration::from_secs(3);

/// A database to connect to.
pub(super) struct Target {
    /// The URL for messages: quoted, without password.
    pub(super) name: String,
    /// What the database is for messages: `registry`.
    pub(super) role: &'static str,
    pub(super) options: PgConnectOptions,
    pub(super) patience: Duration,
    /// Whether each transaction may use another connection of a pooler: nothing may stay on a connection after one.
    pub(super) is_pooled: bool,
}

impl Target {
    /// Completes `url` with the variables of `libpq` (`PGHOST`, `PGUSER`, `PGPASSWORD`, …) and the password file.
    ///
    /// # Errors
    ///
    /// If `PGSSLMODE` is unknown.
    pub(super) fn new(url: &PostgresUrl) -> Result<Self> {
        let mut parameters = Serializer::new(String::new());
        for (name, value) in [
            ("host", &url.host),
            ("user", &url.user),
            ("dbname", &url.database),
            ("sslrootcert", &url.tls.authorities),
            ("sslcert", &url.tls.certificate),
            ("sslkey", &url.tls.key),
        ] {
            if let Some(value) = value {
                parameters.append_pair(name, value);
            }
        }
        if let Some(port) = url.port {
            parameters.append_pair("port", &port.to_string());
        }
        // Only this function of sqlx reads the password file for the given host and user.
        let options = PgConnectOptions::from_str(&format!("postgres:///?{}", parameters.finish()));
        let options =
            options.map_err(|_| invalid("the URL of the registry cannot be read", "look at its parameters"))?;
        let mode = mode(url, options.get_host())?;
        let mut options = options
            .application_name(url.application.as_deref().unwrap_or("portcullis"))
            .ssl_mode(mode)
            .disable_statement_logging();
        if let Some(password) = &url.password {
            options = options.password(password.expose());
        }
        if let Some(capacity) = url.prepared {
            options = options.statement_cache_capacity(capacity.into());
        }
        let (patience, is_pooled) = (url.connect_timeout.unwrap_or(PATIENCE), url.prepared == Some(0));
        Ok(Self { name: quoted(&url.to_string()), role: "registry", options, patience, is_pooled })
    }

    /// Connects to the database.
    ///
    /// # Errors
    ///
    /// With the reason and its fix, if the server does not answer in time, is not trusted or refuses the connection.
    pub(super) async fn connect(&self) -> Result<PgConnection> {
        let connected = within(self.patience, self.options.connect()).await;
        match connected {
            Ok(connection) => Ok(connection),
            Err(error) => {
                let is_unknown = self.has_unknown_host().await;
                Err(cannot_connect(self.role, &self.name, self.patience, &error, is_unknown))
            }
        }
    }

    /// Whether the host is a name without an address. The error of a connection does not say whether the name or the network
    /// is wrong.
    async fn has_unknown_host(&self) -> bool {
        let host = self.options.get_host();
        if host.starts_with('/') || self.options.get_socket().is_some() {
            return false;
        }
        let found = timeout(self.patience, lookup_host((host, self.options.get_port()))).await;
        matches!(found, Ok(Err(_)))
    }
}

/// Waits for `future` no longer than `patience`.
///
/// # Errors
///
/// If the future fails; [`sqlx::Error::PoolTimedOut`] if it takes longer. The connection is then in an unknown state.
pub(super) async fn within<T>(patience: Duration, future: impl Future<Output = sqlx::Result<T>>) -> sqlx::Result<T> {
    timeout(patience, future).await.unwrap_or(Err(sqlx::Error::PoolTimedOut))
}

/// Returns the protection of the connection. A server on another machine must prove its name, unless the URL or
/// `PGSSLMODE` say otherwise: a program that can pose as the database decides what tokens may read.
fn mode(url: &PostgresUrl, host: &str) -> Result<PgSslMode> {
    let variable = std::env::var("PGSSLMODE").ok().filter(|mode| !mode.is_empty());
    let given = match url.tls.mode {
        Some(mode) => Some(mode),
        None => variable.map(|mode| TlsMode::read(&mode, "`PGSSLMODE`")).transpose()?,
    };
    let has_authorities = url.tls.authorities.is_some() || std::env::var_os("PGSSLROOTCERT").is_some();
    Ok(match given {
        Some(TlsMode::Disable) => PgSslMode::Disable,
        Some(TlsMode::Prefer) => PgSslMode::Prefer,
        // As `libpq` does: authorities that are given are checked.
        Some(TlsMode::Require) if has_authorities => PgSslMode::VerifyCa,
        Some(TlsMode::Require) => PgSslMode::Require,
        Some(TlsMode::VerifyCa) => PgSslMode::VerifyCa,
        None if is_local(host) => PgSslMode::Prefer,
        Some(TlsMode::VerifyFull) | None => PgSslMode::VerifyFull,
    })
}

fn is_local(host: &str) -> bool {
    host.starts_with('/') || host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn cannot_connect(role: &str, name: &str, patience: Duration, error: &sqlx::Error, is_unknown: bool) -> RegistryError {
    let (reason, help) = match error {
        _ if is_unknown && !matches!(error, sqlx::Error::Database(_)) => (
            "its host name has no address".to_owned(),
            "check the spelling of the host, and that this machine can resolve names".to_owned(),
        ),
        sqlx::Error::PoolTimedOut => (
            format!("no answer within {} s", patience.as_secs()),
            "check host and port; `connect_timeout=10` in the URL waits longer".to_owned(),
        ),
        // The errors of TLS arrive through the connection that it protects.
        sqlx::Error::Io(error) if error.get_ref().is_some() => untrusted(&error.to_string()),
        sqlx::Error::Io(error) => (
            unreachable(error.kind()).to_owned(),
            "check host and port, and that the server runs and accepts connections from here".to_owned(),
        ),
        sqlx::Error::Tls(error) => untrusted(&error.to_string()),
        sqlx::Error::Database(error) => refused(&error.code().unwrap_or_default(), error.message()),
        _ => ("the server does not answer as PostgreSQL does".to_owned(), "check host and port".to_owned()),
    };
    storage(format!("cannot open the {role} {name}: {reason}"), help)
}

/// Returns the reason why no connection to the server can be made.
fn unreachable(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::ConnectionRefused => "connection refused",
        ErrorKind::ConnectionReset
        | ErrorKind::ConnectionAborted
        | ErrorKind::BrokenPipe
        | ErrorKind::UnexpectedEof => "the server closed the connection",
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => "no route to the server",
        ErrorKind::TimedOut => "no answer",
        ErrorKind::NotFound => "the folder of the server's socket, or the socket, does not exist",
        ErrorKind::PermissionDenied => "no permission to connect",
        _ => "the server cannot be reached",
    }
}

/// Returns reason and fix for a connection without trust.
fn untrusted(error: &str) -> (String, String) {
    const AUTHORITY: &str = "name the server's certificate authority: `sslrootcert=FILE` in the URL; `sslmode=require` \
                             encrypts without checking who answers";
    let (reason, help) = if error.contains("eof") || error.contains("EOF") || error.contains("close_notify") {
        ("the server closed the connection during the TLS handshake", "check host and port, and the log of the server")
    } else if error.contains("does not support TLS") {
        ("the server does not support TLS", "enable TLS in the server; `sslmode=disable` sends everything unencrypted")
    } else if error.contains("UnknownIssuer") {
        ("the server's certificate is from an unknown authority", AUTHORITY)
    } else if error.contains("NotValidForName") {
        (
            "the server's certificate is for another host",
            "write the host that the certificate names; `sslmode=verify-ca` accepts every host",
        )
    } else if error.contains("Expired") || error.contains("NotValidYet") {
        ("the server's certificate is not valid at this time", "renew the certificate, and check the clocks")
    } else if error.contains("certificate") {
        ("a certificate is not valid", "check the certificates of the server, and the files that the URL names")
    } else {
        ("no agreement on TLS with the server", "check that the server supports TLS 1.2 or 1.3")
    };
    (reason.to_owned(), help.to_owned())
}

/// Returns reason and fix for a refused connection.
fn refused(code: &str, message: &str) -> (String, String) {
    let help = match code {
        // The class of rules in `pg_hba.conf`.
        "28000" if message.contains("no encryption") => "leave out `sslmode=disable`: the server accepts only TLS",
        "28000" | "28P01" => "give user and password as `PGUSER` and `PGPASSWORD`, or in `~/.pgpass`",
        "3D000" => "create it with `createdb`, or name another one",
        "53300" => "raise `max_connections` of the server, or use a connection pooler",
        "57P03" => "try again: the server is starting or stopping",
        "42501" => "ask an administrator of the database for the permission to connect",
        _ => "look at the log of the server",
    };
    (message.to_owned(), help.to_owned())
}
