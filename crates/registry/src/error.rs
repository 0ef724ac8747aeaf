//! Why the registry did not do what was asked.

use std::fmt;

use portcullis_document::load::Diagnostic;
use portcullis_secret::{self as secret, RandomnessError};

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

impl From<RandomnessError> for RegistryError {
    fn from(error: RandomnessError) -> Self {
        storage(error.to_string(), "no secret is generated without it")
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

/// `text` in backticks on one line, cut off where it is long, masked where it holds a secret of ours.
pub(super) fn quoted(text: &str) -> String {
    const LONGEST: usize = 80;
    if secret::is_held_by(text) {
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

/// `did you mean …? ` with the known name that was probably meant, or nothing.
pub(super) fn did_you_mean<'n>(name: &str, known: impl IntoIterator<Item = &'n str>) -> String {
    const ALIKE: f64 = 0.8;
    let alike = known.into_iter().map(|known| (strsim::jaro_winkler(name, known), known));
    let nearest = alike.filter(|(likeness, _)| *likeness > ALIKE).max_by(|(a, _), (b, _)| a.total_cmp(b));
    nearest.map_or_else(String::new, |(_, known)| format!("did you mean {}? ", quoted(known)))
}
