//! Errors of the registry.

use std::fmt;

use portcullis_document::load::Diagnostic;
use portcullis_secret::{self as secret, RandomnessError};

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

/// Quotes `text` in backticks on one line. Cuts long text, and masks text that holds a secret minted here.
pub(super) fn quoted(text: &str) -> String {
    const LONGEST: usize = 80;
    if secret::contains_secret(text) {
        return "`pcl_…`".to_owned();
    }
    let mut shown = String::from("`");
    let mut characters = text.chars();
    for character in characters.by_ref().take(LONGEST) {
        if character.is_control() { shown.extend(character.escape_default()) } else { shown.push(character) }
    }
    shown.push_str(if characters.next().is_some() { "…`" } else { "`" });
    shown
}

/// Returns `did you mean …? ` with the nearest known name, or an empty text.
pub(super) fn did_you_mean<'n>(name: &str, known: impl IntoIterator<Item = &'n str>) -> String {
    const ALIKE: f64 = 0.8;
    let alike = known.into_iter().map(|known| (strsim::jaro_winkler(name, known), known));
    let nearest = alike.filter(|(likeness, _)| *likeness > ALIKE).max_by(|(a, _), (b, _)| a.total_cmp(b));
    nearest.map_or_else(String::new, |(_, known)| format!("did you mean {}? ", quoted(known)))
}
