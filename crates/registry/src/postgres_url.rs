//! The URL of a PostgreSQL database: `postgres://user@host:port/database?sslmode=…`.

use std::fmt;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use portcullis::base::unexpanded_home;
use url::Url;

use super::error::{Result, invalid};

const FORM: &str = "write one such as `postgres://ana@db.example.com/portcullis`, or `postgres:///portcullis?host=/run/postgresql` \
                    for a Unix socket";

/// The parameters that a URL may have, as `libpq` names them. The last one is sqlx's.
const PARAMETERS: [&str; 12] = [
    "application_name",
    "connect_timeout",
    "dbname",
    "host",
    "password",
    "port",
    "sslcert",
    "sslkey",
    "sslmode",
    "sslrootcert",
    "user",
    "statement-cache-capacity",
];

/// The location of a PostgreSQL database. What it leaves out comes from the variables of `libpq`, such as `PGHOST`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct PostgresUrl {
    pub(super) host: Option<String>,
    pub(super) port: Option<u16>,
    pub(super) user: Option<String>,
    pub(super) password: Option<Password>,
    pub(super) database: Option<String>,
    pub(super) tls: Tls,
    pub(super) application: Option<String>,
    pub(super) connect_timeout: Option<Duration>,
    /// How many statements the server keeps prepared. 0 for poolers that give each transaction another connection.
    pub(super) prepared: Option<u16>,
}

/// The protection of the connection.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Tls {
    pub(super) mode: Option<TlsMode>,
    /// Files with the authorities, the client's certificate, and its key.
    pub(super) authorities: Option<String>,
    pub(super) certificate: Option<String>,
    pub(super) key: Option<String>,
}

/// The values of `sslmode`. `allow` is left out: it would send the password unencrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TlsMode {
    Disable,
    Prefer,
    Require,
    VerifyCa,
    VerifyFull,
}

/// A password, which is never printed.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Password(String);

impl Password {
    #[cfg(feature = "postgres")]
    pub(super) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

impl TlsMode {
    const ALL: [(&str, Self); 5] = [
        ("disable", Self::Disable),
        ("prefer", Self::Prefer),
        ("require", Self::Require),
        ("verify-ca", Self::VerifyCa),
        ("verify-full", Self::VerifyFull),
    ];

