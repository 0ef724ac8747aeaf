//! Loads files as a policy, with diagnostics for all problems.
//!
//! [`load`] reads any number of [`Input`]s as one policy and collects a [`Diagnostic`] for each problem, with line and
//! column; [`policy`] does so for a single text. A policy is returned only if it is usable: without errors, or, with
//! [`LoadOptions::skip_invalid`], without the tokens that have errors.
//!
//! ```
//! use portcullis_document::load::{Input, LoadOptions, load};
//!
//! let input = Input::new("policy.json", r#"[{"id": "a", "token": "s3cret", "allowed_apis": ["ldss"]}]"#);
//! let loaded = load(&[input], &LoadOptions::default());
//! assert!(loaded.policy.is_none());
//! assert_eq!(
//!     loaded.diagnostics[0].to_string(),
//!     "policy.json:1:50: error[api_unknown]: unknown API `ldss` (tokens[0].allowed_apis[0])",
//! );
//! assert_eq!(loaded.diagnostics[0].help, "did you mean `lds`?");
//! ```
//!
//! Diagnostics repeat no secret. Text that is shown next to one should be [`Input::redacted`].

mod diagnostic;
mod digested;
mod foreign;
mod input;
mod known_digests;
mod leftovers;
mod redact;
mod spot;
mod statement;
mod transport;
#[cfg(feature = "unpack")]
mod unpack;
mod warnings;
mod written;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;

pub use diagnostic::{Diagnostic, Severity};
pub use foreign::{FOREIGN_BYTES, Foreign};
pub use input::{Input, Unreadable, is_compiled, read_files};
pub use spot::{Spot, spots};
pub use statement::may_be_statement;
pub use transport::{UnreachableConnection, not_in_headers};
#[cfg(feature = "unpack")]
pub use unpack::{Unpacked, unpack};
pub use warnings::site;
pub use written::{Written, WrittenGrant};

use crate::definition::{Document, SyntaxError, Tokens, read};
use crate::lower::{LowerOptions, Lowered, LoweredToken, Named, lower_beside, lower_each};
pub use crate::lower::{MAX_PROBLEMS, Origin};
use digested::Digests;
use portcullis::base::{Timestamp, quoted};
use portcullis::model::{Limits, Policy};
use spot::{Draft, spot};
use warnings::Warnings;

/// Options of [`load`].
#[derive(Debug, Clone)]
pub struct LoadOptions {
    /// The size limits of single texts.
    pub limits: Limits,
    /// Whether tokens with errors are left out, instead of rejecting the whole policy (N11.3). The errors are reported
    /// either way.
    pub skip_invalid: bool,
    /// Whether to collect warnings: what is legal but probably unintended. Also keeps [`Loaded::written`].
    pub warnings: bool,
    /// Whether to write the documents with digests instead of secrets: see [`Loaded::into_digested`].
    pub digested: bool,
    /// The current time, for the warning of expired tokens.
    pub now: Option<Timestamp>,
    /// The maximum number of errors to keep as diagnostics: a bound on the memory that invalid input takes. All errors
    /// are counted: see [`Loaded::count`].
    pub max_errors: usize,
    /// The number of errors after which an input is rejected without reading the rest. The number of its errors is a
    /// lower bound then.
    pub max_counted: usize,
    /// The maximum number of warnings to keep as diagnostics. All of them are counted.
    pub max_warnings: usize,
}

impl Default for LoadOptions {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            skip_invalid: false,
            warnings: false,
            digested: false,
            now: None,
            max_errors: MAX_PROBLEMS,
            max_counted: usize::MAX,
            max_warnings: usize::MAX,
        }
    }
}

/// The numbers of errors and warnings, including those that are not kept as diagnostics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count {
    /// Errors.
    pub errors: usize,
    /// Warnings.
    pub warnings: usize,
}

