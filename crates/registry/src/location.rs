//! The location of a registry: a URL such as `sqlite:registry.db` or `postgres://db.example.com/portcullis`.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::error::{RegistryError, invalid, storage};
use super::owner_only;
use super::postgres_url::PostgresUrl;
use super::record::Table;
use super::words::quoted;
use portcullis::base::unexpanded_home;

const FORM: &str = "write `sqlite:` and a file, such as `sqlite:registry.db` or `sqlite:///var/lib/portcullis/registry.db`; \
                    or `postgres://` and a database, such as `postgres://db.example.com/portcullis`";

/// Checks that `path` does not start with a home directory that the shell did not expand.
///
/// # Errors
///
/// If it does. The error calls the path `subject`, and its fix is a path with the prefix `scheme`.
pub fn check_home(path: &str, scheme: &str, subject: &str) -> Result<(), RegistryError> {
    // A path may hold a secret of ours; then `quoted` hides all of it.
    match unexpanded_home(path, subject, scheme, "registry.db", quoted) {
        Some([message, help]) => Err(invalid(message, help)),
        None => Ok(()),
    }
}

fn check_home_of_url(path: &str) -> Result<(), RegistryError> {
    check_home(path, "sqlite:", "the URL of the registry")
}

/// Returns `text` for an error: neither parameters, which may hold a key, nor user info, which may hold a password.
fn shown(text: &str) -> Option<String> {
    // The settings of PostgreSQL, such as `host=db password=…`, have `=`.
    let is_plain = !text.contains(['?', '#', '%', '@', '=']) && !text.contains("://");
    is_plain.then(|| quoted(text))
}

/// Returns the fix that names the registry at `path`, a file in the folder `path`, or an example.
pub(super) fn url_of(path: &Path) -> String {
    let file = if path.is_dir() { path.join("registry.db") } else { path.to_owned() };
    let text = file.to_str().unwrap_or_default();
    let is_meant = !text.trim().is_empty() && !text.ends_with('/') && may_be_registry(&file);
    if is_meant { format!("write {}", quoted(&format!("sqlite:{text}"))) } else { FORM.to_owned() }
}

/// Whether `path` is free, or names a database. A device or another file is no registry.
fn may_be_registry(path: &Path) -> bool {
    const MAGIC: &[u8; 16] = b"SQLite format 3\0";
    match std::fs::metadata(path) {
        Ok(found) if found.is_file() => {
            let mut start = [0; MAGIC.len()];
            let read = File::open(path).and_then(|mut file| file.read_exact(&mut start));
            found.len() == 0 || (read.is_ok() && start == *MAGIC)
        }
        Ok(_) => false,
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    }
}

/// The location of a registry.
///
/// ```
/// use portcullis_registry::Location;
///
/// let location: Location = "sqlite:///var/lib/portcullis/registry.db".parse()?;
/// assert_eq!(location.path(), Some(std::path::Path::new("/var/lib/portcullis/registry.db")));
/// assert_eq!(location.to_string(), "sqlite:/var/lib/portcullis/registry.db");
///
/// let location: Location = "postgres://ana:secret@db.example.com/portcullis".parse()?;
/// assert!(location.has_password());
/// assert_eq!(location.to_string(), "postgres://ana@db.example.com/portcullis");
/// # Ok::<(), portcullis_registry::RegistryError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    pub(super) database: Database,
    /// Whether missing folders of the file are created with it.
    makes_folders: bool,
}

/// The database of a location.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Database {
    Sqlite(PathBuf),
    Postgres(Box<PostgresUrl>),
}

impl Location {
    /// Returns the location of the SQLite file at `path`.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self { database: Database::Sqlite(path.into()), makes_folders: false }
    }

    /// Returns the location of the SQLite file at `path`, which nobody wrote: its missing folders are created with it.
    pub fn default_file(path: impl Into<PathBuf>) -> Self {
        Self { makes_folders: true, ..Self::file(path) }
    }

    /// Creates the missing folders of the file, if this location does so.
    pub(super) fn make_folders(&self) -> Result<(), RegistryError> {
        let Some(folder) = self.path().and_then(Path::parent).filter(|_| self.makes_folders) else { return Ok(()) };
        owner_only::create_folder(folder).map_err(|_| {
            let shown = quoted(&folder.display().to_string());
            storage(
                format!("cannot make the folder {shown}"),
                "name a registry with `--db`, such as `sqlite:registry.db`",
            )
        })
    }

    /// Returns the path of the SQLite file; `None` for PostgreSQL.
    pub fn path(&self) -> Option<&Path> {
        match &self.database {
            Database::Sqlite(path) => Some(path),
            Database::Postgres(_) => None,
        }
    }

    /// Returns the tables and views of the database, which need not be a registry, at most `max`. Only those that the user of the
    /// URL may use.
    ///
    /// # Errors
    ///
    /// If they are more than `max`, the database fails, or it is not PostgreSQL.
    pub fn tables(&self, max: usize) -> Result<Vec<Table>, RegistryError> {
        match &self.database {
            #[cfg(feature = "postgres")]
            Database::Postgres(url) => super::postgres::tables(url, max),
            #[cfg(not(feature = "postgres"))]
            Database::Postgres(_) => {
                let _ = max;
                Err(invalid("this build does not support PostgreSQL", "build it with `--features postgres`"))
            }
            Database::Sqlite(_) => {
                let help = "write the URL of a PostgreSQL database, such as `postgres://db.example.com/warehouse`";
                Err(invalid("a SQLite file has no catalog", help))
            }
        }
    }

    /// Whether the URL holds a password. No text of the location shows it.
    pub fn has_password(&self) -> bool {
        matches!(&self.database, Database::Postgres(url) if url.password.is_some())
    }
}

