//! Environment variables that several commands read.

/// The variable that names the registry without `--db`.
pub(super) const REGISTRY_VARIABLE: &str = "PORTCULLIS_DB";

/// The URL of the registry that the environment names.
pub(super) fn registry_of_environment() -> Option<String> {
    std::env::var(REGISTRY_VARIABLE).ok().filter(|url| !url.is_empty())
}