/// The result of [`load`].
#[derive(Debug, Clone)]
#[must_use]
pub struct Loaded {
    /// The policy; `None` if it is not usable.
    pub policy: Option<Policy>,
    /// The first errors and warnings, by input and position: up to [`LoadOptions::max_errors`] and
    /// [`LoadOptions::max_warnings`].
    pub diagnostics: Vec<Diagnostic>,
    /// The number of tokens that were left out of the policy for their errors.
    pub skipped: usize,
    /// The number of errors and warnings of each input.
    counts: Vec<Count>,
    /// The origin of each token of the policy.
    origins: Vec<Origin>,
    /// The form of the tokens that do not imply it, by their index in the policy.
    written: HashMap<usize, Written, foldhash::fast::RandomState>,
    digested: Option<Vec<Input>>,
}

/// Collects what the options ask for while the tokens are lowered, so that no token is parsed again.
struct Collected {
    warnings: Option<Warnings>,
    written: HashMap<usize, Written, foldhash::fast::RandomState>,
    digests: Option<Digests>,
    /// The number of tokens so far.
    count: usize,
}

impl Collected {
    fn new(documents: usize, options: &LoadOptions) -> Self {
        Self {
            warnings: options.warnings.then(|| Warnings::new(documents, options)),
            written: HashMap::default(),
            digests: options.digested.then(|| Digests::new(documents)),
            count: 0,
        }
    }

    fn token(&mut self, lowered: &LoweredToken<'_, '_>) {
        if let Some(warnings) = &mut self.warnings {
            warnings.token(lowered);
            self.written.extend(Written::of(lowered).map(|written| (self.count, written)));
        }
        if let Some(digests) = &mut self.digests {
            digests.token(lowered);
        }
        self.count += 1;
    }
}

/// The first errors of a policy that is not usable, and the number of all errors.
#[derive(Debug, Clone)]
pub struct LoadError {
    diagnostics: Vec<Diagnostic>,
    count: usize,
}

/// Reads all `inputs` as one policy.
///
/// Linear in the size of the inputs. Keeps only what the policy needs, and no secret. Takes about 250 bytes a token
/// besides the inputs and the policy, whatever the grants, and up to 25 MB. Errors take no more memory than
/// [`LoadOptions::max_errors`] allows.
pub fn load(inputs: &[Input], options: &LoadOptions) -> Loaded {
    // A rejected policy gets warnings, too: those of its valid tokens.
    let lower_options = LowerOptions {
        limits: options.limits.clone(),
        skip_invalid: options.skip_invalid || options.warnings,
        max_problems: options.max_errors,
        max_counted: options.max_counted,
    };
    load_by(inputs, options, |documents, collected| {
        lower_each(documents, &lower_options, |token| collected.token(token))
    })
}

