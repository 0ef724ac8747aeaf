//! Why the registry did not do what was asked.

use std::fmt;

use portcullis_document::load::Diagnostic;

/// Why the registry did not do what was asked. Nothing was changed. No message repeats a secret.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// What was asked is wrong in itself, whatever the registry holds.
    #[error("{0}")]
    Invalid(Advice),
    /// The texts of a token or a document break rules of [`semantics`](portcullis::semantics); every error.
    #[error("{}", one_a_line(.0))]
    Definition(Vec<Diagnostic>),
    /// What the registry holds, or a rule of caution, forbids it.
    #[error("{0}")]
    Refused(Advice),
    /// The database cannot be opened, read or written.
    #[error("{0}")]
    Storage(Advice),
}

/// What is wrong, and what would be right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advice {
    /// What is wrong: lower case, on one line.
    pub message: String,
    /// What would be right.
    pub help: String,
}

impl fmt::Display for Advice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.message, self.help)
    }
}

/// What the functions of the registry return.
pub type Result<T> = std::result::Result<T, RegistryError>;

fn one_a_line(diagnostics: &[Diagnostic]) -> String {
    diagnostics.iter().map(|found| format!("{}; {}", found.message, found.help)).collect::<Vec<_>>().join("\n")
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
