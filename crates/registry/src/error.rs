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
    /// The input has more than one problem.
    #[error("{}", one_error_a_line(.0))]
    Several(Vec<Self>),
    /// The database cannot be opened, read or written.
    #[error("{0}")]
    Storage(Advice),
}

/// A problem and its fix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advice {
    /// The stable code of the problem, such as `name_taken`.
    pub reason: &'static str,
    /// The problem: lower case, on one line.
    pub message: String,
    /// The fix.
    pub help: String,
}

impl Advice {
    /// Creates an advice whose code is that of its kind of error.
    pub fn new(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { reason: "", message: message.into(), help: help.into() }
    }
}

impl RegistryError {
    /// Returns the stable code of the problem, such as `name_taken`.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Invalid(advice) if advice.reason.is_empty() => "invalid_value",
            Self::Refused(advice) if advice.reason.is_empty() => "conflict",
            Self::Storage(advice) if advice.reason.is_empty() => "registry_unavailable",
            Self::Invalid(advice) | Self::Refused(advice) | Self::Storage(advice) => advice.reason,
            Self::Definition(_) => "invalid_definition",
            Self::Several(errors) => errors.first().map_or("invalid_value", Self::reason),
        }
    }

    /// Whether the operation was only refused: every problem is with the current records or a safety rule.
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::Refused(_) => true,
            Self::Several(errors) => errors.iter().all(Self::is_refusal),
            Self::Invalid(_) | Self::Definition(_) | Self::Storage(_) => false,
        }
    }

    /// Sets the stable code of the problem.
    pub(super) fn because(mut self, code: &'static str) -> Self {
        if let Self::Invalid(advice) | Self::Refused(advice) | Self::Storage(advice) = &mut self {
            advice.reason = code;
        }
        self
    }
}

/// Collects the problems of an input.
#[derive(Debug, Default)]
pub(super) struct Problems(Vec<RegistryError>);

impl Problems {
    /// Returns the value of `result`, or keeps its error.
    pub(super) fn keep<T>(&mut self, result: Result<T>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(error) => {
                self.0.push(error);
                None
            }
        }
    }

    /// Returns `value` if there was no problem.
    pub(super) fn none_or<T>(mut self, value: Option<T>) -> Result<T> {
        // Without the database, the other problems are unknown.
        if let Some(at) = self.0.iter().position(|error| matches!(error, RegistryError::Storage(_))) {
            return Err(self.0.swap_remove(at));
        }
        match (value, self.0.len()) {
            (Some(value), 0) => Ok(value),
            (_, 1) => Err(self.0.swap_remove(0)),
            _ => Err(RegistryError::Several(self.0)),
        }
    }
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

fn one_error_a_line(errors: &[RegistryError]) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

fn advice(message: impl Into<String>, help: impl Into<String>) -> Advice {
    Advice::new(message, help)
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
