//! Limits of the texts of one record. Every server reads all records, so one user must not make them large.
//!
//! They hold for what is written by hand or by a program, one record at a time. An import has the limits of policies alone.

use super::definition::{Draft, DraftGrant};
use super::error::{RegistryError, Result, invalid};
use super::record::Token;
use portcullis_document::load::{Diagnostic, Severity};

/// The maximum length of a source of a grant, or of the SQL of a named source, in bytes.
pub(super) const MAX_SOURCE: usize = 64 << 10;

/// The maximum length of all sources and referers of a token together, in bytes.
const MAX_TEXTS: usize = 1 << 20;

const NAME_A_SOURCE: &str = "grant a view or a table with the result instead";

/// Checks the lengths of the sources and referers of a draft. What the token `before` an edit has already may stay.
pub(super) fn check_sizes(draft: &Draft, before: Option<&Token>) -> Result<()> {
    let is_new = |grant: &DraftGrant| {
        before.is_none_or(|before| !before.grants.iter().any(|known| known.source == grant.source))
    };
    let long = draft.grants.iter().enumerate().filter(|(_, grant)| grant.source.len() > MAX_SOURCE && is_new(grant));
    let mut problems: Vec<_> = long
        .map(|(index, grant)| {
            let path = format!("tokens[0].grants[{index}].source");
            problem("source_too_long", path, too_long("source", grant.source.len()), NAME_A_SOURCE)
        })
        .collect();
    let sources = draft.grants.iter().map(|grant| &grant.source);
    let texts: usize = sources.chain(&draft.referers).map(String::len).sum();
    if problems.is_empty() && texts > MAX_TEXTS.max(before.map_or(0, texts_of)) {
        let message = format!("the sources and referers have {texts} bytes, expected at most {MAX_TEXTS}");
        let help = "grant patterns such as `carto.shared.*`, or several tokens";
        problems.push(problem("sources_too_long", "tokens[0].grants".to_owned(), message, help));
    }
    if problems.is_empty() { Ok(()) } else { Err(RegistryError::Definition(problems)) }
}

/// Checks the length of the SQL of a named source.
pub(super) fn check_query_size(query: &str) -> Result<()> {
    if query.len() <= MAX_SOURCE {
        return Ok(());
    }
    Err(invalid(too_long("query", query.len()), "read from a view with the result instead").because("query_too_long"))
}

fn texts_of(token: &Token) -> usize {
    token.grants.iter().map(|grant| &grant.source).chain(&token.referers).map(String::len).sum()
}

fn too_long(what: &str, found: usize) -> String {
    format!("the {what} is too long: expected at most {MAX_SOURCE} bytes, found {found}")
}

fn problem(code: &'static str, path: String, message: String, help: &'static str) -> Diagnostic {
    Diagnostic {
        severity: Severity::Error,
        code,
        file: "the registry".to_owned(),
        path,
        line: 0,
        column: 0,
        span: None,
        message: message.into(),
        help: help.into(),
    }
}
