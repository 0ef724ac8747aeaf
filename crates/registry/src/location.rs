//! The location of a registry: a URL such as `sqlite:registry.db`.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::error::{RegistryError, invalid};
use super::words::quoted;

const FORM: &str =
    "write `sqlite:` and a file, such as `sqlite:registry.db` or `sqlite:///var/lib/portcullis/registry.db`";

/// The location of a registry.
///
/// ```
/// use portcullis_registry::Location;
///
/// let location: Location = "sqlite:///var/lib/portcullis/registry.db".parse()?;
/// assert_eq!(location.path(), std::path::Path::new("/var/lib/portcullis/registry.db"));
/// assert_eq!(location.to_string(), "sqlite:/var/lib/portcullis/registry.db");
/// # Ok::<(), portcullis_registry::RegistryError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    path: PathBuf,
}

impl Location {
    /// Returns the location of the SQLite file at `path`.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Returns the path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl FromStr for Location {
    type Err = RegistryError;

    fn from_str(text: &str) -> Result<Self, RegistryError> {
        let Some((scheme, rest)) = text.split_once(':') else {
            let instead = quoted(&format!("sqlite:{text}"));
            return Err(invalid(format!("{} is not the URL of a database", quoted(text)), format!("write {instead}")));
        };
        match scheme {
            "sqlite" => {}
            // The URL may hold a password.
            "postgres" | "postgresql" => return Err(invalid("PostgreSQL is not supported yet", FORM)),
            _ => return Err(invalid("the scheme of the database's URL is unknown", FORM)),
        }
        let path = rest.strip_prefix("//").unwrap_or(rest);
        if path.is_empty() {
            return Err(invalid(format!("{} names no file", quoted(text)), FORM));
        }
        if path == ":memory:" || path.contains(['?', '#', '%']) {
            return Err(invalid(format!("{} is more than a file", quoted(text)), FORM));
        }
        Ok(Self::file(path))
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sqlite:{}", self.path.display())
    }
}
