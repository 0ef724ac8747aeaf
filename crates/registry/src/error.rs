//! Errors of the registry.

use std::fmt;

use portcullis_document::load::Diagnostic;
use portcullis_secret::RandomnessError;

/// Why the registry rejected an operation. The registry is unchanged. No message contains a secret.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// The input is invalid, whatever the registry holds.
    #[error("{0}")]
    Invalid(Advice),
    /// The texts of a token or document break rules of [`semantics`](portcullis::semantics). Lists every error.
    #[error("{}", one_a_line(.0))]
    Definition(Vec<Diagnostic>),
    /// The current records or a safety rule forbid the operation.
    #[error("{0}")]
    Refused(Advice),
    /// The database cannot be opened, read or written.
    #[error("{0}")]
    Storage(Advice),
}

/// A problem and its fix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advice {
    /// The problem: lower case, on one line.
    pub message: String,
    /// The fix.
    pub help: String,
}

impl fmt::Display for Advice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.message, self.help)
    }
}

impl From<RandomnessError> for RegistryError {
    fn from(error: RandomnessError) -> Self {
        storage(error.to_string(), "no secret is generated without it")
    }
}

/// The result of the registry's functions.
pub type Result<T> = std::result::Result<T, RegistryError>;

fn one_a_line(diagnostics: &[Diagnostic]) -> String {
    diagnostics.iter().map(|it| format!("{}; {}", it.message, it.help)).collect::<Vec<_>>().join("\n")
}

fn advice(message: impl Into<String>, help: impl Into<String>) -> Advice {
    Advice { message: message.into(), help: help.into() }
}

pub(super) fn invalid(message: impl Into<String>, help: impl Into<String>) -> RegistryError {
    RegistryError::Invalid(advice(message, help))
}

pub(super) fn refused(message: impl Into<String>, help: impl Into<String>) -> RegistryError {
    RegistryError::Refused(advice(message, help))
}

pub(super) fn storage(message: impl Into<String>, help: impl Into<String>) -> RegistryError {
    RegistryError::Storage(advice(message, help))
}