impl FromStr for Location {
    type Err = RegistryError;

    fn from_str(text: &str) -> Result<Self, RegistryError> {
        let around = |character: char| character.is_whitespace() || "\"'`".contains(character);
        let bare = text.trim_matches(around);
        if bare != text && bare.parse::<Self>().is_ok() {
            let help = shown(bare).map_or_else(|| FORM.to_owned(), |shown| format!("write {shown}"));
            return Err(invalid("the URL of the registry has blanks or quotes around it", help));
        }
        let Some((scheme, rest)) = text.split_once(':') else {
            check_home_of_url(text)?;
            let Some(shown) = shown(text) else {
                return Err(invalid("the URL of the registry has no scheme", FORM));
            };
            return Err(invalid(format!("{shown} is not the URL of a registry"), url_of(Path::new(text))));
        };
        match scheme {
            "sqlite" => sqlite(text, rest),
            "postgres" | "postgresql" => {
                Ok(Self { database: Database::Postgres(Box::new(PostgresUrl::parse(text)?)), makes_folders: false })
            }
            _ => Err(unknown_scheme(scheme, rest)),
        }
    }
}

/// Returns the error for a URL with another scheme. The fix is the URL that is meant, unless it may hold a secret.
fn unknown_scheme(scheme: &str, rest: &str) -> RegistryError {
    const MESSAGE: &str = "the scheme of the registry's URL is unknown";
    let meant = match &*scheme.to_lowercase() {
        "sqlite" | "sqlite3" | "file" => "sqlite",
        "postgres" | "postgresql" => "postgres",
        _ => return invalid(MESSAGE, FORM),
    };
    let url = format!("{meant}:{rest}");
    let is_valid = !rest.contains(['@', '?', '#', '%', '=']) && url.parse::<Location>().is_ok();
    let help = if is_valid { format!("write {}", quoted(&url)) } else { FORM.to_owned() };
    invalid(format!("expected the scheme `{meant}:`, found `{scheme}:`"), help)
}

/// Reads the URL `text` of a SQLite file, which has `rest` after its scheme.
fn sqlite(text: &str, rest: &str) -> Result<Location, RegistryError> {
    let first = |path: &str| path.split('/').next().unwrap_or_default().to_owned();
    let (path, has_host) = match rest.strip_prefix("//") {
        Some(path) => (path, first(path).contains('@')),
        // A user with a password and a host. A file of such a name can be written as `./a:b@c`.
        None => (rest, first(rest).split_once('@').is_some_and(|(user, _)| user.contains(':'))),
    };
    if path.contains("://") {
        return Err(invalid("the URL of the registry has another URL after `sqlite:`", FORM));
    }
    if path.is_empty() || path == ":memory:" {
        return Err(invalid(format!("{} names no file", quoted(text)), FORM));
    }
    if has_host {
        return Err(invalid("the URL of the registry has a user and a host", FORM));
    }
    if let Some(character) = path.chars().find(|character| ['?', '#', '%'].contains(character)) {
        let message = format!("the URL of the registry has `{character}`: parameters and escapes are not supported");
        return Err(invalid(message, FORM));
    }
    check_home_of_url(path)?;
    Ok(Location::file(path))
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.database {
            Database::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            Database::Postgres(url) => url.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Location;

    #[test]
    fn errors_of_urls_have_a_valid_fix_and_never_a_password() {
        for text in [
            "host=h password=hunter2",
            "password=hunter2",
            "sqlite:postgres://u:hunter2@h/d",
            "sqlite:u:hunter2@h/d",
            "sqlite://u:hunter2@h/d",
            "u:hunter2@h/d",
            "mysql://u:hunter2@h/d",
            "postgres//u:hunter2@h/d",
        ] {
            let error = text.parse::<Location>().unwrap_err().to_string();
            assert!(!error.contains("hunter2"), "{text}: {error}");
        }
        for (text, help) in [
            ("SQLITE:reg.db", "write `sqlite:reg.db`"),
            ("SQLite:///var/reg.db", "write `sqlite:///var/reg.db`"),
            ("sqlite3:reg.db", "write `sqlite:reg.db`"),
            ("file:reg.db", "write `sqlite:reg.db`"),
            ("file:///var/reg.db", "write `sqlite:///var/reg.db`"),
            ("FILE:reg.db", "write `sqlite:reg.db`"),
            ("file:", super::FORM),
            ("file:reg.db?mode=ro", super::FORM),
            ("Postgres://db.example.com/portcullis", "write `postgres://db.example.com/portcullis`"),
            ("POSTGRES://u:hunter2@h/d", super::FORM),
            ("mysql://h/d", super::FORM),
        ] {
            let error = text.parse::<Location>().unwrap_err();
            let crate::RegistryError::Invalid(advice) = &error else { panic!("{error}") };
            assert_eq!(advice.help, help, "{text}");
            assert!(!advice.message.contains("hunter2"), "{text}");
            if help != super::FORM {
                let url = help.strip_prefix("write `").and_then(|url| url.strip_suffix('`')).unwrap();
                assert!(url.parse::<Location>().is_ok(), "{text}");
            }
        }
        for text in ["sqlite:./u:x@h/d", "sqlite:registry@home.db", "sqlite:/a:b@c/registry.db"] {
            assert!(text.parse::<Location>().is_ok(), "{text}");
        }
    }
}