fn load_by(
    inputs: &[Input],
    options: &LoadOptions,
    lower: impl FnOnce(&[Named<'_, '_>], &mut Collected) -> Lowered,
) -> Loaded {
    let mut read: Vec<Result<Document<'_>, SyntaxError>> = inputs.iter().map(|input| read(input.text())).collect();
    let empty = Document::default();
    let mut collected = Collected::new(inputs.len(), options);
    let mut lowered = lower(&named(inputs, &read, &empty), &mut collected);
    for (at, error) in std::mem::take(&mut lowered.unread) {
        if let Some(document) = read.get_mut(at) {
            *document = Err(error);
        }
    }
    let mut found = Vec::new();
    let mut counts = vec![Count::default(); inputs.len()];
    let Collected { warnings, written, digests, .. } = collected;
    if let (Some(mut warnings), Some(_)) = (warnings, &lowered.policy) {
        warnings.documents(&read);
        for (count, warnings) in counts.iter_mut().zip(warnings.counts) {
            count.warnings = warnings;
        }
        found.extend(warnings.found);
    }
    let mut is_read = true;
    for ((at, document), count) in read.iter().enumerate().zip(&mut counts) {
        count.errors = match document {
            Ok(_) => lowered.counts.get(at).copied().unwrap_or_default(),
            Err(error) => {
                is_read = false;
                found.push(Draft::syntax(at, error, inputs.get(at).map_or("", Input::text)));
                1
            }
        };
    }
    let is_valid = lowered.counts.iter().all(|count| *count == 0);
    let Lowered { policy, problems, origins, .. } = lowered;
    let problems = problems.into_iter().filter(|problem| matches!(read.get(problem.document), Some(Ok(_))));
    found.extend(problems.map(Draft::error));
    // Lowering rejects an empty document for its missing tokens. This check also rejects a document that is not JSON.
    let policy = policy.filter(|_| is_read && (is_valid || options.skip_invalid));
    for Draft { problem, .. } in &mut found {
        let document = read.get(problem.document).and_then(|document| document.as_ref().ok());
        if inputs.get(problem.document).is_some_and(Input::is_generated)
            && let Some(id) = document.and_then(|document| token_id(document, problem.token()?))
        {
            problem.message = format!("token {}: {}", quoted(&id), problem.message).into();
        }
    }
    let (origins, written) = if policy.is_some() { (origins, written) } else { Default::default() };
    let digested = digests.filter(|_| policy.is_some()).and_then(|digests| digests.documents(inputs, &read));
    let skipped = match &policy {
        Some(_) if counts.iter().any(|count| count.errors > 0) => {
            let tokens = read.iter().flatten().filter_map(|document| document.tokens.found());
            tokens.map(Tokens::len).sum::<usize>().saturating_sub(origins.len())
        }
        _ => 0,
    };
    Loaded { policy, diagnostics: spot(inputs, found), skipped, counts, origins, written, digested }
}

/// Returns the id of the token at `index`.
fn token_id(document: &Document<'_>, index: usize) -> Option<String> {
    let token = document.tokens.found()?.iter().nth(index)?;
    token.found()?.id.found().map(ToString::to_string)
}

/// Returns the documents that were read, and `empty` for each one that was not.
fn named<'d, 't>(
    inputs: &'d [Input],
    read: &'d [Result<Document<'t>, SyntaxError>],
    empty: &'d Document<'t>,
) -> Vec<Named<'d, 't>> {
    let documents = read.iter().map(|document| document.as_ref().unwrap_or(empty));
    inputs.iter().zip(documents).map(|(input, document)| Named { name: input.name(), document }).collect()
}

/// Loads one `text`, in any form of a document, as a policy.
///
/// # Errors
///
/// If `text` has any error.
///
/// # Examples
///
/// ```
/// let policy = portcullis_document::load::policy(r#"{
///     "tokens": [{
///         "id": "tok_1", "token": "s3cret", "allowed_apis": ["maps"],
///         "grants": [{"connection_name": "carto_dw", "source": "carto.shared.*"}]
///     }]
/// }"#)?;
/// assert_eq!(policy.tokens().len(), 1);
///
/// let error = portcullis_document::load::policy(r#"{"tokens": [], "apiz": []}"#).unwrap_err();
/// assert_eq!(error.to_string(), "<text>:1:16: error[unknown_field]: unknown field `apiz` (apiz); did you mean `apis`?");
/// # Ok::<(), portcullis_document::load::LoadError>(())
/// ```
pub fn policy(text: impl Into<String>) -> Result<Policy, LoadError> {
    load(&[Input::new("<text>", text)], &LoadOptions::default()).into_policy()
}

