//! The source of a policy: a file, or a registry.

use std::fmt;
use std::path::{Path, PathBuf};

#[cfg(feature = "registry")]
use crate::load;
use crate::load::Stamp;
#[cfg(feature = "registry")]
use portcullis::Snapshot;
#[cfg(feature = "registry")]
use portcullis_registry::{Location, RegistryVersion, WatchedRegistry};

/// The source of a live policy.
#[derive(Debug, Clone)]
pub struct Source(pub(crate) Kind);

#[derive(Debug, Clone)]
pub(crate) enum Kind {
    File(PathBuf),
    #[cfg(feature = "registry")]
    Registry(Location),
}

/// The identity of a version of a source, which is known without reading the whole source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Version {
    /// A version of a file.
    File(Stamp),
    /// A version of a registry.
    #[cfg(feature = "registry")]
    Registry(RegistryVersion),
}

impl Source {
    /// Returns the source with this name: the path of a file, or the URL of a registry, such as
    /// `sqlite:/var/lib/portcullis/registry.db`.
    ///
    /// # Errors
    ///
    /// If the name is the URL of a registry, and it is not valid or this build reads no registries.
    pub fn named(name: &str) -> Result<Self, String> {
        let is_registry = ["sqlite:", "postgres:", "postgresql:"].iter().any(|scheme| name.starts_with(scheme));
        if is_registry { Self::registry(name) } else { Ok(Self::file(name)) }
    }

    /// Returns the file at `path` as a source.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self(Kind::File(path.into()))
    }

    /// Returns the path, if the source is a file.
    pub fn path(&self) -> Option<&Path> {
        match &self.0 {
            Kind::File(path) => Some(path),
            #[cfg(feature = "registry")]
            Kind::Registry(_) => None,
        }
    }

    #[cfg(feature = "registry")]
    fn registry(url: &str) -> Result<Self, String> {
        let location = url.parse::<Location>().map_err(|error| error.to_string())?;
        Ok(Self(Kind::Registry(location)))
    }

    #[cfg(not(feature = "registry"))]
    fn registry(_: &str) -> Result<Self, String> {
        let help = "build the library with `--features registry`, or name a file that `portcullis compile` writes";
        Err(format!("this build does not read registries; help: {help}"))
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::File(path) => path.display().fmt(f),
            #[cfg(feature = "registry")]
            Kind::Registry(location) => location.fmt(f),
        }
    }
}

/// Reads and compiles the policy of a registry.
#[cfg(feature = "registry")]
pub(crate) fn read_registry(registry: &mut WatchedRegistry) -> Result<Snapshot, String> {
    // A process that may not write the registry opens it again after each change of another process.
    let document = registry.read().or_else(|_| registry.read()).map_err(|error| error.to_string())?;
    load::snapshot(&registry.location().to_string(), document.into_bytes())
}
