//! Environment variables that several commands read.

/// The variable with the URL of the registry, used without `--db`.
pub(super) const REGISTRY_VARIABLE: &str = "PORTCULLIS_DB";

/// Returns the URL of the registry from the environment, or `None` if the variable is unset or empty.
pub(super) fn registry_of_environment() -> Option<String> {
    std::env::var(REGISTRY_VARIABLE).ok().filter(|url| !url.is_empty())
}