    /// Reads the value of `sslmode` in `source`, which names the URL or a variable. The value is not repeated.
    pub(super) fn read(text: &str, source: &str) -> Result<Self> {
        Self::ALL.iter().find(|(name, _)| *name == text).map(|(_, mode)| *mode).ok_or_else(|| {
            let known = Self::ALL.map(|(name, _)| format!("`{name}`")).join(", ");
            invalid(format!("{source} is not a known mode"), format!("write one of {known}"))
        })
    }
}

impl PostgresUrl {
    /// Reads a URL. No error repeats a part of it: any part may be a piece of a password that was not escaped.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let wrong = |what: &str| invalid(format!("the URL of the registry {what}"), FORM);
        if !text.contains("://") {
            return Err(wrong("has no `//` after its scheme"));
        }
        // `libpq` accepts a user without a host. The rules of URLs do not.
        let (scheme, rest) = text.split_once("://").unwrap_or_default();
        let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        let has_host = !authority.ends_with('@');
        let with_host = format!("{scheme}://{authority}{}{path}", if has_host { "" } else { "localhost" });
        let url = Url::parse(&with_host).map_err(|_| wrong("cannot be read"))?;
        if url.fragment().is_some() {
            return Err(escape("has a `#`"));
        }
        let text = |text: &str| -> Result<Option<String>> {
            let text = percent_decode_str(text).decode_utf8().map_err(|_| wrong("is not in UTF-8"))?;
            if text.chars().any(char::is_control) {
                return Err(wrong("has a control character"));
            }
            Ok(Some(text.into_owned()).filter(|text| !text.is_empty()))
        };
        let path = url.path().strip_prefix('/').unwrap_or(url.path());
        if path.contains(['/', '@', ':']) {
            return Err(escape("has more than the name of a database after its host"));
        }
        let host = url.host_str().filter(|_| has_host).unwrap_or_default();
        let mut found = Self {
            host: text(host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host))?,
            port: url.port(),
            user: text(url.username())?,
            password: url.password().map(text).transpose()?.flatten().map(Password),
            database: text(path)?,
            ..Self::default()
        };
        let mut given = Vec::new();
        for (name, value) in url.query_pairs() {
            let Some(name) = PARAMETERS.into_iter().find(|known| *known == name) else {
                let known = PARAMETERS.join("`, `");
                return Err(invalid(
                    "the URL of the registry has an unknown parameter",
                    format!("the known ones are `{known}`; write a `?` in a password as `%3F`"),
                ));
            };
            if given.contains(&name) || found.has(name) {
                return Err(invalid(format!("the URL of the registry gives its {name} twice"), "remove one of them"));
            }
            given.push(name);
            if value.is_empty() || value.chars().any(char::is_control) {
                return Err(wrong(&format!("has a parameter `{name}` without a valid value")));
            }
            found.set(name, value.into_owned())?;
        }
        if found.host.as_ref().is_some_and(|host| host.contains(',')) {
            return Err(wrong("names several hosts, but Portcullis uses one"));
        }
        if found.tls.certificate.is_some() != found.tls.key.is_some() {
            return Err(invalid(
                "the URL of the registry has only one of `sslcert` and `sslkey`",
                "give both, or neither",
            ));
        }
        Ok(found)
    }

    /// Whether the part in front of the parameters has what the parameter `name` sets.
    fn has(&self, name: &str) -> bool {
        match name {
            "dbname" => self.database.is_some(),
            "host" => self.host.is_some(),
            "password" => self.password.is_some(),
            "port" => self.port.is_some(),
            "user" => self.user.is_some(),
            _ => false,
        }
    }

    fn set(&mut self, name: &str, value: String) -> Result<()> {
        let number = |text: &str| {
            let wrong = || invalid(format!("the URL of the registry has a `{name}` that is not a number"), FORM);
            text.parse::<u16>().map_err(|_| wrong())
        };
        let is_path = matches!(name, "host" | "sslcert" | "sslkey" | "sslrootcert");
        if is_path && unexpanded_home(&value, "", "", "", str::to_owned).is_some() {
            return Err(invalid(
                format!("the path in `{name}` of the registry's URL was not expanded by the shell"),
                "write the whole path, such as `/etc/portcullis/ca.pem`",
            ));
        }
        match name {
            "application_name" => self.application = Some(value),
            "connect_timeout" => {
                // `libpq` waits indefinitely for 0. Nothing here does.
                self.connect_timeout = Some(Duration::from_secs(number(&value)?.max(1).into()));
            }
            "dbname" => self.database = Some(value),
            "host" => self.host = Some(value),
            "password" => self.password = Some(Password(value)),
            "port" => self.port = Some(number(&value)?),
            "sslcert" => self.tls.certificate = Some(value),
            "sslkey" => self.tls.key = Some(value),
            "sslmode" => self.tls.mode = Some(TlsMode::read(&value, "`sslmode` in the URL of the registry")?),
            "sslrootcert" => self.tls.authorities = Some(value),
            "user" => self.user = Some(value),
            _ => self.prepared = Some(number(&value)?),
        }
        Ok(())
    }
}

fn escape(what: &str) -> super::error::RegistryError {
    invalid(
        format!("the URL of the registry {what}"),
        "write the special characters of a password in percent-encoding, such as `%23` for `#` and `%2F` for `/`",
    )
}