/// Loads the tokens of `text` as a policy that can be added to the policy `known`.
///
/// The result has the connections and APIs of `known`, with the same ids, and its limits. Other connections that a
/// grant names come after those of `known`. What `text` declares must be declared by `known` in the same way, so that
/// existing tokens do not change.
///
/// The tokens of `known` are ignored: [`Policy::without_tokens`] is enough. Cost: linear in `text` and in the number of
/// connections, whatever the number of tokens of the policy.
///
/// # Errors
///
/// If `text` has any error. Does not check whether another token of the policy has the id, the secret or the owner's
/// name.
///
/// # Examples
///
/// ```
/// use portcullis_document::load;
///
/// let known = load::policy(r#"{
///     "connections": [{"name": "dw", "dialect": "snowflake"}],
///     "tokens": [{"id": "tok_1", "token": "s3cret", "allowed_apis": ["lds"]}]
/// }"#)?.without_tokens();
///
/// let token = r#"{
///     "id": "tok_2", "token": "s3cret-2", "allowed_apis": ["maps"],
///     "grants": [{"connection_name": "dw", "source": "db.s.t"}, {"connection_name": "new", "source": "a.b"}]
/// }"#;
/// let added = load::tokens(token, &known)?;
/// assert_eq!(added.tokens().len(), 1);
/// let names: Vec<&str> = added.connections().iter().map(|connection| connection.name()).collect();
/// assert_eq!(names, ["dw", "new"]);
/// # Ok::<(), portcullis_document::load::LoadError>(())
/// ```
pub fn tokens(text: impl Into<String>, known: &Policy) -> Result<Policy, LoadError> {
    let inputs = [Input::new("<text>", text)];
    load_by(&inputs, &LoadOptions::default(), |documents, _| lower_beside(documents, known)).into_policy()
}

impl Loaded {
    /// Returns the policy.
    ///
    /// # Errors
    ///
    /// If the policy is not usable: the errors.
    pub fn into_policy(self) -> Result<Policy, LoadError> {
        let count = self.count().errors;
        self.policy.ok_or_else(|| LoadError {
            diagnostics: self.diagnostics.into_iter().filter(|found| found.severity == Severity::Error).collect(),
            count,
        })
    }

    /// Returns the origin of each token of the policy, in the order of the policy: its input and its index there.
    pub fn origins(&self) -> &[Origin] {
        &self.origins
    }

    /// Returns the form in which the document writes the token with this index in the policy. `None` if the token implies
    /// it, as most do, or without [`LoadOptions::warnings`].
    pub fn written(&self, token: usize) -> Option<&Written> {
        self.written.get(&token)
    }

    /// Returns the number of errors and warnings of all inputs.
    pub fn count(&self) -> Count {
        self.counts.iter().fold(Count::default(), |sum, count| Count {
            errors: sum.errors.saturating_add(count.errors),
            warnings: sum.warnings.saturating_add(count.warnings),
        })
    }

    /// Returns the number of errors and warnings of each input, in the order of the inputs.
    pub fn counts(&self) -> &[Count] {
        &self.counts
    }

    /// Returns the first errors.
    pub fn errors(&self) -> impl Iterator<Item = &Diagnostic> {
        self.diagnostics.iter().filter(|found| found.severity == Severity::Error)
    }

    /// Returns the first warnings: what is legal but probably unintended.
    pub fn warnings(&self) -> impl Iterator<Item = &Diagnostic> {
        self.diagnostics.iter().filter(|found| found.severity == Severity::Warning)
    }
}

impl LoadError {
    /// Returns the first [`MAX_PROBLEMS`] errors, by input and position.
    pub fn diagnostics(&self) -> &[Diagnostic] {
        &self.diagnostics
    }

    /// Returns the number of all errors.
    pub fn count(&self) -> usize {
        self.count
    }
}

impl std::error::Error for LoadError {}

impl fmt::Display for LoadError {
    /// Writes one error a line, then the number of errors that are not listed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, diagnostic) in self.diagnostics.iter().enumerate() {
            let line = if at == 0 { "" } else { "\n" };
            write!(f, "{line}{diagnostic}; {}", diagnostic.help)?;
        }
        match self.count.saturating_sub(self.diagnostics.len()) {
            0 => Ok(()),
            rest => write!(f, "\nand {rest} more, {} in total", self.count),
        }
    }
}
