//! Environment variables that commands read. An empty variable counts as unset.

use std::ffi::OsString;

/// The variable with the URL of the registry, used without `--db`.
pub(super) const REGISTRY_VARIABLE: &str = "PORTCULLIS_DB";

/// Returns the URL of the registry from the environment, or `None` if the variable is unset or empty.
pub(super) fn registry_of_environment() -> Option<String> {
    variable(REGISTRY_VARIABLE)
}

/// Returns the value of the variable `name`, or `None` if it is unset, empty or not UTF-8.
pub(super) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Returns the value of the variable `name`, or `default`.
pub(super) fn variable_or(name: &str, default: &str) -> OsString {
    std::env::var_os(name).filter(|value| !value.is_empty()).unwrap_or_else(|| default.into())
}