/// The URL without its password, its parameters for TLS, and the default values.
impl fmt::Display for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let encoded =
            |text: &str| percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string();
        let plain = |text: &str| {
            let is_plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte));
            if is_plain { text.to_owned() } else { encoded(text) }
        };
        f.write_str("postgres://")?;
        if let Some(user) = &self.user {
            write!(f, "{}@", plain(user))?;
        }
        let host = self.host.as_deref().unwrap_or_default();
        let socket = Some(host).filter(|host| host.starts_with('/'));
        match host {
            _ if socket.is_some() => {}
            host if host.contains(':') => write!(f, "[{host}]")?,
            host => f.write_str(&plain(host))?,
        }
        let port = self.port.map(|port| port.to_string());
        // A URL without a host has no port.
        if let Some(port) = port.as_ref().filter(|_| socket.is_none() && !host.is_empty()) {
            write!(f, ":{port}")?;
        }
        write!(f, "/{}", self.database.as_deref().map(plain).unwrap_or_default())?;
        let mut separator = '?';
        if let Some(socket) = socket {
            write!(
                f,
                "{separator}host={}",
                encoded(socket).replace("%2F", "/").replace("%2E", ".").replace("%2D", "-")
            )?;
            separator = '&';
        }
        match &port {
            Some(port) if socket.is_some() || host.is_empty() => write!(f, "{separator}port={port}"),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::PostgresUrl;

    /// A password that needs no escapes, and pieces of which may not appear anywhere.
    const PASSWORD: &str = "hunter2";

    #[test]
    fn urls_are_shown_without_their_password() {
        for (text, shown) in [
            ("postgres://ana:hunter2@db.example.com/portcullis", "postgres://ana@db.example.com/portcullis"),
            ("postgresql://ana:hunter2@db:6432/p?sslmode=require", "postgres://ana@db:6432/p"),
            ("postgres://ana@db/p?password=hunter2", "postgres://ana@db/p"),
            ("postgres://:hunter2@/p", "postgres:///p"),
            (
                "postgres:///p?host=/run/postgresql&port=5433&user=ana",
                "postgres://ana@/p?host=/run/postgresql&port=5433",
            ),
            ("postgres://ana@%2Frun%2Fpg-1/p", "postgres://ana@/p?host=/run/pg-1"),
            ("postgres://ana@[::1]:5433/p", "postgres://ana@[::1]:5433/p"),
            ("postgres://ana%40corp:hun%74er2@db/my%20db", "postgres://ana%40corp@db/my%20db"),
            ("postgres://", "postgres:///"),
        ] {
            let url = PostgresUrl::parse(text).expect(text);
            assert_eq!(url.to_string(), shown, "{text}");
            assert!(!format!("{url:?}").contains(PASSWORD), "{url:?}");
            // What is shown is the URL of the same database.
            let again = PostgresUrl::parse(shown).expect(shown);
            assert_eq!(
                (again.host, again.port, again.database, again.user),
                (url.host, url.port, url.database, url.user)
            );
        }
    }

    #[test]
    fn no_error_repeats_a_part_of_a_wrong_url() {
        for text in [
            "postgres:ana:hunter2@db/p",
            "postgres:/ana:hunter2@db/p",
            "postgres://ana:hunter2/x@db/p",
            "postgres://ana:1/hunter2@db/p",
            "postgres://ana:1?hunter2@db/p",
            "postgres://ana:1#hunter2@db/p",
            "postgres://ana:hunter2@db:port/p",
            "postgres://ana:hunter2@db/p?sslmode=hunter2",
            "postgres://ana:hunter2@db/p?sslmode=allow",
            "postgres://ana:hunter2@db/p?hunter2=1",
            "postgres://ana:hunter2@db/p?connect_timeout=hunter2",
            "postgres://ana:hunter2@db/p?port=hunter2",
            "postgres://ana:hunter2@db/p?user=bo",
            "postgres://ana:hunter2@db/p?password=hunter2",
            "postgres://ana:hunter2@db/p?sslmode=require&sslmode=disable",
            "postgres://ana:hunter2@db1,db2/p",
            "postgres://ana:hunter2@db/p?sslcert=a.pem",
            "postgres://ana:hunter2@db/p/hunter2",
            "postgres://ana:hunter2@db/p?sslrootcert=~/hunter2.pem",
            "postgres://ana:hunter2@db/p?sslcert=$HOME/a.pem&sslkey=a.key",
            "postgres://ana:hunter2@db/p?sslcert=a.pem&sslkey=${HOME}/a.key",
            "postgres://:hunter2@/p?host=~/run",
            "postgres://ana:hunter2@db/%00",
            "postgres://ana:hunter2@db/%ff",
        ] {
            let error = PostgresUrl::parse(text).expect_err(text).to_string();
            assert!(!error.contains(PASSWORD), "{text}: {error}");
        }
    }
}
